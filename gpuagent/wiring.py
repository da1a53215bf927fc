"""The only module that picks adapters: it opens what the settings name, and hands it out behind the core's ports.

Adapters are imported when they are first needed, so that a command starts without the libraries that it does not use.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from gpuagent.errors import BadInput, ConfigError, StoreError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from gpuagent.adapters.mongo.archives import MongoArchives
    from gpuagent.adapters.mongo.connection import Connection
    from gpuagent.adapters.mongo.embedded import Mongod
    from gpuagent.adapters.mongo.embedded_folders import Place
    from gpuagent.adapters.mongo.inbox import MongoInbox
    from gpuagent.adapters.mongo.ledgers import MongoLedgers
    from gpuagent.adapters.mongo.outbox import MongoOutbox
    from gpuagent.adapters.mongo.queries import MongoQueries
    from gpuagent.adapters.mongo.reads import MongoReads
    from gpuagent.adapters.mongo.run_files import MongoHoldings
    from gpuagent.adapters.mongo.store import MongoStore
    from gpuagent.adapters.wallets.source import KeySource
    from gpuagent.core.model import SealedKey, Token, Vendor
    from gpuagent.core.ports import Ports
    from gpuagent.core.ports.alerts import Messenger
    from gpuagent.core.ports.chain import Node
    from gpuagent.core.ports.clock import Clock
    from gpuagent.core.ports.discovery import Discovery
    from gpuagent.core.ports.files import FileStore
    from gpuagent.core.ports.planner import Planner
    from gpuagent.core.ports.vendors import VendorApi
    from gpuagent.core.ports.wallet import Wallet
    from gpuagent.settings import Settings
    from gpuagent.wire.bounded_http import BoundedHttp

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Database:
    """An open MongoDB database, by who asks it. What is not asked is not loaded.

    store: the core's port. reads: users and reports. queries: the REST server. ledgers: a sweep of the books.
    holdings: a sweep of the files. archives: a sweep of the observations.

    ahead: how many seconds the database's clock is taken to be ahead, where practice turns all clocks.
    """

    connection: "Connection"
    ahead: Callable[[], float] | None = None

    @cached_property
    def store(self) -> "MongoStore":
        from gpuagent.adapters.mongo.store import MongoStore

        return MongoStore(self.connection, self.ahead) if self.ahead else MongoStore(self.connection)

    @cached_property
    def reads(self) -> "MongoReads":
        from gpuagent.adapters.mongo.reads import MongoReads

        return MongoReads(self.connection)

    @cached_property
    def queries(self) -> "MongoQueries":
        from gpuagent.adapters.mongo.queries import MongoQueries

        return MongoQueries(self.connection)

    @cached_property
    def ledgers(self) -> "MongoLedgers":
        from gpuagent.adapters.mongo.ledgers import MongoLedgers

        return MongoLedgers(self.connection)

    @cached_property
    def holdings(self) -> "MongoHoldings":
        from gpuagent.adapters.mongo.run_files import MongoHoldings

        return MongoHoldings(self.connection)

    @cached_property
    def archives(self) -> "MongoArchives":
        from gpuagent.adapters.mongo.archives import MongoArchives

        return MongoArchives(self.connection)

    @property
    def name(self) -> str:
        return self.connection.database.name

    @property
    def inbox(self) -> "MongoInbox":
        """What waits for a user, over all runs."""
        from gpuagent.adapters.mongo.inbox import MongoInbox

        return MongoInbox(self.connection)

    @property
    def outbox(self) -> "MongoOutbox":
        """The alerts that were written, by the store's clock."""
        from gpuagent.adapters.mongo.outbox import MongoOutbox

        return MongoOutbox(self.connection, self.store.now)

    @property
    def upgrade(self) -> str:
        """What of the schema only another MongoDB user may bring up to date, in words; "" for nothing."""
        return self.connection.upgrade


