"""The part that reports of campaigns share: a seed, a time, and the problems that an audit found."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass
class CampaignReport:
    """One campaign. seconds: that it took."""

    seed: int
    seconds: float = 0
    problems: list[str] = field(default_factory=list)

    def check(self, holds: bool, problem: str) -> None:
        """Record the problem unless the condition holds."""
        if not holds:
            self.problems.append(problem)

    @property
    def problem_lines(self) -> str:
        return "".join(f"\nPROBLEM {problem}" for problem in self.problems)


def counts_text(counters: Mapping[str, Counter[str]]) -> str:
    """The sum of each counter, and in brackets its counts."""
    return "; ".join(
        f"{sum(counter.values())} {name} ({', '.join(f'{key} {count}' for key, count in sorted(counter.items()))})"
        for name, counter in counters.items()
    )
