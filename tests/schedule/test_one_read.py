"""A start for a period that is over: what it costs, and which runs of earlier periods it knows."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from gpuagent import settings
from gpuagent.adapters.clock import SystemClock
from gpuagent.agent.approve import cancel
from gpuagent.agent.start import Order
from gpuagent.cli import app
from gpuagent.core.model import Run
from gpuagent.core.zones import zone_of
from gpuagent.schedule import papermill
from gpuagent.schedule.run_name import load_or_start, run_id_of, run_name
from gpuagent.wiring.database import scheduled_runs
from tests.support.cron_machine import midday_zone
from tests.support.notebooks import SCHEDULED
from tests.support.profiler import profiled
from tests.support.world import World

ORDER = Order(goal="Fine-tune tiny-llm", budget=5_000_000)


def begun(world: World, name: str, over: bool) -> Run:
    run = load_or_start(ORDER, name, world.ports)
    return cancel(run.run_id, "Ada", "enough", world.store, world.ports.clock) if over else run


def start_of_the_day(world: World, folder: Path, *options: str) -> tuple[Result, list[Any]]:
    """A start, and all that it asks of the database, as the database's own profiler has it."""
    database = world.store.connection.database
    where = ("--out", str(folder), "--locks", str(folder / "locks"))
    arguments = ("schedule", "run", str(SCHEDULED), *options, *where)
    with profiled(database) as profile:
        result = CliRunner().invoke(app, arguments, env=world.environment)
        return result, list(profile.find({"ns": {"$ne": f"{database.name}.system.profile"}}))


def test_a_period_that_is_over_costs_one_read_and_no_kernel(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone = midday_zone()
    begun(world, run_name("nightly", "day", SystemClock().now(), (), zone_of(zone)), over=True)
    monkeypatch.setattr(papermill, "execute", lambda *_: pytest.fail("a kernel was started"))
    begun(world, "weekly-7", over=True)
    for options in (("-p", "run_id", "nightly", "--per", "day", "--timezone", zone), ("-p", "run_id", "weekly-7")):
        result, operations = start_of_the_day(world, tmp_path, *options)
        assert (result.exit_code, "nothing is left to do: failed" in result.output) == (1, True), result.output
        assert [(entry["op"], entry["ns"].partition(".")[2]) for entry in operations] == [("query", "runs")]
        assert operations[0]["docsExamined"] <= 2
        assert list(tmp_path.glob("*.ipynb")) == []


def test_runs_of_earlier_periods_count_until_they_are_over_however_many_came_after(world: World) -> None:
    open_run, over = begun(world, "nightly-2026-01-30", over=False), begun(world, "nightly-2026-01-31", over=True)
    begun(world, "nightly-2026-01-29", over=True)
    begun(world, "weekly-2026-W05", over=False)
    values = settings.read(world.environment)
    found = scheduled_runs(values, "nightly", run_id_of("nightly-2026-01-31"))
    assert [str(run["_id"]) for run in found] == [over.run_id, open_run.run_id]
    assert found[0]["reason"]
