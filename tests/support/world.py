"""A real market to test against: mongod, Anvil, vendors over HTTP; and the levers that turn its clocks and faults."""

import math
import os
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import httpx
from eth_abi.abi import encode
from eth_account import Account
from eth_hash.auto import keccak
from pymongo import MongoClient
from pymongo.database import Database

from gpuagent import settings, wiring
from gpuagent.adapters.chain.evm import EvmChain, Transfer
from gpuagent.adapters.clock import SystemClock
from gpuagent.adapters.mongo.reads import MongoReads
from gpuagent.adapters.mongo.store import MongoStore
from gpuagent.agent.start import Order, start
from gpuagent.books.audit import Books, audit
from gpuagent.core.model import Run
from gpuagent.core.money import UNIT
from gpuagent.core.policy import Policy, Usage
from gpuagent.core.ports import Ports, VendorApi
from gpuagent.core.transitions import is_over
from gpuagent.practice.stack import Stack
from gpuagent.tick import tick
from tests.support.eventually import eventually

JOB_S = 3600.0
"""Every test job is one paid hour long."""


class TurnableClock:
    """The wall clock, plus what a test has turned it."""

    def __init__(self, ahead_s: float = 0) -> None:
        self.ahead_s = ahead_s

    def now(self) -> float:
        return round(SystemClock().now() + self.ahead_s, 3)  # whole milliseconds, as the system's


