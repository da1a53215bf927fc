"""The chain's verdict on an authorization, which alone decides whether a job is paid for."""

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from eth_utils.crypto import keccak

from seller.payments.node import Call, Node, NodeError
from seller.payments.payment import Authorization

WINDOW_BLOCKS = 9_000
"""Providers refuse to search more than some 10,000 blocks for logs at once."""
VALID_MAX_S = 3600
"""How long an authorization may be valid that is taken: x402 says minutes. So far back its use is searched for."""
UNSEEN_MAX_S = 3600
"""How long past its end the log of an authorization's use is waited for: an index of logs lags by seconds."""
TAKEN_BACK_S = 60
"""How long past its end an unused authorization is not called dead: where the newest blocks are taken back, its
transfer can be in those that come in their place, whose time is earlier."""
AUTHORIZATION_STATE = keccak(text="authorizationState(address,bytes32)")[:4].hex()
"""Of EIP-3009, all of it that is read."""
USED = "0x" + keccak(text="AuthorizationUsed(address,bytes32)").hex()
CANCELED = "0x" + keccak(text="AuthorizationCanceled(address,bytes32)").hex()
TRANSFER = "0x" + keccak(text="Transfer(address,address,uint256)").hex()
WORD = re.compile(r"0x[0-9a-fA-F]{64}", re.ASCII)
NEWEST = Call("eth_getBlockByNumber", ("latest", False))


@dataclass(frozen=True)
class Paid:
    """An authorization whose transfer is on chain."""

    tx: str


@dataclass(frozen=True)
class Open:
    """An authorization neither paid nor dead: it may still settle."""


@dataclass(frozen=True)
class Dead:
    """An authorization that did not pay this vendor and never will."""

    reason: str


class Ledger:
    """One token contract, read only. Every method raises NodeAway or NodeError if the chain is away."""

    def __init__(self, node: Node, asset: str) -> None:
        self._node, self._asset = node, asset.lower()

    def now(self) -> int:
        """The time of the newest block, in Unix seconds."""
        return _time(self._node.many([NEWEST])[0])

    def is_reachable(self) -> bool:
        return self._node.is_reachable()

    def reads(self, authorization: Authorization) -> list[Call]:
        """What look_up asks first."""
        return [NEWEST, self._state(authorization, "latest")]

    def look_up(self, authorization: Authorization, tx: str = "", *, is_sent_now: bool = False) -> Paid | Open | Dead:
        """The verdict on an authorization. tx: the transaction that is said to have used it, "" where none is.

        is_sent_now: it was sent just now, so that its receipt is proof before the state shows its use. Later such a
        state contradicts it, and is no verdict: NodeError.
        """
        claims = [Call("eth_getTransactionReceipt", (tx,))] if WORD.fullmatch(tx) else []
        block, used, *receipts = self._node.many([*self.reads(authorization), *claims])
        if any(self._pays(receipt, authorization) for receipt in receipts):
            if _is_true(used) or is_sent_now:
                return Paid(tx)
            raise NodeError("the node has the receipt of a payment, and says that its authorization is unused")
        if not _is_true(used) and _time(block) < authorization.valid_before:
            return Open()
        return self._by_one_block(authorization)

    def _by_one_block(self, authorization: Authorization) -> Paid | Open | Dead:
        """The verdict where all reads are of one block, so that they cannot contradict each other.

        Those of look_up may be of two: a state that is older than its block would call dead what that block has paid.
        """
        (block,) = self._node.many([NEWEST])
        time, number = _time(block), str(block["number"])
        (used,) = self._node.many([self._state(authorization, number)])
        if _is_true(used):
            return self._what_used_it(authorization, int(number, 16), time)
        is_over = time >= authorization.valid_before + TAKEN_BACK_S
        return Dead("authorization expired") if is_over else Open()

    def _state(self, authorization: Authorization, block: str) -> Call:
        data = f"0x{AUTHORIZATION_STATE}{_word(authorization.payer)}{authorization.nonce.removeprefix('0x')}"
        return Call("eth_call", ({"to": self._asset, "data": data}, block))

    def _what_used_it(self, authorization: Authorization, head: int, time: int) -> Paid | Dead:
        """Searched back to when the authorization can have come: a seller may have been down for days since.

        Where the state says used and no log says by what, the node's logs lag: that is no verdict, and NodeError.
        """
        last, is_seen = head, False
        while True:
            first = max(0, last - WINDOW_BLOCKS)
            search = {
                "address": self._asset,
                "fromBlock": hex(first),
                "toBlock": hex(last),
                "topics": [[USED, CANCELED], *_use(authorization)[1:]],
            }
            for log in self._node.call("eth_getLogs", search):
                is_seen = True
                tx = str(log["transactionHash"])
                if _topics(log)[0] == USED and self._pays(self._receipt(tx), authorization):
                    return Paid(tx)
            if not first or self._time_of(first) < authorization.valid_before - VALID_MAX_S:
                if is_seen or time > authorization.valid_before + UNSEEN_MAX_S:
                    return Dead("authorization canceled, or used for something else")
                raise NodeError("an authorization is used, and the node has no log of it")
            last = first - 1

    def _time_of(self, number: int) -> int:
        return _time(self._node.call("eth_getBlockByNumber", hex(number), False))

    def _receipt(self, tx: str) -> Any:
        receipt = self._node.call("eth_getTransactionReceipt", tx)
        if not receipt:
            raise NodeError("the node lists a transaction, and has no receipt of it")
        return receipt

    def _pays(self, receipt: Any, authorization: Authorization) -> bool:
        """Whether the transaction used the authorization for what it is for; not so without a receipt.

        The token logs the use and next its transfer. One elsewhere in the transaction may pay another order: a payer
        can sign a nonce for a second, empty transfer, and use many so beside the one that pays.
        """
        logs = [log for log in receipt["logs"] if log["address"].lower() == self._asset] if receipt else []
        return any(
            _topics(used) == _use(authorization)
            and _topics(moved) == _transfer(authorization)
            and int(moved["data"], 16) == authorization.amount
            for used, moved in pairwise(logs)
        )


def _topics(log: Any) -> list[str]:
    return [topic.lower() for topic in log["topics"]]


def _transfer(authorization: Authorization) -> list[str]:
    """The topics of the event that its amount was transferred."""
    return [TRANSFER, "0x" + _word(authorization.payer), "0x" + _word(authorization.payee)]


def _use(authorization: Authorization) -> list[str]:
    """The topics of the event that an authorization was used."""
    return [USED, "0x" + _word(authorization.payer), authorization.nonce]


def _word(address: str) -> str:
    return address.removeprefix("0x").lower().rjust(64, "0")


def _time(block: Any) -> int:
    if not isinstance(block, dict):
        raise NodeError("the node has no such block")
    return int(block["timestamp"], 16)


def _is_true(word: Any) -> bool:
    if not isinstance(word, str) or not WORD.fullmatch(word):
        raise NodeError("the token does not say whether an authorization was used")
    return bool(int(word, 16))
