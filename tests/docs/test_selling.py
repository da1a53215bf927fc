"""docs/selling.md: its commands are ten, and sound; its tables are the configuration's own; its examples are read."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ByteSize, TypeAdapter

from seller.config import Config, Limits, RunnerChoice, read_config
from seller.errors import BadSetting
from seller.units import seconds
from tests.support.documents import ROOT, blocks, shell_lines

PAGE = (ROOT / "docs/selling.md").read_text()
EXAMPLE = ROOT / "deploy/seller/seller.yaml"
PLACEHOLDER, ADDRESS = "0xYOUR_ADDRESS", "0x" + "1" * 40
TEN = blocks(PAGE)[0].text.splitlines()


def rows(heading: str) -> list[list[str]]:
    """The cells of the table below a heading, without its own."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def names(cell: str) -> list[str]:
    return re.findall(r"`(\w+)`", cell)


def value(text: str) -> Any:
    """A default as the page writes it: a number, a duration, or a size."""
    if text.isdecimal():
        return int(text)
    return int(TypeAdapter(ByteSize).validate_python(text)) if text.endswith("B") else seconds(text)


def example(folder: Path, **changes: str) -> Path:
    text = EXAMPLE.read_text()
    for old, new in {PLACEHOLDER: ADDRESS, **changes}.items():
        assert old in text
        text = text.replace(old, new)
    (folder / "seller.yaml").write_text(text)
    return folder / "seller.yaml"


def test_there_are_ten_commands() -> None:
    assert len(TEN) == 10
    assert "Ten commands" in PAGE


def test_a_shell_reads_every_line() -> None:
    script = "\n".join(shell_lines(PAGE))
    process = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True)
    assert (process.returncode, process.stderr) == (0, "")


def test_every_file_that_is_installed_is_here_and_lands_where_it_is_read() -> None:
    lines = list(shell_lines(PAGE))
    files = {word for line in lines for word in line.split() if word.startswith(("deploy/", "examples/"))}
    assert len(files) == 5
    assert {file for file in files if not (ROOT / file).is_file()} == set()
    unit = (ROOT / "deploy/seller/gpuagent-seller.service").read_text()
    for place in ("/etc/gpuagent/seller.yaml", "/etc/gpuagent/seller.env", "/opt/gpuagent/.venv/bin/gpuagent"):
        assert place in unit
        assert any(place in line for line in TEN)
    assert "User=gpuagent-seller" in unit
    assert any(line.startswith("useradd ") and line.endswith(" gpuagent-seller") for line in TEN)


def test_the_key_that_is_made_is_one(tmp_path: Path) -> None:
    (line,) = [line for line in TEN if "token_hex" in line]
    made = subprocess.run(["bash", "-c", line.partition(" | ")[0]], capture_output=True, text=True, check=True).stdout
    assert re.fullmatch(r"SELLER_PRIVATE_KEY=0x[0-9a-f]{64}\n", made)


def test_the_example_is_a_configuration_once_it_says_who_is_paid(tmp_path: Path) -> None:
    config = read_config(example(tmp_path))
    assert (config.pay_to, config.network, config.folder) == (ADDRESS, "base-sepolia", Path("/var/lib/gpuagent-seller"))
    with pytest.raises(BadSetting, match="pay_to"):
        read_config(EXAMPLE)
    with pytest.raises(BadSetting, match=r"offers\.0"):
        read_config(example(tmp_path, count="amount"))


def test_the_table_of_fields_is_the_configuration() -> None:
    assert {name for cells in rows("The file") for name in names(cells[0])} == set(Config.model_fields)


def test_the_table_of_limits_is_the_configuration_with_its_defaults() -> None:
    defaults = {
        name: value(default)
        for cells in rows("Limits")
        for name, default in zip(names(cells[0]), cells[2].split(", "), strict=True)
    }
    assert defaults == {name: int(getattr(Limits(), name)) for name in Limits.model_fields}


def test_fields_of_the_runner_are_its_own() -> None:
    (block,) = [block for block in blocks(PAGE) if block.language == "yaml"]
    runner = RunnerChoice.model_validate(yaml.safe_load(block.text)["runner"])
    assert runner.kind == "container"
    assert {"kind", "sandbox", "payers", "engine", "images", "network", "gpus"} <= set(RunnerChoice.model_fields)
