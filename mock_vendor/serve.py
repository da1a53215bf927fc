"""The server: builds the parts and serves them until a signal comes."""

import json
import os
import socket
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import Depends

from mock_vendor.catalogue import PracticeVendor, make_vendors
from mock_vendor.clock import Clock
from mock_vendor.conduct import PracticeConduct
from mock_vendor.control import control, lure
from mock_vendor.database import PracticeDatabase
from mock_vendor.faults import Faults
from mock_vendor.faults.odd import Cuttable
from mock_vendor.market import PracticeMarket, open_market
from mock_vendor.runner import open_runner
from mock_vendor.settings import Settings
from seller.api.app import create_app
from seller.api.callers import authorized
from seller.errors import BadSetting
from seller.payments.market import Market
from seller.payments.till import Till
from seller.shop import Shop
from seller.work.workshop import Workshop

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
        database = PracticeDatabase(folder / "vendor.sqlite3")
        stack.callback(database.close)
        host, port = listener.getsockname()
        faults = Faults(database, lure_url=f"http://localhost:{port}/mock/lure", slow_s=settings.slow_s)
        till = Till(market.market)
        stack.callback(till.close)
        runner, notices = open_runner(settings, folder / "jobs")
        stack.callback(runner.close)
        workshop = Workshop(database, runner, folder / "inputs", vendors)
        workshop.take_up()
        conduct = PracticeConduct(settings, faults, Clock())
        shop = Shop(
            market.market, vendors, database, till, workshop, conduct.clock, conduct=conduct, secret=settings.secret
        )
        app = create_app(shop, title="Mock GPU vendor")
        app.include_router(lure, prefix="/mock")
        app.include_router(control, prefix="/mock", dependencies=[Depends(authorized)])
        config = uvicorn.Config(
            Cuttable(app),
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=SHUTDOWN_S,
        )
        ready = ready_line(market, vendors, settings.secret, f"http://{host}:{port}")
        _Server(config, {**ready, "notices": notices}).run(sockets=[listener])


def ready_line(
    practice: PracticeMarket, vendors: Mapping[str, PracticeVendor], secret: str, url: str
) -> dict[str, Any]:
    market = practice.market
    return {
        "url": url,
        "secret": secret,
        "pid": os.getpid(),
        "vendors": [_listing(vendor, market, url) for vendor in vendors.values()],
        "chain": {
            "rpcUrl": market.rpc_url,
            "chainId": market.chain_id,
            "network": market.network,
            "asset": market.asset,
            "assetName": market.asset_name,
            "assetVersion": market.asset_version,
            "facilitator": market.facilitator.address if market.facilitator else market.facilitator_url,
            "payer": practice.payer and {"address": practice.payer.address, "privateKey": practice.payer.private_key},
        },
    }


def _listing(vendor: PracticeVendor, market: Market, url: str) -> dict[str, Any]:
    return {
        "vendorId": vendor.vendor_id,
        "name": vendor.name,
        "endpoint": url,
        "basePricePerHour": float(vendor.base_price_per_hour),
        "reliabilityScore": vendor.reliability_score,
        "supportedGpuTypes": list(vendor.offers),
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
