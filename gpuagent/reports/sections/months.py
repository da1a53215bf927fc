"""The section on budgets over calendar months, as they stand while the report is made."""

import pandas as pd

from gpuagent.reports.page import ReportSection
from gpuagent.reports.report import Report
from gpuagent.reports.tables import Cell, Table

NOTE = (
    "Of the month in which the report was made, whatever its period. Held money counts as used. The forecast is what "
    "is used, and the rest of the month at this month's rate."
)


def month_budgets(report: Report) -> ReportSection:
    """What is used of each tag's and user's budget, the fullest first; of one user or tag, where that was asked for."""
    columns = {
        "budget": ("budget", Cell.TEXT),
        "month": ("month", Cell.TEXT),
        "amount": ("limit, USD", Cell.AMOUNT),
        "settled": ("settled, USD", Cell.AMOUNT),
        "held": ("held, USD", Cell.AMOUNT),
        "share": ("used", Cell.SHARE),
        "perDay": ("a day, USD", Cell.AMOUNT),
        "forecast": ("at month's end, USD", Cell.AMOUNT),
    }
    wishes = {key for key in (("user", report.request.user), ("tag", report.request.tag)) if key[1]}
    rows = [
        {
            "budget": f"{share.budget.kind} {share.budget.name}",
            "month": share.month,
            "amount": share.budget.amount,
            "settled": share.settled,
            "held": share.held,
            "share": share.share,
            "perDay": share.per_day,
            "forecast": share.forecast,
        }
        for share in report.month_budgets
        if not wishes or share.budget.key in wishes
    ]
    frame = pd.DataFrame(rows, columns=list(columns))
    table = Table("Budgets over months", frame, columns, "The policy has no such budgets.", report.display)
    return ReportSection("Budgets over months", NOTE, [table])
