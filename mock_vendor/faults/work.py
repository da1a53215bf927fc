"""Faults of a vendor that runs workloads: what it can, what it says of a job, and what it lists of files.

Those of GET /job-status change nothing for a job without a workload.
"""

import secrets
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from starlette.responses import Response, StreamingResponse

from mock_vendor.faults.scene import Scene
from mock_vendor.faults.table import Hook, fault
from seller.api.answers import Answer
from seller.runners import FileEntry, manifest_sha256

Accepts = tuple[str, ...]
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
TERABYTE = 10**12
MILLION, CROWD, FLOOD_METRICS = 1_000_000, 5_000, 10_000
BENT: dict[str, str] = {}
"""The SHA-256 of the real checkpoint behind each that was bent."""
BAD_PATHS = (
    "/etc/cron.d/job",
    "../../.ssh/authorized_keys",
    "out/../../escaped",
    "nul\0byte",
    "C:\\Windows\\win.ini",
    "C:/Windows/win.ini",
    "..\\escaped",
    "/".join(["deep"] * 300),
    "Model.bin",
    "model.bin",
    "m\u043edel.bin",
    "model\u200b.bin",
    "\uff4dodel.bin",
    "line\nbreak \x1b[2J",
    "con",
    "half \ud800",
    "",
    ".",
    "folder/",
)
"""Absolute, out of the folder, NUL, drives, 300 levels, case twins, look-alikes, control characters, devices."""


@fault("quote", Hook.ACCEPTS)
def old_vendor(_: Accepts, __: Scene) -> Accepts:
    """Knows nothing of workloads: quotes and sells as if none had been named, and every job is simulated."""
    return ()


@fault("quote", Hook.ACCEPTS)
def no_files(accepts: Accepts, _: Scene) -> Accepts:
    """Takes and gives no files: inputs only within an order, and no outputs."""
    return tuple(word for word in accepts if word not in ("files", "checkpoint"))


@fault("quote", Hook.ACCEPTS)
def no_checkpoint(accepts: Accepts, _: Scene) -> Accepts:
    """Neither lists checkpoints nor goes on from one."""
    return tuple(word for word in accepts if word != "checkpoint")


@fault("quote", Hook.ACCEPTS)
def no_cancel(accepts: Accepts, _: Scene) -> Accepts:
    """Cancels no job."""
    return tuple(word for word in accepts if word != "cancel")


@fault("quote")
def wrong_workload_hash(answer: Answer, _: Scene) -> Answer:
    """The quote for a workload repeats the hash of another."""
    return _with(answer, workloadHash="0" * 64) if "workloadHash" in answer.body else answer


@fault("job", Hook.NODE)
def node_lost(_: bool, __: Scene) -> bool:
    """The program and all that watches over it are killed within a second of its first checkpoint."""
    return True


@fault("job")
def bad_paths(answer: Answer, _: Scene) -> Answer:
    """The lists of outputs and of the checkpoint have paths that lead elsewhere, or look like others."""
    return _listing(answer, lambda files: [*files, *(_file(path) for path in BAD_PATHS)])


@fault("job")
def crowd_of_files(answer: Answer, _: Scene) -> Answer:
    """The lists have five thousand files."""
    return _listing(answer, lambda files: [*files, *(_file(f"shard-{number}") for number in range(CROWD))])


