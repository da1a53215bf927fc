"""The recorded vendors: the candidates for a run's jobs, and the vendor of a job."""

from collections.abc import Sequence

from gpuagent.core import gpus
from gpuagent.core.model import Ordered, Run, Token, Vendor
from gpuagent.core.orders import secret_names
from gpuagent.core.ports import Ports
from gpuagent.core.ports.vendors import VendorJob
from gpuagent.core.work import Collecting, Underway
from gpuagent.errors import IllegalTransition, UnknownVendor


def candidates(run: Run, vendors: Sequence[Vendor], token: Token) -> list[Vendor]:
    """The enabled vendors that the run allows, that offer its GPU and accept our token. Raises UnknownVendor."""
    by_id = {vendor.vendor_id: vendor for vendor in vendors}
    missing = [name for name in run.vendor_ids if name not in by_id]
    if missing:
        raise UnknownVendor(f"no vendor {missing[0]!r}; known: {', '.join(by_id) or 'none'}")
    allowed = [by_id[name] for name in run.vendor_ids] if run.vendor_ids else list(vendors)
    return [
        vendor
        for vendor in allowed
        if vendor.enabled
        and gpus.spelling(run.gpu_type, vendor.gpu_types)
        and (vendor.network, vendor.asset.lower()) == (token.network, token.address.lower())
    ]


def find_vendor(vendor_id: str, ports: Ports) -> Vendor:
    """The vendor's record. Raises IllegalTransition where it is gone: a vendor with jobs is never deleted."""
    for vendor in ports.store.vendors():
        if vendor.vendor_id == vendor_id:
            return vendor
    raise IllegalTransition(f"the record of vendor {vendor_id} is gone")


def vendor_job(job: Ordered, work: Underway | Collecting) -> VendorJob:
    """The job as its vendor knows it. work: the job's."""
    return VendorJob(work.vendor_job_id, job.access, secret_names(job.quote.order))
