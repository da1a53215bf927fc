"""What happened in a campaign, as counts and problems."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Report:
    """The counts of one campaign, and every problem that was met or that its audit has shown."""

    seed: int
    orders: int = 0
    transfers: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    jobs: Counter[str] = field(default_factory=Counter)
    """How they ended, in words."""
    answers: Counter[str] = field(default_factory=Counter)
    """To orders with a payment: their status, or that none came."""
    files: int = 0
    """That were fetched, and are what their job wrote."""
    seconds: float = 0
    problems: list[str] = field(default_factory=list)

    def check(self, holds: bool, problem: str) -> None:
        """Record the problem unless the condition holds."""
        if not holds:
            self.problems.append(problem)

    def __str__(self) -> str:
        counters = {"kills": self.kills, "jobs": self.jobs, "answers to payments": self.answers}
        counts = "; ".join(
            f"{sum(counter.values())} {name} ({', '.join(f'{key} {count}' for key, count in sorted(counter.items()))})"
            for name, counter in counters.items()
        )
        return (
            f"seed {self.seed}: {self.orders} orders, {self.transfers} transfers, {self.files} files, "
            f"{self.seconds:.0f} s; {counts}" + "".join(f"\nPROBLEM {problem}" for problem in self.problems)
        )
