"""Files of jobs at vendors that have none: what the adapters order, hand out, read back and refuse."""

import hashlib
import json
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from typing import Any
from urllib.parse import quote as percent

import pytest

from gpuagent.adapters.vendors.adapter import Parts
from gpuagent.adapters.vendors.command_vendor import CommandVendor
from gpuagent.adapters.vendors.depot_files import JOBS_KEPT
from gpuagent.adapters.vendors.http import no_content
from gpuagent.adapters.vendors.hypercli import HyperCliVendor
from gpuagent.adapters.vendors.openvps import OpenVpsVendor, digest
from gpuagent.adapters.vendors.prism import PrismVendor
from gpuagent.adapters.vendors.wrapper import LIST, mark_of
from gpuagent.core.model import Authorized, JobAccess, Quote, Reserved, Vendor
from gpuagent.core.orders import manifest_sha256, order_text
from gpuagent.core.ports.vendors import VendorJob
from gpuagent.core.work import FileEntry, JobStatus
from gpuagent.core.workload import Workload
from gpuagent.errors import FileAltered, StoreError, VendorError
from tests.support.factories import NOW, VENDOR, WIRE_TERMS, authorization
from tests.support.memory_depot import SIGNATURE, MemoryDepot
from tests.support.routed_server import RoutedAnswer, RoutedServer, routed_server

KINDS: dict[str, type[CommandVendor]] = {"hypercli": HyperCliVendor, "prism": PrismVendor, "openvps": OpenVpsVendor}
ORDERS = {"hypercli": "POST /api/x402/job", "prism": "POST /run", "openvps": "POST /v1/jobs"}
PRICES = {"a100_x1": {"us": {"interruptable": 1.4}}}
FOLDER = "folder-of-the-job-0123456789"
MARK = mark_of(FOLDER)
ACCESS = JobAccess("token-of-the-job", folder=FOLDER)
MODEL = b"the model"
OUT = FileEntry("model", len(MODEL), hashlib.sha256(MODEL).hexdigest())
OFFER = {"x402Version": 2, "accepts": [{**WIRE_TERMS, "amount": "1400000", "maxTimeoutSeconds": 7200}]}
ASKS = RoutedAnswer({}, 402, {"PAYMENT-REQUIRED": b64encode(json.dumps(OFFER).encode()).decode()})


@pytest.fixture(scope="module")
def shared_server() -> Iterator[RoutedServer]:
    with routed_server() as server:
        yield server


@pytest.fixture
def server(shared_server: RoutedServer) -> RoutedServer:
    shared_server.clear()
    shared_server.answer("GET /instances/pricing", RoutedAnswer(PRICES))
    return shared_server


@pytest.fixture
def depot() -> MemoryDepot:
    return MemoryDepot()


@pytest.fixture
def adapters(depot: MemoryDepot) -> Iterator[dict[str, CommandVendor]]:
    adapters = {name: kind(Parts({}.get, lambda: NOW, no_content, depot=depot)) for name, kind in KINDS.items()}
    yield adapters
    for adapter in adapters.values():
        adapter.close()


@pytest.fixture
def prism(adapters: dict[str, CommandVendor]) -> CommandVendor:
    return adapters["prism"]


@pytest.fixture
def shop(server: RoutedServer) -> Vendor:
    return vendor(server, "prism")


def vendor(server: RoutedServer, name: str) -> Vendor:
    return replace(VENDOR, vendor_id=name, endpoint=server.url, protocol=name, secret_env="")


def order(command: str = "echo hi", **fields: Any) -> str:
    fields = {"outputs": [{"path": "model"}], **fields}
    return order_text(Workload.model_validate({"name": "job", "command": command, **fields}).canonical, None)


def quoted(adapter: CommandVendor, vendor: Vendor, text: str, hours: str = "1") -> Quote:
    return adapter.quote(vendor, "goal", "A100", Decimal(hours), text)


