"""The stubs of other sellers, served in this process on a chain that is there, and a buyer without checks."""

import base64
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from x402.schemas import PaymentRequirements

from mock_vendor.stubs.serve import StubMarket, own_facilitator_on, serving
from mock_vendor.stubs.till import market_on
from seller.runners.process import ProcessRunner
from tests.support.mock_buyer import Buyer

SENDING_S = 60
"""What a payment lives beyond what is asked, unless said otherwise."""


@contextmanager
def running_stubs(environment: Mapping[str, str]) -> Iterator[StubMarket]:
    """Stubs on the chain that an agent's variables name. Jobs run without a sandbox: they are the tests' own."""
    market = market_on(environment, own_facilitator_on(environment["CHAIN_RPC_URL"]))
    with tempfile.TemporaryDirectory(prefix="stubs-") as folder:
        runner = ProcessRunner(Path(folder), sandbox=False, outlive=False)
        with serving(StubMarket(market, runner)) as stubs:
            yield stubs


def variables(ready: Mapping[str, Any]) -> dict[str, str]:
    """The variables that name the chain of a practice vendor's ready line."""
    chain = ready["chain"]
    return {
        "CHAIN_RPC_URL": chain["rpcUrl"],
        "X402_NETWORK": chain["network"],
        "X402_ASSET": chain["asset"],
        "X402_ASSET_NAME": chain["assetName"],
        "X402_ASSET_VERSION": chain["assetVersion"],
    }


class RawBuyer:
    """Buys from a stub by its public description alone, as a script would."""

    def __init__(self, signer: Buyer, endpoint: str) -> None:
        self._signer = signer
        self.http = httpx.Client(base_url=endpoint, timeout=30, trust_env=False, verify=False)

    def pay(self, path: str, body: Any, *, version: int = 2, life_s: int = 0) -> httpx.Response:
        """The answer to a paid order, after an unpaid one."""
        return self.http.post(path, json=body, headers=self.payment(path, body, version=version, life_s=life_s))

    def payment(self, path: str, body: Any, *, version: int = 2, life_s: int = 0) -> dict[str, str]:
        """The header that pays what an unpaid order is answered with."""
        asked = self.http.post(path, json=body)
        assert asked.status_code == 402, asked.text
        return self.answer(asked, version=version, life_s=life_s)

    def answer(self, asked: httpx.Response, *, version: int = 2, life_s: int = 0) -> dict[str, str]:
        offer = our_offer(asked)
        now = int(self._signer.web3.eth.get_block("latest")["timestamp"])
        header = self._signer.sign(offer, valid_before=now + (life_s or offer.max_timeout_seconds + SENDING_S))
        if version == 2:
            return {"PAYMENT-SIGNATURE": header}
        content = json.loads(base64.b64decode(header))
        terms = {"x402Version": 1, "scheme": "exact", "network": offer.network, "payload": content["payload"]}
        return {"X-PAYMENT": base64.b64encode(json.dumps(terms).encode()).decode()}


def our_offer(asked: httpx.Response) -> PaymentRequirements:
    """The offer on the local chain, of either version."""
    header = asked.headers.get("payment-required")
    required = json.loads(base64.b64decode(header)) if header else asked.json()
    (offer,) = [offer for offer in required["accepts"] if offer["network"] in ("eip155:31337", "local")]
    if required["x402Version"] == 1:
        offer = {**offer, "amount": offer["maxAmountRequired"]}
    return PaymentRequirements.model_validate(offer)
