"""What the practice stack tells an agent of the programs that it starts."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gpuagent.practice import stack

CHAIN = dict.fromkeys(("rpcUrl", "network", "asset", "assetName", "assetVersion", "payer"), "x") | {"payer": None}
READY = {
    stack.PRACTICE_VENDORS: {"chain": CHAIN, "secret": "s", "url": "http://127.0.0.1:1", "vendors": [], "notices": []},
    stack.STUBS: {"url": "http://127.0.0.1:2", "vendors": [], "bucket": {"FILE_STORE": "s3://files/agent"}},
}


@contextmanager
def named(module: str, *_: Any) -> Iterator[tuple[str, None]]:
    yield module, None


@pytest.mark.parametrize(("kept", "stubs"), [(False, True), (True, True), (False, False)])
def test_the_stubs_bucket_is_the_file_store_of_a_stack_that_keeps_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kept: bool, stubs: bool
) -> None:
    """Its files end with the stubs: of a database that stays they would be missed."""
    monkeypatch.setattr(stack, "_program", named)
    monkeypatch.setattr(stack, "_ready_line", lambda module, _: READY[module])
    with stack.start(tmp_path if kept else None, "mongodb://127.0.0.1", stubs=stubs) as running:
        assert ("FILE_STORE" in running.environment) is (stubs and not kept)
        assert ("STUBS_URL" in running.environment) is stubs
