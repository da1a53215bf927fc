"""The name that a vendor gives to a job that was paid for, wherever in its answer it stands.

The wire format is `vendorJobId` in the body. Where a vendor departs from it, its job is paid for all the same: not to
find the name is to lose the job and to pay another vendor for it.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from gpuagent.core.model import Vendor
from gpuagent.errors import VendorError
from gpuagent.wire.vendor_words import JOB_NAMES

NESTS = ("job", "data", "result")
"""Objects in the body that may hold the job; there, and at the top when nothing else is given, it may be an `id`."""
_ID = re.compile(r"[A-Za-z0-9._:-][A-Za-z0-9._:/+=~@-]{0,127}", re.ASCII)
_PATH = re.compile(r"/jobs?/([^/]+)(?:/status)?/?$")


def read_job_id(vendor: Vendor, data: Mapping[str, Any], location: str = "", is_refusal: bool = False) -> str:
    """The vendor's name for the job, "" when it gives none. Raises VendorError for a name that cannot be kept.

    The first of JOB_NAMES that is there counts: at the top of the body, then in one of NESTS. location: the answer's
    Location header, read where the body names no job: `…/jobs/NAME`, or a parameter of these names. is_refusal: the
    answer is an error, whose `id` and Location may be the error's own; only a name of JOB_NAMES counts there.
    """
    nests = [nest for name in NESTS if isinstance(nest := data.get(name), Mapping)]
    texts = [_text(place.get(name)) for place in (data, *nests) for name in JOB_NAMES]
    if not is_refusal:
        texts += [_text(nest.get("id")) for nest in nests] + [_text(data.get("id")), _from_location(location)]
        texts += [job for job in [data.get("job")] if isinstance(job, str)]
    job_id = next(filter(None, texts), "")
    if job_id and not _ID.fullmatch(job_id):
        raise VendorError(f"{vendor.vendor_id} named its job in a way that cannot be kept")
    return job_id


def _text(value: object) -> str:
    """The value as a name: a text or a whole number; "" for no value, and what is no name for all else."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else "\0"


def _from_location(location: str) -> str:
    """The job that the URL is of, "" where it is of none that is known to be one."""
    try:
        parts = urlsplit(location)
    except ValueError:
        return ""
    query = parse_qs(parts.query)
    parameters = [values[0] for name in JOB_NAMES if (values := query.get(name))]
    path = _PATH.search(parts.path)
    return parameters[0] if parameters else unquote(path[1]) if path else ""
