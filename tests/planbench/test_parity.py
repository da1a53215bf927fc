"""Parity: a deterministic planner decides the same in memory and over HTTP; and its records are replayed."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from click.testing import Result

from gpuagent.adapters.planners.stub import StubPlanner
from gpuagent.core.indices import completed
from gpuagent.core.ports.planner import Planner
from gpuagent.errors import BadInput
from gpuagent.planbench.baselines import BASELINES
from gpuagent.planbench.end_to_end import LiveScenario
from gpuagent.planbench.files import parse
from gpuagent.planbench.scenarios import markets
from gpuagent.planbench.steps import play_in_memory, same_choices
from tests.support.market import Market
from tests.support.scenarios import market, sweep
from tests.support.world import World

PLANNERS: dict[str, Planner] = {"stub": StubPlanner(), **BASELINES}


def vendor(name: str, price: float, reliability: float | None, *gpus: str) -> dict[str, Any]:
    types = list(gpus or ("A100",))
    return {"vendorId": name, "basePricePerHour": price, "reliabilityScore": reliability, "supportedGpuTypes": types}


def job(name: str, status: str, price: float, at: int) -> dict[str, Any]:
    return {"vendorId": name, "status": status, "expectedCost": price, "actualCost": price, "hours": 1, "tick": at}


def scenario(index: str, outcomes: dict[str, list[str]], **changes: Any) -> dict[str, Any]:
    return {
        "schema": "planbench/1",
        "id": f"parity-{index}",
        "family": "honest",
        "run": {"goal": "Train", "gpuType": "A100", "budgetTotal": 5.5, "hoursRequired": 1, "deadlineTicks": 20},
        "vendors": [vendor("v1", 1, 0.6), vendor("v2", 1.8, 0.8), vendor("v3", 0.9, None)],
        "history": [job("v2", "completed", 1.8, -9), job("v3", "failed", 0.9, -6), job("v1", "failed", 1, -2)],
        "truth": {"index": index, "pSuccess": dict.fromkeys(outcomes, 0.5), "outcomes": outcomes},
        **changes,
    }


def several(
    count: int, at_once: int, budget: float, outcomes: dict[str, list[str]], index: str = "attempt", **run: Any
) -> dict[str, Any]:
    document = scenario(index, outcomes, id=f"parity-{count}-jobs")
    jobs = {"count": count, "atOnce": at_once}
    return {**document, "run": {**document["run"], "budgetTotal": budget, "jobs": jobs, **run}}


NEVER = "0" * 20
DRAWN = {"v1": ["00" + "1" * 18, NEVER], "v2": ["00000" + "1" * 15, NEVER], "v3": [NEVER, NEVER]}
SPIKE = {**scenario("tick", DRAWN)["truth"], "price": {"v2": [5] * 2 + [1.8] * 18, "v1": [3] * 3 + [1] * 17}}
SOON = {"v1": ["0110" + "1" * 16], "v2": ["1011" + "1" * 16], "v3": ["001" + "1" * 17]}
WRONG_GPU = [vendor("v1", 1, 0.6), vendor("v2", 0.5, 0.9, "L4"), vendor("v3", 0.9, None)]
FILES = {
    "attempt": scenario("attempt", DRAWN),
    "tick": scenario("tick", DRAWN),
    "spike": scenario("tick", DRAWN, id="parity-spike", truth=SPIKE),
    "wrong GPU": scenario("attempt", DRAWN, id="parity-gpu", vendors=WRONG_GPU),
    "several": several(3, 2, 9, DRAWN),
    "all of several": several(4, 3, 9, SOON),
    "several by tick": several(2, 2, 9, DRAWN, index="tick"),
    "part of several": several(4, 2, 9, SOON, deadlineTicks=2),
}


class SharedMarketControls:
    """The controls of the tests' shared market."""

    def __init__(self, market: Market) -> None:
        self.market = market

    def price(self, vendor_id: str, per_hour: Decimal) -> None:
        self.market.control("PUT", "price", vendorId=vendor_id, basePricePerHour=str(per_hour))

    def outcomes(self, vendor_id: str, script: str) -> None:
        self.market.outcomes(vendor_id, script)

    def pass_time(self, seconds: float) -> None:
        self.market.pass_time(seconds)


@pytest.fixture
def controls(market: Market) -> Iterator[SharedMarketControls]:
    controls = SharedMarketControls(market)
    yield controls
    for vendor in market.vendors:
        controls.price(vendor.vendor_id, Decimal(vendor.base_price_per_hour) / 10**6)


def live_scenario(world: World, controls: SharedMarketControls, document: dict[str, Any]) -> LiveScenario:
    (scenario,) = markets(parse("parity.json", document))
    ports = replace(world.ports, planners=PLANNERS)
    return LiveScenario(scenario, world.market.vendors, ports, world.store, world.reads, controls)


@pytest.mark.parametrize(
    ("file", "planner", "replicate"),
    [
        ("attempt", "stub", 0),
        ("tick", "density", 0),
        ("spike", "stub", 1),
        ("wrong GPU", "stub", 1),
        ("several", "stub", 0),
        ("several", "cheapest", 1),
        ("all of several", "stub", 0),
        ("all of several", "mean", 0),
        ("several by tick", "stub", 0),
        ("part of several", "mean", 0),
    ],
)
def test_the_same_decisions_in_memory_and_over_http(
    world: World, controls: SharedMarketControls, file: str, planner: str, replicate: int
) -> None:
    (scenario,) = markets(parse("parity.json", FILES[file]))
    play, expected = play_in_memory(scenario, PLANNERS[planner], replicate)
    run, bought = live_scenario(world, controls, FILES[file]).play(planner, replicate)
    assert same_choices(bought, expected), bought
    assert (run.status == "completed") == (play.complete == 1)
    assert len(completed(run)) == play.jobs_done
    ledger = world.books(run).ledger
    assert ledger.settled == round(play.spend * scenario.budget)
    assert world.books(run).balanced


def test_what_was_really_decided_is_replayed(
    world: World, controls: SharedMarketControls, gpuagent: Callable[..., Result]
) -> None:
    run, choices = live_scenario(world, controls, FILES["wrong GPU"]).play("stub", 0)
    same = json.loads(gpuagent("planners", "replay", run.run_id, "--json").stdout)
    assert (same["agree"], same["differ"], same["unanswered"]) == (len(choices), 0, 0)
    cheapest = json.loads(gpuagent("planners", "replay", run.run_id, "--planner", "cheapest", "--json").stdout)
    assert cheapest["agree"] + cheapest["differ"] == len(choices)
    assert all(decision["other"]["reason"] for decision in cheapest["decisions"])
    result = gpuagent("planners", "replay", run.run_id, "--planner", "reliable")
    assert result.exit_code == 0, result.output
    assert "agree" in result.stdout


def test_what_cannot_be_played_over_http_is_refused(world: World, controls: SharedMarketControls) -> None:
    refunding = market()
    with pytest.raises(BadInput, match="refunds"):
        LiveScenario(refunding, world.market.vendors, world.ports, world.store, world.reads, controls)
    with pytest.raises(BadInput, match="start 3 vendors"):
        LiveScenario(refunding, world.market.vendors[:1], world.ports, world.store, world.reads, controls)
    late = sweep(2, 1, {"v1": ["1"]}, truth__delays={"v1": ["1"]})
    with pytest.raises(BadInput, match="late jobs"):
        LiveScenario(late, world.market.vendors, world.ports, world.store, world.reads, controls)
