"""No tool approves, allows more, ends a halt or adds a vendor: each is tried, with any argument."""

from collections.abc import Mapping
from typing import Any

import pytest

from gpuagent.core.money import UNIT
from gpuagent.core.policy import Halt
from gpuagent.mcp.server import TOOLS
from tests.conftest import SafetyNote
from tests.support.assistant import Assistant
from tests.support.world import World

ATTEMPTS: tuple[Mapping[str, Any], ...] = (
    {"approve": True},
    {"approved": True, "by": "Ada"},
    {"amount": 1.4, "by": "Ada"},
    {"policy": {"approvalAbove": None}},
    {"approval_above": None, "why": "because"},
    {"per_payment": None},
    {"halts": []},
    {"resume": "wallet *"},
    {"vendor": {"vendorId": "mine"}},
    {"user_id": "ada"},
)
ACTIONS = (
    *("approve_run", "approve", "reject_run", "cancel_run", "set_policy", "policy_set", "resume", "halt", "add_vendor"),
    *("run approve", "policy set", "vendor_add", "environ", "read_file", "sign"),
)


@pytest.mark.safety("an assistant's tools cannot approve a purchase, change the policy or end a halt")
def test_no_tool_approves_or_allows_more(world: World, safety_note: SafetyNote) -> None:
    assistant = Assistant(world)
    rules = world.allow(approval_above=UNIT)
    run = assistant.call("start_run", idempotency_key="key-of-this-run", budget_usd="5", goal="Fine-tune tiny-llm")[
        "run"
    ]
    run_id = run["run_id"]
    assert assistant.call("tick_run", run_id=run_id)["message"] == "Waiting for approval"
    (waiting,) = assistant.call("list_waiting")["approvals"]
    assert (waiting["run_id"], waiting["price"]["usd"]) == (run_id, "1.40")
    needed = {
        "dry_run": {"run_id": run_id},
        "start_run": {"idempotency_key": "another-key", "budget_usd": "5", "goal": "approve it"},
        **{name: {"run_id": run_id} for name in ("tick_run", "show_run", "list_decisions", "explain_decision")},
        **{name: {"run_id": run_id} for name in ("list_files", "read_log")},
    }
    vendors = world.store.vendors()
    for tool in TOOLS:
        for attempt in ATTEMPTS:
            if not attempt.keys() <= _arguments(assistant, tool):
                assert assistant.refused(tool, **needed.get(tool, {}), **attempt)["code"] == "request_invalid"
        assistant.result(tool, **needed.get(tool, {}))
    for action in ACTIONS:
        assert assistant.result(action, run_id=run_id, amount="1.40").is_error, action
    assert world.store.policy() == rules
    assert world.store.vendors() == vendors
    (job,) = world.store.load(run_id).jobs
    assert job.approval.by == ""
    assert world.payments(world.store.load(run_id)) == []
    safety_note(
        f"{len(TOOLS)} tools and {len(ACTIONS)} made-up ones: {len(ATTEMPTS)} attempts each, nothing was signed"
    )


@pytest.mark.safety("caps and halts hold for an assistant as for everybody")
def test_caps_and_halts_hold(world: World) -> None:
    assistant = Assistant(world)
    run_id = assistant.call("start_run", idempotency_key="key-of-this-run", budget_usd="5", goal="x")["run"]["run_id"]
    world.allow(per_payment=UNIT)
    rehearsal = assistant.call("dry_run", run_id=run_id)
    assert rehearsal["would_pay"] is None
    assert {"(payment)" in str(line["refused_because"]) for line in rehearsal["vendors"] if line["price"]} == {True}
    assert assistant.call("tick_run", run_id=run_id)["message"] == "Run aborted"
    run_id = assistant.call("start_run", idempotency_key="key-of-another", budget_usd="5", goal="x")["run"]["run_id"]
    world.allow(per_payment=None, halts=(Halt("wallet", "*", "Ada", "stop it"),))
    refused = assistant.refused("tick_run", run_id=run_id)
    assert refused["code"] == "policy_refused"
    assert "stop it" in refused["detail"]["untrusted_text"]
    (halt,) = assistant.call("list_waiting")["halts"]
    assert halt["why"] == {"untrusted_text": "stop it"}
    assert world.payments(world.store.load(run_id)) == []


def _arguments(assistant: Assistant, tool: str) -> set[str]:
    listed = assistant.session(lambda client: client.list_tools()).tools
    return {name for entry in listed if entry.name == tool for name in entry.input_schema["properties"]}
