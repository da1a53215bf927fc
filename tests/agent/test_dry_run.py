"""The dry run shows what would be paid and which rule would refuse; it signs nothing and reserves nothing."""

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from click.testing import Result

from gpuagent.adapters.vendors.http import HttpVendor
from gpuagent.agent.dry_run import DryRun, simulate
from gpuagent.agent.plan import WAITS_MAX
from gpuagent.core.model import Approval, Cause, Quote, Reserved, RunStatus, Vendor, Voided
from gpuagent.core.money import UNIT
from gpuagent.core.policy import EVERY_WALLET, Halt
from gpuagent.errors import PolicyRefused, VendorError
from gpuagent.wiring.vendors import record_vendors
from tests.support.factories import quote
from tests.support.llm_factories import KEY, OPENAI
from tests.support.llm_server import LlmServer, start_reply
from tests.support.scripted_planner import ScriptedPlanner, start
from tests.support.world import World


@pytest.fixture
def rehearsed(world: World) -> Callable[[], DryRun]:
    """Rehearses a new run, and sees that nothing came of it."""
    run = world.start(budget=2)

    def play() -> DryRun:
        dry_run = simulate(run, world.ports)
        assert world.store.load(run.run_id) == run
        assert world.market.received_headers(world.ports.wallet.address) == []
        assert world.books(run).ledger.held == 0
        return dry_run

    return play


def refused(dry_run: DryRun) -> dict[str, str]:
    return {line.vendor.vendor_id: "; ".join(line.refusals) for line in dry_run.lines}


def test_what_would_be_paid_and_why_others_would_not(rehearsed: Callable[[], DryRun]) -> None:
    dry_run = rehearsed()
    assert dry_run.would_pay is not None
    assert dry_run.would_pay.vendor.vendor_id == "gpu_vendor_2"  # the surest, with money for one try
    reasons = refused(dry_run)
    assert (reasons["gpu_vendor_1"], reasons["gpu_vendor_2"]) == ("", "")
    assert "is more than the 2.00 USD available" in reasons["gpu_vendor_3"]


def test_each_vendor_is_asked_for_the_gpu_as_it_spells_it_itself(make_world: Callable[..., World]) -> None:
    asked: dict[str, str] = {}

    class Asked(HttpVendor):
        def quote(self, vendor: Vendor, goal: str, gpu_type: str, max_hours: Decimal, order: str = "") -> Quote:
            asked[vendor.vendor_id] = gpu_type
            raise VendorError("no quote")

    world = make_world(vendor_api=Asked(lambda _: "secret"))
    types = {"gpu_vendor_1": ("T4", "a100"), "gpu_vendor_2": ("A100",), "gpu_vendor_3": ("A100-40GB", "T4")}
    record_vendors(
        world.database, [replace(vendor, gpu_types=types[vendor.vendor_id]) for vendor in world.market.vendors]
    )
    run = world.start(gpu_type=" A100")
    assert run.gpu_type in ("A100", "a100")
    simulate(run, world.ports)
    assert asked == {"gpu_vendor_1": "a100", "gpu_vendor_2": "A100"}


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        ({"per_payment": UNIT}, "cap of 1.00 USD (payment)"),
        ({"vendor_per_run": UNIT}, "(vendor per run)"),
        ({"vendor_per_day": UNIT}, "(vendor per day)"),
        ({"wallet_per_day": UNIT}, "(wallet per day)"),
        ({"halts": (Halt("vendor", "gpu_vendor_1", "Ada", "slow"),)}, "Ada halted vendor gpu_vendor_1: slow"),
    ],
)
def test_every_rule_that_would_refuse_is_named(
    world: World, rehearsed: Callable[[], DryRun], rules: dict[str, Any], reason: str
) -> None:
    world.allow(**rules)
    dry_run = rehearsed()
    assert reason in refused(dry_run)["gpu_vendor_1"]
    assert dry_run.would_pay is None or dry_run.would_pay.vendor.vendor_id == "gpu_vendor_2"


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("raise_price", "another amount"),
        ("swap_payee", "another payee"),
        ("down", "answered"),
        ("permit2", "extra"),
    ],
)
def test_live_vendors_are_asked_for_their_offers(
    world: World, rehearsed: Callable[[], DryRun], fault: str, reason: str
) -> None:
    world.market.fault("gpu_vendor_1", fault)
    assert reason in refused(rehearsed())["gpu_vendor_1"]


