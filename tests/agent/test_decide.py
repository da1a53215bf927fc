"""A planner is asked, guarded, asked once more, and replaced by the stub; the record says all of it."""

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from gpuagent.adapters.planners.stub import StubPlanner
from gpuagent.adapters.wallets.local import LocalWallet
from gpuagent.agent.decide import Deliberation, decide
from gpuagent.agent.decision_record import TEXT_MAX
from gpuagent.agent.market import Survey
from gpuagent.core.context import Context, Thought
from gpuagent.core.events import PlanAborted, PlannerCharged, PlanPostponed, VendorChosen
from gpuagent.core.model import Action, Decision
from gpuagent.core.ports import Ports
from gpuagent.core.ports.planner import Planner
from gpuagent.core.transitions import apply
from gpuagent.errors import ConfigError, IllegalTransition, PlannerError, WalletUnfunded
from tests.support.factories import NOW, RUN, TOKEN, VENDOR, candidate, context, decision, quote
from tests.support.scripted_planner import ScriptedPlanner, abort, start, wait

CHEAP, SURE = candidate("cheap", 1_400_000, 0.86), candidate("sure", 1_750_000, 0.93)


class SteppingClock:
    """A quarter of a second passes whenever it is looked at."""

    def __init__(self, at: float) -> None:
        self.at = at

    def now(self) -> float:
        self.at += 0.25
        return self.at


def play(
    planner: ScriptedPlanner, planner_context: Context | None = None, spendable: int = 10**9, at: float = NOW
) -> Deliberation:
    """The run's planner deliberates; the agent's clock begins at `at`."""
    planner_context = planner_context or context(CHEAP, SURE)
    quotes = {
        offer.vendor_id: quote(offer.amount, offer.vendor_id) for offer in planner_context.candidates if offer.amount
    }
    survey = Survey(planner_context, {offer.vendor_id: VENDOR for offer in planner_context.candidates}, quotes)
    return decide(replace(RUN, planner=planner.name), survey, spendable, make_ports(planner, at))


def make_ports(planner: Planner, at: float = NOW) -> Ports:
    """All that deliberation needs of the world."""
    nowhere: Any = None
    return Ports(
        store=nowhere,
        planners={"stub": StubPlanner(), planner.name: planner},
        wallet=LocalWallet("0x" + "11" * 32, TOKEN),
        chain=nowhere,
        vendor_api=nowhere,
        clock=SteppingClock(at),
        files=nowhere,
    )


def scripted(*answers: Thought | PlannerError) -> ScriptedPlanner:
    return ScriptedPlanner(answers)


def test_a_good_answer_is_taken() -> None:
    planner = scripted(start("sure", cost=7, model="m", promptHash="h", prompt="p", rawReply="r", tokens=12))
    deliberation = play(planner)
    assert deliberation.quote == quote(1_750_000, "sure")
    assert (deliberation.problem, deliberation.cost, len(planner.asked)) == (None, 7, 1)


def test_the_record_is_complete() -> None:
    planner_context = context(CHEAP, SURE)
    scores = {"sure": {"p": 0.9}}
    thought = start("sure", cost=7, model="m", promptHash="h", prompt="p", rawReply="r", tokens=12, scores=scores)
    data = play(scripted(thought), planner_context).data
    assert json.loads(json.dumps(data)) == data
    assert {key: data[key] for key in ("planner", "model", "promptHash", "prompt", "rawReply", "tokens", "cost")} == {
        "planner": "scripted",
        "model": "m",
        "promptHash": "h",
        "prompt": "p",
        "rawReply": "r",
        "tokens": 12,
        "cost": 7,
    }
    assert (data["contextHash"], data["context"]) == (planner_context.digest(), planner_context.as_json())
    assert data["decision"] == {
        "action": "start_job",
        "vendorId": "sure",
        "maxHours": "1",
        "waitUntil": 0,
        "reason": "try sure",
    }
    assert [(offer["vendorId"], offer["amount"], offer["score"]) for offer in data["candidates"]] == [
        ("cheap", 1_400_000, None),
        ("sure", 1_750_000, {"p": 0.9}),
    ]
    assert (data["verdicts"], data["fallback"], data["decidedBy"], data["latencyMs"]) == (
        ["accepted"],
        "",
        "scripted",
        250,
    )
    assert [attempt["planner"] for attempt in data["attempts"]] == ["scripted"]


def test_a_refused_answer_is_asked_for_once_more_with_the_reason() -> None:
    planner = scripted(start("nobody", cost=5, rawReply="first"), start("cheap", cost=6, rawReply="second"))
    deliberation = play(planner)
    assert [objection for _, objection in planner.asked] == ["", "'nobody' is not among the candidate vendors"]
    assert [planner_context.available for planner_context, _ in planner.asked] == [5_000_000, 4_999_995]
    assert deliberation.quote == quote(1_400_000, "cheap")
    assert deliberation.cost == 11
    assert deliberation.data["verdicts"] == ["refused: 'nobody' is not among the candidate vendors", "accepted"]
    assert (deliberation.data["rawReply"], deliberation.data["fallback"]) == ("second", "")
    assert [attempt["rawReply"] for attempt in deliberation.data["attempts"]] == ["first", "second"]


