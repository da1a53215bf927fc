"""The agent's patience and pace."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """How long the agent waits, in seconds, and how much it does in one tick."""

    authorization_s: int = 120
    """Life of a payment authorization, on the chain's clock."""
    send_margin_s: int = 15
    """In the last seconds of that life nothing is sent: facilitators refuse it, and it would race its expiry."""
    silence_s: float = 300
    """A paid job counts as failed when its vendor is silent for this long, from the first call without an answer on."""
    overrun: float = 2
    """A job may take its paid hours times this, and patience_s on top."""
    patience_s: float = 1800
    """The time that a paid vendor which answers has to name its job, and has beyond `overrun` to end it."""
    at_once_s: float = 10
    """A run buys no more from a vendor that reports a failure this soon after its payment."""
    asking_s: float = 20
    """The time that one tick spends on calls about jobs; no further one is begun after that."""
    poll_s: float = 1.0
    """The pause between two ticks of a driven run, and so between two polls of its job."""

    share_bytes: int = 32 * 2**20
    """The most bytes of a job's files that one tick sends or fetches."""
    share_s: float = 1.0
    """The most seconds that one tick spends on that."""
    begin_s: float = 5.0
    """The time that the first file has to begin to arrive, whatever share_s is: a vendor may be far away."""
    slow_bytes_s: float = 64_000
    """Bytes a second. Slower collecting ends after silence_s; a delivery has patience_s, and its time at this rate."""

    def deliver_max_s(self, size: int) -> float:
        """Seconds after which the delivery of `size` bytes is given up, though some were taken."""
        return self.patience_s + size / self.slow_bytes_s

    def job_max_s(self, hours: float) -> float:
        """Seconds after which a job with these paid hours is given up, though its vendor answers."""
        return hours * 3600 * self.overrun + self.patience_s
