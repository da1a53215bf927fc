"""The workshop with sellers that take their pay after the work, and a chain where an authorization lives and dies."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from gpuagent.core.model import (
    Authorization,
    Authorized,
    Challenge,
    JobAccess,
    Reserved,
    Settled,
    Settlement,
    Settles,
    Submitted,
    Terms,
    Vendor,
)
from gpuagent.core.ports.chain import Gas, Head, Open, Outcome, Void
from gpuagent.core.terms import SENDING_S
from gpuagent.errors import ChainError, VendorError
from tests.support.factories import PAYER, TOKEN
from tests.support.workshop import Seller, Sellers, SoldJob, Workshop

LIFE_S = 900
RECORDED_S = 1800
ACCESS = JobAccess("job-token-0123456789", "http://127.0.0.1:4001/jobs/1")


class LaterSellers(Sellers):
    """Sellers that begin an order at once and settle nothing. orders: every order that came, by nonce."""

    def __init__(self, world: "PayLater") -> None:
        super().__init__(world)
        self._later = world

    def challenge(self, vendor: Vendor, job: Reserved) -> Challenge:
        (terms,) = super().challenge(vendor, job).accepts
        return Challenge((replace(terms, max_timeout_s=self._later.timeout_s),))

    def submit(self, vendor: Vendor, job: Authorized | Settled) -> Submitted:
        self._later.orders.append(job.authorization)
        if self._later.refusing:
            raise VendorError("503: no machine is free")
        jobs, name = self._later.sellers[vendor.vendor_id].jobs, f"{vendor.vendor_id}-{job.job_id}"
        jobs.setdefault(name, SoldJob(name, job.quote.order, job.quote.max_hours))
        return Submitted(name, ACCESS)


@dataclass
class LaterChain:
    """Final at once. Each nonce is used or cancelled at most once, and used only while its authorization lives."""

    world: "PayLater"
    cancelled: set[str] = field(default_factory=set)
    transfers: list[Authorization] = field(default_factory=list)
    has_gas: bool = True

    def head(self, address: str, nonces: Sequence[str] = ()) -> Head:
        return Head(1, int(self.world.at), 10**9 - self.paid, tuple(self.spent(address, nonces)))

    @property
    def paid(self) -> int:
        return sum(transfer.amount for transfer in self.transfers)

    def spent(self, payer: str, nonces: Sequence[str]) -> Sequence[str]:
        return [nonce for nonce in nonces if nonce in self.cancelled or self._is_used(nonce)]

    def take(self, authorization: Authorization) -> bool:
        """A seller's settlement. False where the token refuses it."""
        dead = self.world.at >= authorization.valid_before or authorization.nonce in self.cancelled
        if dead or self._is_used(authorization.nonce):
            return False
        self.transfers.append(authorization)
        return True

    def outcome(self, authorization: Authorization, transaction: str = "") -> Outcome:
        if self._is_used(authorization.nonce):
            return Settlement("0x" + "d" * 64, 7, int(self.world.at))
        if authorization.nonce in self.cancelled:
            return Void("cancelled on chain")
        if self.world.at >= authorization.valid_before:
            return Void("expired unused")
        return Open(int(self.world.at), used=False)

    def gas(self, address: str) -> Gas:
        if not self.has_gas:
            raise ChainError("no gas")
        return Gas(0, 1, 1, 10**18)

    def send(self, transaction: str) -> str:
        nonce = transaction.removeprefix("cancel ")
        if not self._is_used(nonce):
            self.cancelled.add(nonce)
        return "0x" + "c" * 64

    def _is_used(self, nonce: str) -> bool:
        return any(transfer.nonce == nonce for transfer in self.transfers)


class LaterWallet:
    """signed: every authorization that left it."""

    address, token = PAYER, TOKEN

    def __init__(self) -> None:
        self.signed: list[Authorization] = []

    def sign(self, authorization: Authorization, terms: Terms, identifier: str) -> str:
        self.signed.append(authorization)
        return f"signed {authorization.nonce}"

    def cancel(self, authorization: Authorization, gas: Gas) -> str:
        return f"cancel {authorization.nonce}"


class PayLater(Workshop):
    """timeout_s: what the sellers' 402 asks. refusing: whether they take no order. orders: as they came."""

    def __init__(self, workload: dict[str, Any] | None = None, **sellers: Seller) -> None:
        super().__init__(workload, **sellers)
        self.timeout_s, self.refusing = LIFE_S - SENDING_S, False
        self.orders: list[Authorization] = []
        self.chain, self.wallet = LaterChain(self), LaterWallet()
        self.ports = replace(
            self.ports,
            vendor_api=LaterSellers(self),
            chain=cast("Any", self.chain),
            wallet=cast("Any", self.wallet),
        )

    def vendors(self) -> tuple[Vendor, ...]:
        later = {"settles": Settles.AFTER, "max_authorization_s": RECORDED_S}
        return tuple(replace(vendor, **later) for vendor in super().vendors())  # type: ignore[arg-type]

    @property
    def job(self) -> Any:
        """The newest job."""
        return self.run.jobs[-1]
