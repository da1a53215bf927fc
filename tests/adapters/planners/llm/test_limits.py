"""Bounds of the llm planner: on what a model's server may do to a call, and on what a question may cost."""

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from gpuagent.adapters.planners.llm import prompt as llm_prompt
from gpuagent.adapters.planners.llm.call import Billed, CallFailed, complete
from gpuagent.adapters.planners.llm.models import read_models
from gpuagent.errors import PlannerError
from tests.support.clock import ManualClock
from tests.support.llm_factories import (
    CONTEXT,
    FIREWORKS,
    KEY,
    OPENAI,
    MakePlanner,
    both_clients,
    planner_on,
    problems,
    refusal,
)
from tests.support.llm_server import ChatRequest, LlmServer, ScriptedReply, start_reply


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
    planner = make_llm(model)
    error = refusal(planner)
    assert (len(llm_server.requests), manual_clock.pauses) == (3, [1, 4])
    assert "oh no" in problems(error)
    prompt = llm_prompt.write(CONTEXT)
    rate = Decimal("0.0000005") if model == OPENAI else Decimal("0.00000056")
    assert error.record["costUsd"] == f"{3 * (prompt.size + 1_000) * rate:f}", "it may bill what was sent"
    assert error.cost < planner.cost_max(prompt)


@both_clients
@pytest.mark.parametrize(("status", "billed"), [(400, True), (401, False), (402, False), (404, False), (408, True)])
def test_a_refusal_is_not_tried_again(
    llm_server: LlmServer, make_llm: MakePlanner, model: str, status: int, billed: bool
) -> None:
    """A 400 may follow a look at the prompt, which some providers bill; a 401 does not."""
    llm_server.script(ScriptedReply(f"not with {KEY}", status))
    error = refusal(make_llm(model))
    assert len(llm_server.requests) == 1
    assert (error.cost > 0) == billed
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
def test_what_a_server_may_do_to_a_call(
    llm_server: LlmServer, make_llm: MakePlanner, manual_clock: ManualClock, model: str, case: str
) -> None:
    reply, problem = BROKEN[case]
    timeout_s = 2.0 if reply.manner in ("late", "drip") else 60.0  # what ends by itself does so on a busy machine too

    def broken(_: ChatRequest) -> ScriptedReply:
        manual_clock.now += timeout_s - 0.5  # which leaves no time for another try
        return reply

    llm_server.script(broken)
    planner = make_llm(model, timeout_s=timeout_s)
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


def counts(prompt: Any, completion: Any, **others: Any) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, **others}