def authorized(quote: Quote) -> Authorized:
    return Authorized("job-1", quote, 0, authorization(quote.amount), b64encode(b'{"x402Version": 2}').decode())


def entry(file: FileEntry, slot: str = "o0", **changes: Any) -> dict[str, Any]:
    return {"path": file.path, "bytes": file.bytes, "sha256": file.sha256, "slot": slot, **changes}


def line(content: object) -> str:
    return f"{MARK}{json.dumps(content)}{MARK}"


def end(*entries: object, code: int = 0) -> str:
    return line({"end": True, "exit": code, "files": list(entries)})


def says(server: RoutedServer, *lines: str, status: str = "completed", **changes: Any) -> None:
    """The vendor's answer about the job, whose output has these lines."""
    answer = {"job_id": "j", "status": status, "exit_code": 0, "stdout": "\n".join(lines), **changes}
    server.answer("GET /jobs/j", RoutedAnswer(answer))


def collected(adapter: CommandVendor, shop: Vendor, file: FileEntry, depot: MemoryDepot, checkpoint: str = "") -> bytes:
    """The content of a file, as the agent collects and proves it."""
    parts = adapter.read_file(shop, VendorJob("j", ACCESS), file, 0, 5, checkpoint)
    depot.uploads.clear()
    depot.extend("upload", 0, parts, file.bytes)
    depot.finish("upload", file.sha256, file.bytes)
    return b"".join(depot.read(file.sha256))


