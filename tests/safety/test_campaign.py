"""Hundreds of things go wrong at once, and every cent is where the ledger says."""

from collections.abc import Callable

import pytest

from tests.support.crash.file_points import FILE_POINTS
from tests.support.crash.points import POINTS
from tests.support.crash.ticker_pool import AT_RANDOM
from tests.tools.campaign.play import OUTAGES_MIN, TICKERS, Aims, campaign
from tests.tools.campaign.troubles import FAULTS, VENDORS_KILLED, WORK_FAULTS

SEED, PURCHASES = 1, 40


@pytest.mark.safety("whatever dies and fails at once, every job is paid once and every run ends")
def test_a_campaign_of_kills_faults_and_outages_pays_each_job_once(
    record_property: Callable[[str, object], None],
) -> None:
    report = campaign(SEED, Aims(PURCHASES, kills=0))
    print(report)
    record_property("report", str(report))
    assert report.problems == []
    assert report.purchases == report.transfers >= PURCHASES
    assert set(report.kills) >= {*POINTS, *FILE_POINTS, AT_RANDOM}
    assert set(report.faults) == {*FAULTS, *WORK_FAULTS}
    assert report.outages["mongod killed"] >= OUTAGES_MIN
    assert sum(report.outages[name] for name in VENDORS_KILLED) >= OUTAGES_MIN
    assert report.works["completed"]
    assert report.files["output"] >= report.works["completed"]
    assert report.files["checkpoint"]
    assert report.outages["chain refuse"]
    assert report.outages["chain hang"]
    record_property(
        "observed",
        f"more than {PURCHASES} purchases, as many transfers; {TICKERS} tickers, killed at "
        f"{len(POINTS) + len(FILE_POINTS)} points and at random; {len(FAULTS) + len(WORK_FAULTS)} faults of vendors; "
        "vendors and mongod killed, chain cut off; every file what its own job wrote; held 0; all runs ended",
    )
