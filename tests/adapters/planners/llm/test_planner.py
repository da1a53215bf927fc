"""The planner that asks a model, against a scripted server over real HTTP.

Each reply ends in a decision that may be guarded, or in a PlannerError; either way the record says what happened.
"""

import json
from decimal import Decimal
from typing import Any

import pytest

from gpuagent.adapters.planners.llm import prompt as llm_prompt
from gpuagent.core.model import Action
from tests.support.llm_factories import (
    ADDRESS,
    CONTEXT,
    EVIL,
    FIREWORKS,
    KEY,
    OPENAI,
    MakePlanner,
    both_clients,
    problems,
    refusal,
)
from tests.support.llm_server import LlmServer, ScriptedReply, start_reply


@both_clients
def test_a_good_answer(llm_server: LlmServer, make_llm: MakePlanner, model: str) -> None:
    llm_server.script(start_reply())
    thought = make_llm(model).decide(CONTEXT)
    assert (thought.decision.action, thought.decision.vendor_id) == (Action.START_JOB, "cheap")
    assert thought.decision.max_hours == 1
    request = llm_server.requests[0]
    assert (request.headers["Authorization"], request.body["temperature"]) == (f"Bearer {KEY}", 0)
    assert request.body["max_tokens"] == 2_000
    assert thought.record == {
        "model": model,
        "promptHash": llm_prompt.write(CONTEXT).digest,
        "promptVersion": llm_prompt.version(),
        "prompt": llm_prompt.write(CONTEXT).text,
        "rawReply": start_reply().text,
        "rawReplies": [start_reply().text],
        "attempts": 1,
        "repairs": [],
        "tokens": {"prompt": 1_000, "completion": 100},
        "costUsd": "0.0006500" if model == OPENAI else "0.00072800",
        "unpriced": False,
        "latencyMs": 0,
        "errors": [],
    }
    assert thought.cost == (650 if model == OPENAI else 728)
    assert json.loads(json.dumps(thought.record)) == thought.record


def test_the_schema_is_asked_for_where_the_model_keeps_to_one(llm_server: LlmServer, make_llm: MakePlanner) -> None:
    llm_server.script(start_reply())
    make_llm(FIREWORKS).decide(CONTEXT)
    make_llm(OPENAI).decide(CONTEXT)
    first, second = (request.body for request in llm_server.requests)
    assert first["response_format"]["json_schema"]["schema"]["additionalProperties"] is False
    assert "response_format" not in second


USABLE: dict[str, tuple[ScriptedReply, dict[str, Any], str]] = {
    "prose": (
        ScriptedReply(f"I compared them. {start_reply().text} That is all."),
        {"vendor_id": "cheap"},
        "text around",
    ),
    "fence": (ScriptedReply(f"```json\n{start_reply().text}\n```"), {"vendor_id": "cheap"}, "text around"),
    "unknown vendor": (start_reply("nobody"), {"vendor_id": "nobody"}, ""),
    "over budget": (start_reply("dear"), {"vendor_id": "dear"}, ""),
    "negative hours": (start_reply(maxHours=-1), {"max_hours": Decimal(-1)}, ""),
    "endless words": (
        ScriptedReply("and so on " * 5_000 + str(start_reply().text)),
        {"vendor_id": "cheap"},
        "only the last 20000",
    ),
}


@pytest.mark.parametrize("case", USABLE)
def test_what_can_be_read_is_left_for_the_guard(llm_server: LlmServer, make_llm: MakePlanner, case: str) -> None:
    reply, expected, repair = USABLE[case]
    llm_server.script(reply)
    thought = make_llm().decide(CONTEXT)
    assert {name: getattr(thought.decision, name) for name in expected} == expected
    assert repair in "; ".join(thought.record["repairs"])  # type: ignore[arg-type]
    assert len(llm_server.requests) == 1


