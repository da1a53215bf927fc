"""The sections on money: headlines, cost per hour, waste, payments."""

from gpuagent.core.text import counted
from gpuagent.reports.charts import money as charts
from gpuagent.reports.figures import spend
from gpuagent.reports.page import ReportSection
from gpuagent.reports.report import Report
from gpuagent.reports.tables import Cards, Cell, Paragraph, Table


def overview(report: Report) -> ReportSection:
    """The headlines."""
    note = "Spent = paid to vendors − refunded + planner cost. Money counts when it settled, a run when it was started."
    if report.original_runs:
        count = counted(report.original_runs, "run")
        note += f" {count} of the original system left out: nothing of that is proven on chain."
    nothing = [Paragraph(report.nothing, alarm=True)] if report.nothing else []
    return ReportSection("Headlines", note, [*nothing, Cards(report.headlines, report.display)])


def cost_per_hour(report: Report) -> ReportSection:
    """The cost of a successful GPU hour by vendor and GPU."""
    hourly = spend.per_hour(report.overview.sales)
    columns = {
        "vendorId": ("vendor", Cell.TEXT),
        "gpuType": ("GPU", Cell.TEXT),
        "jobs": ("jobs ended", Cell.COUNT),
        "succeeded": ("succeeded", Cell.COUNT),
        "hours": ("GPU hours that succeeded", Cell.HOURS),
        "cost": ("cost, USD", Cell.AMOUNT),
        "wasted": ("of which failed, USD", Cell.AMOUNT),
        "perHour": ("USD/h", Cell.RATE),
        "perHourAlone": ("without failures, USD/h", Cell.RATE),
    }
    table = Table(
        "By vendor and GPU", hourly, columns, "No job that was paid in this period has ended.", report.display
    )
    note = "All that a vendor was paid for ended jobs, the failed ones too, by the paid hours of those that succeeded."
    return ReportSection(
        "Cost of a successful GPU hour",
        note,
        [report.charts.picture(charts.cost_per_hour, hourly, report.marks), table],
    )


def waste(report: Report) -> ReportSection:
    """The money on failed jobs by cause, and the purchases that were never paid."""
    wasted = spend.dearest(report.overview.now.tables["waste"])
    columns = {
        "vendorId": ("vendor", Cell.TEXT),
        "cause": ("cause, as the vendor or the agent gave it", Cell.TEXT),
        "jobs": ("jobs", Cell.COUNT),
        "cost": ("cost, USD", Cell.AMOUNT),
        "refunded": ("refunded, USD", Cell.AMOUNT),
    }
    table = Table("By cause", wasted, columns, "No job that was paid in this period has failed.", report.display)
    note = (
        "Money on jobs that were paid in this period and failed, less what came back. # stands for a number or an id."
    )
    unpaid_columns = {
        "vendorId": ("vendor", Cell.TEXT),
        "cause": ("cause", Cell.TEXT),
        "jobs": ("purchases", Cell.COUNT),
        "released": ("released, USD", Cell.AMOUNT),
    }
    unpaid = Table(
        "Fell through before payment, at no cost",
        spend.most(report.overview.now.tables["unpaid"]),
        unpaid_columns,
        "No purchase fell through.",
    )
    return ReportSection(
        "Waste", note, [report.charts.picture(charts.waste_by_cause, wasted, report.marks), table, unpaid]
    )


def payments(report: Report) -> ReportSection:
    """Every payment of the period."""
    columns = {
        "settledAt": ("settled, UTC", Cell.TIME),
        "vendorId": ("vendor", Cell.TEXT),
        "protocol": ("protocol", Cell.TEXT),
        "gpuType": ("GPU", Cell.TEXT),
        "outcome": ("outcome", Cell.TEXT),
        "paid": ("paid, USD", Cell.AMOUNT),
        "userId": ("user", Cell.TEXT),
        "runId": ("run", Cell.ID),
        "x402TxId": ("transaction", Cell.ID),
    }
    newest, total = report.overview.payments, int(report.overview.sales.jobs.sum())
    table = Table("Newest first", newest, columns, "No payment settled in this period.", report.display, total)
    return ReportSection("Payments", "", [table])
