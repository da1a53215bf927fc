"""CDP's wallet API on this machine: verifies both tokens and the request's hash, applies a policy, signs.

https://docs.cdp.coinbase.com/api-reference/v2/authentication and .../wallets/v2/policies. Faults are scripted.
"""

import base64
import hashlib
import json
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from eth_account import Account
from eth_account.messages import encode_typed_data

from tests.support.cdp_policy_engine import allows, unsigned_fields

ROOT = "/platform/v2/evm/accounts"
PATIENCE_S = 20
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


@dataclass(frozen=True)
class Keys:
    """The keys that CDP's portal hands out, and the public halves that CDP keeps."""

    api_key_id: str
    api_key_secret: str = field(repr=False)
    wallet_secret: str = field(repr=False)
    api_public: Any = field(repr=False)
    wallet_public: Any = field(repr=False)
    algorithm: str = "EdDSA"


def new_keys(elliptic: bool = False) -> Keys:
    """elliptic: an API key of the older kind, ECDSA in PEM, in place of Ed25519 in base64."""
    wallet = ec.generate_private_key(ec.SECP256R1())
    secret = base64.b64encode(
        wallet.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    ).decode()
    if elliptic:
        old = ec.generate_private_key(ec.SECP256R1())
        pem = old.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
        return Keys("old-key-id", pem.decode(), secret, old.public_key(), wallet.public_key(), "ES256")
    key = ed25519.Ed25519PrivateKey.generate()
    text = base64.b64encode(key.private_bytes_raw() + key.public_key().public_bytes_raw()).decode()
    return Keys("api-key-id", text, secret, key.public_key(), wallet.public_key())


@dataclass(frozen=True)
class Fault:
    """A fault in place of the next answer. wait: hold it back; garble: change the true answer; headers: others too,
    after which the connection ends."""

    status: int = 200
    body: Any = None
    wait: bool = False
    hang_up: bool = False
    garble: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


class Denied(Exception):
    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status, self.kind = status, kind


