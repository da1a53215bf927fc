"""What is quoted and ordered, byte for byte: workload, resume, small inputs, and secrets with the paid order alone."""

import json
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from functools import partial
from hashlib import sha256
from typing import Any

import pytest

from gpuagent.adapters.vendors.http import HttpVendor
from gpuagent.adapters.vendors.order import SECRET_VALUE_MAX
from gpuagent.core.model import Authorized, Quote, Reserved, Settled
from gpuagent.core.orders import (
    INLINE_MAX,
    INLINE_TOTAL_MAX,
    ORDER_MAX,
    inline_files,
    order_files,
    order_text,
    secret_names,
    sent_files,
    workload_sha256,
)
from gpuagent.core.ports.vendors import VendorJob
from gpuagent.core.text import canonical
from gpuagent.core.work import Checkpoint, FileEntry, Owed
from gpuagent.core.workload import Workload
from gpuagent.errors import FileMissing, JobSecretMissing, VendorError, VendorTokenMissing
from tests.support.factories import SETTLEMENT, WIRE_QUOTE, authorization, quote
from tests.support.file_vendor import FileVendor, VendorAnswer
from tests.support.spellings import SECRET, leaks, spellings

STORED = {sha256(content).hexdigest(): content for content in (b"print(1)", b"", bytes(INLINE_MAX))}
LARGE = FileEntry("data/corpus.txt", INLINE_MAX + 1, "c" * 64)
TOKEN, VALUE = "bearer-0123456789", SECRET


def workload(**changes: Any) -> Workload:
    inputs: list[dict[str, Any]] = [
        {"path": f"in/{number}", "sha256": name, "bytes": len(STORED[name])} for number, name in enumerate(STORED)
    ]
    inputs.append({"path": LARGE.path, "sha256": LARGE.sha256, "bytes": LARGE.bytes})
    inputs.append({"path": "far", "url": "https://files.example/a", "sha256": "d" * 64})
    document = {"name": "tiny", "command": "python trän.py", "inputs": inputs, "secrets": ["HF_TOKEN"]}
    return Workload.model_validate({**document, **changes})


RESUME = Checkpoint("e" * 64, (FileEntry("state.bin", 3, sha256(b"abc").hexdigest()),), 0.5, 7.0)
ORDER = order_text(workload().canonical, RESUME)
STORED[sha256(b"abc").hexdigest()] = b"abc"


def client(content: Callable[[str], bytes] = STORED.__getitem__, **environ: str) -> HttpVendor:
    return HttpVendor({"GPU_VENDOR_SECRET": TOKEN, "HF_TOKEN": VALUE, **environ}.get, content=content)


@pytest.fixture(scope="module")
def api() -> Iterator[HttpVendor]:
    with closing(client()) as api:
        yield api


def ask(api: HttpVendor, server: FileVendor, order: str = ORDER) -> Quote:
    return api.quote(server.vendor, "goal", "A100", Decimal("1.5"), order)


def ordered(order: str = ORDER) -> tuple[Reserved, Authorized, Settled]:
    price = quote(max_hours=Decimal("1.5"), order=order)
    paid = authorization()
    return (
        Reserved("a" * 24, price, 0),
        Authorized("a" * 24, price, 0, paid, "header"),
        Settled("a" * 24, price, 0, paid, "header", SETTLEMENT, Owed(0)),
    )


def bodies(api: HttpVendor, server: FileVendor, order: str = ORDER) -> list[bytes]:
    """What is sent for the 402, with the payment, and when the job is asked for again."""
    reserved, authorized, settled = ordered(order)
    server.script("POST /submit-job", VendorAnswer(402, {}))
    with pytest.raises(VendorError, match="without PAYMENT-REQUIRED"):
        api.challenge(server.vendor, reserved)
    server.script("POST /submit-job", VendorAnswer(200, {"vendorJobId": "v"}))
    assert [api.submit(server.vendor, job).vendor_job_id for job in (authorized, settled)] == ["v", "v"]
    return [request.body for request in server.requests if request.path == "/submit-job"]


