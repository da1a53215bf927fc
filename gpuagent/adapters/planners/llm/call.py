"""Calls of a language model through litellm, which is imported when it is first needed and nowhere else.

Raises CallFailed and nothing else for what a model's server does.
"""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from typing import Any

import httpx

from gpuagent.adapters.planners.llm.answer import schema
from gpuagent.adapters.planners.llm.answer_object import AnswerInvalid
from gpuagent.adapters.planners.llm.final_text import final_text, why_unread, written
from gpuagent.adapters.planners.llm.prices import Rates
from gpuagent.core.text import clean
from gpuagent.errors import ConfigError
from gpuagent.wire.egress import egress
from gpuagent.wire.scrub import Scrubber
from gpuagent.wire.transport import deadline
from gpuagent.wire.watched_http import Exchange, WatchedTransport, watch

TEXT_MAX = 300
TOKENS_MAX = 10**9
UNBILLED = frozenset({401, 402, 403, 404, 429})
"""HTTP statuses of a server that has not looked at the prompt. With others it may have: some bill a 400 or a 500."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model by litellm's name. rates: None where it is unpriced and allowed to be. api_base: "" the provider's."""

    name: str
    api_key: str = field(repr=False)
    api_base: str = ""
    rates: Rates | None = None
    structured: bool = False
    """The model's server holds answers to a JSON schema."""


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model replied.

    raw: its words as they came. text: the final ones, in which the decision stands; "" where problem says why nothing
    is to be read. size: bytes of all that it wrote, thoughts included. Tokens: as counted by the server, 0 where not.
    """

    raw: str
    text: str
    problem: str
    size: int
    prompt_tokens: int
    completion_tokens: int

    def final(self) -> str:
        """The final text. Raises AnswerInvalid where nothing is to be read."""
        if self.problem:
            raise AnswerInvalid(self.problem)
        return self.text


class Billed(Enum):
    """What of a call without a reply a provider may have billed."""

    NOTHING = "nothing"
    PROMPT = "the prompt"
    ALL = "the prompt and an answer"


class CallFailed(Exception):
    """No reply. transient: another try may go well. retry_after_s: as told."""

    def __init__(self, message: str, *, transient: bool, billed: Billed, retry_after_s: float = 0) -> None:
        super().__init__(message)
        self.transient, self.billed, self.retry_after_s = transient, billed, retry_after_s


def complete(model: Model, messages: Sequence[Mapping[str, str]], max_tokens: int, timeout_s: float) -> Completion:
    """The model's answer, within the time. Temperature 0 and the schema where the model takes them."""
    litellm = load_litellm()
    from openai import OpenAIError

    shape = {"response_format": _response_format()} if model.structured else {}
    with watch() as exchange, deadline(timeout_s):
        try:
            completion = litellm.completion(
                model=model.name,
                messages=[dict(message) for message in messages],
                api_key=model.api_key or None,
                api_base=model.api_base or None,
                max_tokens=max_tokens,
                temperature=0,
                drop_params=True,
                timeout=timeout_s,
                num_retries=0,
                max_retries=0,
                **shape,
            )
        except OpenAIError as error:
            raise _failed(error, exchange, model.api_key) from None
    return _reply(completion, max_tokens, lambda text: exchange.scrubber.scrub(redact(text, model.api_key)))


@cache
def load_litellm() -> Any:
    """litellm, silent, without a network or a .env file of its own, and its HTTP held to our bounds and way out.

    Its settings are the process's. Raises ConfigError where it is not installed, or the way out cannot be.
    """
    way_out = egress(os.environ)
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    os.environ.setdefault("LITELLM_MODE", "PRODUCTION")  # in its default mode it reads .env into the environment
    try:
        import litellm
    except ImportError as error:
        raise ConfigError("the llm planner needs litellm: pip install 'gpuagent[planner]'") from error
    litellm.suppress_debug_info = True
    logging.getLogger("LiteLLM").setLevel(logging.ERROR)
    # Providers over OpenAI's SDK take the first, those over litellm's own client the second.
    litellm.client_session = httpx.Client(transport=WatchedTransport(way_out), trust_env=False)
    litellm.sync_transport = WatchedTransport(way_out)
    return litellm


def redact(text: str, secret: str) -> str:
    """The text without the secret, which a server may echo, however it is spelled."""
    return Scrubber({secret: "***"}).scrub(text)


def _response_format() -> Mapping[str, object]:
    return {"type": "json_schema", "json_schema": {"name": "decision", "strict": True, "schema": schema()}}


def _reply(completion: Any, max_tokens: int, scrub: Callable[[str], str]) -> Completion:
    words, thoughts = written(completion.choices[0].message) if completion.choices else ("", "")
    # Half of a surrogate pair is legal in JSON, and nothing that can be stored.
    raw = scrub(words.encode(errors="replace").decode())
    prompt_tokens, completion_tokens = _tokens(getattr(completion, "usage", None))
    text, problem = "", clean(scrub(why_unread(completion, completion_tokens == max_tokens)), TEXT_MAX)
    if not (problem or words) and thoughts:
        problem = "the answer is empty: there are thoughts alone"
    try:
        text = "" if problem else final_text(raw)
    except AnswerInvalid as error:
        problem = str(error)
    size = len(raw.encode()) + len(thoughts.encode(errors="replace"))
    return Completion(raw, text, problem, size, prompt_tokens, completion_tokens)


def _tokens(usage: Any) -> tuple[int, int]:
    """Tokens of the prompt and of the answer. Some servers count thoughts in the total alone, or in a detail."""
    details = getattr(usage, "completion_tokens_details", None)
    prompt = _count(getattr(usage, "prompt_tokens", 0))
    thoughts = _count(getattr(details, "reasoning_tokens", 0))
    total = _count(getattr(usage, "total_tokens", 0))
    return prompt, max(_count(getattr(usage, "completion_tokens", 0)), thoughts, total - prompt if prompt else 0)


def _count(value: Any) -> int:
    return value if isinstance(value, int) and 0 < value <= TOKENS_MAX else 0


def _failed(error: Exception, exchange: Exchange, secret: str) -> CallFailed:
    # An answer of 200 may hold an error, whose code may be anything.
    status = exchange.status if exchange.status >= 400 else _count(getattr(error, "status_code", 0))
    first = str(error).split("\n", 1)[0]
    text = first.partition("Exception - ")[2] or first
    if text.endswith("Exception - "):  # the words are lost on the way up, where a 200 holds the error
        text += str(getattr(_root(error), "message", ""))
    return CallFailed(
        exchange.problem
        or f"{type(error).__name__} ({exchange.status or status}): "
        f"{clean(exchange.scrubber.scrub(redact(text, secret)), TEXT_MAX)}",
        transient=not exchange.final and (status == 429 or status >= 500),
        billed=_billed(exchange),
        retry_after_s=exchange.retry_after_s,
    )


def _root(error: BaseException) -> BaseException:
    while error.__context__ is not None:
        error = error.__context__
    return error


def _billed(exchange: Exchange) -> Billed:
    if exchange.unsent or 300 <= exchange.status < 400 or exchange.status in UNBILLED:
        return Billed.NOTHING
    return Billed.PROMPT if exchange.status >= 400 else Billed.ALL
