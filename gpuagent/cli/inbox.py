"""`gpuagent inbox`: everything that waits for a user, over all runs; several approvals at once."""

from typing import Annotated

import typer

from gpuagent.cli.common import (
    EXIT_OTHER,
    AsJson,
    By,
    console,
    errors_explained,
    open_database,
    print_json,
    user_name,
)
from gpuagent.cli.groups import command_group
from gpuagent.errors import BadInput

inbox = command_group("Everything that waits for a user, over all runs.", acts_alone=True)


@inbox.callback(invoke_without_command=True)
def inbox_alone(context: typer.Context, as_json: AsJson = False) -> None:
    """Everything that waits for a user, over all runs; alone it is `inbox list`."""
    if context.invoked_subcommand is None:
        inbox_list(as_json)


@inbox.command("list")
def inbox_list(as_json: AsJson = False) -> None:
    """Show everything that waits for a user, over all runs, and the command that answers it."""
    from gpuagent.render.inbox import inbox_json, inbox_view

    with errors_explained(), open_database() as db:
        waiting = db.inbox.read(db.store.now())
        if as_json:
            print_json(inbox_json(waiting))
        else:
            console().print(inbox_view(waiting), soft_wrap=True)  # a command is copied whole


@inbox.command("approve")
def inbox_approve(
    purchases: Annotated[list[str], typer.Argument(metavar="JOB=USD...", help="Each with the amount that is shown.")],
    by: By = "",
    as_json: AsJson = False,
) -> None:
    """Approve several purchases, each at the amount that is named for it and no other. Exits with 1 if one was not."""
    from gpuagent.agent.approve_each import PurchaseChoice, approve_each
    from gpuagent.core.money import parse_usd, show_usd
    from gpuagent.wiring import system_clock

    with errors_explained(), open_database() as db:
        runs = {item.job_id: item.run_id for item in db.inbox.read(db.store.now()).approvals}
        choices = []
        for purchase in purchases:
            job_id, equals, price = purchase.partition("=")
            if not equals:
                raise BadInput(f"{purchase[:60]!r} names no amount: write JOB=USD, as `gpuagent inbox` shows both")
            if job_id not in runs:
                raise BadInput(f"no purchase {job_id[:40]!r} waits: nothing was approved; look again, `gpuagent inbox`")
            choices.append(PurchaseChoice(runs[job_id], parse_usd(price), job_id))
        problems = approve_each(choices, user_name(by), db.store, system_clock())
        if as_json:
            answers = zip(choices, problems, strict=True)
            print_json({"approved": {choice.job_id: problem or "approved" for choice, problem in answers}})
        else:
            for choice, problem in zip(choices, problems, strict=True):
                typer.echo(f"{choice.job_id}: {problem or f'approved {show_usd(choice.amount)}: tick its run'}")
        if any(problems):
            raise typer.Exit(EXIT_OTHER)


@inbox.command("seen")
def inbox_seen(
    run_ids: Annotated[list[str], typer.Argument(metavar="RUN...", help="Failed runs.")],
    by: By = "",
    as_json: AsJson = False,
) -> None:
    """Take failed runs out of the inbox, for everybody."""
    with errors_explained(), open_database() as db:
        count = db.inbox.see(run_ids, user_name(by), db.store.now())
        if as_json:
            print_json({"seen": count})
        else:
            typer.echo(f"seen: {count}")
