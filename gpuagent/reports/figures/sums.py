"""Sums of some runs' purchases and decisions, of columns as arrays: what a summary is made of. Pure.

They follow the rules that spend.py, groups.py, runs.py and delivery.py have for the frames of single rows.
"""

from collections.abc import Sequence
from decimal import Decimal
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd

from gpuagent.reports.columns import NO_TIME, Table, added_up, floored, objects, select
from gpuagent.reports.figures.groups import OF_RUNS_KEY, SUMS
from gpuagent.reports.figures.spend import RESULTS, SALE_SUMS, SALES, JobResult, cause
from gpuagent.reports.summary_rows import Array

ANSWER_SUMS = ("decisions", "promptTokens", "completionTokens", "cost")
NEVER = 2**63 - 1


def within(times: Array, since: int, until: int) -> Array:
    """Which are in [since, until), in milliseconds."""
    inside: Array = (times >= since) & (times < until)
    return inside


def counted(purchases: Table) -> dict[str, Any]:
    """Purchases as their sums need them: with the result of the work as `outcome`, the cause of a failure, and jobs."""
    outcome = purchases["status"].mapped(lambda status: str(RESULTS.get(status, "")))
    causes = purchases["errorMessage"].mapped(cause)
    return {**purchases, "outcome": outcome, "cause": causes, "jobs": np.ones(len(outcome), "int64")}


def sales(paid: Table, unit: str) -> dict[str, Any]:
    """Purchases that settled, added up by time, vendor, protocol, GPU and outcome, with the sum of their hours.

    unit: D or h, to which times are rounded down. Every figure here is the same of them as of the purchases.
    """
    paid = select(paid, ~(np.isnan(paid["hours"]) | paid["outcome"].are("")))
    hedge_jobs = paid["hedges"].astype("int64")
    # A hedge that succeeded completed the work before the late job did: one that did not is ended without success.
    won = hedge_jobs * paid["outcome"].are(JobResult.SUCCESS)
    hedged = {"hedgeJobs": hedge_jobs, "hedgeCost": hedge_jobs * paid["cost"], "hedgeWins": won}
    timed = {**paid, **hedged, "settledAt": floored(paid["settledAt"], unit)}
    by_hours = added_up(timed, ("settledAt", *SALES, "hours"), SALE_SUMS)
    jobs = zip(by_hours["hours"].tolist(), by_hours["jobs"].tolist(), strict=True)
    hours = objects([Decimal(str(hours)) * count for hours, count in jobs])
    return added_up({**by_hours, "hours": hours}, ("settledAt", *SALES), (*SALE_SUMS, "hours"))


def answers(decisions: Table, unit: str) -> dict[str, Any]:
    """Decisions added up by time, planner and model."""
    timed = {**decisions, "at": floored(decisions["at"], unit), "decisions": np.ones(len(decisions["at"]), "int64")}
    return added_up(timed, ("at", "planner", "model"), ANSWER_SUMS)


def of_runs(paid: Table, decisions: Table, runs: Table, unit: str) -> dict[str, Any]:
    """Purchases and decisions added up by time and by the user, each tag and the planner of their run.

    name: "" for none. unit: D or h, to which times are rounded down. runs: of each purchase and each decision.
    """
    run_ids = np.concatenate([paid["runId"], decisions["runId"]])
    spent = {name: np.concatenate([paid[name], np.zeros_like(decisions["cost"])]) for name in SUMS[:-1]}
    spent["plannerCost"] = np.concatenate([np.zeros_like(paid["cost"]), decisions["cost"]])
    spent["at"] = floored(np.concatenate([paid["settledAt"], decisions["at"]]), unit)
    # First by kinds of runs, which are few beside the runs; then by what each kind belongs to.
    kinds, members = _kinds_of(runs)
    by_run = np.zeros(runs["runId"].max(initial=0) + 1, "int64")
    by_run[runs["runId"]] = kinds
    by_kind = added_up({**spent, "kind": by_run[run_ids]}, ("at", "kind"), SUMS)
    groups = [members[kind] for kind in by_kind["kind"]]
    dimensions, names = zip(*chain.from_iterable(groups), strict=True) if groups else ((), ())
    rows = select(by_kind, np.repeat(np.arange(len(groups)), list(map(len, groups))))
    return added_up({**rows, "dimension": objects(dimensions), "name": objects(names)}, OF_RUNS_KEY, SUMS)