# Quotes.


def test_without_an_order_all_is_as_it_was(api: HttpVendor, file_vendor: FileVendor) -> None:
    """To the byte, and whatever the vendor says that it accepts."""
    file_vendor.script("POST /quote", VendorAnswer(200, {**WIRE_QUOTE, "accepts": ["workload"], "workloadHash": "x"}))
    price = ask(api, file_vendor, "")
    assert (price.order, price.accepts) == ("", ())
    assert file_vendor.requests[0].body == (
        b'{"jobType":"training","gpuType":"A100","maxHours":1.5,"jobMetadata":{"goal":"goal"}}'
    )
    job = b'{"vendorJobTemplateId":"quote-1","jobParams":{"gpuType":"A100","maxHours":1.5}}'
    assert bodies(api, file_vendor, "") == [job] * 3


def test_a_quote_is_for_just_this_order(api: HttpVendor, file_vendor: FileVendor) -> None:
    file_vendor.accepts = ["cancel", "teleport", "workload", "files", 7, None, ["files"]]  # type: ignore[list-item]
    price = ask(api, file_vendor)
    assert (price.order, price.accepts) == (ORDER, ("workload", "files", "cancel"))
    sent = file_vendor.requests[0].json
    assert canonical({"workload": sent["workload"], "resume": sent["resume"]}) == ORDER
    assert sent["jobMetadata"] == {"goal": "goal"}
    assert VALUE not in file_vendor.requests[0].body.decode()


@pytest.mark.safety("a price for other work than was asked for")
@pytest.mark.parametrize(
    "repeated",
    [None, "", "f" * 64, 7, ["x"], True, workload_sha256(ORDER)[:-1], f" {workload_sha256(ORDER)}", "\x1b[2J"],
)
def test_a_price_for_another_workload_is_refused(api: HttpVendor, file_vendor: FileVendor, repeated: Any) -> None:
    answer = {**WIRE_QUOTE, "accepts": ["workload"], "workloadHash": repeated}
    file_vendor.script("POST /quote", VendorAnswer(200, answer))
    with pytest.raises(VendorError, match=f"for one of {workload_sha256(ORDER)}: its price may be for other") as error:
        ask(api, file_vendor)
    assert str(error.value).isprintable()
    file_vendor.script("POST /quote", VendorAnswer(200, {key: answer[key] for key in answer if key != "workloadHash"}))
    with pytest.raises(VendorError, match="repeats no hash"):
        ask(api, file_vendor)


def test_the_hash_may_be_in_capitals(api: HttpVendor, file_vendor: FileVendor) -> None:
    answer = {**WIRE_QUOTE, "accepts": ["workload"], "workloadHash": workload_sha256(ORDER).upper()}
    file_vendor.script("POST /quote", VendorAnswer(200, answer))
    assert ask(api, file_vendor).accepts == ("workload",)


@pytest.mark.parametrize(
    "accepts", [None, [], "workload", {"workload": True}, ["WORKLOAD"], [*["x"] * 1_000, "workload"]]
)
def test_a_vendor_that_takes_no_workload_still_quotes(api: HttpVendor, file_vendor: FileVendor, accepts: Any) -> None:
    """The market refuses it, by what it does not accept."""
    file_vendor.script("POST /quote", VendorAnswer(200, {**WIRE_QUOTE, "accepts": accepts}))
    price = ask(api, file_vendor)
    assert (price.order, price.accepts) == (ORDER, ())


# Orders.


