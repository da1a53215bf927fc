"""The context of a decision: recorded and read back, under the names that recorded digests hold."""

import json
from enum import StrEnum

from gpuagent.core.context import Context
from tests.support.factories import candidate, context, past_job


def test_a_recorded_context_is_read_back_with_its_digest() -> None:
    decision_context = context(candidate("v1", 1, refusals=("the cap is used",), transient=True), candidate("v2", None))
    document = decision_context.as_json()
    assert Context.from_json(document) == decision_context
    assert Context.from_json(document).digest() == decision_context.digest()


def test_what_is_recorded_is_plain_json() -> None:
    class Word(StrEnum):
        A100 = "A100"

    decision_context = context(
        candidate("v1", 1, refusals=(Word.A100,)), gpu_type=Word.A100, past=(past_job("v1", True),)
    )
    document = decision_context.as_json()
    assert repr(document) == repr(json.loads(json.dumps(document)))
    assert (
        decision_context.digest()
        == context(candidate("v1", 1, refusals=("A100",)), past=(past_job("v1", True),)).digest()
    )


def test_what_is_held_is_in_a_context_only_where_something_is() -> None:
    """Digests that were recorded before there was such a thing still stand."""
    assert not {"hold", "hold_ends_at"} & set(context().as_json())
    holding = context(hold=5, hold_ends_at=2_000.0)
    assert holding.as_json()["hold_ends_at"] == 2_000.0
    assert Context.from_json(holding.as_json()) == holding
    assert holding.digest() != context().digest()


def test_the_stored_name_of_transient_is_passing() -> None:
    (stored,) = context(candidate("v1", 1, transient=True)).as_json()["candidates"]
    assert stored["passing"] is True
    assert "transient" not in stored


def test_a_candidate_is_found_by_its_vendor() -> None:
    decision_context = context(candidate("v1", 1), candidate("v2", 2))
    assert decision_context.candidate("v2") == decision_context.candidates[1]
    assert decision_context.candidate("v3") is None
