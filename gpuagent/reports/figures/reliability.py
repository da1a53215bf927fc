"""What vendors advertise of themselves against what their jobs say: the belief that planners see. Pure."""

from collections.abc import Mapping, Sequence

import pandas as pd

from gpuagent.core.belief import learned
from gpuagent.core.context import PastJob
from gpuagent.reports.frames import Frame

RELIABILITY = {
    **dict.fromkeys(("vendorId", "name"), "str"),
    "advertised": "float64",
    **dict.fromkeys(("succeeded", "failed"), "int64"),
    **dict.fromkeys(("learned", "low", "high"), "float64"),
    "verdict": "str",
}


def reliability(vendors: Frame, outcomes: Mapping[str, Sequence[PastJob]]) -> Frame:
    """One row per vendor in the order of registration. low, high: the central 95 % of what is believed.

    An outcome counts 0.9 to the power of how many later ones there are, so the counts say less than learned does.
    """
    rows = []
    for vendor in vendors[vendors.vendorId.isin(outcomes)].itertuples():
        found = learned(vendor.reliabilityScore, outcomes[vendor.vendorId])
        rows.append(
            {
                "vendorId": vendor.vendorId,
                "name": vendor.name,
                "advertised": vendor.reliabilityScore,
                "succeeded": found.successes,
                "failed": found.failures,
                "learned": found.mean,
                "low": found.low,
                "high": found.high,
                "verdict": verdict(vendor.reliabilityScore, found.low, found.high, found.successes + found.failures),
            }
        )
    return pd.DataFrame(rows, columns=list(RELIABILITY)).astype(RELIABILITY)


def verdict(advertised: float, low: float, high: float, jobs: int) -> str:
    """In words, whether the claim lies within the interval."""
    if not jobs:
        return "no job yet"
    if advertised > high:
        return "worse than advertised"
    return "better than advertised" if advertised < low else "as advertised"
