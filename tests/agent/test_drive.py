"""The driver: one loop for every face, one list of what may pass, one pace."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from gpuagent.agent.drive import Tick, drive
from gpuagent.core.model import Run, RunStatus
from gpuagent.core.pace import Pace
from gpuagent.errors import RETRYABLE, ChainError, ChainMismatch, ConfigError, IllegalTransition
from tests.support.factories import RUN

OVER = replace(RUN, status=RunStatus.COMPLETED)
PACE = Pace(poll_s=7)


class Ticker:
    """A tick that takes its results from a script: the run as it then is, or an error."""

    def __init__(self, *script: Run | Exception) -> None:
        self.script = list(script)

    def __call__(self, run_id: str) -> Run:
        assert run_id == RUN.run_id
        match self.script.pop(0):
            case Exception() as error:
                raise error
            case run:
                return run


class Pauses(list[float]):
    """A pause that only remembers how long it was."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def started(*script: Run | Exception, ticks_max: int | None = None, patient: bool = True) -> Iterator[Tick]:
    return drive(RUN, Ticker(*script), Pauses(), PACE, ticks_max=ticks_max, patient=patient)


def test_ticks_until_the_run_is_over_and_pauses_between_two_ticks() -> None:
    pauses = Pauses()
    later = replace(RUN, version=2)
    ticks = list(drive(RUN, Ticker(later, later, OVER), pauses, PACE))
    assert ticks == [Tick(later, 1), Tick(later, 2), Tick(OVER, 3)]
    assert pauses == [PACE.poll_s] * 2


def test_a_run_that_is_over_is_not_ticked() -> None:
    assert list(drive(OVER, Ticker(), Pauses(), PACE)) == []


def test_at_most_so_many_ticks() -> None:
    assert [tick.number for tick in started(RUN, RUN, RUN, ticks_max=2)] == [1, 2]


@pytest.mark.parametrize("kind", RETRYABLE)
def test_an_error_that_may_pass_is_told_and_the_next_tick_tries_again(kind: type[Exception]) -> None:
    error = kind("away")
    assert list(started(error, OVER)) == [Tick(RUN, 1, error), Tick(OVER, 2)]


@pytest.mark.parametrize("kind", RETRYABLE)
def test_an_impatient_drive_raises_it(kind: type[Exception]) -> None:
    ticks = started(RUN, kind("away"), patient=False)
    assert next(ticks) == Tick(RUN, 1)
    with pytest.raises(kind, match="away"):
        next(ticks)


@pytest.mark.parametrize(
    "error", [ChainMismatch("look"), ConfigError("set it up"), IllegalTransition("a bug"), ZeroDivisionError()]
)
def test_whatever_else_is_raised(error: Exception) -> None:
    with pytest.raises(type(error)):
        list(started(error, OVER))


def test_what_was_reached_before_an_error_is_kept() -> None:
    later = replace(RUN, version=2)
    assert [tick.run for tick in started(later, ChainError("away"), OVER)] == [later, later, OVER]


def test_who_asks_for_no_more_ticks_has_stopped_it() -> None:
    ticker, pauses = Ticker(RUN, RUN, RUN), Pauses()
    for tick in drive(RUN, ticker, pauses, PACE):
        if tick.number == 2:
            break
    assert (len(ticker.script), pauses) == (1, [PACE.poll_s])
