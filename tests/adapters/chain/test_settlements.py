"""The search for a settlement: on nodes with narrow logs, without past states, from block numbers that are wrong."""

from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from typing import Any

import pytest

from gpuagent.adapters.chain.agreeing import AgreeingChain
from gpuagent.adapters.chain.json_rpc import BATCH_MAX, NodeRefused
from gpuagent.adapters.chain.settlements import QUERIES_MAX
from gpuagent.core.model import Settlement
from gpuagent.core.ports.chain import Limits, Open, Void
from gpuagent.errors import ChainError, ChainMismatch, SearchUnfinished
from gpuagent.wire.eip3009 import CANCELED_TOPIC, USED_TOPIC
from tests.conftest import SafetyNote
from tests.support.factories import PAYEE, PAYER, authorization
from tests.support.fake_chain import PERIOD_S, TRANSACTION, FakeChain

USED_IN = 5_000_000
SIGNED_IN = USED_IN - 15
"""Half a minute before; the authorization lives for two minutes."""
MINUTE, MONTH = 30, 30 * 86_400 // PERIOD_S
"""Blocks."""

Open_chain = Callable[..., FakeChain]


@pytest.fixture
def open_chain() -> Iterator[Open_chain]:
    """Opens the chain, so many blocks after the payment. from_block: as it is recorded, right or wrong."""
    chains: list[FakeChain] = []

    def open_chain(from_block: int = SIGNED_IN - 64, age: int = MINUTE, topic: str = USED_TOPIC) -> FakeChain:
        signed_at = 1_700_000_000 + PERIOD_S * SIGNED_IN
        terms = authorization(valid_before=signed_at + 120, from_block=from_block)
        chains.append(FakeChain(terms, USED_IN, USED_IN + age, topic))
        return chains[-1]

    yield open_chain
    for chain in chains:
        chain.close()


def settled(chain: FakeChain) -> Settlement:
    """The chain's outcome, asked for again while the search goes on."""
    for _ in range(20):
        try:
            outcome = chain.outcome(chain.authorization)
        except SearchUnfinished:
            continue
        assert isinstance(outcome, Settlement)
        return outcome
    raise AssertionError("the search does not come to its end")


def test_the_common_case_is_a_single_query(open_chain: Open_chain) -> None:
    chain = open_chain()
    outcome = settled(chain)
    assert (outcome.transaction, outcome.block_number, chain.queries) == (TRANSACTION, USED_IN, 1)
    assert chain.calls <= 8


@pytest.mark.safety("a node with narrow logs, without past states, and a wrong first block")
def test_a_payment_is_found_wherever_it_is(open_chain: Open_chain, safety_note: SafetyNote) -> None:
    """All block numbers that a node may have said, all limits, all ages."""
    cases = 0
    for from_block in (SIGNED_IN - 64, 0, 1, USED_IN, USED_IN + 1, USED_IN + MINUTE, 10**12, USED_IN - MONTH):
        for age in (0, MINUTE, MONTH):
            for span in (1, 7, 10, 100, 2_000):
                for state_from in (0, USED_IN + age - 128, USED_IN + age):
                    chain = open_chain(from_block, age)
                    chain.span_max, chain.state_from = span, state_from
                    assert settled(chain).transaction == TRANSACTION, (from_block, age, span, state_from)
                    assert chain.calls < 1_000, (from_block, age, span, state_from)
                    cases += 1
    safety_note(f"found in each of {cases} cases, with a bounded number of calls")


@pytest.mark.parametrize("from_block", [0, 10**12])
def test_past_states_make_it_short(open_chain: Open_chain, from_block: int) -> None:
    chain = open_chain(from_block, MONTH)
    chain.span_max = 1
    settled(chain)
    assert chain.calls < 60
    assert chain.queries <= 2


def test_a_search_is_bounded_and_goes_on(open_chain: Open_chain) -> None:
    chain = open_chain(0, MONTH)
    chain.authorization = replace(chain.authorization, valid_before=chain.authorization.valid_before + 300)
    chain.span_max, chain.state_from = 1, chain.newest
    with pytest.raises(SearchUnfinished, match=r"in 100 queries, .* blocks are left"):
        chain.outcome(chain.authorization)
    # And what it takes to find out how narrow it is.
    assert chain.queries <= QUERIES_MAX + 15
    chain.queries = 0
    with pytest.raises(SearchUnfinished):
        chain.outcome(chain.authorization)
    assert chain.queries <= QUERIES_MAX + 3
    assert settled(chain).transaction == TRANSACTION


@pytest.mark.parametrize("age", [MINUTE, 1_000])
@pytest.mark.parametrize("state_from", [0, USED_IN + 1])
def test_a_cancellation_is_found_too_though_it_came_late(open_chain: Open_chain, age: int, state_from: int) -> None:
    chain = open_chain(0, age, CANCELED_TOPIC)
    chain.span_max, chain.state_from = 10, state_from
    assert chain.outcome(chain.authorization) == Void("cancelled on chain")


def test_logs_that_lag_behind_the_state_are_waited_for(open_chain: Open_chain) -> None:
    chain = open_chain()
    chain.indexed = False
    outcome = chain.outcome(chain.authorization)
    assert isinstance(outcome, Open)
    assert outcome.used
    chain.indexed = True
    assert settled(chain).transaction == TRANSACTION


def test_logs_that_never_come_are_an_alarm(open_chain: Open_chain) -> None:
    chain = open_chain(age=MONTH)
    chain.indexed = False
    with pytest.raises(ChainMismatch, match="its event is not on chain"):
        settled(chain)
    chain.indexed = True
    assert settled(chain).transaction == TRANSACTION, "no alarm is for good"


