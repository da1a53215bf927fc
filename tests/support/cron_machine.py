"""A machine on which deploy/README.md was followed for cron, in a folder of its own."""

import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from tests.support.notebooks import DEADLINE_S, FOLDER

CRON = FOLDER.parent / "deploy" / "cron"
LINE = re.compile(r"^(?:[\d*/,-]+ ){5}(?P<user>\S+) (?P<command>.+)$", re.MULTILINE)


def midday_zone() -> str:
    """The IANA time zone in which it is noon: a day of it neither begins nor ends within a test."""
    ahead = 12 - datetime.now(UTC).hour
    return f"Etc/GMT{-ahead:+d}"  # these zones count hours west of Greenwich


class CronMachine:
    """The folders, the script and the environment file. root: of all; home: the user's; file: the environment."""

    def __init__(self, root: Path, agent: str, environment: str) -> None:
        """agent: the script that stands for the command `gpuagent`."""
        self.root, self.home, self.file = root, root / "var/lib/gpuagent", root / "etc/gpuagent/nightly.env"
        installed = root / "opt/gpuagent"
        scripts = {
            installed / ".venv/bin/gpuagent": agent,
            installed / "deploy/cron/gpuagent-run": self._moved((CRON / "gpuagent-run").read_text()),
        }
        for folder in (*(path.parent for path in scripts), self.file.parent, self.home):
            folder.mkdir(parents=True)
        for path, text in scripts.items():
            path.write_text(text)
            path.chmod(0o755)
        (installed / "notebooks").symlink_to(FOLDER)
        self.file.write_text(environment)

    def run(self) -> "subprocess.CompletedProcess[str]":
        """Run the crontab's line as cron does: by its shell, in the home folder, with this environment and no other."""
        crontab = (CRON / "gpuagent").read_text()
        settings = dict(re.findall(r"^([A-Z]+)=(.*)$", crontab, re.MULTILINE))
        (line,) = LINE.finditer(crontab)
        return subprocess.run(
            [settings["SHELL"], "-c", self._moved(line["command"])],
            env={"HOME": str(self.root), "LOGNAME": line["user"], "PATH": settings["PATH"], "SHELL": settings["SHELL"]},
            cwd=self.root,
            capture_output=True,
            text=True,
            check=False,
            timeout=DEADLINE_S,
        )

    def _moved(self, text: str) -> str:
        """A shell's text with its paths below the root, which the shell reads as one word, quotes around it or not."""
        escaped = re.sub(r"[^\w./-]", r"\\\g<0>", str(self.root))
        return re.sub(
            r"(?<!\w)(\"?)/(opt|etc|var)/", lambda at: f"{at[1]}{self.root if at[1] else escaped}/{at[2]}/", text
        )
