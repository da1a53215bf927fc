"""Replay: another planner's choice for each recorded decision of a run, in the very context it was made in."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.markup import escape
from rich.table import Table

from gpuagent.core.context import Context
from gpuagent.core.status import planner_label
from gpuagent.errors import BadInput
from gpuagent.planbench.answers import PlannerClient, Priced
from gpuagent.planbench.choices import Choice, recorded_choice, recorded_decisions
from gpuagent.planbench.compare import CostEstimate
from gpuagent.planbench.labels import planner_note
from gpuagent.planbench.play import digest, fault_of


@dataclass(frozen=True, slots=True)
class ReplayedDecision:
    """A recorded choice of decided_by beside the alternative, the replaying planner's choice.

    problem: why there is no alternative, or the guard's objection to it.
    """

    at: str
    context_hash: str
    decided_by: str
    recorded: Choice
    alternative: Choice | None = None
    problem: str = ""

    @property
    def agrees(self) -> bool:
        return self.alternative is not None and self.alternative.key == self.recorded.key


def replay(observations: Iterable[Mapping[str, Any]], client: PlannerClient) -> list[ReplayedDecision]:
    """The decisions recorded in a run's observations, replayed in their order.

    Raises as PlannerClient does, and BadInput where there is none.
    """
    decisions = recorded_decisions(observations)
    if not decisions:
        raise BadInput("nothing to replay: the run holds no recorded decision")
    return [_replay(observation, client) for observation in decisions]


def estimate(observations: Iterable[Mapping[str, Any]], client: PlannerClient) -> CostEstimate | None:
    """The most that a replay can cost, None for a free planner. Cached answers cost nothing."""
    if not isinstance(client.planner, Priced):
        return None
    contexts: dict[str, Context] = {}
    for observation in recorded_decisions(observations):
        try:
            context = _context(observation["data"])
        except BadInput:
            continue  # replay() reports it, and puts no question
        if client.cached_answer(context) is None:
            contexts[digest(context)] = context
    amount = client.questions_max * sum(map(client.planner.price, contexts.values()))
    return CostEstimate(client.planner.name, client.questions_max * len(contexts), amount)


def summary(decisions: Iterable[ReplayedDecision]) -> dict[str, int]:
    verdicts = Counter(
        "unanswered" if decision.alternative is None else "agree" if decision.agrees else "differ"
        for decision in decisions
    )
    return {verdict: verdicts[verdict] for verdict in ("agree", "differ", "unanswered")}


def replay_json(decisions: Iterable[ReplayedDecision]) -> dict[str, Any]:
    decisions = list(decisions)
    return {**summary(decisions), "decisions": [_as_json(decision) for decision in decisions]}


def replay_table(decisions: Sequence[ReplayedDecision], planner: str) -> Table:
    note = planner_note((planner, *(decision.decided_by for decision in decisions)))
    table = Table(box=None, pad_edge=False, caption=note or None, caption_justify="left")
    for column in ("at", "decided by", "decided", f"{planner_label(planner)} would", "", "why"):
        table.add_column(column)
    for decision in decisions:
        alternative = decision.alternative
        decided_by = escape(planner_label(decision.decided_by))
        mark = "=" if decision.agrees else "≠" if alternative else "?"
        choices = decision.recorded.label, alternative.label if alternative else "no answer"
        reasons = f"{decision.recorded.reason}\n{alternative.reason if alternative else ''} {decision.problem}".rstrip()
        table.add_row(decision.at[:19], decided_by, *map(escape, choices), mark, escape(reasons))
    return table


def _context(data: Mapping[str, Any]) -> Context:
    """The recorded context. Raises BadInput where its hash is another."""
    context = Context.from_json(data.get("context") or {})
    if context.digest() != data.get("contextHash"):
        raise BadInput("the recorded context is not the one its hash stands for")
    return context


def _replay(observation: Mapping[str, Any], client: PlannerClient) -> ReplayedDecision:
    data, timestamp = observation["data"], observation["timestamp"]
    at = timestamp if isinstance(timestamp, str) else timestamp.isoformat()
    decided_by = str(data.get("decidedBy", data.get("planner", "")))
    record = at, str(data.get("contextHash", "")), decided_by, recorded_choice(observation)
    try:
        context = _context(data)
    except BadInput as error:
        return ReplayedDecision(*record, problem=str(error))
    answer = client(context)
    decision = answer.decision
    if decision is None:
        return ReplayedDecision(*record, problem=answer.problem)
    alternative = Choice(decision.action.value, decision.vendor_id, decision.reason)
    return ReplayedDecision(*record, alternative, fault_of(decision, context))


def _as_json(decision: ReplayedDecision) -> dict[str, Any]:
    return {
        "at": decision.at,
        "problem": decision.problem,
        "contextHash": decision.context_hash,
        "decidedBy": decision.decided_by,
        "agrees": decision.agrees,
        "recorded": decision.recorded.as_json(),
        "other": decision.alternative.as_json() if decision.alternative else None,
    }
