"""Planners' answers: each context is asked about once, within a limit on spending."""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

from gpuagent.core.context import Context
from gpuagent.core.money import parse_usd, show_usd
from gpuagent.core.ports.planner import Planner
from gpuagent.core.status import planner_label
from gpuagent.errors import BadInput, ConfigError, GpuAgentError, PlannerError
from gpuagent.planbench.answer_cache import AnswerCache
from gpuagent.planbench.play import PlannerAnswer, digest, fault_of

FILE_NAME_MAX = 120
UNSAFE_IN_FILE_NAMES = re.compile(r"[^A-Za-z0-9._-]+")


@runtime_checkable
class Priced(Protocol):
    """A planner whose answers cost money. Its `identity`, if any, names what else they depend on, as the model."""

    def price(self, context: Context) -> int:
        """The most that an answer about the context can cost, in atomic units."""
        ...


class LimitReached(GpuAgentError):
    """The next question would pass the spending limit. Answers so far are kept."""


@dataclass(slots=True)
class SpendLimit:
    """The spending limit of all planners together, in atomic units; amount None: no limit. stopped: by the user."""

    amount: int | None = None
    spent: int = 0
    stopped: bool = False

    @classmethod
    def parse(cls, usd: str) -> "SpendLimit":
        """A limit of an amount in USD; none for "". Raises BadInput."""
        return cls(parse_usd(usd) if usd else None)

    def check(self, price: int, planner: str) -> None:
        """Raises LimitReached where a question at this price is not allowed."""
        self.check_stopped(planner)
        if self.amount is not None and self.spent + price > self.amount:
            raise LimitReached(
                f"asking {planner} on would exceed the limit of {show_usd(self.amount)}: {show_usd(self.spent)} are "
                "spent. What was answered is kept: raise --limit to go on from there"
            )

    def check_stopped(self, planner: str) -> None:
        """Raises LimitReached once the user has stopped the play."""
        if self.stopped:
            raise LimitReached(f"stopped by hand while {planner_label(planner)} was played. What was answered is kept")


class PlannerClient:
    """One planner with its cache and the limit it spends from. With a fallback, the guard checks its answers.

    calls, spent, tokens: questions put, their cost (atomic units), and the tokens they took, as the planner counts.
    """

    def __init__(
        self,
        planner: Planner,
        cache: AnswerCache | None = None,
        spend_limit: SpendLimit | None = None,
        fallback: Planner | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """cache, spend_limit: in memory and without end by default."""
        self.planner, self._fallback, self._clock = planner, fallback, clock
        self._cache = AnswerCache() if cache is None else cache
        self._spend_limit = SpendLimit() if spend_limit is None else spend_limit
        self.calls = self.spent = self.tokens = 0

    def __call__(self, context: Context) -> PlannerAnswer:
        """The planner's answer, from the cache if possible; a failure of the planner is an answer without a decision.

        Raises LimitReached, and ConfigError or BadInput of the planner.
        """
        answer = self._answer(context, "")
        objection = fault_of(answer.decision, context)
        if self._fallback is None or not objection:
            return answer
        if answer.decision:  # as in production: a refused answer is asked for again, a missing one is not
            second = self._answer(context, objection)
            amount = _new_cost(answer) + _new_cost(second)
            answer = replace(second, ms=answer.ms + second.ms, amount=amount, refused=1)
            if not fault_of(second.decision, context):
                return answer
        decision = self._fallback.decide(context).decision
        return replace(answer, decision=decision, problem="", refused=answer.refused + 1)

    @property
    def questions_max(self) -> int:
        """The most questions that one context can take."""
        return 1 if self._fallback is None else 2

    def cached_answer(self, context: Context) -> PlannerAnswer | None:
        return self._cache.get(_key(context, ""))

    def _answer(self, context: Context, objection: str) -> PlannerAnswer:
        key = _key(context, objection)
        cached_answer = self._cache.get(key)
        if cached_answer is not None:
            return replace(cached_answer, fresh=False)
        self._spend_limit.check_stopped(self.planner.name)
        if isinstance(self.planner, Priced):
            self._spend_limit.check(self.planner.price(context), self.planner.name)
        self.calls += 1
        start = self._clock()
        answer, record = self._ask(context, objection)
        answer = replace(answer, ms=(self._clock() - start) * 1000)
        self._spend_limit.spent += answer.amount
        self.spent += answer.amount
        self.tokens += _tokens(record)
        self._cache.put(key, answer, record)
        return answer

    def _ask(self, context: Context, objection: str) -> tuple[PlannerAnswer, Mapping[str, object]]:
        try:
            thought = self.planner.decide(context, objection)
        except PlannerError as error:
            return PlannerAnswer(None, 0, error.cost, str(error)), error.record
        except (ConfigError, BadInput):
            raise
        except Exception as error:  # noqa: BLE001 - a crash is an invalid decision, whatever it is
            return PlannerAnswer(None, 0, problem=f"crashed: {type(error).__name__}: {error}"), {}
        return PlannerAnswer(thought.decision, 0, thought.cost), thought.record


def cache_for(planner: Planner, folder: Path | None) -> AnswerCache:
    """A cache in a file of the folder for a planner that charges, in memory for a free one.

    A free answer costs nothing to ask for again, and a file would keep it past a change of the planner.
    """
    if folder is None or not isinstance(planner, Priced):
        return AnswerCache()
    identity = str(getattr(planner, "identity", planner.name))
    return AnswerCache(folder / f"{UNSAFE_IN_FILE_NAMES.sub('-', identity)[:FILE_NAME_MAX]}.jsonl")


def _key(context: Context, objection: str) -> str:
    return f"{digest(context)} {objection}" if objection else digest(context)


def _new_cost(answer: PlannerAnswer) -> int:
    return answer.amount if answer.fresh else 0


def _tokens(record: Mapping[str, object]) -> int:
    """The tokens of a record, which holds one number, or numbers by kind."""
    tokens = record.get("tokens", 0)
    counts = tokens.values() if isinstance(tokens, Mapping) else [tokens]
    return sum(count for count in counts if isinstance(count, int))
