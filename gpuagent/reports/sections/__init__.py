"""The sections of a report, in their order: for the page, and one by one for a notebook."""

from collections.abc import Callable

from gpuagent.reports.page import ReportSection
from gpuagent.reports.report import Report
from gpuagent.reports.sections.delivery import delivered
from gpuagent.reports.sections.money import cost_per_hour, overview, payments, waste
from gpuagent.reports.sections.months import month_budgets
from gpuagent.reports.sections.spending import spending
from gpuagent.reports.sections.work import attention, budgets, chain, planners, reliability, time_to_success

ALL: tuple[Callable[[Report], ReportSection], ...] = (
    overview,
    spending,
    cost_per_hour,
    delivered,
    waste,
    reliability,
    time_to_success,
    budgets,
    month_budgets,
    planners,
    attention,
    chain,
    payments,
)
