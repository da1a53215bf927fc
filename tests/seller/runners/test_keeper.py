"""The keeper of checkpoints against a job that changes its folder while it is copied."""

from collections.abc import Callable
from pathlib import Path

import pytest

from seller.runners import keeper
from seller.runners.job_folder import JobFolder
from seller.runners.keeper import CheckpointKeeper
from tests.conftest import SafetyNote

SECRET = b"a line of /etc/shadow"


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    folder = JobFolder(tmp_path / "job")
    (folder.work / "c" / "sub").mkdir(parents=True)
    folder.checkpoints.mkdir()
    (tmp_path / "host").mkdir()
    (tmp_path / "host" / "w").write_bytes(SECRET)
    (folder.work / "c" / "sub" / "w").write_bytes(b"x" * len(SECRET))
    (folder.work / "c" / "progress.json").write_text("{}")
    return folder


def kept(folder: JobFolder) -> dict[str, bytes]:
    if not folder.newest.exists():
        return {}
    root = folder.checkpoints / folder.newest.read_text()
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_whole_checkpoint_is_kept(folder: JobFolder) -> None:
    CheckpointKeeper(folder, "c").keep()
    assert kept(folder) == {"sub/w": b"x" * len(SECRET), "progress.json": b"{}"}


@pytest.mark.safety("a checkpoint that is all holes fills no more of the seller's disk than its job may have")
def test_a_file_that_is_all_holes(folder: JobFolder) -> None:
    with (folder.work / "c" / "holes").open("wb") as file:
        file.truncate(2_000_000)
    assert (folder.work / "c" / "holes").stat().st_blocks == 0
    (folder.work / "c" / "progress.json").write_text("{ }")
    CheckpointKeeper(folder, "c", disk=1_000_000).keep()
    assert kept(folder) == {}
    CheckpointKeeper(folder, "c", disk=3_000_000).keep()
    assert set(kept(folder)) == {"sub/w", "holes", "progress.json"}


@pytest.mark.safety(
    "a folder that becomes a link to the host's files while a checkpoint is copied gives none of them away"
)
def test_a_folder_swapped_for_a_link(
    folder: JobFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, safety_note: SafetyNote
) -> None:
    sub, away = folder.work / "c" / "sub", folder.work / "away"

    def swap() -> None:
        sub.rename(away)
        sub.symlink_to(tmp_path / "host")

    def swap_back() -> None:
        sub.unlink()
        away.rename(sub)

    steps: list[Callable[[], object]] = [str, str, swap, swap_back]  # around the copies of progress.json and sub/w

    def around(self: CheckpointKeeper, *file: object) -> None:
        steps.pop(0)()
        try:
            copy(self, *file)  # type: ignore[arg-type]
        finally:
            steps.pop(0)()

    copy = CheckpointKeeper._copy
    monkeypatch.setattr(CheckpointKeeper, "_copy", around)
    CheckpointKeeper(folder, "c").keep()
    assert kept(folder) == {}
    assert not [path for path in folder.checkpoints.rglob("*") if path.is_file() and SECRET in path.read_bytes()]
    safety_note("the folder was opened without following links: nothing was copied, and the checkpoint was not kept")


def test_a_file_that_grows_as_fast_as_it_is_copied(folder: JobFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else its job would keep the supervisor busy past the paid time."""
    monkeypatch.setattr(keeper, "COPY_BYTES", 4)
    weights = folder.work / "c" / "sub" / "w"
    open_inside, reads = keeper.open_inside, []

    class Growing:
        def __init__(self, file: object) -> None:
            self.file = file

        def __enter__(self) -> "Growing":
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()  # type: ignore[attr-defined]

        def fileno(self) -> int:
            return int(self.file.fileno())  # type: ignore[attr-defined]

        def read(self, size: int) -> bytes:
            reads.append(size)
            with weights.open("ab") as file:
                file.write(b"yyyy")
            return bytes(self.file.read(size))  # type: ignore[attr-defined]

    monkeypatch.setattr(keeper, "open_inside", lambda *place: Growing(open_inside(*place)))
    CheckpointKeeper(folder, "c").keep()
    assert kept(folder) == {}
    assert sum(reads) == len(SECRET) + 2


def test_a_checkpoint_folder_that_is_a_link(folder: JobFolder, tmp_path: Path) -> None:
    (tmp_path / "host" / "progress.json").write_text("{}")
    (folder.work / "linked").symlink_to(tmp_path / "host")
    CheckpointKeeper(folder, "linked").keep(final=True)
    assert kept(folder) == {}


def test_a_folder_of_many_files_is_looked_at_once_a_second(folder: JobFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    now, looks = [0.0], [0]
    listing = CheckpointKeeper._listing

    def counted(self: CheckpointKeeper) -> list[tuple[str, int, int, int]]:
        looks[0] += 1
        return listing(self)

    monkeypatch.setattr(CheckpointKeeper, "_listing", counted)
    monkeypatch.setattr("seller.runners.keeper.time.monotonic", lambda: now[0])
    monkeypatch.setattr(keeper, "CHECKPOINT_FILES", 1)
    keeping = CheckpointKeeper(folder, "c")
    for _ in range(40):
        keeping.keep()
        now[0] += 0.05
    assert looks[0] == 2
