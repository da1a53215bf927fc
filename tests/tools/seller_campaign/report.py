"""What happened in a campaign, as counts and problems."""

from collections import Counter
from dataclasses import dataclass, field

from tests.tools.campaign_report import CampaignReport, counts_text


@dataclass
class Report(CampaignReport):
    """The counts of one campaign, and every problem that was met or that its audit has shown."""

    orders: int = 0
    transfers: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    jobs: Counter[str] = field(default_factory=Counter)
    """How they ended, in words."""
    answers: Counter[str] = field(default_factory=Counter)
    """To orders with a payment: their status, or that none came."""
    files: int = 0
    """That were fetched, and are what their job wrote."""

    def __str__(self) -> str:
        counters = {"kills": self.kills, "jobs": self.jobs, "answers to payments": self.answers}
        return (
            f"seed {self.seed}: {self.orders} orders, {self.transfers} transfers, {self.files} files, "
            f"{self.seconds:.0f} s; {counts_text(counters)}" + self.problem_lines
        )
