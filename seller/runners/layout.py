"""A job's folder as its program begins with it, and its deletion."""

import os
import shutil
import subprocess
from dataclasses import asdict
from typing import Any

from seller.runners.base import JobOrder, Limits, RunnerError
from seller.runners.job_folder import JobFolder


def lay_out_files(folder: JobFolder, order: JobOrder) -> None:
    """The folder with its inputs, and nothing of an earlier try. Raises RunnerError."""
    shutil.rmtree(folder.path, ignore_errors=True)
    for path in (folder.path, folder.work, folder.checkpoints):
        path.mkdir(mode=0o700, parents=True)
    folder.log.touch(0o600)
    try:
        for files, target in ((order.inputs, folder.work), (order.resume, folder.resume)):
            for name, source in files.items():
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target / name)
    except OSError as error:
        raise RunnerError(f"the inputs of job {order.job_id} cannot be laid out: {error}") from error


def document_of(order: JobOrder, limits: Limits) -> dict[str, Any]:
    """What order.json says of an order: of its secrets the names alone. limits: where it has none of its own."""
    return {
        "command": order.command if isinstance(order.command, str) else list(order.command),
        "setup": order.setup,
        "env": dict(order.env),
        "secrets": sorted(order.secrets),
        "outputs": list(order.outputs),
        "checkpoint": order.checkpoint,
        "durationS": order.duration_s,
        "image": order.image,
        "gpus": list(order.gpus),
        "limits": asdict(order.limits or limits),
    }


def delete_folder(folder: JobFolder) -> None:
    """Deletes a job's folder, however deep its job has made it, and whatever it has closed."""
    for argv in (["chmod", "-R", "u+rwX", os.fspath(folder)], ["rm", "-rf", "--", os.fspath(folder)]):
        done = subprocess.run(argv, capture_output=True, stdin=subprocess.DEVNULL, check=False)
    if folder.path.exists():
        raise RunnerError(f"{folder.path} cannot be deleted: {done.stderr.decode(errors='replace')[:500]}")
