"""Comparison of planners in a notebook: a form that plays them, tables and a chart of the result."""

from gpuagent.panels.comparison.chart import difference_chart
from gpuagent.panels.comparison.form import ComparisonForm
from gpuagent.panels.comparison.results import (
    cost_table,
    disagreement_table,
    family_table,
    paired_table,
    replay_table,
    score_table,
    several_table,
)
from gpuagent.panels.comparison.runner import ComparisonRequest, parse_planner_names, replay_decisions

__all__ = [
    "ComparisonForm",
    "ComparisonRequest",
    "cost_table",
    "difference_chart",
    "disagreement_table",
    "family_table",
    "paired_table",
    "parse_planner_names",
    "replay_decisions",
    "replay_table",
    "score_table",
    "several_table",
]
