"""The route that lists everything that waits for a user, over all runs."""

from datetime import UTC, datetime

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from gpuagent.api.as_json import usd_number
from gpuagent.api.auth import MayRead
from gpuagent.api.connections import Connected
from gpuagent.api.guarded_route import GuardedRoute
from gpuagent.api.problems import openapi_responses
from gpuagent.api.responses import InboxResponse
from gpuagent.core.inbox import InboxItem

routes = APIRouter(route_class=GuardedRoute)


@routes.get(
    "/api/inbox",
    response_model=InboxResponse,
    responses=openapi_responses(401, 403, 503),
    tags=["runs"],
)
def inbox(_: MayRead, connections: Connected) -> Response:
    """List everything that waits for a user, over all runs, the most urgent first."""
    database = connections.database
    waiting = database.inbox.read(database.store.now())
    return JSONResponse({"items": [_item(item) for item in waiting.items], "more": waiting.more})


def _item(item: InboxItem) -> dict[str, object]:
    return {
        "kind": item.kind.value,
        "title": item.title,
        "since": _time(item.since),
        "expiresAt": _time(item.expires_at) if item.expires_at else None,
        "runId": item.run_id or None,
        "jobId": item.job_id or None,
        "amount": usd_number(item.amount) if item.amount else None,
    }


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
