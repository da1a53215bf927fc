"""Two public lists of sellers and the sellers in them, on one server, with the quirks that the real ones have.

`bazaar` searches (GET .../discovery/search) and pages, as CDP's does; `plain` only pages, as PayAI's. What a list is
asked for beyond the offset it ignores, as the real ones ignore filters and limits; but for those of a search.
"""

import json
import threading
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.factories import ASSET, PAYEE, TOKEN, WIRE_TERMS

BODY = {"vendorJobTemplateId": "quote-1", "jobParams": {}}
"""The declared order of a seller that speaks our protocol."""
Answer = tuple[int, Mapping[str, str], bytes]
SEARCH_ROWS, QUERY_MAX = 20, 400
"""What CDP's search takes, by its OpenAPI document."""


def terms(amount: int | str = 1_400_000, **changes: Any) -> dict[str, Any]:
    return {**WIRE_TERMS, "amount": str(amount), **changes}


def v1_terms(amount: int = 1_400_000, **changes: Any) -> dict[str, Any]:
    """The terms as version 1 writes them: other names of the amount and the network, and a description of its own."""
    rest = {name: value for name, value in WIRE_TERMS.items() if name not in ("amount", "network")}
    more = {"resource": "https://x.example", "description": "GPU job of version 1", "mimeType": "application/json"}
    return {**rest, **more, "maxAmountRequired": str(amount), "network": "local", **changes}


def declared(body: Mapping[str, Any] = BODY) -> dict[str, Any]:
    """The Bazaar extension as the SDK's declare_discovery_extension() writes it."""
    order = {"type": "object", "properties": {name: {} for name in body}}
    schema = {"type": "object", "properties": {"input": {"type": "object", "properties": {"body": order}}}}
    return {
        "bazaar": {
            "info": {"input": {"type": "http", "method": "POST", "bodyType": "json", "body": body}},
            "schema": schema,
        }
    }


def challenge(*offers: Mapping[str, Any], version: int = 2, in_body: bool = False, **more: Any) -> Answer:
    """A 402 with these offers, in its header unless in_body."""
    document = json.dumps({"x402Version": version, "accepts": list(offers or [terms()]), **more}).encode()
    return (402, {}, document) if in_body else (402, {"PAYMENT-REQUIRED": b64encode(document).decode()}, b"{}")


@dataclass
class ListQuirks:
    """What a list does wrong. busy: seconds it asks to wait for, once it has given so many pages.

    cursors: whether its search says how to come by what is more than a page, which CDP's does not.
    """

    searches: bool = True
    cursors: bool = True
    page_rows: int = 100
    total: int | None = None
    vanish: int = 0
    """Rows that are gone from the list's beginning after each page, so that later ones move up."""
    endless: bool = False
    busy_after: int | None = None
    raw: Answer | None = None


@dataclass
class StubList:
    """One list. pages: how many it gave."""

    rows: list[Any] = field(default_factory=list)
    quirks: ListQuirks = field(default_factory=ListQuirks)
    pages: int = 0


class DiscoveryLists:
    """The server. sellers: answers by path. asked: the requests, as method and path, and bodies by path."""

    def __init__(self) -> None:
        self.lists = {"bazaar": StubList(), "plain": StubList(quirks=ListQuirks(searches=False))}
        self.sellers: dict[str, Answer] = {}
        self.asked: list[str] = []
        self.headers: list[Mapping[str, str]] = []
        self.bodies: dict[str, bytes] = {}
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1

            def do_GET(self) -> None:
                status, headers, body = stub.respond(self.command, self.path)
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                stub.bodies[self.path] = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                stub.headers.append(dict(self.headers))
                self.do_GET()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
                """Tests read no access log."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def list_url(self, name: str) -> str:
        return f"{self.url}/{name}/discovery"

    def row(self, path: str, *offers: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
        """A row of a seller on this server, with all that CDP's rows have."""
        return {
            "resource": f"{self.url}{path}",
            "type": "http",
            "x402Version": 2,
            "accepts": list(offers or [terms()]),
            "lastUpdated": "2026-08-07T15:45:20.968Z",
            "description": "Runs an H100 job",
            "serviceName": "Acme GPUs",
            "tags": ["gpu", "h100"],
            "iconUrl": "https://acme.example/icon.png",
            "quality": {"l30DaysTotalCalls": 627, "l30DaysUniquePayers": 61, "lastCalledAt": "2026-08-07T06:35:46.22Z"},
            "extensions": declared(),
            **changes,
        }

    def sells(self, path: str, answer: Answer | None = None, **changes: Any) -> dict[str, Any]:
        """A seller with this 402, and its row."""
        self.sellers[path] = answer or challenge()
        return self.row(path, **changes)

    def serves(self, path: str, document: object, status: int = 200) -> None:
        """Answers a path by a document."""
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.sellers[path] = (status, {"Content-Type": "application/json"}, body)

    def respond(self, method: str, target: str) -> Answer:
        parts = urlsplit(target)
        self.asked.append(f"{method} {parts.path}")
        name, _, page = parts.path.strip("/").partition("/discovery/")
        if name in self.lists and page in ("resources", "search"):
            return self._page(self.lists[name], page, parse_qs(parts.query))
        return self.sellers.get(target, self.sellers.get(parts.path, (404, {}, b"{}")))

    def _page(self, stub: StubList, page: str, params: Mapping[str, list[str]]) -> Answer:
        quirks = stub.quirks
        if page == "search" and not quirks.searches:
            return 404, {}, b"not found"
        limit, query = int(params.get("limit", ["20"])[0]), params.get("query", [""])[0]
        if page == "search" and (limit > SEARCH_ROWS or len(query) > QUERY_MAX):
            return (
                400,
                {},
                b'{"errorType": "invalid_request", "errorMessage": "limit must be less than or equal to 20"}',
            )
        stub.pages += 1
        if quirks.raw:
            return quirks.raw
        if quirks.busy_after is not None and stub.pages > quirks.busy_after:
            return 429, {"Retry-After": "30"}, b"slow down"
        gone = stub.rows[quirks.vanish * (stub.pages - 1) :]
        first = int(params.get("cursor" if page == "search" else "offset", ["0"])[0])
        rows = gone[first : first + quirks.page_rows]
        if quirks.endless:
            rows = [self.row(f"/endless/{stub.pages}/{number}") for number in range(quirks.page_rows)]
        document: dict[str, Any] = {"x402Version": 2}
        if page == "search":
            more = quirks.endless or first + quirks.page_rows < len(gone)
            cursor = str(first + quirks.page_rows) if more and quirks.cursors else None
            document |= {"resources": rows, "partialResults": more, "pagination": {"limit": 20, "cursor": cursor}}
        else:
            total = len(stub.rows) if quirks.total is None else quirks.total
            document |= {"items": rows, "pagination": {"limit": quirks.page_rows, "offset": first, "total": total}}
        return 200, {"Content-Type": "application/json"}, json.dumps(document).encode()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def well_known(url: str, **changes: Any) -> dict[str, Any]:
    """The document of a seller of ours at /.well-known/x402."""
    own = {
        "protocol": "gpuagent/1",
        "vendorId": "box_in_the_cellar",
        "name": "Box in the cellar",
        "gpus": [{"gpu": "A100", "count": 1, "pricePerHour": "1.40"}],
        "payTo": PAYEE,
        "network": TOKEN.network,
        "asset": ASSET,
        "accepts": ["workload", "files"],
        **changes,
    }
    return {"version": 1, "resources": [f"{url}/submit-job"], "instructions": "Pay, then wait.", "gpuagent": own}
