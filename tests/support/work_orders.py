"""Orders with workloads for the mock: quoted, sent, paid, looked at, and their files fetched, without any checks."""

import hashlib
import json
from pathlib import Path
from typing import Any

import httpx

from tests.support.eventually import eventually
from tests.support.mock_buyer import Buyer, new_key

DEADLINE_S = 90.0
TRAINING = b"""
import json, os, pathlib, time
checkpoint = pathlib.Path("checkpoint"); checkpoint.mkdir(exist_ok=True)
start = 0
if "GPUAGENT_RESUME" in os.environ:
    start = json.loads(pathlib.Path(os.environ["GPUAGENT_RESUME"], "progress.json").read_text())["step"]
for step in range(start + 1, 5):
    with open("metrics.jsonl", "a") as metrics: metrics.write(json.dumps({"step": step, "loss": 1 / step}) + "\\n")
    print("step", step, flush=True)
    (checkpoint / "weights.bin").write_bytes(bytes([step]) * 1000)
    (checkpoint / "progress.part").write_text(json.dumps({"fraction": step / 4, "step": step}))
    (checkpoint / "progress.part").replace(checkpoint / "progress.json")
    if str(step) == os.environ.get("STOP"): time.sleep(600)
pathlib.Path("model.bin").write_bytes(b"model")
"""
"""Four steps with a checkpoint each; it stays for ever after the step that STOP names."""


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def workload(command: str | list[str], files: dict[str, bytes] | None = None, **fields: Any) -> dict[str, Any]:
    inputs = [
        {"path": path, "bytes": len(content), "sha256": sha256(content)} for path, content in (files or {}).items()
    ]
    return {"name": "job", "command": command, "inputs": inputs, **fields}


def training(stop: str = "", **fields: Any) -> dict[str, Any]:
    outputs = [{"path": "model.bin"}, {"path": "metrics.jsonl"}]
    env = {"STOP": stop} if stop else {}
    checkpoint = {"path": "checkpoint", "every": 1}
    return workload(
        "python train.py", {"train.py": TRAINING}, env=env, outputs=outputs, checkpoint=checkpoint, **fields
    )


class WorkOrderAtMock:
    """An order at the mock: `quote` is the answer to its quote, `params` what is to be submitted."""

    def __init__(
        self, buyer: Buyer, work: dict[str, Any], hours: float = 1.0, resume: dict[str, Any] | None = None
    ) -> None:
        self.buyer, self.key = buyer, new_key()
        more = {"workload": work} | ({"resume": resume} if resume else {})
        body = {"jobType": "training", "gpuType": "A100", "maxHours": hours, **more}
        self.quote = buyer.http.post("/quote", json=body)
        self.params: dict[str, Any] = {"gpuType": "A100", "maxHours": hours, **more}
        self.header: str | None = None

    def submit(self, header: str | None = None, **fields: Any) -> httpx.Response:
        body = {"vendorJobTemplateId": self.quote.json()["vendorJobTemplateId"], "jobParams": self.params, **fields}
        headers = {"Idempotency-Key": self.key} | ({"PAYMENT-SIGNATURE": header} if header else {})
        return self.buyer.http.post("/submit-job", json=body, headers=headers)

    def pay(self, **fields: Any) -> httpx.Response:
        """The answer to the paid order; sent again, it is the same payment."""
        fields.setdefault("inline", {})
        if self.header is None:
            challenge = self.submit(**{name: value for name, value in fields.items() if name != "secrets"})
            assert challenge.status_code == 402, challenge.text
            self.header = self.buyer.payment_for(challenge)
        return self.submit(self.header, **fields)


def send(
    buyer: Buyer, content: bytes, start: int = 0, end: int | None = None, key: str = "", **changes: Any
) -> httpx.Response:
    """The answer to an input. key: of the order that it is for, which another order does not have."""
    params = {"sha256": sha256(content), "size": len(content), "start": start} | changes
    return buyer.http.put("/job-input", params=params, content=content[start:end], headers=key_of(key))


def key_of(key: str = "") -> dict[str, str]:
    return {"Idempotency-Key": key or new_key()}


def run_job(buyer: Buyer, work: dict[str, Any], *contents: bytes, secrets: Any = None, **options: Any) -> str:
    """The id of a job that was paid for; contents: of its inputs, which are sent before."""
    order = WorkOrderAtMock(buyer, work, **options)
    for content in contents:
        assert send(buyer, content, key=order.key).status_code == 200
    answer = order.pay(secrets=secrets or {})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["vendorJobId"])


def look(buyer: Buyer, job_id: str, after: str = "") -> dict[str, Any]:
    answer = buyer.http.get("/job-status", params={"vendorJobId": job_id, "after": after})
    assert answer.status_code == 200, answer.text
    status: dict[str, Any] = answer.json()
    return status


def ended(buyer: Buyer, job_id: str) -> dict[str, Any]:
    """The status of a job once it has ended, with all its news."""

    def finished() -> dict[str, Any] | None:
        status = look(buyer, job_id)
        return None if status["status"] == "running" else status

    return eventually(finished, DEADLINE_S)


def fetch(buyer: Buyer, job_id: str, path: str, checkpoint: str = "", start: int | None = None) -> httpx.Response:
    params = {"vendorJobId": job_id, "path": path} | ({"checkpoint": checkpoint} if checkpoint else {})
    headers = {} if start is None else {"Range": f"bytes={start}-"}
    return buyer.http.get("/job-file", params=params, headers=headers)


def checkpointed(buyer: Buyer, job_id: str, fraction: float) -> dict[str, Any]:
    """The checkpoint that a job lists once it reaches so far."""
    eventually(lambda: look(buyer, job_id)["progress"] >= fraction, DEADLINE_S)
    checkpoint: dict[str, Any] = look(buyer, job_id)["checkpoint"]
    return checkpoint


def leaves_no_trace(folder: Path, text: str) -> bool:
    """Whether no file below the folder holds the text."""
    return not any(text.encode() in path.read_bytes() for path in folder.rglob("*") if path.is_file())


def canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
