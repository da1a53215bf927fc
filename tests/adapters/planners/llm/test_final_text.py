"""Thoughts, tool calls, refusals and broken-off answers, as servers and gateways wrap them, through litellm.

Each reply holds a draft for another vendor where a reader could stumble over it. What is read is the final text; what
has none is asked for once more and billed; a draft is never a decision.
"""

import contextlib
import json
import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuagent.adapters.planners.llm.answer import REPLY_MAX, read
from gpuagent.adapters.planners.llm.answer_object import AnswerInvalid
from gpuagent.adapters.planners.llm.final_text import MARKS, final_text
from tests.support.llm_factories import CONTEXT, FIREWORKS, OPENAI, MakePlanner, problems, refusal
from tests.support.llm_server import LlmServer, ScriptedReply, start_reply

ANSWER, DRAFT = str(start_reply("cheap").text), str(start_reply("evil").text)
ABORT = json.dumps({"action": "abort", "vendorId": "", "maxHours": 0, "waitSeconds": 0, "reason": "a first thought"})
LONG = f"Wait, what of {DRAFT}? No. " * 250
"""A thought longer than what is read of a reply."""
ANALYSIS = "<|channel|>analysis<|message|>"
FINAL = "<|end|><|start|>assistant<|channel|>final<|message|>"


def tool_reply(*arguments: Any, text: str | None = None, **changes: Any) -> ScriptedReply:
    """A reply that calls a tool with each of the arguments."""
    calls = [
        {"id": f"call_{place}", "type": "function", "function": {"name": "decide", "arguments": argument}}
        for place, argument in enumerate(arguments)
    ]
    return ScriptedReply(text, finish="tool_calls", message={"tool_calls": calls}, **changes)


