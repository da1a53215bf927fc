"""A practice market of its own plays a scenario with real payments, by its own controls of prices and clocks."""

from collections.abc import Iterator

import pytest

from gpuagent.adapters.planners.stub import StubPlanner
from gpuagent.errors import ChainError, VendorError
from gpuagent.planbench.steps import play_in_memory, same_choices
from gpuagent.practice import stack
from gpuagent.practice.market import PracticeMarket, practice_market
from tests.support.scenarios import DOCUMENT, market

VENDORS = [{**vendor, "refundOnFail": 0} for vendor in DOCUMENT["vendors"]]


@pytest.fixture(scope="module")
def practice() -> Iterator[PracticeMarket]:
    with practice_market(len(VENDORS)) as practice:
        yield practice


def test_a_scenario_costs_as_much_as_in_memory(practice: PracticeMarket) -> None:
    scenario = market(vendors=VENDORS)
    play, expected = play_in_memory(scenario, StubPlanner(), 0)
    run, choices = practice.stage(scenario).play("stub", 0)
    assert same_choices(choices, expected), choices
    recorded = practice.agent.reads.recorded(run.run_id)
    assert recorded.settled == round(play.spend * scenario.budget)
    assert recorded.held == 0


def test_what_vendors_and_chain_refuse_is_named(practice: PracticeMarket) -> None:
    with pytest.raises(VendorError, match="the practice market refuses /mock/outcomes: "):
        practice.controls.outcomes(practice.vendors[0].vendor_id, "neither")
    with pytest.raises(ChainError, match="the practice chain refuses evm_increaseTime: "):
        practice.controls.pass_time(-(10**20))


def test_what_the_vendors_say_at_their_start_is_passed_on(caplog: pytest.LogCaptureFixture) -> None:
    elsewhere = "mongodb://127.0.0.1:1"
    with stack.start(mongodb_uri=elsewhere, PORT="0", MOCK_VENDORS="1", MOCK_SANDBOX="none"):
        pass
    assert "jobs run with the rights of this user, without a sandbox" in caplog.text
