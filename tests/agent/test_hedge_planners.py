"""Planners that are asked about a hedge: what they are told, and what comes of each answer."""

import json
from dataclasses import replace

from gpuagent.adapters.planners.llm import prompt
from gpuagent.core.context import Context, Thought
from gpuagent.core.model import Action, Decision, Run, RunStatus
from tests.support.factories import candidate, context
from tests.support.late_jobs import AFTER, hangs, hedges, reasons, until_late, world_of
from tests.support.workshop import Seller, Workshop


class Chooser:
    """A planner that answers so, and keeps what it was asked. cost: of each answer."""

    def __init__(self, answer: Decision, cost: int = 0) -> None:
        self.asked: list[Context] = []
        self._answer, self._cost = answer, cost

    def decide(self, context: Context, objection: str = "") -> Thought:
        self.asked.append(context)
        return Thought(replace(self._answer, max_hours=context.hours), self._cost)


def chosen_by(world: Workshop, planner: Chooser) -> Run:
    until_late(world)
    world.ports = replace(world.ports, planners={**world.ports.planners, "llm": planner})  # type: ignore[dict-item]
    world.run = replace(world.run, planner="llm")
    return world.ticks(5)


def test_planners_are_told_of_whom_it_is_a_hedge_and_how_late() -> None:
    world = world_of(a=Seller(hangs), b=Seller(hangs), c=Seller(hangs))
    planner = Chooser(Decision(Action.START_JOB, "quick", "c"))
    run = chosen_by(world, planner)
    (asked,) = planner.asked
    assert (asked.hedged_vendor, asked.late_s) == ("a", 302.0)
    late = asked.candidate("a")
    assert late
    assert (late.refusals, late.transient) == (("it has the job that is late",), False)
    assert hedges(run)[0].quote.vendor_id == "c"
    assert Context.from_json(json.loads(json.dumps(asked.as_json()))) == asked
    assert (asked.hedge_after_s, asked.hedges_open, asked.hedges_held) == (AFTER, 0, 0)
    shown = prompt.market(asked)
    assert (shown["hedgeAfterSeconds"], shown["hedgesOpen"], shown["heldForHedges"]) == (AFTER, 0, "0.000000")
    assert (shown["lateVendor"], shown["lateSeconds"]) == ("a", 302.0)
    assert "a hedge" in prompt.write(asked).messages[1]["content"]
    plain = context(candidate("a", 1))
    assert not {"hedged_vendor", "late_s", "hedge_after_s", "hedges_open", "hedges_held"} & set(plain.as_json())
    assert not {"lateVendor", "hedgeAfterSeconds"} & set(prompt.market(plain))


def test_a_planner_that_would_take_the_late_vendor_is_refused() -> None:
    world = world_of(a=Seller(hangs), b=Seller(hangs))
    planner = Chooser(Decision(Action.START_JOB, "again", "a"))
    run = chosen_by(world, planner)
    assert len(planner.asked) == 2
    assert [job.quote.vendor_id for job in hedges(run)] == ["b"], "the rules decide then"


def test_a_planner_that_declines_is_asked_once_and_charged() -> None:
    world = world_of(a=Seller(hangs), b=Seller(hangs))
    planner = Chooser(Decision(Action.ABORT, "not worth it"), cost=5)
    run = chosen_by(world, planner)
    assert (len(planner.asked), run.planner_cost, hedges(run)) == (1, 5, [])
    assert reasons(world)[-1].endswith("no hedge is bought: not worth it")
    assert run.status is RunStatus.RUNNING


def test_a_planner_that_waits_is_asked_a_few_times() -> None:
    world = world_of(a=Seller(hangs), b=Seller(hangs))
    planner = Chooser(Decision(Action.WAIT, "soon"), cost=5)
    chosen_by(world, planner)
    run = world.ticks(400)
    assert (len(planner.asked), run.planner_cost) == (4, 20)
    assert (run.waits, run.wait_until, run.hedging.declined) == (0, 0, (run.jobs[0].job_id,))
