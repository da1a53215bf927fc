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
from mock_vendor.stubs.till import Market
from tests.support.mock_buyer import Buyer


@contextmanager
def running_stubs(chain: Mapping[str, Any]) -> Iterator[StubMarket]:
    """Stubs on a chain of a practice vendor's ready line. Jobs run without a sandbox: they are the tests' own."""
    market = Market(
        rpc_url=chain["rpcUrl"],
        network=chain["network"],
        asset=chain["asset"],
        asset_name=chain["assetName"],
        asset_version=chain["assetVersion"],
        facilitator=own_facilitator_on(chain["rpcUrl"]),
        payees=(),
        payer=None,
    )
    with (
        tempfile.TemporaryDirectory(prefix="stubs-") as folder,
        serving(StubMarket(market, Path(folder), sandbox=False)) as stubs,
    ):
        yield stubs


def chain_of(environment: Mapping[str, str]) -> dict[str, str]:
    """The chain that a stack's variables name, as in a ready line."""
    return {
        "rpcUrl": environment["CHAIN_RPC_URL"],
        "network": environment["X402_NETWORK"],
        "asset": environment["X402_ASSET"],
        "assetName": environment["X402_ASSET_NAME"],
        "assetVersion": environment["X402_ASSET_VERSION"],
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
        header = self._signer.sign(offer, valid_before=now + (life_s or offer.max_timeout_seconds))
        if version == 2:
            return {"PAYMENT-SIGNATURE": header}
        content = json.loads(base64.b64decode(header))
        terms = {"x402Version": 1, "scheme": "exact", "network": offer.network, "payload": content["payload"]}
        return {"X-PAYMENT": base64.b64encode(json.dumps(terms).encode()).decode()}


def our_offer(asked: httpx.Response) -> PaymentRequirements:
    """The offer on the local chain, of either version."""
    header = asked.headers.get("payment-required")
    required = json.loads(base64.b64decode(header)) if header else asked.json()
    (offer,) = [offer for offer in required["accepts"] if offer["network"] == "eip155:31337"]
    if required["x402Version"] == 1:
        offer = {**offer, "amount": offer["maxAmountRequired"]}
    return PaymentRequirements.model_validate(offer)
