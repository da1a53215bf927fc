"""`make bench-mongod`: what indexes, validators and rereads of a purchase cost mongod, beside the floor's writes.

The commands of one purchase are recorded, and played again under ids of their own in databases of one server that each
lack something. None of these could be used: they show what the time is spent on, and how much there is to be had.
"""

import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from typing import Any

import bson
from bson import ObjectId
from pymongo import MongoClient, monitoring
from pymongo.client_session import ClientSession
from pymongo.database import Database

from benchmarks.floor import Books
from benchmarks.lifecycle import QUICK_JOBS, agent_lifecycle
from benchmarks.processes import Processes, machine, processes
from gpuagent.adapters.mongo.connection import DURABLE
from gpuagent.adapters.mongo.schema import VALIDATORS
from gpuagent.adapters.mongo.setup import ensure_schema
from gpuagent.core.money import UNIT
from gpuagent.practice import stack
from tests.support.market import Market
from tests.support.world import build_world

Document = dict[str, Any]
ROUNDS, PURCHASES, WARM = 25, 8, 100
"""Of each database in a round, and before the first."""
OF_THE_CONNECTION = {"lsid", "$clusterTime", "$db", "txnNumber", "startTransaction", "readConcern", "$readPreference"}
"""Fields of a command that the driver adds."""
COPIED = ("vendors", "policies")
NEEDED = {"runId_1_ordinal_1_actualCost_1", "jobId_1"}
"""The indexes that a purchase's own commands go by."""


class Recorder(monitoring.CommandListener):
    """The commands that were sent since the last reset(), as they were then."""

    def __init__(self) -> None:
        self.commands: list[Document] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self.commands.append(bson.decode(bson.encode(event.command)))

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        pass

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        pass


@dataclass(frozen=True)
class Recording:
    """The commands of a purchase, and the documents that they find: vendors and policies."""

    commands: Sequence[Document]
    copied: Mapping[str, Sequence[Document]]

    def without_reads(self) -> "Recording":
        return Recording([command for command in self.commands if "aggregate" not in command], self.copied)

    def commands_anew(self) -> list[Document]:
        """The commands of another purchase, which differs in its ids, its nonce and the vendor's name for the job."""
        kept = {document["_id"] for documents in self.copied.values() for document in documents}
        written = [update["u"].get("$set", {}) for command in self.commands for update in command.get("updates", ())]
        names = {fields[name] for fields in written for name in ("nonce", "vendorJobId") if name in fields}
        new: dict[Any, Any] = {name: f"0x{secrets.token_hex((len(name) - 2) // 2)}" for name in names}

        def renamed(value: Any) -> Any:
            if isinstance(value, dict):
                return {key: renamed(field) for key, field in value.items() if key not in OF_THE_CONNECTION}
            if isinstance(value, list):
                return [renamed(entry) for entry in value]
            if isinstance(value, ObjectId) and value not in kept:
                return new.setdefault(value, ObjectId())
            return new.get(value, value) if isinstance(value, str) else value

        return [renamed(command) for command in self.commands]


def record(market: Market) -> Recording:
    """The second purchase of a process: past jobs and sums are known to it."""
    recorder = Recorder()
    monitoring.register(recorder)
    with build_world(market, "recorded", funds=10**6 * UNIT) as world:
        world.allow(per_payment=None, wallet_per_day=10**6 * UNIT)
        live = agent_lifecycle(world)
        live(0)
        recorder.commands.clear()
        live(1)
        commands = [command for command in recorder.commands if not command.keys() & {"hello", "ping", "endSessions"}]
        database = world.database.connection.database
        return Recording(commands, {name: list(database[name].find()) for name in COPIED})


def play(database: Database[Document], recording: Recording) -> None:
    """The commands once more, in transactions where they were."""
    with ExitStack() as open_session:
        session: ClientSession | None = None
        for command in recording.commands_anew():
            in_transaction = command.pop("autocommit", None) is not None
            if "commitTransaction" in command and session:
                session.commit_transaction()
                open_session.close()
                session = None
                continue
            if in_transaction and session is None:
                session = open_session.enter_context(database.client.start_session())
                session.start_transaction(write_concern=DURABLE)
            answer = database.command(command, session=session)
            assert answer.get("n", 1), command  # each write finds what it changes


def copy_of(client: MongoClient[Document], name: str, recording: Recording) -> Database[Document]:
    """A database with the schema, and what the recording's commands find."""
    database = client.get_database(name, write_concern=DURABLE)
    ensure_schema(database)
    for collection, documents in recording.copied.items():
        database[collection].insert_many(documents)
    return database


def without_indexes(database: Database[Document]) -> None:
    for collection in ("runs", "jobs", "payments", "observations"):
        for index in {*database[collection].index_information()} - {"_id_"} - NEEDED:
            database[collection].drop_index(index)


def without_validators(database: Database[Document]) -> None:
    for collection in VALIDATORS:
        database.command("collMod", collection, validator={})


def lives(client: MongoClient[Document], recording: Recording) -> dict[str, Callable[[], None]]:
    """What is played, by its title."""
    reads_away = recording.without_reads()

    def of(name: str, played: Recording, *lack: Callable[[Database[Document]], None]) -> Callable[[], None]:
        database = copy_of(client, name, recording)
        for take_away in lack:
            take_away(database)
        return lambda: play(database, played)

    return {
        "as it is": of("whole", recording),
        "without the three rereads": of("no_reads", reads_away),
        "without indexes": of("no_indexes", recording, without_indexes),
        "without validators": of("no_validators", recording, without_validators),
        "without all of these": of("bare", reads_away, without_indexes, without_validators),
        "floor": Books(client.get_database("floor")).live,
    }


def measure(played: Mapping[str, Callable[[], None]], used: Processes) -> dict[str, list[float]]:
    """Milliseconds of mongod's processor time of a purchase, by title, one for each round; all in turn."""
    for live in played.values():
        for _ in range(WARM):
            live()
    figures: dict[str, list[float]] = {title: [] for title in played}
    for _ in range(ROUNDS):
        for title, live in played.items():
            before = used.cpu_ms()["mongod"]
            for _ in range(PURCHASES):
                live()
            figures[title].append((used.cpu_ms()["mongod"] - before) / PURCHASES)
    return figures


def main() -> None:
    say = sys.stdout.write
    with stack.start(PORT="0", MOCK_SPEED=QUICK_JOBS) as running:
        market = Market(running)
        recording, uri = record(market), running.environment["MONGODB_URI"]
        with MongoClient[Document](uri) as client:
            figures = measure(lives(client, recording), processes(uri))
        market.close()
    say("".join(f"{name}: {text}\n" for name, text in machine().items()))
    say(f"\n{'':28}{'ms':>8}{'of floor':>10}   mongod's CPU of a purchase: {len(recording.commands)} commands\n")
    for title, ms in figures.items():
        ratio = median(cost / floor for cost, floor in zip(ms, figures["floor"], strict=True))
        say(f"{title:28}{median(ms):8.1f}{ratio:10.2f}\n")


if __name__ == "__main__":
    main()
