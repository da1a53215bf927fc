"""Whose runs an assistant starts: no name that a token happens to have is another's."""

from types import SimpleNamespace
from typing import Any

from gpuagent.api import auth
from gpuagent.api.connections import Connections
from gpuagent.api.tokens import read_tokens
from gpuagent.mcp.host import CALLER, Host

TOKEN = "a-token-named-like-us"


def context(request: Any) -> Any:
    return SimpleNamespace(request_context=SimpleNamespace(request=request))


def test_a_token_named_local_does_not_start_runs_of_this_machines_user() -> None:
    host = Host(Connections({}), "ada")
    namesake = read_tokens({"GPUAGENT_API_TOKENS": f"local=operate:{TOKEN}"}).caller(TOKEN)
    over_http = context(SimpleNamespace(scope={CALLER: namesake}))
    assert (host.caller(over_http), host.user(over_http)) == ("local", "local")
    untokened = context(SimpleNamespace(scope={CALLER: auth.LOCAL}))
    assert [host.user(ctx) for ctx in (context(None), untokened)] == ["ada", "ada"]
