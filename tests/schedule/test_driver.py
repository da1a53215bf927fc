"""Ticking a run that nobody watches: to its end or to the limit; trouble that may pass, and the one that does not."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from gpuagent.agent.start import Order
from gpuagent.core.model import Run, RunStatus
from gpuagent.core.ports import Ports
from gpuagent.errors import BadInput, ChainError, ChainMismatch, RunFailed, StoreError, VendorError, WalletUnfunded
from gpuagent.schedule.driver import Limits, advance, ordered
from gpuagent.schedule.result import MIME, Result, read
from tests.support.notebooks import SCHEDULED
from tests.support.world import World


def driven(world: World, run: Run, ports: Ports | None = None, ticks: int = 60) -> tuple[Run, int, list[str]]:
    """Between two ticks the vendors work on."""
    told: list[str] = []
    limits = Limits(ticks, 7)
    paused: list[float] = []

    def pause(seconds: float) -> None:
        paused.append(seconds)
        world.market.work(600)

    found, made, _ = advance(run.run_id, ports or world.ports, limits, told.append, pause)
    assert paused == [7] * (made - 1 if made else 0)
    return found, made, told


def result(world: World, run: Run, **changes: Any) -> Result:
    books = world.books(run)
    payments = tuple(world.reads.documents(run.run_id)["payments"])
    return replace(Result("nightly", run, 3, "", books.ledger, books, payments), **changes)


class Troubled:
    """A store that cannot be read for so many ticks, each with the next of these errors."""

    def __init__(self, world: World, errors: Sequence[Exception]) -> None:
        self._inner, self._errors, self.first = world.store, list(errors), True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def load(self, run_id: str) -> Run:
        if self.first or not self._errors:
            self.first = False
            return self._inner.load(run_id)
        raise self._errors.pop(0)


def test_to_the_end(world: World) -> None:
    run, ticks, told = driven(world, world.start())
    assert (run.status, told) == (RunStatus.COMPLETED, [""] * ticks)
    world.assert_balanced(run, transfers=1)
    assert driven(world, run)[1] == 0


def test_the_limit_leaves_the_run_to_be_continued(world: World) -> None:
    run, ticks, _ = driven(world, world.start(), ticks=2)
    assert (run.status, ticks) == (RunStatus.RUNNING, 2)
    shown = result(world, run, trouble="the node is away")
    assert shown.outcome == "unfinished"
    assert "is not over after 3 ticks (WAITING); at the last one: the node is away" in shown.words
    assert "The same run_id continues it: nightly" in shown.words
    shown.check()
    run, _, _ = driven(world, run)
    world.assert_balanced(run, transfers=1)


def test_trouble_that_may_pass_is_told_once_and_ends_nothing(world: World) -> None:
    run = world.start()
    errors = [ChainError("away"), ChainError("away"), VendorError("down"), StoreError("slow"), WalletUnfunded("empty")]
    ports = replace(world.ports, store=Troubled(world, errors))
    found, ticks, told = driven(world, run, ports)
    assert found.status is RunStatus.COMPLETED
    assert [words for words in told if words] == ["away", "down", "slow", "empty"]
    assert ticks > len(errors)


def test_trouble_at_the_last_tick_is_known(world: World) -> None:
    ports = replace(world.ports, store=Troubled(world, [ChainError("away")]))
    _, ticks, trouble = advance(world.start().run_id, ports, Limits(1), lambda _: None)
    assert (ticks, trouble) == (1, "away")


@pytest.mark.parametrize("error", [ChainMismatch("a person must look"), ZeroDivisionError()])
def test_what_a_person_must_see_ends_it(world: World, error: Exception) -> None:
    ports = replace(world.ports, store=Troubled(world, [error]))
    with pytest.raises(type(error)):
        driven(world, world.start(), ports)


def test_a_result_for_programs_and_people(world: World) -> None:
    run, _, _ = driven(world, world.start())
    shown = result(world, run)
    shown.check()
    bundle = shown._repr_mimebundle_()
    told = bundle[MIME]
    assert (told["schema"], told["outcome"], told["runId"], told["ticks"]) == (
        "gpuagent.run/1",
        "completed",
        run.run_id,
        3,
    )
    assert (told["books"]["settled"], told["books"]["balanced"]) == ("1400000", True)
    (payment,) = told["payments"]
    assert payment["status"] == "completed"
    assert "header" not in payment
    assert "1.40 USD in 1 payments" in bundle["text/html"]
    assert bundle["text/plain"] == f"run {run.run_id} completed: gpu_vendor_1 completed the job"


def test_a_failed_run_and_books_that_differ_fail_the_cell(world: World) -> None:
    world.market.outcomes("gpu_vendor_1", "0")
    run, _, _ = driven(world, world.start(budget=1.5))
    shown = result(world, run)
    with pytest.raises(RunFailed, match=r"failed: no vendor can do it with 0.10 USD"):
        shown.check()
    assert shown.books
    with pytest.raises(ChainMismatch, match="gone"):
        replace(shown, books=replace(shown.books, differences=("gone",))).check()
    unchecked = replace(shown, books=None)
    assert unchecked.as_json()["books"] is None
    assert "not checked" in unchecked._repr_mimebundle_()["text/html"]


def test_a_notebook_that_shows_no_result(tmp_path: Any) -> None:
    with pytest.raises(BadInput, match="shows no result"):
        read(SCHEDULED)
    with pytest.raises(BadInput, match="no notebook"):
        read(tmp_path / "none.ipynb")


def test_an_order_of_texts() -> None:
    wanted = ordered("g", "1.40", "L4", "0.5", "llm", "ada", " a, b ,")
    assert wanted == Order("g", 1_400_000, "L4", wanted.max_hours, "ada", "llm", tags=("a", "b"))
    assert str(wanted.max_hours) == "0.5"
    for budget, hours in (("x", "1"), ("1", "x")):
        with pytest.raises(BadInput):
            ordered("g", budget, "L4", hours)


@pytest.mark.parametrize("limits", [Limits(0), Limits(-1), Limits(1, -1), Limits(1, float("nan")), Limits(10**9)])
def test_limits_that_cannot_be(limits: Limits) -> None:
    with pytest.raises(BadInput, match="cannot be"):
        limits.check()
