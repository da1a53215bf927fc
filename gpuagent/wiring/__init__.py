"""The only package that picks adapters: it opens what the settings name, and hands it out behind the core's ports.

Adapters are imported when they are first needed, so that a command starts without the libraries that it does not use.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpuagent.errors import BadInput, ConfigError, StoreError
from gpuagent.wiring.database import Database, open_database
from gpuagent.wiring.libraries import quiet_libraries

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from gpuagent.adapters.mongo.reads import MongoReads
    from gpuagent.adapters.mongo.store import MongoStore
    from gpuagent.adapters.wallets.source import KeySource
    from gpuagent.core.ports import Ports
    from gpuagent.core.ports.chain import Node
    from gpuagent.core.ports.clock import Clock
    from gpuagent.core.ports.discovery import Discovery
    from gpuagent.core.ports.files import FileStore
    from gpuagent.core.ports.planner import Planner
    from gpuagent.core.ports.vendors import VendorApi
    from gpuagent.core.ports.wallet import Wallet
    from gpuagent.settings import Settings
    from gpuagent.wire.bounded_http import BoundedHttp


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

    quiet_libraries()
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

    quiet_libraries()
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
    from gpuagent.adapters.vendors.adapter import Parts
    from gpuagent.adapters.vendors.http import no_content
    from gpuagent.adapters.vendors.registry import VendorRegistry
    from gpuagent.core.ports.files import Depot
    from gpuagent.wire.egress import vendor_egress

    def content(sha256: str) -> bytes:
        return b"".join(files.read(sha256)) if files else no_content(sha256)

    depot = files if isinstance(files, Depot) else None
    parts = Parts(environ.get, system_clock().now, content, vendor_egress(environ), depot)
    with closing(VendorRegistry(parts)) as client:
        yield client


def key_source(settings: "Settings") -> "KeySource":
    """Where the paying wallet's key is: the environment, a keystore or CDP."""
    from gpuagent.adapters.wallets.source import KeySource

    return KeySource(settings.environ)


def system_clock() -> "Clock":
    """The machine's clock."""
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
