"""Fault switches of the practice vendors, so that a user can watch a recovery."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx

from gpuagent.core.text import is_web_url
from gpuagent.errors import ConfigError, VendorError
from gpuagent.settings import Environment
from gpuagent.wire.credentials import secrets_sent
from gpuagent.wire.scrub import Scrubber

JOBS_FAIL = "jobs_fail"
FAULTS: Mapping[str, str] = {
    JOBS_FAIL: "jobs fail",
    "raise_price": "raises the price at 402",
    "drop_after_settle": "loses the reply",
}
"""Faults with their descriptions: the mock vendor's own names, and JOBS_FAIL, which is a script of outcomes there."""
SCRIPT = "0" * 1000
TIMEOUT_S = 10


@dataclass(frozen=True, slots=True)
class FaultSwitches:
    """The fault switches of a practice market. Every method raises VendorError where the market does not obey."""

    client: httpx.Client
    _scripts_before: dict[str, str] = field(default_factory=dict)
    """The scripts of outcomes that restore() puts back, by vendor."""

    def on(self) -> set[tuple[str, str]]:
        """The (vendor_id, fault) that are switched on, of FAULTS."""
        faults = self._request("GET", "faults")["on"]
        switches = {(fault["vendorId"], fault["name"]) for fault in faults if fault["name"] in FAULTS}
        scripts = self._request("GET", "outcomes")["scripts"]
        return switches | {(vendor_id, JOBS_FAIL) for vendor_id, script in scripts.items() if script[:1] == "0"}

    def note(self) -> str:
        """A note on the faults that are on, for the start of a run; "" for none, or where no market answers."""
        try:
            active = self.on()
        except VendorError:
            return ""  # the run says itself what its vendors do not answer
        names = ", ".join(f"{vendor_id}: {FAULTS[fault]}" for vendor_id, fault in sorted(active))
        return f"Practice faults are on: {names}." if names else ""

    def switch(self, vendor_id: str, fault: str, on: bool) -> None:
        """Switch a vendor's fault on or off, for payments and jobs from now on."""
        if fault == JOBS_FAIL:
            self._request("PUT", "outcomes", vendorId=vendor_id, script=SCRIPT if on else "")
        else:
            self._request("PUT" if on else "DELETE", "faults", vendorId=vendor_id, name=fault)

    def fail_for_a_while(self, failing: str, vendor_ids: Iterable[str]) -> None:
        """Have the jobs of one of these vendors fail, and of no other, until restore() or the end of the session."""
        scripts = self._request("GET", "outcomes")["scripts"]
        for vendor_id in vendor_ids:
            self._scripts_before.setdefault(vendor_id, scripts.get(vendor_id, ""))
            self.switch(vendor_id, JOBS_FAIL, vendor_id == failing)

    def restore(self) -> None:
        """Put back what fail_for_a_while() has changed, whoever had set it."""
        for vendor_id, script in [*self._scripts_before.items()]:
            self._request("PUT", "outcomes", vendorId=vendor_id, script=script)
            del self._scripts_before[vendor_id]

    def _request(self, method: str, path: str, **body: str) -> Mapping[str, Any]:
        try:
            reply = self.client.request(method, f"/mock/{path}", json=body or None)
            if not reply.is_success:
                raise VendorError(
                    f"the practice market answered {reply.status_code}: {self._scrubbed(reply.text)[:200]}"
                )
            answer: Mapping[str, Any] = reply.json()
        except (httpx.HTTPError, ValueError) as error:
            problem = self._scrubbed(str(error))
            raise VendorError(f"the practice market does not answer ({type(error).__name__}): {problem}") from None
        return answer

    def _scrubbed(self, text: str) -> str:
        return Scrubber(secrets_sent(str(self.client.base_url), self.client.headers)).scrub(text)


@contextmanager
def fault_switches(environ: Mapping[str, str]) -> Iterator[FaultSwitches | None]:
    """The switches of the practice market at VENDOR_URL, as `gpuagent up` prints it; None where that is not set.

    Raises ConfigError.
    """
    environ = Environment(environ)
    if not environ.get("VENDOR_URL"):
        yield None
        return
    if not is_web_url(environ["VENDOR_URL"]):
        raise ConfigError("VENDOR_URL is no URL: write what `gpuagent up` prints, such as http://127.0.0.1:4001")
    if not environ.get("GPU_VENDOR_SECRET", "").isascii():
        raise ConfigError("GPU_VENDOR_SECRET holds characters that no token has: copy it again")
    token = {"Authorization": f"Bearer {environ.get('GPU_VENDOR_SECRET', '')}"}
    with httpx.Client(base_url=environ["VENDOR_URL"], headers=token, timeout=TIMEOUT_S, trust_env=False) as client:
        switches = FaultSwitches(client)
        try:
            yield switches
        finally:
            with suppress(VendorError):  # a market that has ended has no faults
                switches.restore()
