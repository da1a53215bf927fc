"""The chain's verdict on an authorization, long after: a node that a test plays answers."""

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

import pytest

from seller.payments.node import Node as Client
from seller.payments.node import NodeError
from seller.payments.payment import Authorization
from seller.payments.settlement import (
    CANCELED,
    TAKEN_BACK_S,
    TRANSFER,
    UNSEEN_MAX_S,
    USED,
    VALID_MAX_S,
    WINDOW_BLOCKS,
    Dead,
    Ledger,
    Open,
    Paid,
)
from tests.support.rpc_proxy import RpcProxy, logs_width

TOKEN, PAYER, PAYEE = ("0x" + digit * 40 for digit in "abc")
NONCE, OTHER_NONCE, TX = ("0x" + digit * 64 for digit in "dfe")
PERIOD_S, BORN = 2, 1_700_000_000
DAY_BLOCKS, OLD = 43_200, 100_000


class Node:
    """A chain with one block every two seconds. used_in: the block that has the payment.

    lags: the newest state that it tells of is older than that. forgets: its state never shows a use. other_tx: a
    transfer alike, that used no authorization. beside: the nonces that the payment's transaction used, in order, and
    what each transferred. unindexed: it has no logs and receipts yet. use: the topic of the log of the authorization's
    use.
    """

    def __init__(
        self,
        head: int,
        used_in: int | None,
        amount: int = 5,
        *,
        lags: bool = False,
        forgets: bool = False,
        other_tx: str = "",
        beside: Sequence[tuple[str, int]] = (),
        unindexed: bool = False,
        use: str = USED,
    ) -> None:
        self.head, self.used_in, self.amount = head, used_in, amount
        self.lags, self.forgets, self.other_tx = lags, forgets, other_tx
        self.unindexed, self.use = unindexed, use
        self.uses = beside or [(NONCE, amount)]
        self.searched: list[int] = []
        self._methods: dict[str, Callable[..., Any]] = {
            "eth_chainId": lambda: "0x1",
            "eth_getBlockByNumber": self._block,
            "eth_call": self._state,
            "eth_getLogs": self._find_logs,
            "eth_getTransactionReceipt": self._receipt,
        }

    def __call__(self, call: dict[str, Any]) -> dict[str, Any]:
        if call["method"] == "eth_getTransactionReceipt" and len(call["params"][0]) != len(TX):
            return {"jsonrpc": "2.0", "id": call["id"], "error": {"code": -32602, "message": "no hash"}}
        return {"jsonrpc": "2.0", "id": call["id"], "result": self._methods[call["method"]](*call["params"])}

    def _block(self, tag: str, _: bool) -> dict[str, Any]:
        number = self.head if tag == "latest" else int(tag, 16)
        return {"number": hex(number), "timestamp": hex(BORN + PERIOD_S * number), "hash": TX}

    def _state(self, _: Any, block: str) -> str:
        is_used = self.used_in is not None and not (self.forgets or (self.lags and block == "latest"))
        return f"0x{int(is_used):064x}"

    def _find_logs(self, query: dict[str, Any]) -> list[dict[str, Any]]:
        width = logs_width([query])
        assert width <= 10_000
        self.searched.append(width)
        first, last = int(query["fromBlock"], 16), int(query["toBlock"], 16)
        if self.used_in is None or self.unindexed or not first <= self.used_in <= last:
            return []
        return [self._log(self.use)] if self.use in query["topics"][0] else []

    def _receipt(self, tx: str) -> dict[str, Any] | None:
        if self.unindexed:
            return None
        if tx == self.other_tx:
            return {"logs": [self._log(TRANSFER, 5)]}
        pairs = ((self._log(USED, nonce=nonce), self._log(TRANSFER, amount)) for nonce, amount in self.uses)
        return {"logs": [log for pair in pairs for log in pair]}

    def _log(self, topic: str, amount: int = 0, nonce: str = NONCE) -> dict[str, Any]:
        names = ["0x" + address[2:].rjust(64, "0") for address in (PAYER, PAYEE)]
        topics = [topic, *names] if topic == TRANSFER else [topic, names[0], nonce]
        block, data = hex(self.used_in or 0), f"0x{amount:064x}"
        fields = {"address": TOKEN, "topics": topics, "data": data}
        return fields | {"transactionHash": TX, "blockNumber": block, "logIndex": "0x0", "transactionIndex": "0x0"}


def authorization(valid_until_block: int) -> Authorization:
    return Authorization(PAYER, PAYEE, 5, NONCE, BORN + PERIOD_S * valid_until_block)


def look_up(node: Node, until_block: int, tx: str = "", **options: bool) -> Paid | Open | Dead:
    with closing(RpcProxy(node)) as proxy, closing(Client(proxy.url)) as client:
        return Ledger(client, TOKEN).look_up(authorization(until_block), tx, **options)


def test_a_payment_is_seen_days_later() -> None:
    """The seller was down meanwhile: its buyer has paid, and gets the job."""
    node = Node(head=OLD + 3 * DAY_BLOCKS, used_in=OLD)
    assert look_up(node, OLD + 100) == Paid(TX)
    assert len(node.searched) == 15, "in parts that every node answers"


