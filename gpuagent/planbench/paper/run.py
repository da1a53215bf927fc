"""Play of a run with several jobs: the agent's own tick buys on a paper market, with drawn outcomes.

A run with several jobs can go many ways, of which planners share no single path: so in every mode it is played with the
drawn outcomes of its scenario, which are common to all planners. A tick of the scenario is one tick of the agent: it
hears how the jobs that were open have ended, and asks its planner about one more job until no more may be open, and
about a hedge of each that is late where the scenario allows hedges.
"""

from dataclasses import dataclass, field, replace

from gpuagent.core import budget
from gpuagent.core.context import Context, Thought
from gpuagent.core.indices import completed
from gpuagent.core.model import Action, Decision, Run, RunStatus
from gpuagent.planbench.paper.market import PaperMarket
from gpuagent.planbench.paper.store import RUN_ID
from gpuagent.planbench.play import INVALID_MAX, Ask, Move, PlannerAnswer, Play, digest
from gpuagent.planbench.scenarios import EPOCH, Market
from gpuagent.tick import tick

FALLBACK = "stub"
"""The planner that the agent asks once it has refused another twice; here the same, which then waits."""


@dataclass(slots=True)
class PaperPlanner:
    """A client's planner as the port Planner, which adds the scenario's deadline to what it sees.

    moves: its decisions so far, those that the guard refused with its objection as their fault. answers: as they came.
    closed: the scenario is over, and no further job is begun.
    """

    name: str
    ask: Ask
    market: Market
    closed: bool = False
    moves: list[Move] = field(default_factory=list)
    answers: list[PlannerAnswer] = field(default_factory=list)

    def decide(self, context: Context, objection: str = "") -> Thought:
        # Half a tick is as good as all of it, and no rounding makes the next one come too early.
        next_tick = context.now + self.market.job_s / 2
        wait = Thought(Decision(Action.WAIT, "until the next tick", wait_until=next_tick))
        if self.closed:
            return wait
        if objection:  # the decision is lost, as it is in a run with one job
            self.moves[-1] = replace(self.moves[-1], fault=objection)
            return wait
        context = replace(context, deadline=self.market.at(self.market.ticks))
        answer = self.ask(context)
        decision = answer.decision or Decision(Action.WAIT, "")
        self.answers.append(answer)
        self.moves.append(_move(self.market, context, answer, decision))
        if answer.decision is None or decision.action is Action.WAIT:
            return wait
        return Thought(decision)

    @property
    def invalid(self) -> int:
        return sum(1 for move in self.moves if move.fault)


def play_several(market: Market, planner: str, ask: Ask, replicate: int) -> Play:
    """A play of a run with several jobs, with one replicate of the drawn outcomes."""
    paper = PaperMarket(market, replicate, planner)
    client = PaperPlanner(planner, ask, market)
    ports = paper.ports({planner: client, FALLBACK: client})
    for at in range(market.ticks):
        paper.turn_to(at)
        tick(RUN_ID, ports)
        if paper.run.status is not RunStatus.RUNNING or client.invalid >= INVALID_MAX:
            break
    if paper.run.status is RunStatus.RUNNING:  # what ends by the deadline counts
        client.closed = True
        paper.turn_to(market.ticks)
        tick(RUN_ID, ports)
    return _play(market, paper.run, client, replicate)


def _play(market: Market, run: Run, client: PaperPlanner, replicate: int) -> Play:
    answers = client.answers
    return Play(
        scenario=market.scenario,
        variant=market.variant,
        replicate=replicate,
        family=market.family,
        planner=client.name,
        complete=float(run.status is RunStatus.COMPLETED),
        spend=budget.settled(run) / market.budget,
        jobs=market.count,
        jobs_done=float(len(completed(run))),
        budget=market.budget,
        invalid=client.invalid,
        refused=sum(answer.refused for answer in answers),
        worst_ms=max((answer.ms for answer in answers), default=0.0),
        planner_cost=sum(answer.amount for answer in answers if answer.fresh),
        moves=tuple(client.moves),
    )


def _move(market: Market, context: Context, answer: PlannerAnswer, decision: Decision) -> Move:
    return Move(
        tick=round((context.now - EPOCH) / market.job_s),
        action=decision.action.value,
        vendor_id=decision.vendor_id,
        reason=decision.reason,
        digest=digest(context),
        survival=1.0,
        fault=answer.problem or ("" if answer.decision else "no decision"),
    )
