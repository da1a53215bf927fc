"""The adapters of HyperCLI, Prism and OpenVPS: what they send, and what any answer becomes."""

import json
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from gpuagent.adapters.vendors.adapter import Parts
from gpuagent.adapters.vendors.command_vendor import CommandVendor
from gpuagent.adapters.vendors.http import no_content
from gpuagent.adapters.vendors.hypercli import HyperCliVendor
from gpuagent.adapters.vendors.openvps import OpenVpsVendor, digest
from gpuagent.adapters.vendors.prism import PrismVendor
from gpuagent.adapters.vendors.registry import PROTOCOLS
from gpuagent.core.credits import CreditClaim, CreditKind
from gpuagent.core.model import Authorized, JobAccess, Quote, Reserved, Vendor
from gpuagent.core.orders import order_text
from gpuagent.core.ports.vendors import VendorJob
from gpuagent.core.work import FileEntry, JobStatus
from gpuagent.core.workload import Workload
from gpuagent.errors import OfferInvalid, VendorBusy, VendorError, VendorUnauthorized
from tests.support.factories import NOW, PAYER, VENDOR, WIRE_TERMS, authorization
from tests.support.routed_server import RoutedAnswer, RoutedServer, routed_server

ACCESS = JobAccess("token-of-the-job")
KINDS: dict[str, type[CommandVendor]] = {"hypercli": HyperCliVendor, "prism": PrismVendor, "openvps": OpenVpsVendor}
ORDERS = {"hypercli": "POST /api/x402/job", "prism": "POST /run", "openvps": "POST /v1/jobs"}
PRICES = {"a100_x1": {"us": {"on-demand": 3.0, "interruptable": 1.4}, "eu": {"interruptable": 2}}}


@pytest.fixture(scope="module")
def shared_server() -> Iterator[RoutedServer]:
    with routed_server() as server:
        yield server


@pytest.fixture
def server(shared_server: RoutedServer) -> RoutedServer:
    shared_server.clear()
    shared_server.answer("GET /instances/pricing", RoutedAnswer(PRICES))
    return shared_server


@pytest.fixture(scope="module")
def adapters() -> Iterator[dict[str, CommandVendor]]:
    parts = Parts({"GPU_VENDOR_SECRET": "s"}.get, lambda: NOW, no_content)
    adapters = {name: kind(parts) for name, kind in KINDS.items()}
    yield adapters
    for adapter in adapters.values():
        adapter.close()


def vendor(server: RoutedServer, name: str) -> Vendor:
    return replace(VENDOR, vendor_id=name, endpoint=server.url, protocol=name, secret_env="")


def order(command: str = "echo hi", **fields: Any) -> str:
    workload = Workload.model_validate({"name": "job", "command": command, **fields})
    return order_text(workload.canonical, None)


def asks(amount: int = 1_400_000, **changes: Any) -> RoutedAnswer:
    required = {"x402Version": 2, "accepts": [{**WIRE_TERMS, "amount": str(amount), **changes}]}
    return RoutedAnswer({}, 402, {"PAYMENT-REQUIRED": b64encode(json.dumps(required).encode()).decode()})


def quoted(adapter: CommandVendor, vendor: Vendor, text: str, hours: str = "1") -> Quote:
    return adapter.quote(vendor, "goal", "A100", Decimal(hours), text)


def authorized(quote: Quote) -> Authorized:
    return Authorized("job-1", quote, 0, authorization(quote.amount), b64encode(b'{"x402Version": 2}').decode())


