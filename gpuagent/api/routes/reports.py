"""What there is to look at beside runs: vendors, spending, a sign of life."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse

from gpuagent.api import as_json as views
from gpuagent.api import schemas as models
from gpuagent.api.auth import MayRead
from gpuagent.api.connections import Connected
from gpuagent.api.problems import documented
from gpuagent.errors import BadInput

LOOKED = documented(401, 403, 422, 503)
PERIOD = timedelta(days=30)

routes = APIRouter()


@routes.get("/healthz", response_model=models.Health, tags=["server"])
async def healthz() -> Response:
    """The server answers. Says nothing of MongoDB or the chain, and needs no token."""
    return JSONResponse({"status": "ok"})


@routes.get("/api/vendors", response_model=models.VendorList, responses=LOOKED, tags=["reports"])
def vendors(_: MayRead, connections: Connected) -> Response:
    """Who may be bought from, and whom that would pay."""
    return JSONResponse({"vendors": [views.vendor(one) for one in connections.database.store.vendors()]})


@routes.get("/api/reports/spend", response_model=models.SpendShown, responses=LOOKED, tags=["reports"])
def spend(
    _: MayRead,
    connections: Connected,
    by: Literal["vendor", "day", "user", "planner", "tag"] = "vendor",
    since: Annotated[date | None, Query(description="first day, UTC; default: 30 days before until")] = None,
    until: Annotated[date | None, Query(description="first day that does not count; default: tomorrow")] = None,
) -> Response:
    """What was settled on chain, and how much of it was for jobs that failed."""
    try:
        end = until or datetime.now(UTC).date() + timedelta(days=1)
        begin = since or end - PERIOD
        first, last = (datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() for day in (begin, end))
    except OverflowError:
        raise BadInput("since and until are days between the years 1 and 9999") from None
    groups = connections.database.queries.spend(by, first, last)
    count, claimed = connections.database.queries.unproven()
    # A job counts under each of its tags, so the tags' sums are not the whole.
    whole = groups if by != "tag" else connections.database.queries.spend("vendor", first, last)
    return JSONResponse(
        {
            "by": by,
            "since": begin.isoformat(),
            "until": end.isoformat(),
            **{name: views.number(sum(one[name] for one in whole)) for name in ("settled", "wasted")},
            "groups": [{**one, **{name: views.number(one[name]) for name in ("settled", "wasted")}} for one in groups],
            "unproven": {"payments": count, "amount": views.number(claimed)},
        }
    )
