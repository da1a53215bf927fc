"""Hundreds of things go wrong at once, and every cent is where the ledger says."""

from collections.abc import Callable

import pytest

from tests.support.crash.file_points import FILE_POINTS
from tests.support.crash.points import LATER_POINTS, POINTS
from tests.support.crash.ticker_pool import AT_RANDOM
from tests.tools.campaign.hedged import POINTS as HEDGE_POINTS
from tests.tools.campaign.later import LAST_SECONDS, LATER_KILLED, LATER_MODES, NO_GAS
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
    assert set(report.kills) >= {*POINTS, *LATER_POINTS, *FILE_POINTS, AT_RANDOM}
    assert set(report.faults) == {*FAULTS, *WORK_FAULTS, *LATER_MODES}
    assert report.outages["mongod killed"] >= OUTAGES_MIN
    assert sum(report.outages[name] for name in VENDORS_KILLED) >= OUTAGES_MIN
    assert report.works["completed"]
    assert report.files["output"] >= report.works["completed"]
    assert report.files["checkpoint"]
    assert all(report.outages[name] for name in (LATER_KILLED, LAST_SECONDS, NO_GAS))
    assert report.later["settled completed"], "paid once the work was done"
    assert sum(count for fate, count in report.later.items() if fate.startswith("voided")), "and never paid"
    assert set(report.hedge_kills) == set(HEDGE_POINTS), "ticks died over a hedge"
    assert sum(count for fate, count in report.hedges.items() if fate.startswith("settled")), (
        "and it was booked as paid"
    )
    assert report.outages["chain refuse"]
    assert report.outages["chain hang"]
    assert report.fleet_saves > report.saves / 10, "half of the tickers are a fleet's"
    assert report.fleet_kills >= OUTAGES_MIN
    record_property(
        "observed",
        f"more than {PURCHASES} purchases, as many transfers; {TICKERS} tickers, half of them a "
        f"fleet's, killed at "
        f"{len(POINTS) + len(LATER_POINTS) + len(FILE_POINTS)} points and at random; "
        f"{len(FAULTS) + len(WORK_FAULTS) + len(LATER_MODES)} faults of vendors, of which one is paid after the work; "
        "vendors and mongod killed, chain cut off, no gas to cancel with, a payment settled in its last seconds; "
        "a hedge whose ticks died once it was reserved and once its payment was sent, paid once; "
        "every file what its own job wrote; held 0; all runs ended",
    )
