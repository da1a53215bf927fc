"""Conformance checks of the part of the vendor API that carries work: orders, inputs, files. Nothing is paid.

All of it is optional: a vendor that offers none of it passes, and its result says so.
"""

import json
import re
from base64 import b64encode
from decimal import Decimal
from hashlib import sha256
from secrets import token_bytes, token_hex
from typing import Any

from gpuagent.core.job_fields import GPU
from gpuagent.core.model import Quote, Reserved
from gpuagent.core.orders import ACCEPTS, CANCEL, FILES, WORKLOAD, job_params, order_text
from gpuagent.core.ports.vendors import VendorApi
from gpuagent.core.work import FileEntry
from gpuagent.core.workload import Workload
from gpuagent.doctor.probe import ConformanceResult, Probe
from gpuagent.errors import GpuAgentError

OFFERS = "says what it takes of jobs with files"
REPEATS = "repeats the hash of the workload that it quotes"
PARTS = "takes an input part by part"
SIZE = 40
"""Bytes of an input, which no vendor has seen before."""


def check_work(probe: Probe, gpu_type: str, hours: Decimal, vendor_api: VendorApi) -> list[ConformanceResult]:
    """Every check that fits what the vendor says it accepts."""
    content = token_bytes(SIZE)
    order = order_text(_workload(content, gpu_type).canonical, None)
    try:
        quote = vendor_api.quote(probe.vendor, "conformance check", gpu_type, hours, order)
    except GpuAgentError as error:
        plain = {"jobType": "training", "gpuType": gpu_type, "maxHours": float(hours), "jobMetadata": {}}
        known = probe.expect(REPEATS, (200,), "POST", "/quote", plain | json.loads(order))
        if known.passed:
            return [ConformanceResult(REPEATS, False, str(error))]
        return [ConformanceResult(OFFERS, True, f"takes no workload: {known.detail}")]
    if WORKLOAD not in quote.accepts:
        return [ConformanceResult(OFFERS, True, f"offers none of {', '.join(ACCEPTS)}: sells no run with a job file")]
    missing = [word for word in ACCEPTS if word not in quote.accepts]
    offers = ", ".join(quote.accepts) + (f"; not {', '.join(missing)}" if missing else "")
    return [
        ConformanceResult(OFFERS, True, offers),
        ConformanceResult(REPEATS, True, "the hash of the canonical JSON that it was sent"),
        *_orders(probe, quote, content),
        *(_files(probe, quote, content, vendor_api) if FILES in quote.accepts else []),
        *(_cancel(probe) if CANCEL in quote.accepts else []),
    ]


def _workload(content: bytes, gpu_type: str) -> Workload:
    """A workload that reads one input and leaves one output."""
    document: dict[str, Any] = {
        "name": "conformance",
        "command": ["true"],
        "inputs": [{"path": "input.bin", "sha256": sha256(content).hexdigest(), "bytes": len(content)}],
        "outputs": [{"path": "output.bin"}],
    }
    if re.fullmatch(GPU, gpu_type):
        document["resources"] = {"gpu": gpu_type}
    return Workload.model_validate(document)


def _orders(probe: Probe, quote: Quote, content: bytes) -> list[ConformanceResult]:
    """The answers to unpaid orders: as quoted, otherwise than quoted, and without an input."""
    params = job_params(quote)
    inline = {sha256(content).hexdigest(): b64encode(content).decode()}
    other = {**params, "workload": {**params["workload"], "command": ["false"]}}

    def submit(name: str, status: int, **body: Any) -> ConformanceResult:
        order = {"vendorJobTemplateId": quote.template_id, **body}
        return probe.expect(name, (status,), "POST", "/submit-job", order, {"Idempotency-Key": token_hex(12)})

    return [
        submit("refuses an order that is not as it was quoted", 409, jobParams=other, inline=inline),
        submit("refuses an order without an input that it needs", 422, jobParams=params),
        submit("asks by 402 for an order with its input", 402, jobParams=params, inline=inline),
    ]


def _files(probe: Probe, quote: Quote, content: bytes, vendor_api: VendorApi) -> list[ConformanceResult]:
    def put(name: str, status: int, start: int) -> ConformanceResult:
        path = f"/job-input?sha256={sha256(token_bytes(SIZE)).hexdigest()}&size={SIZE}&start={start}"
        return probe.expect(name, (status,), "PUT", path, None, key, content=content[start:])

    key = {"Idempotency-Key": token_hex(12)}
    unknown = f"/job-input?sha256={sha256(token_bytes(SIZE)).hexdigest()}"
    return [
        probe.expect("answers for an input that it never got", (200,), "GET", unknown, None, key),
        _round_trip(probe, quote, vendor_api),
        put("refuses an input with another hash", 422, 0),
        put("refuses a part of an input that does not follow what it has", 409, 1),
        probe.expect("has no file of a job it never sold", (404,), "GET", "/job-file?vendorJobId=no-such-job&path=a"),
    ]


def _round_trip(probe: Probe, quote: Quote, vendor_api: VendorApi) -> ConformanceResult:
    """An input that is sent in two parts: what the vendor says before, between and after them."""
    content, job, half = token_bytes(SIZE), Reserved(token_hex(12), quote, 0), SIZE // 2
    file = FileEntry("input.bin", SIZE, sha256(content).hexdigest())
    try:
        received = [vendor_api.input_received(probe.vendor, job, file)]
        for start, part in ((0, content[:half]), (half, content[half:])):
            received.append(vendor_api.send_input(probe.vendor, job, file, start, [part]))
            received.append(vendor_api.input_received(probe.vendor, job, file))
    except GpuAgentError as error:
        return ConformanceResult(PARTS, False, str(error))
    due = [0, half, half, SIZE, SIZE]
    detail = f"said that it has {', '.join(map(str, received))} bytes" + (f", wanted {due}" if received != due else "")
    return ConformanceResult(PARTS, received == due, detail)


def _cancel(probe: Probe) -> list[ConformanceResult]:
    body = {"vendorJobId": "no-such-job"}
    return [probe.expect("ends no job it never sold", (404,), "POST", "/job-cancel", body)]
