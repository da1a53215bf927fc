"""A tool that takes no argument which it does not know, and whose errors come to the client in words."""

import inspect
import json
import logging
import secrets
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.tools import Tool
from mcp.server.mcpserver.utilities.func_metadata import ArgModelBase
from mcp_types import CallToolResult, TextContent, ToolAnnotations
from pydantic import ConfigDict, ValidationError, create_model

from gpuagent import errors
from gpuagent.api.problems import PLACE_MAX, ProblemError, problem_of
from gpuagent.mcp.shown import TEXT_MAX, untrusted

log = logging.getLogger(__name__)
FAULTS_MAX = 10
"""Faults of arguments that one answer names."""
OUR_CODES = (
    *("run_unknown", "vendor_unknown", "file_unknown", "file_deleted", "run_not_ours", "run_stale", "bad_input"),
    *("wallet_unfunded", "not_configured", "idempotency_key_reused", "in_progress", "forbidden"),
)
"""Codes of errors in our own words. All others may quote a vendor, a planner or a node."""
Scrub = Callable[[Any], Any]


class _NoOther(ArgModelBase):
    model_config = ConfigDict(extra="forbid")


class StrictTool(Tool):
    """A tool of the SDK, which names the arguments that it refuses, and not their values."""

    async def run(self, arguments: dict[str, Any], context: Any, convert_result: bool = False) -> Any:
        try:
            return await super().run(arguments, context, convert_result)
        except ToolError as error:
            if not isinstance(error.__cause__, ValidationError):
                raise
            return failure("request_invalid", _faults(error.__cause__, list(self.parameters.get("properties", {}))))


def strict_tool(function: Callable[..., Any], annotations: ToolAnnotations, scrub: Scrub) -> Tool:
    """The tool of a function that returns a JSON object and raises errors of ours. scrub: takes secrets out of both."""

    @wraps(function)
    def explained(*positional: Any, **arguments: Any) -> CallToolResult:
        try:
            return success(scrub(function(*positional, **arguments)))
        except ProblemError as problem:
            return _refusal(problem, scrub)
        except errors.GpuAgentError as error:
            try:
                return _refusal(problem_of(error), scrub)
            except errors.GpuAgentError:  # a bug
                return _bug(function.__name__, error)
        except Exception as error:  # noqa: BLE001 - the SDK would say less, and a bug's text may hold a secret
            return _bug(function.__name__, error)

    tool = StrictTool.from_function(explained, description=inspect.getdoc(function), annotations=annotations)
    loose = tool.fn_metadata.arg_model
    strict = create_model(loose.__name__, __base__=(_NoOther, loose))
    tool.fn_metadata.arg_model = strict
    tool.parameters = strict.model_json_schema(by_alias=True)
    return tool


def success(result: Mapping[str, Any]) -> CallToolResult:
    return CallToolResult(content=[_text(result)], structured_content=dict(result))


def failure(code: str, detail: Any) -> CallToolResult:
    """An error with the code that REST has for it. detail: words of ours, or marked ones of others."""
    if isinstance(detail, str) and len(detail) > 2 * TEXT_MAX:
        detail = detail[: 2 * TEXT_MAX] + f"… ({len(detail)} characters in all)"
    body = {"error": {"code": code, "detail": detail}}
    return CallToolResult(content=[_text(body)], structured_content=body, is_error=True)


def _refusal(problem: ProblemError, scrub: Scrub) -> CallToolResult:
    detail = scrub(problem.detail)
    return failure(problem.code, detail if problem.code in OUR_CODES else untrusted(detail))


def _text(body: Mapping[str, Any]) -> TextContent:
    return TextContent(type="text", text=json.dumps(body, ensure_ascii=False))


def _bug(name: str, error: Exception) -> CallToolResult:
    number = secrets.token_hex(4)
    log.error("bug %s in the tool %s", number, name, exc_info=error)
    return failure("bug", f"this is our fault; the server's log has it under {number}")


def _faults(error: ValidationError, names: list[str]) -> str:
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    texts = [f"{'.'.join(str(part)[:PLACE_MAX] for part in fault['loc'])}: {_words(fault, names)}" for fault in faults]
    more = [f"and {len(texts) - FAULTS_MAX} more"] if len(texts) > FAULTS_MAX else []
    return "; ".join(texts[:FAULTS_MAX] + more).encode("utf-8", "replace").decode()


def _words(fault: Mapping[str, Any], names: list[str]) -> str:
    if fault["type"] == "extra_forbidden" and len(fault["loc"]) == 1:
        return f"the tool has no such argument; it has {', '.join(names) or 'none'}"
    return str(fault["msg"]).removeprefix("Value error, ")
