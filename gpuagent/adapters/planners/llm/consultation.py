"""One question put to the models in turn: what each call cost, at least what was sent and written, and the record."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from gpuagent.adapters.planners.llm import answer as llm_answer
from gpuagent.adapters.planners.llm import prompt as llm_prompt
from gpuagent.adapters.planners.llm.call import Billed, CallFailed, Completion, Model
from gpuagent.adapters.planners.llm.prices import FREE, Rates, atomic
from gpuagent.adapters.planners.llm.prompt import Prompt

TEMPLATE_MAX = 1_000
"""Bytes that a server may add to a prompt: its template, the schema of the answer."""
TOKEN_BYTES = 8
"""Bytes that the tokens of a text stand for on average, at most. Prompts here have 3 to 4, prose of any language 6."""


@dataclass(frozen=True, slots=True)
class SentCall:
    """A call as it was sent, and what it costs, in USD. size: bytes of its prompt. max_tokens: of its answer."""

    model: Model
    size: int
    max_tokens: int

    @property
    def cost_max(self) -> Decimal:
        return self._rates.usd(self.size + TEMPLATE_MAX, self.max_tokens)

    @property
    def prompt_cost_max(self) -> Decimal:
        return self._rates.usd(self.size + TEMPLATE_MAX, 0)

    def cost(self, reply: Completion) -> Decimal | None:
        """By the server's count of tokens; None where fewer are counted than were sent or written, or too many."""
        if reply.prompt_tokens * TOKEN_BYTES < self.size or reply.completion_tokens * TOKEN_BYTES < reply.size:
            return None
        usd = self._rates.usd(reply.prompt_tokens, reply.completion_tokens)
        return usd if usd <= self.cost_max else None

    @property
    def _rates(self) -> Rates:
        return self.model.rates or FREE


@dataclass(slots=True)
class Consultation:
    """Calls, tokens and cost so far, for the record and the bill."""

    prompt: Prompt
    clock: Callable[[], float]
    began_at: float = field(init=False)
    model: Model | None = None
    attempts: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: Decimal = Decimal(0)
    replies: list[str] = field(default_factory=list)
    repairs: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.began_at = self.clock()

    @property
    def cost(self) -> int:
        return atomic(self.usd)

    def failed(self, call: SentCall, error: CallFailed) -> None:
        """What may have been billed of a call without a reply counts with the most it can cost."""
        self.model = call.model
        self.attempts += 1
        costs = {Billed.NOTHING: Decimal(0), Billed.PROMPT: call.prompt_cost_max, Billed.ALL: call.cost_max}
        self.usd += costs[error.billed]
        self.errors.append(f"{call.model.name}: {error}")

    def answered(self, call: SentCall, reply: Completion) -> None:
        """A reply is billed whether a decision can be read from it or not."""
        self.model = call.model
        self.attempts += 1
        self.replies.append(reply.raw[-llm_answer.REPLY_MAX :])
        self.prompt_tokens += reply.prompt_tokens
        self.completion_tokens += reply.completion_tokens
        usd = call.cost(reply)
        if usd is None:
            usd = call.cost_max
            self.errors.append(
                f"{call.model.name}: its count of tokens cannot be; counted as the most the call may cost"
            )
        self.usd += usd

    def record(self) -> Mapping[str, object]:
        """Plain JSON values. errors: what went wrong on the way, even where it went well in the end."""
        return {
            "model": self.model.name if self.model else "",
            "promptHash": self.prompt.digest,
            "promptVersion": llm_prompt.version(),
            "prompt": self.prompt.text,
            "rawReply": self.replies[-1] if self.replies else "",
            "rawReplies": list(self.replies),
            "attempts": self.attempts,
            "repairs": list(self.repairs),
            "tokens": {"prompt": self.prompt_tokens, "completion": self.completion_tokens},
            "costUsd": f"{self.usd:f}",
            "unpriced": self.model is not None and self.model.rates is None,
            "latencyMs": round((self.clock() - self.began_at) * 1000),
            "errors": list(self.errors),
        }
