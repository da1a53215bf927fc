"""The wallet at CDP against a server that speaks CDP's HTTP API: tokens, policies, faults, and what is said of them."""

import asyncio
import json
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data

from gpuagent import settings, wiring
from gpuagent.adapters.wallets.cdp import CdpWallet, address_of
from gpuagent.core.ports.chain import Gas
from gpuagent.errors import ConfigError, GpuAgentError, Refused, WalletError
from tests.support.cdp_server import CdpServer, Fault, Keys, new_keys, running, with_high_s
from tests.support.factories import TERMS, TOKEN, authorization
from tests.support.spellings import leaks
from tests.support.tracebacks import traceback_text

if TYPE_CHECKING:  # every worker would take seconds to import it
    from gpuagent.adapters.wallets.cdp_client import CdpClient

GAS = Gas(0, 10**9, 1, 10**18)
NAME = "payer"


def client_of(server: CdpServer, keys: Keys | None = None, **limits: float) -> "CdpClient":
    from gpuagent.adapters.wallets.cdp_client import CdpClient, CdpCredentials

    credentials = keys or server.keys
    return CdpClient(
        CdpCredentials(credentials.api_key_id, credentials.api_key_secret, credentials.wallet_secret),
        server.url,
        **limits,
    )


@pytest.fixture
def client(cdp: CdpServer) -> Iterator["CdpClient"]:
    with closing(client_of(cdp, deadline_s=60, attempt_s=15)) as client:
        yield client


@pytest.fixture
def wallet(cdp: CdpServer, client: "CdpClient") -> CdpWallet:
    cdp.open_account(NAME)
    return CdpWallet(client, address_of(client, NAME), TOKEN)


def sign(wallet: CdpWallet) -> str:
    return wallet.sign(authorization(payer=wallet.address), TERMS, "")


def test_the_account_is_found_by_name_or_taken_by_address(cdp: CdpServer, client: "CdpClient") -> None:
    address = cdp.open_account(NAME)
    assert address_of(client, NAME) == address
    requests = list(cdp.requests)
    assert address_of(client, address.lower()) == address
    assert cdp.requests == requests, "an address needs no asking"
    assert client.account(address).address == address
    with pytest.raises(WalletError, match="CDP knows no such account: check CDP_ACCOUNT"):
        address_of(client, "nobody")
    with pytest.raises(ConfigError, match="CDP_ACCOUNT='0x12'"):
        address_of(client, "0x12")


def test_typed_data_is_signed_and_never_a_hash(cdp: CdpServer, wallet: CdpWallet) -> None:
    assert sign(wallet)
    assert {path.rpartition("/sign/")[2] for method, path in cdp.requests if method == "POST"} == {"typed-data"}
    (body,) = cdp.bodies
    assert body["primaryType"] == "TransferWithAuthorization"
    assert (body["message"]["to"], body["message"]["value"]) == (TERMS.pay_to, "1400000")
    assert (body["domain"]["chainId"], body["domain"]["verifyingContract"]) == (TOKEN.chain_id, TOKEN.address)


@pytest.mark.parametrize("elliptic", [False, True])
def test_both_kinds_of_api_key(elliptic: bool) -> None:
    with running(new_keys(elliptic)) as server, closing(client_of(server)) as client:
        server.open_account(NAME)
        assert sign(CdpWallet(client, address_of(client, NAME), TOKEN))


