"""The keeper of a job's checkpoints, in its supervisor: copies of what the program wrote, each whole."""

import hashlib
import os
import shutil
import stat
import time

from seller.folders import write_whole
from seller.runners.base import RunnerError
from seller.runners.job_folder import JobFolder
from seller.runners.reading import open_inside
from seller.runners.tree import walk

CHECKPOINT_BYTES = 5_000_000_000
CHECKPOINT_FILES = 10_000
"""Files and folders."""
LOOK_S = 1.0
"""Between two looks at all files of a checkpoint whose progress.json has not changed."""
PROGRESS = "progress.json"
COPY_BYTES = 1024 * 1024


class CheckpointKeeper:
    """Keeps each new checkpoint. path: its folder, within the job's own; "" where the job makes none.

    disk: bytes that the job may have there, 0 for no bound. A copy is never larger: a file that is all holes takes no
    room there, and its copy would.
    """

    def __init__(self, folder: JobFolder, path: str, disk: int = 0) -> None:
        self._folder, self._path = folder, path
        self._bytes_max = min(CHECKPOINT_BYTES, disk or CHECKPOINT_BYTES)
        self._progress: os.stat_result | None = None
        self._next_look = 0.0

    def keep(self, final: bool = False) -> None:
        """Keeps a copy of a new checkpoint that is whole: nothing changed in the copying, and progress.json came last.

        A file that is newer than progress.json is of the next checkpoint, which is being written.
        """
        if not self._path or not (self._is_new() or final):
            return
        before = self._listing()
        progress = next((written for name, _, written, _ in before if name == PROGRESS), None)
        if progress is None or any(written > progress for _, _, written, _ in before):
            return
        name = hashlib.sha256(repr(before).encode()).hexdigest()[:16]
        target = self._folder.checkpoints / name
        if target.exists():
            return
        scratch = self._folder.checkpoints / "scratch"
        shutil.rmtree(scratch, ignore_errors=True)
        try:
            for file in before:
                self._copy(*file)
        except (OSError, RunnerError):
            self._next_look = 0.0
            return  # it is being written: the next look sees it whole
        if self._listing() != before:
            self._next_look = 0.0
            return
        scratch.rename(target)
        write_whole(self._folder.newest, name)
        names = {name, "scratch", *(pin for pin, _ in self._folder.pinned())}
        for old in self._folder.checkpoints.iterdir():
            if old.name not in names:
                shutil.rmtree(old, ignore_errors=True)

    def _is_new(self) -> bool:
        """Whether to look at all of it: the job must not keep its seller busy with a folder of many files."""
        try:
            with open_inside(self._folder.work, f"{self._path}/{PROGRESS}") as file:
                progress = os.fstat(file.fileno())
        except (OSError, RunnerError):
            return False
        last, now = self._progress, time.monotonic()
        same = last and (last.st_ino, last.st_mtime_ns) == (progress.st_ino, progress.st_mtime_ns)
        if same and now < self._next_look:
            return False
        self._progress, self._next_look = progress, now + LOOK_S
        return True

    def _listing(self) -> list[tuple[str, int, int, int]]:
        """Path, size, time and inode of each regular file below; nothing where there is too much of it."""
        files, entries, total = [], 0, 0
        try:
            for name, status in walk(self._folder.work, self._path):
                entries += 1
                if entries > CHECKPOINT_FILES or total > self._bytes_max:
                    return []
                if name.endswith(".part") or not _is_plain(status) or not _is_text(name):
                    continue
                total += status.st_size
                files.append((name, status.st_size, status.st_mtime_ns, status.st_ino))
        except RunnerError:
            return []
        return files if total <= self._bytes_max else []

    def _copy(self, name: str, size: int, _written: int, inode: int) -> None:
        """A copy of the file that was listed, and no longer than that: a job can write faster than it is copied."""
        target = self._folder.checkpoints / "scratch" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with open_inside(self._folder.work, f"{self._path}/{name}") as reader, target.open("wb") as writer:
            if os.fstat(reader.fileno()).st_ino != inode:
                raise RunnerError(f"{name!r} is another file by now")
            while size > 0 and (part := reader.read(min(size, COPY_BYTES))):
                writer.write(part)
                size -= len(part)


def _is_plain(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
