"""A workload is quoted, sent, paid, really run, and its files come back; what is not as quoted is refused unpaid."""

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.eventually import eventually
from tests.support.mock_buyer import Buyer
from tests.support.work_orders import (
    DEADLINE_S,
    TRAINING,
    WorkOrderAtMock,
    canonical,
    checkpointed,
    ended,
    fetch,
    key_of,
    look,
    run_job,
    send,
    sha256,
    training,
    workload,
)

SECRET = "hf_not_a_real_one"


@pytest.fixture
def worker(ready: dict[str, Any]) -> Iterator[Buyer]:
    """A buyer at gpu_vendor_3, where other tests buy little."""
    buyer = Buyer(ready, "gpu_vendor_3")
    yield buyer
    buyer.control("DELETE", "faults")
    buyer.close()


@pytest.fixture
def heir(ready: dict[str, Any]) -> Iterator[Buyer]:
    """A buyer at gpu_vendor_2, which no other test sends work to."""
    buyer = Buyer(ready, "gpu_vendor_2")
    yield buyer
    buyer.close()


def test_a_workload_is_quoted_sent_paid_and_done(worker: Buyer) -> None:
    order = WorkOrderAtMock(worker, work := training())
    quote = order.quote.json()
    assert quote["accepts"] == ["workload", "files", "checkpoint", "cancel"]
    assert quote["workloadHash"] == sha256(canonical(work).encode())
    assert send(worker, TRAINING, end=100, key=order.key).json() == {"received": 100}
    cut = order.submit()
    assert (cut.status_code, cut.json()["error"]) == (422, "input_missing")
    assert sha256(TRAINING) in cut.json()["message"]
    assert send(worker, TRAINING, start=100, key=order.key).json() == {"received": len(TRAINING)}
    job_id = order.pay().json()["vendorJobId"]
    assert order.pay().json()["vendorJobId"] == job_id
    status = ended(worker, job_id)
    assert (status["status"], status["exitCode"], status["progress"]) == ("completed", 0, 1)
    assert status["logs"] == [f"step {step}" for step in (1, 2, 3, 4)]
    assert [metric["step"] for metric in status["metrics"]] == [1, 2, 3, 4]
    news = look(worker, job_id, status["cursor"])
    assert (news["logs"], news["metrics"], news["cursor"]) == ([], [], status["cursor"])
    assert {file["path"]: file["sha256"] for file in status["files"]}["model.bin"] == sha256(b"model")
    whole = fetch(worker, job_id, "model.bin")
    assert (whole.status_code, whole.content) == (200, b"model")
    assert whole.headers["ETag"] == f'"{sha256(b"model")}"'
    assert whole.headers["Content-Disposition"] == "attachment"
    assert whole.headers["X-Content-Type-Options"] == "nosniff"
    assert whole.headers["Content-Type"] == "application/octet-stream"
    rest = fetch(worker, job_id, "model.bin", start=3)
    assert (rest.status_code, rest.content, rest.headers["Content-Range"]) == (206, b"el", "bytes 3-4/5")
    assert fetch(worker, job_id, "model.bin", start=5).status_code == 416
    for path in ("train.py", "../order.json", "/etc/passwd", "missing", "\ud7ff", "a\0b"):
        assert fetch(worker, job_id, path).status_code == 404
    for after in ("x", "1", "-1.0", "1.2.3", "9" * 300):
        answer = worker.http.get("/job-status", params={"vendorJobId": job_id, "after": after})
        assert (answer.status_code, answer.json()["error"]) == (400, "cursor_unknown")


