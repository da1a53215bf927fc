"""JSON-RPC 2.0 calls to an Ethereum node, in batches, each batch under one deadline and with the chain's id in it."""

import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from gpuagent.adapters.chain.answers import BUSY_STATUS, Answer, answer_from
from gpuagent.adapters.chain.decoding import uint
from gpuagent.errors import ChainError
from gpuagent.wire.bounded_http import AnswerTooLarge, BoundedHttp, HttpFailed
from gpuagent.wire.egress import Egress
from gpuagent.wire.transport import deadline, time_left

BATCH_MAX = 50
"""Calls in one request: nodes' own default limits are 50 and more."""
TRIES = 3
"""Of a request that a busy node turns away, if the waits between them end before the deadline."""
PAUSE_S = 0.5
"""Before the second try, where the node does not say how long; twice that before the third."""

Call = tuple[str, list[Any]]


class NodeRefused(ChainError):
    """The node answered, and not with what was asked for: it may answer a smaller question."""


class JsonRpc:
    """A client of one node of one chain. host: how errors name it, because the path of its URL may hold an API key.

    size: calls in one request. It falls by half when the node refuses a batch, down to calls without a batch.
    pause: waits so many seconds. egress: the way out of this machine, direct() unless given.
    """

    def __init__(
        self,
        url: str,
        deadline_s: float,
        chain_id: int,
        pause: Callable[[float], None] = time.sleep,
        egress: Egress | None = None,
    ) -> None:
        self._url, self._deadline_s, self._chain_id, self._pause = url, deadline_s, chain_id, pause
        self.host = urlsplit(url).hostname or "CHAIN_RPC_URL"
        self.size = BATCH_MAX
        self._http = BoundedHttp(deadline_s, 16 * 1024 * 1024, egress)

    def close(self) -> None:
        self._http.close()

    def batch(self, *calls: Call) -> list[Any]:
        """The results of the calls, in their order. Raises ChainError unless the node answers all, on the right chain.

        The chain's id is asked for in every batch, after the calls: a node may become another chain at any moment.
        An answer of another shape raises whatever reading it raises: the caller knows which shape it expects.
        """
        with deadline(self._deadline_s):
            *results, chain_id = self._results([*calls, ("eth_chainId", [])])
        if uint(chain_id) != self._chain_id:
            raise ChainError(f"{self.host} is chain {uint(chain_id)}, not eip155:{self._chain_id}")
        return results

    def _results(self, calls: list[Call]) -> list[Any]:
        results: dict[int, Any] = {}
        waiting = dict(enumerate(calls))
        while waiting:
            numbers = list(waiting)[: self.size]
            questions = {number: waiting[number] for number in numbers}
            results |= self._batch(questions) if len(questions) > 1 else self._single(numbers[0], calls[numbers[0]])
            waiting = {number: call for number, call in waiting.items() if number not in results}
        return [results[number] for number in range(len(calls))]

    def _batch(self, calls: Mapping[int, Call]) -> dict[int, Any]:
        """The results by number: of all calls, or of none when the batch is refused; the next one is smaller then."""
        answer = self._exchange([_request(number, call) for number, call in calls.items()])
        responses = {number: answer.result_of(number) for number in calls}
        results = {number: response["result"] for number, response in responses.items() if response}
        if not results:
            self.size = max(1, len(calls) // 2)
            return {}
        for number in calls.keys() - results.keys():
            # Cut off by a limit on batches, or refused for itself: alone it says which.
            results |= self._single(number, calls[number])
        return results

    def _single(self, number: int, call: Call) -> dict[int, Any]:
        answer = self._exchange(_request(number, call))
        response = None if isinstance(answer.document, list) else answer.result_of(number)
        if response is None:
            raise NodeRefused(f"{answer.problem} ({call[0]} at {self.host})")
        return {number: response["result"]}

    def _exchange(self, body: object) -> Answer:
        """The node's answer. Raises ChainError when there is none, or only that it is busy."""
        for attempt in range(TRIES):
            try:
                answer = answer_from(self._http.request("POST", self._url, json=body))
            except AnswerTooLarge as error:
                raise NodeRefused(f"the chain's answer at {self.host} is too large: it {error}") from error
            except HttpFailed as error:
                raise ChainError(f"the chain does not answer at {self.host}: {error}") from error
            if not answer.busy:
                return answer
            wait_s = answer.wait_s or PAUSE_S * 2**attempt
            if attempt + 1 == TRIES or wait_s >= time_left():
                break
            self._pause(wait_s)
        # A code alone may mean something else here, such as a question that is too wide.
        kind = ChainError if answer.status in BUSY_STATUS else NodeRefused
        asks = f", and asks to wait {answer.wait_s:.0f} s" if answer.wait_s else ""
        raise kind(
            f"the node at {self.host} is busy{asks}: {answer.problem}. "
            "Try again later, or name a node with a larger allowance in CHAIN_RPC_URL"
        )


def _request(number: int, call: Call) -> dict[str, Any]:
    method, params = call
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
