"""The agent's patience and pace."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """How long the agent waits, in seconds, and how much it does in one tick."""

    authorization_s: int = 120
    """Life of a payment authorization, on the chain's clock."""
    send_margin_s: int = 15
    """No send in the last seconds of that life: facilitators refuse it, and it would only race its expiry."""
    silence_s: float = 300
    """A paid job whose vendor is silent for so long, since it was first asked in vain, counts as failed."""
    overrun: float = 2
    """A job may take this many times its paid hours, and patience_s on top."""
    patience_s: float = 1800
    """A paid vendor that answers may take so long to name its job, and so long beyond `overrun` to end it."""
    at_once_s: float = 10
    """A job that its vendor says has failed so soon after its payment ends the vendor for the run."""
    asking_s: float = 20
    """In one tick no further vendor is asked for its job or news of it, once asking has taken so long in all."""
    poll_s: float = 1.0
    """Between two ticks of a run that is driven: how often its job is polled."""

    share_bytes: int = 32 * 2**20
    """One tick sends or fetches at most so many bytes of a job's files."""
    share_s: float = 1.0
    """It does so for as many seconds at most."""
    begin_s: float = 5.0
    """The first file of a share may take so long to begin to come: the share is no measure of a vendor's way there."""
    slow_bytes_s: float = 64_000
    """Collecting that is slower ends after silence_s; delivery may take patience_s, and its time at this rate."""

    def deliver_max_s(self, size: int) -> float:
        """The time after which sending so many bytes is given up, though some are taken."""
        return self.patience_s + size / self.slow_bytes_s

    def job_max_s(self, hours: float) -> float:
        """The time after which a job that was paid for so many hours is given up, though its vendor answers."""
        return hours * 3600 * self.overrun + self.patience_s
