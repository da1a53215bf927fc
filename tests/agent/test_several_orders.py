"""Orders of several jobs: what one may say, and what it costs before a run is there."""

from dataclasses import replace
from typing import Any

import pytest

from gpuagent.agent.dry_run import simulate
from gpuagent.agent.prices import check_budget, prices
from gpuagent.agent.start import Order, prepare
from gpuagent.core.workload import Workload
from gpuagent.errors import BadInput
from gpuagent.render.as_json import rehearsal_json
from tests.support.numbered_jobs import numbered, sweep
from tests.support.workshop import HOUR_PRICE, Seller, Workshop, works


def orders(**order: Any) -> Order:
    workload = Workload.model_validate({"name": "sweep", "command": "true", **order.pop("work", {})})
    return Order("", 9 * HOUR_PRICE, workload=workload, **order)


def test_an_order_names_its_jobs_in_the_job_file_or_beside_it_and_not_twice() -> None:
    work = {"jobs": {"count": 5, "at_once": 3}}
    assert orders(work=work).several == orders(work=work, count=5, jobs_open_max=3).several == (5, 3)
    assert orders(count=4).several == (4, 1)
    assert orders().several == (1, 1)
    for wrong, words in (
        (orders(work=work, count=4), "the job file asks for 5 jobs, 3 at once"),
        (orders(work=work, jobs_open_max=2), "the job file asks for 5 jobs, 3 at once"),
        (orders(count=201), "a run completes 1 to 200 jobs"),
        (orders(count=0), "a run completes 1 to 200 jobs"),
        (orders(count=2, jobs_open_max=33), "1 to 32 jobs may be open at once"),
        (orders(jobs_open_max=9), "1 to 8 jobs may be open at once"),
    ):
        with pytest.raises(BadInput, match=words):
            _ = wrong.several


@pytest.mark.parametrize(
    ("work", "words"),
    [
        ({"env": {"GPUAGENT_JOB_INDEX": "1"}}, "GPUAGENT_JOB_INDEX is set for each of several jobs"),
        ({"setup": "#" * 40_000}, "would be a record of 12,0"),
        ({"outputs": [{"path": f"{number}.bin"} for number in range(100)]}, "ask for fewer jobs"),
    ],
)
def test_a_job_file_that_is_not_fit_for_several_is_refused_at_the_start(work: dict[str, Any], words: str) -> None:
    world = Workshop(a=Seller(works))
    assert prepare(orders(work=work), world.ports).count == 1
    with pytest.raises(BadInput, match=words):
        prepare(orders(work=work, count=200), world.ports)


def test_a_budget_is_held_against_the_price_of_all_jobs_before_a_run_is_there() -> None:
    world = Workshop(a=Seller(works), b=Seller(works))
    assert prices(orders(count=9), world.ports).shortfall(9 * HOUR_PRICE) == ""
    with pytest.raises(
        BadInput, match=r"9\.00 USD cannot complete 10 jobs: 1 h of A100 each cost at least 10\.00 USD, at a"
    ):
        check_budget(orders(count=10), world.ports)


def test_a_dry_run_says_what_all_jobs_cost() -> None:
    world = sweep(count=4, at_once=2, jobs=4, a=Seller(numbered), b=Seller(numbered))
    rehearsal = simulate(world.run, world.ports)
    assert (
        rehearsal.several
        == "the 4 jobs that are still to be bought cost 4.00 USD at this price, and more where some fail"
    )
    assert rehearsal_json(rehearsal)["costOfAll"] == str(4 * HOUR_PRICE)
    poor = simulate(replace(world.run, budget=3 * HOUR_PRICE), world.ports)
    assert (poor.would_pay, poor.cost_of_all) == (None, 4 * HOUR_PRICE)
    assert "cost at least 4.00 USD, at a, and 3.00 USD are left" in poor.why_not


def test_variables_that_leave_no_room_for_the_number_are_refused() -> None:
    job = {"name": "x", "command": "true", "jobs": {"count": 3}, "env": {f"V{number}": "1" for number in range(199)}}
    with pytest.raises(ValueError, match="each of several jobs gets two more"):
        Workload.model_validate(job)
