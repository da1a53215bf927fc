"""The route that lists all routes for a reader in a browser. It loads nothing from anywhere, and runs no script."""

from collections.abc import Mapping
from html import escape
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from gpuagent.api.guarded_route import GuardedRoute

routes = APIRouter(route_class=GuardedRoute)
STYLE = (
    ":root{color-scheme:light dark}"  # of the root: else the text stays black on a dark page
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em}"
    "h2{font-size:1.05em;margin:1.6em 0 .2em}code{font-size:.95em}p{margin:.2em 0}dt{font-weight:600}"
)
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


@routes.get("/docs", include_in_schema=False)
def docs(request: Request) -> HTMLResponse:
    """List the routes, what each takes and does. Says no more than /openapi.json, and needs no token."""
    schema: Mapping[str, Any] = request.app.openapi()
    parts = [
        _operation(method.upper(), path, operation)
        for path, operations in schema["paths"].items()
        for method, operation in operations.items()
    ]
    title = f"{escape(schema['info']['title'])}: REST"
    page = (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
        f"</head><body><h1>{title}</h1><p>{escape(schema['info'].get('description', ''))}</p>"
        '<p>For programs: <a href="openapi.json">openapi.json</a>. Where tokens are set, send '
        f"<code>Authorization: Bearer TOKEN</code>.</p>{''.join(parts)}</body></html>\n"
    )
    return HTMLResponse(page, headers={"Content-Security-Policy": POLICY})


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> str:
    parameters = "".join(map(_parameter, operation.get("parameters", ())))
    body = "<p>takes a JSON body: see openapi.json</p>" if "requestBody" in operation else ""
    return (
        f"<h2><code>{method} {escape(path)}</code></h2><p>{escape(operation.get('description', ''))}</p>"
        f"{f'<ul>{parameters}</ul>' if parameters else ''}{body}"
    )


def _parameter(parameter: Mapping[str, Any]) -> str:
    needed = "" if parameter.get("required") else ", optional"
    text = f": {escape(parameter['description'])}" if parameter.get("description") else ""
    return f"<li><code>{escape(parameter['name'])}</code> ({escape(parameter['in'])}{needed}){text}</li>"