def _kinds_of(runs: Table) -> tuple[Array, Sequence[Sequence[tuple[str, str]]]]:
    """The kind of each run, which is one for the same user, planner and tags, and the groups of each kind."""
    user, planner, tags = runs["userId"], runs["planner"], runs["tags"]
    # Each has fewer values than there are runs: their product fits.
    numbers = (user.codes * len(planner.values) + planner.codes) * len(tags.values) + tags.codes % len(tags.values)
    kinds, different = pd.factorize(numbers)
    groups = []
    for number in different.tolist():
        rest, tags_place = divmod(number, len(tags.values))
        user_place, planner_place = divmod(rest, len(planner.values))
        own = [("user", user.values[user_place]), ("planner", planner.values[planner_place])]
        groups.append([*own, *(("tag", tag or "") for tag in dict.fromkeys(tags.values[tags_place] or ("",)))])
    return kinds, groups


def waste(paid: Table) -> dict[str, Any]:
    """Money on failed jobs by vendor and cause."""
    failed = select(paid, paid["outcome"].are(JobResult.FAILED))
    return added_up(failed, ("vendorId", "cause"), ("jobs", "cost", "refunded"))


def unpaid(voided: Table) -> dict[str, Any]:
    """Purchases that were never paid, by vendor and cause."""
    return added_up({**voided, "released": voided["expectedCost"]}, ("vendorId", "cause"), ("jobs", "released"))


def successes(started: Table, purchases: Table, runs: int) -> dict[str, Any]:
    """The runs that succeeded. ms: from the start to the end of the job that completed; jobs: those that it took.

    runs: their number, of which each purchase and each run has one.
    """
    completed = purchases["status"].are("completed") & purchases["state"].are("settled")
    ended = select(purchases, completed & (purchases["completedAt"] > NO_TIME))
    ends = np.full(runs, NEVER)
    np.minimum.at(ends, ended["runId"], ended["completedAt"])
    rows = select(started, started["status"].are("completed") & (ends[started["runId"]] < NEVER))
    jobs = np.bincount(purchases["runId"], minlength=runs)
    return {**rows, "ms": ends[rows["runId"]] - rows["createdAt"], "jobs": jobs[rows["runId"]]}


def results(started: Table, purchases: Table, runs: int) -> tuple[dict[str, Any], Decimal]:
    """Runs with a job file that completed: cost and saved, as delivery.delivered() has them; all hours bought twice.

    needed: a column of the runs, the hours of the job file. runs: as successes() has it.
    """
    delivered = select(started, started["status"].are("completed") & ~np.isnan(started["needed"]))
    places = np.full(runs, -1)
    places[delivered["runId"]] = np.arange(len(delivered["runId"]))
    settled = select(purchases, purchases["state"].are("settled") & (places[purchases["runId"]] >= 0))
    of_settled = places[settled["runId"]]
    sums = {name: np.zeros(len(delivered["runId"]), "int64") for name in ("cost", "saved")}
    for name, total in sums.items():
        np.add.at(total, of_settled, settled[name])
    (bought, needed), digits = _whole([settled["hours"], delivered["needed"]])
    extra = -needed
    np.add.at(extra, of_settled, bought)
    twice = sum(extra[extra > 0].tolist())
    return {**delivered, **sums}, Decimal(twice).scaleb(-digits) if twice else Decimal(0)


def _whole(columns: Sequence[Array]) -> tuple[list[Array], int]:
    """Hours as whole numbers of the last decimal that any of them has, and the number of decimals: sums are exact.

    What is no number counts as none.
    """
    coded = [pd.factorize(np.where(np.isfinite(column), column, np.nan)) for column in columns]
    exact = [[Decimal(str(hours)) for hours in values] for _, values in coded]
    digits = max((-int(hours.as_tuple().exponent) for values in exact for hours in values), default=0)
    units = [[int(hours.scaleb(digits)) for hours in values] for values in exact]
    # A run has fewer jobs than 1000: Python's integers where the sum of so many may not fit.
    kind = "int64" if max((max(values) for values in units if values), default=0) < 2**53 else "object"
    return [np.array([*values, 0], kind)[codes] for values, (codes, _) in zip(units, coded, strict=True)], digits
