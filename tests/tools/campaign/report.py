"""What happened in a campaign, as counts and problems."""

from collections import Counter
from dataclasses import dataclass, field

from tests.tools.campaign_report import CampaignReport, counts_text


@dataclass
class Report(CampaignReport):
    """The counts of one campaign, and every problem that its audit found."""

    purchases: int = 0
    transfers: int = 0
    runs: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    outages: Counter[str] = field(default_factory=Counter)
    works: Counter[str] = field(default_factory=Counter)
    """The runs with a job file, among all runs."""
    commands: Counter[str] = field(default_factory=Counter)
    """The runs of a command without files, among all runs."""
    later: Counter[str] = field(default_factory=Counter)
    """What became of the jobs that were to be paid after the work."""
    files: Counter[str] = field(default_factory=Counter)
    """Files that are, byte for byte, what their job wrote."""
    resumed: int = 0
    hedges: Counter[str] = field(default_factory=Counter)
    """What became of the jobs that were bought because another was late."""
    hedge_kills: Counter[str] = field(default_factory=Counter)
    """The ticks that died over the hedge that every campaign begins with, beside all other kills."""
    saves: int = 0
    fleet_saves: int = 0
    """Those of them that the fleet made."""
    fleet_kills: int = 0
    """The kills of fleet workers, among all kills."""
    overtaken: int = 0
    """Saves that another ticker was faster with."""

    def __str__(self) -> str:
        counters = {
            "runs": self.runs,
            "of them with a job file": self.works,
            "of them with a command alone": self.commands,
            "jobs to be paid after the work": self.later,
            "hedges": self.hedges,
            "kills over a hedge": self.hedge_kills,
            "verified files": self.files,
            "kills": self.kills,
            "faults": self.faults,
            "outages": self.outages,
        }
        return (
            f"seed {self.seed}: {self.purchases} purchases, {self.transfers} transfers, {self.seconds:.0f} s; "
            f"{counts_text(counters)}; {self.resumed} purchases that went on from a checkpoint; "
            f"{self.overtaken} saves "
            f"overtaken, {self.saves} not, {self.fleet_saves} of these by the fleet, {self.fleet_kills} of it killed"
            + self.problem_lines
        )
