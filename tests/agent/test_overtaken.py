"""Two ticks think about one run at once, each with a planner that charges: one decision holds, both are paid for."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from gpuagent.agent.approve import cancel
from gpuagent.core.context import Context, Thought
from gpuagent.core.model import Run, RunStatus
from gpuagent.core.ports import Ports
from gpuagent.tick import tick
from tests.support import scripted_planner as scripted
from tests.support.scripted_planner import ScriptedPlanner
from tests.support.world import World

WINNER, LOSER = 5, 9


class Overtaken(ScriptedPlanner):
    """While it thinks, for the first time, something happens to the run."""

    def __init__(self, answer: Thought, meanwhile: Callable[[], object]) -> None:
        super().__init__([answer])
        self._meanwhile = [meanwhile]

    def decide(self, context: Context, objection: str = "") -> Thought:
        if self._meanwhile:
            self._meanwhile.pop()()
        return super().decide(context, objection)


@pytest.fixture
def world(world: World) -> World:
    """Its own ticks buy from the first vendor."""
    planner = ScriptedPlanner([scripted.start("gpu_vendor_1", cost=WINNER)])
    return replace(world, agent=replace(world.agent, ports=with_planner(world, planner)))


def with_planner(world: World, planner: ScriptedPlanner) -> Ports:
    return replace(world.ports, planners={"stub": world.ports.planners["stub"], planner.name: planner})


def overtaken(world: World, run: Run, lost: Thought) -> Run:
    """The world's own tick is made while this one thinks."""
    return tick(run.run_id, with_planner(world, Overtaken(lost, lambda: world.tick(run))))


@pytest.mark.parametrize(
    "lost",
    [scripted.start("gpu_vendor_2", cost=LOSER), scripted.wait(0, cost=LOSER), scripted.abort(cost=LOSER)],
    ids=["start", "wait", "abort"],
)
def test_a_lost_decision_is_charged_once_and_comes_to_nothing(world: World, lost: Thought) -> None:
    run = world.start(planner="scripted")
    run = world.finish(overtaken(world, run, lost))
    assert run.planner_cost == WINNER + LOSER
    assert [job.quote.vendor_id for job in run.jobs] == ["gpu_vendor_1"]
    world.assert_balanced(run, transfers=1)
    (reasoning,) = [
        observation for observation in world.observations(run, "agent_reasoning") if "overtaken" in observation["data"]
    ]
    assert reasoning["content"] == f"came to nothing, another tick was faster: {lost.decision.reason}"
    assert (reasoning["data"]["cost"], reasoning["data"]["uncharged"]) == (LOSER, 0)
    assert reasoning["data"]["decision"]["action"] == lost.decision.action


def test_no_more_is_charged_than_the_run_has_left_and_the_rest_is_told(world: World) -> None:
    """The winner held nearly all of it: what the loser cost above that can be taken from nobody."""
    run = world.start(budget=1.5, planner="scripted")
    run = world.finish(overtaken(world, run, scripted.start("gpu_vendor_1", cost=100_000)))
    assert run.planner_cost == 100_000
    assert world.books(run).ledger.available == 0
    world.assert_balanced(run, transfers=1)
    (reasoning,) = [
        observation for observation in world.observations(run, "agent_reasoning") if "overtaken" in observation["data"]
    ]
    assert reasoning["data"]["uncharged"] == WINNER


def test_a_run_that_ended_meanwhile_is_charged_too(world: World) -> None:
    run = world.start(planner="scripted")
    planner = Overtaken(
        scripted.start("gpu_vendor_1", cost=LOSER),
        lambda: cancel(run.run_id, "Ada", "wrong goal", world.store, world.market.clock),
    )
    ended = tick(run.run_id, with_planner(world, planner))
    assert (ended.status, ended.jobs, ended.planner_cost) == (RunStatus.FAILED, (), LOSER)
    world.assert_balanced(ended, transfers=0)


def test_a_lost_decision_that_cost_nothing_leaves_no_trace(world: World) -> None:
    run = overtaken(world, world.start(planner="scripted"), scripted.start("gpu_vendor_2"))
    assert run.planner_cost == WINNER
    assert not [
        observation for observation in world.observations(run, "agent_reasoning") if "overtaken" in observation["data"]
    ]
