"""A database that the original system filled can be looked at, and nothing in it counts as money."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import Decimal128, ObjectId
from click.testing import Result
from pymongo import MongoClient

from gpuagent import settings, wiring
from gpuagent.adapters.mongo.original import exact
from gpuagent.agent.start import Order, start
from gpuagent.books.sweep import sweep
from gpuagent.errors import RunNotOurs
from gpuagent.reports.exports import html
from gpuagent.reports.report import make_report
from gpuagent.reports.request import ReportRequest
from gpuagent.tick import tick
from gpuagent.wiring.database import Database, open_database
from gpuagent.wiring.vendors import record_vendors
from tests.conftest import DATABASE
from tests.support.market import Market
from tests.support.world import World

AT = datetime(2026, 1, 10, 20, 0, tzinfo=UTC)
RUN, OPEN_RUN = ObjectId(), ObjectId()
JOBS = [ObjectId(), ObjectId()]
OLD = f"{DATABASE}_original"


def run(key: ObjectId, status: str, remaining: float) -> dict[str, Any]:
    return {
        "_id": key,
        "userId": "u1",
        "goal": "Fine-tune tiny-llm",
        "budgetTotal": 5,
        "budgetRemaining": remaining,
        "status": status,
        "createdAt": AT,
        "updatedAt": AT,
    }


def job(key: ObjectId, number: int, status: str) -> dict[str, Any]:
    return {
        "_id": key,
        "runId": RUN,
        "vendorId": f"gpu_vendor_{number}",
        "vendorJobId": f"vgpu_ab12cd3{number}",
        "status": status,
        "expectedCost": 1.4,
        "expectedDurationMinutes": 60,
        "actualCost": 1.4000000000000001,
        "createdAt": AT,
        "updatedAt": AT,
    }


def payment(job_id: ObjectId, status: str, **fields: Any) -> dict[str, Any]:
    return {
        "_id": ObjectId(),
        "runId": RUN,
        "jobId": job_id,
        "vendorId": "gpu_vendor_1",
        "amount": 1.4,
        "currency": "USD",
        "status": status,
        "createdAt": AT,
        **fields,
    }


def observation(type_: str, content: str, **fields: Any) -> dict[str, Any]:
    return {"_id": ObjectId(), "runId": RUN, "type": type_, "content": content, "timestamp": AT, **fields}


def original() -> dict[str, list[dict[str, Any]]]:
    """The collections of the original, by its models.ts and tick.ts: a document of every shape that it writes."""
    return {
        "runs": [run(RUN, "completed", 2.2), run(OPEN_RUN, "running", 5)],
        "jobs": [job(JOBS[0], 1, "failed"), job(JOBS[1], 2, "completed")],
        "payments": [
            payment(JOBS[0], "completed", x402TxId="local_tx_1736543210123"),
            payment(JOBS[1], "completed", x402TxId="mock_tx_1736543210"),
            payment(JOBS[1], "failed", errorMessage="Submit job failed"),
        ],
        "observations": [
            observation("agent_reasoning", "mode: stub"),
            observation("job_log", "Epoch 1/3 loss=1.50\nEpoch 2/3 loss=1.20", jobId=JOBS[0]),
            observation("job_log", "Epoch 3/3 loss=0.90", jobId=JOBS[0]),
            observation("error", "Vendor reported failure", jobId=JOBS[0]),
        ],
        "vendors": [
            {
                "_id": ObjectId(),
                "vendorId": "gpu_vendor_1",
                "name": "FastGPU",
                "endpoint": "http://localhost:4001",
                "basePricePerHour": 1.4,
                "reliabilityScore": 0.9,
                "supportedGpuTypes": ["A10", "A100"],
                "createdAt": AT,
                "updatedAt": AT,
            }
        ],
    }


@pytest.fixture
def filled(market: Market) -> Iterator[None]:
    with MongoClient[dict[str, Any]](market.environment["MONGODB_URI"]) as client:
        client.drop_database(OLD)
        for name, documents in original().items():
            client[OLD][name].insert_many(documents)
        yield
        client.drop_database(OLD)


@pytest.fixture
def db(filled: None, market: Market) -> Iterator[Database]:
    environ = {**market.environment, "MONGODB_DB_NAME": OLD}
    with open_database(settings.read(environ)) as db:
        yield db


def test_status_and_list_show_it(filled: None, gpuagent: Callable[..., Result]) -> None:
    status = gpuagent("run", "status", str(RUN), MONGODB_DB_NAME=OLD)
    assert status.exit_code == 0, status.output
    assert "0.00 USD settled, 0.00 USD held" in status.output
    assert "2.80 USD claimed and unproven" in status.output
    assert "Vendor reported failure" in status.output
    assert "local_tx" not in status.output
    listed = gpuagent("run", "list", MONGODB_DB_NAME=OLD)
    assert str(RUN) in listed.output
    assert str(OPEN_RUN) in listed.output


def test_no_payment_of_it_is_settled(db: Database) -> None:
    documents = db.reads.documents(str(RUN))
    assert {document["status"] for document in documents["payments"]} == {"unproven"}
    assert [document["claimedStatus"] for document in documents["payments"]] == ["completed", "completed", "failed"]
    assert {document["state"] for document in documents["jobs"]} == {"unproven"}
    (run_document,) = documents["runs"]
    assert (run_document["settled"], run_document["held"]) == (exact(0), exact(0))
    assert run_document["budgetRemaining"] == Decimal128("2.200000")
    assert documents["jobs"][1]["actualCost"] == Decimal128("1.400000")


def test_a_report_says_that_its_runs_do_not_count(db: Database) -> None:
    report = make_report(ReportRequest("2026-01"), db, "eip155:31337", AT.timestamp())
    assert html(report).count("2 runs of the original system left out") == 1
    assert (len(report.paid), len(report.started), len(report.frames.purchases)) == (0, 0, 0)


def test_it_is_never_driven(db: Database) -> None:
    with pytest.raises(RunNotOurs, match="looked at, not driven"):
        db.store.load(str(RUN))
    with pytest.raises(RunNotOurs):
        db.reads.recorded(str(RUN))


def test_a_vendor_without_a_pinned_payee_is_nobody_to_buy_from(db: Database, market: Market) -> None:
    assert db.store.vendors() == ()
    record_vendors(db, market.vendors)
    assert {vendor.vendor_id for vendor in db.store.vendors()} == {vendor.vendor_id for vendor in market.vendors}


def test_our_runs_live_beside_it(filled: None, world: World) -> None:
    """Its claims count against no cap, teach nothing about a vendor, and the sweep holds our wallet alone."""
    environ = {**world.environment, "MONGODB_DB_NAME": OLD}
    with wiring.open_agent(settings.read(environ)) as agent:
        record_vendors(agent.database, world.market.vendors)
        run = start(Order(goal="Fine-tune tiny-llm", budget=5_000_000), agent.ports)
        run = tick(run.run_id, agent.ports)
        network = agent.ports.wallet.token.network
        vendor_ids = [vendor.vendor_id for vendor in agent.store.vendors()]
        used = agent.store.usage(run, network, vendor_ids, agent.ports.clock.now())
        assert used.wallet_day == sum(job.quote.amount for job in run.jobs)
        assert agent.store.past_jobs(run, network, vendor_ids, 10) == []
        wallets = agent.database.ledgers.wallets(agent.ports.wallet.token)
        assert [wallet.payer for wallet in wallets] == [world.ports.wallet.address]
        assert sweep(agent.chain, agent.database.ledgers).balanced