@dataclass(frozen=True, slots=True)
class Agent:
    """The core's ports, connected, beside the database and the chain for what only users ask of them."""

    ports: "Ports"
    database: Database
    chain: "Node"

    @property
    def store(self) -> "MongoStore":
        return self.database.store

    @property
    def reads(self) -> "MongoReads":
        return self.database.reads


@contextmanager
def open_agent(settings: "Settings", database: Database | None = None, payer: str = "") -> Iterator[Agent]:
    """The whole agent, connected until the block ends. database: an open one to use; it stays open.

    payer: the address of a wallet whose key is not here; then nothing can be signed, and no key is asked for.

    Raises ConfigError, WalletError, ChainError.
    """
    from gpuagent.core.pace import Pace
    from gpuagent.core.ports import Ports

    _quiet_libraries()
    patience_s = settings.vendor_patience_s
    with ExitStack() as stack:
        wallet = _keyless(payer, settings) if payer else stack.enter_context(_wallet(settings))
        chain = stack.enter_context(open_chain(settings))
        database = database or stack.enter_context(open_database(settings))
        files = stack.enter_context(open_files(settings, database))
        vendor_api = stack.enter_context(_vendor_client(settings.environ, files))
        ports = Ports(
            store=database.store,
            planners=_planners(settings),
            wallet=wallet,
            chain=chain,
            vendor_api=vendor_api,
            clock=system_clock(),
            files=files,
            pace=Pace() if patience_s is None else Pace(patience_s=patience_s),
        )
        yield Agent(ports, database, chain)


def _wallet(settings: "Settings") -> "AbstractContextManager[Wallet]":
    return key_source(settings).open_wallet(settings.token)


def _keyless(payer: str, settings: "Settings") -> "Wallet":
    from gpuagent.adapters.wallets.keyless import KeylessWallet

    return KeylessWallet(payer, settings.token)


# One part of the agent alone.


@contextmanager
def open_database(settings: "Settings", place: "Place | None" = None) -> Iterator[Database]:
    """The database at MONGODB_URI, or the embedded one that the environment means. Needs no key and no chain.

    place: an embedded one to open instead. Raises ConfigError.
    """
    from gpuagent.adapters.mongo.connection import Connection

    _quiet_libraries()
    with ExitStack() as stack:
        uri = "" if place else settings.mongodb_uri
        if not uri:
            place = place or embedded_place(settings)
            uri = stack.enter_context(start_mongod(place.folder)).uri
        connection = stack.enter_context(closing(Connection(uri, settings.database)))
        if place and (names := connection.databases_beside()):
            _say(f"{place} has more than the database {connection.database.name!r}: MONGODB_DB_NAME may name {names}")
        yield Database(connection)


def load_reports() -> None:
    """Import what open_database() and a report's reads need, which is else imported where it is first used."""
    from gpuagent.adapters.mongo import (  # noqa: F401
        archives,
        connection,
        ledgers,
        queries,
        reads,
        report_partitions,
        run_files,
        store,
    )


@contextmanager
def open_files(settings: "Settings", database: Database) -> "Iterator[FileStore]":
    """The store that FILE_STORE names, GridFS in the database where it names none. Needs no key and no chain.

    Raises ConfigError where it cannot be used.
    """
    from gpuagent.settings import Bucket

    def owner() -> tuple[str, str]:
        return database.holdings.identity(), database.name

    place = settings.file_store
    if isinstance(place, Bucket):
        try:
            from gpuagent.adapters.files.s3 import S3Store
        except ImportError as error:
            problem = f"FILE_STORE=s3://{place.name} needs an extra: pip install 'gpuagent[s3]'"
            raise ConfigError(problem) from error
        with closing(S3Store(place.name, place.prefix, settings.environ, owner)) as files:
            yield files
    elif place:
        from gpuagent.adapters.files.folder import FolderStore

        try:
            folder = FolderStore(place, owner=owner)
        except StoreError as error:
            raise ConfigError(f"FILE_STORE=file://{place} cannot be used: {error}") from error
        yield folder
    else:
        from gpuagent.adapters.files.gridfs import GridFsStore

        yield GridFsStore(database.connection.database, system_clock().now)