def test_a_node_that_answers_for_the_newest_block_only_is_no_trap(open_chain: Open_chain) -> None:
    """It ignores the number, so that the nonce seems used since the first block."""
    chain = open_chain(0, MONTH)
    chain.ignores_number = True
    assert settled(chain).transaction == TRANSACTION


@pytest.mark.parametrize(
    "changes",
    [
        {"payer": PAYEE},
        {"nonce": "0x" + "7" * 64},
    ],
)
def test_another_nonce_s_cancellation_releases_nothing(open_chain: Open_chain, changes: dict[str, str]) -> None:
    """A node that ignores the filter shows it."""
    chain = open_chain()
    other = FakeChain(authorization(**changes), USED_IN, USED_IN, CANCELED_TOPIC)
    chain.other_logs = [other.use(), {**other.use(), "topics": []}]
    other.close()
    assert settled(chain).transaction == TRANSACTION


@pytest.mark.parametrize("changes", [{"blockNumber": hex(USED_IN + MINUTE + 1)}, {"removed": True}, {"address": PAYER}])
def test_a_cancellation_that_is_none_releases_nothing(open_chain: Open_chain, changes: dict[str, object]) -> None:
    """Later than what was asked for, taken back, or of another token."""
    chain = open_chain()
    fake = FakeChain(chain.authorization, USED_IN, USED_IN, CANCELED_TOPIC)
    chain.other_logs = [{**fake.use(), **changes}]
    fake.close()
    assert settled(chain).transaction == TRANSACTION


def test_no_authorization_is_expected_before_it_can_have_been_signed(open_chain: Open_chain) -> None:
    """A wrong first block of zero is not a scan of the whole chain."""
    chain = open_chain(0, MONTH)
    chain.state_from = chain.newest
    settled(chain)
    assert chain.queries <= 5


def test_the_terms_are_the_ones_of_the_authorization(open_chain: Open_chain) -> None:
    chain = open_chain()
    terms = chain.authorization
    chain.authorization = replace(terms, amount=1)
    with pytest.raises(ChainMismatch, match="on other terms"):
        chain.outcome(terms)


@pytest.mark.safety("a token that forgot its used nonces, on nodes that show little")
@pytest.mark.parametrize(
    "trouble", [{}, {"fails": 1}, {"fails": 3}, {"receipted": False}, {"blocks_from": USED_IN + 50}], ids=str
)
def test_what_was_paid_is_not_released_though_the_state_forgot_it(
    open_chain: Open_chain, trouble: dict[str, int], safety_note: SafetyNote
) -> None:
    """Whatever block was recorded and however narrow the logs: it is found, or it stays as it is."""
    for from_block in (SIGNED_IN - 64, 0, USED_IN - 5, USED_IN + 1, 10**12, USED_IN - MONTH):
        for span in (1, 10, 500, 2_000):
            chain = open_chain(from_block, 2 * MINUTE)
            chain.span_max, chain.forgets = span, True
            for name, value in trouble.items():
                setattr(chain, name, value)
            outcome = None
            for _ in range(10):
                with suppress(ChainError):
                    outcome = chain.outcome(chain.authorization)
                    break
            assert not isinstance(outcome, Void), (from_block, span)
            assert isinstance(outcome, Settlement) or "receipted" in trouble or "blocks_from" in trouble
    safety_note("found, or undecided; nothing released")


def test_an_ordinary_expiry_costs_one_query_for_logs(open_chain: Open_chain) -> None:
    chain = open_chain(age=2 * MINUTE)
    chain.used_in = chain.newest + 1
    assert isinstance(chain.outcome(chain.authorization), Void)
    assert chain.queries == 1


def test_nodes_of_different_limits_agree(open_chain: Open_chain) -> None:
    """Each finds it in its own way; one that shows a cancellation instead is no majority."""
    chains = [open_chain(0, MONTH) for _ in range(2)]
    chains[1].span_max, chains[1].state_from = 10, chains[1].newest
    terms = chains[0].authorization
    agreeing = AgreeingChain(chains)
    assert isinstance(agreeing.outcome(terms), Settlement)
    assert agreeing.limits() == Limits(logs_span=10, batch=BATCH_MAX, keeps_past=False)
    chains[1].topic = CANCELED_TOPIC
    with pytest.raises(ChainMismatch, match="contradict each other"):
        agreeing.outcome(terms)
    chains[1].used_in = chains[1].newest + 1
    with pytest.raises(ChainMismatch, match="contradict each other"):
        agreeing.outcome(terms)


@pytest.mark.parametrize("from_block", [SIGNED_IN - 64, 0, 10**12])
@pytest.mark.parametrize("span", [10, 2_000])
def test_a_payment_of_a_long_lived_authorization_is_found(open_chain: Open_chain, from_block: int, span: int) -> None:
    """It was taken half a minute after it was signed, an hour before it would have expired."""
    chain = open_chain(from_block, MONTH)
    terms = replace(chain.authorization, valid_before=chain.authorization.valid_before + 3600, life_s=3720)
    chain.authorization, chain.span_max, chain.state_from = terms, span, USED_IN + MONTH
    assert settled(chain).transaction == TRANSACTION


def test_a_named_transaction_at_which_the_node_stumbles_costs_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    signed = authorization()
    with closing(FakeChain(signed, 5_000, 5_010)) as chain:
        searched, receipt = chain.outcome(signed), chain._receipt

        def pruned(transaction: str) -> Any:
            if transaction != TRANSACTION:
                raise NodeRefused("pruned history unavailable")
            return receipt(transaction)

        monkeypatch.setattr(chain, "_receipt", pruned)
        assert chain.outcome(signed, "0x" + "7" * 64) == searched