def test_one_that_paid_something_else_is_not_searched_for_for_ever() -> None:
    node = Node(head=OLD + DAY_BLOCKS, used_in=OLD, amount=4)
    assert isinstance(look_up(node, OLD + 100), Dead)
    blocks = DAY_BLOCKS + VALID_MAX_S // PERIOD_S
    assert sum(node.searched) <= blocks + 2 * WINDOW_BLOCKS
    assert isinstance(look_up(Node(head=50, used_in=10, amount=4), 100), Dead), "and a young chain has a first block"


def test_it_is_open_until_its_end() -> None:
    assert look_up(Node(head=OLD, used_in=None), OLD + 1) == Open()
    over = OLD - TAKEN_BACK_S // PERIOD_S
    assert look_up(Node(head=OLD, used_in=None), over) == Dead("authorization expired")


@pytest.mark.safety("a reorganization that pays an authorization after its end was seen unused")
def test_the_end_of_an_authorization_is_no_verdict_while_its_blocks_may_be_taken_back(safety_note: Any) -> None:
    """Were it dead at once, the purchase would be forgotten, and its buyer has paid for nothing."""
    for end in (OLD, OLD + 1 - TAKEN_BACK_S // PERIOD_S):
        assert look_up(Node(head=OLD, used_in=None), end) == Open()
        assert look_up(Node(head=OLD, used_in=end - 1), end) == Paid(TX), "in the blocks that came in their place"
    safety_note(f"undecided until {TAKEN_BACK_S} s past its end; paid, where the chain comes to say so meanwhile")


@pytest.mark.safety("a node, or a token, whose state does not show the use of what it has just transferred")
def test_what_was_transferred_is_settled_once_though_the_state_does_not_show_it(safety_note: Any) -> None:
    node = Node(head=OLD, used_in=OLD - 1, forgets=True)
    assert look_up(node, OLD + 100, TX, is_sent_now=True) == Paid(TX), "by the receipt of what was sent just now"
    with pytest.raises(NodeError, match="receipt"):
        look_up(node, OLD + 100, TX)  # a sale that is looked for again: it is not sent a second time
    partial = Node(head=OLD, used_in=OLD - 1, amount=4, forgets=True)
    assert look_up(partial, OLD + 100, TX, is_sent_now=True) == Open(), "a receipt of less proves nothing"
    safety_note("sold by the receipt; no second transfer is sent while the receipt is there")


def test_what_the_newest_block_has_paid_is_not_dead_by_the_state_before_it() -> None:
    """Two answers of one exchange may be of two blocks."""
    assert look_up(Node(head=OLD, used_in=OLD - 1, lags=True), OLD - 1) == Paid(TX)


def test_the_transaction_that_was_sent_is_looked_at_and_no_block_searched() -> None:
    node = Node(head=OLD, used_in=OLD)
    assert look_up(node, OLD + 100, tx=TX) == Paid(TX)
    assert node.searched == []


def test_a_transfer_alike_that_used_another_authorization_pays_nothing() -> None:
    """A hosted facilitator may name an older transfer of the same payer and amount, and this one was canceled."""
    other = "0x" + "9" * 64
    assert isinstance(look_up(Node(head=50, used_in=10, amount=4, other_tx=other), 100, tx=other), Dead)


def test_one_transfer_pays_one_authorization_of_the_transaction_that_used_several() -> None:
    """A payer may sign a nonce twice, and use it for nothing beside the one transfer that pays another order."""
    node = Node(head=50, used_in=10, beside=[(OTHER_NONCE, 5), (NONCE, 0)])
    assert isinstance(look_up(node, 100), Dead)
    assert isinstance(look_up(node, 100, tx=TX), Dead)
    assert look_up(Node(head=50, used_in=10, beside=[(OTHER_NONCE, 0), (NONCE, 5)]), 100, tx=TX) == Paid(TX)


def test_what_a_facilitator_names_that_is_no_transaction_is_not_looked_for() -> None:
    """A hosted one may answer with a number of its own: what is paid is paid all the same."""
    assert look_up(Node(head=OLD, used_in=OLD), OLD + 100, tx="batch-7") == Paid(TX)


@pytest.mark.safety("a seller's node that knows of a payment's use, and has neither its log nor its receipt yet")
def test_a_payment_whose_logs_lag_is_no_verdict(safety_note: Any) -> None:
    """Its buyer has paid: were it dead, the purchase would be forgotten, and the buyer asked to pay again."""
    node = Node(head=OLD, used_in=OLD - 1, unindexed=True)
    for tx in ("", TX):
        with pytest.raises(NodeError, match="has no log"):
            look_up(node, OLD + 100, tx)
    node.unindexed = False
    assert look_up(node, OLD + 100) == Paid(TX)
    late = Node(head=OLD + UNSEEN_MAX_S, used_in=OLD - 1, unindexed=True)
    assert isinstance(look_up(late, OLD), Dead), "nothing waits for ever"
    safety_note("undecided until the log is there; paid then")


def test_one_that_its_payer_canceled_is_dead_at_once() -> None:
    assert isinstance(look_up(Node(head=OLD, used_in=OLD - 1, use=CANCELED), OLD + 100), Dead)
