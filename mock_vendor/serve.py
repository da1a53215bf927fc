"""The server: builds the parts and serves them until a signal comes."""

import json
import os
import socket
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import uvicorn

from mock_vendor.app import create_app
from mock_vendor.catalogue import GPU_FACTORS, Vendor, make_vendors
from mock_vendor.database import Database
from mock_vendor.errors import BadSetting
from mock_vendor.facilitator import Till
from mock_vendor.faults import Faults
from mock_vendor.faults.odd import Cuttable
from mock_vendor.market import Market, open_market
from mock_vendor.settings import Settings
from mock_vendor.shop import Shop
from mock_vendor.workshop import Workshop, open_runner

SHUTDOWN_S = 1


def sell(settings: Settings, listener: socket.socket) -> None:
    """Serve until told to stop. Raises BadSetting or ChainError before it is ready."""
    with ExitStack() as stack:
        if settings.data_dir is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mock-vendor-")))
        else:
            folder = settings.data_dir
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except (OSError, ValueError) as error:
                reason = (error.strerror if isinstance(error, OSError) else "") or type(error).__name__
                raise BadSetting(f"the folder that MOCK_DATA_DIR names cannot be made: {reason}") from None
        market = stack.enter_context(open_market(settings))
        vendors = make_vendors(settings.vendors, settings.base_price_per_hour, market.payees)
        database = Database(folder / "vendor.sqlite3")
        stack.callback(database.close)
        host, port = listener.getsockname()
        faults = Faults(database, lure_url=f"http://localhost:{port}/mock/lure", slow_s=settings.slow_s)
        till = Till(market)
        stack.callback(till.close)
        runner, notices = open_runner(settings, folder / "jobs")
        stack.callback(runner.close)
        workshop = Workshop(database, runner, folder / "inputs", vendors)
        workshop.take_up()
        shop = Shop(settings, market, vendors, database, till, faults, workshop)
        config = uvicorn.Config(
            Cuttable(create_app(shop)),
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=SHUTDOWN_S,
        )
        _Server(config, {**ready_line(shop, f"http://{host}:{port}"), "notices": notices}).run(sockets=[listener])


def ready_line(shop: Shop, url: str) -> dict[str, Any]:
    market = shop.market
    return {
        "url": url,
        "secret": shop.settings.secret,
        "pid": os.getpid(),
        "vendors": [_listing(vendor, market, url) for vendor in shop.vendors.values()],
        "chain": {
            "rpcUrl": market.rpc_url,
            "chainId": market.chain_id,
            "network": market.network,
            "asset": market.asset,
            "assetName": market.asset_name,
            "assetVersion": market.asset_version,
            "facilitator": market.facilitator.address if market.facilitator else market.facilitator_url,
            "payer": market.payer and {"address": market.payer.address, "privateKey": market.payer.private_key},
        },
    }


def _listing(vendor: Vendor, market: Market, url: str) -> dict[str, Any]:
    return {
        "vendorId": vendor.vendor_id,
        "name": vendor.name,
        "endpoint": url,
        "basePricePerHour": float(vendor.base_price_per_hour),
        "reliabilityScore": vendor.reliability_score,
        "supportedGpuTypes": list(GPU_FACTORS),
        "payTo": vendor.pay_to,
        "network": market.network,
        "asset": market.asset,
    }


class _Server(uvicorn.Server):
    """A uvicorn server that calls back once it is ready."""

    def __init__(self, config: uvicorn.Config, ready: dict[str, Any]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print(json.dumps(self._ready), flush=True)  # noqa: T201
