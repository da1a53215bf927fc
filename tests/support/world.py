"""One test's agent on the shared market, with a wallet and a database of its own."""

import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from eth_account import Account

from gpuagent import settings, wiring
from gpuagent.adapters.chain.evm import EvmChain, Transfer
from gpuagent.adapters.mongo.connection import Connection
from gpuagent.adapters.mongo.reads import MongoReads
from gpuagent.adapters.mongo.store import MongoStore
from gpuagent.agent.start import Order, start
from gpuagent.books.audit import Books, audit
from gpuagent.core.model import Run
from gpuagent.core.money import UNIT
from gpuagent.core.policy import Policy, Usage
from gpuagent.core.ports import Ports
from gpuagent.core.ports.vendors import VendorApi
from gpuagent.core.steps import is_over
from gpuagent.tick import tick
from gpuagent.wiring.database import Database
from gpuagent.wiring.vendors import record_vendors
from tests.support.clock import turned
from tests.support.market import Market


@dataclass
class World:
    """One test's agent, with a wallet and a database of its own."""

    market: Market
    agent: wiring.Agent
    environment: dict[str, str] = field(repr=False)
    from_block: int

    @property
    def ports(self) -> Ports:
        return self.agent.ports

    @property
    def store(self) -> MongoStore:
        return self.agent.store

    @property
    def database(self) -> Database:
        return self.agent.database

    @property
    def reads(self) -> MongoReads:
        return self.agent.reads

    @property
    def chain(self) -> EvmChain:
        return self.agent.chain

    def another_store(self, monotonic: Callable[[], float] = time.monotonic) -> MongoStore:
        """The store as another process has it, on the test's clock; monotonic: by which it takes what it read to be
        old."""
        return MongoStore(self.store.connection, lambda: self.market.clock.ahead_s, monotonic)

    def start(self, budget: float = 5, **order: Any) -> Run:
        return start(Order(goal="Fine-tune tiny-llm", budget=int(Decimal(str(budget)) * UNIT), **order), self.ports)

    def allow(self, **rules: Any) -> Policy:
        """Change the owner's policy."""
        now = self.market.clock.now()
        return self.store.change_policy(lambda policy: replace(policy, **rules), "Ada", "the test says so", now)

    def usage(self, run: Run, *vendor_ids: str) -> Usage:
        """The amounts that count against the policy's caps."""
        return self.store.usage(run, self.ports.wallet.token.network, vendor_ids, self.market.clock.now())

    def payments(self, run: Run) -> list[Any]:
        """The documents of the payments that the run ever signed."""
        return self.reads.documents(run.run_id)["payments"]

    def tick(self, run: Run | str) -> Run:
        return tick(run if isinstance(run, str) else run.run_id, self.ports)

    def finish(self, run: Run | str, ticks_max: int = 60) -> Run:
        """Tick to the end; between ticks the vendors work on, and the agent waits for as long as it said."""
        for _ in range(ticks_max):
            run = self.tick(run)
            if is_over(run):
                return run
            self.market.work()
            self.market.clock.ahead_s += max(0, math.ceil(run.wait_until - self.market.clock.now()))
        raise AssertionError(f"not over after {ticks_max} ticks: {run}")

    def finish_payments(self, run: Run, ticks_max: int = 60) -> Run:
        """Tick until no money of the run is undecided, while the chain goes on by its own blocks."""
        for _ in range(ticks_max):
            run = self.tick(run)
            if is_over(run):
                return run
            self.market.rpc("evm_mine")
        raise AssertionError(f"money still out after {ticks_max} ticks: {run}")

    def give_gas(self) -> None:
        self.market.rpc("anvil_setBalance", self.ports.wallet.address, hex(10**18))

    def transfers(self) -> tuple[Transfer, ...]:
        return self.chain.transfers(self.ports.wallet.address, self.from_block)

    def books(self, run: Run) -> Books:
        recorded = self.reads.recorded(run.run_id)
        return audit(self.store.load(run.run_id), recorded, self.chain, self.ports.wallet.token)

    def observations(self, run: Run, type_: str) -> list[Any]:
        """The run's observations of one type, as the database holds them."""
        return [document for document in self.reads.documents(run.run_id)["observations"] if document["type"] == type_]

    def job_status(self, vendor_job_id: str) -> Any:
        """The vendor's own answer about a job, unchecked."""
        return self.market.get("/job-status", self.vendor_of(vendor_job_id), vendorJobId=vendor_job_id)

    def jobs(self) -> list[Any]:
        """The documents of all jobs of all runs."""
        return [job for run in self.reads.runs() for job in self.reads.documents(str(run["_id"]))["jobs"]]

    def vendor_of(self, vendor_job_id: str) -> str:
        (vendor_id,) = [job["vendorId"] for job in self.jobs() if job.get("vendorJobId") == vendor_job_id]
        return str(vendor_id)

    def assert_balanced(self, run: Run, transfers: int) -> None:
        """Check that the books balance to the unit, equal the chain, hold nothing, and show just so many transfers."""
        books = self.books(run)
        assert books.balanced, books
        assert books.ledger.held == 0
        on_chain = self.transfers()
        assert len(on_chain) == transfers, on_chain
        assert sum(transfer.amount for transfer in on_chain) == books.ledger.settled


@contextmanager
def build_world(
    market: Market,
    database: str,
    funds: int = 1000 * UNIT,
    vendor_api: VendorApi | None = None,
    connection: Connection | None = None,
) -> Iterator[World]:
    """connection: an open one to the database; it stays open."""
    account = Account.create()
    if funds:
        market.fund(account.address, funds)
    environment = {
        **os.environ,
        **market.environment,
        "MONGODB_DB_NAME": database,
        "X402_PRIVATE_KEY": account.key.to_0x_hex(),
    }
    opened = connection and Database(connection)
    with wiring.open_agent(settings.read(environment), opened) as agent:
        record_vendors(agent.database, market.vendors)
        agent = turned(agent, market.clock)
        agent = replace(agent, ports=replace(agent.ports, vendor_api=vendor_api or agent.ports.vendor_api))
        yield World(market, agent, environment, agent.chain.head(account.address).number)