@pytest.mark.parametrize("swapped", ["api_key_id", "api_key_secret", "wallet_secret"])
def test_foreign_keys_sign_nothing(cdp: CdpServer, swapped: str) -> None:
    address = cdp.open_account(NAME)
    keys = replace(cdp.keys, **{swapped: getattr(replace(new_keys(), api_key_id="other"), swapped)})
    with (
        closing(client_of(cdp, keys)) as client,
        pytest.raises(WalletError, match="CDP does not let us sign") as error,
    ):
        sign(CdpWallet(client, address, TOKEN))
    assert "CDP_WALLET_SECRET" in str(error.value)
    assert cdp.bodies == []


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("api_key_secret", "", "CDP_API_KEY_SECRET is no key"),
        ("api_key_secret", "bm90IGEga2V5", "CDP_API_KEY_SECRET is no key"),
        ("api_key_secret", "-----BEGIN EC PRIVATE KEY-----\nx\n", "CDP_API_KEY_SECRET is no key"),
        ("wallet_secret", "bm90IGEga2V5", "CDP_WALLET_SECRET is no wallet secret"),
        ("wallet_secret", "not base64!", "CDP_WALLET_SECRET is no wallet secret"),
    ],
)
def test_keys_that_are_none_are_said_at_once(cdp: CdpServer, field: str, value: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as error:
        client_of(cdp, replace(cdp.keys, **{field: value}))
    text = traceback_text(error.value, with_locals=True)
    assert cdp.keys.wallet_secret not in text
    assert cdp.keys.api_key_secret not in text
    assert cdp.requests == []


def test_a_policy_violation_is_refused_by_policy(cdp: CdpServer, wallet: CdpWallet) -> None:
    cdp.policy = {"scope": "account", "rules": []}
    with pytest.raises(Refused, match="refused by policy, which CDP holds: Policy policy-1 rejected the request"):
        sign(wallet)
    with pytest.raises(Refused, match="refused by policy"):
        wallet.cancel(authorization(payer=wallet.address), GAS)
    assert len([path for method, path in cdp.requests if method == "POST"]) == 2, "and nobody asks again"


@pytest.mark.parametrize(
    "fault",
    [
        Fault(503, {"errorType": "service_unavailable", "errorMessage": "later"}),
        Fault(429, {"errorType": "rate_limit_exceeded", "errorMessage": "slower"}),
        Fault(502, b"<html>bad gateway</html>", content_type="text/html"),
        Fault(hang_up=True),
        Fault(headers={"Content-Length": "1000"}),
        Fault(200, b"nonsense", headers={"Content-Encoding": "gzip"}),
        Fault(200, b" " * 300_000),
    ],
    ids=["503", "429", "502", "hung up", "cut off", "not packed", "too long"],
)
def test_what_passes_is_asked_again_and_signed_once_more(cdp: CdpServer, wallet: CdpWallet, fault: Fault) -> None:
    """Safe to repeat: terms and nonce are fixed before, so every signature of them is of the one payment."""
    check_asked_again(cdp, wallet, fault)


def test_what_authenticates_us_goes_to_no_other_place(cdp: CdpServer, wallet: CdpWallet) -> None:
    with closing(CdpServer(cdp.keys)) as other:
        for status in (301, 302, 307, 308):
            cdp.faults = [Fault(status, b"", headers={"Location": f"{other.url}/v2/evm/accounts"})]
            with pytest.raises(WalletError, match="no answer that can be read"):
                sign(wallet)
        assert other.requests == []


def test_silence_is_asked_again(cdp: CdpServer) -> None:
    address = cdp.open_account(NAME)
    with closing(client_of(cdp, attempt_s=2)) as impatient:
        check_asked_again(cdp, CdpWallet(impatient, address, TOKEN), Fault(wait=True))


def check_asked_again(cdp: CdpServer, wallet: CdpWallet, fault: Fault) -> None:
    header = sign(wallet)
    cdp.faults = [fault, fault]
    assert sign(wallet) == header
    cdp.faults = [fault, fault, fault]
    with pytest.raises(WalletError):
        sign(wallet)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (Fault(401, {"errorType": "unauthorized", "errorMessage": "no"}), "check CDP_API_KEY_ID"),
        (Fault(403, b"<html>blocked</html>", content_type="text/html"), "whether CDP allows this machine's address"),
        (Fault(404, {"errorType": "not_found", "errorMessage": "no"}), "CDP knows no such account"),
        (Fault(400, {"errorType": "invalid_request", "errorMessage": "bad\x1b[31m\nrequest"}), r"bad\[31mrequest"),
        (Fault(200, {}), "no answer that can be read"),
        (Fault(200, {"signature": 7}), "no answer that can be read"),
        (Fault(200, b"nonsense"), "no answer that can be read"),
        (Fault(200, [1]), "no answer that can be read"),
        (Fault(200, b"null"), "no answer that can be read"),
        (Fault(204, b""), "no answer that can be read"),
        (Fault(200, b"[" * 120_000), "no answer that can be read"),
        (Fault(400, b'{"errorType":' * 9_000), "did not answer as asked|no answer that can be read"),
        (Fault(200, {"signature": "0x1234"}), "no signature of 65 bytes"),
        (Fault(200, {"signature": "0x" + "11" * 32 + "22" * 32}), "no signature of 65 bytes"),
        (Fault(200, {"signature": "0x" + "11" * 64 + "01"}), "ends in 27 or 28"),
        (Fault(200, {"signature": "0x" + "zz" * 65}), "no signature of 65 bytes"),
        (Fault(200, {"signature": "0x" + "11" * 64 + "00"}), "ends in 27 or 28"),
        (Fault(200, {"signature": "0x" + "00" * 64 + "1b"}), "is not of 0x"),
        (Fault(200, {"signature": "0x" + "11" * 64 + "1b"}), "is not of 0x"),
        (Fault(garble=with_high_s), "a high s, which tokens refuse"),
    ],
)
def test_no_other_answer_is_used(cdp: CdpServer, wallet: CdpWallet, fault: Fault, says: str) -> None:
    cdp.faults = [fault]
    with pytest.raises(WalletError, match=says) as error:
        sign(wallet)
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 700


