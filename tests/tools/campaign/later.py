"""What goes wrong with the vendor that is paid after the work: its faults, its death, and its last second."""

import base64
import json
import random
import time
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import httpx

from tests.support.market import BRIEF, Market
from tests.tools.campaign.report import Report
from tests.tools.campaign.stage import LATER, Stage
from tests.tools.campaign.vendors import SECRET

KEEPS = "settles_failed"
LATER_MODES: Mapping[str, tuple[str, ...]] = {
    f"{LATER} {name}": modes
    for name, *modes in (
        ("price_up", "price_up"),
        ("other_payee", "other_payee"),
        ("v1_only", "v1_only"),
        ("large_extension", "large_extension"),
        ("lose_answer", "lose_answer"),
        ("down", "down"),
        ("forget_jobs", "forget_jobs"),
        ("no_gpu", "no_gpu"),
        ("lease_fails", "lease_fails"),
        ("unconfirmed", "unconfirmed"),
        ("unsettled", "unsettled"),
        ("foreign_token", "foreign_token"),
        ("foreign_poll", "foreign_poll"),
        ("claims_charged", "claims_charged"),
        ("keeps failed", KEEPS, "lease_fails"),
        ("keeps failed, loses answers", KEEPS, "lease_fails", "lose_answer"),
    )
}
"""The stub's modes that are on together, by the name in the report."""
LATER_KILLED = f"{LATER} killed with jobs running"
LAST_SECONDS = f"{LATER} settled in the last seconds"
NO_GAS = "gas taken"
LAST_S = 4
"""The seconds that an authorization has left when it is settled last: less, and a slow machine would be too late."""
KEPT_WITHIN = 9
"""The turns for which a mode that keeps payments stays on at most, until a job has failed in it."""
GAS = 10**18


class LaterTroubles:
    """The troubles of the vendor that is paid after the work. received: the payments that reached it, by nonce."""

    def __init__(self, stage: Stage, dice: random.Random, report: Report) -> None:
        self._vendor, self._dice, self._report = stage.later, dice, report
        self._market: Market = stage.world.market
        self._wallet = stage.world.ports.wallet.address
        token = {"Authorization": f"Bearer {SECRET}"}
        url = stage.later.ready["url"]
        self._http = httpx.Client(base_url=url, headers=token, timeout=30, limits=BRIEF, trust_env=False)
        self._modes: list[str] = []
        self._misbehaves, self._starts_at, self._awaits_kept = False, 0.0, 0
        self.received: defaultdict[str, set[str]] = defaultdict(set)

    @property
    def is_up(self) -> bool:
        return self._vendor.is_up

    @property
    def is_busy(self) -> bool:
        """Whether jobs run there."""
        return self.is_up and self._vendor.running > 0

    def close(self) -> None:
        self._http.close()

    def switch_modes(self) -> None:
        """Put the next modes on, or off those that are: it sells well half of the time, and once all have been on.

        Until a payment was settled in its last seconds, a mode that keeps payments waits for one.
        """
        if self._awaits_kept and not self.kept_ends():
            self._awaits_kept -= 1
            return
        self._awaits_kept = 0
        if self._misbehaves:
            self._switch()
        else:
            if not (name := self._next_mode()):
                return
            self._switch(*LATER_MODES[name])
            self._report.faults[name] += 1
            self._awaits_kept = KEPT_WITHIN * self._keeps_for_the_last_seconds(name)
        self._misbehaves = not self._misbehaves

    def _next_mode(self) -> str:
        """Modes in drawn order: those that have not been on yet, and that keep payments as long as one must; or ""."""
        if not self._modes:
            fresh = [name for name in LATER_MODES if not self._report.faults[name]]
            kept = [name for name in LATER_MODES if self._keeps_for_the_last_seconds(name)]
            self._modes = list(dict.fromkeys([*fresh, *kept]))
            self._dice.shuffle(self._modes)
        return self._modes.pop() if self._modes else ""

    def kill(self) -> None:
        """Kill it with all its jobs, which it has forgotten when it is back."""
        self.note_received()
        self._report.outages[LATER_KILLED] += 1
        self._vendor.kill()
        self._starts_at = time.monotonic() + self._dice.uniform(0, 1)

    def start_again(self) -> None:
        """Start it again after a moment, and set its clock once it is there."""
        if self._starts_at:
            if time.monotonic() >= self._starts_at:
                self._vendor.start()
                self._starts_at = 0
        elif self._vendor.poll():
            self.pass_time(self._market.clock.ahead_s)

    def turn_gas(self) -> None:
        """Give the wallet gas, so that it can cancel what it signed, or take it away."""
        has_gas = int(self._market.rpc("eth_getBalance", self._wallet, "latest"), 16) > 0
        self._market.rpc("anvil_setBalance", self._wallet, hex(0 if has_gas else GAS))
        self._report.outages[NO_GAS] += has_gas

    def pass_time(self, seconds: float) -> None:
        if self.is_up:
            self._control("POST", "clock", advanceS=seconds)

    def kept_ends(self) -> list[int]:
        """When the payments die, by the chain's clock, that it has kept."""
        ends: list[int] = self._control("GET", "prism/kept")["validBefore"] if self.is_up else []
        return ends

    def last_moment(self) -> int | None:
        """The seconds until a kept payment is about to die; None without one."""
        if not (ends := self.kept_ends()):
            return None
        self._market.rpc("evm_mine")
        now = int(self._market.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
        return max(0, min(ends) - LAST_S - now)

    def settle_kept(self) -> None:
        """Have it settle the payments that it kept of failed jobs."""
        self._report.outages[LAST_SECONDS] += len(self._control("POST", "prism/settle-kept")["transactions"])

    def note_received(self) -> None:
        """Keep what payments it received: it forgets them when it is killed."""
        for header in self._control("GET", "received")[LATER]:
            payment = json.loads(base64.b64decode(header))
            self.received[payment["payload"]["authorization"]["nonce"]].add(header)

    def heal(self) -> None:
        while not self.is_up:
            self.start_again()
        self._switch()

    def _keeps_for_the_last_seconds(self, mode: str) -> bool:
        """Whether the mode may bring the campaign's rarest case, which has not come yet."""
        return KEEPS in LATER_MODES[mode] and not self._report.outages[LAST_SECONDS]

    def _switch(self, *modes: str) -> None:
        self._control("PUT", "modes", stub=LATER, modes=modes)

    def _control(self, method: str, path: str, **body: Any) -> Any:
        reply = self._http.request(method, f"/stubs/{path}", json=body or None)
        assert reply.is_success, reply.text
        return reply.json()
