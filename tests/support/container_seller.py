"""A seller in a container of its own, as docs/selling.md starts it, on this machine's network."""

import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from eth_account import Account

from gpuagent.core.model import Vendor
from gpuagent.wiring.vendors import vendor_from
from tests.support.documents import ROOT, calls, shell_lines
from tests.support.market import Market
from tests.support.podman import line_of, podman
from tests.support.seller_image import built

OWN = ("--detach", "--name", "--volume", "--env-file")
"""Options of podman that are each seller's own."""
USER = 10_001
DATA, CONFIGURATION = "/var/lib/gpuagent-seller", "/etc/gpuagent"
START_S = 240.0


@dataclass(frozen=True)
class ContainerSeller:
    """A seller that has been started. container: its name."""

    container: str
    config: Mapping[str, Any]

    @cached_property
    def vendor(self) -> Vendor:
        """The seller as a buyer records it, once it serves."""
        ready = json.loads(line_of(self.container, '{"url"', START_S))
        (offer,) = self.config["offers"]
        return vendor_from(
            {
                "vendorId": ready["vendorId"],
                "name": ready["name"],
                "endpoint": ready["url"],
                "payTo": self.config["pay_to"],
                "network": self.config["network"],
                "asset": self.config["token"]["address"],
                "basePricePerHour": offer["price_per_hour"],
                "reliabilityScore": 0.9,
                "supportedGpuTypes": [offer["gpu"]],
            }
        )

    def kill(self) -> None:
        """All of it is gone at once, its jobs with it; its data stay."""
        podman("kill", self.container)

    def ask(self, *command: str) -> Any:
        """The answer of `gpuagent sell …` in the container, which is to be JSON."""
        options = ["--config", f"{CONFIGURATION}/seller.yaml"]
        return json.loads(podman("exec", self.container, "gpuagent", "sell", *command, *options))


@contextmanager
def container_seller(folder: Path, name: str, price: str, market: Market) -> Iterator[ContainerSeller]:
    """A seller of an A100 at a price in USD an hour, with a key that has gas on the market's chain."""
    image, container = built(), f"gpuagent-{name}-{secrets.token_hex(4)}"
    data, configuration = folder / "data", folder / "etc"
    for path in (data, configuration):
        path.mkdir(parents=True)
    os.chown(data, USER, USER)
    key = Account.create()
    market.rpc("anvil_setBalance", key.address, hex(10**18))
    config = _config(name, price, market.environment)
    (configuration / "seller.yaml").write_text(yaml.safe_dump(config))
    (configuration / "seller.env").write_text(
        f"SELLER_PRIVATE_KEY={key.key.to_0x_hex()}\nSELLER_TOKEN={market.environment['GPU_VENDOR_SECRET']}\n"
    )
    volumes = [f"--volume={data}:{DATA}", f"--volume={configuration}:{CONFIGURATION}:ro"]
    env_file = f"--env-file={configuration / 'seller.env'}"
    podman("run", "--detach", f"--name={container}", *confinement(), *volumes, env_file, image)
    try:
        yield ContainerSeller(container, config)
    finally:
        podman("rm", "--force", "--time=0", container)


def confinement() -> list[str]:
    """The options by which docs/selling.md confines a seller to its container."""
    text = (ROOT / "docs/selling.md").read_text()
    (run,) = [words for line in shell_lines(text) for words in calls(line, "podman") if words[0] == "run"]
    return [word for word in run if word.startswith("--") and word.partition("=")[0] not in OWN]


def _config(name: str, price: str, environment: Mapping[str, str]) -> dict[str, Any]:
    return {
        "name": name,
        "pay_to": Account.create().address,
        "network": environment["X402_NETWORK"],
        "rpc_url": environment["CHAIN_RPC_URL"],
        "token": {
            "address": environment["X402_ASSET"],
            "name": environment["X402_ASSET_NAME"],
            "version": environment["X402_ASSET_VERSION"],
        },
        "offers": [{"gpu": "A100", "price_per_hour": price}],
        "runner": {"kind": "process"},
        "bearer_variable": "SELLER_TOKEN",
        "listen": "127.0.0.1:0",
        "metrics": None,
        "folder": DATA,
    }
