"""JSON-RPC 2.0 calls to an Ethereum node, in batches, each batch under one deadline."""

from typing import Any
from urllib.parse import urlsplit

from gpuagent.core.text import clean
from gpuagent.errors import ChainError
from gpuagent.wire import strict_json
from gpuagent.wire.bounded_http import BoundedHttp, HttpFailed
from gpuagent.wire.egress import Egress
from gpuagent.wire.scrub import Scrubber

ERROR_MAX = 300


class JsonRpc:
    """A client of one node. host: how errors name the node, because the path of its URL may hold an API key."""

    def __init__(self, url: str, deadline_s: float, egress: Egress | None = None) -> None:
        self._url = url
        self.host = urlsplit(url).hostname or "CHAIN_RPC_URL"
        self._http = BoundedHttp(deadline_s, 16 * 1024 * 1024, egress)

    def close(self) -> None:
        self._http.close()

    def batch(self, *calls: tuple[str, list[Any]]) -> list[Any]:
        """The results of the calls, in their order. Raises ChainError if the node does not answer or refuses one.

        An answer of another shape raises whatever reading it raises: the caller knows which shape it expects.
        """
        body = [
            {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
            for number, (method, params) in enumerate(calls)
        ]
        try:
            reply = self._http.request("POST", self._url, json=body)
        except HttpFailed as error:
            raise ChainError(f"the chain does not answer at {self.host}: {error}") from error
        answers = {answer["id"]: answer for answer in strict_json.parse(reply.body)}
        return [_result(answers[number], reply.scrubber) for number in range(len(calls))]


def _result(answer: dict[str, Any], scrubber: Scrubber) -> Any:
    if "result" not in answer:
        raise ChainError(f"the chain refused a request: {clean(scrubber.scrub(str(answer.get('error'))), ERROR_MAX)}")
    return answer["result"]
