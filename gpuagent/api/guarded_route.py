"""Routes that look at who asks before anything else of a request, and take no query parameter that they do not know."""

from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request, Response, WebSocket
from fastapi.dependencies.models import Dependant
from fastapi.requests import HTTPConnection
from fastapi.routing import APIRoute

from gpuagent.api import problems
from gpuagent.api.auth import Required, authenticated_caller, authorized_caller
from gpuagent.api.middleware import check_length
from gpuagent.api.problems import ProblemError
from gpuagent.core.rights import READ
from gpuagent.core.text import clean, nearest


class GuardedRoute(APIRoute):
    """A route whose caller is let in, or refused, before its body is read. The framework reads the body first."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()
        required = [part.call for part in _parts(self.dependant) if isinstance(part.call, Required)]
        parameters = _query_names(self.dependant)

        async def answer_if_let_in(request: Request) -> Response:
            for dependency in required:
                authorized_caller(request, *dependency.permissions)
            check_length(request.scope)
            if required:  # a probe of what is public may add what it likes
                _check_query(request, parameters)
            return await answer(request)

        return answer_if_let_in


async def _follower(ws: WebSocket) -> None:
    """Let in a WebSocket, whose path and query the framework looks at only once this has returned."""
    authorized_caller(ws, READ)
    _check_query(ws, _query_names(ws.scope["route"].dependant))


MayFollow = Annotated[None, Depends(_follower)]


def install(app: FastAPI) -> None:
    """Tell only a caller who is let in that there is no such route, or none with this method."""
    for status in (404, 405):
        app.add_exception_handler(status, _answer_no_route)


async def _answer_no_route(request: HTTPConnection, error: Exception) -> Any:
    try:
        authenticated_caller(request)
    except ProblemError as problem:
        return problems.response(problem, request)
    return await problems.answer_http_error(request, error)


def _check_query(http: HTTPConnection, parameters: Sequence[str]) -> None:
    """Raises ProblemError for a query parameter that the route does not take, or that is given twice."""
    names = [name for name, _ in http.query_params.multi_items()]
    for name in names:
        shown = clean(name, problems.PLACE_MAX)
        if name not in parameters:
            meant = nearest(name, parameters)
            advice = f"did you mean {meant}? " if meant else ""
            known = f"it takes {', '.join(parameters)}" if parameters else "it takes none"
            raise ProblemError(422, "request_invalid", f"query: no parameter {shown!r} is known here: {advice}{known}")
        if names.count(name) > 1:
            raise ProblemError(
                422, "request_invalid", f"query: {shown} is given {names.count(name)} times: send it once"
            )


def _query_names(dependant: Dependant) -> list[str]:
    return [field.alias for part in (dependant, *_parts(dependant)) for field in part.query_params]


def _parts(dependant: Dependant) -> Iterator[Dependant]:
    """What a route depends on, at any depth."""
    for dependency in dependant.dependencies:
        yield dependency
        yield from _parts(dependency)
