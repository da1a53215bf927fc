"""The files that came back of a run: their list, and each as a download. Nothing of a file is shown or executed."""

import re
from collections.abc import Iterator
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from gpuagent.api.auth import MayRead
from gpuagent.api.connections import Connected
from gpuagent.api.guarded_route import GuardedRoute
from gpuagent.api.middleware import is_head
from gpuagent.api.problems import ProblemError, openapi_responses
from gpuagent.api.requests import RUN_ID
from gpuagent.api.responses import FileListResponse
from gpuagent.core.content import proven
from gpuagent.core.run_files import chosen, matching
from gpuagent.errors import FileMissing

MEDIA_TYPE = "application/octet-stream"
PROBLEMS = openapi_responses(401, 403, 404, 422, 503)
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
_DOWNLOAD: dict[int | str, dict[str, Any]] = {
    200: {"description": "The whole file", "content": {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}}},
    206: {
        "description": "The bytes that Range names",
        "content": {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}},
    },
    304: {"description": "If-None-Match names the file's SHA-256"},
}

routes = APIRouter(prefix="/api/runs", tags=["runs"], route_class=GuardedRoute)
ThisRun = Annotated[str, Path(alias="runId", max_length=64, description="the run's id", examples=[RUN_ID])]
Vendor = Annotated[str, Query(max_length=64, description="only of this vendor")]
JobId = Annotated[str, Query(max_length=64, description="only of the job whose id begins so")]
Index = Annotated[int | None, Query(ge=0, description="only of the job with this number, of several")]
Kind = Annotated[str, Query(max_length=20, description="only of this kind: output or checkpoint")]


@routes.get("/{runId}/files", response_model=FileListResponse, responses=PROBLEMS)
def files(
    _: MayRead,
    connections: Connected,
    run_id: ThisRun,
    vendor: Vendor = "",
    job: JobId = "",
    kind: Kind = "",
    index: Index = None,
) -> Response:
    """List the files that came back of a run's jobs, each proven to be what its vendor had listed."""
    listed = matching(connections.database.reads.files(run_id), vendor, job, kind, index)
    return JSONResponse({"files": [file.as_json() for file in listed]})


@routes.get(
    "/{runId}/files/{path:path}",
    response_class=StreamingResponse,
    responses={**_DOWNLOAD, **openapi_responses(401, 403, 404, 410, 416, 422, 503)},
)
def file(
    request: Request,
    _: MayRead,
    connections: Connected,
    run_id: ThisRun,
    path: Annotated[str, Path(max_length=512, description="the file's path", examples=["model.npz"])],
    vendor: Vendor = "",
    job: JobId = "",
    kind: Kind = "",
    index: Index = None,
) -> Response:
    """Download a file. Of several with this path: an output before a checkpoint, then a completed job's, then the
    latest."""
    entry = chosen(matching(connections.database.reads.files(run_id), vendor, job, kind, index), path)
    tag = f'"{entry.sha256}"'
    headers = {
        "ETag": tag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "Content-Disposition": _disposition(entry.path),
        "Content-Security-Policy": "sandbox",
        "X-Content-Type-Options": "nosniff",
    }
    if _names(request.headers.get("if-none-match", ""), tag):
        return Response(status_code=304, headers=headers)
    first, last = 0, entry.bytes - 1
    status = 200
    if span := _span(request, tag):
        first, last = _bounds(span, entry.bytes)
        status, headers["Content-Range"] = 206, f"bytes {first}-{last}/{entry.bytes}"
    headers["Content-Length"] = str(last + 1 - first)
    store = connections.files
    if store.size(entry.sha256) != entry.bytes:
        raise FileMissing(f"the file store does not have {path[:200]!r}: is FILE_STORE the one it was collected to?")
    if is_head(request.scope):
        content: Iterator[bytes] = iter(())
    elif status == 200:
        content = proven(store.read(entry.sha256), entry.bytes, entry.sha256)
    else:
        content = _cut(store.read(entry.sha256, first), last + 1 - first)
    return StreamingResponse(content, status, headers, media_type=MEDIA_TYPE)


def _disposition(path: str) -> str:
    """A name for the download that cannot be taken for more of the header."""
    name = path.rpartition("/")[2]
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _names(header: str, tag: str) -> bool:
    tags = [part.strip().removeprefix("W/") for part in header.split(",")]
    return tag in tags or header.strip() == "*"


def _span(request: Request, tag: str) -> re.Match[str] | None:
    """The range that is asked for; None where it is none, several, or of another content than If-Range names."""
    if request.headers.get("if-range", tag) != tag:
        return None
    span = _RANGE.fullmatch(request.headers.get("range", "").replace(" ", ""))
    return span if span and any(span.groups()) else None


def _bounds(span: re.Match[str], size: int) -> tuple[int, int]:
    """First and last byte. Raises ProblemError where the file has none of these."""
    first, last = span[1], span[2]
    begin = int(first) if first else max(size - int(last), 0)
    end = min(int(last), size - 1) if first and last else size - 1
    if begin > end or begin >= size:
        raise ProblemError(
            416, "range_unsatisfiable", f"the file has {size} bytes", {"Content-Range": f"bytes */{size}"}
        )
    return begin, end


def _cut(parts: Iterator[bytes], length: int) -> Iterator[bytes]:
    for part in parts:
        yield part[:length]
        length -= len(part)
        if length <= 0:
            return
