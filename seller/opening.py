"""The parts of a seller, made from its configuration."""

import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from seller.api.documents import bazaar_declaration
from seller.catalogue import Vendor
from seller.commons import Commons, commons
from seller.config import CAIP2, Config
from seller.database import Database
from seller.errors import BadSetting, ChainError
from seller.folders import kept_text
from seller.home import DATABASE, owned
from seller.payments.keys import read_key
from seller.payments.market import GWEI, Account, Market, address, check_market
from seller.payments.networks import NETWORKS, Network
from seller.payments.node import Node, NodeAway, NodeError
from seller.payments.till import Till
from seller.runners import Limits, RunnerError
from seller.runners.container import ContainerRunner
from seller.runners.local import LocalRunner
from seller.runners.process import ProcessRunner
from seller.shop import Shop, Terms
from seller.unreadable import explained
from seller.work.inputs import Bounds
from seller.work.workshop import Workshop

HOUR_S = 3600


class SystemClock:
    def now(self) -> float:
        return time.time()


@dataclass(frozen=True)
class Premises:
    """What a seller needs one of, however many processes it has. key: that settles and signs quotes, None for none.

    secret: that buyers present. salt: that job ids are made with.
    """

    config: Config
    key: Account | None
    market: Market
    runner: LocalRunner
    secret: str
    salt: str
    commons: Commons


@contextmanager
def open_premises(config: Config, environment: Mapping[str, str], workers: int = 1) -> Iterator[Premises]:
    """The premises that the configuration asks for, with a database. Raises BadSetting, ChainError or Unreadable."""
    key = read_key(config.key, environment)
    market = open_market(config, key)
    folder = make_folder(config.folder)
    with owned(folder, config.id, market.network, market.asset):
        with explained(folder / DATABASE):
            Database(folder / DATABASE).close()
        with closing(open_runner(config, folder / "jobs")) as runner:
            yield Premises(
                config=config,
                key=key,
                market=market,
                runner=runner,
                secret=bearer(config, environment),
                salt=kept_text(folder / "salt", secrets.token_hex(32)),
                commons=commons(config, folder, workers),
            )


@contextmanager
def open_counter(premises: Premises) -> Iterator[Shop]:
    """The shop of one process on these premises. Raises BadSetting, ChainError or Unreadable."""
    config, shared, vendor = premises.config, premises.commons, vendor_of(premises.config)
    with ExitStack() as stack:
        with explained(config.folder / DATABASE):
            database = Database(config.folder / DATABASE, shared.writing)
        stack.callback(database.close)
        till = Till(premises.market, shared.sending)
        stack.callback(till.close)
        workshop = Workshop(
            database,
            premises.runner,
            config.folder / "inputs",
            [vendor.vendor_id],
            Bounds(file=int(config.limits.inputs), total=int(config.limits.inputs)),
            queues=True,
            secrets=shared.secrets,
            inputs_lock=shared.inputs,
        )
        yield Shop(
            market=premises.market,
            vendors={vendor.vendor_id: vendor},
            database=database,
            till=till,
            workshop=workshop,
            clock=SystemClock(),
            secret=premises.secret,
            terms=Terms(
                max_hours=Decimal(config.limits.max_duration) / HOUR_S,
                queue=config.limits.queue,
                per_payer=config.limits.per_payer_queue,
                min_price=config.payment.min_price,
                payers=frozenset(payer.lower() for payer in config.runner.payers),
            ),
            signer=premises.key,
            url=config.url or "",
            salt=premises.salt,
            extensions=bazaar_declaration(vendor, _example_image(config)),
            limiter=shared.limiter,
            closing=shared.closing,
            locks=shared.keys,
        )


@contextmanager
def open_shop(config: Config, environment: Mapping[str, str]) -> Iterator[Shop]:
    """The shop that the configuration asks for, in this process alone. Raises BadSetting, ChainError or Unreadable."""
    with open_premises(config, environment) as premises, open_counter(premises) as shop:
        yield shop


def vendor_of(config: Config) -> Vendor:
    return Vendor(config.id, config.name, address(config.pay_to, "pay_to"), config.catalogue())


def open_market(config: Config, key: Account | None) -> Market:
    """The market. Raises BadSetting or ChainError."""
    if key is None and not config.facilitator_url:
        raise BadSetting(
            f"set {config.key.variable} to a key with gas to settle with, or facilitator_url to who settles for you"
        )
    network = _network(config)
    market = Market(
        rpc_url=config.rpc_url or network.rpc_url,
        network=network.caip2,
        asset=address(network.asset, "token.address"),
        asset_name=network.asset_name,
        asset_version=network.asset_version,
        facilitator=None if config.facilitator_url else key,
        facilitator_url=config.facilitator_url or "",
        gas_price_max=int(config.payment.max_gas_price * GWEI),
    )
    check_market(market)
    return market


def _network(config: Config) -> Network:
    """The network that is known by its name, or the one that is described. Raises BadSetting."""
    network = NETWORKS.get(config.network)
    caip2, token = network.caip2 if network else config.network, config.token
    if not CAIP2.fullmatch(caip2):
        raise BadSetting(f"network: write {', '.join(NETWORKS)}, or a CAIP-2 network such as eip155:84532")
    if token and (network or config.rpc_url):
        return Network(caip2, token.address, token.name, token.version, network.rpc_url if network else "")
    if network is None:
        raise BadSetting(f"network: {caip2} is not known by name, so write rpc_url and token too")
    return network


def open_runner(config: Config, folder: Path) -> LocalRunner:
    """The runner, whose jobs outlive the seller. Raises BadSetting."""
    choice, bounds = config.runner, config.limits
    limits = Limits(
        memory=int(choice.memory),
        cpus=choice.cpus,
        pids=choice.pids,
        disk=int(bounds.job_disk),
        outputs=int(bounds.outputs),
    )
    try:
        if choice.kind == "process":
            return ProcessRunner(folder, sandbox=choice.sandbox, limits=limits)
        return ContainerRunner(
            folder,
            engine=choice.engine,
            images=choice.images,
            network=choice.network,
            gpus=choice.gpus,
            limits=limits,
            pull_s=choice.pull,
        )
    except RunnerError as error:
        raise BadSetting(f"runner: {error}") from None


def bearer(config: Config, environment: Mapping[str, str]) -> str:
    """The token that buyers present; "" where none is asked for. Raises BadSetting."""
    if not config.bearer_variable:
        return ""
    token = environment.get(config.bearer_variable, "")
    if not token:
        raise BadSetting(f"bearer_variable: set {config.bearer_variable} to the token that your buyers present")
    return token


def make_folder(path: Path) -> Path:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise BadSetting(f"folder: {path} cannot be made: {error.strerror}") from None
    return path


def _example_image(config: Config) -> str:
    """An image that an example may name; "" where none is known by its whole name."""
    return next((image for image in config.runner.images if not set(image) & set("*?[")), "")


def gas(market: Market) -> int | None:
    """The wei that the own facilitator has for gas; None with a hosted one. Raises ChainError."""
    if market.facilitator is None:
        return None
    with closing(Node(market.rpc_url)) as node:
        try:
            return int(node.call("eth_getBalance", market.facilitator.address, "latest"), 16)
        except (NodeAway, NodeError) as error:
            raise ChainError("the chain's node does not say what the key has for gas") from error
