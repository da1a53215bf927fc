"""Switches for what the practice vendors do wrong, so that a person can watch a recovery."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from gpuagent.errors import VendorError

JOBS_FAIL = "jobs_fail"
FAULTS: Mapping[str, str] = {
    JOBS_FAIL: "jobs fail",
    "raise_price": "raises the price at 402",
    "drop_after_settle": "loses the reply",
}
"""The mock vendor's own names, and JOBS_FAIL, which is a script of outcomes there."""
SCRIPT = "0" * 1000
TIMEOUT_S = 10


@dataclass(frozen=True, slots=True)
class FaultSwitches:
    """Every method raises VendorError where the practice market does not do it."""

    client: httpx.Client

    def on(self) -> set[tuple[str, str]]:
        """Which (vendor_id, fault) are switched on, of FAULTS."""
        named = {(one["vendorId"], one["name"]) for one in self._ask("GET", "faults")["on"] if one["name"] in FAULTS}
        scripts = self._ask("GET", "outcomes")["scripts"]
        return named | {(vendor_id, JOBS_FAIL) for vendor_id, script in scripts.items() if script[:1] == "0"}

    def switch(self, vendor_id: str, fault: str, on: bool) -> None:
        """For payments and jobs from now on."""
        if fault == JOBS_FAIL:
            self._ask("PUT", "outcomes", vendorId=vendor_id, script=SCRIPT if on else "")
        else:
            self._ask("PUT" if on else "DELETE", "faults", vendorId=vendor_id, name=fault)

    def _ask(self, method: str, path: str, **body: str) -> Mapping[str, Any]:
        try:
            reply = self.client.request(method, f"/mock/{path}", json=body or None)
            if not reply.is_success:
                raise VendorError(f"the practice market answered {reply.status_code}: {reply.text[:200]}")
            answer: Mapping[str, Any] = reply.json()
        except (httpx.HTTPError, ValueError) as error:
            raise VendorError(f"the practice market does not answer ({type(error).__name__}): {error}") from error
        return answer


@contextmanager
def fault_switches(environ: Mapping[str, str]) -> Iterator[FaultSwitches | None]:
    """Of the practice market that the environment names by VENDOR_URL, as `gpuagent up` prints it; else None."""
    if not environ.get("VENDOR_URL"):
        yield None
        return
    token = {"Authorization": f"Bearer {environ.get('GPU_VENDOR_SECRET', '')}"}
    with httpx.Client(base_url=environ["VENDOR_URL"], headers=token, timeout=TIMEOUT_S) as client:
        yield FaultSwitches(client)