def test_an_order_is_sent_as_it_was_quoted_with_its_small_inputs(api: HttpVendor, file_vendor: FileVendor) -> None:
    ask(api, file_vendor)
    unpaid, paid, again = bodies(api, file_vendor)
    assert paid == again
    order = json.loads(unpaid)
    assert {name: value for name, value in json.loads(paid).items() if name != "secrets"} == order
    assert order["jobParams"] == {"gpuType": "A100", "maxHours": 1.5, **json.loads(ORDER)}
    quoted = file_vendor.requests[0].json
    assert {name: order["jobParams"][name] for name in ("workload", "resume")} == {
        name: quoted[name] for name in ("workload", "resume")
    }
    assert {name: b64decode(text) for name, text in order["inline"].items()} == STORED
    assert sent_files(ORDER) == (LARGE,)
    assert (inline_files(""), sent_files(""), secret_names("")) == ((), (), ())


def test_small_inputs_are_inline_as_far_as_they_fit(api: HttpVendor, file_vendor: FileVendor) -> None:
    """The rest is sent before the order, as larger ones are."""
    count = INLINE_TOTAL_MAX // INLINE_MAX + 5
    contents = {sha256(data).hexdigest(): data for data in (bytes([number]) * INLINE_MAX for number in range(count))}
    inputs = [{"path": f"in/{name}", "sha256": name, "bytes": INLINE_MAX} for name in contents]
    inputs.append({"path": "small", "sha256": sha256(b"").hexdigest(), "bytes": 0})
    order = order_text(workload(inputs=inputs, secrets=[]).canonical, None)
    inline = inline_files(order)
    assert sum(file.bytes for file in inline) == INLINE_TOTAL_MAX
    assert inline[-1].path == "small"
    assert {*inline} | {*sent_files(order)} == {*order_files(order)}
    assert len(sent_files(order)) == 5
    with closing(client({**contents, sha256(b"").hexdigest(): b""}.__getitem__)) as api:
        assert len(bodies(api, file_vendor, order)[0]) < 1.4 * INLINE_TOTAL_MAX + 20_000


def test_an_order_that_is_too_long_is_not_sent(api: HttpVendor, file_vendor: FileVendor) -> None:
    long = order_text(workload(env={f"V{number}": "x" * 60_000 for number in range(20)}).canonical, None)
    assert len(long) > ORDER_MAX
    with pytest.raises(VendorError, match="shorten command, setup and env"):
        ask(api, file_vendor, long)
    reserved, authorized, _ = ordered(long)
    with pytest.raises(VendorError, match="shorten command, setup and env"):
        api.challenge(file_vendor.vendor, reserved)
    with pytest.raises(VendorError, match="shorten command, setup and env"):
        api.submit(file_vendor.vendor, authorized)
    assert file_vendor.requests == []


def test_a_store_without_the_input_is_no_failure_of_the_vendor(file_vendor: FileVendor) -> None:
    def missing(name: str) -> bytes:
        raise FileMissing(name)

    for content in (missing, lambda name: b"another"):
        with closing(client(content)) as api, pytest.raises(FileMissing):
            api.challenge(file_vendor.vendor, ordered()[0])
    storeless = HttpVendor({"GPU_VENDOR_SECRET": TOKEN, "HF_TOKEN": VALUE}.get)
    with closing(storeless), pytest.raises(FileMissing, match="no file store here"):
        storeless.challenge(file_vendor.vendor, ordered()[0])
    assert file_vendor.requests == []


# Secrets.


@pytest.mark.safety("a secret of a job goes out with the paid order alone")
def test_secrets_go_with_the_paid_order_alone(file_vendor: FileVendor) -> None:
    """By the names in the order, whatever else the environment holds."""
    with closing(client(OTHER="another-value-77")) as api:
        ask(api, file_vendor)
        unpaid, paid, _ = bodies(api, file_vendor)
        api.input_received(file_vendor.vendor, ordered()[0], LARGE)
    assert json.loads(paid)["secrets"] == {"HF_TOKEN": VALUE}
    assert "secrets" not in json.loads(unpaid)
    with closing(client()) as api:  # trust that was withdrawn since the payment was signed
        api.submit(replace(file_vendor.vendor, trusted=False), ordered()[2])
    assert "secrets" not in json.loads(file_vendor.requests.pop().body)
    for request in file_vendor.requests:
        sent = request.body.decode() + str(request.headers) + str(request.params)
        assert (VALUE in sent) == ("PAYMENT-SIGNATURE" in {name.upper() for name in request.headers})
        assert "another-value-77" not in sent


