"""The halt that the agent itself makes: of a vendor that names another payee than its record has."""

from gpuagent.core.model import Vendor
from gpuagent.core.ports import Ports
from gpuagent.errors import PayeeChanged


def halt_payee(error: PayeeChanged, vendor: Vendor, ports: Ports) -> None:
    """Halt the vendor until an approver resumes it: whoever changed its payee may have changed more.

    vendor: the record that its quote or 402 was compared with.
    """
    payee = error.payee or "what is no address"
    why = f"it wants {payee} paid, where {vendor.pay_to} is on record"
    ports.store.halt_payee(vendor, why, ports.clock.now())
