"""docs/reference/rest.md names every route of the server, with its method, and no other."""

import re

from starlette.routing import Route, WebSocketRoute

from gpuagent.api.app import create_app
from tests.support.documents import ROOT

PAGE = (ROOT / "docs/reference/rest.md").read_text()
ROW = re.compile(r"^\| `([A-Z]+) (/[^`]+)` \|", re.M)


def path_of(route: Route | WebSocketRoute) -> str:
    """As OpenAPI has it, without the kind of a parameter."""
    return re.sub(r":\w+}", "}", route.path)


def test_the_table_has_every_route() -> None:
    routes = {
        (method, path_of(route))
        for route in create_app({}).routes
        for method in (
            route.methods or ()
            if isinstance(route, Route)
            else ("WEBSOCKET",)
            if isinstance(route, WebSocketRoute)
            else ()
        )
        if method != "HEAD"
    }
    assert len(routes) > 10
    assert set(ROW.findall(PAGE)) == routes


def test_paths_in_the_text_are_routes() -> None:
    paths = {path_of(route) for route in create_app({}).routes if isinstance(route, Route | WebSocketRoute)}
    mentions = set(re.findall(r"`(?:GET |POST )?(/(?:api/|healthz|openapi)[^`? ]*)", PAGE))
    assert mentions - paths == set()
