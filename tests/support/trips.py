"""The trips of an agent: its commands to MongoDB, its exchanges with the chain's node, and those with vendors."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import Any
from unittest.mock import patch

from pymongo import MongoClient
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from gpuagent.adapters.mongo import connection
from gpuagent.wire.bounded_http import BoundedHttp, Reply

WRITES = frozenset({"insert", "update", "delete", "findAndModify", "bulkWrite", "commitTransaction"})
DRIVERS_OWN = frozenset({"hello", "ping", "endSessions", "isMaster"})
"""Commands of the driver. A `hello` that this program sends, to ask for the time, counts all the same."""


@dataclass
class Trips(CommandListener):
    """The trips since the last reset(): each by its kind. Safe to share between threads."""

    commands: Counter[str] = field(default_factory=Counter)
    chain: Counter[str] = field(default_factory=Counter)
    vendors: Counter[str] = field(default_factory=Counter)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def reset(self) -> None:
        for counter in (self.commands, self.chain, self.vendors):
            counter.clear()

    @property
    def writes(self) -> int:
        return sum(count for name, count in self.commands.items() if name.partition(" ")[0] in WRITES)

    @property
    def counts(self) -> dict[str, int]:
        """How many there were, of each kind of partner."""
        return {
            "MongoDB commands": self.commands.total(),
            "chain exchanges": self.chain.total(),
            "vendor exchanges": self.vendors.total(),
        }

    def started(self, event: CommandStartedEvent) -> None:
        """Counts a command under its name and collection."""
        if event.command_name in DRIVERS_OWN - {"hello"}:
            return
        collection = event.command.get(event.command_name)
        name = f"{event.command_name} {collection}" if isinstance(collection, str) else event.command_name
        with self._lock:
            self.commands[name] += 1

    def succeeded(self, event: CommandSucceededEvent) -> None:
        pass

    def failed(self, event: CommandFailedEvent) -> None:
        pass

    def exchanged(self, url: str, method: str, calls: object) -> None:
        """Counts an exchange over HTTP: with a node by its calls, with a vendor by method and path."""
        requests = calls if isinstance(calls, list) else [calls]
        is_rpc = all(isinstance(request, dict) and "jsonrpc" in request for request in requests)
        with self._lock:
            if is_rpc:
                self.chain[" ".join(request["method"] for request in requests)] += 1
            else:
                self.vendors[f"{method} /{url.rpartition('/')[2]}"] += 1


@contextmanager
def counted_trips() -> Iterator[Trips]:
    """Counts the trips of the agents that are opened inside, until the block ends."""
    trips, request = Trips(), BoundedHttp.request

    def counted(self: BoundedHttp, method: str, url: str, **options: Any) -> Reply:
        trips.exchanged(url, method, options.get("json"))
        return request(self, method, url, **options)

    client = partial(MongoClient, event_listeners=[trips])
    with patch.object(connection, "MongoClient", client), patch.object(BoundedHttp, "request", counted):
        yield trips