@contextmanager
def open_chain(settings: "Settings") -> "Iterator[Node]":
    """The chain at CHAIN_RPC_URL. Needs no key. Raises ConfigError, and ChainError when it is another chain."""
    from gpuagent.adapters.chain.agreeing import AgreeingChain
    from gpuagent.adapters.chain.evm import EvmChain
    from gpuagent.wire.egress import egress

    _quiet_libraries()
    way_out = egress(settings.environ)
    nodes = [EvmChain(url, settings.token, settings.confirmations, egress=way_out) for url in settings.rpc_urls]
    with closing(AgreeingChain(nodes) if len(nodes) > 1 else nodes[0]) as chain:
        chain.check()
        yield chain


@contextmanager
def open_vendor_api(environ: Mapping[str, str]) -> "Iterator[tuple[VendorApi, BoundedHttp]]":
    """The vendors' API without a wallet or a database, and a plain HTTP client for what the API does not allow."""
    from gpuagent.wire.bounded_http import BoundedHttp
    from gpuagent.wire.egress import vendor_egress

    with (
        _vendor_client(environ) as vendor_api,
        closing(BoundedHttp(deadline_s=10, egress=vendor_egress(environ))) as http,
    ):
        yield vendor_api, http


@contextmanager
def open_discovery(environ: Mapping[str, str]) -> "Iterator[Discovery]":
    """Public lists of sellers, and sellers themselves before they are recorded. Needs no key, and sends no token."""
    from gpuagent.adapters.discovery.client import HttpDiscovery
    from gpuagent.wire.egress import egress, vendor_egress

    with closing(HttpDiscovery(egress(environ), vendor_egress(environ))) as discovery:
        yield discovery


@contextmanager
def _vendor_client(environ: Mapping[str, str], files: "FileStore | None" = None) -> "Iterator[VendorApi]":
    """The client of the vendors of every protocol, for agents and for checks alike.

    environ: with the vendors' bearer tokens and the jobs' secrets. files: the store of the jobs' inputs.
    """
    from gpuagent.adapters.vendors.http import no_content
    from gpuagent.adapters.vendors.registry import Parts, VendorRegistry
    from gpuagent.core.ports.files import Depot
    from gpuagent.wire.egress import vendor_egress

    def content(sha256: str) -> bytes:
        return b"".join(files.read(sha256)) if files else no_content(sha256)

    depot = files if isinstance(files, Depot) else None
    parts = Parts(environ.get, system_clock().now, content, vendor_egress(environ), depot)
    with closing(VendorRegistry(parts)) as client:
        yield client


def messenger(channels: Mapping[str, str]) -> "Messenger":
    """The channels of alerts. Raises ConfigError naming the one that cannot be used."""
    try:
        from gpuagent.adapters.alerts.apprise_channels import AppriseMessenger
    except ImportError as error:
        raise ConfigError("alerts need an extra: pip install 'gpuagent[alerts]'") from error
    return AppriseMessenger(channels)


def send_alerts_after_ticks(settings: "Settings", database: Database) -> None:
    """Send what is due where ALERTS_SEND says that whoever ticks does so. A tick does not fail by it: it is logged."""
    try:
        send = alert_sender(settings, database)
    except ConfigError as error:
        log.warning("alerts were not sent: %s", error)
        return
    if send:
        send()


def alert_sender(settings: "Settings", database: Database) -> "Callable[[], None] | None":
    """What sends the alerts that are due, and logs what it could not send; None where ticks are to send nothing.

    Raises ConfigError.
    """
    from gpuagent.alerts.delivery import read_delivery
    from gpuagent.alerts.sender import send_due

    delivery = read_delivery(settings.environ)
    if not delivery.by_ticks or not delivery.channels:
        return None
    channels = messenger(delivery.channels)

    def send() -> None:
        try:
            report = send_due(database.outbox, channels, delivery)
        except StoreError as error:
            log.warning("alerts were not sent: %s", error)
            return
        for problem in report.problems.values():
            log.warning("an alert was not sent: %s", problem)

    return send


