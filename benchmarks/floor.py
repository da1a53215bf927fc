"""The floor: a minimal buyer, which a lifecycle of the agent is held against.

It makes the same HTTP calls to the vendors and the same majority, journaled transactions in the same order, and nothing
else: no state machine, no checks, no chain reads, payments signed beforehand.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
from bson import Decimal128, ObjectId
from pymongo import MongoClient
from pymongo.client_session import ClientSession
from pymongo.database import Database

from gpuagent.adapters.mongo.connection import DURABLE
from gpuagent.core.model import Authorization, Terms
from gpuagent.core.terms import nonce
from tests.support.world import World

LIFE_S = 3_000
"""Of its payments, which are signed beforehand: a seller takes none that lives for more than an hour."""


RESERVED = ({"content": "chosen"}, {"content": "reserved"})
AUTHORIZED, SETTLED = ({"content": "authorized"},), ({"content": "settled"},)
LINES = tuple({"content": f"step {number} of 32"} for number in range(32))
"""What a job has written that is done."""


class Books:
    """The floor's writes: a run, and each of its four steps in a majority, journaled transaction."""

    def __init__(self, database: Database[dict[str, Any]]) -> None:
        self._database = database.with_options(write_concern=DURABLE)
        for name in ("runs", "jobs", "payments", "observations"):
            self._database[name].insert_one({})

    def begin(self) -> ObjectId:
        return ObjectId(self._database.runs.insert_one({"budgetTotal": Decimal128("5")}).inserted_id)

    def write(
        self, run_id: ObjectId, job_id: ObjectId, observations: Sequence[Mapping[str, Any]], payment: str = ""
    ) -> None:
        def save(session: ClientSession) -> None:
            change = {"$set": {"held": Decimal128("1.40"), "status": "running"}, "$inc": {"version": 1}}
            self._database.runs.update_one({"_id": run_id}, change, session=session)
            self._database.jobs.update_one({"_id": job_id}, {"$set": {"runId": run_id}}, upsert=True, session=session)
            if payment:
                self._database.payments.update_one(
                    {"jobId": job_id}, {"$set": {"header": payment}}, upsert=True, session=session
                )
            documents = [{**observation, "runId": run_id} for observation in observations]
            self._database.observations.insert_many(documents, session=session)

        with self._database.client.start_session() as session:
            session.with_transaction(save)

    def live(self) -> None:
        """All of a purchase's writes."""
        run_id, job_id, payment = self.begin(), ObjectId(), "x" * 900
        self.write(run_id, job_id, RESERVED)
        self.write(run_id, job_id, AUTHORIZED, payment)
        self.write(run_id, job_id, SETTLED, payment)
        self.write(run_id, job_id, LINES)


class Floor:
    """A minimal buyer: it quotes everywhere, takes the 402, pays, asks for the result, and records each step."""

    def __init__(self, world: World, payment_count: int) -> None:
        environment = world.environment
        self._vendors = world.market.vendors
        self._books = Books(MongoClient[dict[str, Any]](environment["MONGODB_URI"]).get_database("floor"))
        self._http = httpx.Client(
            base_url=environment["VENDOR_URL"],
            headers={"Authorization": f"Bearer {environment['GPU_VENDOR_SECRET']}"},
            # A connection that idled while the agent played is one that the vendors are about to close.
            limits=httpx.Limits(max_connections=200, keepalive_expiry=1.0),
            timeout=60,
        )
        self._quoting = ThreadPoolExecutor(100)
        self._payments = iter([sign(world, number) for number in range(payment_count)])

    def live(self, _: int) -> None:
        run_id, job_id, payment, write = self._books.begin(), ObjectId(), next(self._payments), self._books.write
        quotes = list(self._quoting.map(self._quote, [vendor.vendor_id for vendor in self._vendors]))
        write(run_id, job_id, RESERVED)
        order = {"vendorJobTemplateId": quotes[0]["vendorJobTemplateId"], "jobParams": {"gpuType": "A100"}}
        head = {"x-vendor-id": "gpu_vendor_1", "Idempotency-Key": str(job_id)}
        assert self._http.post("/submit-job", json=order, headers=head).status_code == 402
        write(run_id, job_id, AUTHORIZED, payment)
        answer = self._http.post("/submit-job", json=order, headers={**head, "PAYMENT-SIGNATURE": payment})
        assert answer.status_code == 200, answer.text
        write(run_id, job_id, SETTLED, payment)
        status = self._http.get(
            "/job-status", params={"vendorJobId": answer.json()["vendorJobId"]}, headers=head
        ).json()
        assert status["status"] == "completed"
        write(run_id, job_id, [{"content": line} for line in status["logs"]])

    def _quote(self, vendor_id: str) -> Any:
        body = {"jobType": "training", "gpuType": "A100", "maxHours": 1}
        return self._http.post("/quote", json=body, headers={"x-vendor-id": vendor_id}).json()


def sign(world: World, number: int) -> str:
    """A payment of the usual price to the first vendor, as its 402 will ask for it."""
    wallet, vendor = world.ports.wallet, world.market.vendors[0]
    amount, token = vendor.base_price_per_hour, wallet.token
    terms = Terms(
        "exact", token.network, token.address, str(amount), vendor.pay_to, 300, {"name": token.name, "version": "2"}
    )
    authorization = Authorization(
        payer=wallet.address,
        payee=vendor.pay_to,
        amount=amount,
        network=token.network,
        asset=token.address,
        nonce=nonce(token, wallet.address, f"floor {number}"),
        valid_before=world.chain.head(wallet.address).time + LIFE_S,
        from_block=0,
    )
    return wallet.sign(authorization, terms, "")
