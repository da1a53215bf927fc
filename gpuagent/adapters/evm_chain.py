"""What the agent believes about money: an EVM chain, read by JSON-RPC.

Plain JSON-RPC over httpx: the reads of one decision go out as one batch pinned to one block hash, under one deadline.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eth_abi.abi import decode, encode
from eth_hash.auto import keccak

from gpuagent.errors import ChainError, ChainMismatch
from gpuagent.model import Authorization, Settlement, Token
from gpuagent.ports import Head, Open, Outcome, Void
from gpuagent.wire import strict_json
from gpuagent.wire.bounded_http import BoundedHttp, HttpFailed

LOGS_SPAN = 2_000
"""Blocks asked for at once: public nodes refuse more."""


def _topic(signature: str) -> str:
    return "0x" + keccak(signature.encode()).hex()


def _selector(signature: str) -> str:
    return _topic(signature)[:10]


USED = _topic("AuthorizationUsed(address,bytes32)")
CANCELED = _topic("AuthorizationCanceled(address,bytes32)")
TRANSFER = _topic("Transfer(address,address,uint256)")
AUTHORIZATION_STATE = _selector("authorizationState(address,bytes32)")
BALANCE_OF = _selector("balanceOf(address)")


@dataclass(frozen=True, slots=True)
class Transfer:
    """A transfer of the token, from its log. Amounts in atomic units."""

    transaction: str
    block_number: int
    payee: str
    amount: int


class EvmChain:
    """One token on one chain. confirmations: how many blocks deep a fact must be to count as final."""

    def __init__(self, rpc_url: str, token: Token, confirmations: int = 0, deadline_s: float = 10) -> None:
        self._url = rpc_url
        self._token = token
        self._confirmations = confirmations
        self._http = BoundedHttp(deadline_s, body_max=16 * 1024 * 1024)

    def close(self) -> None:
        self._http.close()

    def check(self) -> None:
        """Raises ChainError unless this is the token's chain and the token is there with the pinned domain."""
        chain_id, code = self._batch(("eth_chainId", []), ("eth_getCode", [self._token.address, "latest"]))
        if int(chain_id, 16) != self._token.chain_id:
            raise ChainError(f"{self._url} is chain {int(chain_id, 16)}, not {self._token.network}")
        if code == "0x":
            raise ChainError(f"there is no token at {self._token.address} on {self._token.network}")

    def head(self, address: str) -> Head:
        block, balance = self._batch(
            ("eth_getBlockByNumber", ["latest", False]),
            ("eth_call", [self._read(BALANCE_OF, ["address"], [address]), "latest"]),
        )
        return Head(int(block["number"], 16), int(block["timestamp"], 16), _uint(balance))

    def spent(self, payer: str, nonce: str) -> bool:
        (word,) = self._batch(("eth_call", [self._state(payer, nonce), "latest"]))
        return _uint(word) != 0

    def outcome(self, authorization: Authorization) -> Outcome:
        """Settled or void only at a final block; anything else is open. Raises ChainError, ChainMismatch."""
        newest, final = self._blocks()
        state = self._state(authorization.payer, authorization.nonce)
        used_now, used = (
            _uint(word) != 0
            for word in self._batch(*(("eth_call", [state, _pinned(block)]) for block in (newest, final)))
        )
        if used:
            decided = self._settlement(authorization, int(final["number"], 16))
            return decided or self._unindexed(authorization, newest, final)
        if int(final["timestamp"], 16) >= authorization.valid_before:
            # Block times only grow and the token requires time < validBefore: no later block can take it.
            return Void("expired unused")
        return Open(int(newest["timestamp"], 16), used_now)

    def transfers(self, payer: str, from_block: int) -> tuple[Transfer, ...]:
        """Every transfer of the token out of the payer's account since the block, in order, up to the final one."""
        _, final = self._blocks()
        logs = self._logs([TRANSFER, _word(payer)], from_block, int(final["number"], 16))
        return tuple(
            Transfer(log["transactionHash"], int(log["blockNumber"], 16), payee, amount)
            for log in logs
            for _, payee, amount in [_transfer(log)]
        )

    def _settlement(self, authorization: Authorization, final: int) -> Settlement | Void | None:
        """How the nonce was used up to the final block; None while the node does not show it."""
        topics = [[USED, CANCELED], _word(authorization.payer), authorization.nonce]
        logs = self._logs(topics, authorization.from_block, final)
        if not logs:
            return None
        log = logs[0]
        if log["topics"][0] == CANCELED:
            return Void("cancelled on chain")
        receipt, block = self._batch(
            ("eth_getTransactionReceipt", [log["transactionHash"]]),
            ("eth_getBlockByNumber", [log["blockNumber"], False]),
        )
        if not receipt or not block or receipt["blockHash"] != block["hash"]:
            return None  # a reorganization moved it while it was read
        moved = [_transfer(entry) for entry in receipt["logs"] if self._is_transfer(entry)]
        wanted = (authorization.payer.lower(), authorization.payee.lower(), authorization.amount)
        if wanted not in moved:
            raise ChainMismatch(f"{log['transactionHash']} spent nonce {authorization.nonce} on other terms")
        return Settlement(log["transactionHash"], int(block["number"], 16), int(block["timestamp"], 16))

    def _unindexed(self, authorization: Authorization, newest: dict[str, Any], final: dict[str, Any]) -> Open:
        """State and logs of a node may differ for a moment: undecided, unless it has had time enough."""
        if int(final["timestamp"], 16) >= authorization.valid_before:
            raise ChainMismatch(f"nonce {authorization.nonce} is spent, but its event is not on chain")
        return Open(int(newest["timestamp"], 16), used=True)

    def _blocks(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The newest block and the final one."""
        (newest,) = self._batch(("eth_getBlockByNumber", ["latest", False]))
        if not self._confirmations:
            return newest, newest
        number = max(0, int(newest["number"], 16) - self._confirmations)
        (final,) = self._batch(("eth_getBlockByNumber", [hex(number), False]))
        if not final:
            raise ChainError(f"block {number} is gone: the chain is reorganizing")
        return newest, final

    def _logs(self, topics: Sequence[object], first: int, last: int) -> list[dict[str, Any]]:
        logs: list[dict[str, Any]] = []
        for start in range(first, last + 1, LOGS_SPAN):
            span = {"fromBlock": hex(start), "toBlock": hex(min(start + LOGS_SPAN - 1, last))}
            (found,) = self._batch(("eth_getLogs", [{"address": self._token.address, "topics": list(topics), **span}]))
            logs += found
        return logs

    def _is_transfer(self, log: dict[str, Any]) -> bool:
        ours = log["address"].lower() == self._token.address.lower()
        return bool(ours and len(log["topics"]) == 3 and log["topics"][0] == TRANSFER)

    def _state(self, payer: str, nonce: str) -> dict[str, str]:
        return self._read(AUTHORIZATION_STATE, ["address", "bytes32"], [payer, bytes.fromhex(nonce[2:])])

    def _read(self, selector: str, types: Sequence[str], values: Sequence[object]) -> dict[str, str]:
        return {"to": self._token.address, "data": selector + encode(types, values).hex()}

    def _batch(self, *calls: tuple[str, list[Any]]) -> list[Any]:
        body = [
            {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
            for number, (method, params) in enumerate(calls)
        ]
        try:
            reply = self._http.request("POST", self._url, json=body)
            answers = {answer["id"]: answer for answer in strict_json.parse(reply.body)}
            return [_result(answers[number]) for number in range(len(calls))]
        except HttpFailed as error:
            raise ChainError(f"the chain does not answer at {self._url}: {error}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise ChainError(f"the chain at {self._url} answered something else than JSON-RPC") from error


def _result(answer: dict[str, Any]) -> Any:
    if "result" not in answer:
        raise ChainError(f"the chain refused a read: {answer.get('error')}")
    return answer["result"]


def _uint(word: str) -> int:
    if word == "0x":
        raise ChainError("the token does not answer: it is not there, or was not yet at that block")
    return int(word, 16)


def _pinned(block: dict[str, Any]) -> dict[str, Any]:
    """A block by hash (EIP-1898): a reorganization makes the read fail instead of mixing two chains."""
    return {"blockHash": block["hash"], "requireCanonical": True}


def _word(address: str) -> str:
    return "0x" + address[2:].lower().rjust(64, "0")


def _transfer(log: dict[str, Any]) -> tuple[str, str, int]:
    """(from, to, amount) of a Transfer log, addresses in lower case."""
    payer, payee = ("0x" + topic[-40:].lower() for topic in log["topics"][1:3])
    (amount,) = decode(["uint256"], bytes.fromhex(log["data"][2:]))
    return payer, payee, amount
