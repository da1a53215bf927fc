"""A client that is not ours: the x402 SDK's own, which knows of the seller what its documents and its 402 say."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from eth_account import Account
from x402 import x402Client
from x402.extensions.bazaar import validate_discovery_extension
from x402.http import decode_payment_response_header
from x402.http.clients.httpx import x402HttpxClient
from x402.mechanisms.evm import EthAccountSigner
from x402.mechanisms.evm.exact.register import register_exact_evm_client
from x402.schemas import PaymentRequired

from mock_vendor.market import PracticeMarket
from tests.support.mock_buyer import header_json
from tests.support.seller_command import SellerProcess

COMMAND = "mkdir out; printf 'a result' > out/result.txt; echo done"
CONTENT = b"a result"
POLLS, POLL_S = 200, 0.05


@asynccontextmanager
async def stock_client(seller: SellerProcess) -> AsyncIterator[x402HttpxClient]:
    """The SDK's client as its own documentation makes it. The test token is none of its known assets."""
    assert seller.practice.payer
    client = x402Client()
    client.set_spend_controls({"allowed_assets": True})
    register_exact_evm_client(client, EthAccountSigner(Account.from_key(seller.practice.payer.private_key)))
    async with x402HttpxClient(client, base_url=seller.url, timeout=60, trust_env=False) as http:
        yield http


def test_by_its_documents_alone_it_buys_polls_and_downloads(seller: SellerProcess) -> None:
    async def buy() -> None:
        async with (
            stock_client(seller) as http,
            httpx.AsyncClient(base_url=seller.url, trust_env=False, timeout=60) as bare,
        ):
            document = (await bare.get("/.well-known/x402")).json()
            [resource] = document["resources"]
            contract = (await bare.get("/openapi.json")).json()
            path = resource.removeprefix(seller.url)
            [method] = contract["paths"][path]
            gpu = document["gpuagent"]["gpus"][0]

            # What is to be ordered stands in the contract: without a quote, jobParams is the order.
            order = {"gpuType": gpu["gpu"], "maxHours": 1, "workload": {"command": COMMAND}}
            body = {"jobParams": {**order, "workload": {"command": COMMAND, "outputs": [{"path": "out/result.txt"}]}}}
            challenge = await bare.request(method, path, json=body)
            assert challenge.status_code == 402
            required = PaymentRequired.model_validate(header_json(challenge.headers["PAYMENT-REQUIRED"]))
            assert required.x402_version == 2
            assert int(required.accepts[0].amount) == float(gpu["pricePerHour"]) * 1_000_000

            paid = await http.request(method, path, json=body)
            assert paid.status_code == 200, paid.text
            receipt = decode_payment_response_header(paid.headers["PAYMENT-RESPONSE"])
            assert receipt.success
            status = await until_ended(http, contract, paid.json()["vendorJobId"])
            assert (status["status"], status["exitCode"], status["logs"]) == ("completed", 0, ["done"])
            [file] = status["files"]
            assert file["sha256"] == hashlib.sha256(CONTENT).hexdigest()
            assert "/job-file" in contract["paths"]
            params = {"vendorJobId": status["vendorJobId"], "path": file["path"]}
            download = await http.get("/job-file", params=params)
            assert (download.content, download.headers["ETag"]) == (CONTENT, f'"{file["sha256"]}"')
            rest = await http.get("/job-file", params=params, headers={"Range": "bytes=2-"})
            assert (rest.status_code, rest.content) == (206, CONTENT[2:])

    asyncio.run(buy())


async def until_ended(http: httpx.AsyncClient, contract: dict[str, Any], job_id: str) -> dict[str, Any]:
    """The status of a job once it has ended, asked for as the contract says."""
    [by_id] = [
        parameter["name"]
        for parameter in contract["paths"]["/job-status"]["get"]["parameters"]
        if "vendorJobId" in parameter["name"]
    ]
    for _ in range(POLLS):
        status: dict[str, Any] = (await http.get("/job-status", params={by_id: job_id})).json()
        if status["status"] != "running":
            return status
        await asyncio.sleep(POLL_S)
    pytest.fail("the job did not end in time")


def test_a_quote_that_it_asks_for_is_what_it_pays(seller: SellerProcess) -> None:
    async def buy() -> None:
        async with stock_client(seller) as http:
            work = {"workload": {"command": "echo quoted"}, "gpuType": "A100", "maxHours": 0.5}
            quote = (await http.post("/quote", json={"jobType": "job", **work})).json()
            assert quote["priceEstimate"] == 0.7
            body = {"vendorJobTemplateId": quote["vendorJobTemplateId"], "jobParams": work}
            paid = await http.post("/submit-job", json=body)
            assert paid.status_code == 200, paid.text
            receipt = decode_payment_response_header(paid.headers["PAYMENT-RESPONSE"])
            assert receipt.amount == "700000"
            contract = (await http.get("/openapi.json")).json()
            status = await until_ended(http, contract, paid.json()["vendorJobId"])
            assert status["logs"] == ["quoted"]

    asyncio.run(buy())


def test_what_a_list_reads_of_it_is_answered_by_a_402(seller: SellerProcess, practice: PracticeMarket) -> None:
    """The Bazaar declaration is sound by the SDK's own check, and its example body is asked to pay."""
    with seller.http() as http:
        document = http.get("/.well-known/x402").json()
        entry = document["gpuagent"]
        assert document["version"] == 1
        assert document["resources"] == [f"{seller.url}/submit-job"]
        assert (entry["protocol"], entry["vendorId"], entry["bearer"]) == ("gpuagent/1", "box_in_the_cellar", False)
        assert (entry["payTo"], entry["network"]) == (practice.payees[0], "eip155:31337")
        assert [gpu["gpu"] for gpu in entry["gpus"]] == ["A100", "T4"]
        assert len(http.get("/.well-known/x402").content) < 64 * 1024

        order = {"jobParams": {"gpuType": "T4", "maxHours": 1, "workload": {"command": "true"}}}
        declared = http.post("/submit-job", json=order).json()["extensions"]["bazaar"]
        assert validate_discovery_extension(declared).valid
        example = declared["info"]["input"]
        assert (example["method"], example["bodyType"]) == ("POST", "json")
        assert "vendorJobTemplateId" in str(declared["schema"])
        challenge = http.request(example["method"], document["resources"][0], json=example["body"])
        assert challenge.status_code == 402
        assert header_json(challenge.headers["PAYMENT-REQUIRED"]) == challenge.json()
        [offer] = challenge.json()["accepts"]
        assert (offer["payTo"], offer["network"], offer["asset"]) == tuple(
            entry[field] for field in ("payTo", "network", "asset")
        )
        assert len(challenge.headers["PAYMENT-REQUIRED"]) < 8 * 1024, "what a proxy before a seller lets through"
