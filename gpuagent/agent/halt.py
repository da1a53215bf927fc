"""The agent's own halt: of a vendor that names another payee than its record, until an approver resumes it."""

from gpuagent.core.model import Vendor
from gpuagent.core.ports import Ports
from gpuagent.errors import PayeeChanged


def halt_payee(error: PayeeChanged, vendor: Vendor, ports: Ports) -> None:
    """Halts the vendor: whoever changed its payee may have changed more. vendor: the record it was held against."""
    payee = error.payee or "what is no address"
    why = f"it wants {payee} paid, where {vendor.pay_to} is on record"
    ports.store.halt_payee(vendor, why, ports.clock.now())
