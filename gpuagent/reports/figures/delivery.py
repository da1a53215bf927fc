"""Results that runs with a job file delivered: the cost of each, what was bought twice, what resuming saved. Pure."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import pandas as pd

from gpuagent.reports.frames import TIME, Frame, frame

DELIVERED = {
    **dict.fromkeys(("runId", "userId", "goal", "gpuType"), "str"),
    "jobs": "int64",
    **dict.fromkeys(("hours", "boughtHours", "twiceHours", "savedHours"), "float64"),
    **dict.fromkeys(("cost", "saved"), "int64"),
    "outputs": "object",
    "outputCount": "int64",
    "artifactUrl": "str",
    "createdAt": TIME,
}


def delivered(runs: Frame, purchases: Frame) -> Frame:
    """The runs with a job file that completed, dearest first. purchases: all of these runs, whoever the vendor.

    jobs: those that were paid. hours: the run's. boughtHours: of all its paid jobs; twiceHours: those beyond the run's,
    which a failed job had been paid for already. savedHours, saved: what would have been bought besides, had every
    job begun anew. cost: what the paid jobs cost in the end. outputs: of the job that completed.
    """
    completed = runs[(runs.status == "completed") & (runs.workloadHash != "")]
    settled = purchases[(purchases.state == "settled") & purchases.runId.isin(completed.runId)]
    jobs_by_run: dict[str, list[Any]] = {run_id: [] for run_id in completed.runId}
    for job in settled.itertuples():
        jobs_by_run[str(job.runId)].append(job)
    rows = [_result(run, jobs_by_run[str(run.runId)]) for run in completed.itertuples()]
    results = frame(pd.DataFrame(rows, columns=list(DELIVERED)), DELIVERED)
    return results.sort_values(["cost", "createdAt"], ascending=[False, True], kind="stable", ignore_index=True)


def mean_cost(cost: int, results: int) -> int | None:
    """Atomic units for one of so many delivered results; None without any."""
    return round(Decimal(cost) / results) if results else None


def _result(run: Any, jobs: Sequence[Any]) -> dict[str, Any]:
    """jobs: the paid ones of the run, as rows of purchases."""
    needed, bought = Decimal(str(run.maxHours)), _sum(job.hours for job in jobs)
    successful = [job for job in jobs if job.status == "completed"]
    last = successful[-1] if successful else None
    return {
        **{name: getattr(run, name) for name in ("runId", "userId", "goal", "gpuType", "createdAt")},
        "jobs": len(jobs),
        "hours": float(needed),
        "boughtHours": float(bought),
        "twiceHours": float(max(Decimal(0), bought - needed)),
        "savedHours": float(_sum(job.hoursSaved for job in jobs)),
        "cost": sum(job.cost for job in jobs),
        "saved": sum(job.saved for job in jobs),
        "outputs": last.outputs if last else (),
        "outputCount": last.outputCount if last else 0,
        "artifactUrl": last.artifactUrl if last else "",
    }


def _sum(hours: Iterable[float]) -> Decimal:
    """Exact in the decimals in which hours are bought."""
    return sum((Decimal(str(value)) for value in hours), Decimal(0))