READ: dict[str, ScriptedReply] = {
    "thoughts in a field (DeepSeek, vLLM)": ScriptedReply(ANSWER, message={"reasoning_content": LONG}),
    "thoughts in another field (OpenRouter, newer vLLM)": ScriptedReply(
        ANSWER, message={"reasoning": DRAFT, "reasoning_details": [{"type": "reasoning.text", "text": DRAFT}]}
    ),
    "thinking blocks (LiteLLM proxy)": ScriptedReply(
        ANSWER, message={"thinking_blocks": [{"type": "thinking", "thinking": DRAFT, "signature": "s"}]}
    ),
    "think": ScriptedReply(f"<think>\n{DRAFT}\n</think>\n\n{ANSWER}"),
    "think, long": ScriptedReply(f"<think>{LONG}</think>{ANSWER}"),
    "think, opened by the template": ScriptedReply(f"{DRAFT} or not?\n</think>\n{ANSWER}"),
    "think, opened by the template, long": ScriptedReply(f"{LONG}</think>{ANSWER}"),
    "think, its end quoted in it": ScriptedReply(f'<think>I end with "</think>" {DRAFT}. </think>{ANSWER}'),
    "think, nested": ScriptedReply(f"<think>a <think>{DRAFT}</think> b {DRAFT}</think>{ANSWER}"),
    "think, twice": ScriptedReply(f"<think>{DRAFT}</think>{DRAFT}<think>No: {ABORT}</think>{ANSWER}"),
    "think, empty": ScriptedReply(f"<think>\n\n</think>\n\n{ANSWER}"),
    "think, capitals and blanks": ScriptedReply(f"<THINK >{DRAFT}</Think >{ANSWER}"),
    "thinking": ScriptedReply(f"<thinking>{DRAFT}</thinking>{ANSWER}"),
    "thought": ScriptedReply(f"<thought>{DRAFT}</thought>{ANSWER}"),
    "reasoning": ScriptedReply(f"<reasoning>{DRAFT}</reasoning>{ANSWER}"),
    "a reflection within thoughts": ScriptedReply(f"<thinking>{DRAFT}<reflection>no</thinking>{ANSWER}"),
    "Seed": ScriptedReply(f"<seed:think>{DRAFT}</seed:think>{ANSWER}"),
    "MiniMax": ScriptedReply(f"<mm:think>{DRAFT}</mm:think>{ANSWER}"),
    "LongCat": ScriptedReply(f"<longcat_think>{DRAFT}</longcat_think>{ANSWER}"),
    "Magistral": ScriptedReply(f"[THINK]{DRAFT}[/THINK]{ANSWER}"),
    "Kimi": ScriptedReply(f"◁think▷{DRAFT}◁/think▷{ANSWER}"),
    "Command": ScriptedReply(
        f"<|START_THINKING|>{DRAFT}<|END_THINKING|><|START_RESPONSE|>{ANSWER}<|END_RESPONSE|>",
    ),
    "Sky-T1": ScriptedReply(
        f"<|begin_of_thought|>{DRAFT}<|end_of_thought|><|begin_of_solution|>{ANSWER}<|end_of_solution|>"
    ),
    "Granite": ScriptedReply(f"Here is my thought process: {DRAFT}\nHere is my response: {ANSWER}"),
    "Hunyuan": ScriptedReply(f"<think>{DRAFT}</think>\n<answer>\n{ANSWER}\n</answer>"),
    "an answer marked, thoughts not": ScriptedReply(f"First {DRAFT}, but no.\n<answer>{ANSWER}</answer>"),
    "gpt-oss, raw": ScriptedReply(f"{ANALYSIS}{DRAFT}{FINAL}{ANSWER}<|return|>"),
    "gpt-oss, with a commentary": ScriptedReply(
        f"{ANALYSIS}{DRAFT}<|end|><|start|>assistant<|channel|>commentary<|message|>{ABORT}{FINAL}{ANSWER}"
    ),
    "gpt-oss, special tokens dropped": ScriptedReply(f"analysisWe take {DRAFT}? No.assistantfinal{ANSWER}"),
    "Gemma": ScriptedReply(f"<|channel>thought\n{DRAFT}<channel|>{ANSWER}"),
    "Open WebUI": ScriptedReply(
        f'<details type="reasoning" done="true"><summary>Thought for 5 s</summary>{DRAFT}</details>\n{ANSWER}'
    ),
    "a tool call": tool_reply(ANSWER),
    "a tool call after an opening line": tool_reply(ANSWER, text="I take the cheap one."),
    "a tool call beside thoughts": tool_reply(ANSWER, text=f"<think>{DRAFT}</think>"),
    "a tool call and the same text": tool_reply(ANSWER, text=ANSWER),
    "the same tool call twice": tool_reply(ANSWER, ANSWER),
    "a function call": ScriptedReply(
        None, finish="function_call", message={"function_call": {"name": "decide", "arguments": ANSWER}}
    ),
    "fence after prose": ScriptedReply(f"I compared them.\n\n```json\n{ANSWER}\n```\nGood luck."),
    "encoded twice": ScriptedReply(json.dumps(ANSWER)),
    "encoded twice, with thoughts": ScriptedReply(json.dumps(f"<think>{DRAFT}</think>{ANSWER}")),
    "byte order mark": ScriptedReply(f"\ufeff{ANSWER}"),
    "special tokens behind": ScriptedReply(f"{ANSWER}<|im_end|></s>"),
    "long prose before": ScriptedReply("I compare each with each. " * 2_000 + ANSWER),
    "a mark in the reason": start_reply(reason="its name holds <think> and </thinking>"),
    "a refusal that is none": ScriptedReply(ANSWER, message={"refusal": None}),
    "no finish reason": ScriptedReply(ANSWER, finish=None),
    "a finish reason of its own": ScriptedReply(ANSWER, finish="eos_token"),
    "the provider's finish reason beside": ScriptedReply(ANSWER, choice={"native_finish_reason": "completed"}),
}

