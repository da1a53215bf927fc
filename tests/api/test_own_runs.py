"""Tokens with the role own: they drive the runs of their own name, and leave no budget of a user by another name."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.rest_server import APPROVE, OPERATE, OWN, TOKENS, Served, serving
from tests.support.world import World

BOTH = "b" * 20
ORDER = {"goal": "Fine-tune tiny-llm", "budgetTotal": 5}


@pytest.fixture
def served(world: World) -> Iterator[Served]:
    tokens = TOKENS["GPUAGENT_API_TOKENS"] + f",boris=own+approve:{BOTH}"
    with serving(world, {**TOKENS, "GPUAGENT_API_TOKENS": tokens}) as running:
        yield running


def post(served: Served, token: str, path: str, body: dict[str, Any], expected: int = 200, **headers: str) -> Any:
    return served.post(path, body, expected, Authorization=f"Bearer {token}", **headers)


def test_its_runs_are_its_owners(served: Served) -> None:
    for said in ({}, {"userId": ""}, {"userId": "olga"}):
        assert post(served, OWN, "/api/agent-start", {**ORDER, **said})["userId"] == "olga"
    for other in ("otto", "Olga", "olga ", "ol\u200bga", "*"):
        refusal = post(served, OWN, "/api/agent-start", {**ORDER, "userId": other}, 403)
        assert (refusal["code"], "userId is olga" in refusal["detail"]) == ("forbidden", True)
    assert len(served.world.database.reads.runs(10)) == 3


def test_it_moves_no_run_of_another_user(served: Served) -> None:
    own = post(served, OWN, "/api/agent-start", ORDER)["_id"]
    other = post(served, OPERATE, "/api/agent-start", {**ORDER, "userId": "otto"})["_id"]
    for path, body in (
        ("/api/agent-tick", {"runId": other}),
        ("/api/agent-step", {"runId": other}),
        (f"/api/runs/{other}/cancel", {"why": "mine first"}),
    ):
        assert post(served, OWN, path, body, 403)["code"] == "forbidden"
        assert post(served, OWN, path, body, 403, **{"Idempotency-Key": "one"})["code"] == "forbidden"
    assert served.world.store.load(other).version == 0
    assert post(served, OWN, "/api/agent-step", {"runId": own})["run"]["phase"] == "EXECUTING"
    assert post(served, OWN, f"/api/runs/{own}/cancel", {"why": "enough"})["message"] == "cancelled"
    assert post(served, OWN, "/api/agent-tick", {"runId": "66a1f2c9d53a3f9ef1f0c123"}, 404)["code"] == "run_unknown"


def test_other_tokens_do_as_their_roles_say(served: Served) -> None:
    run_id = post(served, OPERATE, "/api/agent-start", {**ORDER, "userId": "olga"})["_id"]
    assert "userId" in post(served, OPERATE, "/api/agent-start", ORDER, 422)["detail"]
    assert post(served, OPERATE, "/api/agent-tick", {"runId": run_id})["message"] == "Job started"
    post(served, BOTH, "/api/agent-step", {"runId": run_id}, 403)
    assert post(served, BOTH, f"/api/runs/{run_id}/cancel", {"why": "its approver"})["message"] == "cancelled"
    other = post(served, BOTH, "/api/agent-start", ORDER)
    assert other["userId"] == "boris"
    assert post(served, APPROVE, f"/api/runs/{other['_id']}/cancel", {"why": "an approver"})["message"] == "cancelled"
