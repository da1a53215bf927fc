"""Calls to CDP's wallet API (cdp-sdk), for a caller that is not asynchronous.

https://docs.cdp.coinbase.com/api-reference/v2. The SDK's generated client is used, not its account classes: those
take no timeout (theirs is five minutes), and report errors and usage to Coinbase. What raises here holds no secret in
its frame and chains no error that does: the SDK's frames hold all of them.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from aiohttp import BasicAuth, ClientError
from cdp.auth import GetAuthHeadersOptions, get_auth_headers
from cdp.openapi_client.api.evm_accounts_api import EVMAccountsApi
from cdp.openapi_client.cdp_api_client import CdpApiClient
from cdp.openapi_client.errors import ApiError
from cdp.openapi_client.exceptions import OpenApiException
from cdp.openapi_client.models.eip712_message import EIP712Message
from cdp.openapi_client.models.sign_evm_transaction_request import SignEvmTransactionRequest

from gpuagent.adapters.wallets.cdp_session import CdpSession
from gpuagent.errors import ConfigError, GpuAgentError, Refused, WalletError
from gpuagent.wire.egress import Egress, direct
from gpuagent.wire.recursion import bound_recursion
from gpuagent.wire.scrub import KEY, Scrubber

bound_recursion()

CDP_URL = "https://api.cdp.coinbase.com/platform"
DEADLINE_S = 15.0
"""For one call with all its attempts. An authorization lives for two minutes."""
ATTEMPT_S = 5.0
PAUSES_S = (0.2, 0.8)
"""Before the second attempt and the third."""
TRANSIENT = (408, 429, 500, 502, 503, 504)
"""Statuses that may be others a moment later."""
UNREADABLE = (OpenApiException, AttributeError, ClientError, LookupError, RecursionError, TypeError, ValueError)
"""Errors of the generated client about an answer of another shape than its own."""
TEXT_MAX = 300

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CdpCredentials:
    """The API key authenticates every call, the wallet secret those that sign."""

    api_key_id: str
    api_key_secret: str = field(repr=False)
    wallet_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class CdpAccount:
    """policies: ids of the policies of project and account."""

    address: str
    policies: tuple[str, ...]


class CdpClient:
    """An event loop in a thread of its own, on which the SDK's connections live. Safe to share between threads.

    Asking again is safe, also where an answer got lost: what is signed is fixed before, with its nonce, so two
    signatures of it can move money no more often than one.
    """

    def __init__(
        self,
        keys: CdpCredentials,
        url: str = CDP_URL,
        deadline_s: float = DEADLINE_S,
        attempt_s: float = ATTEMPT_S,
        egress: Egress | None = None,
    ) -> None:
        """egress: the way out of this machine, direct() unless given. Raises ConfigError for keys that are none."""
        if problem := _problem_with(keys):
            raise ConfigError(problem)
        self._deadline_s, self._attempt_s = deadline_s, attempt_s
        sent = (keys.api_key_secret, keys.wallet_secret, *(egress.secrets if egress else ()))
        self._scrubber = Scrubber(dict.fromkeys(sent, KEY))
        # Retries are ours: the SDK's have no deadline, and leave out what signs.
        self._client = CdpApiClient(
            keys.api_key_id,
            keys.api_key_secret,
            keys.wallet_secret,
            base_path=url.rstrip("/"),
            max_network_retries=None,
            source="gpuagent",
        )
        egress = egress or direct()
        proxy = egress.proxy(url)
        if egress.ssl_context is not direct().ssl_context:
            self._client.rest_client.ssl_context = (
                egress.ssl_context
            )  # else the system's authorities, as the SDK has it
        self._client.rest_client.pool_manager = CdpSession(self._client.rest_client.ssl_context)
        self._client.rest_client.proxy = proxy and proxy.url
        if proxy and (proxy.user or proxy.password):
            self._client.rest_client.proxy_headers = {
                "Proxy-Authorization": BasicAuth(proxy.user, proxy.password).encode()
            }
        self._api = EVMAccountsApi(self._client)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="cdp", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Close connections and end the thread."""
        self._run(self._client.close())
        self._run(self._loop.shutdown_default_executor())  # where names are resolved
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def account(self, name: str) -> CdpAccount:
        """The account of this address or name. Raises WalletError."""
        by_address = name.startswith("0x")
        ask = self._api.get_evm_account if by_address else self._api.get_evm_account_by_name
        return self._ask(
            lambda: ask(name), lambda account: CdpAccount(str(account.address), tuple(account.policies or ()))
        )

    def sign_typed_data(self, address: str, typed_data: dict[str, Any]) -> str:
        """The signature, 0x hex, unchecked. Raises Refused when a CDP policy forbids it, and WalletError."""
        message = EIP712Message.from_dict(typed_data)
        ask = self._api.sign_evm_typed_data
        return self._ask(lambda: ask(address, eip712_message=message), lambda answer: str(answer.signature))

    def sign_transaction(self, address: str, transaction: str) -> str:
        """The signed transaction of an unsigned one, both RLP as 0x hex, unchecked. Raises as sign_typed_data()."""
        request = SignEvmTransactionRequest(transaction=transaction)
        ask = self._api.sign_evm_transaction
        return self._ask(
            lambda: ask(address, sign_evm_transaction_request=request), lambda answer: str(answer.signed_transaction)
        )

    def _ask(self, make: Callable[[], Awaitable[Any]], read: Callable[[Any], T]) -> T:
        try:
            return read(self._run(self._attempts(make)))
        except TimeoutError:
            problem: GpuAgentError = WalletError("CDP did not answer in time: nothing was signed or sent")
        except ApiError as error:
            problem = _explained(error, self._scrubber)
        except UNREADABLE as error:
            problem = WalletError(f"CDP gave no answer that can be read ({type(error).__name__})")
        # Outside of the handlers, so that no error of the SDK hangs on to it.
        raise problem

    async def _attempts(self, make: Callable[[], Awaitable[T]]) -> T:
        async with asyncio.timeout(self._deadline_s):
            for pause in PAUSES_S:
                try:
                    async with asyncio.timeout(self._attempt_s):
                        return await make()
                except TimeoutError:
                    pass
                except ApiError as error:
                    if error.http_code and error.http_code not in TRANSIENT:
                        raise
                await asyncio.sleep(pause)
            async with asyncio.timeout(self._attempt_s):
                return await make()

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()


