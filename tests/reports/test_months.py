"""The report's section on budgets over months."""

from dataclasses import replace

from gpuagent.core.months import MonthBudget, MonthSum, budget_share
from gpuagent.reports.sections.months import month_budgets
from tests.support import report_history

NOW = report_history.seconds("2026-11-11T00:00")
ALPHA, ADA = MonthBudget("tag", "alpha", 100_000_000), MonthBudget("user", "ada", 50_000_000)


def test_each_budget_is_shown_and_those_asked_for_alone(book: report_history.Book) -> None:
    report = report_history.report(book.db)
    assert "The policy has no such budgets." in month_budgets(report).html()
    sums = {ALPHA.key: MonthSum(30_000_000, 5_000_000), ADA.key: MonthSum(50_000_000)}
    report = replace(report, month_budgets=budget_share([ALPHA, ADA], sums, NOW))
    whole = month_budgets(report).html()
    assert whole.index("user ada") < whole.index("tag alpha")
    assert all(f">{cell}<" in whole for cell in ("2026-11", "100.00", "30.00", "5.00", "35.0%", "3.00", "95.00"))
    ada_alone = month_budgets(replace(report, request=replace(report.request, user="ada"))).html()
    assert "user ada" in ada_alone
    assert "tag alpha" not in ada_alone