CUT = "the answer was cut off"
OPEN = "its reasoning came to no end"
NONE = "no complete JSON object"
UNREAD: dict[str, tuple[ScriptedReply, str]] = {
    "cut in its thoughts": (ScriptedReply(f"<think>Perhaps {DRAFT}. But", finish="length"), CUT),
    "cut in its thoughts, opened by the template": (ScriptedReply(f"Perhaps {ABORT}. But", finish="length"), CUT),
    "cut behind a draft": (ScriptedReply(DRAFT, finish="length"), CUT),
    "cut, in a provider's words": (ScriptedReply(DRAFT, finish="MAX_TOKENS"), CUT),
    "cut at the end of the context": (ScriptedReply(DRAFT, finish="model_length"), CUT),
    "cut, said beside": (ScriptedReply(DRAFT, choice={"native_finish_reason": "max_output_tokens"}), CUT),
    "cut, not said": (ScriptedReply(DRAFT, usage={"prompt_tokens": 1_000, "completion_tokens": 2_000}), CUT),
    "cut in a tool call": (tool_reply(DRAFT, choice={"finish_reason": "length"}), CUT),
    "cut, all thoughts in a field": (ScriptedReply("", finish="length", message={"reasoning_content": DRAFT}), CUT),
    "broken off by the provider": (ScriptedReply(DRAFT, finish="error"), 'the answer broke off with "error"'),
    "broken off by the server": (ScriptedReply(DRAFT, finish="abort"), 'broke off with "abort"'),
    "broken off, short of machines": (
        ScriptedReply(DRAFT, finish="insufficient_system_resource"),
        'broke off with "insufficient_system_resource"',
    ),
    "open thoughts": (ScriptedReply(f"<think>Perhaps {DRAFT}"), OPEN),
    "open thoughts behind closed ones": (ScriptedReply(f"<think>a</think><think>Perhaps {DRAFT}"), OPEN),
    "open thoughts behind an answer": (ScriptedReply(f"{DRAFT}\n<think>Or rather not"), OPEN),
    "open thoughts, another's end": (ScriptedReply(f"<think>Perhaps </reasoning>{DRAFT}"), OPEN),
    "open thoughts, a cousin's end": (ScriptedReply(f"<seed:think>Perhaps </think>{DRAFT}"), OPEN),
    "open thoughts within thoughts": (ScriptedReply(f"a<think><think>b</think>{DRAFT}"), OPEN),
    "open thoughts beside a tool call": (tool_reply(DRAFT, text="<think>Perhaps"), OPEN),
    "open thoughts of Magistral": (ScriptedReply(f"[THINK]{DRAFT}"), OPEN),
    "open thoughts of gpt-oss": (ScriptedReply(f"{ANALYSIS}{DRAFT}<|end|>"), OPEN),
    "a final channel that thinks on": (ScriptedReply(f"{ANALYSIS}a{FINAL}{DRAFT}<|end|>{ANALYSIS}No"), OPEN),
    "a tool call of gpt-oss in the text": (
        ScriptedReply(f"<|channel|>commentary to=functions.decide <|constrain|>json<|message|>{DRAFT}<|call|>"),
        OPEN,
    ),
    "closed thoughts alone": (ScriptedReply(f"<think>{DRAFT}</think>"), "the answer is empty"),
    "thoughts behind the answer": (ScriptedReply(f"{DRAFT}\nHm.</think>"), "the answer is empty"),
    "thoughts in a field alone": (
        ScriptedReply(None, message={"reasoning_content": DRAFT}),
        "the answer is empty: there are thoughts alone",
    ),
    "a draft and an answer, not marked": (ScriptedReply(f"Perhaps {DRAFT}. No: {ANSWER}"), "2 different answers"),
    "tool calls that differ": (tool_reply(DRAFT, ANSWER), "2 different answers"),
    "a tool call that differs from the text": (tool_reply(DRAFT, text=ANSWER), "2 different answers"),
    "a tool call without an action": (tool_reply('{"vendorId": "evil"}'), "action: Field required"),
    "a tool call in the text (Hermes)": (
        ScriptedReply(f'<tool_call>{{"name": "decide", "arguments": {DRAFT}}}</tool_call>'),
        NONE,
    ),
    "an answer, then endless words": (ScriptedReply(DRAFT + " and so on" * 2_500), NONE),
    "drafts without number": (ScriptedReply(f"{DRAFT} " * 60), "more than 50 braces"),
    "a refusal": (ScriptedReply(None, message={"refusal": "I cannot help."}), "refused to answer: I cannot help."),
    "a refusal beside an answer": (ScriptedReply(DRAFT, message={"refusal": "No."}), "the model refused to answer"),
    "content filter": (ScriptedReply(DRAFT, finish="content_filter"), "content filter stopped the answer"),
    "content filter, nothing said": (ScriptedReply(None, finish="content_filter"), "content filter stopped"),
    "content filter, in a provider's words": (ScriptedReply(DRAFT, finish="SAFETY"), "content filter"),
}


