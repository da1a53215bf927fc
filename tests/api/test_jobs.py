"""Jobs over REST: inputs come in the request, by an upload before, or by a public URL; never from the server's disk."""

import hashlib
import json
from base64 import b64encode
from typing import Any

import pytest

from gpuagent.api import jobs
from gpuagent.api.jobs import received_job
from gpuagent.core.policy import Policy
from gpuagent.core.workload import from_canonical
from gpuagent.errors import BadInput
from tests.support.rest_server import Served

SCRIPT = b"print('over REST')\n"
ORDER = {"userId": "u1", "budgetTotal": 5}
JOB = {"name": "tiny", "command": "python train.py", "max_duration": "30m"}
YAML = "name: tiny\ncommand: python train.py\nmax_duration: 30m\ninputs:\n- {path: train.py, file: ./train.py}\n"
INLINE = {"train.py": b64encode(SCRIPT).decode()}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def put(served: Served, content: bytes, expected: int = 200, digest: str = "", **params: Any) -> Any:
    reply = served.http.put(f"/api/files/{digest or sha256(content)}", content=content, params=params)
    return served.answered(reply, expected)


def test_a_job_with_its_inputs_in_the_request(served: Served) -> None:
    run = served.post("/api/agent-start", {**ORDER, "job": YAML, "inputs": INLINE})
    assert (run["goal"], run["maxHours"], run["gpuType"]) == ("tiny", 0.5, "A100")
    workload = from_canonical(run["workload"])
    assert workload.sha256 == run["workloadHash"]
    assert [(entry.sha256, entry.bytes, entry.file) for entry in workload.inputs] == [
        (sha256(SCRIPT), len(SCRIPT), None)
    ]
    assert b"".join(served.world.ports.files.read(sha256(SCRIPT))) == SCRIPT
    (listed,) = served.get("/api/runs")["runs"]
    assert listed["workloadHash"] == run["workloadHash"]
    assert "workload" not in listed
    assert served.get("/api/agent-status", runId=run["_id"])["run"]["workload"] == run["workload"]


def test_several_jobs_are_asked_for_in_the_job_or_beside_it(served: Served) -> None:
    job = {**JOB, "jobs": {"count": 3, "at_once": 2}}
    for body in ({"job": job}, {"job": JOB, "count": 3, "jobsOpenMax": 2}, {"goal": "x", "count": 3, "jobsOpenMax": 2}):
        run = served.post("/api/agent-start", {**ORDER, **body})
        assert (run["count"], run["jobsOpenMax"], run["jobsMax"]) == (3, 2, 10)
    problem = served.post("/api/agent-start", {**ORDER, "job": job, "count": 4}, 422)
    assert "the job file asks for 3 jobs, 2 at once (jobs), and the order for 4" in problem["detail"]
    assert "count" not in served.post("/api/agent-start", {**ORDER, "job": JOB}), "as it was stored ever since"


def test_hedges_are_asked_for_in_the_job_or_beside_it(served: Served) -> None:
    job = {**JOB, "jobs": {"hedge_after": "15m"}}
    for body in (
        {"job": job},
        {"job": JOB, "hedgeAfter": 900},
        {"job": JOB, "hedgeAfter": "15m"},
        {"goal": "x", "hedgeAfter": 900},
    ):
        assert served.post("/api/agent-start", {**ORDER, **body})["hedging"]["afterSeconds"] == 900
    problem = served.post("/api/agent-start", {**ORDER, "job": job, "hedgeAfter": 60}, 422)
    assert "hedged after 15m (jobs.hedge_after)" in problem["detail"]
    assert "hedging" not in served.post("/api/agent-start", {**ORDER, "job": JOB, "hedgeAfter": 0})
    for wrong in ("15", "soon", -1, 1.5, True):
        problem = served.post("/api/agent-start", {**ORDER, "job": JOB, "hedgeAfter": wrong}, 422)
        assert problem["detail"].startswith("body.hedgeAfter: ")
    assert "say the unit" in served.post("/api/agent-start", {**ORDER, "goal": "x", "hedgeAfter": "15"}, 422)["detail"]


def test_an_object_and_an_upload_in_pieces(served: Served) -> None:
    content = b"uploaded in three pieces"
    job = {**JOB, "inputs": [{"path": "corpus.txt", "sha256": sha256(content)}]}
    problem = served.post("/api/agent-start", {**ORDER, "job": job}, 422)
    assert "input corpus.txt: there is no file with the SHA-256" in problem["detail"]
    whole = {"digest": sha256(content), "size": len(content)}
    assert put(served, content[:8], **whole)["received"] == 8
    late = put(served, content[4:12], 409, start=4, **whole)
    assert (late["code"], late["detail"]) == ("upload_elsewhere", "8 bytes have been received: go on with start=8")
    assert put(served, content[8:16], start=8, **whole)["complete"] is False
    expected = {"sha256": sha256(content), "size": len(content), "received": len(content), "complete": True}
    assert put(served, content[16:], start=16, **whole) == expected
    assert put(served, content) == expected, "once more is no error"
    run = served.post("/api/agent-start", {**ORDER, "job": job})
    assert from_canonical(run["workload"]).inputs[0].bytes == len(content)


