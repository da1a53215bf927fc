"""The driver of scheduled runs: to the end or to the limit, through trouble that may pass and not through other."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gpuagent.agent.start import Order
from gpuagent.core.model import Run, RunStatus
from gpuagent.core.ports import Ports
from gpuagent.core.ports.store import Standing
from gpuagent.core.workload import from_canonical
from gpuagent.errors import BadInput, ChainError, ChainMismatch, RunFailed, StoreError, VendorError, WalletUnfunded
from gpuagent.schedule.driver import GOAL, TickLimits, advance, make_order
from gpuagent.schedule.result import MIME, Result, read
from gpuagent.schedule.run_name import ended_run, load_or_start
from tests.support.notebooks import SCHEDULED
from tests.support.world import World


def drive_to_end(world: World, run: Run, ports: Ports | None = None, ticks: int = 60) -> tuple[Run, int, list[str]]:
    """Between two ticks the vendors work on."""
    news: list[str] = []
    limits = TickLimits(ticks, 7)
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        world.market.work(600)

    final, count, _ = advance(run.run_id, ports or world.ports, limits, news.append, pause)
    assert pauses == [7] * (count - 1 if count else 0)
    return final, count, news


def result(world: World, run: Run, **changes: Any) -> Result:
    books = world.books(run)
    payments = tuple(world.reads.documents(run.run_id)["payments"])
    return replace(Result("nightly", run, 3, "", books.ledger, books, payments), **changes)


class FailingStore:
    """A store that cannot be read for so many ticks, each with the next of these errors."""

    def __init__(self, world: World, errors: Sequence[Exception]) -> None:
        self._inner, self._errors = world.store, list(errors)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def standing(self, run_id: str) -> Standing:
        if self._errors:
            raise self._errors.pop(0)
        return self._inner.standing(run_id)


def test_to_the_end(world: World) -> None:
    run, ticks, news = drive_to_end(world, world.start())
    assert (run.status, news) == (RunStatus.COMPLETED, [""] * ticks)
    world.assert_balanced(run, transfers=1)
    assert drive_to_end(world, run)[1] == 0


def test_the_limit_leaves_the_run_to_be_continued(world: World) -> None:
    run, ticks, _ = drive_to_end(world, world.start(), ticks=2)
    assert (run.status, ticks) == (RunStatus.RUNNING, 2)
    scheduled = result(world, run, trouble="the node is away")
    assert scheduled.ending == "unfinished"
    assert "is not over after 3 ticks (WAITING); at the last one: the node is away" in scheduled.summary
    assert "The same run_id continues it: nightly" in scheduled.summary
    scheduled.check()
    run, _, _ = drive_to_end(world, run)
    world.assert_balanced(run, transfers=1)


def test_trouble_that_may_pass_is_told_once_and_ends_nothing(world: World) -> None:
    run = world.start()
    errors = [ChainError("away"), ChainError("away"), VendorError("down"), StoreError("slow"), WalletUnfunded("empty")]
    ports = replace(world.ports, store=FailingStore(world, errors))
    final, ticks, news = drive_to_end(world, run, ports)
    assert final.status is RunStatus.COMPLETED
    assert [trouble for trouble in news if trouble] == ["away", "down", "slow", "empty"]
    assert ticks > len(errors)


def test_trouble_at_the_last_tick_is_known(world: World) -> None:
    ports = replace(world.ports, store=FailingStore(world, [ChainError("away")]))
    _, ticks, trouble = advance(world.start().run_id, ports, TickLimits(1), lambda _: None)
    assert (ticks, trouble) == (1, "away")


@pytest.mark.parametrize("error", [ChainMismatch("a person must look"), ZeroDivisionError()])
def test_what_a_person_must_see_ends_it(world: World, error: Exception) -> None:
    ports = replace(world.ports, store=FailingStore(world, [error]))
    with pytest.raises(type(error)):
        drive_to_end(world, world.start(), ports)


def test_a_result_for_programs_and_people(world: World) -> None:
    run, _, _ = drive_to_end(world, world.start())
    scheduled = result(world, run)
    scheduled.check()
    bundle = scheduled._repr_mimebundle_()
    document = bundle[MIME]
    assert (document["schema"], document["outcome"], document["runId"], document["ticks"]) == (
        "gpuagent.run/1",
        "completed",
        run.run_id,
        3,
    )
    assert (document["books"]["settled"], document["books"]["balanced"]) == ("1400000", True)
    (payment,) = document["payments"]
    assert payment["status"] == "completed"
    assert "header" not in payment
    assert "1.40 USD in 1 payment" in bundle["text/html"]
    assert bundle["text/plain"] == f"run {run.run_id} completed: gpu_vendor_1 completed the job; 1.40 USD paid"


def test_a_failed_run_and_books_that_differ_fail_the_cell(world: World) -> None:
    world.market.outcomes("gpu_vendor_1", "0")
    run, _, _ = drive_to_end(world, world.start(budget=1.5))
    scheduled = result(world, run)
    with pytest.raises(RunFailed, match=r"failed: no vendor can do it with 0.10 USD"):
        scheduled.check()
    assert "1.40 USD paid, of it 1.40 USD for 1 job that failed" in scheduled.summary
    assert scheduled.books
    with pytest.raises(ChainMismatch, match="gone"):
        replace(scheduled, books=replace(scheduled.books, differences=("gone",))).check()
    unchecked = replace(scheduled, books=None)
    assert unchecked.as_json()["books"] is None
    assert "not checked" in unchecked._repr_mimebundle_()["text/html"]


def test_a_notebook_that_shows_no_result(tmp_path: Any) -> None:
    with pytest.raises(BadInput, match="shows no result"):
        read(SCHEDULED)
    with pytest.raises(BadInput, match="no notebook"):
        read(tmp_path / "none.ipynb")


def test_an_order_of_texts() -> None:
    order = make_order("g", "1.40", "L4", "0.5", "llm", "ada", " a, b ,")
    assert order == Order("g", 1_400_000, "L4", order.max_hours, "ada", "llm", tags=("a", "b"))
    assert str(order.max_hours) == "0.5"
    for budget, hours in (("x", "1"), ("1", "x")):
        with pytest.raises(BadInput):
            make_order("g", budget, "L4", hours)


def test_an_order_of_a_job_file(tmp_path: Path, world: World) -> None:
    """By a name it is one run; with other files it would be another job, which is refused."""
    script, job = tmp_path / "train.py", tmp_path / "job.yaml"
    script.write_text("print('on a schedule')\n")
    job.write_text("name: tiny\ncommand: python train.py\ninputs: [{path: train.py, file: train.py}]\n")

    def order(**changes: str) -> Order:
        texts = {"goal": "", "budget": "5", "gpu_type": "", "hours": "", "job": str(job), **changes}
        return make_order(planner="stub", environ=world.environment, **texts)

    run = load_or_start(order(), "nightly-job", world.ports)
    assert (run.goal, run.gpu_type, from_canonical(run.workload).name) == ("tiny", "A100", "tiny")
    assert load_or_start(order(), "nightly-job", world.ports).run_id == run.run_id
    (document,) = world.reads.runs()
    world.finish(run)
    assert ended_run("nightly-job", world.reads.runs()) is None, "whether the files are the same is seen when it starts"
    for changes in ({"job": "", "goal": "tiny"}, {"hours": "2"}, {"job": str(tmp_path / "none.yaml")}):
        with pytest.raises(BadInput):
            load_or_start(order(**changes), "nightly-job", world.ports)
    script.write_text("print('otherwise')\n")
    with pytest.raises(BadInput, match="run nightly-job was started with the job 'tiny "):
        load_or_start(order(), "nightly-job", world.ports)
    assert world.reads.runs()[0]["_id"] == document["_id"]
    assert make_order("", "5", "", "", "stub").goal == GOAL


@pytest.mark.parametrize(
    "limits", [TickLimits(0), TickLimits(-1), TickLimits(1, -1), TickLimits(1, float("nan")), TickLimits(10**9)]
)
def test_limits_that_cannot_be(limits: TickLimits) -> None:
    with pytest.raises(BadInput, match="cannot be"):
        limits.check()
