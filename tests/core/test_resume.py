"""The rest of a run's work, by the checkpoints that are kept of it."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuagent.core.model import Run, Settled
from gpuagent.core.orders import (
    INLINE_MAX,
    INLINE_TOTAL_MAX,
    inline_files,
    job_params,
    manifest_sha256,
    order_files,
    order_of,
    order_text,
    params_sha256,
    sent_files,
)
from gpuagent.core.resume import hours_left, read_fraction, remainder
from gpuagent.core.work import Checkpoint, Failed, Fault, FileEntry
from gpuagent.core.workload import Workload
from tests.support.factories import RUN, SETTLEMENT, authorization, quote
from tests.support.workshop import JOB_FILE

WORKLOAD = Workload.model_validate(JOB_FILE)


def checkpoint(sha256: str, at: float, fraction: float | None = 0.5) -> Checkpoint:
    return Checkpoint(sha256 * 64, (FileEntry("progress.json", 5, sha256 * 64),), fraction, at)


def run_of(*jobs: tuple[Failed, Checkpoint | None, Checkpoint | None]) -> Run:
    """Each job with its end, its own checkpoint, and the one it went on from."""
    settled = tuple(
        Settled(
            f"job{n}",
            quote(order=order_text(WORKLOAD.canonical, origin)),
            1.0,
            authorization(),
            "header",
            SETTLEMENT,
            work,
            checkpoint=kept,
        )
        for n, (work, kept, origin) in enumerate(jobs)
    )
    return replace(RUN, workload=WORKLOAD.canonical, jobs=settled)


LOST, EXIT = Failed("node lost", 3.0), Failed("exit code 1", 3.0, fault=Fault.PROGRAM, exit_code=1)
LATE = Failed("late", 3.0, fault=Fault.TIME)
A, B = checkpoint("a", 1.0, 0.25), checkpoint("b", 2.0, 0.75)


@pytest.mark.parametrize(
    ("fraction", "hours"),
    [(None, "1"), (0.0, "1"), (0.5, "0.5"), (0.501, "0.5"), (0.999, "0.02"), (1.0, "0.02"), (7.0, "0.02"), (-3.0, "1")],
)
def test_hours_that_are_left(fraction: float | None, hours: str) -> None:
    assert hours_left(Decimal(1), fraction) == Decimal(hours)


@given(st.decimals("0.01", "720", places=2), st.floats(-2, 3, allow_nan=False))
def test_what_is_left_is_never_nothing_and_never_more_than_all(hours: Decimal, fraction: float) -> None:
    left = hours_left(hours, fraction)
    assert min(hours, Decimal("0.02")) <= left <= hours
    assert left == left.quantize(Decimal("0.01"))


@pytest.mark.parametrize(
    ("jobs", "origin"),
    [
        ([], None),
        ([(LOST, None, None)], None),
        ([(LOST, A, None)], A),
        ([(LOST, A, None), (LOST, B, A)], B),
        ([(LOST, A, None), (LOST, None, A)], A),  # the vendor's doing, not the checkpoint's
        ([(LOST, A, None), (EXIT, None, A)], None),
        ([(LOST, A, None), (LATE, None, A)], None),
        ([(LOST, A, None), (EXIT, B, A)], B),
        ([(LOST, A, None), (LOST, B, A), (EXIT, None, B)], A),
    ],
)
def test_the_checkpoint_to_go_on_from(
    jobs: list[tuple[Failed, Checkpoint | None, Checkpoint | None]], origin: Checkpoint | None
) -> None:
    rest = remainder(run_of(*jobs))
    assert rest.checkpoint == origin
    assert rest.hours == hours_left(RUN.max_hours, origin.fraction if origin else None)


def test_a_run_without_a_job_file_buys_the_whole() -> None:
    assert remainder(replace(run_of((LOST, A, None)), workload="")).hours == RUN.max_hours


@pytest.mark.parametrize(
    ("content", "fraction"),
    [
        (b'{"fraction": 0.47}', 0.47),
        (b'{"fraction": 1}', 1.0),
        (b'{"fraction": 2e9}', 1.0),
        (b'{"fraction": -1}', 0.0),
        (b'{"fraction": NaN}', None),
        (b'{"fraction": Infinity}', None),
        (b'{"fraction": 1e999}', 1.0),
        (b'{"fraction": true}', None),
        (b'{"fraction": "0.5"}', None),
        (b'{"fraction": null}', None),
        (b"{}", None),
        (b"[]", None),
        (b"0.5", None),
        (b"", None),
        (b"\xff\xfe", None),
        (b"[" * 100_000, None),
        (b'{"fraction": ' + b"9" * 5000 + b"}", None),
    ],
)
def test_the_programs_own_word(content: bytes, fraction: float | None) -> None:
    assert read_fraction(content) == fraction


def test_an_order_is_the_same_bytes_wherever_it_is_read() -> None:
    order = order_text(WORKLOAD.canonical, A)
    bought = quote(order=order)
    assert order_of(job_params(bought)) == order
    assert params_sha256(bought) == params_sha256(replace(bought, order=order_of(job_params(bought))))
    assert params_sha256(bought) != params_sha256(replace(bought, order=order_text(WORKLOAD.canonical, B)))
    assert job_params(quote()) == {"gpuType": "A100", "maxHours": 1.0}
    assert order_text("", A) == order_of(job_params(quote())) == ""


def test_small_files_travel_within_the_order_and_all_others_before_it() -> None:
    def files(*sizes: int) -> str:
        inputs = [{"path": f"f{n}", "sha256": f"{n:064x}", "bytes": size} for n, size in enumerate(sizes)]
        return order_text(Workload.model_validate(JOB_FILE | {"inputs": inputs}).canonical, None)

    order = files(INLINE_MAX + 1, INLINE_MAX, 0, 10)
    assert [file.bytes for file in inline_files(order)] == [INLINE_MAX, 0, 10]
    assert [file.bytes for file in sent_files(order)] == [INLINE_MAX + 1]
    many = files(*[INLINE_MAX] * 20)
    assert sum(file.bytes for file in inline_files(many)) == INLINE_TOTAL_MAX
    assert len(inline_files(many)) + len(sent_files(many)) == len(order_files(many)) == 20


def test_a_manifest_is_known_by_its_hash_in_any_order() -> None:
    first, second = FileEntry("a", 1, "1" * 64), FileEntry("b", 2, "2" * 64)
    assert manifest_sha256((first, second)) == manifest_sha256((second, first)) != manifest_sha256((first,))
