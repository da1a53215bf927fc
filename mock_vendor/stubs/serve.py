"""The stubs over HTTP on one port of this machine, each below its own name, with their switches beside them."""

import secrets
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Annotated, Any

import uvicorn
from eth_account import Account as Keys
from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException
from pydantic import BaseModel, Field

from mock_vendor.stubs.hypercli import HyperCli
from mock_vendor.stubs.openvps import OpenVps
from mock_vendor.stubs.prism import Prism
from mock_vendor.stubs.stub import Stub
from mock_vendor.stubs.till import Account, Clock, Cuttable, Market, Till, rpc
from seller.runners.process import ProcessRunner

STUBS: tuple[type[Stub[Any]], ...] = (HyperCli, Prism, OpenVps)
GAS = 10**20
START_S = 15.0
HOST = "127.0.0.1"


class Switches(BaseModel):
    """The modes that are to be on at one stub."""

    stub: str
    modes: Annotated[list[str], Field(max_length=20)] = Field(default_factory=list)


class ClockTurn(BaseModel):
    advance_s: Annotated[float, Field(ge=0, le=10**9, alias="advanceS")]


class StubMarket:
    """All stubs on one market, with one clock. url: where they are served."""

    def __init__(self, market: Market, runner: ProcessRunner, secret: str = "") -> None:
        self.till = Till(market)
        self.clock = Clock()
        self.secret = secret or secrets.token_urlsafe(24)
        self.url = ""
        self._runner = runner
        self._stubs = {kind.NAME: kind(market, self.till, runner, self.clock) for kind in STUBS}
        self._market = market

    @property
    def hypercli(self) -> HyperCli:
        stub = self._stubs[HyperCli.NAME]
        assert isinstance(stub, HyperCli)
        return stub

    @property
    def prism(self) -> Prism:
        stub = self._stubs[Prism.NAME]
        assert isinstance(stub, Prism)
        return stub

    @property
    def openvps(self) -> OpenVps:
        stub = self._stubs[OpenVps.NAME]
        assert isinstance(stub, OpenVps)
        return stub

    def stub(self, name: str) -> Stub[Any]:
        return self._stubs[name]

    def heal(self) -> None:
        """Turns all modes off, and lets what was held begin."""
        for stub in self._stubs.values():
            stub.switch()
            stub.bench.held.clear()

    def close(self) -> None:
        for stub in self._stubs.values():
            stub.bench.forget()
        self._runner.close()
        self.till.close()

    def listing(self) -> list[dict[str, Any]]:
        """The vendors, as they are to be recorded."""
        return [
            {
                "vendorId": name,
                "name": f"{name} (stub)",
                "endpoint": stub.base_url,
                "payTo": stub.recorded_pay_to,
                "network": self._market.network,
                "asset": self._market.asset,
                **stub.RECORD,
            }
            for name, stub in self._stubs.items()
        ]

    def app(self) -> FastAPI:
        app = FastAPI(title="Stubs of sellers", openapi_url=None)
        control = APIRouter(prefix="/stubs", dependencies=[Depends(self._authorized)])
        control.add_api_route("", self._modes, methods=["GET"])
        control.add_api_route("/modes", self._switch, methods=["PUT"])
        control.add_api_route("/{name}/restart", self._restart, methods=["POST"])
        control.add_api_route("/clock", self._turn, methods=["POST"])
        control.add_api_route("/received", self._received, methods=["GET"])
        control.add_api_route("/prism/kept", self._kept, methods=["GET"])
        control.add_api_route("/prism/settle-kept", self._settle_kept, methods=["POST"])
        app.include_router(control)
        for name, stub in self._stubs.items():
            app.mount(f"/{name}", stub.app())
        return app

    def served_at(self, url: str) -> None:
        self.url = url
        for name, stub in self._stubs.items():
            stub.base_url = f"{url}/{name}{stub.BASE}"

    def _authorized(self, authorization: Annotated[str, Header()] = "") -> None:
        if not secrets.compare_digest(authorization.encode(), f"Bearer {self.secret}".encode()):
            raise HTTPException(401, "the bearer token is missing or wrong")

    def _modes(self) -> Mapping[str, Any]:
        return {
            name: {"on": [mode for mode in stub.MODES if stub.has(mode)], "modes": stub.MODES}
            for name, stub in self._stubs.items()
        }

    def _switch(self, switches: Switches) -> Mapping[str, Any]:
        try:
            self._known(switches.stub).switch(*switches.modes)
        except ValueError as error:
            raise HTTPException(422, str(error)) from None
        return self._modes()

    def _restart(self, name: str) -> Mapping[str, Any]:
        self._known(name).restart()
        return self._modes()

    def _turn(self, turn: ClockTurn) -> Mapping[str, float]:
        return {"now": self.clock.advance(turn.advance_s)}

    def _received(self) -> Mapping[str, list[str]]:
        """Every payment header that was ever sent to a stub."""
        return {name: list(stub.payments) for name, stub in self._stubs.items()}

    def _kept(self) -> Mapping[str, list[int]]:
        """When the payments that Prism has kept of failed jobs die, by the chain's clock."""
        return {"validBefore": [taken.payment.authorization.valid_before for taken in list(self.prism.kept)]}

    def _settle_kept(self) -> Mapping[str, list[str]]:
        return {"transactions": [paid.tx for paid in self.prism.settle_kept()]}

    def _known(self, name: str) -> Stub[Any]:
        if name not in self._stubs:
            raise HTTPException(404, f"there is no stub {name}: {', '.join(self._stubs)}")
        return self._stubs[name]


def own_facilitator_on(rpc_url: str) -> Account:
    """A fresh account that settles on a local chain, which gives it the gas for it."""
    account = Keys.create()
    rpc(rpc_url, "anvil_setBalance", account.address, hex(GAS))
    return Account(account.address, account.key.to_0x_hex())


@contextmanager
def serving(stubs: StubMarket, port: int = 0) -> Iterator[StubMarket]:
    """Serves the stubs in a thread until the block ends. port: 0 for any that is free."""
    with ExitStack() as stack:
        stack.callback(stubs.close)
        # The protocol is named because asyncio switches Nagle's delay off only where it is.
        listener = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(128)
        stubs.served_at("http://{}:{}".format(*listener.getsockname()))
        config = uvicorn.Config(
            Cuttable(stubs.app()), log_config=None, access_log=False, timeout_graceful_shutdown=1, lifespan="off"
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield stubs
        finally:
            server.should_exit = True
            thread.join(START_S)