class TestAll:
    def test_they_are_the_protocols_of_the_registry(self) -> None:
        assert set(KINDS) | {"gpuagent/1"} == set(PROTOCOLS)

    @pytest.mark.parametrize("name", KINDS)
    def test_what_they_cannot_do_is_said_before_a_vendor_is_asked(
        self, adapters: dict[str, CommandVendor], server: RoutedServer, name: str
    ) -> None:
        with pytest.raises(VendorError, match="files"):
            quoted(adapters[name], vendor(server, name), order(outputs=[{"path": "model"}]))
        assert server.requests == []
        with pytest.raises(VendorError, match="no files"):
            adapters[name].read_file(vendor(server, name), VendorJob("j"), FileEntry("a", 1, "b" * 64), 0, 1)

    @pytest.mark.parametrize("name", KINDS)
    def test_nothing_of_ours_is_sent_with_an_unpaid_order(
        self, adapters: dict[str, CommandVendor], server: RoutedServer, name: str
    ) -> None:
        server.answer(ORDERS[name], asks(maxTimeoutSeconds=7200))
        quote = quoted(adapters[name], vendor(server, name), order())
        challenge = adapters[name].challenge(vendor(server, name), Reserved("job-1", quote, 0))
        assert challenge.accepts[0].amount == "1400000"
        for request in server.requests:
            assert not {"Authorization", "x-vendor-id", "X-Payment", "Payment-Signature"} & set(request.headers)

    @pytest.mark.parametrize("name", KINDS)
    def test_the_probe_and_both_submits_have_one_body(
        self, adapters: dict[str, CommandVendor], server: RoutedServer, name: str
    ) -> None:
        sold = {"job": {"job_id": "j-1"}, "job_id": "j-1", "access_key": "k", "token": "k"}
        server.answer(ORDERS[name], asks(maxTimeoutSeconds=7200), asks(), RoutedAnswer(sold, 202))
        shop, adapter = vendor(server, name), adapters[name]
        quote = quoted(adapter, shop, order(env={"A": "b"}, setup="true"))
        adapter.challenge(shop, Reserved("job-1", quote, 0))
        submitted = [adapter.submit(shop, authorized(quote)) for _ in range(2)]
        bodies = [request.body for request in server.requests if request.method == "POST"]
        assert len(bodies) == 4
        assert all(body == bodies[0] for body in bodies)
        assert submitted[0] == submitted[1]
        assert submitted[0].access.poll_url == ""
        assert server.requests[-1].headers["PAYMENT-SIGNATURE"] == authorized(quote).header

    @pytest.mark.parametrize("name", KINDS)
    def test_a_404_a_401_and_a_503_are_told_apart(
        self, adapters: dict[str, CommandVendor], server: RoutedServer, name: str
    ) -> None:
        path = {"hypercli": "/api/jobs/j", "prism": "/jobs/j", "openvps": "/v1/jobs/j"}[name]
        job_id, access = ("j", ACCESS) if name != "openvps" else (digest("j"), JobAccess("j"))
        later = {"error": "no_warm_gpu", "retry_after_seconds": 30}
        for status, body, problem in ((404, {}, VendorError), (401, {}, VendorUnauthorized), (503, later, VendorBusy)):
            server.answer(f"GET {path}", RoutedAnswer(body, status))
            with pytest.raises(problem) as caught:
                adapters[name].status(vendor(server, name), VendorJob(job_id, access))
            assert type(caught.value) is problem

    @pytest.mark.parametrize("name", ["hypercli", "prism"])
    def test_a_job_is_asked_for_with_its_own_token_under_its_own_path(
        self, adapters: dict[str, CommandVendor], server: RoutedServer, name: str
    ) -> None:
        path = {"hypercli": "/api/jobs/", "prism": "/jobs/"}[name] + "..%2F..%2Fadmin"
        answer = {"job_id": "../../admin", "state": "running", "status": "running", "note": "token-of-the-job"}
        server.answer(f"GET {path}", RoutedAnswer(answer))
        report = adapters[name].status(vendor(server, name), VendorJob("../../admin", ACCESS))
        assert report.status is JobStatus.RUNNING
        assert server.requests[0].headers["Authorization"] == "Bearer token-of-the-job"
        server.answer(f"GET {path}", RoutedAnswer({**answer, "job_id": "another"}))
        with pytest.raises(VendorError, match="another job"):
            adapters[name].status(vendor(server, name), VendorJob("../../admin", ACCESS))


