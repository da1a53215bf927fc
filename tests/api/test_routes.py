"""The REST routes over a real server: the original system's first."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from gpuagent.core.money import UNIT
from tests.support.eventually import eventually
from tests.support.rest_server import READ, TOKENS, Served, serving
from tests.support.world import World

ORDER = {"userId": "u1", "goal": "Fine-tune tiny-llm", "budgetTotal": 5}


def test_the_originals_three_routes_drive_a_run_through_a_failing_vendor(served: Served) -> None:
    served.world.market.outcomes("gpu_vendor_1", "0")
    run = served.post("/api/agent-start", ORDER)
    assert {name: run[name] for name in ("status", "budgetTotal", "budgetRemaining")} == {
        "status": "running",
        "budgetTotal": 5,
        "budgetRemaining": 5,
    }
    first = served.tick(run["_id"])
    assert first["message"] == "Job started"
    assert first["action"]["action"] == "start_job"
    assert first["action"]["vendorId"] == "gpu_vendor_1"
    assert first["action"]["reason"]
    messages = served.finish(run["_id"])
    assert messages[-1] == "Job completed"
    assert "Job failed; Job started" in messages
    status = served.get("/api/agent-status", runId=run["_id"])
    assert status["run"]["status"] == "completed"
    assert status["run"]["budgetRemaining"] == 5 - 1.4 - 1.75
    assert [job["status"] for job in status["jobs"]] == ["failed", "completed"]
    assert [payment["amount"] for payment in status["payments"]] == [1.4, 1.75]
    assert all(payment["x402TxId"].startswith("0x") for payment in status["payments"])
    assert "header" not in json.dumps([list(document) for document in status["payments"]])
    assert {document["type"] for document in status["observations"]} >= {"agent_reasoning", "job_log", "payment_event"}
    served.world.assert_balanced(served.world.store.load(run["_id"]), transfers=2)
    assert served.tick(run["_id"])["message"] == "Run already completed"


def test_steps_one_transition_at_a_time(served: Served) -> None:
    run_id = served.start()
    phases = [served.post("/api/agent-step", {"runId": run_id})["run"]["phase"] for _ in range(3)]
    assert phases == ["EXECUTING", "EXECUTING", "WAITING"]


def test_a_gpu_in_small_letters_is_the_same_gpu(served: Served) -> None:
    run = served.post("/api/agent-start", {**ORDER, "gpuType": "h100", "budgetTotal": 9})
    assert run["gpuType"] == "H100"
    assert served.tick(run["_id"])["message"] == "Job started"  # the vendor is asked for what it offers


def test_a_run_that_nothing_fits_says_what_it_decided(served: Served) -> None:
    run_id = served.start(budget=1)
    answer = served.tick(run_id)
    assert answer["message"] == "Run aborted"
    assert answer["action"]["action"] == "abort"
    assert served.get("/api/agent-status", runId=run_id)["run"]["status"] == "failed"


def test_approve_names_the_amount_and_who(served: Served) -> None:
    served.world.allow(approval_above=UNIT)
    run_id = served.start()
    assert served.tick(run_id)["message"] == "Waiting for approval"
    problem = served.post(f"/api/runs/{run_id}/approve", {"amount": 1.3}, 422)
    assert problem["code"] == "bad_input"
    assert problem["runId"] == run_id
    served.post(f"/api/runs/{run_id}/approve", {"amount": 1.4, "by": "Ada"})
    assert served.tick(run_id)["message"] == "Job started"
    log = [observation["content"] for observation in served.get("/api/agent-status", runId=run_id)["observations"]]
    assert "Ada (by local) approved 1.40 USD for gpu_vendor_1" in log


def test_reject_and_cancel(served: Served) -> None:
    served.world.allow(approval_above=UNIT)
    run_id = served.start()
    served.tick(run_id)
    run = served.post(f"/api/runs/{run_id}/reject", {"why": "too dear"})["run"]
    assert run["held"] == 0
    run = served.post(f"/api/runs/{run_id}/cancel", {"why": "wrong goal", "by": "Ada"})["run"]
    assert (run["status"], run["reason"]) == ("failed", "cancelled by Ada (by local): wrong goal")
    assert served.post(f"/api/runs/{run_id}/cancel", {"why": "again"}, 422)["code"] == "bad_input"


def test_pages_and_filters_runs(served: Served) -> None:
    ids = [served.start(userId=f"u{number % 2}", tags=["blue"] if number else []) for number in range(5)]
    served.post(f"/api/runs/{ids[0]}/cancel", {"why": "-"})
    run_ids, before = [], ""
    while True:
        page = served.get("/api/runs", limit=2, before=before)
        run_ids += [run["_id"] for run in page["runs"]]
        if page["next"] is None:
            break
        before = page["next"]
    assert run_ids == ids[::-1]
    assert [run["_id"] for run in served.get("/api/runs", status="failed")["runs"]] == [ids[0]]
    assert [run["_id"] for run in served.get("/api/runs", userId="u1")["runs"]] == [ids[3], ids[1]]
    assert len(served.get("/api/runs", tag="blue", phase="PLANNING")["runs"]) == 4
    assert [run["_id"] for run in served.get("/api/runs", user="u1", text=ids[3])["runs"]] == [ids[3]]
    assert served.get("/api/runs", vendor="gpu_vendor_1")["runs"] == []
    by_budget = served.get("/api/runs", sort="budget:asc", limit=2)
    assert [run["_id"] for run in by_budget["runs"]] == ids[:2]
    rest = served.get("/api/runs", sort="budget:asc", before=by_budget["next"])
    assert ([run["_id"] for run in rest["runs"]], rest["next"]) == (ids[2:], None)
    assert served.get("/api/runs", 422, sort="goal")["code"] == "bad_input"
    assert served.get("/api/runs", 422, before="x")["code"] == "bad_input"


UNKNOWN = {
    "/api/runs?staus=failed": ("'staus'", "did you mean status?", "vendor, text"),
    "/api/runs?Status=failed": ("'Status'", "did you mean status?"),
    "/api/runs?status=failed&status=running": ("status is given 2 times",),
    "/api/runs?user=a&userId=b": ("user and userId",),
    "/api/runs?limit=5&=x": ("no parameter ''",),
    "/api/runs?%ff%0a=1&" + "x" * 900: ("no parameter",),
    "/api/reports/spend?form=2026-01-01": ("'form'", "by, since, until"),
    "/api/reports/spend?since=2026-02-01&until=2026-01-01": ("since, 2026-02-01, is not before until",),
    "/api/reports/spend?since=2026-02-01&until=2026-02-01": ("is not before until",),
    "/api/agent-status?runId=a&observation=1": ("did you mean observations?",),
    "/api/inbox?kind=approval": ("it takes none",),
    "/api/vendors?limit=1": ("it takes none",),
    "/api/budgets?month=2026-01": ("it takes none",),
    f"/api/runs/{'a' * 24}/timeline?since=1": ("kind, limit, after",),
    f"/api/runs/{'a' * 24}/timeline/{'a' * 24}?full=1": ("it takes none",),
    f"/api/runs/{'a' * 24}/files?vendorId=a": ("did you mean vendor?",),
    f"/api/runs/{'a' * 24}/files/model.npz?jobId=a": ("vendor, job, kind, index",),
    f"/api/runs/{'a' * 24}/events?last=a": ("it takes after",),
}


def test_a_query_parameter_that_is_not_known_is_refused_in_words(served: Served) -> None:
    for place, words in UNKNOWN.items():
        detail = served.answered(served.http.get(place), 422)["detail"]
        assert all(part in detail for part in words), (place, detail)


def test_what_changes_something_takes_no_other_parameters_either(served: Served) -> None:
    run_id, json_type = served.start(), {"Content-Type": "application/json"}
    for method, path in (
        ("POST", "/api/agent-start?budgetTotal=1"),
        ("POST", f"/api/agent-tick?runId={run_id}"),
        ("POST", "/api/agent-tick-due?limit=1"),
        ("POST", "/api/agent-tick-due?limitS=1&limitS=2"),
        ("POST", f"/api/runs/{run_id}/cancel?dryRun=1"),
        ("PUT", f"/api/files/{'a' * 64}?offset=4"),
    ):
        served.answered(served.http.request(method, path, content=b"{}", headers=json_type), 422)
    assert served.get("/api/runs", userId="u1")["runs"][0]["phase"] == "PLANNING"
    assert served.http.get("/healthz?probe=7").status_code == 200
    with pytest.raises(InvalidStatus, match="422"):
        connect(f"{served.url.replace('http', 'ws')}/api/runs/{run_id}/ws?last=a")


def test_spending_is_what_was_settled(served: Served) -> None:
    served.world.market.outcomes("gpu_vendor_1", "0")
    run_id = served.start(tags=["blue", "red"])
    served.finish(run_id)
    served.start()
    today = datetime.fromtimestamp(served.world.market.clock.now(), UTC).date()  # earlier tests may have turned it
    days = {
        "since": today - timedelta(days=1),
        "until": today + timedelta(days=2),
    }
    report = served.get("/api/reports/spend", **days)
    assert (report["settled"], report["wasted"]) == (3.15, 1.4)
    assert {group["key"]: group["settled"] for group in report["groups"]} == {"gpu_vendor_1": 1.4, "gpu_vendor_2": 1.75}
    by_tag = served.get("/api/reports/spend", by="tag", **days)
    assert {group["key"]: group["settled"] for group in by_tag["groups"]} == {"blue": 3.15, "red": 3.15}
    assert by_tag["settled"] == 3.15
    assert served.get("/api/reports/spend", by="user", **days)["groups"][0]["key"] == "u1"
    assert served.get("/api/reports/spend", since="2020-01-01", until="2020-02-01")["groups"] == []


def test_a_status_has_so_many_of_the_newest_observations(served: Served) -> None:
    run_id = served.start()
    served.tick(run_id)
    whole = served.get("/api/agent-status", runId=run_id)["observations"]
    for count in (0, 1, len(whole) - 1, len(whole), len(whole) + 1, 2 * len(whole) - 1):
        status = served.get("/api/agent-status", runId=run_id, observations=count)
        assert status["observations"] == whole[max(len(whole) - count, 0) :]


def test_vendors_without_the_names_of_secrets(served: Served) -> None:
    vendors = served.get("/api/vendors")["vendors"]
    assert [vendor["vendorId"] for vendor in vendors] == ["gpu_vendor_1", "gpu_vendor_2", "gpu_vendor_3"]
    assert vendors[0]["basePricePerHour"] == 1.4
    assert "secretEnv" not in vendors[0]
    assert [(vendor["protocol"], vendor["halt"]) for vendor in vendors] == [("gpuagent/1", None)] * 3
    first = served.world.store.vendors()[0]
    served.world.store.halt_payee(first, "it wants another payee", 1_700_000_000.0)
    halt = served.get("/api/vendors")["vendors"][0]["halt"]
    assert halt == {"by": "gpuagent", "why": "it wants another payee", "at": "2023-11-14T22:13:20.000Z"}


BAD: list[tuple[dict[str, Any], int, str]] = [
    ({**ORDER, "budgetTotal": "5"}, 422, "budgetTotal"),
    ({**ORDER, "budgetTotal": True}, 422, "budgetTotal"),
    ({**ORDER, "budgetTotal": -1}, 422, "budgetTotal"),
    ({**ORDER, "budgetTotal": 1e300}, 422, "USD"),
    ({**ORDER, "budgetTotal": 0.0000001}, 422, "USD"),
    ({**ORDER, "goal": "  "}, 422, "goal"),
    ({**ORDER, "goal": "\x00" * 3000}, 422, "goal"),
    ({**ORDER, "budgetTotl": 5}, 422, "budgetTotl"),
    ({**ORDER, "planner": "oracle"}, 422, "no planner"),
    ({**ORDER, "gpuType": "Z80"}, 422, "Z80"),
    ({**ORDER, "gpuType": "l40-s"}, 422, "did you mean L40S?"),
    ({"goal": "x", "budgetTotal": 5}, 422, "userId"),
]


@pytest.mark.parametrize(("body", "status", "detail"), BAD)
def test_bad_input_is_explained(served: Served, body: dict[str, Any], status: int, detail: str) -> None:
    problem = served.post("/api/agent-start", body, status)
    assert detail in problem["detail"]
    assert problem["instance"] == "/api/agent-start"
    assert problem["type"] == f"urn:gpuagent:problem:{problem['code']}"
    assert served.world.reads.runs() == []


def test_problems_of_the_protocol_itself(served: Served) -> None:
    assert served.get("/api/agent-status", 404, runId="nope")["code"] == "run_unknown"
    assert served.post("/api/agent-tick", {"runId": "66a1f2c9d53a3f9ef1f0c123"}, 404)["runId"] == (
        "66a1f2c9d53a3f9ef1f0c123"
    )
    assert served.get("/api/nothing", 404)["code"] == "not_found"
    assert served.get("/api/agent-start", 405)["code"] == "method_not_allowed"
    for content, headers, status in (
        (b"{", {"Content-Type": "application/json"}, 400),
        (b'{"goal": "\\ud800"}', {"Content-Type": "application/json"}, 422),
        (b'{"\\ud800": 1}', {"Content-Type": "application/json"}, 422),
        (json.dumps(ORDER).encode(), {"Content-Type": "text/plain"}, 403),
        (b"x" * 1_000_001, {"Content-Type": "application/json"}, 413),
    ):
        served.answered(served.http.post("/api/agent-start", content=content, headers=headers), status)
    unreadable = (b"[" * 5_000, b'{"budgetTotal": ' + b"1" * 5_000 + b"}", b"\xff\xfe")
    for content, code in (*((body, "json_malformed") for body in unreadable), (b"x" * 70_000, "content_too_large")):
        headers = {"Content-Type": "application/json"}
        reply = served.http.post("/api/agent-tick", content=content, headers=headers)
        assert served.answered(reply, reply.status_code)["code"] == code


def test_head_is_get_without_a_body(served: Served) -> None:
    run_id = served.start()
    paths = ["/healthz", "/openapi.json", "/api/runs", "/api/vendors", "/api/reports/spend",
             f"/api/agent-status?runId={run_id}", "/api/agent-status", "/api/runs?limit=0", "/api/nothing"]  # fmt: skip
    for path in paths:
        head, get = served.http.head(path), served.http.get(path)
        assert (head.status_code, head.content) == (get.status_code, b""), path
        for header in ("content-type", "content-length"):
            assert head.headers[header] == get.headers[header], path
    stream = served.http.head(f"/api/runs/{run_id}/events")
    assert (stream.status_code, stream.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    eventually(lambda: served.app.state.followers.count == 0)
    for path in ("/api/agent-tick-due", "/api/agent-start"):
        assert (served.http.head(path).status_code, served.http.head(path).headers["allow"]) == (405, "POST")
    assert served.get("/api/runs")["runs"][0]["version"] == 0


def test_a_slash_at_the_end_is_no_other_path(served: Served) -> None:
    """And no redirect, which would lose https behind a proxy, and a POST's body with some clients."""
    forwarded = {"Authorization": f"Bearer {READ}", "X-Forwarded-Proto": "https", "Host": "ops.example"}
    with serving(served.world, TOKENS) as behind_a_proxy:
        reply = behind_a_proxy.http.get("/api/runs/", headers=forwarded)
        assert (reply.status_code, "location" in reply.headers) == (200, False)
    run_id = served.start()
    assert served.post("/api/agent-step/", {"runId": run_id})["run"]["phase"] == "EXECUTING"
    for path in ("/api/runs/", "/api/runs//", "/healthz/", "/openapi.json/", f"/api/agent-status/?runId={run_id}"):
        assert served.http.get(path).status_code == 200, path
    assert served.get("/", 404)["instance"] == "/"
    assert served.get("/api/nothing/", 404)["instance"] == "/api/nothing"
    with connect(f"{served.url.replace('http', 'ws')}/api/runs/{run_id}/ws/") as ws:
        assert '"snapshot"' in str(ws.recv(60))