class Market:
    """The levers of the shared chain and vendors. Times in seconds, amounts in atomic units."""

    def __init__(self, stack: Stack) -> None:
        self.environment = dict(stack.environment)
        self.vendors = stack.vendors
        self.clock = TurnableClock()
        self._rpc_url = self.environment["CHAIN_RPC_URL"]
        self._http = httpx.Client(
            base_url=self.environment["VENDOR_URL"],
            headers={"Authorization": f"Bearer {self.environment['GPU_VENDOR_SECRET']}"},
            timeout=30,
        )
        self._node = httpx.Client(timeout=30)  # one: to make a client takes longer than most tests' calls
        self._mongo: MongoClient[Any] = MongoClient(self.environment["MONGODB_URI"])

    def close(self) -> None:
        self._http.close()
        self._node.close()
        self._mongo.close()

    def database(self, name: str) -> Database[Any]:
        """The documents themselves, for what only a broken or an older system writes."""
        return self._mongo[name]

    def empty(self, database: str, *collections: str) -> None:
        """Delete every document of these collections, or of all."""
        for name in collections or self._mongo[database].list_collection_names():
            self._mongo[database][name].delete_many({})

    def change(self, database: str, collection: str, key: Any, fields: dict[str, Any]) -> None:
        """Write into one document, past the agent."""
        self._mongo[database][collection].update_one({"_id": key}, {"$set": fields})

    @contextmanager
    def restored(self, database: str) -> Iterator[None]:
        """After the block the database holds again what it held before it."""
        before = self.backup(database)
        yield
        self.restore(database, before)

    def backup(self, database: str) -> dict[str, list[Any]]:
        """What the database holds of runs and their money."""
        return {name: list(self._mongo[database][name].find()) for name in ("runs", "jobs", "payments")}

    def restore(self, database: str, backup: dict[str, list[Any]]) -> None:
        for name, documents in backup.items():
            self._mongo[database][name].delete_many({})
            if documents:
                self._mongo[database][name].insert_many(documents)

    def control(self, method: str, path: str, **body: Any) -> Any:
        reply = self._http.request(method, f"/mock/{path}", json=body or None)
        assert reply.is_success, reply.text
        return reply.json() if reply.content else None

    def get(self, path: str, vendor_id: str, **params: str) -> Any:
        return self._http.get(path, headers={"x-vendor-id": vendor_id}, params=params).json()

    def fault(self, vendor_id: str, name: str) -> None:
        self.control("PUT", "faults", vendorId=vendor_id, name=name)

    def outcomes(self, vendor_id: str, script: str) -> None:
        """The vendor's next jobs, one character each: 1 completes, 0 fails."""
        self.control("PUT", "outcomes", vendorId=vendor_id, script=script)

    def received(self, payer: str) -> list[str]:
        """Every payment of this payer that any vendor was ever sent, as the base64 header."""
        headers: list[str] = [one["header"] for one in self.control("GET", "purchases")["received"]]
        return [header for header in headers if payer.lower() in b64decode(header).decode().lower()]

    def heal(self) -> None:
        """No faults, and jobs that succeed."""
        self.control("DELETE", "faults")
        for vendor in self.vendors:
            self.outcomes(vendor.vendor_id, "")

    def work(self, seconds: float = JOB_S) -> None:
        """Vendors' jobs go on for so long."""
        self.control("POST", "clock", advanceS=seconds)

    def pass_time(self, seconds: float) -> None:
        """Everybody's clock: the chain's, the vendors', the agent's."""
        self.rpc("evm_increaseTime", int(seconds))
        self.rpc("evm_mine")
        self.work(seconds)
        self.clock.ahead_s += seconds

    def catch_up(self) -> None:
        """Set our own clock by the chain's, which others may have turned before."""
        newest = self.rpc("eth_getBlockByNumber", "latest", False)
        self.clock.ahead_s = max(0, int(newest["timestamp"], 16) - SystemClock().now())

    def rpc(self, method: str, *params: Any) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        answer = self._node.post(self._rpc_url, json=body).json()
        assert "result" in answer, answer
        return answer["result"]

    def fund(self, address: str, amount: int) -> None:
        """Mint test USDC."""
        data = "0x" + (keccak(b"mint(address,uint256)")[:4] + encode(["address", "uint256"], [address, amount])).hex()
        self.transact(self.environment["X402_ASSET"], data)

    def transact(self, to: str, data: str) -> None:
        """Send from the token's deployer; returns once it is mined, and has not reverted."""
        receipt = self.mined(to, data, self.rpc("eth_accounts")[0])
        assert receipt["status"] == "0x1", receipt

    def mined(self, to: str, data: str, sender: str) -> Any:
        """The receipt of what is sent from an account that is unlocked on Anvil: the deployer's or a vendor's."""
        sent = self.rpc("eth_sendTransaction", {"from": sender, "to": to, "data": data, "gas": hex(500_000)})
        return self.receipt(sent)

    def receipt(self, transaction: str) -> Any:
        """What became of a transaction, once it is mined."""
        return eventually(lambda: self.rpc("eth_getTransactionReceipt", transaction), otherwise="not mined")


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
    def database(self) -> wiring.Database:
        return self.agent.database

    @property
    def reads(self) -> MongoReads:
        return self.agent.reads

    @property
    def chain(self) -> EvmChain:
        return self.agent.chain

    def start(self, budget: float = 5, **order: Any) -> Run:
        return start(Order(goal="Fine-tune tiny-llm", budget=int(Decimal(str(budget)) * UNIT), **order), self.ports)

    def allow(self, **rules: Any) -> Policy:
        """Change the owner's policy."""
        now = self.market.clock.now()
        return self.store.change_policy(lambda policy: replace(policy, **rules), "Ada", "the test says so", now)

    def used(self, run: Run, *vendor_ids: str) -> Usage:
        """What counts against the policy's caps."""
        return self.store.usage(run, self.ports.wallet.token.network, vendor_ids, self.market.clock.now())

    def signed(self, run: Run) -> list[Any]:
        """The documents of all that the run ever signed."""
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

    def settled_down(self, run: Run, ticks_max: int = 60) -> Run:
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

    def seen(self, run: Run, type_: str) -> list[Any]:
        return [one for one in self.reads.documents(run.run_id)["observations"] if one["type"] == type_]

    def job_status(self, vendor_job_id: str) -> Any:
        """What the vendor says of a job, as it says it."""
        return self.market.get("/job-status", self.vendor_of(vendor_job_id), vendorJobId=vendor_job_id)

    def jobs(self) -> list[Any]:
        """The documents of all jobs of all runs."""
        return [job for run in self.reads.runs() for job in self.reads.documents(str(run["_id"]))["jobs"]]

    def vendor_of(self, vendor_job_id: str) -> str:
        (found,) = [job["vendorId"] for job in self.jobs() if job.get("vendorJobId") == vendor_job_id]
        return str(found)

    def assert_balanced(self, run: Run, transfers: int) -> None:
        """The books balance to the unit, equal the chain, hold nothing, and there were just so many transfers."""
        books = self.books(run)
        assert books.balanced, books
        assert books.ledger.held == 0
        found = self.transfers()
        assert len(found) == transfers, found
        assert sum(transfer.amount for transfer in found) == books.ledger.settled


@contextmanager
def build_world(
    market: Market, database: str, funds: int = 1000 * UNIT, vendor_api: VendorApi | None = None
) -> Iterator[World]:
    account = Account.create()
    if funds:
        market.fund(account.address, funds)
    environment = {
        **os.environ,
        **market.environment,
        "MONGODB_DB_NAME": database,
        "X402_PRIVATE_KEY": account.key.to_0x_hex(),
    }
    with wiring.open_agent(settings.read(environment)) as agent:
        wiring.record_vendors(agent.database, market.vendors)
        agent = replace(
            agent,
            ports=replace(agent.ports, clock=market.clock, vendor_api=vendor_api or agent.ports.vendor_api),
        )
        yield World(market, agent, environment, agent.chain.head(account.address).number)
