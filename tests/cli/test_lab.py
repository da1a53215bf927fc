"""`gpuagent lab`: JupyterLab's own options, for containers and for root."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from gpuagent.cli import app

CONFIGURED = {"CHAIN_RPC_URL": "http://127.0.0.1:1", "MONGODB_URI": "mongodb://127.0.0.1:1"}
"""A stack of one's own, which lab does not ask."""


@dataclass
class Server:
    """In the place of JupyterLab: takes its command, and ends with this code."""

    code: int = 0
    commands: list[list[str]] = field(default_factory=list)

    def __call__(self, command: list[str], _: Mapping[str, str]) -> int:
        self.commands.append(command)
        return self.code


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server()
    monkeypatch.setattr(import_module("gpuagent.cli.lab"), "_serve", server)  # the package holds a command of that name
    return server


def invoke(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ("lab", "--folder", str(folder), *arguments), env=CONFIGURED)


def test_what_stands_behind_the_dashes_is_jupyterlabs(server: Server, tmp_path: Path) -> None:
    options = ("--ip=0.0.0.0", "--allow-root", "--IdentityProvider.token", "secret", "--port-retries=0", "-y")
    assert invoke(tmp_path, "--no-browser", "--port", "8000", "--", *options).exit_code == 0
    assert invoke(tmp_path).exit_code == 0
    with_options, without = ([*words] for _, _, _, *words in server.commands)
    assert with_options == [str(tmp_path), "--port=8000", "--no-browser", *options]
    assert without == [str(tmp_path), "--port=8888"]


@pytest.mark.parametrize("words", [("notebooks",), ("--", "notebooks"), ("--", "0.0.0.0", "--ip")])
def test_a_word_that_is_no_option_is_refused(server: Server, tmp_path: Path, words: tuple[str, ...]) -> None:
    result = invoke(tmp_path, *words)
    assert (result.exit_code, "name a folder by --folder" in result.output) == (2, True), result.output
    assert server.commands == []


@pytest.mark.parametrize(
    ("user", "code", "options", "hint"),
    [
        (0, 1, (), True),
        (0, 0, (), False),
        (0, 1, ("--allow-root",), False),
        (0, 1, ("--ServerApp.allow_root=True",), False),
        (1000, 1, (), False),
    ],
)
def test_root_is_told_what_jupyterlab_wants(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    user: int,
    code: int,
    options: tuple[str, ...],
    hint: bool,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    server.code = code
    result = invoke(tmp_path, "--", *options)
    assert (result.exit_code, "gpuagent lab -- --allow-root" in result.output) == (code, hint), result.output
