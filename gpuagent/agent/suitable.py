"""Whether a vendor can run a workload, and may have its files and secrets; prices and caps are checked elsewhere."""

from collections.abc import Collection

from gpuagent.core.model import Quote, Run, Vendor
from gpuagent.core.orders import CHECKPOINT, FILES, WORKLOAD, order_files, sent_files
from gpuagent.core.policy import Policy
from gpuagent.core.resume import resumed_from
from gpuagent.core.rules import TRUSTED_VENDORS
from gpuagent.core.verdict import to_confirm
from gpuagent.core.workload import from_canonical


def unsuitable(run: Run, vendor: Vendor, quote: Quote, rules: Policy) -> str:
    """Why this vendor may not have the run's work, "" where it may. Without a workload any vendor may."""
    if not run.workload:
        return ""
    workload = from_canonical(run.workload)
    if WORKLOAD not in quote.accepts:
        return "runs no job files"
    if FILES not in quote.accepts and (workload.outputs or workload.checkpoint or sent_files(quote.order)):
        return "takes and returns no files"
    if resumed_from(quote) and CHECKPOINT not in quote.accepts:
        return "cannot go on from a checkpoint"
    if workload.secrets and not vendor.trusted:
        return f"is not trusted with secrets ({', '.join(workload.secrets)}): `gpuagent vendor seed` sets trusted"
    if rules.inputs_to == TRUSTED_VENDORS and not vendor.trusted and order_files(quote.order):
        return "is not trusted with files, and the policy keeps them from such vendors"
    return ""


def confirmations(run: Run, able: Collection[str], index: int = 0) -> dict[str, str]:
    """Why vendors are not bought from again, by vendor_id: another one is to confirm the exit code that they reported.

    able: the vendors that could be paid; where none of them is another one, the same vendor may confirm it. index: of
    the job that is to be bought.
    """
    codes = to_confirm(run, index) if run.workload else {}
    if not set(able) - set(codes):
        return {}
    return {vendor: f"reported exit code {code}, which another vendor is to confirm" for vendor, code in codes.items()}
