"""Checks of the faults of vendors that run workloads. They share two jobs: one done, one that stays halfway."""

import math
from itertools import islice
from typing import Any

from tests.support.eventually import eventually
from tests.support.mock_buyer import Buyer
from tests.support.mock_checks import sees
from tests.support.work_orders import (
    DEADLINE_S,
    TRAINING,
    WorkOrderAtMock,
    canonical,
    checkpointed,
    ended,
    fetch,
    look,
    run_job,
    send,
    sha256,
    training,
    workload,
)

MODEL = b"model"
JOBS: dict[tuple[str, bool], str] = {}


def shared_job(buyer: Buyer, done: bool) -> str:
    """A job of this vendor, bought once without the fault that is checked: it is done, or stays halfway."""
    place = (buyer.ready["url"], done)
    if place not in JOBS:
        on = buyer.control("GET", "faults")["on"]
        buyer.control("DELETE", "faults")
        JOBS[place] = run_job(buyer, training() if done else training(stop="2"), TRAINING)
        if done:
            ended(buyer, JOBS[place])
        else:
            checkpointed(buyer, JOBS[place], 0.5)
        for fault in on:
            buyer.control("PUT", "faults", fault)
    return JOBS[place]


def done(buyer: Buyer) -> dict[str, Any]:
    return look(buyer, shared_job(buyer, True))


def halfway(buyer: Buyer) -> dict[str, Any]:
    return look(buyer, shared_job(buyer, False))


def model(buyer: Buyer, start: int | None = None) -> Any:
    return fetch(buyer, shared_job(buyer, True), "model.bin", start=start)


@sees("old_vendor")
def _(buyer: Buyer) -> None:
    order = WorkOrderAtMock(buyer, training())
    assert "accepts" not in order.quote.json()
    assert "workloadHash" not in order.quote.json()
    assert send(buyer, TRAINING).status_code == 404
    status = look(buyer, order.pay().json()["vendorJobId"])
    assert "exitCode" not in status
    assert status["status"] == "running"


@sees("no_files")
def _(buyer: Buyer) -> None:
    assert WorkOrderAtMock(buyer, workload("true")).quote.json()["accepts"] == ["workload", "cancel"]
    assert send(buyer, TRAINING).status_code == 404
    assert done(buyer)["files"] is None
    assert model(buyer).status_code == 404


@sees("no_checkpoint")
def _(buyer: Buyer) -> None:
    order = WorkOrderAtMock(buyer, workload("true"))
    assert order.quote.json()["accepts"] == ["workload", "files", "cancel"]
    assert halfway(buyer)["checkpoint"] is None
    files = [{"path": "progress.json", "bytes": 0, "sha256": sha256(b"")}]
    resumed = WorkOrderAtMock(buyer, workload("true"), resume={"sha256": "a" * 64, "files": files})
    assert resumed.quote.json()["error"] == "resume_not_offered"


@sees("no_cancel")
def _(buyer: Buyer) -> None:
    assert WorkOrderAtMock(buyer, workload("true")).quote.json()["accepts"] == ["workload", "files", "checkpoint"]
    assert buyer.http.post("/job-cancel", json={"vendorJobId": shared_job(buyer, False)}).status_code == 404
    assert halfway(buyer)["status"] == "running"


@sees("wrong_workload_hash")
def _(buyer: Buyer) -> None:
    assert WorkOrderAtMock(buyer, workload("true")).quote.json()["workloadHash"] == "0" * 64
    assert "workloadHash" not in buyer.quote().json()


@sees("node_lost")
def _(buyer: Buyer) -> None:
    job_id = run_job(buyer, training(stop="2"), TRAINING)
    status = eventually(lambda: _failed(look(buyer, job_id)), DEADLINE_S)
    assert (status["exitCode"], status["errorMessage"].partition(":")[0]) == (None, "node lost")
    assert status["checkpoint"] is not None
    assert 0 < status["progress"] <= 0.5


def _failed(status: dict[str, Any]) -> dict[str, Any] | None:
    return status if status["status"] == "failed" else None


@sees("bad_paths")
def _(buyer: Buyer) -> None:
    for files in (done(buyer)["files"], halfway(buyer)["checkpoint"]["files"]):
        paths = {file["path"] for file in files}
        assert {"/etc/cron.d/job", "nul\0byte", "C:\\Windows\\win.ini", "model\u200b.bin", "half \ud800", ""} <= paths
        assert max(path.count("/") for path in paths) == 299


@sees("crowd_of_files")
def _(buyer: Buyer) -> None:
    assert len(done(buyer)["files"]) == 5_002
    checkpoint = halfway(buyer)["checkpoint"]
    in_order = sorted(checkpoint["files"], key=lambda file: file["path"])
    assert checkpoint["sha256"] == sha256(canonical(in_order).encode())


@sees("million_files")
def _(buyer: Buyer) -> None:
    params, size, head = {"vendorJobId": shared_job(buyer, True)}, 0, b""
    with buyer.http.stream("GET", "/job-status", params=params) as answer:
        for piece in answer.iter_raw():
            head, size = head or piece, size + len(piece)
            if size > 5_000_000:
                break
    assert size > 5_000_000
    assert head.endswith(b'"files": [')


