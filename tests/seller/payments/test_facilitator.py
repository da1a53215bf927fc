"""Our own facilitator's transactions: numbered without gaps, and for the chain that is sold on alone."""

from contextlib import closing
from typing import Any

import pytest
import rlp
from eth_account import Account
from x402.mechanisms.evm.constants import BALANCE_OF_ABI

from seller.payments.facilitator import Signer
from seller.payments.node import Node, NodeError
from tests.support.rpc_proxy import RpcProxy

KEY, TOKEN, CHAIN_ID = "0x" + "1" * 64, "0x" + "a" * 40, 84532
LEGACY_V = 35 + 2 * CHAIN_ID
REFUSED = "execution reverted: FiatTokenV2: authorization is used or canceled"


class Mempool:
    """A node that counts what is sent to it only once that is mined, which is never."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.refuses = False
        self.has = False

    def __call__(self, call: dict[str, Any]) -> dict[str, Any]:
        answer = {"jsonrpc": "2.0", "id": call["id"]}
        if call["method"] == "eth_getTransactionByHash":
            return answer | {"result": {"hash": call["params"][0]} if self.has else None}
        if call["method"] != "eth_sendRawTransaction":
            return answer | {"result": "0x5"}
        if self.refuses:
            return answer | {"error": {"code": -32000, "message": REFUSED}}
        raw = bytes.fromhex(call["params"][0][2:])
        self.sent.append(rlp.decode(raw))
        assert Account.recover_transaction(raw) == Account.from_key(KEY).address
        return answer | {"result": "0x" + "f" * 64}


def test_transactions_are_numbered_on_and_after_a_refusal_anew() -> None:
    mempool = Mempool()
    with closing(RpcProxy(mempool)) as proxy, closing(Node(proxy.url)) as node:
        signer = Signer(node, CHAIN_ID, KEY)

        def write() -> str:
            return signer.write_contract(TOKEN, BALANCE_OF_ABI, "balanceOf", TOKEN)

        assert write() != write()
        mempool.refuses = True
        with pytest.raises(NodeError, match="authorization is used"):
            write()
        mempool.refuses = False
        write()
    assert [int.from_bytes(fields[0]) for fields in mempool.sent] == [5, 6, 5], "the chain is asked anew"
    assert {int.from_bytes(fields[6]) - LEGACY_V for fields in mempool.sent} <= {0, 1}, "valid on no other chain"
    assert proxy.batches[:5] == [2, 2, 1, 2, 1], "while a number is known, only the sending waits for its turn"


def test_what_the_node_has_is_sent_however_it_refuses_its_repetition() -> None:
    """An answer is lost, the same is sent again, and the node tries it on what is pending: it is on its way."""
    mempool = Mempool()
    mempool.refuses = mempool.has = True
    with closing(RpcProxy(mempool)) as proxy, closing(Node(proxy.url)) as node:
        signer = Signer(node, CHAIN_ID, KEY)
        first = signer.write_contract(TOKEN, BALANCE_OF_ABI, "balanceOf", TOKEN)
        mempool.refuses = False
        assert signer.write_contract(TOKEN, BALANCE_OF_ABI, "balanceOf", TOKEN) != first
    assert [int.from_bytes(fields[0]) for fields in mempool.sent] == [6], "no number is given twice"