@fault("job")
def million_files(answer: Answer, _: Scene) -> Answer | Response:
    """The list of outputs has a million files, in some 90 MB."""
    if not _is_work(answer):
        return answer
    head, tail = replace(answer, body=answer.body | {"files": []}).to_response().body.decode().split('"files": []', 1)  # type: ignore[union-attr]

    def pieces() -> Iterator[str]:
        yield f'{head}"files": ['
        for thousand in range(MILLION // 1_000):
            yield ",".join(
                f'{{"path":"{thousand}/{number}","bytes":0,"sha256":"{EMPTY}"}}' for number in range(1_000)
            ) + ("," if thousand < MILLION // 1_000 - 1 else "")
        yield f"]{tail}"

    return StreamingResponse(pieces(), answer.status, media_type="application/json")


@fault("job")
def sizes_lie(answer: Answer, _: Scene) -> Answer:
    """The lists give every second file one byte too many, and the others half of what they have."""
    return _listing(
        answer,
        lambda files: [
            file | {"bytes": file["bytes"] // 2 if number % 2 else file["bytes"] + 1}
            for number, file in enumerate(files)
        ],
    )


@fault("job")
def manifest_changes(answer: Answer, scene: Scene) -> Answer:
    """Every status after the first lists other hashes, and one file more."""
    if not scene.turn:
        return answer
    return _listing(
        answer,
        lambda files: [
            *(file | {"sha256": secrets.token_hex(32)} for file in files),
            _file(f"surprise-{scene.turn}.bin"),
        ],
    )


@fault("job")
def missing_output(answer: Answer, _: Scene) -> Answer:
    """The list of outputs lacks its first."""
    return _with(answer, files=answer.body["files"][1:]) if _is_work(answer) and answer.body["files"] else answer


@fault("job")
def nan_metrics(answer: Answer, _: Scene) -> Answer:
    """The metrics hold NaN, infinity, texts and lists where numbers should be."""
    wild: list[object] = [{"loss": "NaN"}, {"loss": None}, {"loss": [1]}, {"loss": {"x": 1}}, "loss", None, 7]
    return _with(answer, metrics=[*answer.body["metrics"], *wild, {"loss": 1e400}]) if _is_work(answer) else answer


@fault("job")
def metric_flood(answer: Answer, _: Scene) -> Answer:
    """Every status has ten thousand metrics."""
    flood = [{"step": number, "loss": 1.0} for number in range(FLOOD_METRICS)]
    return _with(answer, metrics=flood) if _is_work(answer) else answer


@fault("job")
def terabyte_checkpoint(answer: Answer, _: Scene) -> Answer:
    """A checkpoint of a terabyte is listed."""
    files = [_file("weights.bin") | {"bytes": TERABYTE}]
    return _with(answer, checkpoint=_checkpoint(files, "")) if _is_work(answer) else answer


@fault("job")
def done_at_once(answer: Answer, _: Scene) -> Answer:
    """The progress is 1 from the first status on, whatever runs."""
    return _with(answer, progress=1.0) if _is_work(answer) else answer


@fault("job")
def empty_success(answer: Answer, _: Scene) -> Answer:
    """Every job is completed at once with exit code 0, and has left no file."""
    if not _is_work(answer):
        return answer
    return _with(
        answer,
        status="completed",
        phase="ended",
        exitCode=0,
        progress=1.0,
        files=[],
        checkpoint=None,
        errorMessage=None,
    )


@fault("job")
def status_backwards(answer: Answer, scene: Scene) -> Answer:
    """The status goes in the wrong order: completed, running, failed, queued, and again; the cursor goes back."""
    if not _is_work(answer):
        return answer
    word, code = (("completed", 0), ("running", None), ("failed", 1), ("queued", None))[scene.turn % 4]
    return _with(answer, status=word, exitCode=code, progress=0.5 / (scene.turn + 1), cursor="0.0")


def _is_work(answer: Answer) -> bool:
    return "exitCode" in answer.body


def _listing(answer: Answer, change: Any) -> Answer:
    """The answer with its lists changed: that of outputs, and that of the checkpoint."""
    if not _is_work(answer):
        return answer
    files, checkpoint = answer.body["files"], answer.body["checkpoint"]
    return _with(
        answer,
        files=None if files is None else change(files),
        checkpoint=checkpoint and _checkpoint(change(checkpoint["files"]), checkpoint["sha256"]),
    )


def _checkpoint(files: list[dict[str, Any]], sha256: str) -> dict[str, Any]:
    """A bent checkpoint by the SHA-256 of its own list, if that has one; its files are sent as those of the real."""
    try:
        bent = manifest_sha256(FileEntry(**file) for file in files)
    except UnicodeEncodeError:
        bent = sha256
    BENT[bent] = sha256
    return {"sha256": bent, "files": files}


def _file(path: str) -> dict[str, Any]:
    return {"path": path, "bytes": 0, "sha256": EMPTY}


def _with(answer: Answer, **changes: Any) -> Answer:
    return replace(answer, body=answer.body | changes)
