"""The sections on vendors, runs and planners, on payments that need attention, and on the chain."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from gpuagent.core.text import counted
from gpuagent.planbench.ab import Arm
from gpuagent.reports.charts import work as charts
from gpuagent.reports.figures import reliability as vendor_reliability
from gpuagent.reports.figures import runs, spend
from gpuagent.reports.frames import Frame
from gpuagent.reports.overview import BURN_DOWNS_MAX
from gpuagent.reports.page import Part, ReportSection
from gpuagent.reports.report import Report
from gpuagent.reports.tables import Cell, Paragraph, Table

if TYPE_CHECKING:
    from gpuagent.books.findings import Finding


def reliability(report: Report) -> ReportSection:
    """The reliability that vendors advertise, and the one learned from their jobs."""
    vendors = vendor_reliability.reliability(report.overview.vendors, report.overview.past_jobs)
    columns = {
        "vendorId": ("vendor", Cell.TEXT),
        "name": ("name", Cell.TEXT),
        "advertised": ("advertised", Cell.SHARE),
        "succeeded": ("succeeded", Cell.COUNT),
        "failed": ("failed", Cell.COUNT),
        "learned": ("learned", Cell.SHARE),
        "low": ("from", Cell.SHARE),
        "high": ("to", Cell.SHARE),
        "verdict": ("verdict", Cell.TEXT),
    }
    note = "What planners believe at the end of the period: the newest jobs of all users, recent ones weigh most."
    table = Table("By vendor (95 % intervals)", vendors, columns, "No vendor is recorded.")
    return ReportSection("Reliability", note, [report.charts.picture(charts.reliability, vendors, report.marks), table])


def time_to_success(report: Report) -> ReportSection:
    """The time that runs took to succeed."""
    seconds = report.overview.seconds
    columns = {
        "runId": ("run", Cell.ID),
        "userId": ("user", Cell.TEXT),
        "planner": ("planner", Cell.PLANNER),
        "gpuType": ("GPU", Cell.TEXT),
        "jobs": ("jobs tried", Cell.COUNT),
        "createdAt": ("started, UTC", Cell.TIME),
        "seconds": ("time to success", Cell.SECONDS),
    }
    empty = "No run of this period has succeeded yet."
    table = Table("Slowest first", report.overview.slowest, columns, empty, total=len(seconds))
    note = "From the start of a run to the end of the job that completed it, waits for prices and approvals included."
    return ReportSection("Time to success", note, [report.charts.picture(charts.time_to_success, seconds), table])


def budgets(report: Report) -> ReportSection:
    """The parts of each budget, and how those that spent most burnt down."""
    run_budgets, total = runs.budgets(report.overview.budgets), report.overview.now.counts["started"]
    columns = {
        "runId": ("run", Cell.ID),
        "userId": ("user", Cell.TEXT),
        "goal": ("goal", Cell.TEXT),
        "phase": ("phase", Cell.TEXT),
        "budgetTotal": ("budget, USD", Cell.AMOUNT),
        "settled": ("settled", Cell.AMOUNT),
        "held": ("held", Cell.AMOUNT),
        "plannerCost": ("planner", Cell.AMOUNT),
        "budgetRemaining": ("available", Cell.AMOUNT),
        "createdAt": ("started, UTC", Cell.TIME),
    }
    empty = "No run was started in this period."
    table = Table("Runs, the most spent first", run_budgets, columns, empty, report.display, total)
    note = f"Settled + held + planner + available = budget. Drawn: the {BURN_DOWNS_MAX} runs that spent most."
    return ReportSection(
        "Budgets", note, [report.charts.picture(charts.burn_downs, _burn_downs(report, run_budgets)), table]
    )


def _burn_downs(report: Report, run_budgets: Frame) -> dict[str, tuple[Any, Frame]]:
    """By run id, the row and the burn-down of the runs that spent most."""
    until = pd.Timestamp(min(report.period.until, report.made_at))
    spenders = run_budgets[run_budgets.settled + run_budgets.plannerCost > 0].runId.head(BURN_DOWNS_MAX)
    rows = report.overview.budgets.set_index("runId", drop=False)
    purchases, decisions = report.overview.purchases, report.overview.decisions
    return {
        run_id: (rows.loc[run_id], runs.burn_down(rows.loc[run_id], purchases, decisions, until)) for run_id in spenders
    }


def planners(report: Report) -> ReportSection:
    """The cost of language models, and the figures of planners that runs were assigned at random."""
    columns = {
        "planner": ("planner", Cell.PLANNER),
        "model": ("model", Cell.TEXT),
        "decisions": ("paid answers", Cell.COUNT),
        "promptTokens": ("prompt tokens", Cell.COUNT),
        "completionTokens": ("completion tokens", Cell.COUNT),
        "cost": ("cost, USD", Cell.AMOUNT),
        "share": ("share of spend", Cell.SHARE),
    }
    models = spend.by_model(report.overview.answers, int(report.overview.sales.cost.sum()))
    parts: list[Part] = [Table("By model", models, columns, "No planner cost anything in this period.", report.display)]
    if arms := runs.compare_planners(report.overview.now.tables["arms"], report.request.tag):
        parts += [report.charts.picture(charts.planners_compared, arms), _arms_table(arms, report)]
    note = "The cost of language models, and the figures of planners where runs were started with several."
    return ReportSection("Planners", note, parts)


def _arms_table(arms: Sequence[Arm], report: Report) -> Table:
    columns = {
        "planner": ("planner", Cell.PLANNER),
        "runs": ("runs", Cell.COUNT),
        "ended": ("ended", Cell.COUNT),
        "completed": ("completed", Cell.SHARE),
        "low": ("from", Cell.SHARE),
        "high": ("to", Cell.SHARE),
        "spend": ("USD to vendors per run", Cell.AMOUNT),
        "plannerCost": ("planner cost, USD per run", Cell.AMOUNT),
    }
    return Table("Assigned at random (95 % intervals)", runs.arm_rows(arms), columns, "", report.display)


def attention(report: Report) -> ReportSection:
    """Payments that are held, late or recorded in two ways."""
    columns = {
        "kind": ("state", Cell.TEXT),
        "what": ("reason", Cell.TEXT),
        "vendorId": ("vendor", Cell.TEXT),
        "amount": ("amount, USD", Cell.AMOUNT),
        "since": ("since, UTC", Cell.TIME),
        "runId": ("run", Cell.ID),
    }
    empty = "Nothing is held, late or recorded in two ways."
    table = Table("Held, late, unmatched", report.overview.attention, columns, empty, report.display)
    note = f"As of {report.made_at:%Y-%m-%d %H:%M} UTC, whatever the period."
    return ReportSection("Payments that need attention", note, [table])


def chain(report: Report) -> ReportSection:
    """The ledgers of the database against the chain."""
    parts: list[Part] = [Paragraph(report.chain.summary, alarm=not report.chain.balanced)]
    if sweep := report.chain.sweep:
        amounts = {"Moved on chain": sweep.moved, "settled in the ledgers": sweep.settled, "held": sweep.held}
        sums = "; ".join(f"{name} {report.display.amount(amount)}" for name, amount in amounts.items())
        parts.append(
            Paragraph(
                f"{sums}; {counted(sweep.transfers, 'transfer')}, {counted(sweep.in_flight, 'payment')} in flight."
            )
        )
        parts.append(_findings_table(sweep.findings))
    note = "Every wallet of this database since its first run, whatever the period, user, tag and vendor."
    return ReportSection("Ledger against chain", note, parts)


def _findings_table(findings: "Iterable[Finding]") -> Table:
    from gpuagent.books.findings import MEANING

    columns = {
        "kind": ("kind", Cell.TEXT),
        "text": ("finding", Cell.TEXT),
        "meaning": ("meaning", Cell.TEXT),
        "runId": ("run", Cell.ID),
    }
    rows = [
        {"kind": finding.kind.value, "text": finding.text, "meaning": MEANING[finding.kind], "runId": finding.run_id}
        for finding in findings
    ]
    return Table("Findings", pd.DataFrame(rows, columns=list(columns)), columns, "No findings.")