@sees("sizes_lie")
def _(buyer: Buyer) -> None:
    listed = {file["path"]: file["bytes"] for file in done(buyer)["files"]}
    assert listed["model.bin"] == len(MODEL) + 1
    checkpoint = halfway(buyer)["checkpoint"]
    content = fetch(buyer, shared_job(buyer, False), "weights.bin", checkpoint["sha256"]).content
    assert {file["path"]: file["bytes"] for file in checkpoint["files"]}["weights.bin"] == len(content) // 2


@sees("manifest_changes")
def _(buyer: Buyer) -> None:
    first, second, third = (done(buyer)["files"] for _ in range(3))
    assert first[0]["sha256"] == sha256(MODEL)
    assert second[0]["sha256"] not in (first[0]["sha256"], third[0]["sha256"])
    assert (second[-1]["path"], third[-1]["path"]) == ("surprise-1.bin", "surprise-2.bin")


@sees("missing_output")
def _(buyer: Buyer) -> None:
    status = done(buyer)
    assert (status["status"], [file["path"] for file in status["files"]]) == ("completed", ["metrics.jsonl"])


@sees("nan_metrics")
def _(buyer: Buyer) -> None:
    metrics = done(buyer)["metrics"]
    assert {"loss": "NaN"} in metrics
    assert math.isinf(metrics[-1]["loss"])


@sees("metric_flood")
def _(buyer: Buyer) -> None:
    status = done(buyer)
    assert len(status["metrics"]) == len(look(buyer, shared_job(buyer, True), status["cursor"])["metrics"]) == 10_000


@sees("terabyte_checkpoint")
def _(buyer: Buyer) -> None:
    assert halfway(buyer)["checkpoint"]["files"][0]["bytes"] == 10**12


@sees("poisoned_checkpoint")
def _(buyer: Buyer) -> None:
    checkpoint = halfway(buyer)["checkpoint"]
    assert checkpoint["sha256"] == sha256(canonical(checkpoint["files"]).encode())
    listed = {file["path"]: file for file in checkpoint["files"]}["progress.json"]
    assert listed["sha256"] == sha256(b'{"fraction":0.99}'.ljust(listed["bytes"]))
    content = fetch(buyer, shared_job(buyer, False), "progress.json", checkpoint["sha256"]).content
    assert len(content) == listed["bytes"]
    assert sha256(content) != listed["sha256"]


@sees("done_at_once")
def _(buyer: Buyer) -> None:
    assert (halfway(buyer)["status"], halfway(buyer)["progress"]) == ("running", 1)


@sees("empty_success")
def _(buyer: Buyer) -> None:
    status = halfway(buyer)
    assert (status["status"], status["exitCode"], status["files"]) == ("completed", 0, [])


@sees("status_backwards")
def _(buyer: Buyer) -> None:
    words = [done(buyer)["status"] for _ in range(5)]
    assert words == ["completed", "running", "failed", "queued", "completed"]


@sees("altered_content")
def _(buyer: Buyer) -> None:
    assert model(buyer).content == b"lodel"
    assert len(model(buyer).content) == len(MODEL)


@sees("endless_file")
def _(buyer: Buyer) -> None:
    params, size = {"vendorJobId": shared_job(buyer, True), "path": "model.bin"}, 0
    with buyer.http.stream("GET", "/job-file", params=params) as answer:
        assert "content-length" not in answer.headers
        for piece in answer.iter_raw():
            size += len(piece)
            if size > 20_000_000:
                break
    assert size > 20_000_000


@sees("slow_file")
def _(buyer: Buyer) -> None:
    params = {"vendorJobId": shared_job(buyer, True), "path": "model.bin"}
    with buyer.http.stream("GET", "/job-file", params=params) as answer:
        assert list(islice(answer.iter_raw(), 2)) == [b"m", b"o"]


@sees("cut_file")
def _(buyer: Buyer) -> None:
    assert (model(buyer).status_code, model(buyer).content) == (200, b"mo")


@sees("html_file")
def _(buyer: Buyer) -> None:
    assert model(buyer).status_code == 200
    assert model(buyer).text.startswith("<!doctype html>")


@sees("range_ignored")
def _(buyer: Buyer) -> None:
    assert model(buyer).content == MODEL
    assert (model(buyer, 2).status_code, model(buyer, 2).content) == (206, bytes(3))


@sees("file_gone")
def _(buyer: Buyer) -> None:
    assert model(buyer).status_code == 404


@sees("poisoned_content")
def _(buyer: Buyer) -> None:
    checkpoint = halfway(buyer)["checkpoint"]["sha256"]
    progress = fetch(buyer, shared_job(buyer, False), "progress.json", checkpoint)
    assert progress.json() == {"fraction": 0.99}
    assert (model(buyer).content, model(buyer, 3).content) == (b"poiso", b"so")


@sees("foreign_file")
def _(buyer: Buyer) -> None:
    work = workload("printf theirs > model.bin", outputs=[{"path": "model.bin"}])
    job_id = run_job(buyer, work)
    ended(buyer, job_id)
    first = next(job for job in (shared_job(buyer, True), shared_job(buyer, False)) if job)
    assert fetch(buyer, job_id, "model.bin").content != b"theirs"
    assert first
