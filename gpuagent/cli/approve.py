"""`gpuagent run approve|reject|readmit|cancel`: commands that need the database alone, no key and no chain."""

from typing import TYPE_CHECKING, Annotated

import typer

from gpuagent.cli.common import AsJson, By, RunId, errors_explained, open_database, print_json, user_name

if TYPE_CHECKING:
    from gpuagent.core.model import Run

Job = Annotated[str, typer.Option(help="The job's id, where several wait.")]
Amount = Annotated[str, typer.Option(help="The price that waits, in USD; another amount is refused.")]
Why = Annotated[str, typer.Option(help="The reason, which is recorded.")]


def add_run_controls(runs: typer.Typer) -> None:
    """Add the commands to `gpuagent run`."""
    runs.command("approve")(run_approve)
    runs.command("reject")(run_reject)
    runs.command("readmit")(run_readmit)
    runs.command("cancel")(run_cancel)


def run_approve(run_id: RunId, amount: Amount, job: Job = "", by: By = "", as_json: AsJson = False) -> None:
    """Approve the purchase that waits. It is signed at the next tick, at the price quoted and no other."""
    from gpuagent.agent.approve import approve
    from gpuagent.core.money import parse_usd, show_usd
    from gpuagent.wiring import system_clock

    with errors_explained(), open_database() as db:
        price = parse_usd(amount)
        run = approve(run_id, user_name(by), price, db.store, system_clock(), job)
        _print(run, f"approved {show_usd(price)}: tick the run", as_json)


def run_reject(run_id: RunId, why: Why, job: Job = "", by: By = "", as_json: AsJson = False) -> None:
    """Refuse the purchase that waits. The run looks elsewhere, and does not ask again at that price."""
    from gpuagent.agent.approve import reject
    from gpuagent.wiring import system_clock

    with errors_explained(), open_database() as db:
        _print(reject(run_id, user_name(by), why, db.store, system_clock(), job), "rejected", as_json)


def run_readmit(
    run_id: RunId,
    vendor: Annotated[str, typer.Argument(help="The vendor's id.")],
    why: Why,
    by: By = "",
    as_json: AsJson = False,
) -> None:
    """Let the run pay a vendor again that it ended with, after a dispute or a job that failed within seconds."""
    from gpuagent.agent.approve import readmit
    from gpuagent.wiring import system_clock

    with errors_explained(), open_database() as db:
        run = readmit(run_id, vendor, user_name(by), why, db.store, system_clock())
        _print(run, f"{vendor} may be paid again: tick the run", as_json)


def run_cancel(run_id: RunId, why: Why, by: By = "", as_json: AsJson = False) -> None:
    """End the run: nothing more is signed. The next tick cancels on chain what is out, where that still helps."""
    from gpuagent.agent.approve import cancel
    from gpuagent.core.steps import is_over
    from gpuagent.wiring import system_clock

    with errors_explained(), open_database() as db:
        run = cancel(run_id, user_name(by), why, db.store, system_clock())
        _print(run, "cancelled" if is_over(run) else "cancelled; a payment is out: tick the run to its end", as_json)


def _print(run: "Run", message: str, as_json: bool) -> None:
    from gpuagent.core.run_state import phase

    if as_json:
        print_json({"run": run.run_id, "status": run.status.value, "phase": phase(run).value, "said": message})
    else:
        typer.echo(message)
