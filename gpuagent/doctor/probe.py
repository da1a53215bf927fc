"""One request by hand to a vendor that is checked, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gpuagent.core.model import Vendor
from gpuagent.wire import strict_json
from gpuagent.wire.bounded_http import BoundedHttp, HttpFailed, Reply


@dataclass(frozen=True, slots=True)
class ConformanceResult:
    """One check of a vendor. check: what a vendor must do. detail: what it did, or what is wrong."""

    check: str
    passed: bool
    detail: str

    def as_json(self) -> dict[str, Any]:
        return {"check": self.check, "passed": self.passed, "said": self.detail}


@dataclass(frozen=True, slots=True)
class Probe:
    """Requests to one vendor. headers: what every authorized one carries."""

    vendor: Vendor
    http: BoundedHttp
    headers: Mapping[str, str]

    def contract(self) -> Mapping[str, Any] | None:
        """The vendor's OpenAPI document, None where it publishes none that can be read. It is asked without a token."""
        try:
            reply = self.http.request("GET", self._url("/openapi.json"))
            document = strict_json.parse(reply.body) if reply.status == 200 else None
        except (HttpFailed, ValueError):
            return None
        return document if isinstance(document, dict) else None

    def ask(self, method: str, path: str, body: object = None, extra: Mapping[str, str] | None = None) -> Reply:
        """The answer to one request, whatever its status. Raises HttpFailed."""
        return self.http.request(method, self._url(path), headers={**self.headers, **(extra or {})}, json=body)

    def expect(
        self,
        name: str,
        statuses: tuple[int, ...],
        method: str,
        path: str,
        body: object = None,
        extra: Mapping[str, str] | None = None,
        *,
        content: bytes | None = None,
        bare: bool = False,
    ) -> ConformanceResult:
        headers = {"x-vendor-id": self.vendor.vendor_id} if bare else {**self.headers, **(extra or {})}
        try:
            reply = self.http.request(method, self._url(path), headers=headers, json=body, content=content)
        except HttpFailed as error:
            return ConformanceResult(name, False, str(error))
        detail = f"answered {reply.status}"
        if reply.status in statuses:
            return ConformanceResult(name, True, detail)
        return ConformanceResult(name, False, f"{detail}, wanted {' or '.join(map(str, statuses))}")

    def _url(self, path: str) -> str:
        return self.vendor.endpoint.rstrip("/") + path
