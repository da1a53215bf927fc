"""A world whose database is the embedded one of a user's data folder, as where MONGODB_URI is not set."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.market import Market
from tests.support.world import World, build_world


@contextmanager
def embedded_world(market: Market, folder: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> Iterator[World]:
    """folder: becomes the user's. name: of the database."""
    monkeypatch.setenv("XDG_DATA_HOME", str(folder))
    monkeypatch.delenv("MONGODB_URI", raising=False)
    own = copy.copy(market)
    own.environment = {name: value for name, value in market.environment.items() if name != "MONGODB_URI"}
    with build_world(own, name) as world:
        yield world