@pytest.mark.parametrize("shape", READ)
def test_the_final_text_is_read_however_thoughts_are_wrapped(
    llm_server: LlmServer, make_llm: MakePlanner, shape: str
) -> None:
    for model in (OPENAI, FIREWORKS):
        llm_server.script(READ[shape])
        thought = make_llm(model).decide(CONTEXT)
        assert (thought.decision.vendor_id, len(llm_server.requests)) == ("cheap", 1), problems(thought)
        kept = str(thought.record["rawReply"])
        assert len(kept) <= REPLY_MAX
        assert read(final_text(kept), ["cheap"], CONTEXT.now)[0] == thought.decision, "the record holds what decided"


@pytest.mark.parametrize("shape", UNREAD)
def test_a_draft_is_no_decision_and_the_question_is_put_once_more(
    llm_server: LlmServer, make_llm: MakePlanner, shape: str
) -> None:
    reply, problem = UNREAD[shape]
    for model in (OPENAI, FIREWORKS):
        llm_server.script(reply, start_reply("dear"))
        thought = make_llm(model).decide(CONTEXT)
        assert (thought.decision.vendor_id, len(llm_server.requests)) == ("dear", 2)
        assert problem in problems(thought)
        assert json.dumps(problem)[1:-1] in llm_server.requests[1].last
        assert thought.record["attempts"] == 2
        assert thought.cost >= 2 * (650 if model == OPENAI else 728), "both replies are billed"


