"""What is drawn of documents: the highlighted phase, escaped texts, links, and words beside every bar."""

import re
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree as Xml

import pytest
from bson import Decimal128, ObjectId

from gpuagent.core.model import Phase
from gpuagent.core.status import StatusText
from gpuagent.panels.decision import explanation
from gpuagent.panels.event_log import event_log
from gpuagent.panels.kit.html import Html, el, join, table
from gpuagent.panels.state_diagram import CAPTIONS, diagram
from gpuagent.panels.tables import budget_bar, deadline, jobs_table, payments_table
from gpuagent.render.palette import vendor_colours
from tests.support.machine_zone import machine_in

EVIL = '<script>alert("x")</script>'
TX = "0x" + "ab" * 32
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
COLOURS = vendor_colours(["acme"])


def test_text_is_escaped_and_markup_is_not() -> None:
    assert el("p", EVIL) == "<p>&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;</p>"
    assert el("p", el("b", 1), Html("<i>")) == "<p><b>1</b><i></p>"
    assert el("a", href='"><script>') == '<a href="&quot;&gt;&lt;script&gt;"></a>'
    assert el("b", class_="x", aria_label="y", x=0, hidden=True, lang=None, open=False) == (
        '<b class="x" aria-label="y" x="0" hidden></b>'
    )
    assert isinstance(join(EVIL), Html)
    assert '<td data-head="&lt;i&gt;">&lt;b&gt;</td>' in table(("<i>",), [["<b>"]], "T")


def test_a_row_of_many_cells_is_a_list_on_a_phone_and_a_pair_is_not() -> None:
    assert 'class="stacks"' in table(("a", "b", "c"), [["1", "2", "3"]], "T")
    assert "stacks" not in table(("field", "value"), [["1", "2"]], "T")


@pytest.mark.parametrize("phase", list(Phase))
def test_the_current_phase_alone_is_highlighted_and_named(phase: Phase) -> None:
    pictures = Xml.fromstring(f"<div>{diagram(phase.value)}</div>").findall("svg")
    assert len(pictures) == 2, "for a wide screen, and for a phone"
    for drawn in pictures:
        assert drawn.get("aria-label") == f"Phase {phase}: {CAPTIONS[phase]}"
        bold = [label.text for label in drawn.iter("text") if label.get("font-weight") == "700"]
        assert bold == [phase.value]
        assert [label.text for label in drawn.iter("text") if label.text in list(Phase)] == list(Phase)


def test_a_budget_is_a_bar_and_the_same_in_words() -> None:
    sums = {"budgetTotal": "5", "settled": "1.40", "held": "1.75", "plannerCost": "0.10", "budgetRemaining": "1.75"}
    drawn = budget_bar({name: Decimal128(value) for name, value in sums.items()})
    assert "Budget 5.00 USD: 1.40 USD settled, 1.75 USD held, 0.10 USD planner cost, 1.75 USD available" in drawn
    assert re.findall(r"width:([\d.]+)%", drawn) == ["28.000", "35.000", "2.000"]


def test_jobs_show_their_status_and_progress_and_vendors_texts_escaped() -> None:
    job = {
        "_id": "j1",
        "vendorId": "acme",
        "expectedCost": Decimal128("1.40"),
        "state": "settled",
        "status": "failed",
        "progress": 0.4821,
        "errorMessage": EVIL,
    }
    drawn = jobs_table(
        [job, {**job, "progress": 7, "status": "running"}, {**job, "progress": None}], COLOURS, StatusText(), {}
    )
    assert "<script" not in drawn
    assert re.findall(r'aria-valuenow="(\d+)"', drawn) == ["48", "100", "0"]
    assert ">48%<" in drawn
    assert f"running, {EVIL}" not in jobs_table([job], COLOURS, StatusText(jobs={"j1": f"running, {EVIL}"}), {})
    assert "running, 48%" in jobs_table([job], COLOURS, StatusText(jobs={"j1": "running, 48%"}), {})
    assert "No job yet" in jobs_table([], COLOURS, StatusText(), {})
    several = jobs_table([{**job, "index": 7}, {**job, "index": 3}], COLOURS, StatusText(), {})
    assert str(several).index(">3<") < str(several).index(">7<"), "of several jobs number by number"
    assert "no." not in jobs_table([job], COLOURS, StatusText(), {})
    assert "by " not in jobs_table([{**job, "quote": {}}], COLOURS, StatusText(), {}), "ours goes without saying"
    assert "by prism" in jobs_table([{**job, "quote": {"protocol": "prism"}}], COLOURS, StatusText(), {})


