"""What a report says of money: headlines, spend, cost per hour, waste, payments."""

from gpuagent.reports.charts import money as charts
from gpuagent.reports.figures import spend
from gpuagent.reports.page import Section
from gpuagent.reports.report import Report
from gpuagent.reports.tables import AMOUNT, BOTH, COUNT, HOURS, ID, RATE, TEXT, TIME, Cards, Table


def overview(report: Report) -> Section:
    note = "Spent = paid to vendors − refunded + planner cost. Money counts when it settled, a run when it was started."
    if report.original_runs:
        note += (
            f" {report.original_runs:,} runs of the original system are left out: nothing of them is proven on chain."
        )
    return Section("Headlines", note, [Cards(report.headlines, report.shown)])


def spending(report: Report) -> Section:
    parts = spend.composition(report.paid, report.decisions)
    table, word = spend.over_time(report.paid, report.decisions, report.period)
    columns = {
        "vendorId": ("vendor", TEXT),
        "jobs": ("jobs paid", COUNT),
        "succeeded": ("succeeded", COUNT),
        "failed": ("failed", COUNT),
        "paid": ("paid, USD", AMOUNT),
        "refunded": ("refunded, USD", AMOUNT),
        "cost": ("cost, USD", BOTH),
    }
    return Section(
        "Spend",
        "What was refunded is taken off where it was paid.",
        [
            charts.composition(parts),
            charts.spend_over_time(table, word, report.marks, report.period, report.made_at),
            Table(
                "By vendor", spend.by_vendor(report.paid), columns, "No vendor was paid in this period.", report.shown
            ),
        ],
    )


def hourly(report: Report) -> Section:
    found = spend.per_hour(report.paid)
    columns = {
        "vendorId": ("vendor", TEXT),
        "gpuType": ("GPU", TEXT),
        "jobs": ("jobs ended", COUNT),
        "succeeded": ("succeeded", COUNT),
        "hours": ("GPU hours that succeeded", HOURS),
        "cost": ("cost, USD", AMOUNT),
        "wasted": ("of it failed, USD", AMOUNT),
        "perHour": ("USD/h", RATE),
        "perHourAlone": ("without failures, USD/h", RATE),
    }
    table = Table("By vendor and GPU", found, columns, "No job that was paid in this period has ended.", report.shown)
    note = "All that a vendor was paid for ended jobs, the failed ones too, by the paid hours of those that succeeded."
    return Section("Cost of a successful GPU hour", note, [charts.cost_per_hour(found, report.marks), table])


def wasted(report: Report) -> Section:
    found = spend.waste(report.paid)
    columns = {
        "vendorId": ("vendor", TEXT),
        "cause": ("cause, in the vendor's or our words", TEXT),
        "jobs": ("jobs", COUNT),
        "cost": ("cost, USD", AMOUNT),
        "refunded": ("refunded, USD", AMOUNT),
    }
    table = Table("By cause", found, columns, "No job that was paid in this period has failed.", report.shown)
    note = (
        "Money on jobs that were paid in this period and failed, less what came back. # stands for a number or an id."
    )
    dropped = {
        "vendorId": ("vendor", TEXT),
        "cause": ("cause", TEXT),
        "jobs": ("purchases", COUNT),
        "released": ("released, USD", AMOUNT),
    }
    unpaid = Table("Fell through before payment, at no cost", report.unpaid, dropped, "No purchase fell through.")
    return Section("Waste", note, [charts.waste_by_cause(found, report.marks), table, unpaid])


def payments(report: Report) -> Section:
    columns = {
        "settledAt": ("settled, UTC", TIME),
        "vendorId": ("vendor", TEXT),
        "gpuType": ("GPU", TEXT),
        "outcome": ("outcome", TEXT),
        "paid": ("paid, USD", AMOUNT),
        "userId": ("user", TEXT),
        "runId": ("run", ID),
        "x402TxId": ("transaction", ID),
    }
    newest = report.paid.sort_values("settledAt", ascending=False, kind="stable")
    table = Table("Newest first", newest, columns, "No payment settled in this period.", report.shown)
    return Section("Payments", "", [table])
