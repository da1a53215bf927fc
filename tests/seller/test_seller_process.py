"""`python -m seller`: payments that others touched, restarts, signals, and what it says of itself, on a real chain."""

import csv
import io
import json
import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from eth_account import Account
from web3.types import RPCEndpoint
from x402.schemas import PaymentRequired, PaymentRequirements

from gpuagent.adapters.wallets.local import LocalWallet
from gpuagent.core.model import Authorization, Token
from gpuagent.wire.offers import decode_challenge
from mock_vendor.chain import free_port, rpc
from mock_vendor.market import PracticeMarket
from seller.config import read_config
from seller.database import Database
from seller.opening import vendor_of
from seller.report.overview import Overview, read_overview
from seller.report.sales import sales, write_csv
from tests.support.eventually import eventually
from tests.support.mock_buyer import Buyer, header_json, new_key
from tests.support.rpc_proxy import RpcProxy
from tests.support.seller_command import (
    KEY,
    SellerProcess,
    payer_with,
    seller_command,
    seller_running,
    write_config,
)
from tests.support.work_orders import leaves_no_trace

PRICE = 1_400_000
SECRET, NODE_SECRET = "hf_never_to_be_seen", "v2/nodes-secret-key"
OFFERS = [{"gpu": "A100", "count": 3, "price_per_hour": 1.40}]
Params = dict[str, Any]


def order(command: str, gpu: str = "A100", **work: Any) -> Params:
    return {"gpuType": gpu, "maxHours": 1, "workload": {"command": command, **work}}


def submit(
    buyer: Buyer, params: Params, header: str | None = None, key: str | None = None, **fields: Any
) -> httpx.Response:
    headers = ({"PAYMENT-SIGNATURE": header} if header else {}) | ({"Idempotency-Key": key} if key else {})
    return buyer.http.post("/submit-job", json={"jobParams": params, **fields}, headers=headers, timeout=40)


def signed(buyer: Buyer, params: Params, **changes: Any) -> str:
    challenge = submit(buyer, params)
    assert challenge.status_code == 402, challenge.text
    return buyer.payment_for(challenge, **changes)


def status(buyer: Buyer, job_id: str) -> dict[str, Any]:
    answer = buyer.status(job_id)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def ended(buyer: Buyer, job_id: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        news = status(buyer, job_id)
        return None if news["status"] == "running" else news

    return eventually(look)


@pytest.fixture
def buyer(seller: SellerProcess) -> Iterator[Buyer]:
    buyer = seller.buyer()
    yield buyer
    buyer.close()


def paid(buyer: Buyer) -> list[int]:
    """What the buyer has paid on chain since it came."""
    return [int(log.args.amount) for log in buyer.transfers() if log.blockNumber > buyer.first_block]


def test_two_payers_race_for_the_only_gpu(seller: SellerProcess, practice: PracticeMarket) -> None:
    """Over HTTP and the chain: nothing of the loser's moves."""
    buyers = [seller.buyer(payer_with(practice, PRICE)) for _ in range(2)]
    params = [order(f"sleep 0.{number}", gpu="T4") for number in range(2)]
    headers = [signed(buyer, each) for buyer, each in zip(buyers, params, strict=True)]
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(submit, buyers, params, headers))
    assert sorted(answer.status_code for answer in answers) == [200, 503]
    for buyer, answer, each, header in zip(buyers, answers, params, headers, strict=True):
        if answer.status_code == 200:
            assert paid(buyer) == [350_000]
            assert ended(buyer, answer.json()["vendorJobId"])["status"] == "completed"
        else:
            assert (answer.json()["error"], paid(buyer), buyer.balance()) == ("busy", [], PRICE)
            loser, again = buyer, (each, header)

    def has_room() -> bool:
        return submit(loser, *again).status_code == 200

    eventually(has_room)
    assert paid(loser) == [350_000], "the same payment buys once there is room"
    for buyer in buyers:
        buyer.close()


@pytest.mark.safety("A payment that another account relays first buys its job once, from whoever holds its key")
def test_a_payment_that_was_front_run_buys_its_job_once(buyer: Buyer, safety_note: Any) -> None:
    params, key = order("echo front-run"), new_key()
    header = signed(buyer, params)
    transaction = buyer.relay(header)
    answer = submit(buyer, params, header, key)
    assert answer.status_code == 200, answer.text
    assert header_json(answer.headers["PAYMENT-RESPONSE"])["transaction"] == transaction
    assert submit(buyer, params, header, key).content == answer.content
    for other in (new_key(), None):
        refused = submit(buyer, params, header, other)
        assert (refused.status_code, refused.json()["error"]) == (409, "authorization_in_use")
    assert ended(buyer, answer.json()["vendorJobId"])["logs"] == ["front-run"]
    assert paid(buyer) == [PRICE]
    safety_note("relayed by another account, sold once, refused to two other keys")


