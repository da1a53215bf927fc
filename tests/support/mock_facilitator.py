"""A facilitator as a third party hosts it: the SDK's, behind an HTTP server of its own, with faults on demand."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from x402.mechanisms.evm.utils import get_evm_chain_id
from x402.schemas import PaymentPayload, PaymentRequirements

from seller.payments.facilitator import Signer, facilitator
from seller.payments.node import Node

PAID_NOTHING = {"success": True, "transaction": "0x" + "12" * 32, "network": "eip155:31337", "payer": "0x" + "3" * 40}


@dataclass(frozen=True)
class Fault:
    """A fault at one route: the answer instead of the right one, or none. work: whether the request is carried out."""

    status: int = 200
    body: Any = None
    work: bool = False
    hang_up: bool = False
    location: str = ""
    encoding: str = ""


class Facilitator:
    """A facilitator's server. faults: by route, each played once. requests: the routes called, in order."""

    def __init__(self, rpc_url: str, network: str, private_key: str) -> None:
        self._node = Node(rpc_url)
        self._own = facilitator(Signer(self._node, get_evm_chain_id(network), private_key), network)
        self.faults: dict[str, Fault] = {}
        self.requests: list[str] = []
        hosted = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._play(lambda: hosted._own.get_supported())

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                payload = PaymentPayload.model_validate(body["paymentPayload"])
                offer = PaymentRequirements.model_validate(body["paymentRequirements"])
                work = hosted._own.settle if self.path == "/settle" else hosted._own.verify
                self._play(lambda: work(payload, offer))

            def _play(self, work: Callable[[], Any]) -> None:
                hosted.requests.append(self.path)
                fault = hosted.faults.pop(self.path, Fault(work=True))
                answer = work().model_dump(by_alias=True, exclude_none=True) if fault.work else None
                if fault.hang_up:
                    return
                if fault.body is not None:
                    answer = fault.body
                self.send_response(fault.status)
                if fault.location:
                    self.send_header("Location", fault.location)
                if fault.encoding:
                    self.send_header("Content-Encoding", fault.encoding)
                self.end_headers()
                self.wfile.write(answer if isinstance(answer, bytes) else json.dumps(answer).encode())

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
                """Tests read no access log."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._node.close()


@contextmanager
def hosted(rpc_url: str, network: str, private_key: str) -> Iterator[Facilitator]:
    server = Facilitator(rpc_url, network, private_key)
    try:
        yield server
    finally:
        server.close()
