"""The curl lines of the README and of the REST page, executed as they stand by a shell, each against a new server."""

import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.documents import ROOT

READY_S = 240


@pytest.fixture
def url() -> Iterator[str]:
    command = [sys.executable, "-m", "gpuagent.cli", "serve", "--dev", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout
            ready, _, _ = select.select([server.stdout], [], [], READY_S)
            assert ready, "it did not start"
            yield server.stdout.readline().strip()
        finally:
            server.send_signal(signal.SIGTERM)
            _, log = server.communicate(timeout=90)
        assert server.returncode == 0
        assert "Traceback" not in log, log


@pytest.mark.parametrize(
    ("document", "curls", "events"), [("README.md", 3, False), ("docs/reference/rest.md", 7, True)]
)
def test_the_lines_drive_a_run_to_its_end(url: str, document: str, curls: int, events: bool) -> None:
    (block,) = re.findall(r"```sh\n(# gpuagent serve --dev\n.*?)```", (ROOT / document).read_text(), re.S)
    assert block.count("curl ") == curls
    script = re.sub(r"(?:http://)?localhost:3000", url, block).replace("sleep 1", "sleep 0.2")
    shell = subprocess.run(
        ["/bin/bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, timeout=300, check=False
    )
    assert shell.returncode == 0, shell.stderr
    assert '"status":"completed"' in shell.stdout
    assert ("event: snapshot" in shell.stdout) == events
    assert ("event: end" in shell.stdout) == events