class CdpServer:
    """One project: accounts by name, one policy or none. requests: (method, path) of all, refused ones too."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys
        self.requests: list[tuple[str, str]] = []
        self.bodies: list[dict[str, Any]] = []
        self.policy: Mapping[str, Any] | None = None
        self.faults: list[Fault] = []
        self._accounts: dict[str, Any] = {}
        self._token_ids: set[str] = set()
        self._lock, self._released = threading.Lock(), threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._answer("GET", b"")

            def do_POST(self) -> None:
                self._answer("POST", self.rfile.read(int(self.headers.get("Content-Length", 0))))

            def _answer(self, method: str, body: bytes) -> None:
                fault = server._next(method, self.path)
                if fault.wait:
                    server._released.wait(PATIENCE_S)
                if fault.hang_up:
                    self.close_connection = True
                    return
                status, answer = server._reply(method, self.path, dict(self.headers), body)
                if fault.garble:
                    answer = fault.garble(answer)
                if fault.body is not None or fault.status != 200:
                    status, answer = fault.status, fault.body
                text = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                try:
                    self.send_response(status)
                    headers = {"Content-Type": fault.content_type, "Content-Length": str(len(text)), **fault.headers}
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.close_connection = self.close_connection or bool(fault.headers)
                    self.end_headers()
                    self.wfile.write(text)
                except OSError:  # the client has gone, which is what some faults are for
                    self.close_connection = True

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
                """Tests read no access log."""

        self._http = _Quiet(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self._http.server_port}"
        self.url = f"http://{self.host}/platform"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._released.set()
        self._http.shutdown()
        self._http.server_close()

    def open_account(self, name: str, key: str | None = None) -> str:
        """A server account; its address."""
        account = Account.from_key(key) if key else Account.create()
        self._accounts[name] = account
        return str(account.address)

    def environment(self, name: str) -> dict[str, str]:
        """The variables that point the agent at this account."""
        return {
            "CDP_API_KEY_ID": self.keys.api_key_id,
            "CDP_API_KEY_SECRET": self.keys.api_key_secret,
            "CDP_WALLET_SECRET": self.keys.wallet_secret,
            "CDP_ACCOUNT": name,
            "CDP_URL": self.url,
        }

    def _next(self, method: str, path: str) -> Fault:
        with self._lock:
            self.requests.append((method, path))
            return self.faults.pop(0) if self.faults else Fault()

    def _reply(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, Any]:
        try:
            self._check_bearer(method, path, headers)
            if method == "GET":
                return 200, self._look(path)
            request = json.loads(body)
            self._check_wallet_token(path, headers, request)
            return 200, self._sign(path, request)
        except Denied as denied:
            return denied.status, {"errorType": denied.kind, "errorMessage": str(denied), "correlationId": "c-1"}

    def _check_bearer(self, method: str, path: str, headers: Mapping[str, str]) -> None:
        token = headers.get("Authorization", "").removeprefix("Bearer ")
        try:
            header = jwt.get_unverified_header(token)
            claims = jwt.decode(
                token,
                self.keys.api_public,
                algorithms=[self.keys.algorithm],
                options={"require": ["exp", "nbf"], "verify_aud": False},
            )
        except jwt.PyJWTError as error:
            raise Denied(401, "unauthorized", f"bearer token: {error}") from None
        if header["kid"] != self.keys.api_key_id or claims["sub"] != self.keys.api_key_id or claims["iss"] != "cdp":
            raise Denied(401, "unauthorized", "bearer token of another key")
        if claims["exp"] - claims["nbf"] > 120:
            raise Denied(401, "unauthorized", "bearer token lives too long")
        self._check_claims(claims, method, path)
        self._check_fresh(header["nonce"])

    def _check_wallet_token(self, path: str, headers: Mapping[str, str], request: Any) -> None:
        try:
            claims = jwt.decode(
                headers.get("X-Wallet-Auth", ""),
                self.keys.wallet_public,
                algorithms=["ES256"],
                options={"require": ["iat", "nbf", "jti"]},
            )
        except jwt.PyJWTError as error:
            raise Denied(401, "unauthorized", f"Wallet authentication error: {error}") from None
        self._check_claims(claims, "POST", path)
        self._check_fresh(claims["jti"])
        canonical = json.dumps(request, sort_keys=True, separators=(",", ":")).encode()
        if claims.get("reqHash") != hashlib.sha256(canonical).hexdigest():
            raise Denied(401, "unauthorized", "Wallet authentication error: another request was signed")

    def _check_claims(self, claims: Mapping[str, Any], method: str, path: str) -> None:
        if claims.get("uris") != [f"{method} {self.host}{path}"]:
            raise Denied(401, "unauthorized", f"token for another call: {claims.get('uris')}")

    def _check_fresh(self, token_id: str) -> None:
        with self._lock:
            if token_id in self._token_ids:
                raise Denied(401, "unauthorized", "token used twice")
            self._token_ids.add(token_id)

    def _look(self, path: str) -> dict[str, Any]:
        key = unquote(path.removeprefix(ROOT).removeprefix("/by-name").removeprefix("/"))
        for name, account in self._accounts.items():
            if key in (name, account.address):
                policies = ["policy-1"] if self.policy else []
                return {"address": account.address, "name": name, "policies": policies}
        raise Denied(404, "not_found", "EVM account with the given name not found.")

    def _sign(self, path: str, request: dict[str, Any]) -> dict[str, Any]:
        address, _, operation = path.removeprefix(ROOT + "/").partition("/sign/")
        accounts = {account.address: account for account in self._accounts.values()}
        account = accounts.get(address)
        if account is None:
            raise Denied(404, "not_found", "EVM account not found.")
        if self.policy is not None and not allows(self.policy, operation, request):
            raise Denied(403, "policy_violation", "Policy policy-1 rejected the request.")
        with self._lock:
            self.bodies.append(request)
        match operation:
            case "typed-data":
                signature = account.sign_message(encode_typed_data(full_message=request))
                return {"signature": "0x" + bytes(signature.signature).hex()}
            case "transaction":
                transaction = account.sign_transaction(unsigned_fields(request["transaction"]))
                return {"signedTransaction": "0x" + bytes(transaction.raw_transaction).hex()}
        raise Denied(404, "not_found", f"no route {path}")


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news here; a fault of ours is."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


def with_high_s(answer: dict[str, Any]) -> dict[str, Any]:
    """The same signature in its other form, which verifies as well and which tokens refuse."""
    signature = bytes.fromhex(answer["signature"][2:])
    s = ORDER - int.from_bytes(signature[32:64])
    return {"signature": "0x" + (signature[:32] + s.to_bytes(32) + bytes([55 - signature[64]])).hex()}


@contextmanager
def running(keys: Keys | None = None) -> Iterator[CdpServer]:
    server = CdpServer(keys or new_keys())
    try:
        yield server
    finally:
        server.close()
