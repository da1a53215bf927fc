"""The bodies in which work is quoted and ordered."""

import json
from base64 import b64encode
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from gpuagent.core.job_secrets import is_own_variable
from gpuagent.core.model import Authorized, Reserved, Settled
from gpuagent.core.orders import ORDER_MAX, inline_files, job_params, secret_names
from gpuagent.errors import FileMissing, JobSecretMissing, VendorError

SECRET_VALUE_MAX = 64 * 1024


def quote_body(goal: str, gpu_type: str, max_hours: Decimal, order: str) -> dict[str, Any]:
    """What is asked for; of an order its workload and resume, and never a file or the value of a secret.

    Raises VendorError for an order that is too large.
    """
    check_size(order)
    body = {"jobType": "training", "gpuType": gpu_type, "maxHours": float(max_hours), "jobMetadata": {"goal": goal}}
    return body | (json.loads(order) if order else {})


def order_body(job: Reserved | Authorized | Settled, content: Callable[[str], bytes]) -> dict[str, Any]:
    """The same body for every submit of a job: a vendor may compare them. Raises VendorError, FileMissing.

    content: of a file, by its SHA-256.
    """
    check_size(job.quote.order)
    body = {"vendorJobTemplateId": job.quote.template_id, "jobParams": job_params(job.quote)}
    files = {file.sha256: content(file.sha256) for file in inline_files(job.quote.order)}
    for file in inline_files(job.quote.order):
        if len(files[file.sha256]) != file.bytes:
            raise FileMissing(f"the file store has another {file.path} than the order names: start the run anew")
    return body | ({"inline": {name: b64encode(data).decode() for name, data in files.items()}} if files else {})


def check_size(order: str) -> None:
    if (size := len(order.encode())) > ORDER_MAX:
        raise VendorError(
            f"the order has {size} bytes, and {ORDER_MAX} are sent at most: shorten command, setup and env of the job "
            "file, or put what is long into an input"
        )


def secret_values(order: str, secret: Callable[[str], str | None], token_variable: str) -> dict[str, str]:
    """The values that go with the paid order, by name. Raises JobSecretMissing.

    token_variable: the one of the vendor's bearer token.
    """
    names = secret_names(order)
    if own := next((name for name in names if name == token_variable or is_own_variable(name)), None):
        raise JobSecretMissing(f"{own} is the agent's own: name another variable in the job's secrets, and set that")
    return {name: _value(name, secret(name)) for name in names}


def _value(name: str, value: str | None) -> str:
    if not value:
        raise JobSecretMissing(f"set {name}: the job needs it as a secret, and its vendor gets it once it is paid")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise JobSecretMissing(f"set {name} to text in UTF-8: the job needs it as a secret") from None
    if size > SECRET_VALUE_MAX:
        raise JobSecretMissing(f"set {name} to at most {SECRET_VALUE_MAX} bytes: it has {size}")
    return value
