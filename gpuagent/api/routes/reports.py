"""The route that reports spending."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse

from gpuagent.api.as_json import usd_number
from gpuagent.api.auth import MayRead
from gpuagent.api.connections import Connected
from gpuagent.api.guarded_route import GuardedRoute
from gpuagent.api.problems import openapi_responses
from gpuagent.api.responses import BudgetListResponse, SpendResponse
from gpuagent.errors import BadInput
from gpuagent.settings import read

PERIOD = timedelta(days=30)
SUMS = ("settled", "wasted")

routes = APIRouter(route_class=GuardedRoute)


@routes.get(
    "/api/reports/spend",
    response_model=SpendResponse,
    responses=openapi_responses(401, 403, 422, 503),
    tags=["reports"],
)
def spend(
    _: MayRead,
    connections: Connected,
    by: Annotated[
        Literal["vendor", "day", "user", "planner", "tag"], Query(description="what the amounts are grouped by")
    ] = "vendor",
    since: Annotated[date | None, Query(description="first day, UTC; default: 30 days before until")] = None,
    until: Annotated[date | None, Query(description="first day that does not count; default: tomorrow")] = None,
) -> Response:
    """Report what was settled on chain, and how much of it was for jobs that failed."""
    begin, end = spend_period(since, until)
    queries = connections.database.queries
    groups = queries.spend(by, begin.timestamp(), end.timestamp())
    # A job counts under each of its tags, so the tags' sums are not the whole.
    whole = groups if by != "tag" else queries.spend("vendor", begin.timestamp(), end.timestamp())
    count, claims = queries.unproven()
    return JSONResponse(
        {
            "by": by,
            "since": begin.date().isoformat(),
            "until": end.date().isoformat(),
            **{name: usd_number(sum(group[name] for group in whole)) for name in SUMS},
            "groups": [{**group, **{name: usd_number(group[name]) for name in SUMS}} for group in groups],
            "unproven": {"payments": count, "amount": usd_number(claims)},
        }
    )


def spend_period(since: date | None, until: date | None) -> tuple[datetime, datetime]:
    """The days [since, until), midnight UTC. Raises BadInput."""
    try:
        last = until or datetime.now(UTC).date() + timedelta(days=1)
        first = since or last - PERIOD
    except OverflowError:
        raise BadInput("since and until are days between the years 1 and 9999") from None
    if first >= last:
        raise BadInput(f"since, {first}, is not before until, {last}: until is the first day that does not count")
    begin, end = (datetime(day.year, day.month, day.day, tzinfo=UTC) for day in (first, last))
    return begin, end


@routes.get(
    "/api/budgets",
    response_model=BudgetListResponse,
    responses=openapi_responses(401, 403, 409, 503),
    tags=["reports"],
)
def budgets(_: MayRead, connections: Connected) -> Response:
    """List the budgets of tags and users over calendar months: what is used, how fast, and the forecast."""
    database = connections.database
    zone = database.store.policy().month_zone
    shares = database.reads.budget_shares(read(connections.environ).network, database.store.now())
    return JSONResponse({"zone": zone, "budgets": [share.as_json(zone, usd_number) for share in shares]})