def test_a_signature_over_other_terms_is_not_used(cdp: CdpServer, wallet: CdpWallet) -> None:
    """The right key, another digest: a server that signs more than it was asked gains nothing by us."""
    key = Account.create()
    cdp.open_account("mine", key.key.to_0x_hex())
    own_wallet = CdpWallet(wallet._client, key.address, TOKEN)

    def dearer(_: dict[str, Any]) -> dict[str, Any]:
        message = json.loads(json.dumps(cdp.bodies[-1]))
        message["message"]["value"] = "1400001"
        return {"signature": key.sign_message(encode_typed_data(full_message=message)).signature.to_0x_hex()}

    assert sign(own_wallet)
    cdp.faults = [Fault(garble=dearer)]
    with pytest.raises(WalletError, match="over these terms"):
        sign(own_wallet)


def another_fee(answer: dict[str, Any]) -> dict[str, Any]:
    return {"signedTransaction": answer["signedTransaction"][:-2] + "00"}


@pytest.mark.parametrize(
    "garble", [another_fee, lambda _: {"signedTransaction": "0x"}, lambda _: {"signedTransaction": "0x02c0"}]
)
def test_another_transaction_is_not_sent(
    cdp: CdpServer, wallet: CdpWallet, garble: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    payment = authorization(payer=wallet.address)
    assert wallet.cancel(payment, GAS)
    cdp.faults = [Fault(), Fault(garble=garble)]
    with pytest.raises(WalletError, match="another transaction"):
        wallet.cancel(payment, GAS)


def test_a_dearer_transaction_of_the_right_key_is_not_sent(cdp: CdpServer, wallet: CdpWallet) -> None:
    key = Account.create()
    cdp.open_account("mine", key.key.to_0x_hex())
    own_wallet = CdpWallet(wallet._client, key.address, TOKEN)

    def generous(_: dict[str, Any]) -> dict[str, Any]:
        transfer = {"type": 2, "chainId": TOKEN.chain_id, "nonce": 0, "to": bytes(20), "value": 10**17, "data": "0x"}
        fees = {"gas": 21_000, "maxFeePerGas": 1, "maxPriorityFeePerGas": 1}
        return {"signedTransaction": key.sign_transaction({**transfer, **fees}).raw_transaction.to_0x_hex()}

    cdp.faults = [Fault(), Fault(garble=generous)]
    with pytest.raises(WalletError, match="another transaction"):
        own_wallet.cancel(authorization(payer=key.address), GAS)


def test_it_can_be_used_where_an_event_loop_runs_and_from_many_threads(cdp: CdpServer, wallet: CdpWallet) -> None:
    async def in_a_notebook() -> str:
        return sign(wallet)

    headers = {asyncio.run(in_a_notebook())}
    with ThreadPoolExecutor(8) as pool:
        headers |= set(pool.map(lambda _: sign(wallet), range(24)))
    assert headers == {sign(wallet)}


def test_nothing_is_left_when_it_is_closed(cdp: CdpServer) -> None:
    """An unclosed session or loop would be a ResourceWarning, which fails a test."""
    cdp.open_account(NAME)
    with wiring.key_source(settings.read(cdp.environment(NAME))).open_wallet(TOKEN) as wallet:
        assert [thread.name for thread in threading.enumerate()].count("cdp") == 1
        assert wallet.sign(authorization(payer=wallet.address), TERMS, "")
    assert not [worker.name for worker in threading.enumerate() if worker.name.startswith(("cdp", "asyncio"))]


FAILURES: dict[str, Any] = {
    "another policy": {"policy": {"scope": "account", "rules": []}},
    "nonsense": {"faults": [Fault(200, b"nonsense")]},
    "unauthorized": {"faults": [Fault(401, {"errorType": "unauthorized", "errorMessage": "no"})]},
    "hung up": {"faults": [Fault(hang_up=True)] * 3},
    "cut off": {"faults": [Fault(headers={"Content-Length": "1000"})] * 3},
    "nothing": {"faults": [Fault(204, b"")]},
    "a bad signature": {"faults": [Fault(garble=with_high_s)]},
}


@pytest.mark.parametrize("failure", FAILURES)
def test_no_failure_shows_a_secret(
    cdp: CdpServer, wallet: CdpWallet, caplog: pytest.LogCaptureFixture, failure: str
) -> None:
    caplog.set_level(logging.DEBUG)
    for name, value in FAILURES[failure].items():
        setattr(cdp, name, value)
    with pytest.raises(GpuAgentError) as error:
        sign(wallet)
    text = traceback_text(error.value, with_locals=True) + caplog.text
    secrets = (cdp.keys.api_key_secret, cdp.keys.wallet_secret, "Bearer ", "X-Wallet-Auth")
    assert [secret for secret in secrets if secret in text] == []


@pytest.mark.parametrize("name", ["CDP_API_KEY_ID", "CDP_API_KEY_SECRET", "CDP_WALLET_SECRET", "CDP_ACCOUNT"])
def test_a_variable_that_lacks_is_named(cdp: CdpServer, name: str) -> None:
    environment = {**cdp.environment(NAME), name: ""}
    with (
        pytest.raises(ConfigError, match=f"set {name}: ") as error,
        wiring.key_source(settings.read(environment)).open_cdp(),
    ):
        pass
    text = traceback_text(error.value, with_locals=True)
    assert not [value for value in environment.values() if len(value) > 40 and value in text]


def test_keys_are_not_sent_where_others_can_read(cdp: CdpServer) -> None:
    environment = {**cdp.environment(NAME), "CDP_URL": "http://cdp.example/platform"}
    with (
        pytest.raises(ConfigError, match="CDP_URL is not https"),
        wiring.key_source(settings.read(environment)).open_cdp(),
    ):
        pass


def test_an_error_that_repeats_our_keys_is_said_without_them(cdp: CdpServer, wallet: CdpWallet) -> None:
    """Also cut off in the middle of one."""
    for secret in (cdp.keys.wallet_secret, cdp.keys.api_key_secret):
        cdp.faults = [Fault(400, {"errorType": "invalid_request", "errorMessage": f"{'x ' * 130}{secret}"})]
        with pytest.raises(WalletError, match="did not answer as asked") as error:
            sign(wallet)
        assert leaks(secret, str(error.value)) == []
