"""Disagreements of planners: contexts in which they chose differently, with each planner's reason."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from gpuagent.planbench.compare import BOUNDS, Comparison
from gpuagent.planbench.play import Move


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A context with the move of each planner. survival: the chance that a run reaches it at all."""

    scenario: str
    variant: int
    family: str
    tick: int
    survival: float
    moves: Mapping[str, Move] = field(default_factory=dict)

    def planners_by_choice(self) -> dict[tuple[str, str], list[str]]:
        """The planners of each choice, an (action, vendor id)."""
        planners: dict[tuple[str, str], list[str]] = {}
        for planner, move in self.moves.items():
            planners.setdefault((move.action, move.vendor_id), []).append(planner)
        return planners


def disagreements(comparison: Comparison) -> list[Disagreement]:
    """The disagreements of a comparison, the likeliest to be met first.

    After different choices planners share no contexts any more. In sampled play a context counts once, though it is
    met in many replicates.
    """
    contexts: dict[tuple[str, int, str], Disagreement] = {}
    for play in comparison.plays:
        if play.planner in BOUNDS:
            continue
        for move in play.moves:
            key = play.scenario, play.variant, move.digest
            context = contexts.get(key)
            if context is None:
                context = Disagreement(play.scenario, play.variant, play.family, move.tick, move.survival)
            contexts[key] = replace(
                context,
                survival=max(context.survival, move.survival),
                moves={**context.moves, play.planner: move},
            )
    conflicts = [context for context in contexts.values() if len(context.planners_by_choice()) > 1]
    return sorted(conflicts, key=_likeliest_first)


def _likeliest_first(disagreement: Disagreement) -> tuple[float, str, int, int]:
    return -disagreement.survival, disagreement.scenario, disagreement.variant, disagreement.tick
