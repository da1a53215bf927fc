"""`python -m mock_vendor` as a child process with its own Anvil: started, awaited and stopped."""

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

READY_DEADLINE_S = 240
ROOT = Path(__file__).parents[2]


@contextmanager
def launched(**environment: str) -> Iterator[subprocess.Popen[str]]:
    """The command, in an environment of nothing but `environment`. It ends with this process, even by a kill."""
    basics = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    child = subprocess.Popen(
        [sys.executable, "-m", "mock_vendor", "--until-stdin-closes"],
        cwd=ROOT,
        env=basics | {"PORT": "0", "MOCK_SANDBOX": "required"} | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with child:
        try:
            yield child
        finally:
            if child.poll() is None:
                child.terminate()


def final_output(child: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command that ends by itself."""
    # Not communicate(): it closes stdin first, which is a way of stopping the command.
    code = child.wait(60)
    assert child.stdout is not None
    assert child.stderr is not None
    return code, child.stdout.read(), child.stderr.read()


def ready_line(child: subprocess.Popen[str]) -> dict[str, Any]:
    assert child.stdout is not None
    readable, _, _ = select.select([child.stdout], [], [], READY_DEADLINE_S)
    assert readable, "mock_vendor did not become ready in time"
    line = child.stdout.readline()
    assert line, child.stderr.read() if child.stderr else ""
    ready: dict[str, Any] = json.loads(line)
    return ready


@contextmanager
def selling(**environment: str) -> Iterator[dict[str, Any]]:
    """The ready line of a running mock. Checks at the end that it stops cleanly and has logged no error."""
    with launched(**environment) as child:
        yield ready_line(child)
        child.terminate()
        _, log = child.communicate(timeout=60)
    assert child.returncode == 0
    assert "Traceback" not in log, log
