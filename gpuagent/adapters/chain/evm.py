"""An EVM chain read over JSON-RPC: the port Node (Chain and the history for the books) for one EIP-3009 token.

https://ethereum.org/en/developers/docs/apis/json-rpc/. The reads of one decision go out as one batch, pinned to one
block hash (EIP-1898), under one deadline, and with the chain's id: no answer counts of another chain.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from eth_hash.auto import keccak

from gpuagent.adapters.chain.decoding import block_from, count, decoded, uint
from gpuagent.adapters.chain.json_rpc import Call, JsonRpc, NodeRefused
from gpuagent.adapters.chain.logs import Log, TokenLogs
from gpuagent.adapters.chain.needs import at_hash, check_needs, check_token, measure, state_call, token_call
from gpuagent.adapters.chain.settlements import UseSearch
from gpuagent.core.model import Authorization, Settlement, Token, Transfer
from gpuagent.core.ports.chain import EXPIRED, Gas, Head, Limits, Open, Outcome, Void
from gpuagent.core.records import Block, Incoming, Spent
from gpuagent.errors import ChainError, ChainMismatch
from gpuagent.wire.egress import Egress
from gpuagent.wire.eip3009 import BALANCE_OF, CANCELED_TOPIC

LOGS_SPAN = 2_000
"""The most blocks in one query for logs: public nodes refuse more, some much less."""


class EvmChain:
    """One token on one chain, as one node shows it. confirmations: how many blocks deep a block is final."""

    def __init__(
        self,
        rpc_url: str,
        token: Token,
        confirmations: int = 0,
        deadline_s: float = 10,
        logs_span: int = LOGS_SPAN,
        egress: Egress | None = None,
    ) -> None:
        self._rpc = JsonRpc(rpc_url, deadline_s, token.chain_id, egress=egress)
        self._token = token
        self._confirmations = confirmations
        self._logs = TokenLogs(self._batch, token, logs_span)
        self._uses = UseSearch(self._logs, self._used_at, self.block)

    @property
    def token(self) -> Token:
        return self._token

    def close(self) -> None:
        self._rpc.close()

    @decoded
    def check(self) -> None:
        """Raises ChainError unless this is the token's chain, with the pinned token, on a node that can do the work."""
        check_token(self._batch, self._token)
        _, final = self._blocks()
        check_needs(self._batch, self._rpc.host, self._token, final)

    @decoded
    def limits(self) -> Limits:
        return measure(self._batch, self._logs, self._rpc, self._token, self.final().number)

    @decoded
    def head(self, address: str, nonces: Sequence[str] = ()) -> Head:
        block, balance, *states = self._batch(
            ("eth_getBlockByNumber", ["latest", False]),
            ("eth_call", [token_call(self._token, BALANCE_OF, ["address"], [address]), "latest"]),
            *self._state_reads(address, nonces),
        )
        spent = tuple(nonce for nonce, state in zip(nonces, states, strict=True) if uint(state))
        return Head(count(block["number"]), count(block["timestamp"]), uint(balance), spent)

    @decoded
    def spent(self, payer: str, nonces: Sequence[str]) -> tuple[str, ...]:
        states = self._batch(*self._state_reads(payer, nonces))
        return tuple(nonce for nonce, state in zip(nonces, states, strict=True) if uint(state))

    def _state_reads(self, payer: str, nonces: Sequence[str]) -> list[Call]:
        return [("eth_call", [state_call(self._token, payer, nonce), "latest"]) for nonce in nonces]

    @decoded
    def outcome(self, authorization: Authorization, transaction: str = "") -> Outcome:
        """Settled or void only at a final block; anything else is open. Raises ChainError, ChainMismatch."""
        if (authorization.network, authorization.asset.lower()) != (self._token.network, self._token.address.lower()):
            raise ChainMismatch(
                f"the authorization is for {authorization.asset} on {authorization.network}, "
                f"this is {self._token.address} on {self._token.network}: nothing can be said of it here"
            )
        with suppress(NodeRefused):  # a vendor's word, at which the node may stumble, costs nothing that was heard
            if transaction:
                return self._outcome(authorization, transaction)
        return self._outcome(authorization)

    def _outcome(self, authorization: Authorization, transaction: str = "") -> Outcome:
        newest, final, receipt = self._blocks_and_receipt(transaction)
        state = state_call(self._token, authorization.payer, authorization.nonce)
        reads: list[Call] = [("eth_call", [state, at_hash(block)]) for block in (newest, final)]
        if receipt:
            reads.append(("eth_getBlockByNumber", [receipt["blockNumber"], False]))
        newest_word, final_word, *receipt_blocks = self._batch(*reads)
        used_now, used_at_final = uint(newest_word) != 0, uint(final_word) != 0
        if used_at_final:
            last = count(final["number"])
            verdict: Settlement | Void | None = None
            if receipt and self._logs.has_use(authorization, receipt["logs"], last):
                verdict = self._proven(authorization, receipt["transactionHash"], receipt, *receipt_blocks)
            verdict = verdict or self._settlement(authorization, self._uses.find(authorization, last))
            return verdict or self._unindexed(authorization, newest, final)
        if count(final["timestamp"]) >= authorization.valid_before:
            # Block times only grow and the token requires time < validBefore: no later block can take it. A token
            # that forgot its nonces, by an upgrade, says unused of a used one: then the history speaks.
            log = self._uses.find_forgotten(authorization, count(final["number"]))
            if log is None:
                return Void(EXPIRED)
            return self._settlement(authorization, log) or Open(count(newest["timestamp"]), used=True)
        return Open(count(newest["timestamp"]), used_now)

    @decoded
    def final(self) -> Block:
        """The newest block that no reorganization is believed to take back."""
        _, final = self._blocks()
        return block_from(final)

    @decoded
    def block(self, number: int) -> Block | None:
        """The block, or None where the node does not keep it."""
        (answer,) = self._batch(("eth_getBlockByNumber", [hex(number), False]))
        return block_from(answer) if answer else None

    def history(self, payer: str, first: int, last: int) -> Iterator[Transfer | Spent]:
        """Transfers out of the payer's account and nonces it spent, in order, each span read when it is reached."""
        return self._logs.history(payer, first, last)

    def incoming(self, wallet: str, first: int, last: int) -> Iterator[Incoming]:
        """Transfers of the token into the wallet, in order, each span read when it is reached."""
        return self._logs.incoming(wallet, first, last)

    def transfers(self, payer: str, from_block: int) -> tuple[Transfer, ...]:
        """Every transfer of the token out of the payer's account since the block, in order, up to the final one."""
        events = self.history(payer, from_block, self.final().number)
        return tuple(event for event in events if isinstance(event, Transfer))

    @decoded
    def gas(self, address: str) -> Gas:
        transactions, balance, priority_fee, block = self._batch(
            ("eth_getTransactionCount", [address, "pending"]),
            ("eth_getBalance", [address, "latest"]),
            ("eth_maxPriorityFeePerGas", []),
            ("eth_getBlockByNumber", ["latest", False]),
        )
        tip = uint(priority_fee)
        # Twice the base fee outlasts five full blocks, in each of which it may grow by an eighth.
        return Gas(count(transactions), 2 * uint(block["baseFeePerGas"]) + tip, tip, uint(balance))

    @decoded
    def send(self, transaction: str) -> str:
        digest = "0x" + keccak(bytes.fromhex(transaction[2:])).hex()
        try:
            self._batch(("eth_sendRawTransaction", [transaction]))
        except ChainError:
            # Nodes refuse a transaction that they have already, each in its own words: so look whether it is there.
            (transaction_there,) = self._batch(("eth_getTransactionByHash", [digest]))
            if not transaction_there:
                raise
        return digest

    def _settlement(self, authorization: Authorization, log: Log | None) -> Settlement | Void | None:
        """The use of the nonce that its log tells of; None while the node does not show it."""
        if log is None:
            return None
        if log["topics"][0] == CANCELED_TOPIC:
            return Void("cancelled on chain")
        receipt, block = self._batch(
            ("eth_getTransactionReceipt", [log["transactionHash"]]),
            ("eth_getBlockByNumber", [log["blockNumber"], False]),
        )
        return self._proven(authorization, log["transactionHash"], receipt, block)

    def _proven(
        self,
        authorization: Authorization,
        transaction: str,
        receipt: dict[str, Any] | None,
        block: dict[str, Any] | None,
    ) -> Settlement | None:
        """The settlement by a transaction that used the nonce, from its receipt and the block of the receipt's number.

        None where they do not fit together. Raises ChainMismatch where it paid something else.
        """
        if not receipt or not block or receipt["blockHash"] != block["hash"]:
            return None  # a reorganization moved it while it was read
        payment = (authorization.payer.lower(), authorization.payee.lower(), authorization.amount)
        if payment not in self._logs.transfers(receipt["logs"]):
            raise ChainMismatch(f"{transaction} spent nonce {authorization.nonce} on other terms")
        return Settlement(transaction, count(block["number"]), count(block["timestamp"]))

    def _unindexed(self, authorization: Authorization, newest: dict[str, Any], final: dict[str, Any]) -> Open:
        """Open while the node's logs lag behind its state. Raises ChainMismatch once the authorization has expired."""
        if count(final["timestamp"]) >= authorization.valid_before:
            raise ChainMismatch(f"nonce {authorization.nonce} is spent, but its event is not on chain")
        return Open(count(newest["timestamp"]), used=True)

    def _blocks(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The newest block and the final one."""
        newest, final, _ = self._blocks_and_receipt()
        return newest, final

    def _blocks_and_receipt(
        self, transaction: str = ""
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any] | None]:
        """The newest block, the final one, and the receipt of a transaction that may be none."""
        receipts: list[Call] = [("eth_getTransactionReceipt", [transaction])] if transaction else []
        newest, receipt = [*self._batch(("eth_getBlockByNumber", ["latest", False]), *receipts), None][:2]
        if not self._confirmations:
            return newest, newest, receipt
        number = max(0, count(newest["number"]) - self._confirmations)
        (final,) = self._batch(("eth_getBlockByNumber", [hex(number), False]))
        if not final:
            raise ChainError(f"block {number} is gone: the chain is reorganizing")
        return newest, final, receipt

    def _used_at(self, authorization: Authorization, number: int) -> bool:
        """Whether the nonce is used at the block, which is final. Before the token was there nothing was."""
        state = state_call(self._token, authorization.payer, authorization.nonce)
        (word,) = self._batch(("eth_call", [state, hex(number)]))
        return word != "0x" and uint(word) != 0

    def _batch(self, *calls: tuple[str, list[Any]]) -> list[Any]:
        return self._rpc.batch(*calls)