def _problem_with(keys: CdpCredentials) -> str:
    """The fault of a secret that no call can be made with; "" for none."""
    wrong = {
        "GET": "CDP_API_KEY_SECRET is no key: write what CDP gave with the key, base64 (Ed25519) or PEM (EC)",
        "POST": "CDP_WALLET_SECRET is no wallet secret: write the base64 text that CDP gave",
    }
    for method, problem in wrong.items():
        try:
            get_auth_headers(
                GetAuthHeadersOptions(
                    api_key_id=keys.api_key_id,
                    api_key_secret=keys.api_key_secret,
                    wallet_secret=keys.wallet_secret,
                    request_method=method,
                    request_host="localhost",
                    request_path="/v2/evm/accounts",
                )
            )
        except ValueError:
            return problem
    return ""


def _explained(error: ApiError, scrubber: Scrubber) -> GpuAgentError:
    """The error for one of CDP's. Of its own text only what can be shown on a line, without our keys."""
    message = scrubber.scrub(str(error.error_message))
    text = "".join(character for character in message if character.isprintable())[:TEXT_MAX]
    kind, status = error.error_type, error.http_code
    if kind == "policy_violation":
        return Refused(
            f"refused by policy, which CDP holds: {text} `gpuagent wallet policy` prints what these vendors need"
        )
    if status in (401, 403):
        return WalletError(
            f"CDP does not let us sign ({kind}: {text}): check CDP_API_KEY_ID, CDP_API_KEY_SECRET and "
            "CDP_WALLET_SECRET, whether CDP allows this machine's address, and the account's policy"
        )
    if status == 404:
        return WalletError("CDP knows no such account: check CDP_ACCOUNT, and that the API key is of its project")
    if not status:
        return WalletError(f"CDP cannot be reached ({kind}: {text}): nothing was signed or sent")
    return WalletError(f"CDP did not answer as asked ({kind}: {text})")
