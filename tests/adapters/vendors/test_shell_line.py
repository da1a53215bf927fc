"""A workload as one shell text does, in a real shell, what a runner of workloads does with it."""

import subprocess
from typing import Any

import pytest

from gpuagent.adapters.vendors.shell_line import read_exit_line, shell_line, unspeakable, workload_of
from gpuagent.core.orders import order_text
from gpuagent.core.work import Checkpoint, FileEntry
from gpuagent.core.workload import Workload

SHA = "a" * 64


def order(command: str | list[str] = "true", **fields: Any) -> str:
    workload = Workload.model_validate({"name": "job", "command": command, **fields})
    return order_text(workload.canonical, None)


def run(line: str) -> tuple[list[str], int]:
    done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, timeout=90, check=False)
    return done.stdout.splitlines(), done.returncode


@pytest.mark.parametrize(
    ("fields", "lines", "code"),
    [
        ({"command": "echo one; exit 3"}, ["one"], 3),
        ({"command": ["echo", "a b", "$HOME"]}, ["a b $HOME"], 0),
        ({"command": "echo $WORD", "env": {"WORD": 'it\'s; $(false) "so"'}}, ['it\'s; $(false) "so"'], 0),
        ({"command": "echo done", "setup": "echo ready; cd /"}, ["ready", "done"], 0),
        ({"command": "echo never", "setup": "exit 7"}, [], 7),
        ({"command": "kill -9 $$"}, [], 137),
    ],
)
def test_it_runs_and_ends_as_the_job_file_says(fields: dict[str, Any], lines: list[str], code: int) -> None:
    workload = workload_of(order(**fields))
    assert run(shell_line(workload)) == (lines, code)
    told, exit_code = run(shell_line(workload, tell_exit=True))
    assert exit_code == code
    if lines:
        assert read_exit_line(told) == (lines, code)


def test_a_vendor_s_own_fields_are_left_to_it() -> None:
    workload = workload_of(order("echo $WORD", env={"WORD": "x"}, setup="echo ready"))
    assert run(shell_line(workload, with_setup=False, with_env=False)) == ([""], 0)


@pytest.mark.parametrize(
    ("logs", "lines", "code"),
    [
        ([], [], None),
        (["gpuagent: exit code 3", "a warning"], ["a warning"], 3),
        (["gpuagent: exit code 0", "gpuagent: exit code 3 "], ["gpuagent: exit code 0"], 3),
        (["50 %gpuagent: exit code 3"], ["50 %"], 3),
        (["gpuagent: exit code 300"], ["gpuagent: exit code 300"], None),
        (["gpuagent: exit code 3 or so"], ["gpuagent: exit code 3 or so"], None),
    ],
)
def test_the_last_such_line_tells_the_exit_code(logs: list[str], lines: list[str], code: int | None) -> None:
    """Behind it may stand what went to stderr, and before it what the program left without an end of line."""
    assert read_exit_line(logs) == (lines, code)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no job file"),
        (order(outputs=[{"path": "model"}]), "files"),
        (order(checkpoint={"path": "state"}), "files"),
        (order(inputs=[{"path": "data", "file": "data", "sha256": SHA, "bytes": 3}]), "files"),
        (order(secrets=["HF_TOKEN"]), "HF_TOKEN"),
        (order(success={"metric": {"name": "loss", "at_most": 1}}), "loss"),
    ],
)
def test_what_a_command_alone_cannot_do_is_said(text: str, words: str) -> None:
    assert words in unspeakable(text)


def test_a_checkpoint_to_go_on_from_is_a_file_too() -> None:
    files = (FileEntry("state", 3, SHA),)
    workload = Workload.model_validate({"name": "job", "command": "true"})
    assert "files" in unspeakable(order_text(workload.canonical, Checkpoint(SHA, files, 0.5, 0)))
    assert unspeakable(order()) == ""
