"""The route that lists the vendors."""

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from gpuagent.api.as_json import vendor_json
from gpuagent.api.auth import MayRead
from gpuagent.api.connections import Connected
from gpuagent.api.guarded_route import GuardedRoute
from gpuagent.api.problems import openapi_responses
from gpuagent.api.responses import VendorListResponse

routes = APIRouter(route_class=GuardedRoute)


@routes.get(
    "/api/vendors",
    response_model=VendorListResponse,
    responses=openapi_responses(401, 403, 422, 503),
    tags=["reports"],
)
def vendors(_: MayRead, connections: Connected) -> Response:
    """List the vendors that the agent may buy from, and whom that would pay."""
    database = connections.database
    halts, vendors = database.reads.vendor_halts(), database.store.vendors()
    return JSONResponse({"vendors": [vendor_json(vendor, halts.get(vendor.vendor_id)) for vendor in vendors]})
