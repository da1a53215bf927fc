"""Jobs of sellers that tests start: processes that are to outlive their seller, and not its tests."""

from contextlib import suppress
from pathlib import Path

import psutil


def supervisors(folder: Path) -> list[psutil.Process]:
    """The processes that watch over jobs below the folder."""
    processes = []
    for process in psutil.process_iter(["cmdline", "status"]):
        line = process.info["cmdline"] or []
        if "seller.runners.supervise" in line and str(folder) in line[-1] and process.info["status"] != "zombie":
            processes.append(process)
    return processes


def kill_jobs(folder: Path) -> None:
    """End the jobs below the folder, with all their processes."""
    for supervisor in supervisors(folder):
        with suppress(psutil.NoSuchProcess):  # it ends meanwhile
            processes = [supervisor, *supervisor.children(recursive=True)]
            for process in processes:
                process.kill()
            psutil.wait_procs(processes, timeout=60)