class TestHyperCli:
    @pytest.fixture
    def adapter(self, adapters: dict[str, CommandVendor]) -> CommandVendor:
        return adapters["hypercli"]

    @pytest.fixture
    def shop(self, server: RoutedServer) -> Vendor:
        return vendor(server, "hypercli")

    def test_the_amount_is_named_and_the_cheapest_region(
        self, adapter: CommandVendor, shop: Vendor, server: RoutedServer
    ) -> None:
        server.answer(ORDERS["hypercli"], asks(2_100_000))
        quote = quoted(adapter, shop, order(env={"A": "b"}), "1.5")
        assert (quote.amount, quote.template_id) == (2_100_000, "amount us")
        body = server.requests[-1].body
        assert body["amount"] == 2.1
        assert body["job"]["region"] == "us"
        assert body["job"]["gpu_type"] == "a100"
        assert body["job"]["env_vars"] == {"A": "b"}
        assert "echo hi" in b64decode(body["job"]["command"]).decode()

    @pytest.mark.parametrize(
        ("gpu", "sent"),
        [("A100-80GB", "a100_80"), ("a100 40 GB", "a100_40"), ("RTX 6000 Ada", "rtx6000ada"), ("A100_40", "a100_40")],
    )
    def test_a_gpu_is_ordered_by_the_name_that_its_list_has(
        self, adapter: CommandVendor, shop: Vendor, server: RoutedServer, gpu: str, sent: str
    ) -> None:
        names = ("a100_40", "a100_80", "rtx6000ada", "l40s", "h100")
        prices = {f"{name}_x{count}": {"us": {"interruptible": 1}} for name in names for count in (1, 2)}
        server.answer("GET /instances/pricing", RoutedAnswer(prices))
        server.answer(ORDERS["hypercli"], asks(1_000_000))
        quote = adapter.quote(shop, "goal", gpu, Decimal(1), order())
        challenge = adapter.challenge(shop, Reserved("job-1", quote, 0))
        assert (quote.template_id, challenge.accepts[0].amount) == ("amount us", "1000000")
        assert [request.body["job"]["gpu_type"] for request in server.requests[1:]] == [sent, sent]
        assert server.requests[-1].body["job"]["region"] == "us"
        server.answer(ORDERS["hypercli"], RoutedAnswer({"detail": []}, 422))
        with pytest.raises(VendorError, match=r"for a100_x1, .*: it lists a100_40_x1, a100_80_x1, h100_x1, l40s"):
            adapter.quote(shop, "goal", "A100", Decimal(1), order())

    def test_a_422_is_answered_by_the_other_body(
        self, adapter: CommandVendor, shop: Vendor, server: RoutedServer
    ) -> None:
        server.answer(ORDERS["hypercli"], RoutedAnswer({"detail": []}, 422), asks(1_500_000))
        quote = quoted(adapter, shop, order())
        assert (quote.amount, quote.template_id) == (1_500_000, "runtime us")
        assert server.requests[-1].body["runtime"] == 3600
        assert "amount" not in server.requests[-1].body

    def test_another_amount_than_was_named_is_refused(
        self, adapter: CommandVendor, shop: Vendor, server: RoutedServer
    ) -> None:
        server.answer(ORDERS["hypercli"], asks(1_400_001))
        with pytest.raises(OfferInvalid, match="named"):
            quoted(adapter, shop, order())

    @pytest.mark.parametrize(
        "prices",
        [
            {},
            {"a100_x1": None},
            {"a100_x1": {"us": 1}},
            {"a100_x1": {"us": {"interruptable": "1"}}},
            {"a100_x1": {"us": {"interruptable": True}}},
            {"a100_x1": {"us": {"interruptable": -1}}},
            {"a100_x1": {"us\n": {"interruptable": 1}}},
        ],
    )
    def test_without_a_price_there_is_no_quote(
        self, adapter: CommandVendor, shop: Vendor, server: RoutedServer, prices: Any
    ) -> None:
        server.answer("GET /instances/pricing", RoutedAnswer(prices))
        server.answer(ORDERS["hypercli"], RoutedAnswer({"detail": []}, 422))
        with pytest.raises(VendorError, match="no price for a100_x1"):
            quoted(adapter, shop, order())

    def test_without_a_price_list_the_other_body_names_the_price(
        self, adapter: CommandVendor, shop: Vendor, server: RoutedServer
    ) -> None:
        server.answer("GET /instances/pricing", RoutedAnswer({"detail": "no key"}, 401))
        server.answer(ORDERS["hypercli"], asks(1_500_000))
        quote = quoted(adapter, shop, order())
        assert (quote.amount, quote.template_id) == (1_500_000, "runtime")
        assert (server.requests[-1].body["runtime"], "region" in server.requests[-1].body) == (3600, False)

    @pytest.mark.parametrize(
        ("state", "logs", "status", "code"),
        [
            ("pending", "", JobStatus.SUBMITTED, None),
            ("running", "a\n", JobStatus.RUNNING, None),
            ("draining", "a\n", JobStatus.RUNNING, None),
            ("succeeded", "a\ngpuagent: exit code 0\n", JobStatus.COMPLETED, 0),
            ("succeeded", None, JobStatus.COMPLETED, 0),
            ("failed", "a\ngpuagent: exit code 3\n", JobStatus.FAILED, 3),
            ("failed", "a\n", JobStatus.FAILED, None),
            ("terminated", "a\n", JobStatus.FAILED, None),
            ("canceled", "a\n", JobStatus.FAILED, None),
        ],
    )
    def test_its_words_are_ours(
        self,
        adapter: CommandVendor,
        shop: Vendor,
        server: RoutedServer,
        state: str,
        logs: str | None,
        status: JobStatus,
        code: int | None,
    ) -> None:
        server.answer("GET /api/jobs/j", RoutedAnswer({"job_id": "j", "state": state}))
        if logs is not None:
            server.answer("GET /api/jobs/j/logs", RoutedAnswer({"job_id": "j", "logs": logs}))
        report = adapter.status(shop, VendorJob("j", ACCESS))
        assert (report.status, report.exit_code) == (status, code)
        assert report.logs == (("a",) if logs else ())
        assert (report.word == "") is (state in ("running", "failed"))

    def test_a_state_that_is_none_is_no_end(self, adapter: CommandVendor, shop: Vendor, server: RoutedServer) -> None:
        server.answer("GET /api/jobs/j", RoutedAnswer({"job_id": "j", "state": None}))
        with pytest.raises(VendorBusy, match="no state"):
            adapter.status(shop, VendorJob("j", ACCESS))

    @pytest.mark.parametrize(("state", "amount"), [("canceled", 700_000), ("running", 0), ("succeeded", 0)])
    def test_the_rest_of_a_cancelled_job_alone_is_on_the_balance(
        self, adapter: CommandVendor, shop: Vendor, server: RoutedServer, state: str, amount: int
    ) -> None:
        news = {"job_id": "j", "state": state, "price_per_hour": 1.4, "time_left": 1_800}
        server.answer("GET /api/jobs/j", RoutedAnswer(news))
        credit = adapter.status(shop, VendorJob("j", ACCESS)).credit
        assert credit == (CreditClaim(CreditKind.BALANCE, amount) if amount else None)

    @pytest.mark.parametrize(
        ("times", "amount"),
        [
            ({"started_at": None, "completed_at": 1_790_000_000.5}, 1_400_000),
            ({"started_at": 1_790_000_000.5, "completed_at": 1_790_001_800.5}, 700_000),
            ({"started_at": 1_790_000_000, "completed_at": None}, 0),
            ({"started_at": "2026-11-30T00:00:00Z", "completed_at": 1_790_001_800}, 0),
            ({"started_at": 1_790_000_000, "completed_at": 1_790_009_999}, 0),
            ({"started_at": 1_790_000_000, "completed_at": 1_790_000_000, "time_left": 1_800}, 700_000),
        ],
    )
    def test_what_is_left_follows_from_its_times_where_it_does_not_say_so(
        self, adapter: CommandVendor, shop: Vendor, server: RoutedServer, times: dict[str, Any], amount: int
    ) -> None:
        """Its OpenAPI document has no time_left; its SDK has one."""
        news = {"job_id": "j", "state": "canceled", "price_per_hour": 1.4, "runtime": 3_600, **times}
        server.answer("GET /api/jobs/j", RoutedAnswer(news))
        credit = adapter.status(shop, VendorJob("j", ACCESS)).credit
        assert credit == (CreditClaim(CreditKind.BALANCE, amount) if amount else None)

    def test_a_job_is_cancelled_with_its_token(
        self, adapter: CommandVendor, shop: Vendor, server: RoutedServer
    ) -> None:
        server.answer("DELETE /api/jobs/j", RoutedAnswer({"status": "canceled"}))
        assert adapter.cancel(shop, VendorJob("j", ACCESS)) == "canceled"
        assert server.requests[-1].headers["Authorization"] == "Bearer token-of-the-job"