@pytest.mark.safety("A payer signs its nonces twice, and uses them beside one transfer: that one buys one job")
def test_one_transfer_buys_one_job(buyer: Buyer, safety_note: Any) -> None:
    orders = [(order(f"echo {number}"), new_key()) for number in range(3)]
    headers = [signed(buyer, params) for params, _ in orders]
    nothing = [again(buyer, header, value="0", to=buyer.payer["address"]) for header in headers[1:]]
    all_in_one(buyer, [transfer_call(buyer, header) for header in (headers[0], *nothing)])
    answers = [submit(buyer, params, header, key) for (params, key), header in zip(orders, headers, strict=True)]
    assert [answer.status_code for answer in answers] == [200, 402, 402]
    assert [amount for amount in paid(buyer) if amount] == [PRICE]
    safety_note("one job sold; the two others are asked to pay")


def again(buyer: Buyer, header: str, **changes: str) -> str:
    """The payment's nonce, signed for other terms."""
    content = header_json(header)
    offer = content["accepted"] | {"amount": changes["value"], "payTo": changes["to"]}
    nonce = content["payload"]["authorization"]["nonce"]
    return buyer.sign(PaymentRequirements.model_validate(offer), nonce=nonce)


def transfer_call(buyer: Buyer, header: str) -> bytes:
    exact = header_json(header)["payload"]
    terms, signature = exact["authorization"], bytes.fromhex(exact["signature"].removeprefix("0x"))
    arguments = [terms["from"], terms["to"], int(terms["value"]), int(terms["validAfter"]), int(terms["validBefore"])]
    arguments += [terms["nonce"], signature[64], signature[:32], signature[32:64]]
    data = buyer.token.encode_abi("transferWithAuthorization", args=arguments)
    return bytes.fromhex(data.removeprefix("0x"))


def all_in_one(buyer: Buyer, calls: list[bytes]) -> None:
    """These calls of the token in one transaction, by a contract that is made for it."""
    token, step = bytes.fromhex(buyer.token.address[2:]), 48
    code, data = b"", b"".join(calls)
    for number, call in enumerate(calls):
        size, at = len(call).to_bytes(2), (step * len(calls) + 1 + sum(map(len, calls[:number]))).to_bytes(2)
        copied = b"\x61" + size + b"\x61" + at + b"\x5f\x39"  # CODECOPY to 0
        called = b"\x5f\x5f\x61" + size + b"\x5f\x5f\x73" + token + b"\x5a\xf1\x50"  # CALL, POP
        code += (copied + called).ljust(step, b"\x5b")  # JUMPDEST does nothing
    contract = Account.create().address
    buyer.web3.provider.make_request(RPCEndpoint("anvil_setCode"), [contract, "0x" + (code + b"\x00" + data).hex()])
    sent = buyer.web3.eth.send_transaction(
        {"from": buyer.token.functions.owner().call(), "to": contract, "gas": 3_000_000}
    )
    assert buyer.web3.eth.wait_for_transaction_receipt(sent)["status"] == 1


@pytest.mark.safety("Payments that are expired, too small, unfunded, for another payee or valid for days buy nothing")
def test_payments_that_are_not_for_this_sale_buy_nothing(
    buyer: Buyer, practice: PracticeMarket, safety_note: Any
) -> None:
    params = order("echo never")
    challenge = submit(buyer, params)
    elsewhere = signed_for(buyer, challenge, pay_to=practice.payees[1])
    cheap = signed_for(buyer, challenge, amount="1")
    expired = buyer.payment_for(challenge, valid_before=int(time.time()) - 10)
    poor = buyer.payment_for(challenge, private_key=Account.create().key.to_0x_hex())
    endless = buyer.payment_for(challenge, valid_before=int(time.time()) + 10 * 86_400)
    for header in (elsewhere, cheap, expired, poor, endless):
        answer = submit(buyer, params, header, new_key())
        assert (answer.status_code, answer.json()["accepts"]) == (402, challenge.json()["accepts"]), answer.text
        assert answer.json()["error"] != "payment required"
    assert paid(buyer) == []
    safety_note("5 refused with a 402 that says why, 0 moved")