def test_an_approval_that_would_be_asked_for(world: World, rehearsed: Callable[[], DryRun]) -> None:
    world.allow(approval_above=UNIT)
    dry_run = rehearsed()
    assert dry_run.would_pay is not None
    assert dry_run.would_pay.needs_approval


def test_a_halted_wallet_and_an_empty_one(world: World, make_world: Callable[..., World]) -> None:
    poor = make_world(funds=UNIT)
    dry_run = simulate(poor.start(), poor.ports)
    assert dry_run.would_pay is None
    assert "fund it" in dry_run.why_not
    poor.allow(halts=(Halt("wallet", EVERY_WALLET, "Ada", "leak"),))
    with pytest.raises(PolicyRefused, match="leak"):
        simulate(poor.start(), poor.ports)


def test_a_rejected_purchase_is_told(world: World) -> None:
    run = world.start()
    run = replace(run, jobs=(Voided("f" * 24, quote(), 0, "rejected by Ada: dear", cause=Cause.PERSON),))
    assert refused(simulate(run, world.ports))["gpu_vendor_1"] == "at 1.40 USD it was rejected by Ada: dear"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"status": RunStatus.FAILED, "reason": "no hope"}, "the run has failed: no hope"),
        ({"status": RunStatus.COMPLETED, "reason": "done"}, "the run has completed: done"),
        (
            {"jobs": (Reserved("f" * 24, quote(), 0, Approval(0, 9)),)},
            "waits for approval of 1.40 USD for gpu_vendor_1",
        ),
        ({"jobs_max": 1, "jobs": (Voided("f" * 24, quote(), 0, "down"),)}, "1 jobs were tried"),
        ({"waits": WAITS_MAX}, "waited 50 times in a row"),
    ],
)
def test_a_run_that_buys_nothing_whatever_the_market_says(world: World, changes: dict[str, Any], reason: str) -> None:
    """Its planner costs money, and is not asked."""
    planner = ScriptedPlanner([start("gpu_vendor_1", cost=11)])
    ports = replace(world.ports, planners={"stub": planner})
    dry_run = simulate(replace(world.start(), **changes), ports)
    assert (dry_run.would_pay, dry_run.lines, planner.asked) == (None, (), [])
    assert reason in dry_run.why_not


def test_what_asking_a_model_cost_is_shown(
    world: World, gpuagent: Callable[..., Result], llm_server: LlmServer
) -> None:
    llm_server.script(start_reply("gpu_vendor_3"))
    model = {"PLANNER_MODEL": OPENAI, "PLANNER_API_BASE": llm_server.url, "PLANNER_API_KEY": KEY}
    dry = ("run", "start", "--goal", "g", "--budget", "5", "--planner", "llm", "--dry-run")
    result = gpuagent(*dry, **model, PLANNER_PRICES=json.dumps({OPENAI: [0.5, 1.5]}))
    assert result.exit_code == 0, result.output
    assert "asking cost 0.00065 USD, charged to no run" in result.output
    json_result = gpuagent(*dry, "--json", **model, PLANNER_PRICES=json.dumps({OPENAI: [0.5, 1.5]}))
    assert json.loads(json_result.stdout)["plannerCost"] == "650"


def test_the_commands_show_the_purchase_and_sign_nothing(world: World, gpuagent: Callable[..., Result]) -> None:
    start = ("run", "start", "--goal", "Fine-tune", "--budget", "5", "--dry-run")
    result = gpuagent(*start)
    assert result.exit_code == 0, result.output
    assert "would pay 1.40 USD to gpu_vendor_1 (0x" in result.output
    assert "nothing was signed, nothing reserved" in result.output
    assert world.reads.runs() == []
    assert gpuagent("policy", "set", "--per-payment", "1", "--by", "Ada").exit_code == 0
    json_result = gpuagent(*start, "--json")
    assert json_result.exit_code == 3
    assert json.loads(json_result.stdout)["wouldPay"] is None
    assert "(payment)" in json.loads(json_result.stdout)["vendors"][0]["refused"][0]
    run = world.start()
    assert gpuagent("run", "dry-run", run.run_id).exit_code == 3
    assert world.store.load(run.run_id) == run
