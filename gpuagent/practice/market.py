"""A practice market with a clock that can be turned: scenarios are played in it end to end, with real payments."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import httpx

from gpuagent import settings, wiring
from gpuagent.core.model import Vendor
from gpuagent.core.ports import Clock
from gpuagent.errors import ChainError, VendorError
from gpuagent.planbench.end_to_end import LiveScenario
from gpuagent.planbench.scenarios import Market
from gpuagent.practice import stack

PAYER_USDC = "1000000"
TIMEOUT_S = 30


@dataclass(slots=True)
class TurnedClock:
    """Another clock, and what it was turned ahead."""

    clock: Clock
    ahead_s: float = 0

    def now(self) -> float:
        return self.clock.now() + self.ahead_s


class Levers:
    """Prices and outcomes of the vendors; the clocks of the vendors, the chain and the agent."""

    def __init__(self, vendors: httpx.Client, rpc_url: str, clock: TurnedClock) -> None:
        self._vendors, self._rpc_url, self._clock = vendors, rpc_url, clock

    def price(self, vendor_id: str, per_hour: Decimal) -> None:
        self._turn("PUT", "price", {"vendorId": vendor_id, "basePricePerHour": f"{per_hour:f}"})

    def outcomes(self, vendor_id: str, script: str) -> None:
        self._turn("PUT", "outcomes", {"vendorId": vendor_id, "script": script})

    def pass_time(self, seconds: float) -> None:
        self._rpc("evm_increaseTime", int(seconds))
        self._rpc("evm_mine")
        self._turn("POST", "clock", {"advanceS": seconds})
        self._clock.ahead_s += seconds

    def _turn(self, method: str, path: str, body: dict[str, Any]) -> None:
        reply = self._vendors.request(method, f"/mock/{path}", json=body)
        if not reply.is_success:
            raise VendorError(f"the practice market refuses /mock/{path}: {reply.text[:200]}")

    def _rpc(self, method: str, *params: Any) -> None:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        answer = self._vendors.post(self._rpc_url, json=body).json()
        if "result" not in answer:
            raise ChainError(f"the practice chain refuses {method}: {str(answer.get('error'))[:200]}")


@dataclass(frozen=True, slots=True)
class Practice:
    agent: wiring.Agent
    vendors: tuple[Vendor, ...]
    levers: Levers

    def stage(self, market: Market) -> LiveScenario:
        """Raises BadInput where the market cannot be played over HTTP."""
        return LiveScenario(market, self.vendors, self.agent.ports, self.agent.store, self.agent.reads, self.levers)


@contextmanager
def practice(vendors: int, **environment: str) -> Iterator[Practice]:
    """A market of its own until the block ends; nothing outlives it. environment: what the planner needs.

    Raises ConfigError, MongodError.
    """
    started = stack.start(PORT="0", MOCK_SPEED="1", MOCK_VENDORS=str(vendors), MOCK_PAYER_USDC=PAYER_USDC)
    with started as running, wiring.open_agent(settings.read({**environment, **running.environment})) as agent:
        token = {"Authorization": f"Bearer {running.environment['GPU_VENDOR_SECRET']}"}
        clock = TurnedClock(agent.ports.clock)
        turned = replace(agent, ports=replace(agent.ports, clock=clock))
        with httpx.Client(base_url=running.environment["VENDOR_URL"], headers=token, timeout=TIMEOUT_S) as client:
            yield Practice(turned, running.vendors, Levers(client, running.environment["CHAIN_RPC_URL"], clock))
