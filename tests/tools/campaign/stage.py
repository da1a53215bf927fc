"""The stage of a campaign: a world on mongod, a chain behind a proxy, and vendors that are killed apart from both."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from gpuagent.core.model import Vendor
from gpuagent.core.money import UNIT
from gpuagent.practice.stack import Stack
from gpuagent.wiring.embedded import start_mongod
from gpuagent.wiring.vendors import record_vendors, vendor_from
from tests.support.market import Market
from tests.support.tcp_proxy import TcpProxy
from tests.support.world import World, build_world
from tests.tools.campaign.vendors import JOBS, VendorProcess, environment, later_vendors, vendors

LATER = "prism"
WALLET_DAY = 1000 * UNIT
"""The owner's cap: a campaign spends some 200 USD, and every reservation is held against it."""


@dataclass(frozen=True)
class Stage:
    """The parts of a stage. folder: of everything; proxy: between the tickers and the chain.

    later: the process of the vendor that is paid after the work, and its record.
    """

    world: World
    vendors: VendorProcess
    later: VendorProcess
    later_vendor: Vendor
    proxy: TcpProxy
    folder: Path

    @property
    def jobs(self) -> Path:
        """Where the jobs of the vendors that are paid before have their folders."""
        return self.folder / JOBS


@contextmanager
def open_stage() -> Iterator[Stage]:
    with (
        TemporaryDirectory(prefix="gpuagent-campaign-") as scratch,
        vendors(Path(scratch)) as process,
        later_vendors(Path(scratch), process) as stubs,
        start_mongod(Path(scratch) / "mongod") as mongod,
        TcpProxy(process.ready["chain"]["rpcUrl"]) as proxy,
    ):
        recorded = tuple(vendor_from(entry) for entry in process.ready["vendors"])
        with (
            closing(Market(Stack(environment(process, stubs, mongod.uri), recorded))) as market,
            build_world(market, "campaign", funds=100_000 * UNIT) as world,
        ):
            world.allow(wallet_per_day=WALLET_DAY)
            (prism,) = [entry for entry in stubs.ready["vendors"] if entry["vendorId"] == LATER]
            later_vendor = vendor_from(prism)
            record_vendors(world.database, [later_vendor])
            yield Stage(world, process, stubs, later_vendor, proxy, Path(scratch))
