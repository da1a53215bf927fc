"""What a report says of vendors, runs and planners, of payments to look at, and of the chain."""

import pandas as pd

from gpuagent.books.findings import MEANING
from gpuagent.reports.charts import money as charts
from gpuagent.reports.charts import work as charts_of_work
from gpuagent.reports.figures import reliability, runs
from gpuagent.reports.frames import Frame
from gpuagent.reports.page import Part, Section
from gpuagent.reports.report import Report
from gpuagent.reports.tables import AMOUNT, COUNT, ID, SECONDS, SHARE, TEXT, TIME, Table, Words

BURNT_MAX = 6
"""Runs whose budget is drawn: those that spent most."""


def trust(report: Report) -> Section:
    found = reliability.reliability(report.frames.vendors, report.frames.outcomes)
    columns = {
        "vendorId": ("vendor", TEXT),
        "name": ("name", TEXT),
        "advertised": ("advertised", SHARE),
        "succeeded": ("succeeded", COUNT),
        "failed": ("failed", COUNT),
        "learned": ("learned", SHARE),
        "low": ("from", SHARE),
        "high": ("to", SHARE),
        "verdict": ("the claim is", TEXT),
    }
    note = "What planners believe at the end of the period: the newest jobs of all users, recent ones weigh most."
    table = Table("By vendor", found, columns, "No vendor is recorded.")
    return Section("Reliability", note, [charts_of_work.reliability(found, report.marks), table])


def pace(report: Report) -> Section:
    found = runs.times_to_success(report.started, report.frames.purchases)
    columns = {
        "runId": ("run", ID),
        "userId": ("user", TEXT),
        "planner": ("planner", TEXT),
        "gpuType": ("GPU", TEXT),
        "jobs": ("jobs tried", COUNT),
        "createdAt": ("started, UTC", TIME),
        "seconds": ("time to success", SECONDS),
    }
    slowest = found.sort_values("seconds", ascending=False, kind="stable")
    table = Table("Slowest first", slowest, columns, "No run of this period has succeeded yet.")
    note = "From the start of a run to the end of the job that completed it, waits for prices and approvals included."
    return Section("Time to success", note, [charts_of_work.time_to_success(found), table])


def budgets(report: Report) -> Section:
    found = runs.budgets(report.started)
    whole, until = report.frames, pd.Timestamp(min(report.period.until, report.made_at))
    spent = found[found.settled + found.plannerCost > 0]
    by_id = report.started.set_index("runId", drop=False)
    drawn = [by_id.loc[one] for one in spent.runId.head(BURNT_MAX)]
    burnt = {
        run.runId: (run, runs.burn_down(run, whole.whole_purchases, whole.whole_decisions, until)) for run in drawn
    }
    columns = {
        "runId": ("run", ID),
        "userId": ("user", TEXT),
        "goal": ("goal", TEXT),
        "phase": ("phase", TEXT),
        "budgetTotal": ("budget, USD", AMOUNT),
        "settled": ("settled", AMOUNT),
        "held": ("held", AMOUNT),
        "plannerCost": ("planner", AMOUNT),
        "budgetRemaining": ("available", AMOUNT),
        "createdAt": ("started, UTC", TIME),
    }
    table = Table("Runs, the most spent first", found, columns, "No run was started in this period.", report.shown)
    note = f"Settled + held + planner + available = budget. Drawn: the {BURNT_MAX} runs that spent most."
    return Section("Budgets", note, [charts.burn_downs(burnt), table])


def planners(report: Report) -> Section:
    columns = {
        "planner": ("planner", TEXT),
        "model": ("model", TEXT),
        "decisions": ("paid answers", COUNT),
        "promptTokens": ("prompt tokens", COUNT),
        "completionTokens": ("completion tokens", COUNT),
        "cost": ("cost, USD", AMOUNT),
        "share": ("share of spend", SHARE),
    }
    spent = int(report.paid.cost.sum()) + int(report.decisions.cost.sum())
    found = by_model(report.decisions, spent)
    parts: list[Part] = [Table("By model", found, columns, "No planner cost anything in this period.", report.shown)]
    if arms := runs.compared(report.started, report.asked.tag):
        figures = {
            "planner": ("planner", TEXT),
            "runs": ("runs", COUNT),
            "ended": ("ended", COUNT),
            "completed": ("completed", SHARE),
            "low": ("from", SHARE),
            "high": ("to", SHARE),
            "spend": ("USD to vendors, a run", AMOUNT),
            "plannerCost": ("planner cost, USD a run", AMOUNT),
        }
        table = Table("Assigned by chance (95 % intervals)", runs.arm_rows(arms), figures, "", report.shown)
        parts += [charts_of_work.planners_compared(arms), table]
    return Section("Planners", "What asking language models cost, and how planners did that were compared.", parts)


def by_model(decisions: Frame, spent: int) -> Frame:
    """share: of all that was spent."""
    grouped = decisions.groupby(["planner", "model"])
    sums = grouped[["promptTokens", "completionTokens", "cost"]].sum()
    found = sums.assign(decisions=grouped.runId.count(), share=sums.cost / max(spent, 1)).reset_index()
    return found.sort_values("cost", ascending=False, ignore_index=True)


def watch(report: Report) -> Section:
    columns = {
        "kind": ("", TEXT),
        "what": ("what", TEXT),
        "vendorId": ("vendor", TEXT),
        "amount": ("amount, USD", AMOUNT),
        "since": ("since, UTC", TIME),
        "runId": ("run", ID),
    }
    nothing = "Nothing is held, late or recorded in two ways."
    table = Table("Held, late, unmatched", report.attention, columns, nothing, report.shown)
    note = f"As of {report.made_at:%Y-%m-%d %H:%M} UTC, whatever the period."
    return Section("Payments to look at", note, [table])


def chain(report: Report) -> Section:
    check = report.chain
    parts: list[Part] = [Words(check.words, alarm=check.found is not None and not check.found.balanced)]
    if check.found is not None:
        found = check.found
        sums = [("moved on chain", found.moved), ("settled in the ledgers", found.settled), ("held", found.held)]
        lines = [f"{words} {report.shown.amount(atomic)}" for words, atomic in sums]
        parts.append(Words(f"{'; '.join(lines)}; {found.transfers} transfers, {found.in_flight} payments in flight."))
        rows = [
            {"kind": one.kind.value, "words": one.text, "runId": one.run_id, "meaning": MEANING[one.kind]}
            for one in found.findings
        ]
        columns = {name: (name, TEXT) for name in ("kind", "words", "meaning")} | {"runId": ("run", ID)}
        parts += [Table("Findings", pd.DataFrame(rows, columns=list(columns)), columns, "No findings.")]
    note = "Every wallet of this database since its first run, whatever the period, user, tag and vendor."
    return Section("Ledger against chain", note, parts)
