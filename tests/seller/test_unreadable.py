"""A seller's folder that cannot be read: one line says why and what to do, and the exit code is 1."""

import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import yaml

from seller.__main__ import main
from seller.config import read_config
from seller.database import Database
from seller.errors import Unreadable
from seller.home import DATABASE
from seller.report.check import check
from seller.tables import VERSION
from seller.unreadable import explained

COMMANDS = ("status", "sales", "drain")
READERS = ("status", "sales")
NOBODY = 65534


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A seller whose database is there."""
    document = {
        "name": "Box",
        "pay_to": "0x" + "a1" * 20,
        "network": "base-sepolia",
        "offers": [{"gpu": "A100", "price_per_hour": 1.4}],
        "runner": {"kind": "process"},
        "folder": str(tmp_path / "data"),
        "listen": "127.0.0.1:0",
    }
    path = tmp_path / "seller.yaml"
    path.write_text(yaml.safe_dump(document))
    (tmp_path / "data").mkdir()
    Database(tmp_path / "data" / DATABASE).close()
    return path


@contextmanager
def no_permission(folder: Path) -> Iterator[None]:
    """As another user sees it; root may read all, and is another for so long."""
    folder.chmod(0)
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o700)


def _no_folder(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    folder.write_text("a file")


def _rubbish(folder: Path) -> None:
    (folder / DATABASE).write_bytes(b"no database at all" * 100)


def _damaged(folder: Path) -> None:
    path = folder / DATABASE
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))


def _newer(folder: Path) -> None:
    with closing(sqlite3.connect(folder / DATABASE)) as database:
        database.execute(f"PRAGMA user_version={VERSION + 1}")


def _directory(folder: Path) -> None:
    (folder / DATABASE).unlink()
    (folder / DATABASE).mkdir()


BREAKS: list[tuple[Callable[[Path], None], tuple[str, ...], str]] = [
    (_no_folder, COMMANDS, "Not a directory"),
    (_rubbish, READERS, "is no database: restore it"),
    (_damaged, READERS, "is damaged"),
    (_newer, READERS, "was written by a newer gpuagent"),
    (_directory, COMMANDS, "is no file"),
]


def said(config: Path, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """The one line of a command that ends with 1."""
    monkeypatch.setattr(sys, "argv", ["seller", command, "--config", str(config)])
    with pytest.raises(SystemExit) as ended:
        main()
    captured = capsys.readouterr()
    assert (ended.value.code, captured.out) == (1, "")
    (line,) = captured.err.splitlines()
    return str(line)


@pytest.mark.parametrize(("breaks", "commands", "words"), BREAKS)
def test_a_folder_that_is_no_sellers(
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    breaks: Callable[[Path], None],
    commands: tuple[str, ...],
    words: str,
) -> None:
    folder = config.parent / "data"
    breaks(folder)
    for command in commands:
        assert words in said(config, command, monkeypatch, capsys)
    (finding,) = [finding for finding in check(read_config(config), {}) if finding.name == "folder"]
    assert not finding.passed
    assert words in finding.detail or "cannot be made" in finding.detail


def test_a_folder_of_another_user(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config.chmod(0o644)
    read = read_config(config)
    monkeypatch.setattr("seller.__main__.read_config", lambda _: read)
    with no_permission(config.parent / "data"):
        for command in COMMANDS:
            assert "run this as the user whose seller it is" in said(config, command, monkeypatch, capsys)
        findings = {finding.name: finding for finding in check(read, {})}
    assert not findings["folder"].passed
    assert "Permission denied" in findings["folder"].detail


def test_a_database_that_is_locked(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, connect = config.parent / "data" / DATABASE, sqlite3.connect
    monkeypatch.setattr(
        "seller.database.sqlite3.connect", lambda *args, **options: connect(*args, timeout=0, **options)
    )
    with closing(connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        for command in READERS:
            assert "is locked by another program" in said(config, command, monkeypatch, capsys)


def test_a_pipe_that_broke_is_no_matter_of_the_folder(tmp_path: Path) -> None:
    with pytest.raises(BrokenPipeError), explained(tmp_path):
        raise BrokenPipeError
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorname = "SQLITE_FULL"
    with pytest.raises(Unreadable, match="disk is full"), explained(tmp_path):
        raise full


def test_a_database_of_before_versions_is_taken_up(tmp_path: Path) -> None:
    path = tmp_path / DATABASE
    Database(path).close()
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version=0")
    Database(path).close()
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (VERSION,)
