"""The new planner chooses by past jobs, is known by its name, and plays the benchmark beside the rules."""

import json

from typer.testing import CliRunner

from gpuagent import settings, wiring
from gpuagent.cli import app
from gpuagent.core.belief import learned
from gpuagent.core.model import Action
from tests.support.factories import candidate, context, history

planner = wiring.named_planner(settings.read({}), "proven")
good = candidate("good", 2_000_000, learned=learned(0.9, history("good", "1111")))
bad = candidate("bad", 1_000_000, learned=learned(0.9, history("bad", "0000")))
assert planner.decide(context(good, bad)).decision.vendor_id == "good"
assert planner.decide(context(good, bad, available=1_500_000)).decision.vendor_id == "bad"
assert planner.decide(context(good, available=1)).decision.action is Action.ABORT

played = CliRunner().invoke(app, ["planners", "compare", "--planners", "stub,proven", "--limit", "0", "--json"])
assert played.exit_code == 0, played.output
assert {"stub", "proven"} <= {row["planner"] for row in json.loads(played.stdout)["rows"]}
