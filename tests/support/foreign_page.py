"""A web page of another origin that sends a server all that a browser lets it send, and what of it arrived."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import parse_qs

from playwright.sync_api import Page
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HTML = b"<!doctype html><title>A page that anybody may open</title><body></body>"

EMBEDDED = ("img", "iframe")
FETCHED = ("get", "head", "cors", "EventSource")
FORMS = ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data")
POSTED = ("text", "untyped", "parameters", "form data", "beacon")
PREFLIGHTED = ("json", "json beacon", "header", "PUT", "DELETE")

SEND_ALL = """async ([server, targets, ways]) => {
  const settled = [];
  const over = (element, events = ['load', 'error']) => settled.push(new Promise(resolve =>
    events.forEach(name => element.addEventListener(name, resolve))));
  const fetching = (url, options) => settled.push(fetch(url, options).catch(() => null));
  const submit = (url, type, body) => {
    const frame = document.createElement('iframe'), form = document.createElement('form');
    frame.name = url + type;
    document.body.append(frame, form);
    Object.assign(form, {action: url, method: 'POST', enctype: type, target: frame.name});
    const input = document.createElement('input');
    [input.name, input.value] = [JSON.stringify(body).slice(0, -1) + ',"', '":0}'];
    form.append(input);
    over(frame, ['load']);
    form.submit();
  };
  for (const {path, methods, body} of targets) {
    const url = way => server + path + '?way=' + encodeURIComponent(way);
    for (const tag of ways.EMBEDDED) {
      const element = document.createElement(tag);
      over(element);
      element.src = url(tag);
      document.body.append(element);
    }
    fetching(url('get'), {mode: 'no-cors', credentials: 'include'});
    fetching(url('head'), {mode: 'no-cors', method: 'HEAD'});
    fetching(url('cors'), {});
    const events = new EventSource(url('EventSource'));
    over(events, ['open', 'error']);
    events.addEventListener('error', () => events.close());
    if (methods.includes('WS')) over(new WebSocket(url('WebSocket').replace('http', 'ws')), ['open', 'error']);
    if (methods.includes('PUT') && !methods.includes('POST')) fetching(url('PUT'), {method: 'PUT', body: 'content'});
    if (!methods.includes('POST')) continue;
    const text = JSON.stringify(body), parameters = new URLSearchParams(body), form = new FormData();
    form.append('runId', body.runId || '');
    for (const type of ways.FORMS) submit(url(type), type, body);
    const bodies = {text, untyped: new Blob([text]), parameters, 'form data': form};
    for (const [way, content] of Object.entries(bodies))
      fetching(url(way), {mode: 'no-cors', method: 'POST', body: content});
    navigator.sendBeacon(url('beacon'), text);
    const json = {'Content-Type': 'application/json'};
    try { navigator.sendBeacon(url('json beacon'), new Blob([text], {type: 'application/json'})); } catch {}
    fetching(url('json'), {method: 'POST', body: text, headers: json});
    fetching(url('header'), {method: 'POST', body: text, headers: {'X-Anything': '1'}});
    for (const method of ['PUT', 'DELETE']) fetching(url(method), {method, body: text});
  }
  const late = new Promise((_, reject) => setTimeout(reject, 45000, 'some requests were answered without an end'));
  await Promise.race([Promise.all(settled), late]);
}"""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request that reached the server. way: how the page sent it; method: WS for a WebSocket."""

    method: str
    path: str
    way: str
    status: int


class Arrivals:
    """Middleware that keeps what arrived from pages, and how it was answered: 101 for an open WebSocket."""

    def __init__(self, app: ASGIApp, kept: list[Arrival]) -> None:
        self.app, self.kept = app, kept

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        way = parse_qs(scope.get("query_string", b"").decode()).get("way", [""])[0]
        method = "WS" if scope["type"] == "websocket" else scope.get("method", "")

        async def send_and_keep(message: Message) -> None:
            statuses = {"websocket.accept": 101, "websocket.close": 403}
            status = statuses.get(message["type"], message.get("status"))
            if way and status:
                self.kept.append(Arrival(method, scope["path"], way, status))
            await send(message)

        await self.app(scope, receive, send_and_keep)


@dataclass(frozen=True, slots=True)
class Target:
    """A path, the methods of its routes, and the JSON that it takes: the example of the OpenAPI document."""

    path: str
    methods: list[str]
    body: dict[str, Any]

    @property
    def simple_ways(self) -> tuple[str, ...]:
        """The ways to send it something that no browser asks about before."""
        sockets = ("WebSocket",) if "WS" in self.methods else ()
        return (*EMBEDDED, *FETCHED, *sockets, *((*FORMS, *POSTED) if "POST" in self.methods else ()))

    @property
    def preflighted_ways(self) -> tuple[str, ...]:
        return PREFLIGHTED if "POST" in self.methods else ("PUT",) if "PUT" in self.methods else ()


def targets(app: Any, run_id: str) -> list[Target]:
    """Every path of the application, with a run's id in it."""
    document = app.openapi()

    def body(path: str) -> dict[str, Any]:
        operation = document["paths"].get(path, {}).get("post", {})
        if "requestBody" not in operation:
            return {}
        name = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        example: dict[str, Any] = document["components"]["schemas"][name]["example"]
        return {**example, "runId": run_id} if "runId" in example else example

    methods: dict[str, list[str]] = {}
    for method, path in declared(app.routes):
        methods.setdefault(path, []).append(method)
    return [Target(path.replace("{runId}", run_id), methods[path], body(path)) for path in methods]


def declared(routes: Sequence[Any]) -> Iterator[tuple[str, str]]:
    """Every route of an application, by method; WS is a WebSocket's."""
    for route in routes:
        if isinstance(route, WebSocketRoute):
            yield ("WS", route.path)
        else:
            assert isinstance(route, Route)
            yield from ((method, route.path) for method in sorted(route.methods or ()))


def attack(page: Page, origin: str, server: str, targets: Sequence[Target]) -> None:
    """Open the page of an origin and let it send everything to every path of the server."""
    page.goto(origin)
    page.evaluate(SEND_ALL, [server, [asdict(target) for target in targets], {"EMBEDDED": EMBEDDED, "FORMS": FORMS}])
