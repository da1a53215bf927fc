"""`gpuagent refund`: what vendors paid back, what they say that they owe, and the assignment of a transfer to a job."""

from typing import TYPE_CHECKING, Annotated

import typer

from gpuagent.cli.common import AsJson, By, console, errors_explained, open_database, print_json, user_name
from gpuagent.cli.groups import command_group
from gpuagent.errors import BadInput

if TYPE_CHECKING:
    from gpuagent.books.repair import Sources
    from gpuagent.core.ports.chain import Node
    from gpuagent.wiring.database import Database

refunds = command_group("What vendors paid back, and what they say that they owe.")
FromBlock = Annotated[int | None, typer.Option(min=0, help="Look from an earlier block than the first run's.")]


@refunds.command("list")
def refund_list(
    every: Annotated[
        bool, typer.Option("--all", help="The newest transfers of others than vendors too, such as top-ups.")
    ] = False,
    from_block: FromBlock = None,
    as_json: AsJson = False,
) -> None:
    """Show the transfers that came in from vendors, the job of each, and vendors' credits. Books nothing."""
    from gpuagent import settings, wiring
    from gpuagent.books.refunds import wallet_refunds
    from gpuagent.render.refunds import refunds_json, refunds_view

    with errors_explained(), open_database() as db, wiring.open_chain(settings.read()) as chain:
        wallets = wallet_refunds(_sources(db, chain), from_block)
        if as_json:
            print_json(refunds_json(wallets, every=every))
        else:
            console().print(refunds_view(wallets, every=every))


@refunds.command("assign")
def refund_assign(
    transaction: Annotated[str, typer.Argument(help="The transaction that brought the money.")],
    job_id: Annotated[str, typer.Argument(help="The job whose payment it gives back.")],
    why: Annotated[str, typer.Option(help="Why it is this job's, which is recorded.")] = "",
    by: By = "",
    log: Annotated[
        int | None, typer.Option(min=0, help="Which transfer, where the transaction holds several: its log's index.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Book a transfer into the wallet as a refund of a job, once. It lowers what the job cost, and frees no budget."""
    from gpuagent import settings, wiring
    from gpuagent.books.refunds import assign
    from gpuagent.render.refunds import refund_json

    with errors_explained(), open_database() as db, wiring.open_chain(settings.read()) as chain:
        if not why.strip():
            raise BadInput("say why it is this job's, once you have looked into it: --why WHY")
        refund = assign(transaction, job_id, user_name(by), why, _sources(db, chain), log)
        if as_json:
            print_json(refund_json(refund))
        else:
            typer.echo(
                f"booked {refund.transfer} for job {refund.job_id} of run {refund.run_id}, by {refund.by}: {why}"
            )


def _sources(db: "Database", chain: "Node") -> "Sources":
    from gpuagent.books.repair import Sources
    from gpuagent.wiring import system_clock

    return Sources(db.store, db.ledgers, chain, system_clock())
