"""Ask a planner about a context, once: answers are remembered, those that cost money on disk; spending has a limit."""

import json
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from gpuagent.core.context import Context
from gpuagent.core.model import Action, Decision
from gpuagent.core.money import show_usd
from gpuagent.core.ports import Planner
from gpuagent.errors import BadInput, ConfigError, GpuAgentError, PlannerError
from gpuagent.planbench.play import Answer, digest, fault_of

FILE_NAME = re.compile(r"[^A-Za-z0-9._-]+")


@runtime_checkable
class Priced(Protocol):
    """A planner whose answers cost money. Its `identity`, if any, names what else they depend on, as the model."""

    def price(self, context: Context) -> int:
        """At most what asking will cost, in atomic units."""
        ...


class LimitReached(GpuAgentError):
    """Asking on would spend more than was allowed. What was asked so far is kept."""


@dataclass(slots=True)
class Purse:
    """What may be spent on asking, over all planners; None: no end. In atomic units. stopped: a person said so."""

    limit: int | None = None
    spent: int = 0
    stopped: bool = False

    def check(self, price: int, planner: str) -> None:
        if self.stopped:
            raise LimitReached(f"stopped by hand while {planner} was played. What was answered is kept")
        if self.limit is not None and self.spent + price > self.limit:
            raise LimitReached(
                f"asking {planner} on would pass the limit of {show_usd(self.limit)}: {show_usd(self.spent)} are "
                "spent. What was answered is kept: raise --limit to go on from there"
            )


class Memory:
    """Answers by (context, objection). A file of JSON lines, each safe on disk before the next question."""

    def __init__(self, path: Path | None = None) -> None:
        """path None: nothing outlives this object. Raises BadInput where a line is not what was written."""
        self._path = path
        self._known: dict[str, Answer] = {}
        if path and path.exists():
            self._read(path)

    def __len__(self) -> int:
        return len(self._known)

    def get(self, key: str) -> Answer | None:
        return self._known.get(key)

    def put(self, key: str, answer: Answer, record: Mapping[str, object]) -> None:
        self._known[key] = answer
        if self._path is None or answer.decision is None:
            return  # no answer may have been the network's failure: another session asks again
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"key": key, **_written(answer), "record": dict(record)}, default=str) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def _read(self, path: Path) -> None:
        text = path.read_text("utf-8")
        whole = text[: text.rfind("\n") + 1]
        if whole != text:  # the last write was interrupted: it stands for nothing, and must not spoil the next line
            os.truncate(path, len(whole.encode()))
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                entry = json.loads(line)
                self._known[entry["key"]] = _answer(entry)
            except (ValueError, KeyError, TypeError, InvalidOperation) as error:
                raise BadInput(f"{path}, line {number} is no remembered answer: delete the line or the file") from error


class Asker:
    """One planner, its memory and the purse it is paid from. With a fallback, its answers pass the guard first."""

    def __init__(
        self,
        planner: Planner,
        memory: Memory,
        purse: Purse,
        fallback: Planner | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.planner, self._memory, self._purse = planner, memory, purse
        self._fallback, self._clock = fallback, clock
        self.calls = self.spent = self.tokens = 0
        """Questions that were put, what they cost (atomic units), and the tokens they took, as the planner counts."""

    def __call__(self, context: Context) -> Answer:
        """Raises LimitReached, and ConfigError or BadInput of the planner; any other failure of it is its answer."""
        answer = self._once(context, "")
        objection = fault_of(answer.decision, context)
        if self._fallback is None or not objection:
            return answer
        if answer.decision:  # as in production: a refused answer is asked for again, a missing one is not
            again = self._once(context, objection)
            answer = replace(again, ms=answer.ms + again.ms, amount=_charged(answer) + _charged(again), refused=1)
            if not fault_of(again.decision, context):
                return answer
        decided = self._fallback.decide(context).decision
        return replace(answer, decision=decided, problem="", refused=answer.refused + 1)

    @property
    def questions(self) -> int:
        """At most so many to a context."""
        return 1 if self._fallback is None else 2

    def known(self, context: Context) -> Answer | None:
        """What was answered before, without asking."""
        return self._memory.get(_key(context, ""))

    def _once(self, context: Context, objection: str) -> Answer:
        key = _key(context, objection)
        found = self._memory.get(key)
        if found is not None:
            return replace(found, fresh=False)
        if isinstance(self.planner, Priced):
            self._purse.check(self.planner.price(context), self.planner.name)
        self.calls += 1
        began = self._clock()
        answer, record = self._ask(context, objection)
        answer = replace(answer, ms=(self._clock() - began) * 1000)
        self._purse.spent += answer.amount
        self.spent += answer.amount
        self.tokens += _tokens(record)
        self._memory.put(key, answer, record)
        return answer

    def _ask(self, context: Context, objection: str) -> tuple[Answer, Mapping[str, object]]:
        try:
            thought = self.planner.decide(context, objection)
        except PlannerError as error:
            return Answer(None, 0, error.cost, str(error)), error.record
        except (ConfigError, BadInput):
            raise
        except Exception as error:  # noqa: BLE001 - a crash is an invalid decision, whatever it is
            return Answer(None, 0, problem=f"crashed: {type(error).__name__}: {error}"), {}
        return Answer(thought.decision, 0, thought.cost), thought.record


def memory_of(planner: Planner, folder: Path | None) -> Memory:
    """On disk for what costs money: a free answer is cheaper asked again than kept past a change of the planner."""
    if folder is None or not isinstance(planner, Priced):
        return Memory()
    identity = str(getattr(planner, "identity", planner.name))
    return Memory(folder / f"{FILE_NAME.sub('-', identity)[:120]}.jsonl")


def _key(context: Context, objection: str) -> str:
    return f"{digest(context)} {objection}" if objection else digest(context)


def _charged(answer: Answer) -> int:
    return answer.amount if answer.fresh else 0


def _tokens(record: Mapping[str, object]) -> int:
    """As a number, or as numbers by kind."""
    told = record.get("tokens", 0)
    return sum(one for one in (told.values() if isinstance(told, Mapping) else [told]) if isinstance(one, int))


def _written(answer: Answer) -> dict[str, Any]:
    assert answer.decision
    decision = {
        "action": answer.decision.action.value,
        "vendorId": answer.decision.vendor_id,
        "maxHours": str(answer.decision.max_hours),
        "waitUntil": answer.decision.wait_until,
        "reason": answer.decision.reason,
    }
    return {"decision": decision, "ms": answer.ms, "cost": str(answer.amount)}


def _answer(entry: Mapping[str, Any]) -> Answer:
    found = entry["decision"]
    decision = Decision(
        Action(found["action"]),
        found["reason"],
        found["vendorId"],
        Decimal(found["maxHours"]),
        float(found["waitUntil"]),
    )
    return Answer(decision, float(entry["ms"]), int(entry["cost"]))
