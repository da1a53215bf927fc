"""What the demo shows of a delivery: each hash whole on its line, and names and texts as they are."""

from dataclasses import dataclass
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rich.console import Console

from gpuagent.core.run_files import RunFile
from gpuagent.core.work import FileKind
from gpuagent.errors import ConfigError
from gpuagent.practice.delivery import Delivery, Resumed, delivery_of, delivery_parts, example_job
from tests.support.factories import RUN

SHA256 = "6e5addb73ec7f11a025f219b25266d141708dc38d7abde48a5b6a9a4918f40b3"


def delivered(path: str, completed: bool = True, kind: str = FileKind.OUTPUT) -> RunFile:
    return RunFile(path, 462_458, SHA256, kind, "gpu_vendor_2", "j2", completed, 0.0)


@dataclass
class RunFiles:
    """Files of a run, all with one content."""

    files: list[RunFile]
    content: bytes

    def as_agent(self) -> Any:
        store = SimpleNamespace(read=lambda _: iter((self.content,)))
        return SimpleNamespace(reads=SimpleNamespace(files=lambda _: self.files), ports=SimpleNamespace(files=store))


def shown(delivery: Delivery, width: int = 100) -> str:
    screen = Console(width=width, record=True, file=cast(Any, SimpleNamespace(write=len, flush=int)))
    for part in delivery_parts(delivery):
        screen.print(part)
    return screen.export_text()


def test_a_delivery_fits_a_terminal_of_100_columns() -> None:
    resumed = Resumed("gpu_vendor_2", 1 / 3, Decimal("0.67"), Decimal("0.33"))
    text = shown(Delivery((delivered("model.npz"), delivered("metrics.jsonl")), resumed, "so it writes"))
    assert "gpu_vendor_2 went on from 33% of the work: 0.67 h were bought there, 0.33 h saved\n" in text
    assert text.count(f" bytes  {SHA256}\n") == 2
    assert "the model writes: so it writes\n" in text
    assert shown(Delivery()) == ""


def test_names_and_texts_are_no_markup() -> None:
    text = shown(Delivery((delivered("[red]model[/red]"),), None, "[bold]so[/bold] it writes"))
    assert "[red]model[/red]" in text
    assert "[bold]so[/bold] it writes" in text


def test_of_a_sample_one_clean_line_is_shown() -> None:
    files = [delivered("sample.txt"), delivered("sample.txt", completed=False), delivered("w", kind="checkpoint")]
    agent = RunFiles(files, b"\n| `pay\x1b[2J\xff` the **run**\n\n" + b"on and " * 40).as_agent()
    delivery = delivery_of(RUN, agent)
    assert delivery.files == (files[0],)
    assert delivery.sample.startswith("pay")
    assert delivery.sample.isprintable()
    assert len(delivery.sample) == 80
    assert not set("|`*\x1b") & set(delivery.sample)
    assert delivery.as_json()["resumed"] is None


def test_an_example_that_was_not_installed() -> None:
    with pytest.raises(ConfigError, match="there are: "):
        example_job("huge_llm")
