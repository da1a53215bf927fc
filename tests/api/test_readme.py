"""The README's curl lines, executed as they stand by a shell, against the server that the README starts."""

import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

README = Path(__file__).parent.parent.parent / "README.md"
READY_S = 60


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
            _, said = server.communicate(timeout=30)
        assert server.returncode == 0
        assert "Traceback" not in said, said


def test_the_lines_drive_a_run_to_its_end(url: str) -> None:
    (block,) = re.findall(r"```sh\n(# gpuagent serve --dev\n.*?)```", README.read_text(), re.S)
    assert block.count("curl ") == 7
    script = block.replace("http://localhost:3000", url).replace("sleep 1", "sleep 0.2")
    shown = subprocess.run(
        ["/bin/bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, timeout=120, check=False
    )
    assert shown.returncode == 0, shown.stderr
    assert '"status":"completed"' in shown.stdout
    assert "event: snapshot" in shown.stdout
    assert "event: end" in shown.stdout
