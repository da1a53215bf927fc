"""The inputs of a run, which are kept in the file store before the run is there: nothing is bought without them."""

from collections.abc import Iterator, Mapping

from gpuagent.core.job_parts import Input
from gpuagent.core.policy import Policy
from gpuagent.core.ports import Ports
from gpuagent.core.ports.files import FileStore
from gpuagent.core.workload import Source, Workload
from gpuagent.errors import BadInput, FileAltered, StoreError


def keep_inputs(workload: Workload, sources: Mapping[str, Source], ports: Ports) -> Workload:
    """The workload with the bytes of each input, all of whose contents the file store has.

    sources: of the contents that it may lack, by SHA-256. Files appear once all of them have come, so that what is
    refused leaves uploads alone, which are swept. Raises BadInput.
    """
    rules = ports.store.policy()
    check_sizes(workload, rules)
    sizes: dict[str, int] = {}
    uploads: dict[str, str] = {}
    for entry in workload.inputs:
        sha256 = str(entry.sha256)
        if sha256 not in sizes:
            size = ports.files.size(sha256)
            if size is None:
                uploads[sha256] = f"input {ports.store.new_id()}"
                size = _upload(entry, sources, uploads[sha256], ports.files, rules.file_max)
            sizes[sha256] = size
        if entry.bytes not in (None, sizes[sha256]):
            raise BadInput(
                f"input {entry.path}: it has {sizes[sha256]:,} bytes, and the job file names {entry.bytes:,}"
            )
    measured = workload.measured(sizes)
    check_sizes(measured, rules)
    for sha256, upload in uploads.items():
        _finish(next(entry for entry in measured.inputs if entry.sha256 == sha256), upload, ports.files)
    return measured


def check_sizes(workload: Workload, rules: Policy) -> None:
    """Raises BadInput for more bytes than the policy allows, of those inputs whose bytes are known."""
    for entry in workload.inputs:
        if (entry.bytes or 0) > rules.file_max:
            raise BadInput(_too_large(entry, rules.file_max))
    total = sum({entry.sha256: entry.bytes or 0 for entry in workload.inputs}.values())
    if total > rules.run_files_max:
        raise BadInput(f"the inputs have {total:,} bytes, and the policy allows {rules.run_files_max:,} for a run")


def _upload(entry: Input, sources: Mapping[str, Source], upload: str, files: FileStore, file_max: int) -> int:
    """Keeps a content that is not proven yet; its bytes."""
    source = sources.get(str(entry.sha256))
    if source is None:
        raise BadInput(f"input {entry.path}: there is no file with the SHA-256 {entry.sha256}: upload it first")
    size = 0

    def bounded() -> Iterator[bytes]:
        nonlocal size
        for part in source():
            size += len(part)
            if size > file_max:
                raise BadInput(_too_large(entry, file_max))
            yield part

    if files.extend(upload, 0, bounded(), file_max) != size:
        raise StoreError(f"the file store did not keep all of input {entry.path}: start the run again")
    return size


def _finish(entry: Input, upload: str, files: FileStore) -> None:
    try:
        files.finish(upload, str(entry.sha256), entry.bytes or 0)
    except FileAltered as error:
        whence = f"{entry.url} does not have it" if entry.url else "the file changed while it was read: start again"
        raise BadInput(f"input {entry.path}: its SHA-256 is not {entry.sha256}; {whence} ({error})") from None


def _too_large(entry: Input, file_max: int) -> str:
    return f"input {entry.path}: it has more than the {file_max:,} bytes that the policy allows for a file"
