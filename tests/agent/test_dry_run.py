"""The dry run shows what would be paid and which rule would refuse; it signs nothing and reserves nothing."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from click.testing import Result

from gpuagent.agent.dry_run import DryRun, simulate
from gpuagent.agent.plan import WAITS_MAX
from gpuagent.core.model import Approval, Cause, Reserved, RunStatus, Voided
from gpuagent.core.money import UNIT
from gpuagent.core.policy import EVERY_WALLET, Halt
from gpuagent.errors import PolicyRefused
from tests.support.factories import quote
from tests.support.llm_samples import KEY, OPENAI
from tests.support.llm_server import LlmServer, starts
from tests.support.scripted_planner import ScriptedPlanner, start
from tests.support.world import World


@pytest.fixture
def rehearsed(world: World) -> Callable[[], DryRun]:
    """Rehearses a new run, and sees that nothing came of it."""
    run = world.start(budget=2)

    def play() -> DryRun:
        found = simulate(run, world.ports)
        assert world.store.load(run.run_id) == run
        assert world.market.received(world.ports.wallet.address) == []
        assert world.books(run).ledger.held == 0
        return found

    return play


def refused(found: DryRun) -> dict[str, str]:
    return {line.vendor.vendor_id: "; ".join(line.refusals) for line in found.lines}


def test_what_would_be_paid_and_why_others_would_not(rehearsed: Callable[[], DryRun]) -> None:
    found = rehearsed()
    assert found.would_pay is not None
    assert found.would_pay.vendor.vendor_id == "gpu_vendor_2"  # the surest, with money for one try
    said = refused(found)
    assert (said["gpu_vendor_1"], said["gpu_vendor_2"]) == ("", "")
    assert "is more than the 2.00 USD available" in said["gpu_vendor_3"]


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"per_payment": UNIT}, "cap of 1.00 USD (payment)"),
        ({"vendor_per_run": UNIT}, "(vendor per run)"),
        ({"vendor_per_day": UNIT}, "(vendor per day)"),
        ({"wallet_per_day": UNIT}, "(wallet per day)"),
        ({"halts": (Halt("vendor", "gpu_vendor_1", "Ada", "slow"),)}, "Ada halted vendor gpu_vendor_1: slow"),
    ],
)
def test_every_rule_that_would_refuse_is_named(
    world: World, rehearsed: Callable[[], DryRun], rules: dict[str, Any], words: str
) -> None:
    world.allow(**rules)
    found = rehearsed()
    assert words in refused(found)["gpu_vendor_1"]
    assert found.would_pay is None or found.would_pay.vendor.vendor_id == "gpu_vendor_2"


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("raise_price", "another amount"),
        ("swap_payee", "another payee"),
        ("down", "answered"),
        ("permit2", "extra"),
    ],
)
def test_live_vendors_are_asked_for_their_offers(
    world: World, rehearsed: Callable[[], DryRun], fault: str, words: str
) -> None:
    world.market.fault("gpu_vendor_1", fault)
    assert words in refused(rehearsed())["gpu_vendor_1"]


def test_an_approval_that_would_be_asked_for(world: World, rehearsed: Callable[[], DryRun]) -> None:
    world.allow(approval_above=UNIT)
    found = rehearsed()
    assert found.would_pay is not None
    assert found.would_pay.needs_approval


def test_a_halted_wallet_and_an_empty_one(world: World, make_world: Callable[..., World]) -> None:
    poor = make_world(funds=UNIT)
    found = simulate(poor.start(), poor.ports)
    assert found.would_pay is None
    assert "fund it" in found.why_not
    poor.allow(halts=(Halt("wallet", EVERY_WALLET, "Ada", "leak"),))
    with pytest.raises(PolicyRefused, match="leak"):
        simulate(poor.start(), poor.ports)


def test_a_rejected_purchase_is_told(world: World) -> None:
    run = world.start()
    run = replace(run, jobs=(Voided("f" * 24, quote(), 0, "rejected by Ada: dear", cause=Cause.PERSON),))
    assert refused(simulate(run, world.ports))["gpu_vendor_1"] == "at 1.40 USD it was rejected by Ada: dear"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"status": RunStatus.FAILED, "reason": "no hope"}, "the run has failed: no hope"),
        ({"status": RunStatus.COMPLETED, "reason": "done"}, "the run has completed: done"),
        ({"jobs": (Reserved("f" * 24, quote(), 0, Approval(0, 9)),)}, "waits for approval of 1.40 USD for gpu_vendor_1"),
        ({"jobs_max": 1, "jobs": (Voided("f" * 24, quote(), 0, "down"),)}, "1 jobs were tried"),
        ({"waits": WAITS_MAX}, "waited 50 times in a row"),
    ],
)
def test_a_run_that_buys_nothing_whatever_the_market_says(world: World, changes: dict[str, Any], words: str) -> None:
    """Its planner costs money, and is not asked."""
    planner = ScriptedPlanner([start("gpu_vendor_1", cost=11)])
    ports = replace(world.ports, planners={"stub": planner})
    found = simulate(replace(world.start(), **changes), ports)
    assert (found.would_pay, found.lines, planner.asked) == (None, (), [])
    assert words in found.why_not


def test_what_asking_a_model_cost_is_shown(
    world: World, gpuagent: Callable[..., Result], llm_server: LlmServer
) -> None:
    llm_server.plays(starts("gpu_vendor_3"))
    model = {"PLANNER_MODEL": OPENAI, "PLANNER_API_BASE": llm_server.url, "PLANNER_API_KEY": KEY}
    dry = ("run", "start", "--goal", "g", "--budget", "5", "--planner", "llm", "--dry-run")
    shown = gpuagent(*dry, **model, PLANNER_PRICES=json.dumps({OPENAI: [0.5, 1.5]}))
    assert shown.exit_code == 0, shown.output
    assert "asking cost 0.00065 USD, charged to no run" in shown.output
    told = gpuagent(*dry, "--json", **model, PLANNER_PRICES=json.dumps({OPENAI: [0.5, 1.5]}))
    assert json.loads(told.stdout)["plannerCost"] == "650"


def test_the_commands(world: World, gpuagent: Callable[..., Result]) -> None:
    start = ("run", "start", "--goal", "Fine-tune", "--budget", "5", "--dry-run")
    shown = gpuagent(*start)
    assert shown.exit_code == 0, shown.output
    assert "would pay 1.40 USD to gpu_vendor_1 (0x" in shown.output
    assert "nothing was signed, nothing reserved" in shown.output
    assert world.reads.runs() == []
    assert gpuagent("policy", "set", "--per-payment", "1", "--by", "Ada").exit_code == 0
    told = gpuagent(*start, "--json")
    assert told.exit_code == 3
    assert json.loads(told.stdout)["wouldPay"] is None
    assert "(payment)" in json.loads(told.stdout)["vendors"][0]["refused"][0]
    run = world.start()
    assert gpuagent("run", "dry-run", run.run_id).exit_code == 3
    assert world.store.load(run.run_id) == run