def signed_for(buyer: Buyer, challenge: httpx.Response, **changes: Any) -> str:
    """A payment that is good, of an offer that nobody made."""
    [offer] = PaymentRequired.model_validate(challenge.json()).accepts
    return buyer.sign(offer.model_copy(update=changes))


def test_a_payment_for_another_sellers_payee_that_is_on_chain_buys_nothing(
    buyer: Buyer, practice: PracticeMarket
) -> None:
    params = order("echo elsewhere")
    challenge = submit(buyer, params)
    header = signed_for(buyer, challenge, pay_to=practice.payees[1])
    buyer.relay(header)
    answer = submit(buyer, params, header, new_key())
    assert (answer.status_code, answer.json()["error"]) == (402, "the payment does not accept this offer")


def test_buyers_who_echo_extensions_and_who_do_not(buyer: Buyer) -> None:
    params = order("true")
    challenge = submit(buyer, params)
    declared = challenge.json()["extensions"]
    assert set(declared) == {"bazaar", "payment-identifier"}
    for echoed in (None, (), ("bazaar",), ("payment-identifier",), ("bazaar", "payment-identifier")):
        key = new_key()
        filled = declared | {"payment-identifier": {"info": {"required": False, "id": key}}}
        extensions = None if echoed is None else {name: filled[name] for name in echoed}
        answer = submit(buyer, params, buyer.payment_for(challenge, extensions=extensions), key)
        assert answer.status_code == 200, answer.text


def test_our_own_buyer_pays_it(buyer: Buyer) -> None:
    """By the agent's own reading of the 402, and its own wallet: the declaration of lists is no matter to it."""
    params, key = order("echo ours"), new_key()
    challenge = submit(buyer, params, key=key)
    [terms] = decode_challenge(challenge.headers["PAYMENT-REQUIRED"]).accepts
    token = Token(terms.network, terms.asset, str(terms.extra["name"]), str(terms.extra["version"]))
    wallet = LocalWallet(buyer.payer["privateKey"], token)
    head = buyer.web3.eth.get_block("latest")
    authorization = Authorization(
        payer=wallet.address,
        payee=terms.pay_to,
        amount=int(terms.amount),
        network=terms.network,
        asset=terms.asset,
        nonce="0x" + secrets.token_hex(32),
        valid_before=head["timestamp"] + 120,
        from_block=head["number"],
    )
    answer = submit(buyer, params, wallet.sign(authorization, terms, key), key)
    assert answer.status_code == 200, answer.text
    assert ended(buyer, answer.json()["vendorJobId"])["logs"] == ["ours"]


def test_what_it_earns_is_not_for_buyers(seller: SellerProcess) -> None:
    with seller.http() as http:
        assert http.get("/metrics").status_code == 404
        assert http.get("/healthz").json() == {"status": "ok"}


@contextmanager
def own_seller(folder: Path, practice: PracticeMarket, **fields: Any) -> Iterator[tuple[SellerProcess, Buyer]]:
    with seller_running(write_config(folder, practice, **fields), practice) as process:
        buyer = process.buyer()
        yield process, buyer
        buyer.close()


