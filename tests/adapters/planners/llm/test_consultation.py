"""The bill of a consultation: no call costs less than what was sent and written, none more than its most."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuagent.adapters.planners.llm import prompt as llm_prompt
from gpuagent.adapters.planners.llm.call import Billed, CallFailed, Completion, Model
from gpuagent.adapters.planners.llm.consultation import TEMPLATE_MAX, TOKEN_BYTES, Consultation, SentCall
from gpuagent.adapters.planners.llm.prices import Rates
from tests.support.clock import ManualClock
from tests.support.llm_factories import CONTEXT

RATES = Rates(Decimal("0.000001"), Decimal("0.000004"))
PROMPT = llm_prompt.write(CONTEXT)
CALL = SentCall(Model("m", "", rates=RATES), PROMPT.size, 500)


def completion(prompt_tokens: int, completion_tokens: int, size: int) -> Completion:
    return Completion("x" * min(size, 9), "", "", size, prompt_tokens, completion_tokens)


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**6))
def test_no_count_makes_a_call_cheaper_than_what_was_sent_or_dearer_than_its_most(
    prompt_tokens: int, completion_tokens: int, size: int
) -> None:
    consultation = Consultation(PROMPT, ManualClock())
    consultation.answered(CALL, completion(prompt_tokens, completion_tokens, size))
    least = RATES.usd(PROMPT.size, min(size, 500 * TOKEN_BYTES)) / TOKEN_BYTES
    assert least <= consultation.usd <= CALL.cost_max
    counted = CALL.cost(completion(prompt_tokens, completion_tokens, size))
    assert (counted is None) == bool(consultation.errors)


@pytest.mark.parametrize(
    ("billed", "usd"),
    [
        (Billed.NOTHING, Decimal(0)),
        (Billed.PROMPT, RATES.usd(PROMPT.size + TEMPLATE_MAX, 0)),
        (Billed.ALL, RATES.usd(PROMPT.size + TEMPLATE_MAX, 500)),
    ],
)
def test_a_failed_call_costs_what_may_have_been_billed(billed: Billed, usd: Decimal) -> None:
    consultation = Consultation(PROMPT, ManualClock())
    consultation.failed(CALL, CallFailed("broke", transient=True, billed=billed))
    assert (consultation.usd, consultation.record()["errors"]) == (usd, ["m: broke"])


def test_an_unpriced_model_costs_nothing() -> None:
    call = SentCall(Model("m", ""), PROMPT.size, 500)
    consultation = Consultation(PROMPT, ManualClock())
    consultation.failed(call, CallFailed("broke", transient=True, billed=Billed.ALL))
    consultation.answered(call, completion(1_000, 100, 9))
    assert (consultation.cost, consultation.record()["unpriced"]) == (0, True)
