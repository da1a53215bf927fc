"""An order like that of a run which there is: what was ordered, not what became of it. Pure."""

from gpuagent.agent.start import Order
from gpuagent.core.model import Run
from gpuagent.core.workload import from_canonical


def order_like(run: Run) -> Order:
    """The run's order, for another user to give. The contents of its inputs are in the file store, or were."""
    workload = from_canonical(run.workload) if run.workload else None
    return Order(
        goal=run.goal,
        budget=run.budget,
        gpu_type="" if workload else run.gpu_type,
        max_hours=None if workload else run.max_hours,
        planner=run.planner,
        planners=run.planner_arms,
        count=run.count if run.count > 1 else None,
        jobs_open_max=run.jobs_open_max,
        hedge_after=run.hedging.after_s or None,
        vendor_ids=run.vendor_ids,
        tags=run.tags,
        workload=workload,
    )