def test_one_life_of_a_seller(tmp_path: Path, practice: PracticeMarket) -> None:
    """A sale under a signal, a restart with a job that goes on, a node that is away, the reports, and the drain."""
    node, place = RpcProxy(practice.market.rpc_url), f"127.0.0.1:{free_port()}"
    fields: dict[str, Any] = {"rpc_url": f"{node.url}/{NODE_SECRET}", "metrics": place, "offers": OFFERS}
    long = order("echo adopted > out; sleep 600", outputs=[{"path": "out"}])
    secret = order("echo ${#TOKEN}", secrets=["TOKEN"])
    with closing(node):
        with own_seller(tmp_path, practice, **fields) as (process, buyer):
            header = signed(buyer, long)
            running = submit(buyer, long, header).json()["vendorJobId"]
            eventually(lambda: status(buyer, running)["phase"] == "running")
            in_flight = settle_under_a_signal(process, buyer, practice)
            assert in_flight.status_code == 200, "a settlement that was under way is answered"
            assert process.wait() == 0
            sold = in_flight.json()["vendorJobId"]

        with own_seller(tmp_path, practice, **fields) as (process, buyer):
            assert ended(buyer, sold)["logs"] == ["in flight"], "what was sold before is run, once"
            assert status(buyer, running)["phase"] == "running"
            assert buyer.http.post("/job-cancel", json={"vendorJobId": running}).status_code == 200
            assert ended(buyer, running)["errorMessage"] == "the buyer cancelled it"
            file = buyer.http.get("/job-file", params={"vendorJobId": running, "path": "out"})
            assert file.content == b"adopted\n"

            tokens = signed(buyer, secret)
            # The end of the cancelled job may not be noted yet, which has a place until then.
            pending = eventually(lambda: has_place(pay_while_the_node_goes_away(node, buyer, secret, tokens)))
            assert (pending.status_code, pending.json()["error"]) == (503, "settlement_pending")
            assert not [word for word in (NODE_SECRET, node.url) if word in pending.text]
            with_secret = submit(buyer, secret, tokens, secrets={"TOKEN": SECRET}).json()["vendorJobId"]
            assert ended(buyer, with_secret)["logs"] == [str(len(SECRET))]

            assert_reports(process, [running, sold, with_secret])
            metrics = httpx.get(f"http://{place}/metrics", trust_env=False, timeout=60).text
            assert "seller_sales 3.0" in metrics.splitlines()
            assert 'seller_jobs{state="failed"} 1.0' in metrics.splitlines()
            assert seller_command(process.config, "drain").returncode == 0
            assert process.wait() == 0
        log = process.log.read_text()
    assert_lines_without_secrets(log, [SECRET, KEY[2:], header, tokens, NODE_SECRET])
    events = [json.loads(line)["event"] for line in log.splitlines()]
    assert {"job started", "job ended", "drained"} <= set(events)
    assert leaves_no_trace(tmp_path / "seller-data", SECRET)
    assert leaves_no_trace(tmp_path / "seller-data", KEY[2:])


def pay_while_the_node_goes_away(node: RpcProxy, buyer: Buyer, params: Params, header: str) -> httpx.Response:
    """The answer to a payment whose node hangs up once the payment is verified."""

    def last(_: Any, result: Any) -> Any:
        node.down()
        return result

    node.lie("eth_getBlockByNumber", last)
    try:
        return submit(buyer, params, header, secrets={"TOKEN": SECRET})
    finally:
        node.honest()


def has_place(answer: httpx.Response) -> httpx.Response | None:
    """The answer, unless it is that all places are taken."""
    return None if answer.json()["error"] == "busy" else answer


def settle_under_a_signal(process: SellerProcess, buyer: Buyer, practice: PracticeMarket) -> httpx.Response:
    """The answer to a payment that is on its way into a block when SIGTERM comes."""
    rpc_url = practice.market.rpc_url
    params = order("echo in flight")
    header = signed(buyer, params)
    rpc(rpc_url, "evm_setAutomine", False)
    rpc(rpc_url, "evm_setIntervalMining", 0)
    try:
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(submit, buyer, params, header, new_key())
            eventually(lambda: rpc(rpc_url, "txpool_status")["pending"] != "0x0")
            process.terminate()
            eventually(lambda: not accepts_calls(process))
            assert process.child.poll() is None, "it waits for the receipt"
            rpc(rpc_url, "evm_mine")
            return answer.result(60)
    finally:
        rpc(rpc_url, "evm_setAutomine", True)
        rpc(rpc_url, "evm_setIntervalMining", 1)


def accepts_calls(process: SellerProcess) -> bool:
    try:
        return httpx.get(f"{process.url}/healthz", trust_env=False, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def assert_reports(process: SellerProcess, jobs: list[str]) -> None:
    """What the reports say while it sells, from its database."""
    config = read_config(process.config)
    with closing(Database(config.folder / "seller.sqlite3")) as database:

        def overview() -> Overview:
            return read_overview(database, {config.id: vendor_of(config)}, config.folder)

        ends = {"queued": 0, "running": 0, "completed": 2, "failed": 1}
        eventually(lambda: overview().jobs == ends)
        assert (overview().sales, overview().sold_usd, overview().settling) == (3, Decimal("4.2"), 0)
        text = io.StringIO()
        write_csv(sales(database), text)
    rows = list(csv.DictReader(text.getvalue().splitlines()))
    assert sorted(row["job_id"] for row in rows) == sorted(jobs)
    assert [row["usd"] for row in rows] == ["1.400000"] * 3


def assert_lines_without_secrets(log: str, hidden: list[str]) -> None:
    for line in log.splitlines():
        assert {"at", "level", "event"} <= set(json.loads(line)), line
    assert not [secret for secret in hidden if secret in log]
