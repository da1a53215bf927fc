"""Logs of an EIP-3009 token: transfers out of an account, and nonces used or cancelled."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

from eth_abi.abi import decode

from gpuagent.adapters.chain.decoding import count, decoded
from gpuagent.core.model import Token, Transfer
from gpuagent.core.records import Spent
from gpuagent.wire.eip3009 import CANCELED_TOPIC, TRANSFER_TOPIC, USED_TOPIC


class TokenLogs:
    """Reads logs span by span, each when it is reached. batch: JsonRpc.batch(); span: blocks in one query."""

    def __init__(self, batch: Callable[..., list[Any]], token: Token, span: int) -> None:
        self._batch, self._token, self._span = batch, token, span

    def history(self, payer: str, first: int, last: int) -> Iterator[Transfer | Spent]:
        """Transfers out of the payer's account and nonces it spent, in order."""
        for start in range(first, last + 1, self._span):
            yield from self._events(payer, start, min(start + self._span - 1, last))

    def use_of(
        self, payer: str, nonce: str, first: int, last: int, spans_max: int | None = None
    ) -> dict[str, Any] | None:
        """The log that tells of the nonce's use or cancellation; None where there is none."""
        topics = [[USED_TOPIC, CANCELED_TOPIC], _address_topic(payer), nonce]
        return next(self._logs(topics, first, last, spans_max), None)

    def transfers(self, logs: Sequence[dict[str, Any]]) -> list[tuple[str, str, int]]:
        """(from, to, amount) of the token's transfers among a receipt's logs, addresses in lower case."""
        return [_transfer(log) for log in logs if self._is_transfer(log)]

    @decoded
    def _events(self, payer: str, first: int, last: int) -> list[Transfer | Spent]:
        topics = [[TRANSFER_TOPIC, USED_TOPIC, CANCELED_TOPIC], _address_topic(payer)]
        events = [_event(log) for log in self._logs(topics, first, last)]
        # Any account may have the token log a transfer of 0 out of any other ("address poisoning"): it moves nothing.
        return [event for event in events if isinstance(event, Spent) or event.amount]

    def _logs(
        self, topics: Sequence[object], first: int, last: int, spans_max: int | None = None
    ) -> Iterator[dict[str, Any]]:
        for start in islice(range(first, last + 1, self._span), spans_max):
            blocks = {"fromBlock": hex(start), "toBlock": hex(min(start + self._span - 1, last))}
            (logs,) = self._batch(("eth_getLogs", [{"address": self._token.address, "topics": topics, **blocks}]))
            yield from logs

    def _is_transfer(self, log: dict[str, Any]) -> bool:
        of_token = log["address"].lower() == self._token.address.lower()
        return bool(of_token and len(log["topics"]) == 3 and log["topics"][0] == TRANSFER_TOPIC)


def _event(log: dict[str, Any]) -> Transfer | Spent:
    if log["topics"][0] == TRANSFER_TOPIC:
        _, payee, amount = _transfer(log)
        return Transfer(log["transactionHash"], payee, amount)
    cancelled, block_number = log["topics"][0] == CANCELED_TOPIC, count(log["blockNumber"])
    return Spent(log["topics"][2].lower(), log["transactionHash"], cancelled, block_number)


def _transfer(log: dict[str, Any]) -> tuple[str, str, int]:
    payer, payee = ("0x" + topic[-40:].lower() for topic in log["topics"][1:3])
    (amount,) = decode(["uint256"], bytes.fromhex(log["data"][2:]))
    return payer, payee, amount


def _address_topic(address: str) -> str:
    return "0x" + address[2:].lower().rjust(64, "0")