def test_the_next_vendor_goes_on_from_the_checkpoint(worker: Buyer, heir: Buyer) -> None:
    """Another vendor has none of it: its inputs are its own, and so is what it runs."""
    job_id = run_job(worker, training(stop="2"), TRAINING)
    checkpoint = checkpointed(worker, job_id, 0.5)
    contents = [fetch(worker, job_id, file["path"], checkpoint["sha256"]).content for file in checkpoint["files"]]
    assert [sha256(content) for content in contents] == [file["sha256"] for file in checkpoint["files"]]
    assert checkpoint["sha256"] == sha256(canonical(checkpoint["files"]).encode())
    cancelled = worker.http.post("/job-cancel", json={"vendorJobId": job_id})
    assert (cancelled.status_code, cancelled.json()["status"]) in ((200, "running"), (200, "failed"))
    status = ended(worker, job_id)
    assert (status["status"], status["exitCode"], status["errorMessage"]) == ("failed", None, "the buyer cancelled it")
    assert status["checkpoint"] == checkpoint, "a job that was ended keeps its newest checkpoint"
    assert worker.http.post("/job-cancel", json={"vendorJobId": job_id}).json() == {"status": "failed"}
    assert (
        heir.http.get("/job-input", params={"sha256": sha256(TRAINING)}, headers=key_of()).json()["complete"] is False
    )
    resumed = run_job(heir, training(), TRAINING, *contents, resume=checkpoint)
    assert ended(heir, resumed)["logs"] == ["step 3", "step 4"]


def test_the_paid_time_ends_a_job_and_its_checkpoint_stays(worker: Buyer) -> None:
    """The time is real, however the vendors' clock is turned."""
    job_id = run_job(worker, training(stop="4"), TRAINING, hours=0.0003)
    worker.control("POST", "clock", {"advanceS": 0.5})
    assert look(worker, job_id)["status"] == "running"
    status = ended(worker, job_id)
    assert (status["status"], status["exitCode"], status["errorMessage"]) == ("failed", None, "the paid time has ended")
    assert status["progress"] == 1
    assert {file["path"] for file in status["checkpoint"]["files"]} == {"weights.bin", "progress.json"}


def test_a_program_that_fails_says_so(worker: Buyer) -> None:
    status = ended(worker, run_job(worker, workload("echo 'no such corpus' >&2; exit 3")))
    assert (status["status"], status["exitCode"], status["logs"]) == ("failed", 3, ["no such corpus"])
    assert status["errorMessage"] == "the program ended with exit code 3"


def test_inline_inputs_and_secrets(worker: Buyer) -> None:
    content = b"inline\n"
    work = workload("cat a.txt; echo ${#TOKEN}", {"a.txt": content}, secrets=["TOKEN"])
    order = WorkOrderAtMock(worker, work)
    inline = {sha256(content): base64.b64encode(content).decode()}
    for wrong, status, code in (
        ({}, 422, "input_missing"),
        ({sha256(content): "%%%"}, 422, "input_malformed"),
        ({sha256(content): base64.b64encode(b"else").decode()}, 422, "input_differs"),
        ({sha256(content): base64.b64encode(bytes(65 * 1024)).decode()}, 413, "input_too_large"),
    ):
        answer = order.submit(inline=wrong)
        assert (answer.status_code, answer.json()["error"]) == (status, code)
    header = worker.payment_for(order.submit(inline=inline))
    transfers = len(worker.transfers())
    for secrets, code in (({}, "secrets_missing"), ({"TOKEN": "a\0b"}, "secrets_invalid")):
        answer = order.submit(header, inline=inline, secrets=secrets)
        assert (answer.status_code, answer.json()["error"]) == (422, code)
    assert len(worker.transfers()) == transfers
    job_id = order.submit(header, inline=inline, secrets={"TOKEN": SECRET, "OTHER": "x"}).json()["vendorJobId"]
    assert order.submit(header).json()["vendorJobId"] == job_id, "secrets are no part of what is ordered"
    assert ended(worker, job_id)["logs"] == ["inline", str(len(SECRET))]


def test_settled_late_it_still_has_its_secrets(worker: Buyer) -> None:
    order = WorkOrderAtMock(worker, workload("echo ${#TOKEN}", secrets=["TOKEN"]))
    worker.fault("settle_late")
    assert order.pay(secrets={"TOKEN": SECRET}).status_code == 503

    def settled_job() -> str:
        worker.control("POST", "settle")
        answer = worker.http.get("/job-status", params={"idempotencyKey": order.key}).json()
        return str(answer.get("vendorJobId", ""))

    job_id = eventually(settled_job)  # a chain that is slow to answer is asked again
    assert ended(worker, job_id)["logs"] == [str(len(SECRET))]


