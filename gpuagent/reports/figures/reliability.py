"""The advertised reliability of vendors against the one learned from their jobs, as planners see it. Pure."""

from collections.abc import Mapping, Sequence

import pandas as pd

from gpuagent.core.belief import learned
from gpuagent.core.context import PastJob
from gpuagent.core.text import counted
from gpuagent.reports.frames import Frame

RELIABILITY = {
    **dict.fromkeys(("vendorId", "name"), "str"),
    "advertised": "float64",
    **dict.fromkeys(("succeeded", "failed"), "int64"),
    **dict.fromkeys(("learned", "low", "high"), "float64"),
    "verdict": "str",
}

WIDE = 0.2
"""An interval of the belief above which little is known."""


def reliability(vendors: Frame, past_jobs: Mapping[str, Sequence[PastJob]]) -> Frame:
    """One row per vendor in the order of registration. low, high: the central 95 % of the belief.

    A past job counts 0.9 to the power of how many later ones there are, so the counts say less than learned does.
    """
    rows = []
    for vendor in vendors[vendors.vendorId.isin(past_jobs)].itertuples():
        belief = learned(vendor.reliabilityScore, past_jobs[vendor.vendorId])
        jobs = belief.successes + belief.failures
        rows.append(
            {
                "vendorId": vendor.vendorId,
                "name": vendor.name,
                "advertised": vendor.reliabilityScore,
                "succeeded": belief.successes,
                "failed": belief.failures,
                "learned": belief.mean,
                "low": belief.low,
                "high": belief.high,
                "verdict": verdict(vendor.reliabilityScore, belief.low, belief.high, jobs),
            }
        )
    return pd.DataFrame(rows, columns=list(RELIABILITY)).astype(RELIABILITY)


def verdict(advertised: float, low: float, high: float, jobs: int) -> str:
    """Where the advertised reliability lies: within the interval, above or below it; and of how many jobs that is said.

    Within an interval that is wider than WIDE it is not refuted, which is no more than that.
    """
    if not jobs:
        return "no job yet"
    within = "as advertised" if high - low <= WIDE else "not refuted yet"
    text = "worse than advertised" if advertised > high else "better than advertised" if advertised < low else within
    return f"{text}, {counted(jobs, 'job')}"
