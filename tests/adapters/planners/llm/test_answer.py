"""Replies of models: slips of form are repaired, meaning never is, and what cannot be read is said so."""

import json
import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuagent.adapters.planners.llm.answer import REPLY_MAX, ModelAnswer, read, schema
from gpuagent.adapters.planners.llm.answer_object import AnswerInvalid
from gpuagent.core.model import Action, Decision

IDS = ("gpu_vendor_1", "Gpu_Vendor_2", "gpu_vendor_2")
GOOD: dict[str, Any] = {
    "action": "start_job",
    "vendorId": "gpu_vendor_1",
    "maxHours": 1,
    "waitSeconds": 0,
    "reason": "cheap",
}
START = Decision(Action.START_JOB, "cheap", "gpu_vendor_1", Decimal(1))


def answer(**changes: Any) -> str:
    return json.dumps(GOOD | changes)


def test_a_good_answer_needs_no_repair() -> None:
    assert read(answer(), IDS, 1_000) == (START, ())
    assert read(answer(action="wait", waitSeconds=30), IDS, 1_000) == (
        Decision(Action.WAIT, "cheap", wait_until=1_030),
        (),
    )
    assert read(answer(action="abort"), IDS, 1_000) == (Decision(Action.ABORT, "cheap"), ())


SLIPS = {
    "fence": (f"```json\n{answer()}\n```", "text around"),
    "prose": (f"Sure! I'd take 5\" of {{this}}:\n{answer()}\nGood luck {{}}", "text around"),
    "the same twice": (f"{answer()}\n{answer()}", ""),
    "in a list": (f"[{answer()}]", "text around"),
    "trailing comma": (answer()[:-1] + ", }", "trailing comma"),
    "snake case": (answer().replace("vendorId", "vendor_id").replace("maxHours", "max_hours"), "vendorId was spelled"),
    "capitals": (answer().replace("action", "Action"), "action was spelled"),
    "hours as text": (answer(maxHours=" 1.0 "), "maxHours was a text"),
    "id in capitals": (answer(vendorId=" GPU_VENDOR_1\n"), "case or blanks"),
    "start": (answer(action="start"), "action was spelled"),
    "start-job": (answer(action="Start-Job "), "action was spelled"),
    "null": (answer(waitSeconds=None), ""),
    "left out": (json.dumps({key: GOOD[key] for key in ("action", "vendorId", "maxHours", "reason")}), ""),
    "far too long": ("and so on " * REPLY_MAX + answer(), f"last {REPLY_MAX}"),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_slips_of_form_are_repaired_and_told(slip: str) -> None:
    text, repair = SLIPS[slip]
    decision, repairs = read(text, IDS, 1_000)
    assert decision == START
    assert repair in "; ".join(repairs)


def test_a_comma_in_a_text_stays() -> None:
    reason = 'first, } then "that",]'
    text = json.dumps(GOOD | {"reason": reason})[:-1] + ",}"
    assert read(text, IDS, 0)[0].reason == reason


UNREPAIRED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "unknown vendor": ({"vendorId": "nobody"}, {"vendor_id": "nobody"}),
    "two vendors alike": ({"vendorId": "GPU_VENDOR_2"}, {"vendor_id": "GPU_VENDOR_2"}),
    "negative hours": ({"maxHours": -1}, {"max_hours": Decimal(-1)}),
    "negative hours as text": ({"maxHours": "-1"}, {"max_hours": Decimal(-1)}),
    "other hours": ({"maxHours": 0.5}, {"max_hours": Decimal("0.5")}),
    "no hours": ({"maxHours": None}, {"max_hours": Decimal(0)}),
}


@pytest.mark.parametrize("case", UNREPAIRED)
def test_the_meaning_is_left_for_the_guard(case: str) -> None:
    changes, expected = UNREPAIRED[case]
    decision, _ = read(answer(**changes), IDS, 1_000)
    assert {name: getattr(decision, name) for name in expected} == expected


