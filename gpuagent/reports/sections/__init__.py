"""The sections of a report, in their order: for the page, and one by one for a notebook."""

from collections.abc import Callable

from gpuagent.reports.page import Section
from gpuagent.reports.report import Report
from gpuagent.reports.sections.money import hourly, overview, payments, spending, wasted
from gpuagent.reports.sections.work import budgets, chain, pace, planners, trust, watch

ALL: tuple[Callable[[Report], Section], ...] = (
    overview,
    spending,
    hourly,
    wasted,
    trust,
    pace,
    budgets,
    planners,
    watch,
    chain,
    payments,
)
