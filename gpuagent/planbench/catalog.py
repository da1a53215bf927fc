"""Catalogue of planners to compare: the baselines by name, and those that a run may name."""

from collections.abc import Callable, Iterable

from gpuagent.core.ports.planner import Planner
from gpuagent.errors import BadInput
from gpuagent.planbench.answers import Priced
from gpuagent.planbench.baselines import BASELINES

FREE = ("stub", *BASELINES)
"""The planners that charge nothing."""


def find_planner(name: str, open_planner: Callable[[str], Planner]) -> Planner:
    """A baseline, else what open_planner makes of the name. Raises BadInput, and ConfigError where it is not set up."""
    try:
        return BASELINES.get(name) or open_planner(name)
    except BadInput as error:
        raise BadInput(f"{error}; to compare with: {', '.join(BASELINES)}") from error


def check_prices(planners: Iterable[Planner]) -> None:
    """Raises BadInput for a planner that may charge but cannot say beforehand how much."""
    for planner in planners:
        if planner.name not in FREE and not isinstance(planner, Priced):
            raise BadInput(f"{planner.name} cannot say beforehand what asking it costs, so no limit can be kept")