@pytest.mark.parametrize(
    ("network", "link"),
    [
        ("eip155:8453", f"https://basescan.org/tx/{TX}"),
        ("eip155:84532", f"https://sepolia.basescan.org/tx/{TX}"),
        ("eip155:31337", ""),
    ],
)
def test_a_payment_links_to_its_transaction_where_there_is_an_explorer(network: str, link: str) -> None:
    payment = {
        "vendorId": "acme",
        "amount": Decimal128("1.40"),
        "status": "completed",
        "network": network,
        "x402TxId": TX,
        "blockNumber": 7,
        "settledAt": AT,
    }
    drawn = payments_table([payment], COLOURS)
    assert re.findall('href="(.*?)"', drawn) == ([link] if link else [])
    assert TX in drawn
    assert "signed, not settled yet" in payments_table([{**payment, "status": "pending", "x402TxId": ""}], COLOURS)
    assert "nothing was paid" in payments_table([], COLOURS)


def decision(**data: Any) -> dict[str, Any]:
    candidate = {
        "vendorId": "acme",
        "amount": 1_400_000,
        "reliability": None,
        "learned": 0.5,
        "problem": "",
        "refusals": [],
        "score": {"p": 0.5, "value": 0.25, "density": 1},
    }
    record = {
        "candidates": [candidate, {**candidate, "vendorId": "evil", "amount": None, "problem": EVIL, "score": None}],
        "decision": {"action": "start_job", "vendorId": "acme"},
        "attempts": [{"planner": "llm"}, {"planner": "stub"}],
        "verdicts": ["refused: evil is halted", "accepted"],
        "decidedBy": "stub",
        "fallback": "",
        "latencyMs": 12,
        "cost": 20_000,
        "tokens": 7,
        "model": "some/model",
    }
    return {"content": EVIL, "timestamp": AT, "data": {**record, **data}}


def test_why_shows_candidates_choice_verdicts_and_cost() -> None:
    drawn = explanation(decision(fallback="llm was refused"), COLOURS)
    assert "<script" not in drawn
    for text in (
        "Chose acme.",
        "✓ chosen",
        "1.40 USD",
        "unknown",
        "50%",
        "chance 0.500, value 0.250",
        "Guard on llm: refused: evil is halted",
        "Guard on rules: accepted",
        "Fell back: llm was refused",
        "Decided by rules, model some/model",
        "12 ms, 7 tokens, 0.02 USD",
    ):
        assert text in drawn
    assert drawn.count("✓ chosen") == 1
    assert drawn.count('<div class="faint">&lt;script&gt;') == 1, "why not, in place of a score"


@pytest.mark.parametrize(
    ("action", "text"),
    [
        ({"action": "wait", "vendorId": ""}, "Chose to wait."),
        ({"action": "abort", "vendorId": ""}, "Chose to give up."),
        (None, "No answer counted."),
    ],
)
def test_why_of_other_decisions(action: Any, text: str) -> None:
    assert text in explanation(decision(decision=action), COLOURS)


def test_why_without_a_record_or_a_decision() -> None:
    assert "Nothing was decided yet" in explanation(None, COLOURS)
    assert "8 jobs were tried" in explanation({"content": "8 jobs were tried", "timestamp": AT, "data": {}}, COLOURS)


def test_the_log_names_kinds_and_times() -> None:
    line = {"_id": ObjectId(), "type": "payment_event", "content": EVIL, "timestamp": AT}
    drawn = event_log([line], filtered=False)
    assert "<script" not in drawn
    assert ">money<" in drawn
    assert AT.astimezone().strftime("%H:%M:%S") in drawn
    assert "Nothing has happened yet" in event_log([], filtered=False)


def test_a_deadline_names_its_day_and_its_zone() -> None:
    """The machine of a notebook may stand in another zone than its reader, where it is another day."""
    with machine_in("NZDT-13"):
        assert deadline(datetime(2026, 11, 30, 12, tzinfo=UTC)) == "01 Dec 2026 01:00:00 NZDT"
