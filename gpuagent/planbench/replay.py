"""What would another planner have done? Recorded decisions are asked again, in the very context they were made in."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rich.markup import escape
from rich.table import Table

from gpuagent.core.context import Context
from gpuagent.errors import BadInput
from gpuagent.planbench.answers import Asker, Priced
from gpuagent.planbench.compare import Estimate
from gpuagent.planbench.play import digest, fault_of


@dataclass(frozen=True, slots=True)
class Said:
    """A decision, as far as two of them are compared."""

    action: str
    vendor_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Replayed:
    """recorded: what decided_by said then. other: what the other planner says now, None with a problem.

    problem: why it could not be asked, or what the guard would say to its answer.
    """

    at: str
    context_hash: str
    decided_by: str
    recorded: Said
    other: Said | None
    problem: str = ""

    @property
    def agrees(self) -> bool:
        if self.other is None:
            return False
        return (self.recorded.action, self.recorded.vendor_id) == (self.other.action, self.other.vendor_id)


def replay(observations: Iterable[Mapping[str, Any]], asker: Asker) -> list[Replayed]:
    """Every decision with a record among a run's observations, in their order. Raises as Asker does, and BadInput
    where there is none.
    """
    made = _decisions(observations)
    if not made:
        raise BadInput("nothing to replay: the run holds no recorded decision")
    return [_replayed(one, asker) for one in made]


def estimate(observations: Iterable[Mapping[str, Any]], asker: Asker) -> Estimate | None:
    """Before anything is asked. None for a planner that is free; what is remembered is not asked again."""
    if not isinstance(asker.planner, Priced):
        return None
    unknown: dict[str, Context] = {}
    for one in _decisions(observations):
        try:
            context = _context(one["data"])
        except BadInput:
            continue  # replay() says so, and asks nobody
        if asker.known(context) is None:
            unknown[digest(context)] = context
    amount = asker.questions * sum(map(asker.planner.price, unknown.values()))
    return Estimate(asker.planner.name, asker.questions * len(unknown), amount)


def summary(found: Iterable[Replayed]) -> dict[str, int]:
    agreed, differed, unasked = 0, 0, 0
    for one in found:
        agreed, differed = agreed + one.agrees, differed + (one.other is not None and not one.agrees)
        unasked += one.other is None
    return {"agree": agreed, "differ": differed, "unanswered": unasked}


def as_json(found: Iterable[Replayed]) -> dict[str, Any]:
    found = list(found)
    return {**summary(found), "decisions": [_json(one) for one in found]}


def replay_table(found: Iterable[Replayed], planner: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("at", "decided by", "decided", f"{planner} would", "", "why"):
        table.add_column(column)
    for one in found:
        mark = "=" if one.agrees else "?" if one.other is None else "≠"
        other = _words(one.other) if one.other else "no answer"
        why = f"{one.recorded.reason}\n{one.other.reason if one.other else ''} {one.problem}".rstrip()
        table.add_row(one.at, escape(one.decided_by), escape(_words(one.recorded)), escape(other), mark, escape(why))
    return table


def _decisions(observations: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [one for one in observations if one["type"] == "agent_reasoning" and one["data"].get("decision")]


def _context(data: Mapping[str, Any]) -> Context:
    """Raises BadInput where it is not what was recorded."""
    context = Context.from_json(data.get("context") or {})
    if context.digest() != data.get("contextHash"):
        raise BadInput("the recorded context is not the one its hash stands for")
    return context


def _replayed(observation: Mapping[str, Any], asker: Asker) -> Replayed:
    data = observation["data"]
    decision = data["decision"]
    recorded = Said(decision["action"], decision["vendorId"], observation["content"])
    stamp = observation["timestamp"]
    at = stamp if isinstance(stamp, str) else stamp.isoformat()
    told = (at, str(data.get("contextHash", "")), str(data.get("decidedBy", data.get("planner", ""))), recorded)
    try:
        context = _context(data)
    except BadInput as error:
        return Replayed(*told, None, str(error))
    answer = asker(context)
    if answer.decision is None:
        return Replayed(*told, None, answer.problem)
    other = Said(answer.decision.action.value, answer.decision.vendor_id, answer.decision.reason)
    return Replayed(*told, other, fault_of(answer.decision, context))


def _words(said: Said) -> str:
    return f"{said.action} {said.vendor_id}".rstrip()


def _json(one: Replayed) -> dict[str, Any]:
    def said(found: Said | None) -> dict[str, str] | None:
        return {"action": found.action, "vendorId": found.vendor_id, "reason": found.reason} if found else None

    plain = {key: value for key, value in asdict(one).items() if key in ("at", "problem")}
    names = {"contextHash": one.context_hash, "decidedBy": one.decided_by, "agrees": one.agrees}
    return {**plain, **names, "recorded": said(one.recorded), "other": said(one.other)}
