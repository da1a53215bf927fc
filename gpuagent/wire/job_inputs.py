"""A job that can be started: its sealed workload, and where each of its contents comes from."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gpuagent.core.workload import Source, Workload
from gpuagent.errors import BadInput
from gpuagent.wire.download import Download
from gpuagent.wire.job_file import load_job

READ = 256 * 1024
"""Bytes read at a time."""


@dataclass(frozen=True, slots=True)
class SealedJob:
    """A workload, and the stream of each of its contents that the file store may lack, by SHA-256."""

    workload: Workload
    sources: Mapping[str, Source] = field(default_factory=dict, repr=False)


def open_job(
    path: Path,
    env: Mapping[str, str],
    download: Download,
    root: Path | None = None,
    file_max: int | None = None,
) -> SealedJob:
    """The job in a job file on this machine. Arguments as of job_file.load_job(). Raises BadInput."""
    workload, files = load_job(path, env, root, file_max)
    return sealed_job(workload, files, download)


def sealed_job(workload: Workload, files: Mapping[str, Path], download: Download) -> SealedJob:
    """files: by SHA-256. What has a url is fetched by the download."""
    sources: dict[str, Source] = {
        str(entry.sha256): _url_source(entry.url, download) for entry in workload.inputs if entry.url
    }
    return SealedJob(workload, sources | {sha256: _file_source(file) for sha256, file in files.items()})


def with_contents(workload: Workload, contents: Mapping[str, bytes]) -> SealedJob:
    """The job with contents that are at hand, by the paths of its inputs; other inputs stay. Raises BadInput."""
    digests = {path: (hashlib.sha256(content).hexdigest(), len(content)) for path, content in contents.items()}
    try:
        sealed = workload.sealed(digests)
    except ValueError as error:
        raise BadInput(f"job: {error}") from None
    return SealedJob(sealed, {digests[path][0]: _content_source(content) for path, content in contents.items()})


def _content_source(content: bytes) -> Source:
    return lambda: (content,)


def _url_source(url: str, download: Download) -> Source:
    return lambda: download.parts(url)


def _file_source(path: Path) -> Source:
    def parts() -> Iterator[bytes]:
        try:
            with path.open("rb") as file:
                while part := file.read(READ):
                    yield part
        except OSError as error:
            raise BadInput(f"{path} cannot be read: {error.strerror}") from None

    return parts
