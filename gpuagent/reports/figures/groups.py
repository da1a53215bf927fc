"""Spend grouped by vendor, user, tag, GPU type or planner: one row each, and a stack over time. Pure.

A run with several tags counts under each of them, so tags may add up to more than was spent: the whole is never their
sum. What a planner charged belongs to the user, the tags and the planner of its run, and to no vendor or GPU type.
"""

from collections.abc import Mapping

import pandas as pd

from gpuagent.core.status import planner_label
from gpuagent.errors import BadInput
from gpuagent.reports.figures import spend
from gpuagent.reports.figures.spend import PLANNER
from gpuagent.reports.frames import TIME, Frame, frame
from gpuagent.reports.period import Period

NOUNS = {"vendor": "vendor", "user": "user", "tag": "tag", "gpu": "GPU type", "planner": "planner"}
"""The dimensions by which spend can be grouped, and the noun of each."""
REMAINDER, WHOLE = "others", "spent in all"
UNNAMED = tuple(f"no {noun}" for noun in NOUNS.values())
"""The rows of what has no name in a dimension, such as runs without a tag."""
RESERVED = {PLANNER, REMAINDER, WHOLE, *UNNAMED}
"""Names that are given here. What was really called so is shown in quotation marks."""
STACKED_MAX = 12
"""Groups of a stack over time; the rest is `others`."""

SUMS = ("jobs", "cost", "refunded", "credit", "plannerCost")
OF_RUNS = {"at": TIME, **dict.fromkeys(("dimension", "name"), "str"), **dict.fromkeys(SUMS, "int64")}
OF_RUNS_KEY = ("at", "dimension", "name")
BY_GROUP = {"group": "str", **dict.fromkeys(SUMS, "int64"), "share": "float64"}
_SPENT = {"at": TIME, "name": "str", **dict.fromkeys(SUMS, "int64")}


def check_dimension(name: str) -> None:
    """Raises BadInput for what spend cannot be grouped by."""
    if name not in NOUNS:
        raise BadInput(f"spend is not grouped by {name[:40]!r}; it is by one of: {', '.join(NOUNS)}")


def label(dimension: str, name: str) -> str:
    """The name of a group as it is shown: different ones for different names."""
    if not name:
        return f"no {NOUNS[dimension]}"
    text = planner_label(name) if dimension == "planner" else name
    return f'"{text}"' if text.strip('"') in RESERVED else text


def spent_by(dimension: str, tables: Mapping[str, Frame]) -> Frame:
    """What was spent by time and group, of a summary's tables; groups by their label."""
    if dimension in ("vendor", "gpu"):
        sales, answers = tables["sales"], tables["answers"]
        names = sales.vendorId if dimension == "vendor" else sales.gpuType
        spent = frame(sales.assign(at=sales.settledAt, name=names), _SPENT)
        planner = frame(answers[["at"]].assign(name=PLANNER, plannerCost=answers.cost), _SPENT)
    else:
        spent = frame(tables["groups"][tables["groups"].dimension == dimension], _SPENT)
        planner = frame([], _SPENT)
    labels = {name: label(dimension, name) for name in spent.name.unique()}
    spent = spent.assign(name=spent.name.map(labels).astype("str"))
    return pd.concat([spent, planner], ignore_index=True).rename(columns={"name": "group"})


def by_group(spent: Frame, whole: int) -> Frame:
    """One row per group of spent_by(), the dearest first, what has no name last. share: of the whole, None of 0.

    whole: what was spent in all, in atomic units: it is not the sum of tags.
    """
    sums = spent.groupby("group", as_index=False)[list(SUMS)].sum()
    total = sums.cost + sums.plannerCost
    shares = total / whole if whole else total * float("nan")
    order = sums.assign(share=shares, total=total, last=sums.group.isin({PLANNER, *UNNAMED}))
    order = order.sort_values(["last", "total", "group"], ascending=[True, False, True], ignore_index=True)
    return frame(order, BY_GROUP)


def top_rows(rows: Frame, most: int) -> Frame:
    """The first rows of by_group(), and of what has no name each, for a page that shows no more than `most`."""
    last = rows[rows.group.isin({PLANNER, *UNNAMED})]
    ranked = rows[~rows.group.isin(last.group)]
    return pd.concat([ranked.head(most - len(last)), last], ignore_index=True)


def over_time(spent: Frame, period: Period, first: pd.Timestamp | None) -> Frame:
    """Atomic units by bucket (rows) and group (columns): the STACKED_MAX dearest, then others, what has no name last.

    first: when money was first spent.
    """
    ordered = list(by_group(spent, 0).group)
    last = [name for name in ordered if name in (PLANNER, *UNNAMED)]
    stacked = [name for name in ordered if name not in last][:STACKED_MAX]
    amounts = spent.assign(payee=spent.group.where(spent.group.isin([*stacked, *last]), REMAINDER))
    table = spend.bucketed(amounts.assign(amount=spent.cost + spent.plannerCost), period, first)[0]
    return table[[name for name in (*stacked, REMAINDER, *last) if name in table.columns]]
