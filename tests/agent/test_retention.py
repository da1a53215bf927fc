"""What is kept no longer is deleted, and nothing that any run may still need."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest

from gpuagent.agent.retention import sweep_files
from gpuagent.core.policy import Policy
from gpuagent.core.retention import Holding, expired
from gpuagent.errors import ConfigError
from tests.support.memory_files import MemoryFiles

DAY = 86_400.0
NOW = 100 * DAY


@dataclass
class Record:
    """The port HoldingStore. deleted: what was noted."""

    runs: list[Holding]
    deleted: list[tuple[str, str]] = field(default_factory=list)

    def holdings(self) -> Iterable[Holding]:
        return iter(self.runs)

    def note_deleted(self, run_id: str, sha256: str, at: float) -> None:
        self.deleted.append((run_id, sha256))


def holding(run_id: str, ended_days_ago: float | None, *contents: str, size: int = 10) -> Holding:
    ended_at = None if ended_days_ago is None else NOW - ended_days_ago * DAY
    return Holding(run_id, ended_at, dict.fromkeys(contents, size))


@pytest.mark.parametrize(
    ("runs", "keep_s", "keep_max", "gone"),
    [
        ([holding("a", 9, "x")], None, None, {}),
        ([holding("a", 9, "x")], 10 * DAY, None, {}),
        ([holding("a", 9, "x")], 8 * DAY, None, {"a": {"x"}}),
        ([holding("a", 9, "x"), holding("b", 1, "x", "y")], 8 * DAY, None, {}),
        ([holding("a", 9, "x"), holding("b", None, "x")], 8 * DAY, None, {}),
        ([holding("a", None, "x")], 0.0, 0, {}),
        ([holding("a", 2, "x"), holding("b", 1, "y")], None, 10, {"a": {"x"}}),
        ([holding("a", 2, "x"), holding("b", 1, "y")], None, 20, {}),
        ([holding("a", 3, "x"), holding("b", 2, "y"), holding("c", 1, "z")], None, 10, {"a": {"x"}, "b": {"y"}}),
        ([holding("a", 2, "x"), holding("b", None, "y")], None, 10, {"a": {"x"}}),
        ([holding("a", 9, "x"), holding("b", 8.5, "x")], 8 * DAY, None, {"a": {"x"}, "b": {"x"}}),
    ],
)
def test_which_files_go(
    runs: list[Holding], keep_s: float | None, keep_max: int | None, gone: dict[str, set[str]]
) -> None:
    assert {run_id: set(files) for run_id, files in expired(runs, NOW, keep_s, keep_max).items()} == gone


def test_an_archive_that_is_a_file_of_a_run_too_stays() -> None:
    archive = Holding("a", NOW - 9 * DAY, {}, frozenset({"x"}))
    assert expired([archive, holding("b", 9, "x", "y")], NOW, 8 * DAY, 0) == {"b": {"y": 10}}


def test_a_sweep_deletes_notes_and_does_it_once() -> None:
    files = MemoryFiles()
    model, shared, stray = files.put(b"model"), files.put(b"shared"), files.put(b"an older checkpoint")
    files.uploads["left"] = b"half a file"
    needs = frozenset({shared})
    record = Record([holding("old", 9, model, shared), Holding("running", None, {}, needs)])
    rules = Policy(keep_files_s=int(8 * DAY))
    before = dict(files.contents)
    plan = sweep_files(files, record, rules, NOW, dry_run=True)
    assert (files.contents, record.deleted) == (before, [])
    sweep = sweep_files(files, record, rules, NOW, dry_run=False)
    assert (plan.uploads, plan.strays) == (sweep.uploads, sweep.strays) == (11, len(b"an older checkpoint"))
    assert [file.sha256 for file in sweep.files] == [model]
    assert record.deleted == [("old", model)]
    assert set(files.contents) == {shared}
    assert stray not in files.contents
    again = sweep_files(files, record, rules, NOW, dry_run=False)
    assert (again.freed, again.uploads, again.strays) == (0, 0, 0)


def test_without_a_rule_the_files_of_runs_stay() -> None:
    files = MemoryFiles()
    model = files.put(b"model")
    sweep = sweep_files(files, Record([holding("old", 9000, model)]), Policy(), NOW, dry_run=False)
    assert (sweep.files, list(files.contents)) == ([], [model])


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_store_that_two_databases_share_is_not_swept(dry_run: bool) -> None:
    """Files of the other's runs are named by no record of ours, as strays are."""
    files = MemoryFiles()
    theirs = files.put(b"a model of the other database")
    files.neighbours = ("'gpuagent' (databases/6b0a)",)
    with pytest.raises(ConfigError, match=r"'gpuagent' \(databases/6b0a\).*FILE_STORE of its own.*delete its mark"):
        sweep_files(files, Record([]), Policy(), NOW, dry_run=dry_run)
    assert files.size(theirs)
    files.neighbours = ()
    sweep_files(files, Record([]), Policy(), NOW, dry_run=False)
    assert files.size(theirs) is None
