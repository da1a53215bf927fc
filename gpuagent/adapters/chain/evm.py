"""An EVM chain read by JSON-RPC: the Chain port, all that the agent believes about money.

Plain JSON-RPC over httpx: the reads of one decision go out as one batch pinned to one block hash, under one deadline.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from itertools import islice
from typing import Any, ParamSpec, TypeVar

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError
from eth_hash.auto import keccak

from gpuagent.adapters.chain.json_rpc import JsonRpc
from gpuagent.core.model import Authorization, Settlement, Token, Transfer
from gpuagent.core.money import DECIMALS
from gpuagent.core.ports import Gas, Head, Open, Outcome, Void
from gpuagent.core.records import Block, Spent
from gpuagent.errors import ChainError, ChainMismatch
from gpuagent.wire.eip3009 import AUTHORIZATION_STATE, BALANCE_OF, CANCELED, DOMAIN, TRANSFER, USED, domain_separator

LOGS_SPAN = 2_000
"""Blocks asked for at once: public nodes refuse more."""
SPANS_MAX = 50
"""A settlement lies within the ten minutes that an authorization may live; this is more on every chain."""


P = ParamSpec("P")
T = TypeVar("T")


def _translated(read: Callable[P, T]) -> Callable[P, T]:
    """The reading method, with ChainError for an answer that cannot be read."""

    @wraps(read)
    def translated(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return read(*args, **kwargs)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, DecodingError) as error:
            raise ChainError(f"the chain gave no answer that can be read ({type(error).__name__})") from error

    return translated


class EvmChain:
    """One token on one chain, read from one node. confirmations: how many blocks deep a fact counts as final."""

    def __init__(
        self, rpc_url: str, token: Token, confirmations: int = 0, deadline_s: float = 10, logs_span: int = LOGS_SPAN
    ) -> None:
        self._rpc = JsonRpc(rpc_url, deadline_s)
        self._token = token
        self._confirmations = confirmations
        self._logs_span = logs_span

    @property
    def token(self) -> Token:
        return self._token

    def close(self) -> None:
        self._rpc.close()

    @_translated
    def check(self) -> None:
        """Raises ChainError unless this is the token's chain, and the token there is the pinned one."""
        (chain_id,) = self._batch(("eth_chainId", []))
        if _uint(chain_id) != self._token.chain_id:
            raise ChainError(f"{self._rpc.shown} is chain {_uint(chain_id)}, not {self._token.network}")
        reads = [("eth_call", [{"to": self._token.address, "data": selector}, "latest"]) for selector in DOMAIN]
        code, *results = self._batch(("eth_getCode", [self._token.address, "latest"]), *reads)
        if code == "0x":
            raise ChainError(f"there is no token at {self._token.address} on {self._token.network}")
        name, version, decimals, separator = (
            decode([kind], bytes.fromhex(result[2:]))[0] for kind, result in zip(DOMAIN.values(), results, strict=True)
        )
        if (name, version, decimals) != (self._token.name, self._token.version, DECIMALS):
            raise ChainError(
                f"the token at {self._token.address} is {name!r} version {version!r} with {decimals} decimals, "
                f"not {self._token.name!r} version {self._token.version!r} with {DECIMALS}"
            )
        if separator != domain_separator(self._token):
            raise ChainError(
                f"the token at {self._token.address} binds signatures to another domain than its name, version, chain "
                "and address make: what is signed for it would be void"
            )

    @_translated
    def head(self, address: str) -> Head:
        block, balance = self._batch(
            ("eth_getBlockByNumber", ["latest", False]),
            ("eth_call", [self._read(BALANCE_OF, ["address"], [address]), "latest"]),
        )
        return Head(_count(block["number"]), _count(block["timestamp"]), _uint(balance))

    @_translated
    def spent(self, payer: str, nonces: Sequence[str]) -> tuple[str, ...]:
        states = self._batch(*(("eth_call", [self._state(payer, nonce), "latest"]) for nonce in nonces))
        return tuple(nonce for nonce, state in zip(nonces, states, strict=True) if _uint(state))

    @_translated
    def outcome(self, authorization: Authorization) -> Outcome:
        """Settled or void only at a final block; anything else is open. Raises ChainError, ChainMismatch."""
        if (authorization.network, authorization.asset.lower()) != (self._token.network, self._token.address.lower()):
            raise ChainMismatch(
                f"the authorization is for {authorization.asset} on {authorization.network}, "
                f"this is {self._token.address} on {self._token.network}: nothing can be said of it here"
            )
        newest, final = self._blocks()
        state = self._state(authorization.payer, authorization.nonce)
        used_now, used_at_final = (
            _uint(word) != 0
            for word in self._batch(*(("eth_call", [state, _pinned(block)]) for block in (newest, final)))
        )
        if used_at_final:
            verdict = self._settlement(authorization, _count(final["number"]))
            return verdict or self._unindexed(authorization, newest, final)
        if _count(final["timestamp"]) >= authorization.valid_before:
            # Block times only grow and the token requires time < validBefore: no later block can take it.
            return Void("expired unused")
        return Open(_count(newest["timestamp"]), used_now)

    @_translated
    def final(self) -> Block:
        """The newest block that no reorganization is believed to take back."""
        _, final = self._blocks()
        return _block(final)

    @_translated
    def block(self, number: int) -> Block | None:
        """The block, or None where the node does not keep it."""
        (block,) = self._batch(("eth_getBlockByNumber", [hex(number), False]))
        return _block(block) if block else None

    def history(self, payer: str, first: int, last: int) -> Iterator[Transfer | Spent]:
        """Transfers out of the payer's account and the nonces it spent, in order; read span by span as needed."""
        for start in range(first, last + 1, self._logs_span):
            yield from self._span(payer, start, min(start + self._logs_span - 1, last))

    def transfers(self, payer: str, from_block: int) -> tuple[Transfer, ...]:
        """Every transfer of the token out of the payer's account since the block, in order, up to the final one."""
        history = self.history(payer, from_block, self.final().number)
        return tuple(event for event in history if isinstance(event, Transfer))

    @_translated
    def _span(self, payer: str, first: int, last: int) -> list[Transfer | Spent]:
        events = [_event(log) for log in self._logs([[TRANSFER, USED, CANCELED], _word(payer)], first, last)]
        # Any account may have the token log a transfer of 0 out of any account ("address poisoning"): it moves nothing.
        return [event for event in events if isinstance(event, Spent) or event.amount]

    @_translated
    def gas(self, address: str) -> Gas:
        count, balance, priority_fee, block = self._batch(
            ("eth_getTransactionCount", [address, "pending"]),
            ("eth_getBalance", [address, "latest"]),
            ("eth_maxPriorityFeePerGas", []),
            ("eth_getBlockByNumber", ["latest", False]),
        )
        tip = _uint(priority_fee)
        # Twice the base fee outlasts five full blocks, in each of which it may grow by an eighth.
        return Gas(_count(count), 2 * _uint(block["baseFeePerGas"]) + tip, tip, _uint(balance))

    @_translated
    def send(self, transaction: str) -> str:
        digest = "0x" + keccak(bytes.fromhex(transaction[2:])).hex()
        try:
            self._batch(("eth_sendRawTransaction", [transaction]))
        except ChainError:
            # Nodes refuse what they already know in words of their own: so the node is asked whether it does.
            (transaction_there,) = self._batch(("eth_getTransactionByHash", [digest]))
            if not transaction_there:
                raise
        return digest

    def _settlement(self, authorization: Authorization, final: int) -> Settlement | Void | None:
        """The use of the nonce up to the final block; None while the node does not show it."""
        topics = [[USED, CANCELED], _word(authorization.payer), authorization.nonce]
        log = next(self._logs(topics, authorization.from_block, final, SPANS_MAX), None)
        if log is None:
            return None
        if log["topics"][0] == CANCELED:
            return Void("cancelled on chain")
        receipt, block = self._batch(
            ("eth_getTransactionReceipt", [log["transactionHash"]]),
            ("eth_getBlockByNumber", [log["blockNumber"], False]),
        )
        if not receipt or not block or receipt["blockHash"] != block["hash"]:
            return None  # a reorganization moved it while it was read
        transfers = [_transfer(entry) for entry in receipt["logs"] if self._is_transfer(entry)]
        agreed = (authorization.payer.lower(), authorization.payee.lower(), authorization.amount)
        if agreed not in transfers:
            raise ChainMismatch(f"{log['transactionHash']} spent nonce {authorization.nonce} on other terms")
        return Settlement(log["transactionHash"], _count(block["number"]), _count(block["timestamp"]))

    def _unindexed(self, authorization: Authorization, newest: dict[str, Any], final: dict[str, Any]) -> Open:
        """Undecided, as state and logs of a node may differ for a moment, unless it has had time enough."""
        if _count(final["timestamp"]) >= authorization.valid_before:
            raise ChainMismatch(f"nonce {authorization.nonce} is spent, but its event is not on chain")
        return Open(_count(newest["timestamp"]), used=True)

    def _blocks(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The newest block and the final one."""
        (newest,) = self._batch(("eth_getBlockByNumber", ["latest", False]))
        if not self._confirmations:
            return newest, newest
        number = max(0, _count(newest["number"]) - self._confirmations)
        (final,) = self._batch(("eth_getBlockByNumber", [hex(number), False]))
        if not final:
            raise ChainError(f"block {number} is gone: the chain is reorganizing")
        return newest, final

    def _logs(
        self, topics: Sequence[object], first: int, last: int, spans_max: int | None = None
    ) -> Iterator[dict[str, Any]]:
        """Logs of the token in order, read span by span as they are asked for."""
        for start in islice(range(first, last + 1, self._logs_span), spans_max):
            span = {"fromBlock": hex(start), "toBlock": hex(min(start + self._logs_span - 1, last))}
            (logs,) = self._batch(("eth_getLogs", [{"address": self._token.address, "topics": list(topics), **span}]))
            yield from logs

    def _is_transfer(self, log: dict[str, Any]) -> bool:
        is_token = log["address"].lower() == self._token.address.lower()
        return bool(is_token and len(log["topics"]) == 3 and log["topics"][0] == TRANSFER)

    def _state(self, payer: str, nonce: str) -> dict[str, str]:
        return self._read(AUTHORIZATION_STATE, ["address", "bytes32"], [payer, bytes.fromhex(nonce[2:])])

    def _read(self, selector: str, types: Sequence[str], values: Sequence[object]) -> dict[str, str]:
        return {"to": self._token.address, "data": selector + encode(types, values).hex()}

    def _batch(self, *calls: tuple[str, list[Any]]) -> list[Any]:
        return self._rpc.batch(*calls)


def _uint(word: str) -> int:
    if word == "0x":
        raise ChainError("the token does not answer: it is not there, or was not yet at that block")
    return int(word, 16)


def _count(word: str) -> int:
    """A block's number or time: what MongoDB can keep."""
    if (count := _uint(word)) >= 2**63:
        raise ValueError(f"{word} is no number of a block")
    return count


def _pinned(block: dict[str, Any]) -> dict[str, Any]:
    """A block by hash (EIP-1898): a reorganization makes the read fail instead of mixing two chains."""
    return {"blockHash": block["hash"], "requireCanonical": True}


def _block(block: dict[str, Any]) -> Block:
    return Block(_count(block["number"]), _count(block["timestamp"]), str(block["hash"]))


def _event(log: dict[str, Any]) -> Transfer | Spent:
    if log["topics"][0] == TRANSFER:
        _, payee, amount = _transfer(log)
        return Transfer(log["transactionHash"], payee, amount)
    return Spent(log["topics"][2].lower(), log["transactionHash"], log["topics"][0] == CANCELED)


def _word(address: str) -> str:
    return "0x" + address[2:].lower().rjust(64, "0")


def _transfer(log: dict[str, Any]) -> tuple[str, str, int]:
    """(from, to, amount) of a Transfer log, addresses in lower case."""
    payer, payee = ("0x" + topic[-40:].lower() for topic in log["topics"][1:3])
    (amount,) = decode(["uint256"], bytes.fromhex(log["data"][2:]))
    return payer, payee, amount