def key_source(settings: "Settings") -> "KeySource":
    """Where the paying wallet's key is: the environment, a keystore or CDP."""
    from gpuagent.adapters.wallets.source import KeySource

    return KeySource(settings.environ)


def system_clock() -> "Clock":
    from gpuagent.adapters.clock import SystemClock

    return SystemClock()


def named_planner(settings: "Settings", name: str) -> "Planner":
    """A planner by its name, such as `stub` or `llm:MODEL`, without a wallet or a database.

    Raises BadInput where there is none of that name, and ConfigError where it is not set up.
    """
    planners = _planners(settings)
    if name.partition(":")[0] not in list(planners):
        raise BadInput(f"no planner {name!r}; there are: {', '.join(planners)}")
    return planners[name]


def _planners(settings: "Settings") -> "Mapping[str, Planner]":
    """Every planner by name, made when it is first asked for: ConfigError is raised then where it is not set up."""
    from gpuagent.adapters.planners.registry import PlannerRegistry
    from gpuagent.adapters.planners.stub import StubPlanner

    def stub(option: str) -> "Planner":
        if option:
            raise KeyError(option)
        return StubPlanner()

    def llm(model: str) -> "Planner":
        from gpuagent.adapters.planners.llm.planner import open_planner

        return open_planner({**settings.environ, "PLANNER_MODEL": model} if model else settings.environ)

    return PlannerRegistry({"stub": stub, "llm": llm})


def _quiet_libraries() -> None:
    """Libraries log what is secret: httpx the API key in the path of a node, pymongo at DEBUG whole signed payments,
    httpcore at DEBUG the headers in which a vendor may repeat our token.

    Who asks for one of these by its name still gets it.
    """
    for name, level in {"httpx": logging.WARNING, "httpcore": logging.INFO, "pymongo.command": logging.INFO}.items():
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(level)


# What only commands need.


def data_folder() -> "Path":
    """The folder in the user's home for all that the agent keeps on this machine."""
    from gpuagent.adapters.mongo.embedded import default_folder

    return default_folder().parent


def practice_folder() -> "Path":
    """The folder of the practice stack's data."""
    return data_folder() / "up"


def embedded_place(settings: "Settings") -> "Place":
    """The embedded database that the environment means. Says so where there is another."""
    meant, other = _places(settings)
    if other.exists:
        _say(f"this is {meant}; there is {other} too: to use that, {other.hint}")
    return meant


@cache
def _say(text: str) -> None:
    """Say once in a process which of several databases is used."""
    log.warning(text)


@contextmanager
def open_used_databases(settings: "Settings") -> Iterator[dict[str, Database]]:
    """The database that is meant, as "", and the embedded one that a process uses beside it, by its description."""
    with ExitStack() as stack:
        databases = {"": stack.enter_context(open_database(settings))}
        _, other = _places(settings)
        if not settings.mongodb_uri and other.is_used:
            description = f"{other}, which is in use; to reach it alone, {other.hint}"
            databases[description] = stack.enter_context(open_database(settings, other))
        yield databases


def announce_practice_database() -> None:
    """Say that the practice stack works on a database of its own, where the user has another."""
    from gpuagent.adapters.mongo.embedded_folders import places

    own, practice = places(data_folder())
    if own.exists:
        _say(f"this is {practice}; there is {own} too: to use that, {own.hint}")


def _places(settings: "Settings") -> "tuple[Place, Place]":
    """The embedded database that the environment means, and the other."""
    from gpuagent.adapters.mongo.embedded_folders import meant_first
    from gpuagent.settings import is_configured

    return meant_first(data_folder(), configured=is_configured(settings.environ))


def start_mongod(folder: "Path | None") -> "Mongod":
    """The embedded MongoDB server of a data folder, in use until it is closed; None: a folder that ends with it."""
    from gpuagent.adapters.mongo import embedded

    return embedded.start(folder)


