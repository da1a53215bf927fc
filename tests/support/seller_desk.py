"""A seller in this process, without a chain: its API over a fake till and a fake runner, and a clock to turn."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import httpx
from fastapi.testclient import TestClient

from seller.api.app import create_app
from seller.api.documents import bazaar_declaration
from seller.catalogue import Offer, Vendor
from seller.database import Database
from seller.dispatcher import Dispatcher
from seller.home import DRAIN
from seller.payments.market import account
from seller.shop import Closing, Shop, Terms
from seller.work.workshop import Workshop
from tests.support.fake_runner import FakeRunner
from tests.support.fake_till import MARKET, FakeTill, payment_header
from tests.support.mock_buyer import new_key

PAYEE = "0x00000000000000000000000000000000000000Ce"
ALICE, BOB = "0x" + "a1" * 20, "0x" + "b0" * 20
A100, T4 = Offer("A100", Decimal("1.40"), 1), Offer("T4", Decimal("0.35"), 2)
SIGNER = account("0x" + "51" * 32, "key")
START_AT = 1_800_000_000.0


@dataclass
class DeskClock:
    at: float = START_AT

    def now(self) -> float:
        return self.at


@dataclass
class Desk:
    """The seller, and how buyers reach it."""

    shop: Shop
    http: TestClient
    dispatcher: Dispatcher
    folder: Path
    clock: DeskClock
    till: FakeTill
    runner: FakeRunner
    drained: list[bool] = field(default_factory=list)

    def quote(self, command: str = "true", **changes: Any) -> httpx.Response:
        return self.http.post("/quote", json={"jobType": "job", **order(command), **changes})

    def submit(
        self, params: Mapping[str, Any], header: str | None = None, key: str | None = None, **fields: Any
    ) -> httpx.Response:
        headers = {} if header is None else {"PAYMENT-SIGNATURE": header}
        headers |= {} if key is None else {"Idempotency-Key": key}
        return self.http.post("/submit-job", json={"jobParams": params, **fields}, headers=headers)

    def buy(self, command: str = "true", payer: str = BOB, key: str | None = "", **changes: Any) -> httpx.Response:
        """The answer to a paid order, without a quote. key: one of its own by default, None for none."""
        secrets, params = changes.pop("secrets", {}), order(command, **changes)
        challenge = self.submit(params)
        assert challenge.status_code == 402, challenge.text
        header = payment_header(challenge.json(), payer)
        return self.submit(params, header, new_key() if key == "" else key, secrets=secrets)

    def bought(self, command: str = "true", **options: Any) -> str:
        """The id of a job that was paid for."""
        answer = self.buy(command, **options)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["vendorJobId"])

    def status(self, job_id: str) -> dict[str, Any]:
        answer = self.http.get("/job-status", params={"vendorJobId": job_id})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def step(self, after_s: float = 0.0) -> None:
        """A step of the dispatcher, so many seconds later."""
        self.clock.at += after_s
        self.dispatcher.step()


def order(command: str = "true", gpu: str = "A100", hours: float = 1, **work: Any) -> dict[str, Any]:
    return {"gpuType": gpu, "maxHours": hours, "workload": {"command": command, **work}}


@contextmanager
def open_desk(
    folder: Path,
    *,
    offers: tuple[Offer, ...] = (A100, T4),
    clock: DeskClock | None = None,
    till: FakeTill | None = None,
    runner: FakeRunner | None = None,
    keep_s: float = 3600.0,
    disk: int = 10**12,
    **parts: Any,
) -> Iterator[Desk]:
    """A seller in this folder; parts: of its Shop. A second in the same folder is the first, started again."""
    vendor = Vendor("box", "Box in the cellar", PAYEE, {offer.gpu: offer for offer in offers})
    clock, till, runner = clock or DeskClock(), till or FakeTill(), runner or FakeRunner()
    database = Database(folder / "seller.sqlite3")
    workshop = Workshop(database, runner, folder / "inputs", ["box"], queues=True)
    parts = {"terms": Terms(Decimal(24), queue=1, per_payer=3), "salt": "salt", "signer": SIGNER, **parts}
    shop = Shop(
        market=MARKET,
        vendors={"box": vendor},
        database=database,
        till=cast("Any", till),
        workshop=workshop,
        clock=clock,
        extensions=bazaar_declaration(vendor),
        closing=Closing(folder / DRAIN),
        **parts,
    )
    drained: list[bool] = []
    dispatcher = Dispatcher(shop, folder, keep_s, disk, drained=lambda: drained.append(True))
    app = create_app(shop)
    try:
        # Not entered: nothing here starts with the application, and each request has a loop of its own.
        client = TestClient(app, base_url="http://seller.example")
        yield Desk(shop, client, dispatcher, folder, clock, till, runner, drained)
        client.close()
    finally:
        database.close()
