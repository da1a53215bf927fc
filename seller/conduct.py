"""How a seller behaves at each step of a sale: honestly. Practice vendors put their faults here."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Literal

from starlette.responses import Response
from x402.schemas import PaymentRequired

from seller.api.answers import Answer, FileAnswer, Refusal
from seller.catalogue import Vendor
from seller.database import Database
from seller.records import Job, Quote
from seller.runners import Checkpoint, Runner
from seller.work.order import ACCEPTS

# Take the payment, hold it back for a while, keep it for ever, refuse it, call it another request's, or have no
# facilitator to take it with.
Verdict = Literal["take", "hold", "keep", "refuse", "conflict", "down"]


class Conduct:
    """An honest seller's: it sells what it quoted, and runs what was paid for. Every method may be overridden."""

    def accepts(self, vendor: Vendor) -> tuple[str, ...]:
        """What the vendor can, and says in its quote."""
        return ACCEPTS

    def price(self, vendor: Vendor, gpu_type: str, hours: Decimal) -> Decimal:
        """The price in USD of so many hours of a GPU that is offered."""
        return vendor.offers[gpu_type].price(hours)

    def quote(self, vendor: Vendor, quote: Quote) -> Quote:
        """The quote that is kept and sent."""
        return quote

    def challenge(self, vendor: Vendor, challenge: PaymentRequired) -> PaymentRequired:
        """The 402 that is sent, a payment of which is taken."""
        return challenge

    def receive(self, vendor: Vendor, key: str, header: str) -> None:
        """A PAYMENT-SIGNATURE that has come, used or not."""

    def verdict(self, vendor_id: str) -> Verdict:
        return "take"

    def fate(self, vendor_id: str, job_id: str, job_params: Mapping[str, Any]) -> str:
        """What is kept with a job beside the order: nothing."""
        return ""

    def begin(self, job: Job, runner: Runner) -> None:
        """A job that its runner has just taken."""

    def look(self, job: Job, checkpoint: Checkpoint | None, runner: Runner) -> None:
        """A running job whose status is on its way out."""

    def simulated(self, job: Job) -> Answer:
        """The status of a job without a workload, of which an honest seller has none. Raises Refusal."""
        raise Refusal(404, "job_unknown", "there is no such job")

    @property
    def simulates(self) -> bool:
        """Whether jobs without a workload are sold, which nothing can be run for."""
        return False

    def source(self, vendor: Vendor, job_id: str, checkpoint: str, database: Database) -> tuple[list[str], str]:
        """The jobs whose file may be sent, the first before others, and the SHA-256 of the checkpoint it is of."""
        return [job_id], checkpoint

    def send_file(self, vendor: Vendor, file: FileAnswer) -> Response:
        return file.to_response()

    def send(
        self, stage: str, vendor: Vendor, answer: Answer, fresh_402: Callable[[], Answer] | None = None
    ) -> Response:
        """The answer of a stage of the sale: quote, offer, paid, refused or job. fresh_402: after a payment."""
        return answer.to_response()