class TestOrder:
    @pytest.mark.parametrize("name", KINDS)
    def test_one_text_is_quoted_offered_and_paid_and_files_can_be_had_only_then(
        self, adapters: dict[str, CommandVendor], server: RoutedServer, depot: MemoryDepot, name: str
    ) -> None:
        shop, adapter = vendor(server, name), adapters[name]
        server.answer(ORDERS[name], ASKS, ASKS, RoutedAnswer({"job_id": "j", "access_key": "k", "token": "k"}, 202))
        inputs = [{"path": "data", "sha256": OUT.sha256, "bytes": 9}]
        quote = quoted(adapter, shop, order(inputs=inputs, env={"A": "b"}, setup="true"))
        assert {"workload", "files", "checkpoint"} <= set(quote.accepts)
        file = FileEntry("data", 9, OUT.sha256)
        assert adapter.input_received(shop, Reserved("job-1", quote, 0), file) == 9
        adapter.challenge(shop, Reserved("job-1", quote, 0))
        assert depot.left == {}, "no file is within reach of a vendor that is not paid"
        submitted = [adapter.submit(shop, authorized(quote)) for _ in range(2)]
        assert submitted[0] == submitted[1]
        assert submitted[0].access.folder == quote.envelope.folder
        bodies = [request.body for request in server.requests if request.method == "POST"]
        assert len(bodies) == 4
        assert all(body == bodies[0] for body in bodies)
        assert list(depot.left) == [(quote.envelope.folder, LIST)]
        names = [entry.split(" ")[0] for entry in depot.left[quote.envelope.folder, LIST].decode().splitlines()]
        assert names == [f"f{OUT.sha256}", "o0"]
        assert SIGNATURE not in repr((quote, submitted, Reserved("job-1", quote, 0)))
        text = b64decode(bodies[0]["job"]["command"]).decode() if name == "hypercli" else bodies[0]["command"]
        assert text.count(SIGNATURE) == 1
        assert "env_vars" not in bodies[0].get("job", {})
        assert "setup" not in bodies[0]

    def test_two_quotes_have_two_folders(self, prism: CommandVendor, shop: Vendor, server: RoutedServer) -> None:
        server.answer(ORDERS["prism"], ASKS)
        assert quoted(prism, shop, order()).envelope != quoted(prism, shop, order()).envelope

    def test_a_job_without_files_goes_as_it_is(self, prism: CommandVendor, shop: Vendor, server: RoutedServer) -> None:
        server.answer(ORDERS["prism"], ASKS)
        quote = quoted(prism, shop, order(outputs=[]))
        assert (quote.envelope.folder, quote.accepts) == ("", ("workload",))

    @pytest.mark.parametrize(
        ("fields", "hours", "origin", "words"),
        [
            ({"secrets": ["HF_TOKEN"]}, "1", "https://b.example", "no place for secrets"),
            ({"command": "echo " + "x" * 13_000}, "1", "https://b.example", "16384 bytes .* sends its files"),
            ({}, "84", "https://b.example", "604800 s at most"),
            ({}, "1", "http://b.example", "behind https"),
        ],
    )
    def test_what_does_not_fit_is_said_before_a_vendor_is_asked(
        self,
        prism: CommandVendor,
        shop: Vendor,
        server: RoutedServer,
        depot: MemoryDepot,
        fields: dict[str, Any],
        hours: str,
        origin: str,
        words: str,
    ) -> None:
        depot.origin = origin
        with pytest.raises(VendorError, match=words) as caught:
            quoted(prism, shop, order(**fields), hours)
        assert server.requests == []
        assert SIGNATURE not in str(caught.value)

    def test_a_store_on_this_machine_serves_vendors_on_this_machine(
        self, prism: CommandVendor, shop: Vendor, server: RoutedServer, depot: MemoryDepot
    ) -> None:
        depot.origin = "http://127.0.0.1:9"
        server.answer(ORDERS["prism"], ASKS)
        assert quoted(prism, shop, order()).envelope.url.startswith("http://127.0.0.1:9/")
        with pytest.raises(VendorError, match="cannot reach the file store"):
            quoted(prism, replace(shop, endpoint="https://prism.example"), order())

    def test_a_store_that_fails_is_our_own_slip(
        self, prism: CommandVendor, shop: Vendor, server: RoutedServer, depot: MemoryDepot
    ) -> None:
        server.answer(ORDERS["prism"], ASKS)
        quote = quoted(prism, shop, order())
        depot.fails = True
        with pytest.raises(VendorError, match="could be signed"):
            quoted(prism, shop, order())
        sent = len(server.requests)
        with pytest.raises(StoreError):
            prism.submit(shop, authorized(quote))
        assert len(server.requests) == sent, "nothing is paid for that could not begin"

    @pytest.mark.safety("a vendor that repeats the signed URLs of its job, in an error or in a log")
    def test_a_url_is_a_secret(self, prism: CommandVendor, shop: Vendor, server: RoutedServer) -> None:
        server.answer(ORDERS["prism"], ASKS)
        quote = quoted(prism, shop, order())
        command = server.requests[-1].body["command"]
        echoes = [command, b64encode(command.encode()).decode(), json.dumps(command), quote.envelope.url]
        for echo in echoes:
            server.answer(ORDERS["prism"], RoutedAnswer({"error": echo[-250:], "detail": echo}, 400))
            with pytest.raises(VendorError) as caught:
                prism.challenge(shop, Reserved("job-1", quote, 0))
            assert not _leaks(str(caught.value), quote)
        other = f"https://b.example/handed/x/o0?X-Amz-Credential=AKIA&X-Amz-Signature={'7' * 64}"
        access = JobAccess("t", folder=quote.envelope.folder)
        says(server, *echoes, f"curl: {other}", status="failed", error=f"no {other}")
        report = prism.status(shop, VendorJob("j", access))
        assert not any(_leaks(text, quote) for text in (*report.logs, report.error_message, report.word))
        assert "7" * 16 not in repr(report)

    @pytest.mark.parametrize("name", KINDS)
    def test_so_it_is_in_a_process_that_did_not_order(
        self, adapters: dict[str, CommandVendor], server: RoutedServer, depot: MemoryDepot, name: str
    ) -> None:
        """Each tick may be one of its own: what the job's envelope is it knows by the job alone."""
        server.answer(ORDERS[name], ASKS)
        shop = vendor(server, name)
        quote = quoted(adapters[name], shop, order())
        folder, path = quote.envelope.folder, quote.envelope.url.partition("?")[0]
        echoes = [f"curl: {path}", b64encode(f"get {path}?".encode()).decode()]
        texts, job = "\n".join(echoes), {"status": "running", "state": "running"}
        server.answer("GET /jobs/j", RoutedAnswer({**job, "stdout": texts}))
        server.answer("GET /v1/jobs/j", RoutedAnswer({**job, "output": texts}))
        server.answer("GET /api/jobs/j", RoutedAnswer(job))
        server.answer("GET /api/jobs/j/logs", RoutedAnswer({"logs": texts}))
        fresh = KINDS[name](Parts({}.get, lambda: NOW, no_content, depot=depot))
        report = fresh.status(shop, VendorJob(digest("j") if name == "openvps" else "j", JobAccess("j", folder=folder)))
        fresh.close()
        assert len(report.logs) == len(echoes)
        assert not any(text in log for log in report.logs for text in (folder, echoes[1]))

    @pytest.mark.parametrize("spelling", ["json", "percent"])
    def test_and_in_other_spellings(
        self, prism: CommandVendor, shop: Vendor, server: RoutedServer, spelling: str
    ) -> None:
        url = f"https://b.example/files/x?X-Amz-Algorithm=A&X-Amz-Credential=AKIA&X-Amz-Signature={'7' * 64}"
        text = url.replace("&", "\\u0026") if spelling == "json" else percent(url, safe="")
        says(server, f"GET {text}", status="running")
        report = prism.status(shop, VendorJob("j", ACCESS))
        assert "7" * 16 not in repr(report)


