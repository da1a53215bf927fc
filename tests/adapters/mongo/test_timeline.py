"""The timeline of a run whose first vendor failed: in Python, in the terminal and by REST."""

import json
from collections.abc import Callable

import pytest
from click.testing import Result

from gpuagent.core.model import SECRET_FIELDS
from gpuagent.core.timeline import EntryKind, parse_entries
from gpuagent.errors import BadInput, UnknownRun
from tests.support.rest_server import serving
from tests.support.world import World

Invoke = Callable[..., Result]


def test_a_timeline_has_all_that_happened_in_order_and_each_entry_its_record(world: World, gpuagent: Invoke) -> None:
    world.market.outcomes("gpu_vendor_1", "0")
    run = world.finish(world.start())
    other = world.start()
    reads = world.reads
    whole = reads.timeline(run.run_id)
    written = [row for row in reads.documents(run.run_id)["observations"] if "progress" not in row["data"]]
    assert [entry.id for entry in whole.entries] == [str(row["_id"]) for row in written if not is_metric(row)]
    assert {entry.kind for entry in whole.entries} == set(EntryKind)
    decisions = [entry for entry in whole.entries if entry.kind is EntryKind.DECISION]
    assert [(entry.number, entry.vendor) for entry in decisions] == [(1, "gpu_vendor_1"), (2, "gpu_vendor_2")]
    assert any("1.40 USD to gpu_vendor_1 settled" in entry.text for entry in whole.entries)

    pages, after = [], ""
    while True:
        page = reads.timeline(run.run_id, after, limit=3)
        pages += page.entries
        if not (after := page.next):
            break
    assert pages == list(whole.entries), "by page the same, decisions counted on"
    payments = reads.timeline(run.run_id, kinds=(EntryKind.PAYMENT,)).entries
    assert [entry.id for entry in payments] == [e.id for e in whole.entries if e.kind is EntryKind.PAYMENT]

    decision = reads.timeline_record(run.run_id, decisions[0].id)
    assert {"context", "candidates", "verdicts", "prompt", "rawReply"} <= set(decision.observation["data"])
    payment = reads.timeline_record(run.run_id, payments[0].id)
    assert payment.job is not None
    assert payment.payment is not None
    assert not set(SECRET_FIELDS) & {*payment.job, *payment.payment}, "nothing that was signed"

    shown = gpuagent("run", "timeline", run.run_id, "--json")
    assert json.loads(shown.stdout) == whole.as_json()
    two = gpuagent("run", "timeline", run.run_id, "--limit", "2", "--kind", "decision", "--kind", "payment").output
    assert "decision 1" in two
    assert "next page: --after" in two
    explained = gpuagent("run", "timeline", run.run_id, "--entry", decisions[0].id, COLUMNS="80").output
    assert "guard on rules: accepted" in explained
    record = gpuagent("run", "timeline", run.run_id, "--entry", payments[0].id, "--json").stdout
    assert json.loads(record)["payment"]["vendorId"] == "gpu_vendor_1"
    assert "header" not in record
    assert '"vendorId": "gpu_vendor_1"' in gpuagent("run", "timeline", run.run_id, "--entry", payments[0].id).output
    assert "nothing has happened yet" in gpuagent("run", "timeline", other.run_id).output

    with serving(world) as served:
        assert served.get(f"/api/runs/{run.run_id}/timeline") == whole.as_json()
        kinds = served.get(f"/api/runs/{run.run_id}/timeline", kind="decision,problem", limit=2)
        assert [entry["kind"] for entry in kinds["entries"]] == ["decision", "problem"]
        got = served.get(f"/api/runs/{run.run_id}/timeline/{payments[0].id}")
        assert (got["payment"]["amount"], "header" in got["payment"]) == (1.4, False)
        served.get(f"/api/runs/{run.run_id}/timeline", 422, kind="money")
        served.get(f"/api/runs/{other.run_id}/timeline/{payments[0].id}", 422)
        served.get(f"/api/runs/{'0' * 24}/timeline", 404)

    with pytest.raises(BadInput, match="has no entry"):
        reads.timeline_record(other.run_id, decisions[0].id)
    with pytest.raises(BadInput, match="is no entry"):
        reads.timeline(run.run_id, "x")
    with pytest.raises(UnknownRun):
        reads.timeline("0" * 24)
    with pytest.raises(BadInput, match="no kind of entry"):
        parse_entries(["money"])
    assert parse_entries([]) == tuple(EntryKind)


def is_metric(row: dict[str, dict[str, object]]) -> bool:
    return row["data"].get("kind") == "metric"
