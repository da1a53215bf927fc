"""A buyer without checks and retries, so that a test meets every fault of the mock."""

import base64
import json
import secrets
import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import httpx
from eth_account import Account
from web3 import Web3
from x402.mechanisms.evm.eip712 import build_typed_data_for_signing
from x402.mechanisms.evm.types import ExactEIP3009Authorization, ExactEIP3009Payload
from x402.schemas import PaymentPayload, PaymentRequired, PaymentRequirements

from mock_vendor import contracts
from mock_vendor.chain import connect


def new_key() -> str:
    return f"job-{secrets.token_hex(12)}"


def header_json(header: str) -> Any:
    return json.loads(base64.b64decode(header))


@dataclass
class Buyer:
    """A buyer at one vendor of the mock whose ready line is `ready`."""

    ready: dict[str, Any]
    vendor_id: str = "gpu_vendor_1"
    http: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.http = httpx.Client(
            base_url=self.ready["url"],
            headers={"Authorization": f"Bearer {self.ready['secret']}", "x-vendor-id": self.vendor_id},
            timeout=60,
            trust_env=False,
            verify=False,  # plain HTTP: loading certificates would take longer than most tests
        )
        self.payer = self.ready["chain"]["payer"]
        self.first_block = self.web3.eth.block_number

    def close(self) -> None:
        self.http.close()

    def quote(self, gpu_type: str = "A100", hours: float = 1) -> httpx.Response:
        return self.http.post("/quote", json={"jobType": "train", "gpuType": gpu_type, "maxHours": hours})

    def quote_id(self) -> str:
        return str(self.quote().raise_for_status().json()["vendorJobTemplateId"])

    def submit(
        self, quote_id: str, key: str, header: str | None = None, params: dict[str, Any] | None = None
    ) -> httpx.Response:
        headers = {"Idempotency-Key": key}
        if header is not None:
            headers["PAYMENT-SIGNATURE"] = header
        body = {"vendorJobTemplateId": quote_id, "jobParams": params or {"epochs": 2}}
        return self.http.post("/submit-job", json=body, headers=headers)

    def payment_for(self, challenge: httpx.Response, **changes: Any) -> str:
        """A PAYMENT-SIGNATURE for the first offer of a 402."""
        required = PaymentRequired.model_validate(header_json(challenge.headers["PAYMENT-REQUIRED"]))
        return self.sign(required.accepts[0], **changes)

    def sign(
        self,
        offer: PaymentRequirements,
        *,
        nonce: str | None = None,
        valid_before: int | None = None,
        private_key: str | None = None,
        extensions: dict[str, Any] | None = None,
    ) -> str:
        key = private_key or self.payer["privateKey"]
        now = int(self.web3.eth.get_block("latest")["timestamp"])
        authorization = ExactEIP3009Authorization(
            from_address=Account.from_key(key).address,
            to=offer.pay_to,
            value=offer.amount,
            valid_after="0",
            valid_before=str(valid_before or max(now, int(time.time())) + 120),
            nonce=nonce or "0x" + secrets.token_hex(32),
        )
        domain, types, primary_type, message = build_typed_data_for_signing(
            authorization, 31337, offer.asset, offer.extra["name"], offer.extra["version"]
        )
        signature = Account.sign_typed_data(
            key,
            full_message={
                "types": {"EIP712Domain": DOMAIN_FIELDS} | types,
                "primaryType": primary_type,
                "domain": {
                    "name": domain.name,
                    "version": domain.version,
                    "chainId": domain.chain_id,
                    "verifyingContract": domain.verifying_contract,
                },
                "message": message,
            },
        ).signature
        exact = ExactEIP3009Payload(authorization, "0x" + signature.hex().removeprefix("0x"))
        payload = PaymentPayload(payload=exact.to_dict(), accepted=offer, extensions=extensions)
        return base64.b64encode(payload.model_dump_json(by_alias=True, exclude_none=True).encode()).decode()

    def buy(self, key: str | None = None, hours: float = 1) -> httpx.Response:
        """The answer to a payment, after a quote and a 402."""
        key = key or new_key()
        quote_id = str(self.quote(hours=hours).json()["vendorJobTemplateId"])
        return self.submit(quote_id, key, self.payment_for(self.submit(quote_id, key)))

    def status(self, job_id: str) -> httpx.Response:
        return self.http.get("/job-status", params={"vendorJobId": job_id})

    def control(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.http.request(method, f"/mock/{path}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def fault(self, name: str, *, on: bool = True) -> None:
        self.control("PUT" if on else "DELETE", "faults", {"vendorId": self.vendor_id, "name": name})

    def relay(self, header: str) -> str:
        """Send the transfer of a payment to the chain directly, as any account may. Returns the transaction."""
        exact = header_json(header)["payload"]
        terms, signature = exact["authorization"], bytes.fromhex(exact["signature"].removeprefix("0x"))
        transaction = self.token.functions.transferWithAuthorization(
            terms["from"],
            terms["to"],
            int(terms["value"]),
            int(terms["validAfter"]),
            int(terms["validBefore"]),
            terms["nonce"],
            signature[64],
            signature[:32],
            signature[32:64],
        ).transact({"from": self.token.functions.owner().call()})
        return str(self.web3.eth.wait_for_transaction_receipt(transaction)["transactionHash"].to_0x_hex())

    def transfers(self, payee: str | None = None, since: int | None = None) -> list[Any]:
        """The payer's transfers on chain since this buyer was made, or since a block."""
        filters = {"sender": self.payer["address"]} | ({"receiver": payee} if payee else {})
        return list(
            self.token.events.Transfer().get_logs(
                from_block=self.first_block if since is None else since, argument_filters=filters
            )
        )

    @cached_property
    def web3(self) -> Web3:
        return connect(self.ready["chain"]["rpcUrl"])

    @cached_property
    def token(self) -> Any:
        address = Web3.to_checksum_address(self.ready["chain"]["asset"])
        return self.web3.eth.contract(address=address, abi=contracts.load().abi)

    def balance(self) -> int:
        return int(self.token.functions.balanceOf(self.payer["address"]).call())


DOMAIN_FIELDS = [
    {"name": "name", "type": "string"},
    {"name": "version", "type": "string"},
    {"name": "chainId", "type": "uint256"},
    {"name": "verifyingContract", "type": "address"},
]
