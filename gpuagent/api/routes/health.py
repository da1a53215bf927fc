"""The route that shows that the server answers."""

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from gpuagent.api.guarded_route import GuardedRoute
from gpuagent.api.responses import Health

routes = APIRouter(route_class=GuardedRoute)


@routes.get("/healthz", response_model=Health, tags=["server"])
async def healthz() -> Response:
    """Show that the server answers. Says nothing about MongoDB or the chain, and needs no token."""
    return JSONResponse({"status": "ok"})
