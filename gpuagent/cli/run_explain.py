"""`gpuagent run explain`: why a run chose as it did, decision by decision."""

from typing import Annotated

import typer

from gpuagent.cli.common import AsJson, RunId, console, errors_explained, open_database, print_json
from gpuagent.errors import BadInput


def run_explain(
    run_id: RunId,
    number: Annotated[int, typer.Argument(help="Which decision, 1 for the first; default: the last.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Explain a decision of a run: its candidates, their quotes and scores, the reason, and the guard's verdicts."""
    from gpuagent.render.decision import decision_lines, decision_view
    from gpuagent.render.json_value import json_value

    with errors_explained(), open_database() as db:
        observations = db.reads.documents(run_id)["observations"]
        decisions = [observation for observation in observations if observation["type"] == "agent_reasoning"]
        if not decisions or not 0 <= number <= len(decisions):
            count = f"it has {len(decisions)}, from 1 on" if decisions else "none was made yet"
            raise BadInput(f"run {run_id} has no decision {number or ''}: {count}".replace(" :", ":"))
        decision = decisions[number - 1]
        if as_json:
            print_json({"number": number or len(decisions), "of": len(decisions), "decision": json_value(decision)})
            return
        console().print(*decision_lines(decisions), sep="\n")
        console().print(f"\nDecision {number or len(decisions)} of {len(decisions)}")
        for part in decision_view(decision):
            console().print(part)


def add_run_explain(runs: typer.Typer) -> None:
    runs.command("explain")(run_explain)