def test_an_order_is_what_was_quoted(worker: Buyer) -> None:
    order = WorkOrderAtMock(worker, workload("true"))
    quoted, transfers = order.params, len(worker.transfers())
    header = worker.payment_for(order.submit())
    for changes in (
        {"workload": workload("false")},
        {"workload": {**workload("true"), "env": {}}},
        {"workload": None},
        {"resume": {"sha256": "a" * 64, "files": []}},
        {"gpuType": "H100"},
        {"maxHours": 2},
        {"maxHours": True},
        {"maxHours": "1.0"},
    ):
        order.params = {**quoted, **changes}
        for answer in (order.submit(), order.submit(header)):
            assert (answer.status_code, answer.json()["error"]) == (409, "order_differs")
    plain = worker.submit(worker.quote_id(), order.key, params={"workload": workload("true")})
    assert (plain.status_code, plain.json()["error"]) == (409, "order_differs")
    assert len(worker.transfers()) == transfers
    order.params = quoted
    assert order.submit(header).status_code == 200


@pytest.mark.parametrize(
    ("work", "code"),
    [
        ({"name": "no command"}, "workload_invalid"),
        (workload("true", {"../x": b""}), "workload_invalid"),
        (workload("true", image="docker.io/python"), "image_not_offered"),
        (workload("true") | {"inputs": [{"path": "a", "sha256": "a" * 64, "url": "https://x"}]}, "url_not_offered"),
    ],
)
def test_what_cannot_be_run_is_not_quoted(worker: Buyer, work: dict[str, Any], code: str) -> None:
    answer = WorkOrderAtMock(worker, work).quote
    assert (answer.status_code, answer.json()["error"]) == (422, code)


def test_inputs_are_refused_in_words(worker: Buyer) -> None:
    content = b"x" * 100
    refusals = [
        (send(worker, content, start=7), 409, "wrong_start"),
        (send(worker, bytes(5_000_000), start=7), 409, "wrong_start"),
        (send(worker, content, size=50), 413, "input_too_large"),
        (send(worker, content, size=10**13), 413, "input_too_large"),
        (send(worker, content, sha256="a" * 64), 422, "input_differs"),
        (send(worker, content, sha256="../x"), 422, "request_invalid"),
        (send(worker, content, size=-1), 422, "request_invalid"),
    ]
    for answer, status, code in refusals:
        assert (answer.status_code, answer.json()["error"]) == (status, code)
    assert refusals[0][0].json()["received"] == 0
    assert worker.http.get("/job-input", params={"sha256": "a" * 64}, headers=key_of()).json() == {
        "received": 0,
        "complete": False,
    }
    assert send(worker, b"").json() == {"received": 0}


def test_a_job_without_a_workload_stays_simulated(worker: Buyer) -> None:
    job_id = worker.buy().json()["vendorJobId"]
    status = look(worker, job_id, after="whatever")
    assert "exitCode" not in status
    assert "cursor" not in status
    assert "accepts" not in worker.quote().json()
    assert fetch(worker, job_id, "model.bin").json()["error"] == "no_workload"
    assert worker.http.post("/job-cancel", json={"vendorJobId": job_id}).json()["error"] == "no_workload"


def test_a_doomed_job_loses_its_machine(worker: Buyer) -> None:
    """What fails a simulated job, by dice, setting or script, loses a real one's machine."""
    worker.control("PUT", "outcomes", {"vendorId": worker.vendor_id, "script": "00"})
    try:
        plain = ended(worker, run_job(worker, workload("sleep 600")))
        assert (plain["status"], plain["exitCode"]) == ("failed", None)
        assert "node lost" in plain["errorMessage"]
        job_id = run_job(worker, training(stop="3"), TRAINING)
        eventually(lambda: look(worker, job_id)["status"] == "failed", DEADLINE_S)
        assert look(worker, job_id)["checkpoint"] is not None
    finally:
        worker.control("PUT", "outcomes", {"vendorId": worker.vendor_id, "script": ""})
