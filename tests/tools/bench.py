"""`make bench`: the agent beside a minimal buyer, the floor, on the same mongod, chain and vendors.

The floor makes the same HTTP calls to the vendors and the same majority, journaled transactions in the same order, and
nothing else: no state machine, no checks, no chain reads, payments signed beforehand. Prints figures, asserts none.
"""

import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median
from typing import Any

import httpx
from bson import Decimal128, ObjectId
from pymongo import MongoClient
from pymongo.client_session import ClientSession
from pymongo.write_concern import WriteConcern

from gpuagent.adapters.wallets.local import LocalWallet
from gpuagent.core.model import Authorization, Terms
from gpuagent.core.money import UNIT
from gpuagent.core.terms import nonce
from gpuagent.core.transitions import is_over
from gpuagent.practice import stack
from gpuagent.tick import step
from tests.support import factories
from tests.support.factories import TERMS, TOKEN
from tests.support.market import Market
from tests.support.world import World, build_world
from tests.tools.bench_files import MEGABYTES, large_file

LEVELS = {1: 12, 8: 48, 32: 96}
"""Concurrent runs, and how many lifecycles one round makes."""
ROUNDS = 3
QUICK_JOBS = "1000000000"
"""Simulated seconds per second: every job is done when it is first asked about."""


@dataclass(frozen=True)
class Round:
    """Figures of one round: lifecycles a second, processor time of one, steps of all."""

    per_s: float
    cpu_ms: float
    steps: int


def measure(lifecycle: Callable[[int], int], concurrent: int, lifecycles: int) -> Round:
    """Run so many lifecycles, so many at a time. lifecycle returns how many steps it made."""
    with ThreadPoolExecutor(concurrent) as pool:
        started_at, cpu_started_at = time.perf_counter(), time.process_time()
        steps = sum(pool.map(lifecycle, range(lifecycles)))
        wall_s, cpu_s = time.perf_counter() - started_at, time.process_time() - cpu_started_at
    return Round(lifecycles / wall_s, cpu_s * 1000 / lifecycles, steps)


def agent_lifecycle(world: World) -> Callable[[int], int]:
    """The lifecycle of one run by the agent, to be measured."""

    def live(_: int) -> int:
        run, steps = world.start(), 0
        while not is_over(run):
            run, steps = step(run.run_id, world.ports), steps + 1
        assert run.status == "completed", run.reason
        return steps

    return live


class Floor:
    """A minimal buyer: it quotes everywhere, takes the 402, pays, asks for the result, and records each step."""

    def __init__(self, world: World, payment_count: int) -> None:
        environment = world.environment
        self._vendors = world.market.vendors
        self._database = MongoClient[dict[str, Any]](environment["MONGODB_URI"]).get_database(
            "floor", write_concern=WriteConcern(w="majority", j=True)
        )
        for name in ("runs", "jobs", "payments", "observations"):
            self._database[name].insert_one({})
        self._http = httpx.Client(
            base_url=environment["VENDOR_URL"],
            headers={"Authorization": f"Bearer {environment['GPU_VENDOR_SECRET']}"},
            limits=httpx.Limits(max_connections=200),
            timeout=60,
        )
        self._quoting = ThreadPoolExecutor(100)
        self._payments = iter([sign(world, number) for number in range(payment_count)])

    def live(self, _: int) -> int:
        run_id, job_id, payment = ObjectId(), ObjectId(), next(self._payments)
        self._database.runs.insert_one({"_id": run_id, "budgetTotal": Decimal128("5")})
        quotes = list(self._quoting.map(self._quote, [vendor.vendor_id for vendor in self._vendors]))
        self._write(run_id, job_id, [{"content": "chosen"}, {"content": "reserved"}])
        order = {"vendorJobTemplateId": quotes[0]["vendorJobTemplateId"], "jobParams": {"gpuType": "A100"}}
        head = {"x-vendor-id": "gpu_vendor_1", "Idempotency-Key": str(job_id)}
        assert self._http.post("/submit-job", json=order, headers=head).status_code == 402
        self._write(run_id, job_id, [{"content": "authorized"}], payment)
        answer = self._http.post("/submit-job", json=order, headers={**head, "PAYMENT-SIGNATURE": payment})
        assert answer.status_code == 200, answer.text
        self._write(run_id, job_id, [{"content": "settled"}], payment)
        status = self._http.get(
            "/job-status", params={"vendorJobId": answer.json()["vendorJobId"]}, headers=head
        ).json()
        assert status["status"] == "completed"
        self._write(run_id, job_id, [{"content": line} for line in status["logs"]])
        return 4

    def _quote(self, vendor_id: str) -> Any:
        body = {"jobType": "training", "gpuType": "A100", "maxHours": 1}
        return self._http.post("/quote", json=body, headers={"x-vendor-id": vendor_id}).json()

    def _write(
        self, run_id: ObjectId, job_id: ObjectId, observations: Sequence[dict[str, Any]], payment: str = ""
    ) -> None:
        def write(session: ClientSession) -> None:
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
            session.with_transaction(write)


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
        valid_before=world.chain.head(wallet.address).time + 86_400,
        from_block=0,
    )
    return wallet.sign(authorization, terms, "")


def signing_ms() -> float:
    """One EIP-712 signature with its header, in milliseconds."""
    wallet = LocalWallet("0x" + "11" * 32, TOKEN)
    payment = factories.authorization(payer=wallet.address)
    times: list[float] = []
    for _ in range(300):
        started_at = time.perf_counter()
        wallet.sign(payment, TERMS, "")
        times.append(time.perf_counter() - started_at)
    return median(times) * 1000


def main() -> None:
    say = sys.stdout.write
    say(f"EIP-712 signature and header  {signing_ms():.2f} ms\n\n")
    say("concurrent   agent/s   floor/s   ratio   agent CPU ms: lifecycle  step   floor CPU ms\n")
    with stack.start(PORT="0", MOCK_SPEED=QUICK_JOBS) as running:
        market = Market(running)
        with build_world(market, "bench", funds=10**6 * UNIT) as world:
            world.allow(per_payment=None, wallet_per_day=10**6 * UNIT)  # the day's sum is asked for, and never reached
            floor = Floor(world, ROUNDS * sum(LEVELS.values()) + 4)
            agent = agent_lifecycle(world)
            for warm in (floor.live, agent):
                measure(warm, 2, 4)
            for concurrent, lifecycles in LEVELS.items():
                compare(agent, floor.live, concurrent, lifecycles, say)
            say("\n")
            large_file(world, MEGABYTES, say)
        market.close()


def compare(
    agent: Callable[[int], int],
    floor: Callable[[int], int],
    concurrent: int,
    lifecycles: int,
    say: Callable[[str], Any],
) -> None:
    """Alternate the two, so that both meet the same machine; medians over the rounds."""
    rounds = [(measure(agent, concurrent, lifecycles), measure(floor, concurrent, lifecycles)) for _ in range(ROUNDS)]
    agents, floors = zip(*rounds, strict=True)
    ratio = median(agent_round.per_s / floor_round.per_s for agent_round, floor_round in rounds)
    cpu = median(agent_round.cpu_ms for agent_round in agents)
    say(
        f"{concurrent:10}{median(r.per_s for r in agents):10.1f}{median(r.per_s for r in floors):10.1f}{ratio:8.2f}"
        f"{cpu:25.1f}{cpu * lifecycles / agents[0].steps:6.1f}{median(r.cpu_ms for r in floors):15.1f}\n"
    )


if __name__ == "__main__":
    main()
