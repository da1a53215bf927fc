"""Hundreds of things go wrong at once, and every cent is where the ledger says."""

from collections.abc import Callable

import pytest

from tests.support.crash.points import POINTS
from tests.support.crash.ticker_pool import AT_RANDOM
from tests.tools.campaign.play import OUTAGES_MIN, TICKERS, campaign
from tests.tools.campaign.troubles import FAULTS

SEED, PURCHASES = 1, 60


@pytest.mark.safety("whatever dies and fails at once, every job is paid once and every run ends")
def test_a_campaign_of_kills_faults_and_outages_pays_each_job_once(
    record_property: Callable[[str, object], None],
) -> None:
    report = campaign(SEED, PURCHASES)
    print(report)
    record_property("report", str(report))
    assert report.problems == []
    assert report.purchases == report.transfers >= PURCHASES
    assert set(report.kills) >= {*POINTS, AT_RANDOM}
    assert set(report.faults) == {*FAULTS}
    assert report.outages["mongod killed"] >= OUTAGES_MIN
    assert report.outages["chain refuse"]
    assert report.outages["chain hang"]
    record_property(
        "observed",
        f"more than {PURCHASES} purchases, as many transfers; {TICKERS} tickers, killed at {len(POINTS)} points and at "
        f"random; {len(FAULTS)} faults of vendors; mongod killed, chain cut off; held 0; all runs ended",
    )
