"""`gpuagent run approve|reject|cancel`: what a person may tell a run. Needs the database alone."""

from typing import TYPE_CHECKING, Annotated

import typer

from gpuagent.cli.common import AsJson, By, RunId, database, errors_explained, print_json, who

if TYPE_CHECKING:
    from gpuagent.core.model import Run

Job = Annotated[str, typer.Option(help="The job's id, when several wait.")]
Amount = Annotated[str, typer.Option(help="USD, as it is asked for: another amount is not approved.")]
Why = Annotated[str, typer.Option(help="Why; it is recorded.")]


def add_consents(runs: typer.Typer) -> None:
    runs.command("approve")(run_approve)
    runs.command("reject")(run_reject)
    runs.command("cancel")(run_cancel)


def run_approve(run_id: RunId, amount: Amount, job: Job = "", by: By = "", as_json: AsJson = False) -> None:
    """Agree to the purchase that waits. It is signed at the next tick, at the price quoted and no other."""
    from gpuagent.agent.approve import approve
    from gpuagent.core.money import parse_usd, show_usd
    from gpuagent.wiring import system_clock

    with errors_explained(), database() as db:
        agreed = parse_usd(amount)
        run = approve(run_id, who(by), agreed, db.store, system_clock(), job)
        _tell(run, f"approved {show_usd(agreed)}: tick the run", as_json)


def run_reject(run_id: RunId, why: Why, job: Job = "", by: By = "", as_json: AsJson = False) -> None:
    """Refuse the purchase that waits. The run looks elsewhere, and does not ask again at that price."""
    from gpuagent.agent.approve import reject
    from gpuagent.wiring import system_clock

    with errors_explained(), database() as db:
        _tell(reject(run_id, who(by), why, db.store, system_clock(), job), "rejected", as_json)


def run_cancel(run_id: RunId, why: Why, by: By = "", as_json: AsJson = False) -> None:
    """End the run: nothing more is signed. The next tick cancels on chain what is out, where that still helps."""
    from gpuagent.agent.approve import cancel
    from gpuagent.core.transitions import is_over
    from gpuagent.wiring import system_clock

    with errors_explained(), database() as db:
        run = cancel(run_id, who(by), why, db.store, system_clock())
        _tell(run, "cancelled" if is_over(run) else "cancelled; a payment is out: tick the run to its end", as_json)


def _tell(run: "Run", words: str, as_json: bool) -> None:
    from gpuagent.core.transitions import phase

    if as_json:
        print_json({"run": run.run_id, "status": run.status.value, "phase": phase(run).value, "said": words})
    else:
        typer.echo(words)
