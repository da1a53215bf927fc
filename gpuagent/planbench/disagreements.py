"""Where planners disagreed: the same context, and another choice; with what each of them said."""

from collections.abc import Mapping
from dataclasses import dataclass

from gpuagent.planbench.compare import BOUNDS, Comparison
from gpuagent.planbench.play import Move


@dataclass(frozen=True, slots=True)
class Disagreement:
    """said: by planner. alive: the chance that a run gets to this context at all."""

    scenario: str
    variant: int
    family: str
    tick: int
    alive: float
    said: Mapping[str, Move]

    def choices(self) -> dict[tuple[str, str], list[str]]:
        """Who chose what: planners by (action, vendor)."""
        found: dict[tuple[str, str], list[str]] = {}
        for planner, move in self.said.items():
            found.setdefault((move.action, move.vendor_id), []).append(planner)
        return found


def disagreements(comparison: Comparison) -> list[Disagreement]:
    """The likeliest to be met first. After another choice planners share no contexts any more.

    In sampled play a context is looked at once, though it is met in many replicates.
    """
    met: dict[tuple[str, int, str], Disagreement] = {}
    for play in comparison.plays:
        if play.planner in BOUNDS:
            continue
        for move in play.moves:
            here = play.scenario, play.variant, move.digest
            new = Disagreement(play.scenario, play.variant, play.family, move.tick, move.alive, {})
            known = met.setdefault(here, new)
            met[here] = Disagreement(
                known.scenario,
                known.variant,
                known.family,
                known.tick,
                max(known.alive, move.alive),
                {**known.said, play.planner: move},
            )
    found = [one for one in met.values() if len(one.choices()) > 1]
    return sorted(found, key=lambda one: (-one.alive, one.scenario, one.variant, one.tick))