UNREADABLE = {
    "nothing": ("", "empty"),
    "blanks": (" \n", "empty"),
    "prose alone": ("I would choose gpu_vendor_1.", "no complete JSON object"),
    "truncated": (answer()[:-5], "no complete JSON object"),
    "truncated in a fence": (f"```json\n{answer()[:30]}", "no complete JSON object"),
    "two answers": (f"{answer()} or {answer(vendorId='gpu_vendor_2')}", "2 different answers"),
    "an address": (answer(payTo="0x" + "1" * 40), "payTo: Extra inputs"),
    "an amount": (answer(amount="0.01"), "amount: Extra inputs"),
    "another action": (answer(action="pay"), "action: Input should be 'start_job', 'wait' or 'abort'"),
    "a number as vendor": (answer(vendorId=1), "vendorId: Input should be a valid string"),
    "a list as vendor": (answer(vendorId=["gpu_vendor_1"]), "vendorId"),
    "no vendor": (answer(vendorId=""), "vendorId is empty"),
    "hours in words": (answer(maxHours="one"), "maxHours is not a number"),
    "hours as truth": (answer(maxHours=True), "maxHours is not a number"),
    "hours without end": ('{"action": "start_job", "maxHours": 1e999999, "reason": "x"}', "maxHours"),
    "not a number": (answer(maxHours=float("nan")), "no complete JSON object"),
    "no reason": (answer(reason=" "), "reason is empty"),
    "reason left out": ('{"action": "abort"}', "reason: Field required"),
    "a field twice": (answer(vendor_id="gpu_vendor_2"), "vendorId is given twice"),
    "a field twice, in the same spelling": (
        '{"action": "abort", "reason": "x", "action": "wait"}',
        "'action' is given twice",
    ),
    "and in prose": (f'So: {answer()[:-1]}, "vendorId": "gpu_vendor_2"}}.', "'vendorId' is given twice"),
    "half a pair": ('{"action": "abort", "reason": "\\ud800"}', "reason"),
    "deep": ('{"action":' * 2_000, "more than 50 braces"),
    "an answer, then far too much": (answer() + " and so on" * REPLY_MAX, "no complete JSON object"),
    "many drafts": (f"{answer()} " * 51, "more than 50 braces"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_cannot_be_read_is_said_so(case: str) -> None:
    text, problem = UNREADABLE[case]
    with pytest.raises(AnswerInvalid, match=problem):
        read(text, IDS, 1_000)


def test_a_reason_is_one_capped_line() -> None:
    reason = read(answer(reason="first\nsecond\x1b[31m" + "x" * 5_000), IDS, 0)[0].reason
    assert reason.isprintable()
    assert len(reason) <= 600


@given(st.text(alphabet="{}[]\":,\\ \n'-.0123456789aceinorstu", max_size=300))
def test_any_text_ends_in_a_decision_or_an_error(text: str) -> None:
    try:
        read(text, IDS, 0)
    except AnswerInvalid as error:
        assert str(error)  # noqa: PT017 - that it says something is all there is to check


@pytest.mark.parametrize("piece", ["{", '{"a":', '{"', "[", "\\", '"', '"\\', "{}", "{,"])
def test_hostile_texts_take_no_time(piece: str) -> None:
    began = time.process_time()
    with pytest.raises(AnswerInvalid):
        read(piece * REPLY_MAX, IDS, 0)
    assert time.process_time() - began < 5


def test_the_schema_says_what_is_read() -> None:
    answer_schema = schema()
    assert (
        answer_schema["required"]
        == list(answer_schema["properties"])
        == [field.alias for field in ModelAnswer.model_fields.values()]
    )
    assert answer_schema["properties"]["action"]["enum"] == [action.value for action in Action]
    assert answer_schema["additionalProperties"] is False
    assert read(json.dumps({name: GOOD[name] for name in answer_schema["required"]}), IDS, 0) == (START, ())
