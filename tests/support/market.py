"""The shared market that tests buy from: mongod, Anvil and vendors over HTTP, with control of clocks and faults."""

import binascii
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from eth_abi.abi import encode
from eth_hash.auto import keccak
from pymongo import MongoClient, WriteConcern
from pymongo.database import Database

from gpuagent.adapters.clock import SystemClock
from gpuagent.adapters.mongo import policy
from gpuagent.adapters.mongo.connection import Connection
from gpuagent.practice.stack import Stack
from tests.support.clock import TurnableClock
from tests.support.eventually import eventually

BRIEF = httpx.Limits(keepalive_expiry=1.0)
"""No connection is used again that the vendors are about to close: they do so after five idle seconds."""
JOB_S = 3600.0
"""Every test job is one paid hour long."""


class Market:
    """The controls of the shared chain, vendors and database. Times in seconds, amounts in atomic units."""

    def __init__(self, stack: Stack) -> None:
        self.environment = dict(stack.environment)
        self.vendors = stack.vendors
        self.clock = TurnableClock()
        self._rpc_url = self.environment["CHAIN_RPC_URL"]
        self._http = httpx.Client(
            base_url=self.environment["VENDOR_URL"],
            headers={"Authorization": f"Bearer {self.environment['GPU_VENDOR_SECRET']}"},
            timeout=30,
            limits=BRIEF,
        )
        self._node = httpx.Client(timeout=30)  # one: to make a client takes longer than most tests' calls
        self._mongo: MongoClient[Any] = MongoClient(self.environment["MONGODB_URI"])
        self._connections: dict[str, Connection] = {}
        self._vendors_ahead_s = self.control("POST", "clock", advanceS=0)["now"] - SystemClock().now()

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()
        self._http.close()
        self._node.close()
        self._mongo.close()

    def database(self, name: str) -> Database[Any]:
        """The documents themselves, for what only a broken or an older system writes."""
        return self._mongo[name]

    def connection(self, database: str) -> Connection:
        """The agents' connection to the database: set up at first, since then as it is but for a first policy."""
        if database not in self._connections:
            self._connections[database] = Connection(self.environment["MONGODB_URI"], database)
        connection = self._connections[database]
        policy.ensure(connection.database, self.clock.now())
        return connection

    def empty(self, database: str, *collections: str) -> None:
        """Delete every document of these collections, or of all."""
        documents = self._mongo.get_database(database, write_concern=WriteConcern(w=1))
        for name in collections or documents.list_collection_names():
            documents[name].delete_many({})
        self._mongo[database].policies.delete_many({"_id": None})  # acknowledged once all before it is durable

    def change(self, database: str, collection: str, key: Any, fields: dict[str, Any]) -> None:
        """Write into one document, past the agent."""
        self._mongo[database][collection].update_one({"_id": key}, {"$set": fields})

    @contextmanager
    def restored(self, database: str) -> Iterator[None]:
        """Put the database back, after the block, to what it held before."""
        before = self.backup(database)
        yield
        self.restore(database, before)

    def backup(self, database: str) -> dict[str, list[Any]]:
        """The documents of runs, jobs and payments."""
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

    def received_headers(self, payer: str) -> list[str]:
        """Every payment of this payer that was ever sent to a vendor, as the base64 header."""
        headers: list[str] = [purchase["header"] for purchase in self.control("GET", "purchases")["received"]]
        return [header for header in headers if payer.lower() in _decoded(header).lower()]

    def heal(self) -> None:
        """No faults, and jobs that succeed."""
        self.control("DELETE", "faults")
        self.control("DELETE", "outcomes")

    def work(self, seconds: float = JOB_S) -> None:
        """Let the vendors' jobs go on for so long."""
        self.control("POST", "clock", advanceS=seconds)
        self._vendors_ahead_s += seconds

    def pass_time(self, seconds: float) -> None:
        """Turn every clock: the chain's, the vendors', the agent's."""
        self.work(seconds)
        self.pass_by_vendors(seconds)

    def pass_by_vendors(self, seconds: float) -> None:
        """Turn the chain's and the agent's clock, and the vendors' as far as they are not ahead by work waited for."""
        self.rpc("evm_increaseTime", int(seconds))
        self.rpc("evm_mine")
        self.clock.ahead_s += seconds
        self._take_vendors_along()

    def _take_vendors_along(self) -> None:
        if (behind_s := self.clock.ahead_s - self._vendors_ahead_s) > 0:
            self.work(behind_s)

    def catch_up(self) -> None:
        """Set the agent's clock by the chain's, which earlier tests may have turned, and the vendors' no earlier.

        Blocks that are mined at once are a second apart: a chain that is far ahead outlives the vendors' quotes.
        """
        newest = self.rpc("eth_getBlockByNumber", "latest", False)
        self.clock.ahead_s = max(0, int(newest["timestamp"], 16) - SystemClock().now())
        self._take_vendors_along()

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
        """The receipt of a call sent from an account that is unlocked on Anvil: the deployer's or a vendor's."""
        call = {"from": sender, "to": to, "data": data, "gas": hex(500_000)}
        return self.receipt(self.rpc("eth_sendTransaction", call))

    def receipt(self, transaction: str) -> Any:
        """The receipt of a transaction, once it is mined."""
        return eventually(lambda: self.rpc("eth_getTransactionReceipt", transaction), otherwise="not mined")


def _decoded(header: str) -> str:
    """The text of a header, "" of one that is no base64: other tests send such."""
    try:
        return b64decode(header).decode(errors="replace")
    except binascii.Error:
        return ""