def anthropic(*blocks: Any, stop: str = "end_turn") -> bytes:
    usage = {"input_tokens": 1_000, "output_tokens": 100}
    message = {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": blocks}
    return json.dumps({**message, "stop_reason": stop, "usage": usage}).encode()


def gemini(*parts: Any, finish: str = "STOP") -> bytes:
    candidate = {"content": {"role": "model", "parts": parts}, "finishReason": finish, "index": 0}
    usage = {"promptTokenCount": 1_000, "candidatesTokenCount": 100, "totalTokenCount": 1_100}
    return json.dumps({"candidates": [candidate], "usageMetadata": usage}).encode()


def ollama(text: str, done_reason: str = "stop", **message: str) -> bytes:
    reply = {"model": "m", "done": True, "done_reason": done_reason, "prompt_eval_count": 1_000, "eval_count": 100}
    return json.dumps({**reply, "message": {"role": "assistant", "content": text, **message}}).encode()


def parts_reply(*parts: Any) -> bytes:
    return ScriptedReply(message={"content": parts}).encoded("m")


CLAUDE, GEMINI, MAGISTRAL = "anthropic/claude-sonnet-4-5", "gemini/gemini-2.5-flash", "mistral/magistral-medium-latest"
OLLAMA, OPENROUTER = "ollama_chat/m", "openrouter/m"
THINKING = {"type": "thinking", "thinking": DRAFT, "signature": "s"}
THOUGHT = {"type": "thinking", "thinking": [{"type": "text", "text": DRAFT}]}
OWN: dict[str, tuple[str, bytes, str]] = {
    "Claude": (CLAUDE, anthropic(THINKING, {"type": "text", "text": ANSWER}), ""),
    "Claude, by a tool": (
        CLAUDE,
        anthropic(
            THINKING, {"type": "tool_use", "id": "t", "name": "decide", "input": json.loads(ANSWER)}, stop="tool_use"
        ),
        "",
    ),
    "Claude, cut in its thoughts": (CLAUDE, anthropic(THINKING, stop="max_tokens"), CUT),
    "Claude, cut in its text": (CLAUDE, anthropic({"type": "text", "text": DRAFT}, stop="max_tokens"), CUT),
    "Claude, a refusal": (CLAUDE, anthropic({"type": "text", "text": DRAFT}, stop="refusal"), "content filter"),
    "Gemini": (GEMINI, gemini({"text": DRAFT, "thought": True}, {"text": ANSWER}), ""),
    "Gemini, cut in its thoughts": (GEMINI, gemini({"text": DRAFT, "thought": True}, finish="MAX_TOKENS"), CUT),
    "Gemini, thoughts alone": (GEMINI, gemini({"text": DRAFT, "thought": True}), "the answer is empty"),
    "Gemini, filtered": (GEMINI, gemini({"text": DRAFT}, finish="SAFETY"), "content filter"),
    "Gemini, malformed": (GEMINI, gemini({"text": DRAFT}, finish="MALFORMED_RESPONSE"), "the answer broke off"),
    "Magistral": (MAGISTRAL, parts_reply(THOUGHT, {"type": "text", "text": ANSWER}), ""),
    "Magistral, thoughts alone": (MAGISTRAL, parts_reply(THOUGHT), "the answer is empty"),
    "Ollama": (OLLAMA, ollama(ANSWER, thinking=DRAFT), ""),
    "Ollama, thoughts in the text": (OLLAMA, ollama(f"<think>{DRAFT}</think>{ANSWER}"), ""),
    "Ollama, cut": (OLLAMA, ollama(f"<think>{DRAFT}", "length"), CUT),
    "OpenRouter, broken off": (OPENROUTER, ScriptedReply(DRAFT, finish="error").encoded("m"), "the answer broke off"),
    "parts where text belongs": (OPENAI, parts_reply(THOUGHT, {"type": "text", "text": ANSWER}), "(200): "),
    "pieces of a stream": (OPENAI, f'data: {{"delta": {ANSWER}}}\n\n'.encode(), "(200): "),
}
"""Models that litellm speaks to in a language of their own: what they answer, and the problem with it."""


@pytest.mark.parametrize("shape", OWN)
def test_providers_with_a_language_of_their_own(llm_server: LlmServer, make_llm: MakePlanner, shape: str) -> None:
    model, body, problem = OWN[shape]
    llm_server.script(ScriptedReply(body=body))
    planner = make_llm(model)
    if not problem:
        assert planner.decide(CONTEXT).decision.vendor_id == "cheap"
        return
    error = refusal(planner)
    assert problem in problems(error)
    # Of Ollama litellm also asks what the model can, once in a process.
    questions = [request for request in llm_server.requests if not request.path.endswith("/api/show")]
    assert error.record["attempts"] == len(questions) >= 2


OPENED = ("<think>", "<thinking>", "<seed:think>", "[THINK]", "◁think▷", "<|START_THINKING|>", ANALYSIS)
CLOSED = ("</think>", "</thinking>", "</seed:think>", "[/THINK]", "◁/think▷", "<|END_THINKING|>", FINAL)
pairs = st.sampled_from(list(zip(OPENED, CLOSED, strict=True)))
musings = st.lists(st.sampled_from((DRAFT, ABORT, "Perhaps ", "\n```json\n", "\n```\n", "{", '"', *OPENED, *CLOSED)))


@given(pairs, musings, st.booleans())
def test_a_draft_in_a_closed_thought_is_never_read(pair: tuple[str, str], musing: list[str], by_template: bool) -> None:
    """Whatever drafts and marks a thought is made of: what follows its end is read, or nothing is."""
    opened, closed = pair
    text = f"{'' if by_template else opened}{''.join(musing)}{closed}{ANSWER}"
    try:
        decision, _ = read(final_text(text), (), 0)
    except AnswerInvalid as error:
        assert OPEN in str(error)  # noqa: PT017 - another mark in it was never closed
    else:
        assert decision.vendor_id == "cheap"


@given(pairs, musings)
def test_a_draft_in_an_open_thought_is_never_read(pair: tuple[str, str], musing: list[str]) -> None:
    opened, closed = pair
    with pytest.raises(AnswerInvalid, match=OPEN):
        final_text(opened + "".join(piece for piece in musing if piece != closed))


@pytest.mark.parametrize(
    "mark", ["<", "<_", "<think", "<think>", "</think>", "<details ", "[THINK]", "Here is my ", "{", '"', '"\\']
)
def test_hostile_marks_take_no_time(mark: str) -> None:
    began = time.process_time()
    with contextlib.suppress(AnswerInvalid):
        final_text(mark * 10_000)
    assert time.process_time() - began < 5


def test_every_kind_of_mark_is_played() -> None:
    shapes = "".join(str(reply.text) for reply in READ.values())
    for marks in MARKS:
        assert re.search(marks.end, shapes), marks