REFUSED = "refused: 7 hours chosen, 1 quoted"


@pytest.mark.parametrize(
    ("answers", "verdicts", "cost"),
    [
        ([start("cheap", hours=7, cost=5)], [REFUSED, REFUSED, "accepted"], 10),
        ([PlannerError("no JSON", cost=3)], ["no answer: no JSON", "accepted"], 3),
        ([start("cheap", hours=7, cost=5), PlannerError("429")], [REFUSED, "no answer: 429", "accepted"], 5),
    ],
)
def test_then_the_stub_decides_and_the_record_says_so(
    answers: Iterable[Thought | PlannerError], verdicts: list[str], cost: int
) -> None:
    deliberation = play(scripted(*answers))
    assert deliberation.decision is not None
    assert deliberation.decision.vendor_id == "cheap"
    assert "73% likely" in deliberation.decision.reason
    assert (deliberation.data["planner"], deliberation.data["decidedBy"]) == ("scripted", "stub")
    assert (deliberation.data["verdicts"], deliberation.cost, deliberation.data["cost"]) == (verdicts, cost, cost)
    assert deliberation.data["fallback"] == verdicts[-2].partition(": ")[2]
    assert deliberation.data["candidates"][0]["score"]["value"] > 0


def test_what_the_planner_cost_is_not_available_any_more() -> None:
    """The budget is just enough for one purchase; asking eats into it, and the guard sees that."""
    just = context(CHEAP, SURE, available=1_750_000)
    deliberation = play(scripted(start("sure", cost=1)), just)
    assert deliberation.data["verdicts"][0] == "refused: sure asks 1.75 USD, available are 1.749999 USD"
    assert (deliberation.quote, deliberation.cost) == (quote(1_400_000, "cheap"), 2)


def test_no_more_is_charged_than_is_available() -> None:
    deliberation = play(scripted(abort(cost=6_000_000)))
    assert (deliberation.cost, deliberation.data["attempts"][0]["uncharged"]) == (5_000_000, 1_000_000)


def test_a_quote_that_expires_while_the_planner_thinks_is_refused() -> None:
    deliberation = play(scripted(start("cheap")), context(CHEAP, now=9_999.9), at=9_999.9)  # quotes expire at 10 000
    assert (deliberation.quote, str(deliberation.problem)) == (None, "the quote of cheap has expired")


def test_what_the_wallet_cannot_pay_is_refused_and_no_address_is_told() -> None:
    planner = scripted(start("sure"))
    deliberation = play(planner, spendable=1_500_000)
    assert deliberation.quote == quote(1_400_000, "cheap")
    assert [objection for _, objection in planner.asked] == ["", "the wallet cannot pay what sure asks"]
    poor = play(planner, spendable=1)
    assert isinstance(poor.problem, WalletUnfunded)


def test_waiting_and_giving_up_need_no_quote() -> None:
    assert play(scripted(wait(NOW + 60))).quote is None
    deliberation = play(scripted(abort()))
    assert deliberation.decision is not None
    assert (deliberation.decision.action, deliberation.problem) == (Action.ABORT, None)
    endless = play(scripted(wait(float("nan"))))
    assert endless.data["decidedBy"] == "stub"


def test_a_planner_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ConfigError, match="this agent has stub, scripted"):
        decide(replace(RUN, planner="llm"), Survey(context(CHEAP), {}, {}), 0, make_ports(scripted(abort())))


def test_texts_are_inert_and_cut() -> None:
    thought = start("cheap", rawReply="x" * (TEXT_MAX + 1), tokens=10**30)
    thought = Thought(Decision(Action.ABORT, "red\x1b[31m\nline"), record=thought.record)
    data = play(scripted(thought)).data
    assert data["decision"]["reason"] == "red [31m line"
    assert len(data["rawReply"]) == TEXT_MAX
    assert data["tokens"] == str(10**30)


@pytest.mark.parametrize(
    "event",
    [
        VendorChosen("b" * 24, quote(), decision(), NOW, {}, cost=9),
        PlanPostponed(NOW + 5, decision(), {}, 9),
        PlanAborted("no hope", {}, 9),
        PlannerCharged("no hope", {}, 9),
    ],
)
def test_every_decision_charges_what_it_cost(
    event: VendorChosen | PlanPostponed | PlanAborted | PlannerCharged,
) -> None:
    assert apply(RUN, event).planner_cost == 9
    with pytest.raises(IllegalTransition, match="above the budget"):
        apply(RUN, replace(event, cost=RUN.budget + 1))
    with pytest.raises(IllegalTransition, match="pay into the budget"):
        apply(RUN, replace(event, cost=-1))
