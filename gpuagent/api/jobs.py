"""Jobs that come in a request: their inputs are in it, in the file store, or at a public URL; never on this machine."""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

from gpuagent.core.orders import INLINE_MAX
from gpuagent.core.workload import Workload
from gpuagent.errors import BadInput
from gpuagent.wire.download import Download
from gpuagent.wire.egress import egress
from gpuagent.wire.job_file import read_job_file
from gpuagent.wire.job_inputs import SealedJob, sealed_job, with_contents

JOB_SECRETS = "JOB_SECRETS"
DOWNLOAD_S = 60.0
"""Seconds that the download of one input may take within a request."""


def received_job(
    job: Mapping[str, Any] | str | None, inputs: Mapping[str, str], environ: Mapping[str, str], file_max: int
) -> SealedJob | None:
    """The job of a request. inputs: contents in base64, by path. file_max: bytes of a download.

    Raises BadInput, ConfigError.
    """
    if job is None:
        if inputs:
            raise BadInput("inputs: they are of a job, and there is none: send it as `job`")
        return None
    workload = read_job_file((job if isinstance(job, str) else json.dumps(job)).encode("utf-8", "replace"), "job")
    _check_secrets(workload, environ)
    contents = {path: _decoded(path, text) for path, text in inputs.items()}
    sent = _sent(workload, contents)
    fetched = sealed_job(sent.workload, {}, Download(egress(environ), file_max, DOWNLOAD_S, public_only=True))
    return SealedJob(sent.workload, {**fetched.sources, **sent.sources})


def _check_secrets(workload: Workload, environ: Mapping[str, str]) -> None:
    """Raises BadInput for a secret that is none of those which the server's operator named: the caller chose it."""
    names = environ.get(JOB_SECRETS, "").replace(",", " ").split()
    if refused := [name for name in workload.secrets if name not in names]:
        raise BadInput(
            f"secrets: {refused[0]} is none that this server gives to jobs; its operator names those in {JOB_SECRETS}"
        )


def _sent(workload: Workload, contents: Mapping[str, bytes]) -> SealedJob:
    """The job with the contents of the request. Raises BadInput."""
    known = {entry.path for entry in workload.inputs if not entry.url}
    if unknown := sorted({*contents} - known):
        raise BadInput(f"inputs: {unknown[0][:200]!r} is the path of no input of the job")
    if missing := sorted({*workload.local_files} - {*contents}):
        raise BadInput(
            f"input {missing[0]}: this server reads no file of its own for a job: send the content in `inputs`, or "
            "PUT it to /api/files/SHA256 and name it by its sha256"
        )
    entries = [
        entry.model_copy(update={"file": entry.file or entry.path}) if entry.path in contents else entry
        for entry in workload.inputs
    ]
    return with_contents(workload.model_copy(update={"inputs": entries}), contents)


def _decoded(path: str, text: str) -> bytes:
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadInput(f"inputs: the content of {path[:200]!r} is no base64") from None
    if len(content) > INLINE_MAX:
        raise BadInput(
            f"inputs: {path[:200]!r} has more than {INLINE_MAX:,} bytes: PUT it to /api/files/SHA256 instead"
        )
    return content
