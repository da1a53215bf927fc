"""Schedules of this machine: systemd's timers, crontabs, and executed copies with how the newest ended."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from nbformat import write
from nbformat.v4 import new_code_cell, new_notebook, new_output
from typer.testing import CliRunner

from gpuagent.cli import app
from gpuagent.schedule.copies import copies_in
from gpuagent.schedule.listing import Timer, run_program, timers
from gpuagent.schedule.listing_text import listing_text
from gpuagent.schedule.result import MIME

COMMAND = (
    "/opt/gpuagent/.venv/bin/gpuagent schedule run /opt/gpuagent/notebooks/40_scheduled_run.ipynb --per day "
    "--out /var/lib/gpuagent/notebooks/nightly --keep 60 -p run_id nightly"
)
ROWS = [
    {
        "next": 1_769_911_200_000_000,
        "last": 1_769_824_800_123_456,
        "unit": "gpuagent-run@nightly.timer",
        "activates": "gpuagent-run@nightly.service",
    },
    {"next": None, "last": None, "unit": "gpuagent-run@off.timer", "activates": "gpuagent-run@off.service"},
    {"next": 5, "last": 4, "unit": "logrotate.timer", "activates": "logrotate.service"},
]
CRONTAB = f"""# m h dom mon dow command, such as gpuagent schedule run x
MAILTO=root
*/10 2-23 * * * X402_PRIVATE_KEY=0xsecret {COMMAND}
@daily gpuagent schedule run /n.ipynb -p run_id "weekly
0 4 * * * gpuagent files sweep
"""
CRON_D = "*/10 2-23 * * * gpuagent /opt/gpuagent/deploy/cron/gpuagent-run nightly\n"


def ask(command: Sequence[str]) -> str:
    """A machine with systemd and a crontab."""
    match tuple(command):
        case ("systemctl", "list-timers", *_):
            return json.dumps(ROWS)
        case ("systemctl", "show", service, *_):
            program = "/usr/sbin/logrotate" if "logrotate" in service else COMMAND
            start = f"ExecStart={{ path={program.split()[0]} ; argv[]={program} ; ignore_errors=no ; pid=0 }}"
            return f"{start}\nResult=exit-code\nExecMainStatus=1\n"
        case ("crontab", "-l"):
            return CRONTAB
    return ""


def test_timers_and_crontabs_that_start_scheduled_runs(tmp_path: Path) -> None:
    (tmp_path / "cron.d").mkdir()
    (tmp_path / "cron.d" / "gpuagent").write_text(CRON_D)
    found = timers(ask, (str(tmp_path / "none"), str(tmp_path / "cron.d")))
    systemd, off, cron, daily, system = found
    assert systemd == Timer(
        *("systemd", "gpuagent-run@nightly.timer", COMMAND, ""),
        *("2026-02-01T02:00:00Z", "2026-01-31T02:00:00Z", "exit-code, exit code 1"),
    )
    assert (off.next, off.last, off.result) == ("", "", "")
    assert (cron.place, cron.when, cron.command) == ("crontab -l:3", "*/10 2-23 * * *", COMMAND)  # nothing before it
    assert (daily.when, daily.folder) == ("@daily", None)
    assert (system.place, system.command) == (
        f"{tmp_path}/cron.d/gpuagent:1",
        "/opt/gpuagent/deploy/cron/gpuagent-run nightly",
    )
    assert systemd.folder == Path("/var/lib/gpuagent/notebooks/nightly")
    lines = "\n".join(listing_text(found, []))
    assert "starts   2026-02-01T02:00:00Z\n  last     2026-01-31T02:00:00Z: exit-code, exit code 1" in lines
    assert "not again: the timer is off" in lines
    assert "0xsecret" not in lines


@pytest.mark.parametrize("answer", ["", "no json", "[]"])
def test_a_machine_without_timers(answer: str) -> None:
    assert timers(lambda _: answer, ()) == []
    assert run_program(("no-such-program-anywhere",)) == run_program(("false",)) == ""
    assert any("see deploy/README.md" in line for line in listing_text([], []))


def executed(folder: Path, name: str, result: dict[str, Any] | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    outputs = [new_output("display_data", {MIME: result})] if result else []
    write(new_notebook(cells=[new_code_cell("x", outputs=outputs)]), folder / name)


def test_executed_copies_by_name_with_the_newests_result(tmp_path: Path) -> None:
    completed = {"outcome": "completed", "reason": "done", "runId": "r2"}
    failed = {"outcome": "failed", "reason": "", "trouble": "", "phase": "FAILED"}
    executed(tmp_path, "40-nightly-2026-01-30-20260130T020000Z.ipynb", failed)
    executed(tmp_path, "40-nightly-2026-01-31-20260131T020000Z.ipynb", failed)
    executed(tmp_path, "40-nightly-2026-01-31-20260131T020000Z-2.ipynb", completed)
    executed(tmp_path / "hourly", "40-hourly-2026-01-31T05-20260131T050000Z.ipynb", failed)
    (tmp_path / "40-cut-20260131T020000Z.ipynb").touch()
    executed(tmp_path, "40.ipynb", completed)
    cut, nightly, hourly = copies_in(tmp_path)
    assert (nightly.name, nightly.count, nightly.at) == ("40-nightly", 3, "2026-01-31T02:00:00Z")
    assert (nightly.outcome, hourly.name, hourly.outcome) == ("completed: done", "40-hourly", "failed: FAILED")
    assert (cut.count, cut.bytes, cut.result) == (1, 0, None)
    assert "cut short" in cut.outcome
    lines = list(listing_text([], copies_in(tmp_path)))
    assert any(line.startswith("40-nightly: 3 executed copies, ") for line in lines)
    assert copies_in(tmp_path / "nowhere") == []

    shown = CliRunner().invoke(app, ("schedule", "list", "--json", "--out", str(tmp_path)))
    groups = {group["name"]: group for group in json.loads(shown.stdout)["copies"]}
    assert groups["40-nightly"]["result"]["runId"] == "r2"
    assert "40-hourly: 1 executed copy" in CliRunner().invoke(app, ("schedule", "list", "--out", str(tmp_path))).output
