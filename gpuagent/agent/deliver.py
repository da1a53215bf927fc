"""The delivery of the files that a job reads, before it is paid: resumable, each content at most once."""

from gpuagent.agent.postpone import postponed
from gpuagent.agent.share import Share, new_share
from gpuagent.agent.suitable import unsuitable
from gpuagent.agent.vendors import find_vendor
from gpuagent.core.events import Event, InputsDelivered, JobDropped, StepTakenUp
from gpuagent.core.model import Cause, Reserved, Run, Vendor
from gpuagent.core.orders import sent_files
from gpuagent.core.ports import Ports
from gpuagent.core.run_state import find_job
from gpuagent.core.work import FileEntry
from gpuagent.errors import (
    FileMissing,
    FileStoreError,
    IllegalTransition,
    VendorBusy,
    VendorError,
    VendorTokenMissing,
)


def deliver(run: Run, job_id: str, ports: Ports) -> Event | None:
    """A share of the files that the vendor lacks; None while there are more of them.

    The reservation is dropped when its quote has expired, its vendor may not have the files any more, or does not take
    them, in time. Put off while the file store does not work. Raises VendorTokenMissing.
    """
    job = find_job(run, job_id)
    if not isinstance(job, Reserved):
        raise IllegalTransition(f"{job} is not reserved")
    if job.quote.expires_at <= ports.store.now():
        return JobDropped(job_id, "the quote expired before all files were sent", Cause.UNNEEDED)
    began, files = ports.clock.now(), sent_files(job.quote.order)
    if not job.postponed and began - _since(job) > ports.pace.deliver_max_s(sum(file.bytes for file in files)):
        return JobDropped(job_id, f"{job.quote.vendor_id} did not take the files that the job reads in time")
    vendor = find_vendor(job.quote.vendor_id, ports)
    if problem := unsuitable(run, vendor, job.quote, ports.store.policy()):
        return JobDropped(job_id, problem, Cause.POLICY)
    share = new_share(ports)
    try:
        for file in files:
            is_slow = ports.clock.now() - began > ports.pace.asking_s
            if is_slow or not _is_delivered(vendor, job, file, share, ports):
                is_back = job.postponed and share.remaining < ports.pace.share_bytes
                return StepTakenUp(job_id, ports.clock.now()) if is_back else None
    except (VendorTokenMissing, VendorBusy):
        raise  # our own slip, or a vendor that asks to come again: the quote's end bounds the wait
    except FileMissing as error:
        return JobDropped(job_id, f"{error}: it was to be sent", Cause.UNNEEDED)
    except FileStoreError as error:
        return postponed(job, error)
    except VendorError as error:
        return JobDropped(job_id, str(error))
    return InputsDelivered(job_id)


def _since(job: Reserved) -> float:
    """The latest time at which delivery may have begun."""
    return max(job.approval.expires_at if job.approval else job.reserved_at, job.delivery_from)


def _is_delivered(vendor: Vendor, job: Reserved, file: FileEntry, share: Share, ports: Ports) -> bool:
    """Whether the vendor has all of the file, which it may have had before."""
    began = ports.clock.now()
    received = ports.vendor_api.input_received(vendor, job, file)
    share.until += abs(ports.clock.now() - began)  # the share is for bytes: many files would use it up with questions
    while received < file.bytes and share.seconds > 0:
        before, parts = received, share.cut(ports.files.read(file.sha256, received))
        received = ports.vendor_api.send_input(vendor, job, file, before, parts)
        if received <= before:
            raise VendorError(f"{vendor.vendor_id} takes no more of {file.path} than {received} of {file.bytes} bytes")
    return received >= file.bytes
