"""Hundreds of things go wrong at once, and every cent is where the ledger says."""

from tests.campaign import FAULTS, OUTAGES_MIN, campaign
from tests.ticker import POINTS

SEED, PURCHASES = 1, 60


def test_a_campaign_of_kills_faults_and_outages_pays_each_job_once() -> None:
    report = campaign(SEED, PURCHASES)
    print(report)
    assert report.problems == []
    assert report.purchases == report.transfers >= PURCHASES
    assert set(report.kills) >= {*POINTS, "at random"}
    assert set(report.faults) == {*FAULTS}
    assert report.outages["mongod killed"] >= OUTAGES_MIN
    assert report.outages["chain refuse"]
    assert report.outages["chain hang"]