def _leaks(text: str, quote: Quote) -> bool:
    spellings = (quote.envelope.folder, SIGNATURE, b64encode(SIGNATURE.encode()).decode()[:40])
    return any(spelling in text for spelling in spellings)


class TestReport:
    def test_what_the_wrapper_says_is_no_log(self, prism: CommandVendor, shop: Vendor, server: RoutedServer) -> None:
        says(server, "a", f"b{end(entry(OUT))}", line({"metric": {"loss": 0.5}}), end(entry(OUT)), stderr="c\n")
        report = prism.status(shop, VendorJob("j", ACCESS))
        assert (report.status, report.logs, report.files) == (JobStatus.COMPLETED, ("a", "b", "c"), (OUT,))
        assert report.metrics == ({"loss": 0.5},)
        plain = prism.status(shop, VendorJob("j", JobAccess("token-of-the-job")))
        assert plain.files == ()

    def test_work_that_did_not_begin_is_no_failure_of_the_program(
        self, prism: CommandVendor, shop: Vendor, server: RoutedServer
    ) -> None:
        says(server, line({"end": True, "problem": "data did not come"}), exit_code=125)
        report = prism.status(shop, VendorJob("j", ACCESS))
        assert (report.status, report.exit_code) == (JobStatus.FAILED, None)
        assert report.error_message == "the work did not begin: data did not come"

    def test_without_its_output_a_job_has_no_end_yet(
        self, adapters: dict[str, CommandVendor], server: RoutedServer
    ) -> None:
        """What it left stands there alone: a log that cannot be had just now is no job without files."""
        hypercli, shop = adapters["hypercli"], vendor(server, "hypercli")
        server.answer("GET /api/jobs/j", RoutedAnswer({"job_id": "j", "state": "succeeded"}))
        server.answer("GET /api/jobs/j/logs", RoutedAnswer({}, 503))
        with pytest.raises(VendorError, match="503"):
            hypercli.status(shop, VendorJob("j", ACCESS))
        assert hypercli.status(shop, VendorJob("j", JobAccess("t"))).status is JobStatus.COMPLETED
        server.answer("GET /api/jobs/j", RoutedAnswer({"job_id": "j", "state": "running"}))
        assert hypercli.status(shop, VendorJob("j", ACCESS)).status is JobStatus.RUNNING

    def test_a_failed_job_without_its_end_says_so(
        self, prism: CommandVendor, shop: Vendor, server: RoutedServer
    ) -> None:
        says(server, "a", end(entry(OUT))[:-1], status="failed", exit_code=137)
        report = prism.status(shop, VendorJob("j", ACCESS))
        assert (report.status, report.files, report.logs) == (JobStatus.FAILED, (), ("a",))
        assert report.refused == (
            "a line of the wrapper cannot be read",
            "its output does not say which files the job left",
        )

    @pytest.mark.parametrize("lines", [(), ("a",), ("a", end(entry(OUT))[:-1])], ids=["none", "early", "cut"])
    def test_a_log_that_lags_behind_the_end_is_waited_for(
        self, prism: CommandVendor, shop: Vendor, server: RoutedServer, lines: tuple[str, ...]
    ) -> None:
        says(server, *lines)
        with pytest.raises(VendorError, match="names no files of the job yet"):
            prism.status(shop, VendorJob("j", ACCESS))
        says(server, "a", end(entry(OUT)))
        assert prism.status(shop, VendorJob("j", ACCESS)).files == (OUT,)

    @pytest.mark.parametrize("name", ["hypercli", "openvps"])
    def test_the_exit_code_is_passed_on(
        self, adapters: dict[str, CommandVendor], server: RoutedServer, name: str
    ) -> None:
        text = "a\n" + end(entry(OUT), code=7)
        if name == "hypercli":
            server.answer("GET /api/jobs/j", RoutedAnswer({"job_id": "j", "state": "failed"}))
            server.answer("GET /api/jobs/j/logs", RoutedAnswer({"job_id": "j", "logs": text}))
            report = adapters[name].status(vendor(server, name), VendorJob("j", ACCESS))
        else:
            server.answer("GET /v1/jobs/j", RoutedAnswer({"job_id": "j", "status": "failed", "output": text}))
            access = JobAccess("j", folder=FOLDER)
            report = adapters[name].status(vendor(server, name), VendorJob(digest("j"), access))
        assert (report.status, report.exit_code, report.logs) == (JobStatus.FAILED, 7, ("a",))

    @pytest.mark.safety("lines for the agent that the program wrote itself: what they name is proven, or is nothing")
    def test_forged_lines_bring_nothing_in(
        self, prism: CommandVendor, shop: Vendor, server: RoutedServer, depot: MemoryDepot
    ) -> None:
        elsewhere = FileEntry("model", 5, depot.put(b"other"))
        depot.left[FOLDER, "o0"] = MODEL
        forged = (
            end(entry(FileEntry("../../etc/passwd", 5, elsewhere.sha256))),
            end(entry(elsewhere, slot="../../files/" + elsewhere.sha256)),
            line({"checkpoint": [entry(elsewhere, slot="urls")]}),
            line({"checkpoint": "x"}),
            line({"end": True, "files": [{"path": ["a"], "sha256": {}}, 7]}),
            f"{MARK}{'[' * 5_000}{MARK}",
            f"{MARK}{{{MARK}",
            f"{MARK}{json.dumps({'end': True, 'problem': 'x' * 300_000})}{MARK}",
            line({"end": True, "exit": 300, "files": None}),
        )
        for text in forged:
            says(server, text, status="running")
            assert prism.status(shop, VendorJob("j", ACCESS)).files == ()
            says(server, text)
            with suppress(VendorError):
                prism.status(shop, VendorJob("j", ACCESS))
            for file in (elsewhere, FileEntry("../../etc/passwd", 5, elsewhere.sha256)):
                with pytest.raises(VendorError, match=r"does not say where|names no files"):
                    collected(prism, shop, file, depot)
        says(server, end(entry(elsewhere)))
        with pytest.raises(FileAltered):
            collected(prism, shop, elsewhere, depot)
        says(server, *forged, end(entry(OUT)))
        assert prism.status(shop, VendorJob("j", ACCESS)).files == (OUT,), "the wrapper's own comes last, and counts"
        assert collected(prism, shop, OUT, depot) == MODEL


