"""A seller dies between payment and job, again and again, and sells every job once."""

from collections.abc import Callable

import pytest

from tests.tools.seller_campaign.play import PARENT, Aims, campaign
from tests.tools.seller_campaign.report import Report

SEED, BUYERS = 1, 4
POINTS = (
    "after purchase stored",
    "after broadcast",
    "before finish",
    "after finish",
    "after start",
    "before end noted",
)
"""Of all, those between which money or work would be lost."""


@pytest.mark.safety("a seller that is killed anywhere between payment and job sells each job once, and runs it once")
def test_a_seller_that_is_killed_again_and_again_sells_each_job_once(
    record_property: Callable[[str, object], None],
) -> None:
    report = played(record_property, workers=1)
    record_property(
        "observed",
        f"{BUYERS} buyers, some with secrets, some who never return; killed at {len(POINTS)} points; as many sales as "
        "transfers, each with one job that ran once or says why not; no secret on disk",
    )
    assert report.files


@pytest.mark.safety("a seller of two worker processes, each of which is killed in its turn, sells each job once")
def test_workers_that_are_killed_again_and_again_sell_each_job_once(
    record_property: Callable[[str, object], None],
) -> None:
    report = played(record_property, workers=2)
    record_property(
        "observed",
        f"workers killed at {len(POINTS)} points, each replaced while the other sold, then their parent; "
        "as many sales as transfers, each with one job that ran once or says why not",
    )
    assert report.kills[PARENT] == 1


def played(record_property: Callable[[str, object], None], workers: int) -> Report:
    report = campaign(SEED, Aims(kills=len(POINTS), buyers=BUYERS, points=POINTS, workers=workers))
    print(report)
    record_property("report", str(report))
    assert report.problems == []
    assert set(report.kills) >= set(POINTS)
    assert report.transfers
    return report
