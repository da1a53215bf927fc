"""Schedules that are set up on this machine: systemd's timers, crontabs, and the executed copies that they left.

Only what this user may read is known. systemd says when a timer starts next; cron does not, so its line is shown.
"""

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from gpuagent.schedule.copies import Copies

ASK_S = 10.0
CRON_FILES = ("/etc/crontab", "/etc/cron.d")
STARTS = re.compile(r"gpuagent(?:\.cli)?\s+schedule\s+run\b|\bgpuagent-run\s+\S")
"""A command that executes a notebook, or the script of deploy/cron that does."""
Ask = Callable[[Sequence[str]], str]
"""The standard output of a program, "" where it is not here or fails."""


@dataclass(frozen=True, slots=True)
class Timer:
    """A schedule that is set up. place: the unit, or the file and its line. when: as cron writes it, "" for systemd.

    next, last: ISO 8601 in UTC, "" where that is not known. result: of the last start, in systemd's words.
    """

    kind: str
    place: str
    command: str
    when: str = ""
    next: str = ""
    last: str = ""
    result: str = ""

    @property
    def folder(self) -> Path | None:
        """The folder of executed copies that the command names."""
        arguments = _words(self.command)
        folder = dict(pairwise(arguments)).get("--out", "")
        folder = folder or next((word.removeprefix("--out=") for word in arguments if word.startswith("--out=")), "")
        return Path(folder) if folder.startswith("/") and "$" not in folder else None


def listing_json(timers: Iterable[Timer], copies: Iterable[Copies]) -> dict[str, Any]:
    """The listing for programs."""
    return {"timers": [asdict(timer) for timer in timers], "copies": [group.as_json() for group in copies]}


def timers(ask: Ask | None = None, cron_files: Sequence[str] = CRON_FILES) -> list[Timer]:
    """Every timer and crontab line here that starts a scheduled notebook."""
    ask = ask or run_program
    systemd = [*_systemd(ask, ()), *_systemd(ask, ("--user",))]
    return [*systemd, *_crontab_lines("crontab -l", ask(("crontab", "-l")), has_user=False), *_cron_files(cron_files)]


def run_program(command: Sequence[str]) -> str:
    """What a program prints; "" where it is not installed, fails, or takes too long."""
    if not shutil.which(command[0]):
        return ""
    try:
        return subprocess.run(list(command), capture_output=True, text=True, timeout=ASK_S, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def _systemd(ask: Ask, scope: tuple[str, ...]) -> Iterator[Timer]:
    listed = ask(("systemctl", *scope, "list-timers", "--all", "--no-pager", "--output=json"))
    try:
        rows = json.loads(listed or "[]")
    except ValueError:  # systemd before 249 has no JSON here
        return
    for row in rows:
        service = str(row.get("activates") or "")
        properties = ask(("systemctl", *scope, "show", service, "--property=ExecStart,Result,ExecMainStatus"))
        fields = dict(line.partition("=")[::2] for line in properties.splitlines())
        command = re.search(r"argv\[\]=(.*?) ;", fields.get("ExecStart", ""))
        if command and STARTS.search(command[1]):
            code = fields.get("ExecMainStatus", "")
            result = f"{fields.get('Result', '')}, exit code {code}" if row.get("last") else ""
            place = " ".join((*scope, str(row.get("unit") or service)))
            yield Timer("systemd", place, _ours(command[1]), "", _time(row.get("next")), _time(row.get("last")), result)


def _cron_files(places: Sequence[str]) -> Iterator[Timer]:
    for place in map(Path, places):
        for file in sorted(place.iterdir()) if place.is_dir() else [place]:
            try:
                text = file.read_text(errors="replace")
            except OSError:  # there is none, or another user's
                continue
            yield from _crontab_lines(str(file), text, has_user=True)


def _crontab_lines(place: str, text: str, has_user: bool) -> Iterator[Timer]:
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.split(maxsplit=6 if has_user else 5)
        times = 1 if line.lstrip().startswith("@") else 5
        command = " ".join(fields[times + has_user :])
        if not line.lstrip().startswith("#") and STARTS.search(command):
            yield Timer("cron", f"{place}:{number}", _ours(command), " ".join(fields[:times]))


def _ours(command: str) -> str:
    """The command from our program on: what stands before it may set a secret variable."""
    match = STARTS.search(command)
    return command[command.rfind(" ", 0, match.start()) + 1 :] if match else ""


def _time(microseconds: object) -> str:
    """A time as systemd gives it, microseconds since 1970; "" for none."""
    if not isinstance(microseconds, int) or microseconds <= 0 or microseconds > 10**17:
        return ""
    return datetime.fromtimestamp(microseconds // 10**6, UTC).isoformat().replace("+00:00", "Z")


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:
        return command.split()
