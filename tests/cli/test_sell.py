"""`gpuagent sell` becomes the seller's own program: its words and its exit codes are that one's."""

import subprocess
import sys
from pathlib import Path

import pytest


def sell(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "gpuagent.cli", "sell", *arguments], capture_output=True, text=True, timeout=240
    )


@pytest.mark.parametrize("command", [(), ("sales", "--csv")])
def test_a_mistake_in_the_configuration_is_said(tmp_path: Path, command: tuple[str, ...]) -> None:
    config = tmp_path / "seller.yaml"
    config.write_text("name: Box\n")
    ended = sell(*command, "--config", str(config))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "pay_to: Field required" in ended.stderr
