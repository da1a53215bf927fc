"""A practice market with a clock that can be turned, in which scenarios are played end to end with real payments."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import httpx

from gpuagent import settings, wiring
from gpuagent.core.model import Vendor
from gpuagent.core.ports.clock import Clock
from gpuagent.errors import ChainError, VendorError
from gpuagent.planbench.end_to_end import LiveScenario
from gpuagent.planbench.scenarios import Market
from gpuagent.practice import stack

PAYER_USDC = "1000000"
TIMEOUT_S = 30


@dataclass(slots=True)
class TurnedClock:
    """A clock that runs ahead of another by so many seconds."""

    clock: Clock
    ahead_s: float = 0

    def now(self) -> float:
        return self.clock.now() + self.ahead_s


class PracticeControls:
    """Controls of the vendors' prices and outcomes, and of the clocks of vendors, chain and agent."""

    def __init__(self, vendors: httpx.Client, rpc_url: str, clock: TurnedClock) -> None:
        self._vendors, self._rpc_url, self._clock = vendors, rpc_url, clock

    def price(self, vendor_id: str, per_hour: Decimal) -> None:
        self._control("PUT", "price", {"vendorId": vendor_id, "basePricePerHour": f"{per_hour:f}"})

    def outcomes(self, vendor_id: str, script: str) -> None:
        self._control("PUT", "outcomes", {"vendorId": vendor_id, "script": script})

    def pass_time(self, seconds: float) -> None:
        self._rpc("evm_increaseTime", int(seconds))
        self._rpc("evm_mine")
        self._control("POST", "clock", {"advanceS": seconds})
        self._clock.ahead_s += seconds

    def _control(self, method: str, path: str, body: dict[str, Any]) -> None:
        reply = self._vendors.request(method, f"/mock/{path}", json=body)
        if not reply.is_success:
            raise VendorError(f"the practice market refuses /mock/{path}: {reply.text[:200]}")

    def _rpc(self, method: str, *params: Any) -> None:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        answer = self._vendors.post(self._rpc_url, json=body).json()
        if "result" not in answer:
            raise ChainError(f"the practice chain refuses {method}: {str(answer.get('error'))[:200]}")


@dataclass(frozen=True, slots=True)
class PracticeMarket:
    """A running practice market and the agent that buys in it."""

    agent: wiring.Agent
    vendors: tuple[Vendor, ...]
    controls: PracticeControls

    def stage(self, market: Market) -> LiveScenario:
        """Raises BadInput where the market cannot be played over HTTP."""
        return LiveScenario(market, self.vendors, self.agent.ports, self.agent.store, self.agent.reads, self.controls)


@contextmanager
def practice_market(vendors: int, **environment: str) -> Iterator[PracticeMarket]:
    """Run a fresh market until the block ends; nothing outlives it. environment: the planner's variables.

    Raises ConfigError, MongodError.
    """
    starting = stack.start(PORT="0", MOCK_SPEED="1", MOCK_VENDORS=str(vendors), MOCK_PAYER_USDC=PAYER_USDC)
    with starting as running, wiring.open_agent(settings.read({**environment, **running.environment})) as agent:
        token = {"Authorization": f"Bearer {running.environment['GPU_VENDOR_SECRET']}"}
        clock = TurnedClock(agent.ports.clock)
        database = replace(agent.database, ahead=lambda: clock.ahead_s)
        ports = replace(agent.ports, clock=clock, store=database.store)
        agent = replace(agent, database=database, ports=ports)
        url = running.environment["VENDOR_URL"]
        with httpx.Client(base_url=url, headers=token, timeout=TIMEOUT_S, trust_env=False) as client:
            yield PracticeMarket(
                agent, running.vendors, PracticeControls(client, running.environment["CHAIN_RPC_URL"], clock)
            )