def test_pages_of_listed_origins_may_read_answers(world: World) -> None:
    origin = "https://ops.example"
    bearer = {"Authorization": f"Bearer {READ}"}
    ask = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,idempotency-key"}
    with serving(world, {**TOKENS, "GPUAGENT_API_ORIGINS": f"{origin},http://localhost:5173"}) as served:
        preflight = served.http.options("/api/agent-start", headers={"Origin": origin, **ask})
        assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (200, origin)
        assert "Authorization" in preflight.headers["access-control-allow-headers"]
        for headers, status in ((bearer, 200), ({}, 401)):
            reply = served.http.get("/api/runs", headers={"Origin": origin, **headers})
            assert (reply.status_code, reply.headers["access-control-allow-origin"]) == (status, origin)
            assert "Origin" in reply.headers["vary"]
        for other in ("https://evil.example", "null", "https://ops.example.evil.example", "http://ops.example"):
            assert served.http.options("/api/agent-start", headers={"Origin": other, **ask}).status_code == 400
            reply = served.http.get("/api/runs", headers={"Origin": other, **bearer})
            assert (reply.status_code, "access-control-allow-origin" in reply.headers) == (200, False)
        assert not any("credentials" in name for name in (*preflight.headers, *reply.headers))
    with serving(world, TOKENS) as served:
        reply = served.http.get("/api/runs", headers={"Origin": origin, **bearer})
        assert not any(name.startswith("access-control") for name in reply.headers)