READER, APPROVER = "reader", "approver"
"""MongoDB users of pages: one who may only read, and one who may also decide about runs."""


def page_users(database: Database, folder: "Path") -> dict[str, str]:
    """The URIs of READER and APPROVER on the embedded server of this folder. Raises MongodError."""
    from gpuagent.adapters.mongo import users

    connection = database.connection
    host, port = connection.client.address or ("", 0)
    allowed = {READER: (), APPROVER: users.DECISIONS}
    return users.admit(folder, f"mongodb://{host}:{port}", connection.database.name, allowed)


def excess_rights(database: Database, user: str) -> str:
    """What the database's user may do beyond what READER or APPROVER needs, in words; "" for nothing."""
    from gpuagent.adapters.mongo import users

    granted = users.writes(database.connection)
    if granted is None:
        return "the server lets anybody in"
    excess = granted - (users.DECISIONS if user == APPROVER else frozenset())
    return ", ".join(f"{action} on {collection}" for action, collection in sorted(excess)[:5])


def scheduled_runs(settings: "Settings", name: str, run_id: str) -> "list[Mapping[str, Any]]":
    """The run with this id, and those of the same name that are not over, newest first, by one read.

    name: "" for none of those. Raises ConfigError, StoreError.
    """
    from gpuagent.adapters.mongo.scheduled import scheduled_runs

    _quiet_libraries()
    with ExitStack() as stack:
        uri = settings.mongodb_uri or stack.enter_context(start_mongod(embedded_place(settings).folder)).uri
        return scheduled_runs(uri, settings.database, name, run_id)


def record_vendors(database: Database, vendors: "Iterable[Vendor]") -> None:
    """Write vendors to the database, or change their records."""
    for vendor in vendors:
        database.store.put_vendor(vendor, system_clock().now())


def add_vendor(database: Database, vendor: "Vendor") -> bool:
    """Record a vendor that is not on record yet, whoever else adds one at this moment. False where it is, as it is.

    Raises as check_new().
    """
    from gpuagent.agent.enlist import check_new

    return database.store.add_vendor(vendor, lambda records: check_new(vendor, records), system_clock().now())


def vendor_from(entry: Mapping[str, Any]) -> "Vendor":
    """A vendor from its entry in a vendors file. Raises BadInput naming the field that is missing or wrong."""
    from gpuagent.adapters.vendors import file

    return file.vendor_from(entry)


def checked_vendor(vendor: "Vendor") -> "Vendor":
    """The vendor, if a vendors file could hold it. Raises BadInput naming the field that is wrong."""
    return vendor_from(vendor_entry(vendor))


def read_vendors(path: "Path") -> "tuple[Vendor, ...]":
    """The vendors in a vendors file. Raises BadInput with every fault, by line and field."""
    from gpuagent.adapters.vendors import file

    return file.read_vendors(path)


def vendor_entry(vendor: "Vendor") -> dict[str, Any]:
    """A vendor's entry in a vendors file, which vendor_from() reads back."""
    from gpuagent.adapters.vendors import file

    return file.vendor_entry(vendor)


def seal_key(private_key: str | None, password: bytes) -> "SealedKey | None":
    """A private key, a new one for None, encrypted for a keystore; None when it is no private key.

    Raises nothing, so that no traceback shows a frame that holds the key.
    """
    from gpuagent.adapters.wallets import keystore

    return keystore.seal(keystore.new_key() if private_key is None else private_key, password)


def write_keystore(path: "Path", key: "SealedKey") -> None:
    """Write an encrypted key to a new file that only its owner may read. Raises BadInput where there is one."""
    from gpuagent.adapters.wallets import keystore

    keystore.write(path, key)


def cdp_policy(token: "Token", payer: str, vendors: "Iterable[Vendor]", payment_max: int | None) -> dict[str, Any]:
    """The policy for CDP's policy engine that holds the account to these payees and this much per payment."""
    from gpuagent.adapters.wallets import cdp_policy

    return cdp_policy.cdp_policy(token, payer, list(vendors), payment_max)
