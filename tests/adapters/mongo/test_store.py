"""The store on a real replica set: round trips, compare-and-swap, and what the database itself refuses."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from itertools import takewhile
from typing import Any

import pytest
from bson import Decimal128, ObjectId
from pymongo import MongoClient
from pymongo.errors import ConfigurationError, DuplicateKeyError, WriteError

from gpuagent.adapters.mongo import connection
from gpuagent.adapters.mongo.connection import Connection
from gpuagent.adapters.mongo.store import MongoStore
from gpuagent.agent.enlist import check_new
from gpuagent.api.as_json import json_value
from gpuagent.core.events import PaymentSettled, StepPostponed, StepTakenUp
from gpuagent.core.model import (
    Authorized,
    Observation,
    Run,
    Settled,
    Settles,
    Vendor,
)
from gpuagent.core.policy import Policy
from gpuagent.core.rules import RULES
from gpuagent.core.transitions import apply
from gpuagent.core.work import Completed, Failed, JobEnding, Owed, Underway
from gpuagent.errors import ConfigError, DuplicateVendorJob, PolicyRefused, Refused, StaleRun, StoreError, UnknownRun
from gpuagent.render.as_json import json_value as rendered_json
from tests.support.factories import RUN, SETTLEMENT, VENDOR
from tests.support.run_states import ACCESS, STATES
from tests.support.world import World


@pytest.fixture
def store(world: World) -> MongoStore:
    return world.store


@pytest.fixture
def database(world: World) -> Any:
    client: MongoClient[Any] = MongoClient(world.environment["MONGODB_URI"])
    yield client[world.environment["MONGODB_DB_NAME"]]
    client.close()


def fresh(store: MongoStore) -> Run:
    run = replace(RUN, run_id=store.new_id())
    store.create(run)
    return run


@pytest.mark.parametrize("state", STATES)
def test_every_state_comes_back_as_it_was_saved(store: MongoStore, state: str) -> None:
    store.put_vendor(VENDOR, 1_000.0)  # a reservation is held against the vendor's record
    run = fresh(store)
    job_id = store.new_id()
    after = replace(STATES[state](), run_id=run.run_id)
    after = replace(after, jobs=tuple(replace(job, job_id=job_id) for job in after.jobs))
    saved = store.save(run, after, [], 1_001.5)
    assert saved == replace(after, version=1)
    assert store.load(run.run_id) == store.standing(run.run_id).run == saved


@pytest.mark.parametrize(
    ("state", "reason", "ending"),
    [
        ("failed", "disputed: paid, but no job came of it (500)", JobEnding.DISPUTED),
        ("failed", "the disputed: GPU fell off", JobEnding.REPORTED),
        ("owed in silence", "", None),
        ("queued", "", None),
    ],
)
def test_jobs_of_an_older_version_are_read(
    world: World, store: MongoStore, database: Any, state: str, reason: str, ending: JobEnding | None
) -> None:
    """Without the fields that are new: a dispute is known by its words."""
    run = fresh(store)
    after = replace(STATES[state](), run_id=run.run_id)
    after = replace(after, jobs=tuple(replace(job, job_id=store.new_id()) for job in after.jobs))
    store.save(run, after, [], 1_001.5)
    new = {"ending": "", "readmittedBy": "", "reply": "", "askedAt": "", "postponed": ""}
    database.jobs.update_one({}, {"$unset": new, **({"$set": {"errorMessage": reason}} if reason else {})})
    (job,) = store.load(run.run_id).jobs
    assert isinstance(job, Settled)
    assert job.postponed == ""
    match job.work:
        case Failed():
            assert (job.work.reason, job.work.ending, job.work.readmitted_by) == (reason, ending, "")
        case Owed():
            assert job.work.asked_at == job.work.silent_since == 2.5
        case Underway():
            assert job.work.reply == ""


def test_an_older_reservation_is_not_postponed(store: MongoStore, database: Any) -> None:
    store.put_vendor(VENDOR, 1_000.0)
    run = fresh(store)
    after = replace(STATES["reserved"](), run_id=run.run_id)
    after = replace(after, jobs=tuple(replace(job, job_id=store.new_id()) for job in after.jobs))
    saved = store.save(run, after, [], 1_001.5)
    database.jobs.update_one({}, {"$unset": {"delivered": "", "postponed": "", "deliveryFrom": ""}})
    assert store.load(run.run_id) == saved


def test_a_purchase_keeps_its_protocol_whatever_the_vendor_s_record_says_later(
    world: World, store: MongoStore, database: Any
) -> None:
    """Jobs of before there were several went by ours."""
    store.put_vendor(replace(VENDOR, protocol="prism"), 1_000.0)
    run = fresh(store)
    after = replace(STATES["reserved"](), run_id=run.run_id)
    after = replace(
        after,
        jobs=tuple(
            replace(job, job_id=store.new_id(), quote=replace(job.quote, protocol="prism")) for job in after.jobs
        ),
    )
    saved = store.save(run, after, [], 1_001.5)
    store.put_vendor(replace(VENDOR, protocol="hypercli"), 1_002.0)
    assert store.load(run.run_id) == saved
    database.jobs.update_one({}, {"$unset": {"quote.protocol": ""}})
    assert [job.quote.protocol for job in store.load(run.run_id).jobs] == ["gpuagent/1"]


def test_rules_about_files_are_kept_and_older_policies_have_the_usual_ones(world: World, database: Any) -> None:
    changed = world.store.change_policy(
        lambda rules: replace(rules, inputs_to="trusted", file_max=2**33, keep_files_s=60, keep_files_max=2**40),
        "Ada",
        "large models",
        0.0,
    )
    assert world.store.policy() == changed
    keys = [rule.key for rule in RULES]
    database.policies.update_one({"current": True}, {"$unset": dict.fromkeys(keys, "")})
    assert world.store.policy() == replace(changed, **{rule.name: rule.of(Policy()) for rule in RULES})
    database.policies.update_one({"current": True}, {"$set": {"inputsTo": "everyone"}})
    with pytest.raises(PolicyRefused, match="cannot be read"):
        world.store.policy()


def test_a_vendor_of_an_older_version_is_not_trusted(world: World, database: Any) -> None:
    vendor = replace(world.store.vendors()[0], trusted=True)
    world.store.put_vendor(vendor, 0.0)
    assert vendor in world.store.vendors()
    new = ("trusted", "protocol", "x402Version", "settles", "maxAuthorizationSeconds", "proven", "refundAddress")
    database.vendors.update_one({"vendorId": vendor.vendor_id}, {"$unset": dict.fromkeys(new, "")})
    assert replace(vendor, trusted=False) in world.store.vendors()
    wild = replace(vendor, secret_env="", x402_version=1, settles=Settles.AFTER, max_authorization_s=1800, proven=False)
    world.store.put_vendor(wild, 0.0)
    assert wild in world.store.vendors()


@pytest.mark.safety("two vendors that are added at once, with one token for two servers")
def test_two_vendors_added_at_once_do_not_pass_each_other(world: World, store: MongoStore) -> None:
    """What one of them may not be beside the other is seen by the one that comes second, and of one id there is one."""

    def added(*vendors: Vendor) -> list[bool | str]:
        both = threading.Barrier(len(vendors))

        def add(vendor: Vendor) -> bool | str:
            first = iter([True])

            def is_new(records: Sequence[Vendor]) -> bool:
                if next(first, False):  # and not when the transaction starts again
                    with suppress(threading.BrokenBarrierError):  # where the other is held up, as it is to be
                        both.wait(0.3)
                return check_new(vendor, records)

            try:
                return store.add_vendor(vendor, is_new, 1.0)
            except Refused as error:
                return str(error)

        with ThreadPoolExecutor(len(vendors)) as pool:
            return sorted(pool.map(add, vendors), key=lambda result: (result is True, str(result)))

    acme = replace(VENDOR, vendor_id="acme", endpoint="https://acme.example", secret_env="NEW_SECRET")
    text, is_added = added(acme, replace(acme, vendor_id="thief", endpoint="https://thief.example"))
    assert (is_added, "NEW_SECRET holds the token of" in str(text)) == (True, True)
    plain = replace(VENDOR, vendor_id="plain", secret_env="")
    assert added(plain, plain) == [False, True]
    text, is_added = added(*(replace(plain, vendor_id="other", pay_to="0x" + digit * 40) for digit in "12"))
    assert (is_added, "other is on record with another payee" in str(text)) == (True, True)
    names = [vendor.vendor_id for vendor in store.vendors()]
    assert (len({"acme", "thief"} & set(names)), names.count("plain"), names.count("other")) == (1, 1, 1)


@pytest.mark.safety("the token of a job at its vendor, wherever a run is shown, streamed or exported")
def test_what_reaches_a_job_is_shown_nowhere(world: World, store: MongoStore, database: Any) -> None:
    """Neither when it is first stored nor when the vendor gives another one."""
    run = fresh(store)
    changes = world.reads.watch(run.run_id)
    next(changes)
    after = replace(STATES["unpaid underway"](), run_id=run.run_id)
    after = replace(after, jobs=tuple(replace(job, job_id=store.new_id()) for job in after.jobs))
    saved = store.save(run, after, [], 1_001.5)
    (job,) = saved.jobs
    assert isinstance(job, Authorized)
    other = replace(job, access=replace(job.access, token="another-token-987654"))
    store.save(saved, replace(saved, jobs=(other,)), [], 1_002.5)
    streamed = list(takewhile(lambda change: change.kind != "idle", changes))
    shown = [
        str(streamed),
        str(world.reads.glance(run.run_id, ("error",))),
        str(json_value(world.reads.documents(run.run_id))),
        str(rendered_json(world.reads.documents(run.run_id))),
        repr(saved),
    ]
    assert any(change.kind == "payment" for change in streamed)
    assert "another-token-987654" in str(database.payments.find_one({"runId": ObjectId(run.run_id)}))
    for text in shown:
        assert "another-token" not in text
        assert ACCESS.token not in text
        assert ACCESS.poll_url not in text


@pytest.mark.parametrize("state", ["unpaid underway", "unpaid collecting"])
def test_a_step_that_waits_for_the_file_store_is_kept_before_and_after_the_payment(
    store: MongoStore, state: str
) -> None:
    run = fresh(store)
    after = replace(STATES[state](), run_id=run.run_id)
    after = replace(after, jobs=tuple(replace(job, job_id=store.new_id()) for job in after.jobs))
    run = store.save(run, after, [], 1_001.5)
    job_id = run.jobs[0].job_id
    for at, event in enumerate(
        (StepPostponed(job_id, "disk full"), PaymentSettled(job_id, SETTLEMENT, 4.0), StepTakenUp(job_id, 5.0)), 1_002
    ):
        run = store.save(run, apply(run, event), [], float(at))
        assert store.load(run.run_id) == run


def test_a_payment_of_an_older_version_is_read(store: MongoStore, database: Any) -> None:
    run = fresh(store)
    after = replace(STATES["authorized"](), run_id=run.run_id)
    after = replace(after, jobs=tuple(replace(job, job_id=store.new_id()) for job in after.jobs))
    saved = store.save(run, after, [], 1_001.5)
    database.payments.update_one({"runId": ObjectId(run.run_id)}, {"$unset": {"lifeSeconds": "", "access": ""}})
    assert store.load(run.run_id) == saved


def test_the_second_of_two_saves_is_stale_and_writes_nothing(world: World, store: MongoStore) -> None:
    run = fresh(store)
    store.save(run, run, [Observation("metric", "first")], 1.0)
    with pytest.raises(StaleRun):
        store.save(run, run, [Observation("metric", "second")], 1.0)
    assert [observation["content"] for observation in world.reads.documents(run.run_id)["observations"]] == ["first"]


def test_a_vendors_job_id_belongs_to_one_job(store: MongoStore) -> None:
    for expected in (None, DuplicateVendorJob):
        run = fresh(store)
        job_id = store.new_id()
        authorized = STATES["authorized"]()
        (job,) = authorized.jobs
        nonce = "0x" + ObjectId(job_id).binary.hex().rjust(64, "0")
        job = replace(job, job_id=job_id, authorization=replace(job.authorization, nonce=nonce))  # type: ignore[union-attr,call-arg,arg-type]
        before = store.save(run, replace(authorized, run_id=run.run_id, jobs=(job,)), [], 1.0)
        after = apply(before, PaymentSettled(job_id, SETTLEMENT, 2.0, "the-same"))
        if expected is None:
            store.save(before, after, [], 2.0)
        else:
            with pytest.raises(expected):
                store.save(before, after, [], 2.0)
            assert store.load(run.run_id) == before


@pytest.mark.parametrize("run_id", ["0" * 24, "no such id", ""])
def test_a_run_that_is_not_there_is_said(store: MongoStore, run_id: str) -> None:
    with pytest.raises(UnknownRun):
        store.load(run_id)


def test_a_standalone_server_is_refused(world: World) -> None:
    with pytest.raises(ConfigError, match="does not answer"):
        Connection("mongodb://127.0.0.1:1/", "x", timeout_s=0.2)
    with pytest.raises(ConfigError, match="cannot be used"):
        Connection("http://127.0.0.1/", "x")


def test_a_turn_that_does_not_come_ends_at_the_deadline(world: World) -> None:
    """And what could not wait for it has written nothing."""
    own = Connection(world.environment["MONGODB_URI"], "turns", deadline_s=0.05, look_only=True)
    with own.turn(), pytest.raises(StoreError, match=r"none got its turn in 0\.05 s"), own.turn():
        pytest.fail("two have their turn at once")
    with own.turn():
        own.close()


class Standalone:
    """A client of a server that is no member of a replica set."""

    admin = property(lambda self: self)
    closed = False

    def command(self, _: str) -> dict[str, object]:
        return {"ok": 1, "msg": "hello"}

    def get_database(self, *_: object, **__: object) -> object:
        return self

    def get_default_database(self) -> object:
        raise ConfigurationError("no default database")

    def close(self) -> None:
        self.closed = True


def test_a_server_without_transactions_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Standalone()
    monkeypatch.setattr(connection, "_client", lambda *_: client)
    with pytest.raises(ConfigError, match="must be a replica set"):
        Connection("mongodb://localhost/", "x")
    assert client.closed


def test_money_is_written_to_most_members_and_their_journals_and_read_from_most(world: World) -> None:
    """What only one member has, a failover takes back: with it the record of a signature that is out."""
    database = world.store.connection.database
    assert database.write_concern.document == connection.DURABLE.document == {"w": "majority", "j": True}
    assert database.read_concern.level == "majority"
    for name in ("runs", "jobs", "payments", "policies"):
        collection = database[name]
        assert (collection.write_concern, collection.read_concern) == (database.write_concern, database.read_concern)


def test_what_the_driver_raises_is_a_store_error(world: World) -> None:
    closed = Connection(world.environment["MONGODB_URI"], "test", deadline_s=1)
    store = MongoStore(closed)
    closed.close()
    for ask in (store.vendors, lambda: store.load("0" * 24), lambda: store.save(RUN, RUN, [], 1.0)):
        with pytest.raises(StoreError):
            ask()


def test_metrics_that_look_like_references_stay_data(world: World) -> None:
    run = fresh(world.store)
    job_id = world.store.new_id()
    (job,) = STATES["completed"]().jobs
    assert isinstance(job, Settled)
    completed = replace(job, job_id=job_id, work=Completed("v", 3.0, {"ref": "c", "id": 1.0, "a.b": 2.0, "": 3.0}))
    saved = world.store.save(run, replace(run, jobs=(completed,)), [], 1.0)
    assert world.store.load(run.run_id) == saved


UNSTORABLE = {
    "half a pair": {"said": "\ud800"},
    "a number of 100 bits": {"said": 2**100},
    "a key with a null": {"a\0b": 1},
    "20 MB": {"said": "x" * 20_000_000},
}


@pytest.mark.parametrize("case", UNSTORABLE)
def test_what_cannot_be_stored_costs_one_observation(world: World, store: MongoStore, case: str) -> None:
    run = fresh(store)
    observations = [
        Observation("error", "first"),
        Observation("error", "odd", data=UNSTORABLE[case]),
        Observation("error", "last"),
    ]
    assert store.save(run, run, observations, 1.0).version == 1
    first, odd, last = world.reads.documents(run.run_id)["observations"]
    assert (first["content"], last["content"], odd["data"]) == ("first", "last", {})
    assert odd["content"].startswith("what was seen cannot be stored: ")


def test_a_run_that_cannot_be_stored_is_a_store_error(store: MongoStore) -> None:
    with pytest.raises(StoreError, match="no document can hold this"):
        store.create(replace(RUN, run_id=store.new_id(), goal="\udcff"))
    run = fresh(store)
    with pytest.raises(StoreError, match="no document can hold this"):
        store.save(run, replace(run, waits=2**100), [], 1.0)


def paid_run(world: World) -> Run:
    return world.finish(world.start())


BREAKS: list[tuple[str, dict[str, Any]]] = [
    ("runs", {"budgetRemaining": Decimal128("1.86")}),
    ("runs", {"held": Decimal128("-0.01")}),
    ("runs", {"settled": 1.4}),
    ("runs", {"status": "paid"}),
    ("jobs", {"expectedCost": 1.4}),
    ("jobs", {"state": "maybe"}),
    ("payments", {"amount": Decimal128("0")}),
    ("payments", {"amount": Decimal128("-1")}),
    ("payments", {"amount": 1.4}),
    ("payments", {"amount": "1.4"}),
    ("payments", {"payee": "0x12"}),
    ("payments", {"nonce": "0x12"}),
    ("payments", {"status": "settled via x402"}),
    ("payments", {"status": "pending"}),
    ("payments", {"x402TxId": "local_tx_1"}),
    ("payments", {"header": ""}),
    ("observations", {"type": "gossip"}),
    ("vendors", {"payTo": "nobody"}),
    ("vendors", {"basePricePerHour": 1.4}),
]


@pytest.mark.parametrize(("collection", "change"), BREAKS)
def test_the_database_refuses_malformed_money(world: World, database: Any, collection: str, change: Any) -> None:
    paid_run(world)
    with pytest.raises(WriteError, match="validation"):
        database[collection].update_one({}, {"$set": change})


@pytest.mark.parametrize("field", ["amount", "payer", "nonce", "validBefore", "header"])
def test_a_payment_lacks_nothing(world: World, database: Any, field: str) -> None:
    paid_run(world)
    with pytest.raises(WriteError, match="validation"):
        database.payments.update_one({}, {"$unset": {field: 1}})


def test_uniqueness_is_the_databases(world: World, database: Any, make_world: Callable[..., World]) -> None:
    paid_run(world)
    payment = database.payments.find_one()
    line = database.observations.find_one({"type": "job_log"})
    vendor = database.vendors.find_one()
    job = database.jobs.find_one()
    policy = database.policies.find_one({"current": True})
    for collection, twin in (
        ("payments", {**payment, "nonce": "0x" + "1" * 64}),  # the same job and attempt
        ("payments", {**payment, "jobId": ObjectId()}),  # the same nonce
        ("observations", line),
        ("vendors", vendor),
        ("policies", {**policy, "version": 99}),  # a second one in force
        ("policies", {**policy, "current": False}),  # the same version
        ("jobs", {**job, "ordinal": 1}),  # the same vendor job
        ("jobs", {**job, "vendorJobId": "another"}),  # the same place in the run
    ):
        with pytest.raises(DuplicateKeyError):
            database[collection].insert_one({**twin, "_id": ObjectId()})


def test_fields_are_as_the_original_documents_them(world: World, database: Any) -> None:
    paid_run(world)
    promised = {
        "runs": "userId goal status budgetTotal budgetRemaining createdAt updatedAt",
        "jobs": "runId vendorId vendorJobId status expectedCost actualCost jobParams createdAt completedAt",
        "payments": "runId jobId vendorId amount currency status x402TxId createdAt",
        "observations": "runId jobId type content timestamp tick data",
        "vendors": "vendorId name endpoint basePricePerHour reliabilityScore supportedGpuTypes createdAt",
    }
    for collection, names in promised.items():
        assert set(names.split()) <= set(database[collection].find_one()), collection
    assert database.runs.find_one()["budgetRemaining"] == Decimal128("3.600000")
