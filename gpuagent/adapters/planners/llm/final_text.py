"""The final text of a model's reply: what it says when its thinking is done. Nothing else of it is ever read.

Servers hand over thoughts in a field of their own, or in the text between marks, or in the text without the opening
mark, which the chat template wrote into the prompt; and a decision as text, or as the arguments of a tool call.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from gpuagent.adapters.planners.llm.answer_object import AnswerInvalid, parsed

TAG = (
    r"(?:[\w-]+[:_])?"
    r"(?:think|thinking|thought|thoughts|reasoning|reason|reflection|analysis|scratchpad|monologue|plan|details)"
)
CUT = frozenset({"length", "maxtokens", "maxoutputtokens", "maxcompletiontokens", "modellength", "tokenlimit"})
ENDED = frozenset(
    {"", "none", "null", "stop", "stopsequence", "end", "endturn", "endoftext", "eos", "eostoken", "complete"}
    | {"completed", "done", "finished", "success", "toolcalls", "toolcall", "tooluse", "functioncall"}
    | {"unspecified", "finishreasonunspecified", "finishreasonstop"}
)
"""Words for an answer that came to its end. A word in neither table is none: servers have many for what broke."""


class _Marks(NamedTuple):
    """Patterns of the marks that begin and end thoughts. nests: a beginning within needs an end of its own."""

    begin: str
    end: str
    nests: bool = True


MARKS = (
    _Marks(rf"<{TAG}\b[^<>]*(?<!/)>", rf"</{TAG}\s*>"),  # each name a kind of its own
    _Marks(r"\[THINK\]", r"\[/THINK\]"),  # Magistral
    _Marks(r"◁think▷", r"◁/think▷"),  # Kimi
    _Marks(r"<\|START_THINKING\|>", r"<\|END_THINKING\|>"),  # Command
    _Marks(r"<\|begin_of_thought\|>", r"<\|end_of_thought\|>"),  # Sky-T1
    _Marks(r"Here(?:'s| is) my thought process:", r"Here(?:'s| is) my response:"),  # Granite
    # gpt-oss, also with its special tokens dropped, and Gemma 4: each channel but the final one is thought.
    _Marks(
        r"<\|channel\|?>(?!\s*final\b)|\A\s*(?-i:analysis(?![a-z:\s]))|assistant(?:analysis|commentary)",
        r"<\|channel\|?>\s*final\b|<channel\|>|assistantfinal",
        nests=False,
    ),
    _Marks(r"(?!)", r"<(?:answer|response)>|<\|START_RESPONSE\|>|<\|begin_of_solution\|>"),  # of an answer alone
)
_MARK = re.compile("|".join(f"(?P<b{n}>{marks.begin})|(?P<e{n}>{marks.end})" for n, marks in enumerate(MARKS)), re.I)


def final_text(words: str) -> str:
    """What follows the last thought; all of it where it is one JSON object. Raises AnswerInvalid: the thought is open.

    An end without a beginning makes a thought of all before it. Within a thought no other kind of mark counts.
    """
    whole = parsed(words, [])
    if isinstance(whole, Mapping):
        return words
    if isinstance(whole, str):  # some gateways encode JSON twice
        words = whole
    start, depth, thought = 0, 0, ""
    for mark in _MARK.finditer(words):
        edge, number = (mark.lastgroup or "")[0], (mark.lastgroup or "")[1:]
        kind = mark[0].strip("</> ").split()[0].lower() if number == "0" else number
        if not depth and edge == "b":
            depth, thought = 1, kind
        elif not depth:
            start = mark.end()
        elif kind == thought:
            depth = depth - 1 if edge == "e" else depth + MARKS[int(number)].nests
            start = mark.end()
    if depth:
        raise AnswerInvalid("its reasoning came to no end, and nothing in it counts")
    return words[start:]


def written(message: Any) -> tuple[str, str]:
    """The words of a message, arguments of tool calls among them, and the thoughts in a field of their own."""
    calls = [*(getattr(message, "tool_calls", None) or ()), getattr(message, "function_call", None)]
    arguments = [getattr(getattr(call, "function", call), "arguments", None) for call in calls]
    words = [text for text in (getattr(message, "content", None), *arguments) if isinstance(text, str) and text.strip()]
    thoughts = getattr(message, "reasoning_content", None) or getattr(message, "reasoning", None)
    return "\n".join(words), thoughts if isinstance(thoughts, str) else ""


def why_unread(completion: Any, at_limit: bool) -> str:
    """Why nothing of the completion may be read; "" where it came to its end. at_limit: it has all tokens it may have.

    litellm calls each word that it does not know "stop", and keeps the word itself beside it.
    """
    if error := getattr(completion, "error", None):
        return f"the server sent an error in place of an answer: {error}"
    if not completion.choices:
        return ""
    choice = completion.choices[0]
    word = str(_beside(choice, "native_finish_reason") or "")
    plain = re.sub(r"[^a-z0-9]", "", word.lower())
    refusal = _beside(choice.message, "refusal")
    if isinstance(refusal, str) and refusal.strip():
        return f"the model refused to answer: {refusal.strip()}"
    if choice.finish_reason == "content_filter":
        return f"the provider's content filter stopped the answer{f' ({word})' if word else ''}"
    if choice.finish_reason == "length" or plain in CUT or at_limit:
        return "the answer was cut off and is not read: answer shorter, or set PLANNER_MAX_TOKENS higher"
    if plain not in ENDED:
        return f'the answer broke off with "{word}", and is not read'
    return ""


def _beside(part: Any, name: str) -> Any:
    """A field that litellm has no place for: some of its clients keep those together, others as they came."""
    together = getattr(part, "provider_specific_fields", None)
    return (together.get(name) if isinstance(together, Mapping) else None) or getattr(part, name, None)