def test_a_secret_that_the_operator_names_may_be_asked_for() -> None:
    environ = {"JOB_SECRETS": "HF_TOKEN, WANDB_API_KEY"}
    job = {"name": "tiny", "command": "true", "secrets": ["HF_TOKEN"]}
    assert received_job(job, {}, environ, 1)
    with pytest.raises(BadInput, match="HF_TOKEN_2 is none"):
        received_job({**job, "secrets": ["HF_TOKEN", "HF_TOKEN_2"]}, {}, environ, 1)


def test_uploads_that_cannot_be(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "another SHA-256" in put(served, b"one", 422, digest=sha256(b"other"))["detail"]
    assert served.world.ports.files.size(sha256(b"other")) is None
    assert put(served, b"other")["complete"], "the other content was dropped, not kept as a part of this"
    assert put(served, b"", digest=sha256(b""))["complete"]
    assert "size:" in put(served, b"12345", 422, size=4)["detail"]
    assert "size:" in put(served, b"12345", 422, start=4)["detail"]
    assert put(served, b"x" * 4_000_001, 413)["code"] == "content_too_large"
    put(served, b"x", 422, digest="no-hash")
    small = Policy(version=1, file_max=10)
    monkeypatch.setattr(served.world.store, "policy", lambda: small)
    assert "the policy allows 10 bytes" in put(served, b"x" * 11, 413)["detail"]


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"job": YAML}, "this server reads no file of its own for a job: send the content in `inputs`"),
    ({"job": {**JOB, "inputs": [{"path": "p", "file": "/etc/passwd"}]}}, "this server reads no file of its own"),
    ({"job": YAML, "inputs": {"train.py": "no base64!"}}, "the content of 'train.py' is no base64"),
    ({"job": YAML, "inputs": {**INLINE, "b.py": ""}}, "'b.py' is the path of no input of the job"),
    ({"job": YAML, "inputs": {"train.py": b64encode(b"x" * 65_537).decode()}}, "has more than 65,536 bytes"),
    (
        {"job": {**JOB, "inputs": [{"path": "train.py", "sha256": "0" * 64}]}, "inputs": INLINE},
        "the job file names 000",
    ),
    ({"job": "name: tiny\n comand: x"}, "job:2:"),
    ({"job": {**JOB, "comand": "x"}}, "comand: there is no such field: did you mean command?"),
    ({"job": {**JOB, "env": {"API_KEY": "hunter2"}}}, "API_KEY looks like a secret"),
    ({"job": {**JOB, "secrets": ["AWS_SECRET_ACCESS_KEY"]}}, "AWS_SECRET_ACCESS_KEY is none that this server gives"),
    ({"job": {**JOB, "secrets": ["HF_TOKEN", "PATH"]}}, "HF_TOKEN is none that this server gives to jobs"),
    ({"job": {**JOB, "resources": {"gpu": "A100:8"}}}, "one GPU for a job is supported"),
    ({"job": JOB, "gpuType": "H100"}, "the job file asks for A100"),
    ({"job": JOB, "maxHours": 2}, "the job file asks for 0.5 hours"),
    ({"inputs": INLINE, "goal": "x"}, "they are of a job, and there is none"),
    ({}, "say what the run is for, or send a job"),
    (
        {"job": {**JOB, "inputs": [{"path": "p", "url": "https://169.254.169.254/a", "sha256": "0" * 64}]}},
        "the server's own network, which it does not ask for others",
    ),
    (
        {"job": {**JOB, "inputs": [{"path": "p", "url": "http://example.com/a", "sha256": "0" * 64}]}},
        "its url is not https",
    ),
]


def test_jobs_that_are_refused_leave_no_run(served: Served) -> None:
    for body, detail in REFUSED:
        assert detail in served.post("/api/agent-start", {**ORDER, **body}, 422)["detail"]
    for command in ("\ud800", "\x00"):  # as JSON may write what is no text
        content = json.dumps({**ORDER, "job": {**JOB, "command": command}}).encode()
        reply = served.http.post("/api/agent-start", content=content, headers={"Content-Type": "application/json"})
        served.answered(reply, 422)
    assert served.world.reads.runs() == []


def test_the_same_key_with_another_job_is_refused(served: Served) -> None:
    key = {"Idempotency-Key": "job-1"}
    body = {**ORDER, "job": YAML, "inputs": INLINE}
    first = served.post("/api/agent-start", body, **key)
    assert served.post("/api/agent-start", body, **key) == first
    other = {**body, "inputs": {"train.py": b64encode(SCRIPT + b"#").decode()}}
    assert served.post("/api/agent-start", other, 422, **key)["code"] == "idempotency_key_reused"
    assert len(served.world.reads.runs()) == 1


def test_a_whole_job_is_larger_than_other_requests(served: Served) -> None:
    inputs = [{"path": f"{number}.txt", "file": f"{number}.txt"} for number in range(5)]
    contents = {f"{number}.txt": b64encode(bytes([number]) * 60_000).decode() for number in range(5)}
    served.post("/api/agent-start", {**ORDER, "job": {**JOB, "inputs": inputs}, "inputs": contents})
    assert jobs.DOWNLOAD_S < 120
