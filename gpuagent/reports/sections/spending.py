"""The section on spend: by kind, over time by what was asked for, and by vendor."""

from dataclasses import replace
from datetime import datetime

from gpuagent.reports.charts import money as charts
from gpuagent.reports.charts.style import marks
from gpuagent.reports.figures import groups, spend
from gpuagent.reports.frames import Frame, frame
from gpuagent.reports.page import ReportSection
from gpuagent.reports.period import BEGINNING, Period
from gpuagent.reports.report import Report
from gpuagent.reports.tables import ROWS_MAX, Cell, Table

NOTE = (
    "What was refunded is taken off where it was paid. A credit is the vendor's word alone: no money, and taken off "
    "nowhere. Shares are of all that was spent."
)
NO_PAYEE = "What planners cost belongs to no {noun}, and has a row of its own."
NOTES = {
    "vendor": NO_PAYEE,
    "gpu": NO_PAYEE,
    "user": "What a planner cost belongs to the user of its run.",
    "tag": "A run with several tags counts under each of them, so that the rows may add up to more than was spent; "
    "one without a tag counts under “no tag”. What a planner cost belongs to the tags of its run.",
    "planner": "Jobs and what a planner cost belong to the planner of their run.",
}
COUNTED = {
    "jobs": ("jobs paid", Cell.COUNT),
    "refunded": ("refunded, USD", Cell.AMOUNT),
    "cost": ("cost, USD", Cell.BOTH),
    "credit": ("credit, USD", Cell.AMOUNT),
    "plannerCost": ("planner cost, USD", Cell.AMOUNT),
    "share": ("of all spent", Cell.SHARE),
}
OF_VENDORS = {
    "protocol": ("protocol", Cell.TEXT),
    "jobs": COUNTED["jobs"],
    "succeeded": ("succeeded", Cell.COUNT),
    "failed": ("failed", Cell.COUNT),
    "paid": ("paid, USD", Cell.AMOUNT),
}
NOTHING = {
    **dict.fromkeys(groups.NOUNS, "Nothing was spent in this period."),
    "vendor": "No vendor was paid in this period.",
}


def spending(report: Report) -> ReportSection:
    """The spend by kind, over time and by the dimension that was asked for, and by vendor."""
    by, overview = report.request.by, report.overview
    noun = groups.NOUNS[by]
    spent = groups.spent_by(by, overview.now.tables)
    table = groups.over_time(spent, report.period, overview.first_spent)
    whole, bucket = spend.over_time(overview.sales, overview.answers, report.period, overview.first_spent)
    looks = report.marks if by == "vendor" else marks(list(table.columns))
    return ReportSection(
        "Spend",
        f"{NOTE} {NOTES[by].format(noun=noun)}",
        [
            report.charts.picture(charts.composition, spend.composition(overview.sales, overview.answers)),
            report.charts.picture(
                charts.spend_over_time,
                table,
                bucket,
                looks,
                *_shown(report),
                noun,
                whole.sum(axis=1) if by == "tag" else None,
            ),
            *([] if by == "vendor" else [_table(report, by, report.groups, COUNTED)]),
            _table(report, "vendor", _vendors(report), {**OF_VENDORS, **COUNTED}),
        ],
    )


def _shown(report: Report) -> tuple[Period, datetime]:
    """The period of a chart, and the end of its axis: of all time nothing that changes with every page."""
    period = report.period
    if period.before is None:
        return replace(period, since=BEGINNING, until=BEGINNING), BEGINNING
    return period, min(period.until, report.made_at)


def _table(report: Report, dimension: str, rows: Frame, columns: dict[str, tuple[str, Cell]]) -> Table:
    noun = groups.NOUNS[dimension]
    headings = {"group": (noun, Cell.TEXT), **columns}
    first = groups.top_rows(rows, ROWS_MAX)
    return Table(f"By {noun}", first, headings, NOTHING[dimension], report.display, len(rows))


def _vendors(report: Report) -> Frame:
    """By vendor, with protocol and results, and what planners cost."""
    rows = groups.by_group(groups.spent_by("vendor", report.overview.now.tables), report.whole)
    details = spend.by_vendor(report.overview.sales)
    labels = {name: groups.label("vendor", name) for name in details.vendorId}
    details = details.assign(group=details.vendorId.map(labels).astype("str"))
    of_vendors = {name: spend.BY_VENDOR[name] for name in ("protocol", "succeeded", "failed", "paid")}
    joined = rows.merge(details[["group", *of_vendors]], on="group", how="left")
    # A vendor's row has all of them, that of planners none.
    return frame(joined, {**groups.BY_GROUP, **of_vendors})
