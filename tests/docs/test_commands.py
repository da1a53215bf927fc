"""Every command line in the docs is one that there is: parsed by the application itself, and not run."""

import re
from importlib.util import find_spec
from typing import Any

import pytest
import typer

from gpuagent.cli import app
from tests.support.documents import DOCUMENTS, ROOT, calls, name, shell_lines, spans
from tests.tools.cli_reference import walk

GENERATED = "docs/reference/cli.md"
ROOT_COMMAND = typer.main.get_command(app)


def resolved(arguments: list[str]) -> tuple[Any, list[str]]:
    """The command that the arguments name, and those that are left for it. Raises ValueError where there is none."""
    command: Any = ROOT_COMMAND
    while hasattr(command, "commands") and arguments and not arguments[0].startswith("-"):
        if arguments[0] not in command.commands:
            raise ValueError(f"no command {arguments[0]!r}; there are {', '.join(command.commands)}")
        command, arguments = command.commands[arguments[0]], arguments[1:]
    return command, arguments


def check_line(arguments: list[str]) -> None:
    """As a shell would hand it over: every argument that is needed is there. Raises ValueError, or typer's own."""
    command, rest = resolved(arguments)
    if "--help" in rest:
        return
    if hasattr(command, "commands") and not (command.invoke_without_command and not rest):
        raise ValueError(f"{' '.join(arguments)}: which of {', '.join(command.commands)}?")
    command.make_context(command.name, rest)


def check_mention(arguments: list[str]) -> None:
    """A command and options that there are, in a sentence that may leave arguments out. Raises ValueError."""
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments  # the rest is another program's
    command, rest = resolved(own)
    unknown = {word.partition("=")[0] for word in rest if word.startswith("-")} - options_of(command) - {"--help"}
    if unknown:
        raise ValueError(f"{' '.join(arguments)}: no option {', '.join(unknown)}")


def options_of(command: Any) -> set[str]:
    return {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}


LINES = [
    (name(path), arguments)
    for path in DOCUMENTS
    if name(path) != GENERATED
    for line in shell_lines(path.read_text())
    for arguments in calls(line, "gpuagent")
]
MENTIONS = [
    (name(path), arguments)
    for path in DOCUMENTS
    for span in spans(path.read_text())
    for arguments in calls(span, "gpuagent")
]


def test_there_are_lines_to_check() -> None:
    assert len(LINES) > 40
    assert len(MENTIONS) > 30
    assert {"README.md", "docs/operating/runs.md", "docs/start.md"} <= {document for document, _ in LINES}
    assert "deploy/README.md" in {document for document, _ in MENTIONS}


@pytest.mark.parametrize(("document", "arguments"), LINES, ids=lambda value: value if isinstance(value, str) else "")
def test_a_line_is_one_that_the_command_takes(document: str, arguments: list[str]) -> None:
    check_line(arguments)


@pytest.mark.parametrize(("document", "arguments"), MENTIONS, ids=lambda value: value if isinstance(value, str) else "")
def test_a_mention_names_what_there_is(document: str, arguments: list[str]) -> None:
    check_mention(arguments)


def test_an_option_alone_is_an_option_of_some_command() -> None:
    options = set().union(*(options_of(command) for _, command in walk())) | {"--help"}
    lone_options = {
        (name(path), span.split()[0].partition("=")[0])
        for path in DOCUMENTS
        for span in spans(path.read_text())
        if span.startswith("--")
    }
    assert len(lone_options) > 10
    assert {(document, option) for document, option in lone_options if option not in options} == set()


@pytest.mark.parametrize(
    "line",
    [
        "gpuagent fly",
        "gpuagent run begin",
        "gpuagent run tick",  # without the run
        "gpuagent run tick RUN_ID --fast",
        "gpuagent policy",
        "PORT=1 gpuagent books --from-block soon",
        "true && gpuagent vendor seed",
    ],
)
def test_the_check_of_lines_bites(line: str) -> None:
    (arguments,) = calls(line, "gpuagent")
    with pytest.raises(Exception, match=r"no command|which of|No such option|Missing parameter|not a valid int"):
        check_line(arguments)


@pytest.mark.parametrize("span", ["gpuagent run begin", "gpuagent run start --until-over", "gpuagent wallet --new"])
def test_the_check_of_mentions_bites(span: str) -> None:
    (arguments,) = calls(span, "gpuagent")
    with pytest.raises(ValueError, match=r"no command|no option"):
        check_mention(arguments)


def test_a_call_is_found_wherever_a_shell_would_run_it() -> None:
    assert list(calls("0 2 * * * . e.env; A=b gpuagent books --all # gpuagent", "gpuagent")) == [["books", "--all"]]
    assert list(calls("useradd --system gpuagent", "gpuagent")) == []


def test_make_targets_and_modules_are_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    for path in DOCUMENTS:
        text = path.read_text()
        for code in (*shell_lines(text), *spans(text)):
            for arguments in calls(code, "make"):
                assert not arguments or arguments[0] in targets, f"{name(path)}: make {arguments[0]}"
            for arguments in (*calls(code, "python"), *calls(code, "python3")):
                if arguments[:1] == ["-m"]:
                    assert find_spec(arguments[1]), f"{name(path)}: python -m {arguments[1]}"


def test_what_the_readme_promises_to_set_up_stays_in_it() -> None:
    readme = (ROOT / "README.md").read_text()
    assert "make demo" in readme
    assert "make test" in readme