UNCOUNTED: dict[str, Any] = {
    "none": None,
    "empty": {},
    "other names": {"input_tokens": 1_000, "output_tokens": 100},
    "null": counts(None, None),
    "negative": counts(-1, -1, total_tokens=-2),
    "truth": counts(True, True),
    "one each": counts(1, 1, total_tokens=2),
    "a prompt that was cached, it says": counts(3, 100, total_tokens=103),
    "no prompt": counts(0, 100, total_tokens=100),
    "no answer": counts(1_000, 0, total_tokens=1_000),
    "too short an answer": counts(1_000, 2, total_tokens=1_002),
    "too many": counts(10**8, 1, total_tokens=1),
    "too many in all": counts(1_000, 100, total_tokens=10**8),
    "more than can be stored": counts(10**30, 1, total_tokens=1),
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


COUNTED: dict[str, tuple[dict[str, Any], int]] = {
    "texts": (counts("1000", "100"), 100),
    "floats": (counts(1000.0, 1e2), 100),
    "thoughts in the total alone": (counts(1_000, 100, total_tokens=1_600), 600),
    "thoughts in a detail alone": (counts(1_000, 100, completion_tokens_details={"reasoning_tokens": 700}), 700),
    "thoughts within": (
        counts(1_000, 600, total_tokens=1_600, completion_tokens_details={"reasoning_tokens": 500}),
        600,
    ),
    "the least there can be": (counts(-(-llm_prompt.write(CONTEXT).size // 8), 13), 13),
}


@both_clients
@pytest.mark.parametrize("case", COUNTED)
def test_tokens_are_read_as_servers_count_them(
    llm_server: LlmServer, make_llm: MakePlanner, model: str, case: str
) -> None:
    usage, completion = COUNTED[case]
    llm_server.script(replace(start_reply(), usage=usage))
    thought = make_llm(model).decide(CONTEXT)
    assert thought.record["tokens"] == {"prompt": int(float(usage["prompt_tokens"])), "completion": completion}
    assert problems(thought) == ""


def test_long_thoughts_and_a_correction_count_too(llm_server: LlmServer, make_llm: MakePlanner) -> None:
    """What is held against the count is all that was sent and written."""
    thinking = replace(start_reply(), message={"reasoning_content": "hm " * 1_000})
    llm_server.script(thinking)
    assert "its count of tokens cannot be" in problems(make_llm().decide(CONTEXT))
    llm_server.script(replace(start_reply("x" * 900, payTo="?"), usage=counts(340, 200)), start_reply())
    once = problems(make_llm().decide(CONTEXT))
    llm_server.script(replace(start_reply("x" * 900, payTo="?"), usage=counts(340, 200)))
    assert (once.count("cannot be"), problems(refusal(make_llm())).count("cannot be")) == (0, 1)


@both_clients
def test_a_count_that_is_no_number_fails_the_call_which_is_charged(
    llm_server: LlmServer, make_llm: MakePlanner, model: str
) -> None:
    for usage in (counts(float("nan"), 100), counts("many", 100), counts([1], {})):
        llm_server.script(replace(start_reply(), usage=usage), start_reply())
        thought = make_llm(model).decide(CONTEXT)
        assert thought.record["attempts"] == 2
        assert thought.cost > 2 * 728


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


def _choice(**changes: Any) -> dict[str, Any]:
    return {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}, **changes}


MESSAGE = {"role": "assistant", "content": "hi"}
BODIES: tuple[object, ...] = (
    *(None, [], {}, {"choices": []}, {"choices": [None]}, {"choices": {"0": _choice()}}),
    *({"error": {"message": "x", "code": code}} for code in ("y", 429)),
    *({"choices": [_choice(finish_reason=word)]} for word in ({"type": "stop"}, True, "")),
    *({"choices": [_choice(message=message)]} for message in (None, {**MESSAGE, "content": []})),
    *({"choices": [_choice(message=MESSAGE | {"tool_calls": calls})]} for calls in ([None], [{"function": {}}])),
    *({"choices": [_choice(message=MESSAGE | {name: 5})]} for name in ("function_call", "refusal", "reasoning")),
    *({"choices": [_choice(provider_specific_fields=beside)]} for beside in ("x", {"native_finish_reason": []})),
    *({"choices": [_choice()], "usage": usage} for usage in ("x", [1], {"completion_tokens_details": 5})),
)


@both_clients
def test_whatever_a_server_answers_the_call_fails_or_has_a_reply(
    llm_server: LlmServer, make_llm: MakePlanner, model: str
) -> None:
    (known,) = read_models(
        {"PLANNER_MODEL": model, "PLANNER_API_KEY": KEY, "PLANNER_ALLOW_UNPRICED": "1"}
        | {"PLANNER_API_BASE": llm_server.url}
    )
    for body in (*(json.dumps(value).encode() for value in BODIES), b"", b"{", b"\xff", b"data: {}\n\n", b"[" * 9_999):
        llm_server.script(ScriptedReply(body=body))
        try:
            reply = complete(known, llm_prompt.write(CONTEXT).messages, 2_000, 60)
        except CallFailed as error:
            assert (error.billed, "(200): " in str(error)) == (Billed.ALL, True), body  # noqa: PT017 - or a reply
        else:
            assert reply.size < 100, body


def test_an_error_in_an_answer_of_200_keeps_its_words(llm_server: LlmServer, make_llm: MakePlanner) -> None:
    for model in (OPENAI, FIREWORKS):
        llm_server.script(ScriptedReply(body=b'{"error": {"message": "no machine is free", "code": "busy"}}'))
        assert "no machine is free" in problems(refusal(make_llm(model)))
