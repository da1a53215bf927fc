"""What is signed by hand is what eth-account makes of the typed data, word by word."""

from dataclasses import replace

import pytest
from eth_account.messages import encode_typed_data
from hypothesis import given
from hypothesis import strategies as st

from gpuagent.adapters.wallets.signing import domain_of
from gpuagent.core.model import Token
from gpuagent.wire.eip3009 import domain_separator, transfer_hash
from gpuagent.wire.x402 import typed_data
from tests.support import factories
from tests.support.factories import TOKEN

ADDRESSES = st.binary(min_size=20, max_size=20).map(lambda data: "0x" + data.hex())
NUMBERS = st.integers(0, 2**256 - 1)


@given(
    payer=ADDRESSES,
    payee=ADDRESSES,
    amount=NUMBERS,
    valid_before=NUMBERS,
    nonce=st.binary(min_size=32, max_size=32),
    token=st.builds(Token, st.sampled_from(["eip155:1", "eip155:8453"]), ADDRESSES, st.text(), st.text()),
)
def test_the_hash_is_the_librarys(
    payer: str, payee: str, amount: int, valid_before: int, nonce: bytes, token: Token
) -> None:
    signed = replace(
        factories.authorization(),
        payer=payer,
        payee=payee,
        amount=amount,
        valid_before=valid_before,
        nonce="0x" + nonce.hex(),
    )
    _, types, _, message = typed_data(signed, token)
    theirs = encode_typed_data(domain_data=domain_of(token), message_types=types, message_data=message)
    assert (theirs.header, theirs.body) == (domain_separator(token), transfer_hash(signed))


@pytest.mark.parametrize(
    "changes",
    [
        {"payee": "0x" + "b" * 38},
        {"payee": "0x" + "b" * 64},
        {"nonce": "0x" + "1" * 62},
        {"payer": ""},
        {"amount": -1},
        {"valid_before": 2**256},
    ],
)
def test_what_does_not_fit_its_word_has_no_hash(changes: dict[str, object]) -> None:
    authorization = replace(factories.authorization(), asset=TOKEN.address)
    assert transfer_hash(authorization)
    with pytest.raises((ValueError, OverflowError)):
        transfer_hash(replace(authorization, **changes))  # type: ignore[arg-type]
