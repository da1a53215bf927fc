"""Orders that have late jobs hedged: after what delay, and which say it wrongly."""

from typing import Any

import pytest

from gpuagent.agent.order_like import order_like
from gpuagent.agent.start import Order, prepare
from gpuagent.core.model import Hedging
from gpuagent.core.workload import Workload
from gpuagent.errors import BadInput
from tests.support.workshop import Seller, Workshop, works


def orders(**order: Any) -> Order:
    return Order("train", 5_000_000, **order)


def test_an_order_says_after_what_delay_and_a_job_file_too() -> None:
    world = Workshop(a=Seller(works))
    workload = Workload.model_validate({"name": "x", "command": "true", "jobs": {"hedge_after": "15m"}})
    assert prepare(orders(hedge_after=90), world.ports).hedging == Hedging(90)
    run = prepare(orders(workload=workload), world.ports)
    assert (run.hedging, run.count) == (Hedging(900), 1)
    assert order_like(run).hedge_after == 900
    assert prepare(order_like(run), world.ports).hedging == Hedging(900)
    assert prepare(orders(hedge_after=0), world.ports).hedging == prepare(orders(), world.ports).hedging == Hedging()
    assert order_like(prepare(orders(), world.ports)).hedge_after is None


@pytest.mark.parametrize(
    ("order", "why"),
    [
        ({"hedge_after": -1}, "1 s to 30 days"),
        ({"hedge_after": 10**9}, "1 s to 30 days"),
        ({"hedge_after": 9, "jobs_open_max": 2}, "is bought 2 times from the beginning"),
    ],
)
def test_a_delay_that_cannot_be_is_refused(order: dict[str, Any], why: str) -> None:
    with pytest.raises(BadInput, match=why):
        prepare(orders(**order), Workshop(a=Seller(works)).ports)


def test_an_order_that_differs_from_the_job_file_is_refused() -> None:
    workload = Workload.model_validate({"name": "x", "command": "true", "jobs": {"count": 2, "hedge_after": 60}})
    with pytest.raises(BadInput, match=r"hedged after 1m \(jobs.hedge_after\), and the order after 1m30s"):
        prepare(orders(workload=workload, hedge_after=90), Workshop(a=Seller(works)).ports)