class TestPrism:
    @pytest.fixture
    def adapter(self, adapters: dict[str, CommandVendor]) -> CommandVendor:
        return adapters["prism"]

    @pytest.fixture
    def shop(self, server: RoutedServer) -> Vendor:
        return vendor(server, "prism")

    def test_a_job_that_is_longer_than_the_lease_is_not_bought(
        self, adapter: CommandVendor, shop: Vendor, server: RoutedServer
    ) -> None:
        server.answer(ORDERS["prism"], asks(300_000, maxTimeoutSeconds=1020))
        assert quoted(adapter, shop, order(), "0.25").amount == 300_000
        with pytest.raises(VendorError, match="900 s"):
            quoted(adapter, shop, order(), "0.26")

    def test_a_command_that_is_too_long_is_not_sent(
        self, adapter: CommandVendor, shop: Vendor, server: RoutedServer
    ) -> None:
        with pytest.raises(VendorError, match="16384 bytes"):
            quoted(adapter, shop, order("echo " + "x" * 16_400))
        assert server.requests == []

    @pytest.mark.parametrize(
        ("answer", "status", "word", "code"),
        [
            ({"status": "queued"}, JobStatus.SUBMITTED, "queued", None),
            ({"status": "running"}, JobStatus.RUNNING, "", None),
            ({"status": "completed", "exit_code": 4, "charged": True}, JobStatus.COMPLETED, "charged, by its word", 4),
            ({"status": "completed", "exit_code": 0, "charged": None}, JobStatus.COMPLETED, "it does not know", 0),
            ({"status": "failed", "charged": False, "error": "no_offers"}, JobStatus.FAILED, "not charged", None),
        ],
    )
    def test_its_words_are_ours_and_its_charge_is_words(
        self,
        adapter: CommandVendor,
        shop: Vendor,
        server: RoutedServer,
        answer: dict[str, Any],
        status: JobStatus,
        word: str,
        code: int | None,
    ) -> None:
        server.answer("GET /jobs/j", RoutedAnswer({"job_id": "j", "stdout": "a\nb\n", "stderr": "c\n", **answer}))
        report = adapter.status(shop, VendorJob("j", ACCESS))
        assert (report.status, report.exit_code, report.logs) == (status, code, ("a", "b", "c"))
        assert report.word.startswith(word)
        assert report.error_message == answer.get("error", "")

    def test_what_it_owes_and_what_it_sent_are_claims(
        self, adapter: CommandVendor, shop: Vendor, server: RoutedServer
    ) -> None:
        failed = {"job_id": "j", "status": "failed", "error": "no_offers"}
        owed = {"refund_owed": {"to": PAYER, "amount": "300000", "network": "eip155:8453"}}
        server.answer(
            "GET /jobs/j", RoutedAnswer({**failed, **owed}), RoutedAnswer({**failed, "refund": "0x" + "a" * 64})
        )
        claims = [adapter.status(shop, VendorJob("j", ACCESS)).credit for _ in range(2)]
        assert claims == [
            CreditClaim(CreditKind.OWED, 300_000, PAYER.lower(), "eip155:8453"),
            CreditClaim(CreditKind.SENT, transaction="0x" + "a" * 64),
        ]

    def test_it_ends_no_job(self, adapter: CommandVendor, shop: Vendor, server: RoutedServer) -> None:
        server.answer(ORDERS["prism"], asks(300_000, maxTimeoutSeconds=1020))
        assert quoted(adapter, shop, order(), "0.25").accepts == ("workload",)
        with pytest.raises(VendorError, match="ends no job"):
            adapter.cancel(shop, VendorJob("j", ACCESS))


