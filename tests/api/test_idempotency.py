"""Repeated requests with an Idempotency-Key do nothing twice and get the first answer again."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from gpuagent.adapters.mongo.idempotency import WORKING_S
from gpuagent.api.routes import runs
from gpuagent.core.idempotency import InProgress, KeyClaim, OtherRequest, StoredAnswer
from gpuagent.core.model import Run
from gpuagent.errors import ChainError
from tests.support.rest_server import APPROVE, OPERATE, TOKENS, Served, serving
from tests.support.world import World

ORDER = {"userId": "u1", "goal": "Fine-tune tiny-llm", "budgetTotal": 5}
KEY = {"Idempotency-Key": "key-1"}


def test_the_same_key_and_body_is_one_run_and_one_answer(served: Served) -> None:
    replies = [served.http.post("/api/agent-start", json=ORDER, headers=KEY) for _ in range(2)]
    assert replies[0].json() == replies[1].json()
    assert [reply.headers.get("Idempotency-Replayed") for reply in replies] == [None, "true"]
    assert len(served.world.reads.runs()) == 1


def test_many_at_once_are_one_run(served: Served) -> None:
    with ThreadPoolExecutor(12) as pool:
        replies = list(pool.map(lambda _: served.http.post("/api/agent-start", json=ORDER, headers=KEY), range(12)))
    statuses = [reply.status_code for reply in replies]
    assert set(statuses) <= {200, 409}
    assert 200 in statuses
    assert {reply.json()["code"] for reply in replies if reply.status_code == 409} <= {"in_progress"}
    assert len(served.world.reads.runs()) == 1


def test_another_body_under_the_key_is_refused(served: Served) -> None:
    served.post("/api/agent-start", ORDER, **KEY)
    problem = served.post("/api/agent-start", {**ORDER, "budgetTotal": 6}, 422, **KEY)
    assert problem["code"] == "idempotency_key_reused"


@pytest.mark.parametrize(
    "twice", [b'"budgetTotal": 5, "budgetTotal": 500', b'"budgetTotal": 5, "job": {"a": 1, "a": 2}']
)
def test_a_name_that_is_given_twice_is_refused(served: Served, twice: bytes) -> None:
    """Else a gateway may have checked the first value, and the last is what is done."""
    body = b'{"userId": "u1", "goal": "Fine-tune tiny-llm", ' + twice + b"}"
    reply = served.http.post("/api/agent-start", content=body, headers={"Content-Type": "application/json"})
    assert (reply.status_code, reply.json()["code"]) == (422, "request_invalid")
    assert "is given twice: send each name once" in reply.json()["detail"]
    assert served.world.reads.runs() == []


def test_a_refusal_is_repeated_too(served: Served) -> None:
    body = {**ORDER, "gpuType": "Z80"}
    problems = [served.post("/api/agent-start", body, 422, **KEY) for _ in range(2)]
    assert problems[0] == problems[1]


def test_a_failure_that_may_pass_is_not_repeated(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """The chain was down: the same request, made again, is done."""

    def down(*_: object) -> Run:
        raise ChainError("the chain does not answer")

    body = {"runId": served.start()}
    with monkeypatch.context() as outage:
        outage.setattr(runs, "tick", down)
        for _ in range(2):
            assert served.post("/api/agent-tick", body, 503, **KEY)["code"] == "chain_unavailable"
    assert served.post("/api/agent-tick", body, **KEY)["message"] == "Job started"


def test_a_repeated_tick_does_not_tick(served: Served) -> None:
    run_id = served.start()
    first = served.post("/api/agent-tick", {"runId": run_id}, **KEY)
    version = served.world.store.load(run_id).version
    served.world.market.work()
    assert served.post("/api/agent-tick", {"runId": run_id}, **KEY) == first
    assert served.world.store.load(run_id).version == version


def test_one_callers_key_is_not_anothers(world: World) -> None:
    both = {"GPUAGENT_API_TOKENS": f"{TOKENS['GPUAGENT_API_TOKENS']},olga=operate:{'g' * 20}"}
    with serving(world, both) as served:
        bodies = [
            served.post("/api/agent-start", ORDER, Authorization=f"Bearer {token}", **KEY)["_id"]
            for token in (OPERATE, "g" * 20)
        ]
    assert len(set(bodies)) == 2
    assert APPROVE not in bodies


def test_who_died_at_work_is_taken_over_with_the_same_run(served: Served) -> None:
    """The server that claimed the key saved the run, and died before it answered."""
    answers, now = served.world.database.queries.answers, served.world.market.clock.now()
    request = b"POST /api/agent-start"
    claim = answers.claim("ada", "k", request, now)
    assert isinstance(claim, KeyClaim)
    assert not claim.again
    assert isinstance(answers.claim("ada", "k", request, now + 1), InProgress)
    assert isinstance(answers.claim("ada", "k", b"another", now + 1), OtherRequest)
    successor = answers.claim("ada", "k", request, now + WORKING_S + 1)
    assert successor == KeyClaim(claim.id, claim.run_id, again=True)
    assert isinstance(answers.claim("ada", "k", request, now + WORKING_S + 2), InProgress)
    answers.answer(claim, 200, {"a": 1})
    assert answers.claim("ada", "k", request, now + WORKING_S + 3) == StoredAnswer(200, {"a": 1})


def test_what_failed_for_now_may_be_asked_for_again(served: Served) -> None:
    answers, now = served.world.database.queries.answers, served.world.market.clock.now()
    claim = answers.claim("ada", "k", b"x", now)
    assert isinstance(claim, KeyClaim)
    answers.give_up(claim, now)
    assert isinstance(answers.claim("ada", "k", b"x", now), KeyClaim)


@pytest.mark.parametrize("key", ["", "k" * 256, "a b"])
def test_a_key_that_is_none(served: Served, key: str) -> None:
    served.post("/api/agent-start", ORDER, 422, **{"Idempotency-Key": key})
