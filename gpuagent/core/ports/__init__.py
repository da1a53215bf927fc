"""The ports: the interfaces that the core needs from outside, a module for each.

An adapter matches a port by its shape; there is nothing to subclass.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gpuagent.core.pace import Pace
from gpuagent.core.ports.chain import Chain
from gpuagent.core.ports.clock import Clock
from gpuagent.core.ports.files import FileStore
from gpuagent.core.ports.planner import Planner
from gpuagent.core.ports.store import Store
from gpuagent.core.ports.vendors import VendorApi
from gpuagent.core.ports.wallet import Wallet


@dataclass(frozen=True, slots=True)
class Ports:
    """All ports of one agent. planners: by name, "stub" among them, which decides where another fails.

    files: the file store, where runs with a workload keep their inputs and results.
    """

    store: Store
    planners: Mapping[str, Planner]
    wallet: Wallet
    chain: Chain
    vendor_api: VendorApi
    clock: Clock
    files: FileStore
    pace: Pace = field(default_factory=Pace)
