"""The stubs of other sellers do what the sellers' public sources say, with real payments and real commands."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from subprocess import DEVNULL, PIPE
from typing import Any

import httpx
import pytest

from gpuagent.adapters.files.s3 import S3Store
from gpuagent.settings import Bucket, read
from gpuagent.wiring.vendors import vendor_from
from mock_vendor.chain import advance_time
from mock_vendor.stubs.bucket import MISSING, serving_bucket
from mock_vendor.stubs.serve import STUBS, StubMarket
from tests.support.eventually import eventually
from tests.support.mock_buyer import Buyer
from tests.support.stub_market import RawBuyer, our_offer, running_stubs, variables

L40S = {"docker_image": "ubuntu", "gpu_type": "l40s", "gpu_count": 1}


@pytest.fixture(scope="module")
def shared_stubs(ready: dict[str, Any]) -> Iterator[StubMarket]:
    with running_stubs(variables(ready)) as stubs:
        yield stubs


@pytest.fixture
def stubs(shared_stubs: StubMarket) -> Iterator[StubMarket]:
    yield shared_stubs
    shared_stubs.heal()


@pytest.fixture
def buy_from(stubs: StubMarket, buyer: Buyer) -> Iterator[Callable[[str], RawBuyer]]:
    buyers: list[RawBuyer] = []

    def make(name: str) -> RawBuyer:
        buyers.append(RawBuyer(buyer, stubs.stub(name).base_url))
        return buyers[-1]

    yield make
    for made in buyers:
        made.http.close()


def hyper_job(command: str, amount: float = 0.95) -> dict[str, Any]:
    return {"amount": amount, "job": {**L40S, "command": base64.b64encode(command.encode()).decode()}}


def ended(poll: Callable[[], httpx.Response], word: str = "status") -> Any:
    """The view of a job once it has ended."""

    def view() -> Any:
        shown = poll().json()
        return shown if shown[word] not in ("queued", "pending", "running") else None

    return eventually(view, otherwise="the job does not end")


def transfers(buyer: Buyer, payee: str) -> list[Any]:
    """What the buyer paid since it was made: not in the block before."""
    return [transfer for transfer in buyer.transfers(payee) if transfer["blockNumber"] > buyer.first_block]


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


class TestHyperCli:
    def test_a_job_is_paid_before_it_runs_and_read_with_its_access_key(
        self, stubs: StubMarket, buyer: Buyer, buy_from: Callable[[str], RawBuyer]
    ) -> None:
        hyper = buy_from("hypercli")
        asked = hyper.http.post("/api/x402/job", json=hyper_job("echo one; exit 3"))
        assert our_offer(asked).amount == "950000"
        assert asked.json() == {}
        paid = hyper.http.post("/api/x402/job", json=hyper_job("echo one; exit 3"), headers=hyper.answer(asked))
        sold = paid.json()
        assert paid.status_code == 200
        assert "payment-response" in paid.headers
        assert sold["job"]["runtime"] == 3600
        assert len(transfers(buyer, stubs.hypercli.pay_to)) == 1
        path = f"/api/jobs/{sold['job']['job_id']}"
        assert hyper.http.get(path).status_code == 401
        view = ended(lambda: hyper.http.get(path, headers=bearer(sold["access_key"])), "state")
        assert view["state"] == "failed"
        assert "exit_code" not in view
        logs = hyper.http.get(f"{path}/logs", headers=bearer(sold["access_key"])).json()
        assert logs["logs"] == "one\n"

    def test_its_other_body_names_a_runtime_and_no_amount(
        self, stubs: StubMarket, buy_from: Callable[[str], RawBuyer]
    ) -> None:
        stubs.hypercli.switch("flat_body")
        hyper = buy_from("hypercli")
        assert hyper.http.post("/api/x402/job", json=hyper_job("true")).status_code == 422
        flat = {**L40S, "command": base64.b64encode(b"true").decode(), "runtime": 1800}
        assert our_offer(hyper.http.post("/api/x402/job", json=flat)).amount == "475000"
        assert hyper.pay("/api/x402/job", flat).json()["job"]["runtime"] == 1800

    def test_a_cancelled_job_s_rest_goes_to_a_balance_and_not_to_the_chain(
        self, stubs: StubMarket, buyer: Buyer, buy_from: Callable[[str], RawBuyer]
    ) -> None:
        hyper, began_at = buy_from("hypercli"), stubs.clock.now()
        sold = hyper.pay("/api/x402/job", hyper_job("sleep 600")).json()
        path, key = f"/api/jobs/{sold['job']['job_id']}", bearer(sold["access_key"])
        eventually(lambda: hyper.http.get(path, headers=key).json()["state"] == "running", otherwise="not running")
        stubs.clock.advance(900)
        before = buyer.balance()
        assert hyper.http.delete(path, headers=key).json()["status"] == "canceled"
        assert hyper.http.get(path, headers=key).json()["state"] == "canceled"
        ran_s = stubs.clock.now() - began_at  # or less
        rest = 950_000 * (1 - ran_s / 3600)
        assert rest - 1 <= stubs.hypercli.credits[buyer.payer["address"].lower()] <= 712_500
        assert buyer.balance() == before
        assert hyper.http.delete(path, headers=key).status_code == 400

    def test_a_job_ends_with_its_runtime(self, stubs: StubMarket, buy_from: Callable[[str], RawBuyer]) -> None:
        hyper = buy_from("hypercli")
        sold = hyper.pay("/api/x402/job", hyper_job("sleep 600")).json()
        path, key = f"/api/jobs/{sold['job']['job_id']}", bearer(sold["access_key"])
        eventually(lambda: hyper.http.get(path, headers=key).json()["state"] == "running", otherwise="not running")
        stubs.clock.advance(3601)
        assert ended(lambda: hyper.http.get(path, headers=key), "state")["state"] == "terminated"

    def test_an_answer_in_version_1_is_paid_in_version_1(
        self, stubs: StubMarket, buy_from: Callable[[str], RawBuyer]
    ) -> None:
        stubs.hypercli.switch("v1_only")
        hyper = buy_from("hypercli")
        asked = hyper.http.post("/api/x402/job", json=hyper_job("true"))
        assert asked.json()["x402Version"] == 1
        assert "payment-required" not in asked.headers
        paid = hyper.http.post("/api/x402/job", json=hyper_job("true"), headers=hyper.answer(asked, version=1))
        assert paid.status_code == 200
        assert "x-payment-response" in paid.headers


class TestPrism:
    def test_a_job_is_charged_once_it_is_done_even_with_another_exit_code(
        self, stubs: StubMarket, buyer: Buyer, buy_from: Callable[[str], RawBuyer]
    ) -> None:
        prism = buy_from("prism")
        asked = prism.http.post("/run", json={})
        assert [offer["network"] for offer in asked.json()["accepts"]] == ["eip155:4663", "eip155:31337"]
        assert our_offer(asked).max_timeout_seconds == 1020
        stubs.prism.bench.held.set()
        paid = prism.http.post("/run", json={"command": "echo out; echo err >&2; exit 4"}, headers=prism.answer(asked))
        sold = paid.json()
        assert paid.status_code == 202
        assert "payment-response" not in paid.headers
        assert sold["poll"] == f"/jobs/{sold['job_id']}"
        assert prism.http.get(sold["poll"]).json() == {"error": "invalid_job_token"}
        assert prism.http.get(sold["poll"], headers=bearer(sold["token"])).json()["status"] == "queued"
        assert transfers(buyer, stubs.prism.pay_to) == []
        stubs.prism.bench.held.clear()
        view = ended(lambda: prism.http.get(sold["poll"], headers=bearer(sold["token"])))
        assert (view["status"], view["exit_code"], view["charged"]) == ("completed", 4, True)
        assert (view["stdout"], view["stderr"]) == ("out\n", "err\n")
        (transfer,) = transfers(buyer, stubs.prism.pay_to)
        assert view["settlement"]["transaction"] == transfer["transactionHash"].to_0x_hex()

    def test_a_failed_lease_costs_nothing_and_a_repeated_payment_is_refused(
        self, stubs: StubMarket, buyer: Buyer, buy_from: Callable[[str], RawBuyer]
    ) -> None:
        prism = buy_from("prism")
        stubs.prism.switch("lease_fails")
        payment = prism.payment("/run", {"command": "true"})
        stubs.prism.bench.held.set()
        sold = prism.http.post("/run", json={"command": "true"}, headers=payment).json()
        again = prism.http.post("/run", json={"command": "true"}, headers=payment)
        assert (again.status_code, again.json()["error"]) == (402, "payment_reused")
        stubs.prism.bench.held.clear()
        view = ended(lambda: prism.http.get(sold["poll"], headers=bearer(sold["token"])))
        assert (view["status"], view["charged"], view["error"]) == ("failed", False, "no_offers")
        assert transfers(buyer, stubs.prism.pay_to) == []

    def test_a_restart_loses_its_jobs_and_what_it_would_have_charged(
        self, stubs: StubMarket, buyer: Buyer, buy_from: Callable[[str], RawBuyer]
    ) -> None:
        prism = buy_from("prism")
        sold = prism.pay("/run", {"command": "sleep 600"}).json()
        stubs.prism.restart()
        assert prism.http.get(sold["poll"], headers=bearer(sold["token"])).status_code == 404
        assert transfers(buyer, stubs.prism.pay_to) == []

    def test_jobs_are_kept_for_an_hour(self, stubs: StubMarket, buy_from: Callable[[str], RawBuyer]) -> None:
        prism = buy_from("prism")
        first = prism.pay("/run", {"command": "true"}).json()
        ended(lambda: prism.http.get(first["poll"], headers=bearer(first["token"])))
        stubs.clock.advance(3601)
        second = prism.pay("/run", {"command": "true"}).json()
        ended(lambda: prism.http.get(second["poll"], headers=bearer(second["token"])))
        assert prism.http.get(first["poll"], headers=bearer(first["token"])).status_code == 404

    def test_it_refuses_what_it_cannot_take(self, stubs: StubMarket, buy_from: Callable[[str], RawBuyer]) -> None:
        prism = buy_from("prism")
        headers = prism.payment("/run", {"command": "true"})
        assert prism.http.post("/run", json={}, headers=headers).json() == {"error": "command_required"}
        assert prism.http.post("/run", content=b"{", headers=headers).json() == {"error": "invalid_json"}
        large = prism.http.post("/run", json={"command": "x" * 17_000}, headers=headers)
        assert (large.status_code, large.json()) == (413, {"error": "too_large"})
        garbled = prism.http.post("/run", json={"command": "true"}, headers={"X-PAYMENT": "?"})
        assert (garbled.status_code, garbled.json()["x402Version"]) == (402, 1)
        for mode, status in (("no_gpu", 503), ("too_many", 429)):
            stubs.prism.switch(mode)
            refused = prism.http.post("/run", json={"command": "true"}, headers=headers)
            assert (refused.status_code, refused.json()["retry_after_seconds"]) == (status, 30)

    def test_what_it_says_of_its_charge_and_what_the_chain_says(
        self, stubs: StubMarket, buyer: Buyer, buy_from: Callable[[str], RawBuyer]
    ) -> None:
        prism, expected = buy_from("prism"), 0
        for mode, charged, more in (
            ("unconfirmed", None, 1),
            ("unsettled", False, 0),
            ("claims_charged", True, 0),
        ):
            stubs.prism.switch(mode)
            sold = prism.pay("/run", {"command": "true"}).json()
            view = ended(lambda sold=sold: prism.http.get(sold["poll"], headers=bearer(sold["token"])))
            expected += more
            assert view["charged"] is charged
            assert len(transfers(buyer, stubs.prism.pay_to)) == expected


class TestOpenVps:
    def test_numbers_are_clamped_without_a_word_and_the_price_says_so(
        self, buy_from: Callable[[str], RawBuyer]
    ) -> None:
        vps = buy_from("openvps")
        largest = {"command": "true", "vcpus": 4, "ram_mb": 4096, "timeout": 3600}
        beyond = {"command": "true", "vcpus": 64, "ram_mb": 10**6, "timeout": 10**6}
        prices = [our_offer(vps.http.post("/v1/jobs", json=order)).amount for order in (largest, beyond)]
        assert prices == ["29192", "29192"]

    def test_a_job_is_read_under_its_id_alone(
        self, stubs: StubMarket, buyer: Buyer, buy_from: Callable[[str], RawBuyer]
    ) -> None:
        vps = buy_from("openvps")
        order = {"command": "cat data/in; exit 2", "setup": "echo ready", "files": {"/root/data/in": "hello"}}
        asked = vps.http.post("/v1/jobs", json=order)
        assert asked.headers["www-authenticate"].startswith("Payment ")
        assert "accepts" not in asked.json()
        paid = vps.http.post("/v1/jobs", json=order, headers=vps.answer(asked))
        sold = paid.json()
        assert (paid.status_code, sold["status"], sold["timeout"]) == (201, "running", 300)
        assert len(transfers(buyer, stubs.openvps.pay_to)) == 1
        view = ended(lambda: vps.http.get(sold["poll_url"]))
        assert (view["status"], view["exit_code"]) == ("failed", 2)
        assert "hello" in view["output"]

    def test_a_machine_that_fails_after_the_payment_keeps_the_money(
        self, stubs: StubMarket, buyer: Buyer, buy_from: Callable[[str], RawBuyer]
    ) -> None:
        stubs.openvps.switch("provision_failed")
        vps = buy_from("openvps")
        payment = vps.payment("/v1/jobs", {"command": "true"})
        paid = vps.http.post("/v1/jobs", json={"command": "true"}, headers=payment)
        assert (paid.status_code, paid.json()["error"]) == (500, "provision_failed")
        assert "payment-response" in paid.headers
        assert len(transfers(buyer, stubs.openvps.pay_to)) == 1
        again = vps.http.post("/v1/jobs", json={"command": "true"}, headers=payment)
        assert again.status_code == 402
        stubs.openvps.switch("unreachable")
        view = vps.http.get(vps.pay("/v1/jobs", {"command": "true"}).json()["poll_url"]).json()
        assert (view["status"], view["exit_code"], view["output"]) == (
            "failed",
            1,
            "SSH not available after 30 seconds",
        )

    def test_a_job_that_ran_at_a_restart_runs_for_ever(
        self, stubs: StubMarket, buy_from: Callable[[str], RawBuyer]
    ) -> None:
        vps = buy_from("openvps")
        sold = vps.pay("/v1/jobs", {"command": "sleep 600"}).json()
        eventually(lambda: vps.http.get(sold["poll_url"]).json()["status"] == "running", otherwise="not running")
        stubs.openvps.restart()
        assert vps.http.get(sold["poll_url"]).json()["status"] == "running"


class TestAll:
    def test_shared_modes(self, stubs: StubMarket, buyer: Buyer, buy_from: Callable[[str], RawBuyer]) -> None:
        orders = {"hypercli": ("/api/x402/job", hyper_job("true")), "prism": ("/run", {"command": "true"})}
        orders["openvps"] = ("/v1/jobs", {"command": "true"})
        for name, (path, body) in orders.items():
            stub, shop = stubs.stub(name), buy_from(name)
            payment = shop.payment(path, body)
            price = int(our_offer(shop.http.post(path, json=body)).amount)
            stub.switch("price_up")
            refused = shop.http.post(path, json=body, headers=payment)
            assert refused.status_code == 402
            assert int(our_offer(refused).amount) == 2 * price
            stub.switch("other_payee")
            assert our_offer(shop.http.post(path, json=body)).pay_to != stub.recorded_pay_to
            assert shop.http.post(path, json=body, headers=payment).status_code == 402
            stub.switch("large_extension")
            assert len(shop.http.post(path, json=body).headers["payment-required"]) > 14 * 1024
            stub.switch("down")
            assert shop.http.post(path, json=body).status_code == 503
            stub.switch("lose_answer")
            with pytest.raises(httpx.TransportError):
                shop.http.post(path, json=body, headers=payment)
            eventually(lambda stub=stub: len(transfers(buyer, stub.pay_to)) == 1, otherwise="nothing was paid")

    def test_an_expired_payment_is_refused(
        self, ready: dict[str, Any], stubs: StubMarket, buy_from: Callable[[str], RawBuyer]
    ) -> None:
        prism = buy_from("prism")
        payment = prism.payment("/run", {"command": "true"}, life_s=30)
        advance_time(ready["chain"]["rpcUrl"], 31)
        ahead = our_offer(prism.http.post("/run", json={"command": "true"}))
        assert ahead.amount == "300000"
        assert prism.http.post("/run", json={"command": "true"}, headers=payment).status_code == 402

    def test_switches_are_for_who_has_the_secret(self, stubs: StubMarket) -> None:
        with httpx.Client(base_url=stubs.url, trust_env=False, verify=False, timeout=60) as http:
            switches = {"stub": "prism", "modes": ["no_gpu"]}
            assert http.put("/stubs/modes", json=switches).status_code == 401
            http.headers["Authorization"] = f"Bearer {stubs.secret}"
            assert http.put("/stubs/modes", json=switches).json()["prism"]["on"] == ["no_gpu"]
            assert http.put("/stubs/modes", json={**switches, "modes": ["no_such"]}).status_code == 422
            assert http.put("/stubs/modes", json={**switches, "stub": "none"}).status_code == 404
            before = stubs.clock.now()
            assert http.post("/stubs/clock", json={"advanceS": 60}).json()["now"] >= before + 60
            assert http.post("/stubs/prism/restart").is_success
            assert set(http.get("/stubs").json()) == {kind.NAME for kind in STUBS}


def test_they_run_as_a_program_on_a_chain_that_is_there_and_end_with_its_input(ready: dict[str, Any]) -> None:
    environment = {**os.environ, **variables(ready), "GPU_VENDOR_SECRET": "s", "PORT": "0"}
    program = subprocess.Popen(
        [sys.executable, "-m", "mock_vendor.stubs"], env=environment, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, text=True
    )
    with program:
        assert program.stdin
        assert program.stdout
        line = json.loads(program.stdout.readline())
        assert [vendor_from(entry).protocol for entry in line["vendors"]] == ["hypercli", "prism", "openvps"]
        prism = next(entry for entry in line["vendors"] if entry["vendorId"] == "prism")
        asked = httpx.post(f"{prism['endpoint']}/run", json={"command": "true"}, trust_env=False, timeout=60)
        assert our_offer(asked).pay_to == prism["payTo"]
        modes = httpx.get(f"{line['url']}/stubs", headers=bearer("s"), trust_env=False, timeout=60).json()
        assert "lease_fails" in modes["prism"]["modes"]
        place = read({**os.environ, **line["bucket"]}).file_store
        assert isinstance(place, Bucket)
        with closing(S3Store(place.name, place.prefix, line["bucket"])) as bucket:
            bucket.leave("folder", "name", b"a file")
            url = bucket.place_url("folder", "name", 60)
            assert httpx.get(url, trust_env=False, timeout=60).content == b"a file"
        program.stdin.close()
        assert program.wait(60) == 0


def test_where_no_bucket_can_be_had_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "moto.server", None)
    with serving_bucket("127.0.0.1") as variables_of_none:
        assert variables_of_none == {}
    assert "pip install" in MISSING