def test_a_body_without_a_length_is_limited_too(served: Served) -> None:
    def endless() -> Any:
        for _ in range(200):
            yield b"x" * 1000

    reply = served.http.post("/api/agent-tick", content=endless(), headers={"Content-Type": "application/json"})
    assert reply.status_code == 413


def test_an_exhausted_budget_is_never_a_402(served: Served) -> None:
    """A halted wallet is our refusal, and says so; no client is asked for money."""
    served.world.allow(wallet_per_day=0)
    run_id = served.start()
    answer = served.tick(run_id)
    assert answer["action"]["action"] in ("wait", "abort")


def test_no_stack_trace_leaves(served: Served) -> None:
    """A bug is ours: the client gets its number, the log the rest."""

    def broken(*_: Any) -> Any:
        raise RuntimeError("secret of the house")

    served.app.state.connections = type("Broken", (), {"store": property(broken), "desk": property(broken)})()
    reply = httpx.get(f"{served.url}/api/vendors", timeout=60)
    assert reply.status_code == 500
    assert reply.json()["code"] == "bug"
    assert "secret" not in reply.text
    assert "Traceback" not in reply.text


def test_the_routes_can_be_read_in_a_browser(served: Served) -> None:
    """Every path is on the page, which loads and runs nothing."""
    reply = httpx.get(f"{served.url}/docs", timeout=60)
    assert (reply.status_code, reply.headers["content-type"]) == (200, "text/html; charset=utf-8")
    for path in httpx.get(f"{served.url}/openapi.json", timeout=60).json()["paths"]:
        assert f"{path}</code>" in reply.text
    assert "<script" not in reply.text
    assert "default-src 'none'" in reply.headers["content-security-policy"]