class TestOpenVps:
    @pytest.fixture
    def adapter(self, adapters: dict[str, CommandVendor]) -> CommandVendor:
        return adapters["openvps"]

    @pytest.fixture
    def shop(self, server: RoutedServer) -> Vendor:
        return vendor(server, "openvps")

    @pytest.mark.parametrize(
        ("fields", "hours", "words"),
        [
            ({"resources": {"gpu": "CPU", "cpu": 5}}, "1", "4 CPUs"),
            ({"resources": {"gpu": "CPU", "memory": 5_000_000_000}}, "1", "4096 MB"),
            ({}, "1.01", "3600 s"),
            ({"image": "debian:12"}, "1", "debian:12"),
        ],
    )
    def test_what_it_would_clamp_is_not_ordered(
        self,
        adapter: CommandVendor,
        shop: Vendor,
        server: RoutedServer,
        fields: dict[str, Any],
        hours: str,
        words: str,
    ) -> None:
        with pytest.raises(VendorError, match=words):
            quoted(adapter, shop, order(**fields), hours)
        assert server.requests == []

    def test_small_numbers_are_raised_to_its_smallest(
        self, adapter: CommandVendor, shop: Vendor, server: RoutedServer
    ) -> None:
        server.answer(ORDERS["openvps"], asks(50))
        quoted(adapter, shop, order(resources={"gpu": "CPU", "memory": 1_000_000}, setup="true"), "0.01")
        body = server.requests[-1].body
        assert (body["vcpus"], body["ram_mb"], body["timeout"], body["setup"]) == (1, 256, 60, "true")

    def test_the_job_s_id_is_a_secret(self, adapter: CommandVendor, shop: Vendor, server: RoutedServer) -> None:
        server.answer(ORDERS["openvps"], asks(50), RoutedAnswer({"job_id": "b0b0-secret-id"}, 201))
        submitted = adapter.submit(shop, authorized(quoted(adapter, shop, order())))
        assert submitted.vendor_job_id == digest("b0b0-secret-id")
        assert submitted.access == JobAccess("b0b0-secret-id")
        answer = {"job_id": "b0b0-secret-id", "status": "running", "output": "I am b0b0-secret-id"}
        server.answer("GET /v1/jobs/b0b0-secret-id", RoutedAnswer(answer))
        report = adapter.status(shop, VendorJob(submitted.vendor_job_id, submitted.access))
        assert "b0b0" not in repr(report)
        assert "Authorization" not in server.requests[-1].headers
        with pytest.raises(VendorError, match="not kept here"):
            adapter.status(shop, VendorJob(submitted.vendor_job_id))

    def test_the_job_s_id_is_a_secret_in_an_error_too(
        self, adapter: CommandVendor, shop: Vendor, server: RoutedServer
    ) -> None:
        failed = {"error": "provision_failed", "job_id": "c1c1-secret-id-7", "poll_url": "/v1/jobs/c1c1-secret-id-7"}
        server.answer(ORDERS["openvps"], asks(50), RoutedAnswer(failed, 500))
        with pytest.raises(VendorError, match="provision_failed") as caught:
            adapter.submit(shop, authorized(quoted(adapter, shop, order())))
        assert "c1c1" not in str(caught.value)

    def test_an_answer_about_another_job_is_none(
        self, adapter: CommandVendor, shop: Vendor, server: RoutedServer
    ) -> None:
        server.answer("GET /v1/jobs/mine", RoutedAnswer({"job_id": "other", "status": "completed"}))
        with pytest.raises(VendorError, match="another job"):
            adapter.status(shop, VendorJob(digest("mine"), JobAccess("mine")))

    def test_its_words_are_ours(self, adapter: CommandVendor, shop: Vendor, server: RoutedServer) -> None:
        words = {"pending": JobStatus.SUBMITTED, "running": JobStatus.RUNNING, "completed": JobStatus.COMPLETED}
        for word, status in {**words, "failed": JobStatus.FAILED, "timeout": JobStatus.FAILED}.items():
            server.answer("GET /v1/jobs/mine", RoutedAnswer({"job_id": "mine", "status": word, "exit_code": 2}))
            report = adapter.status(shop, VendorJob(digest("mine"), JobAccess("mine")))
            assert (report.status, report.exit_code) == (status, 2)

    @pytest.mark.parametrize(
        ("code", "output", "fault"),
        [
            (1, "SSH not available after 30 seconds", "its machine failed: SSH not available after 30 seconds"),
            (1, "", "its machine failed: without a word"),
            (255, "50 %\nclient_loop: send disconnect: Broken pipe", "its machine failed: client_loop: send"),
            (1, "a\ngpuagent: exit code 1\nWarning: Permanently added '10.0.0.2' to known hosts.", ""),
            (255, "gpuagent: exit code 255\n", ""),
            (1, "=== SETUP (exit 1) ===\nE: no such package\n\n", ""),
            (3, "an order without that line", ""),
        ],
    )
    def test_a_machine_that_is_lost_is_no_end_of_the_program(
        self, adapter: CommandVendor, shop: Vendor, server: RoutedServer, code: int, output: str, fault: str
    ) -> None:
        """It has exit code 1 or ssh's 255 for what it did not do, and no program is to be blamed for that."""
        answer = {"job_id": "mine", "status": "failed", "exit_code": code, "output": output}
        server.answer("GET /v1/jobs/mine", RoutedAnswer(answer))
        report = adapter.status(shop, VendorJob(digest("mine"), JobAccess("mine")))
        assert report.exit_code == (None if fault else code)
        assert report.error_message.startswith(fault)
        assert bool(report.error_message) is bool(fault)
        assert not any("exit code" in line for line in report.logs)
