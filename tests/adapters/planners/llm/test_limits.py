"""Bounds of the llm planner: on what a model's server may do to a call, and on what a question may cost."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from gpuagent.adapters.planners.llm import prompt as llm_prompt
from gpuagent.errors import PlannerError
from tests.support.clock import ManualClock
from tests.support.llm_factories import CONTEXT, KEY, OPENAI, MakePlanner, both_clients, planner_on, problems, refusal
from tests.support.llm_server import LlmServer, ScriptedReply, start_reply


@both_clients
def test_too_many_requests_then_good(
    llm_server: LlmServer, make_llm: MakePlanner, manual_clock: ManualClock, model: str
) -> None:
    llm_server.script(ScriptedReply("slow down", 429), start_reply())
    thought = make_llm(model).decide(CONTEXT)
    assert thought.decision.vendor_id == "cheap"
    assert manual_clock.pauses == [1]
    assert "(429): " in problems(thought)
    assert (thought.record["attempts"], thought.record["latencyMs"]) == (2, 1_000)
    assert thought.cost == (650 if model == OPENAI else 728), "a refused call costs nothing"


def test_it_waits_as_long_as_told_if_there_is_time(
    llm_server: LlmServer, make_llm: MakePlanner, manual_clock: ManualClock
) -> None:
    llm_server.script(ScriptedReply("slow down", 429, headers={"Retry-After": "9"}), start_reply())
    assert make_llm().decide(CONTEXT).decision.vendor_id == "cheap"
    assert manual_clock.pauses == [9]
    llm_server.script(ScriptedReply("slow down", 429, headers={"Retry-After": "3600"}), start_reply())
    assert refusal(make_llm()).record["attempts"] == 1


@both_clients
@pytest.mark.parametrize("status", [500, 503])
def test_a_broken_server_is_tried_thrice(
    llm_server: LlmServer, make_llm: MakePlanner, manual_clock: ManualClock, model: str, status: int
) -> None:
    llm_server.script(ScriptedReply("oh no", status))
    error = refusal(make_llm(model))
    assert (len(llm_server.requests), manual_clock.pauses, error.cost) == (3, [1, 4], 0)
    assert "oh no" in problems(error)


@both_clients
@pytest.mark.parametrize("status", [400, 401, 404])
def test_a_refusal_is_not_tried_again(llm_server: LlmServer, make_llm: MakePlanner, model: str, status: int) -> None:
    llm_server.script(ScriptedReply(f"not with {KEY}", status))
    error = refusal(make_llm(model))
    assert len(llm_server.requests) == 1
    assert f"({status}): " in problems(error)
    assert KEY not in f"{error} {error.record}"
    assert "***" in problems(error)


BROKEN: dict[str, tuple[ScriptedReply, str]] = {
    "late": (ScriptedReply(manner="late"), "no answer in time"),
    "dripping": (ScriptedReply(start_reply().text, manner="drip"), "no answer in time"),
    "endless": (ScriptedReply(body=b" " * 4_096, manner="endless"), "more than 1048576 bytes"),
    "cut off": (ScriptedReply(start_reply().text, manner="cut"), "the connection broke"),
    "no JSON": (ScriptedReply(body=b"<html>"), "error"),
    "redirect": (ScriptedReply(status=307, body=b"", headers={"Location": "http://127.0.0.1:1/"}), "redirect"),
}


@both_clients
@pytest.mark.parametrize("case", BROKEN)
def test_what_a_server_may_do_to_a_call(llm_server: LlmServer, make_llm: MakePlanner, model: str, case: str) -> None:
    reply, problem = BROKEN[case]
    llm_server.script(reply)
    planner = make_llm(model, timeout_s=0.7)
    error = refusal(planner)
    assert problem in problems(error).lower() or problem in problems(error)
    assert len(llm_server.requests) == 1
    billed = 0 if case == "redirect" else 1
    assert (error.cost > 0) == billed, "what may have been billed counts"
    assert error.cost <= planner.cost_max(llm_prompt.write(CONTEXT))


def test_no_server_at_all_costs_nothing(manual_clock: ManualClock) -> None:
    error = refusal(planner_on("http://127.0.0.1:1/v1", manual_clock))
    assert (error.cost, error.record["attempts"]) == (0, 3)
    assert "no connection" in str(error)


UNCOUNTED = {
    "none": None,
    "empty": {},
    "negative": {"prompt_tokens": -1, "completion_tokens": -1, "total_tokens": -2},
    "no answer": {"prompt_tokens": 1_000, "completion_tokens": 0, "total_tokens": 1_000},
    "too many": {"prompt_tokens": 10**8, "completion_tokens": 1, "total_tokens": 1},
    "more than can be stored": {"prompt_tokens": 10**30, "completion_tokens": 1, "total_tokens": 1},
}


@pytest.mark.parametrize("usage", UNCOUNTED.values(), ids=UNCOUNTED)
def test_tokens_that_cannot_be_count_as_the_most_there_may_be(
    llm_server: LlmServer, make_llm: MakePlanner, usage: Any
) -> None:
    llm_server.script(replace(start_reply(), usage=usage))
    thought = make_llm().decide(CONTEXT)
    size = llm_prompt.write(CONTEXT).size + 1_000
    assert Decimal(str(thought.record["costUsd"])) == size * Decimal("0.0000005") + 2_000 * Decimal("0.0000015")
    assert "its count of tokens cannot be" in problems(thought)


def test_it_is_not_asked_when_the_most_it_may_cost_does_not_fit(llm_server: LlmServer, make_llm: MakePlanner) -> None:
    planner = make_llm()
    cost_max = planner.cost_max(llm_prompt.write(replace(CONTEXT, available=10_000)))
    with pytest.raises(PlannerError, match=r"may cost .* USD, available are"):
        planner.decide(replace(CONTEXT, available=cost_max - 1))
    assert llm_server.requests == []
    llm_server.script(start_reply())
    assert planner.decide(replace(CONTEXT, available=cost_max)).decision.vendor_id == "cheap"


def test_the_most_it_may_cost_is_never_exceeded(llm_server: LlmServer, make_llm: MakePlanner) -> None:
    """All that can go wrong at its dearest: long answers in four-byte characters, and calls that break."""
    llm_server.script(
        ScriptedReply("\U0001f600" * 30_000, usage=None),
        ScriptedReply(body=b"<html>"),
        ScriptedReply("\U0001f600" * 30_000, usage=None),
    )
    planner = make_llm(f"{OPENAI},openai/second")
    error = refusal(planner)
    assert 0 < error.cost <= planner.cost_max(llm_prompt.write(CONTEXT))