class TestFile:
    @pytest.fixture(autouse=True)
    def listed(self, server: RoutedServer) -> None:
        says(server, end(entry(OUT)))

    def test_another_process_asks_where_it_is(
        self, prism: CommandVendor, shop: Vendor, server: RoutedServer, depot: MemoryDepot
    ) -> None:
        depot.left[FOLDER, "o0"] = MODEL
        assert collected(prism, shop, OUT, depot) == MODEL
        assert collected(prism, shop, OUT, depot) == MODEL
        assert len(server.requests) == 1
        for number in range(JOBS_KEPT):
            prism._news_of(shop, VendorJob(f"other-{number}", ACCESS), ())
        assert collected(prism, shop, OUT, depot) == MODEL
        assert len(server.requests) == 2, "of so many jobs at once not all are remembered"
        assert b"".join(prism.read_file(shop, VendorJob("j", ACCESS), OUT, 4, 5)) == MODEL[4:]
        assert b"".join(prism.read_file(shop, VendorJob("j", ACCESS), OUT, OUT.bytes, 5)) == b""

    @pytest.mark.safety("rubbish at a job's signed URLs: another content, too much of it, too little, nothing")
    @pytest.mark.parametrize(
        ("content", "problem"),
        [
            (b"rubbish!!", FileAltered),
            (MODEL + b"x", FileAltered),
            (MODEL + b"x" * 10**6, FileAltered),
            (MODEL[:-1], VendorError),
            (b"", VendorError),
            (None, VendorError),
        ],
    )
    def test_only_what_was_listed_is_kept(
        self,
        prism: CommandVendor,
        shop: Vendor,
        depot: MemoryDepot,
        content: bytes | None,
        problem: type[Exception],
    ) -> None:
        if content is not None:
            depot.left[FOLDER, "o0"] = content
        with pytest.raises(problem):
            collected(prism, shop, OUT, depot)
        assert depot.contents == {}
        if content is not None:
            parts = list(prism.read_file(shop, VendorJob("j", ACCESS), OUT, 0, 5)) if problem is FileAltered else []
            assert sum(map(len, parts)) <= OUT.bytes + 1, "no more is read than shows that it is too much"

    def test_a_checkpoint_is_found_by_its_list(
        self, prism: CommandVendor, shop: Vendor, server: RoutedServer, depot: MemoryDepot
    ) -> None:
        newer = FileEntry("model", 5, hashlib.sha256(b"newer").hexdigest())
        says(
            server,
            line({"checkpoint": [entry(OUT, "a0")]}),
            line({"checkpoint": [entry(newer, "b0")]}),
            status="running",
        )
        report = prism.status(shop, VendorJob("j", ACCESS))
        assert report.checkpoint
        assert report.checkpoint.sha256 == manifest_sha256((newer,))
        depot.left |= {(FOLDER, "a0"): MODEL, (FOLDER, "b0"): b"newer"}
        assert collected(prism, shop, newer, depot, report.checkpoint.sha256) == b"newer"
        assert collected(prism, shop, OUT, depot, manifest_sha256((OUT,))) == MODEL
        depot.left[FOLDER, "b0"] = b"third"
        with pytest.raises(FileAltered):
            collected(prism, shop, newer, depot, report.checkpoint.sha256)

    def test_a_share_ends_with_its_time(
        self, prism: CommandVendor, shop: Vendor, server: RoutedServer, depot: MemoryDepot
    ) -> None:
        large = b"x" * 10**6
        file = FileEntry("model", len(large), hashlib.sha256(large).hexdigest())
        says(server, end(entry(file)))
        depot.left[FOLDER, "o0"] = large
        came = b"".join(prism.read_file(shop, VendorJob("j", ACCESS), file, 0, -1))
        assert 0 < len(came) < len(large)
