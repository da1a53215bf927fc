"""docs/reference/cli.md: every command of `gpuagent` with its options, read from the typer application itself."""

import inspect
from collections.abc import Iterator
from typing import Any

import typer

from gpuagent.cli import app

INTRODUCTION = """\
# Commands: every `gpuagent` command and option

Written by `make docs` from the code, never by hand. Exit codes: 0 ok, 1 another error, 2 usage or configuration,
3 refused by a rule about money, 4 the run failed; `gpuagent schedule run` has its own.
"""
TYPES = {"str": "TEXT", "int": "NUMBER", "float": "NUMBER", "path": "PATH", "boolean": ""}


def reference() -> str:
    """The page."""
    commands = list(walk())
    index = "\n".join(f"- [`{path}`](#{path.replace(' ', '-')}): {_first_line(command)}" for path, command in commands)
    return "\n".join([INTRODUCTION, index, "", *(_section(path, command) for path, command in commands)])


def walk() -> Iterator[tuple[str, Any]]:
    """Every command that does something, by the words that call it."""
    yield from _leaves("gpuagent", typer.main.get_command(app))


def _leaves(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "commands") or command.invoke_without_command:
        yield path, command
    if not hasattr(command, "commands"):
        return
    for name in sorted(command.commands):
        yield from _leaves(f"{path} {name}", command.commands[name])


def _section(path: str, command: Any) -> str:
    text = _text(command)
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    options = [parameter for parameter in command.params if parameter.param_type_name == "option"]
    usage = " ".join([path, *(["[OPTIONS]"] if options else []), *(_argument(parameter) for parameter in arguments)])
    rows = [f"| `{_argument(parameter)}` | {_help(parameter)} | {_default(parameter)} |" for parameter in arguments]
    rows += [f"| {_names(parameter)} | {_help(parameter)} | {_default(parameter)} |" for parameter in options]
    table = ["| | what | default |", "|---|---|---|", *rows, ""]
    return "\n".join([f"## {path}", "", text, "", "```", usage, "```", "", *table])


def _text(command: Any) -> str:
    """The help as Markdown; a paragraph that is marked to keep its lines keeps them."""
    paragraphs = []
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        verbatim = paragraph.lstrip().startswith("\b")
        text = paragraph.replace("\b", "").strip("\n")
        paragraphs.append(f"```\n{text}\n```" if verbatim else text)
    return "\n\n".join(filter(None, paragraphs))


def _first_line(command: Any) -> str:
    return (command.help or "").strip().split("\n\n")[0].replace("\n", " ").split(". ")[0].rstrip(".") + "."


def _argument(parameter: Any) -> str:
    name = parameter.name.upper()
    return name if parameter.required else f"[{name}]"


def _names(parameter: Any) -> str:
    value = parameter.metavar or _type(parameter)
    names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
    return f"{names} {value.replace('|', chr(92) + '|')}".rstrip()


def _type(parameter: Any) -> str:
    return "TEXT, repeatable" if parameter.multiple else TYPES[parameter.type.name.removesuffix(" range")]


def _help(parameter: Any) -> str:
    return (parameter.help or "").replace("|", "\\|")


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    if parameter.default in (None, "", False):
        return ""
    return "yes" if parameter.default is True else f"`{parameter.default}`"