@pytest.mark.parametrize(
    "value", [None, "", "\udcff", "x" * (SECRET_VALUE_MAX + 1)], ids=["unset", "empty", "bytes", "long"]
)
def test_a_secret_that_is_missing_is_asked_for_before_anything_is_sent(
    file_vendor: FileVendor, value: str | None
) -> None:
    """By the quote already: a vendor would be blamed for it later."""
    reserved, authorized, settled = ordered()
    with closing(HttpVendor({"GPU_VENDOR_SECRET": TOKEN, "HF_TOKEN": value}.get, content=STORED.__getitem__)) as api:
        calls: list[Callable[[], object]] = [
            lambda: ask(api, file_vendor),
            lambda: api.challenge(file_vendor.vendor, reserved),
            lambda: api.submit(file_vendor.vendor, authorized),
            lambda: api.submit(file_vendor.vendor, settled),
        ]
        for call in calls:
            with pytest.raises(JobSecretMissing, match="set HF_TOKEN") as error:
                call()
            assert isinstance(error.value, VendorTokenMissing)  # the agent takes it for its own slip
            assert "xxx" not in str(error.value)
    assert file_vendor.requests == []


OWN = ["X402_PRIVATE_KEY", "EVM_PRIVATE_KEY", "X402_KEYSTORE_PASSWORD", "CDP_API_KEY_SECRET", "CDP_WALLET_SECRET"]
OWN += ["MONGODB_URI", "GPUAGENT_API_TOKENS", "GPU_VENDOR_SECRET", "CRON_SECRET", "PLANNER_API_KEY", "x402_private_key"]
OWN += ["CHAIN_RPC_URL"]


@pytest.mark.safety("a job that names the wallet's key among its secrets")
@pytest.mark.parametrize("name", [*OWN, "ACME_SECRET"])
def test_no_job_gets_what_is_the_agents_own(file_vendor: FileVendor, name: str) -> None:
    """Neither by its job file nor by an order that was stored, nor the token of the vendor itself."""
    if name in OWN:
        with pytest.raises(ValueError, match="is the agent's own, and goes to no vendor"):
            workload(secrets=["HF_TOKEN", name])
    order = ORDER.replace("HF_TOKEN", name)
    vendor = replace(file_vendor.vendor, secret_env="ACME_SECRET")
    _, authorized, _ = ordered(order)
    with closing(client(**dict.fromkeys([*OWN, "ACME_SECRET"], VALUE))) as api:
        with pytest.raises(JobSecretMissing, match=f"{name} is the agent's own"):
            api.quote(vendor, "goal", "A100", Decimal(1), order)
        with pytest.raises(JobSecretMissing, match=f"{name} is the agent's own"):
            api.submit(vendor, authorized)
    assert file_vendor.requests == []


def echo(server: FileVendor, route: str, text: str, status: int = 200, **answer: Any) -> None:
    server.script(route, VendorAnswer(status, {"status": "running", "error": text, **answer}))


