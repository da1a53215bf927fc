"""A workload as one text for a shell, for vendors that take a command and nothing else; and what they cannot run."""

import json
import re
import shlex

from gpuagent.core.orders import order_files
from gpuagent.core.text import canonical
from gpuagent.core.workload import Workload, from_canonical

BY_URL = ": by signed URLs it can, where FILE_STORE is a bucket (s3://bucket/prefix)"
EXIT_LINE = "gpuagent: exit code "
"""What a command prints at its end where the vendor's word for its exit code is none, or is not its alone."""
_EXIT_LINE = re.compile(re.escape(EXIT_LINE) + r"(\d{1,3})\s*$")


def workload_of(order: str) -> Workload:
    """The workload of an order's text."""
    return from_canonical(canonical(json.loads(order)["workload"]))


def unspeakable(order: str, *, with_files: bool = False) -> str:
    """What of an order a vendor that takes a command alone cannot do, in words for its user; "" for nothing.

    with_files: the command fetches and sends the files itself (wrapper.py), and a metric with them.
    """
    if not order:
        return "runs commands, and this run has no job file that names one"
    workload, content = workload_of(order), json.loads(order)
    if workload.secrets:
        return f"has no place for secrets that it would not show, and this job has some ({', '.join(workload.secrets)})"
    if with_files:
        return ""
    if order_files(order) or workload.inputs or workload.outputs or workload.checkpoint or "resume" in content:
        return f"takes a command and neither takes nor returns files, which this job has{BY_URL}"
    if workload.success.metric:
        return f"reports no metrics, and this job counts as done by {workload.success.metric.name}{BY_URL}"
    return ""


def shell_line(workload: Workload, *, with_setup: bool = True, with_env: bool = True, tell_exit: bool = False) -> str:
    """Environment, setup and command as one text for sh -c, which ends as the command ends.

    with_setup, with_env: False where the vendor has a field of its own for that. tell_exit: the exit code is written
    as the last line of stdout, for read_exit_line().
    """
    lines = [f"export {name}={shlex.quote(value)}" for name, value in sorted(workload.env.items()) if with_env]
    if with_setup and workload.setup:
        lines.append(f"{_run(workload.setup)} || exit $?")
    command = workload.command
    lines.append(_run(command) if isinstance(command, str) else " ".join(map(_word, command)))
    if tell_exit:
        lines += ["code=$?", f'echo "{EXIT_LINE}$code"', "exit $code"]
    return "\n".join(lines)


def read_exit_line(logs: list[str]) -> tuple[list[str], int | None]:
    """The lines without the last one of tell_exit, and the exit code in it; None without one.

    What was written to stderr may stand behind it, and a line that the program did not end before it.
    """
    for place in reversed(range(len(logs))):
        match = _EXIT_LINE.search(logs[place]) if EXIT_LINE in logs[place] else None
        if match and int(match[1]) <= 255:
            unended = logs[place][: match.start()]
            return [*logs[:place], *([unended] if unended else []), *logs[place + 1 :]], int(match[1])
    return logs, None


def _word(text: str) -> str:
    """In quotes in any case: `if` and `A=b` are names of programs here, and no words of the shell."""
    return "'" + text.replace("'", "'\"'\"'") + "'"


def _run(text: str) -> str:
    """In a shell of its own, so that an `exit` in it ends no more than that."""
    return f"/bin/sh -c {shlex.quote(text)}"
