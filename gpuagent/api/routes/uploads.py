"""Uploads of inputs, which jobs name by their SHA-256."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import JSONResponse

from gpuagent.api.auth import MayOperate
from gpuagent.api.connections import Connected
from gpuagent.api.guarded_route import GuardedRoute
from gpuagent.api.problems import ProblemError, openapi_responses
from gpuagent.api.responses import UploadResponse
from gpuagent.core.job_fields import SHA256
from gpuagent.errors import BadInput, FileAltered

PUT_PROBLEMS = openapi_responses(401, 403, 405, 409, 413, 422, 503)
OCTETS = {
    "requestBody": {
        "required": False,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}

routes = APIRouter(prefix="/api", tags=["files"], route_class=GuardedRoute)


async def _body(request: Request) -> bytes:
    return await request.body()


@routes.put("/files/{sha256}", response_model=UploadResponse, responses=PUT_PROBLEMS, openapi_extra=OCTETS)
def upload(
    sha256: Annotated[str, Path(pattern=SHA256, description="of the whole file")],
    caller: MayOperate,
    connections: Connected,
    body: Annotated[bytes, Depends(_body)],
    size: Annotated[int | None, Query(ge=0, description="bytes of the whole file; none: the body is all of it")] = None,
    start: Annotated[int, Query(ge=0, description="the bytes that came before this body")] = 0,
) -> Response:
    """Keep a file, or the next piece of one, of 4 MB at most. It is there once its SHA-256 is proven.

    A piece that does not follow what has been received is a 409, whose detail says from where to go on.
    """
    files = connections.agent.ports.files
    if size is None and start == 0:
        size = len(body)
    if size is None or start + len(body) > size:
        raise BadInput("size: say how many bytes the whole file has, and send no more")
    file_max = connections.database.store.policy().file_max
    if size > file_max:
        raise ProblemError(413, "content_too_large", f"the policy allows {file_max:,} bytes for a file")
    whole = files.size(sha256)
    if whole is not None:
        return _answer(sha256, whole, whole)
    name = f"upload {caller.name} {sha256} {size}"
    received = files.received(name)
    if start == received:
        received = files.extend(name, start, (body,) if body else (), size)
    if received != start + len(body):
        raise ProblemError(409, "upload_elsewhere", f"{received} bytes have been received: go on with start={received}")
    if received == size:
        try:
            files.finish(name, sha256, size)
        except FileAltered as error:
            raise BadInput(f"the content has another SHA-256, and was dropped: {error}") from None
    return _answer(sha256, size, received)


def _answer(sha256: str, size: int, received: int) -> Response:
    return JSONResponse({"sha256": sha256, "size": size, "received": received, "complete": received == size})