@pytest.mark.safety("a secret of a job that the vendor repeats is not stored")
@pytest.mark.parametrize("name", spellings())
def test_a_secret_that_a_vendor_repeats_is_not_kept(file_vendor: FileVendor, name: str) -> None:
    """In a log, a metric, a phase, a path, an error; by the names in the order, or by those that the caller has."""
    text, vendor = spellings()[name], file_vendor.vendor
    leak = FileEntry(f"out/{text}", 1, "a" * 64)
    listed = {"path": leak.path, "bytes": 1, "sha256": "a" * 64}
    news = {
        "logs": [f"login {text}"],
        "metrics": [{text: 1, "loss": 2, "note": text}],
        "phase": text,
        "files": [listed],
        "errorMessage": text,
        "cursor": "7",
    }
    reserved, authorized, _ = ordered()
    with closing(client()) as told, closing(client()) as restarted:
        ask(told, file_vendor)
        for api, names in ((told, ()), (restarted, secret_names(ORDER))):
            echo(file_vendor, "GET /job-status", text, **news)
            report = api.status(vendor, VendorJob("v", secrets=names))
            assert leaks(VALUE, str(report)) == []
            assert (report.cursor, report.metrics[0]["loss"]) == ("7", 2.0)
            for route in ("GET /job-file", "POST /job-cancel", "GET /job-input", "POST /submit-job"):
                echo(file_vendor, route, text, 500)
            calls: list[Callable[[], object]] = [
                partial(read_whole, api, file_vendor, names),
                partial(api.cancel, vendor, VendorJob("v", secrets=names)),
                partial(api.input_received, vendor, reserved, LARGE),
                partial(api.challenge, vendor, reserved),
                partial(api.submit, vendor, authorized),
            ]
            for call in calls:
                with pytest.raises(VendorError) as error:
                    call()
                assert leaks(VALUE, str(error.value)) == []


def read_whole(api: HttpVendor, server: FileVendor, names: tuple[str, ...]) -> bytes:
    return b"".join(api.read_file(server.vendor, VendorJob("v", secrets=names), FileEntry("a", 1, "a" * 64), 0, 2))


def test_a_short_secret_is_an_ordinary_word(file_vendor: FileVendor) -> None:
    with closing(client(HF_TOKEN="running")) as api:
        ask(api, file_vendor)
        echo(file_vendor, "GET /job-status", "", logs=["running on"])
        assert api.status(file_vendor.vendor, VendorJob("v")).logs == ("running on",)


# The end of a job.


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"status": "cancelled"}, 200, "cancelled"),
        ({"state": "stopping\x1b"}, 202, "stopping "),
        ({"status": 7}, 200, "answered 200"),
        ({}, 200, "answered 200"),
        (b"", 204, "answered 204"),
        ({"status": "x" * 500}, 200, "x" * 63 + "…"),
    ],
)
def test_a_job_that_is_not_needed_any_more(
    api: HttpVendor, file_vendor: FileVendor, body: Any, status: int, words: str
) -> None:
    file_vendor.script("POST /job-cancel", VendorAnswer(status, body))
    assert api.cancel(file_vendor.vendor, VendorJob("v-1")) == words
    assert file_vendor.requests[-1].json == {"vendorJobId": "v-1"}


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"NaN", b"\xff"])
def test_a_cancellation_that_is_answered_oddly(api: HttpVendor, file_vendor: FileVendor, body: bytes) -> None:
    file_vendor.script("POST /job-cancel", VendorAnswer(200, body))
    with pytest.raises(VendorError, match=r"not JSON|not an object"):
        api.cancel(file_vendor.vendor, VendorJob("v-1"))
    for status in (404, 409, 500):
        file_vendor.script("POST /job-cancel", VendorAnswer(status, {"error": "no"}))
        with pytest.raises(VendorError, match=f"answered {status} to /job-cancel"):
            api.cancel(file_vendor.vendor, VendorJob("v-1"))


def test_news_are_asked_for_from_the_cursor_on(api: HttpVendor, file_vendor: FileVendor) -> None:
    file_vendor.script("GET /job-status", VendorAnswer(200, {"status": "running", "cursor": "b&=ä"}))
    assert api.status(file_vendor.vendor, VendorJob("v")).cursor == "b&=ä"
    assert api.status(file_vendor.vendor, VendorJob("v"), "b&=ä").cursor == "b&=ä"
    assert [request.params for request in file_vendor.requests] == [
        {"vendorJobId": "v"},
        {"vendorJobId": "v", "after": "b&=ä"},
    ]