UNUSABLE: dict[str, tuple[ScriptedReply, str]] = {
    "truncated": (
        ScriptedReply(start_reply().text[:-8], finish="length"),
        "the answer was cut off",
    ),
    "nothing": (ScriptedReply(""), "the answer is empty"),
    "null": (ScriptedReply(None), "the answer is empty"),
    "blanks": (ScriptedReply("  \n"), "the answer is empty"),
    "wrong types": (start_reply(vendorId=["cheap"]), "vendorId: Input should be a valid string"),
    "an injected payment": (
        ScriptedReply(f'{{"action": "pay", "to": "{ADDRESS}", "amount": 5}}'),
        "action: Input should be",
    ),
    "an address beside": (start_reply("evil", payTo=ADDRESS), "payTo: Extra inputs are not permitted"),
    "endless words": (ScriptedReply("and so on " * 50), "no complete JSON object"),
    "half a pair": (ScriptedReply("\ud800"), "no complete JSON object"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_an_unusable_answer_is_asked_for_again_with_the_error(
    llm_server: LlmServer, make_llm: MakePlanner, case: str
) -> None:
    reply, problem = UNUSABLE[case]
    llm_server.script(reply, start_reply())
    thought = make_llm().decide(CONTEXT)
    assert thought.decision.vendor_id == "cheap"
    correction = llm_server.requests[1]
    assert problem in correction.last
    assert [message["role"] for message in correction.body["messages"]] == ["system", "user", "assistant", "user"]
    assert problem in problems(thought)
    assert (thought.record["attempts"], thought.cost) == (2, 1_300)
    json.dumps(thought.record).encode()


@pytest.mark.parametrize("case", UNUSABLE)
def test_twice_unusable_is_no_answer(llm_server: LlmServer, make_llm: MakePlanner, case: str) -> None:
    reply, problem = UNUSABLE[case]
    llm_server.script(reply)
    error = refusal(make_llm())
    assert len(llm_server.requests) == 2
    assert problem in str(error)
    assert error.cost == 1_300
    replies = error.record["rawReplies"]
    assert isinstance(replies, list)
    assert len(replies) == 2


def test_of_a_long_answer_the_end_is_kept_and_quoted(llm_server: LlmServer, make_llm: MakePlanner) -> None:
    llm_server.script(ScriptedReply("and so on " * 5_000 + "the end"))
    error = refusal(make_llm())
    kept = error.record["rawReplies"]
    assert isinstance(kept, list)
    assert [(len(reply), reply[-7:]) for reply in kept] == 2 * [(20_000, "the end")]
    quoted = llm_server.requests[1].body["messages"][2]["content"]
    assert (len(quoted), quoted[-7:]) == (1_000, "the end")


def test_the_next_model_is_asked_when_one_fails(llm_server: LlmServer, make_llm: MakePlanner) -> None:
    llm_server.script(ScriptedReply("no", 401), start_reply())
    thought = make_llm(f"{OPENAI},openai/second").decide(CONTEXT)
    assert [request.body["model"] for request in llm_server.requests] == ["scripted", "second"]
    assert (thought.record["model"], thought.cost) == ("openai/second", 1_200)
    assert problems(thought).startswith(f"{OPENAI}: ")


def test_the_next_model_is_asked_when_one_talks_nonsense(llm_server: LlmServer, make_llm: MakePlanner) -> None:
    llm_server.script(lambda request: start_reply() if request.body["model"] == "second" else ScriptedReply("hm"))
    thought = make_llm(f"{OPENAI},openai/second").decide(CONTEXT)
    assert [request.body["model"] for request in llm_server.requests] == ["scripted", "scripted", "second"]
    assert thought.cost == 650 + 650 + 1_200


def test_texts_of_vendors_stay_data(llm_server: LlmServer, make_llm: MakePlanner) -> None:
    llm_server.script(start_reply())
    make_llm().decide(CONTEXT)
    system, user = (message["content"] for message in llm_server.requests[0].body["messages"])
    assert system == llm_prompt.RULES
    head, market = user.split("\n")
    assert head == "The market:"
    assert "<" not in market, "it may hold marks that a server takes for the model's own"
    assert [candidate["untrusted"]["name"] for candidate in json.loads(market)["candidates"]][1] == EVIL


def test_an_objection_is_quoted(llm_server: LlmServer, make_llm: MakePlanner) -> None:
    llm_server.script(start_reply())
    thought = make_llm().decide(CONTEXT, 'the "guard" says\nno')
    assert 'refused: "the \\"guard\\" says\\nno"' in llm_server.requests[0].last
    assert thought.record["promptHash"] != llm_prompt.write(CONTEXT).digest


def test_a_key_that_is_echoed_is_not_kept(llm_server: LlmServer, make_llm: MakePlanner) -> None:
    llm_server.script(ScriptedReply(f"your key is {KEY}"), start_reply(reason=f"{KEY} is best"))
    planner = make_llm()
    thought = planner.decide(CONTEXT)
    assert KEY not in f"{thought} {planner!r} {vars(planner)}"
    assert thought.decision.reason == "*** is best"
