"""Routes that look at who asks before anything else of a request: its body, the ids in its path and its query."""

from collections.abc import Callable, Coroutine, Iterator
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


class GuardedRoute(APIRoute):
    """A route whose caller is let in, or refused, before its body is read. The framework reads the body first."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()
        required = [call for call in _calls(self.dependant) if isinstance(call, Required)]

        async def answer_if_let_in(request: Request) -> Response:
            for dependency in required:
                authorized_caller(request, *dependency.permissions)
            check_length(request.scope)
            return await answer(request)

        return answer_if_let_in


async def _follower(ws: WebSocket) -> None:
    """Let in a WebSocket, whose path and query the framework looks at only once this has returned."""
    authorized_caller(ws, READ)


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


def _calls(dependant: Dependant) -> Iterator[object]:
    """What a route depends on, at any depth."""
    for dependency in dependant.dependencies:
        yield dependency.call
        yield from _calls(dependency)
