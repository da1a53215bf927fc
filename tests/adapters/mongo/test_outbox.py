"""Alerts are written by the transaction that brings them about, once; and the inbox shows what still waits."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from click.testing import Result

from gpuagent.adapters.mongo.inbox import FAILED_S, MongoInbox
from gpuagent.adapters.mongo.late_holds import late_holds
from gpuagent.agent.approve import cancel
from gpuagent.core.alerts import LATE_S
from gpuagent.core.inbox import Waiting
from gpuagent.core.model import Authorized, Observation, ObservationType, Reserved, RunStatus
from gpuagent.core.policy import Halt
from gpuagent.core.transitions import apply
from gpuagent.errors import PolicyRefused, StaleRun, StoreError, UnknownRun
from tests.support.alerts import TimedOutbox, alert_keys
from tests.support.factories import VENDOR, quote
from tests.support.run_states import vendor_chosen
from tests.support.world import World


def kinds(world: World) -> list[str]:
    return [key.partition(":")[0] for key in alert_keys(world)]


def test_a_save_that_does_not_happen_tells_nothing(world: World) -> None:
    """Neither one that another was faster than, nor one that the policy refuses."""
    run = world.start(tags=("nightly",))
    world.allow(tag_totals={"nightly": 1_500_000}, per_payment=1_400_000)
    world.store.put_vendor(VENDOR, 1_000.0)
    job_id = world.store.new_id()

    def chosen(amount: int) -> Any:
        return apply(run, replace(vendor_chosen(job_id, amount), quote=quote(amount)))

    with pytest.raises(PolicyRefused):
        world.store.save(run, chosen(1_400_001), [], world.market.clock.now())
    failed = replace(run, status=RunStatus.FAILED, reason="x")
    with pytest.raises(StaleRun):
        world.store.save(replace(run, version=7), failed, [], world.market.clock.now())
    line = Observation(ObservationType.LOG, "line", job_id, position=0)
    with pytest.raises(StoreError):  # after the alerts are written, as the last of it
        world.store.save(run, replace(run, status=RunStatus.FAILED), [line, line], world.market.clock.now())
    assert alert_keys(world) == []
    world.store.save(run, chosen(1_400_000), [], world.market.clock.now())
    assert alert_keys(world) == ["budget:tag:nightly:1500000:80"]


def test_a_run_from_its_request_to_its_end_and_a_halt_are_told_once_each(world: World) -> None:
    world.allow(approval_above=1_000_000)
    run = world.tick(world.start(budget=2))
    for _ in range(3):
        world.tick(run)
    assert kinds(world) == ["approval"]
    cancel(run.run_id, "Ada", "enough", world.store, world.ports.clock)
    halt = Halt("vendor", "gpu_vendor_1", "Ada", "late")
    world.allow(halts=(halt,))
    world.allow(halts=(halt,), approval_above=None)
    assert kinds(world) == ["approval", "failed", "halted"]
    world.allow(halts=())
    world.allow(halts=(halt,))
    assert kinds(world)[3:] == ["halted"], "another halt is another event"
    world.allow(halts=())
    world.finish(world.start(budget=2))
    assert kinds(world)[4:] == ["budget"]


def test_holds_that_are_late_are_told_once_and_wait_in_the_inbox(world: World) -> None:
    world.allow(approval_above=1_000_000)
    reserved = world.tick(world.start())
    (job,) = reserved.jobs
    assert isinstance(job, Reserved)
    outbox, database = TimedOutbox(world), world.store.connection.database
    outbox.note_late_holds()
    outbox.ahead_s = job.quote.expires_at - outbox.now() + LATE_S - 5
    outbox.note_late_holds()
    assert kinds(world) == ["approval"], "the next tick may release it"
    outbox.ahead_s += 10
    for _ in range(2):
        outbox.note_late_holds()
    assert kinds(world)[1:] == ["late_hold"]
    (item,) = MongoInbox(outbox.connection).read(outbox.now()).items
    assert (item.kind, item.run_id, item.amount) == (Waiting.LATE_HOLD, reserved.run_id, 1_400_000)
    world.allow(approval_above=None)
    world.market.fault("gpu_vendor_1", "never_settle")
    cancel(reserved.run_id, "Ada", "-", world.store, world.ports.clock)
    signed = world.tick(world.start())
    (job,) = signed.jobs
    assert isinstance(job, Authorized)
    ends_at = job.authorization.valid_before
    assert [str(hold["_id"]) for hold in late_holds(database, ends_at)] == [job.job_id]
    assert late_holds(database, ends_at - 1) == []


def test_what_waits_is_in_the_inbox_until_it_is_answered(
    world: World, gpuagent: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    world.allow(approval_above=1_000_000)
    runs = [world.tick(world.start()) for _ in range(2)]
    failed = cancel(world.start().run_id, "Ada", "wrong goal", world.store, world.ports.clock)
    inbox = world.database.inbox
    world.database.outbox.note_books("all", ["unknown transfer: 1 USD"])
    inbox.note_refunds(["1.40 USD from gpu_vendor_1"], world.store.now())
    world.allow(halts=(Halt("wallet", "*", "Ada", "fire"),))
    shown = inbox.read(world.store.now())
    assert [item.kind for item in shown.items] == [*[Waiting.APPROVAL] * 2, *list(Waiting)[1:3], *list(Waiting)[4:]]
    assert shown.badge == "6"
    (job,) = runs[0].jobs
    (item,) = [item for item in shown.approvals if item.run_id == runs[0].run_id]
    assert item.command.split()[1:] == ["run", "approve", runs[0].run_id, "--job", job.job_id, "--amount", "1.4"]
    printed = gpuagent("inbox").output
    assert [item["kind"] for item in json.loads(gpuagent("inbox", "list", "--json").output)["items"]][-1] == "failed"
    for words in ("Waits for approval (2)", "Books that differ (1)", "Halted (1)", "Failed, not seen yet (1)"):
        assert words in printed
    (other,) = runs[1].jobs
    refusal = gpuagent("inbox", "approve", f"{job.job_id}=1.40", f"{other.job_id}=1.50", "--by", "Ada")
    assert (refusal.exit_code, f"{job.job_id}: approved 1.40 USD" in refusal.output) == (1, True)
    assert "what waits now is 1.40 USD" in refusal.output
    assert gpuagent("inbox", "approve", f"{job.job_id}=1.40").exit_code == 2, "it does not wait any more"
    assert gpuagent("inbox", "seen", failed.run_id).output == "seen: 1\n"
    assert gpuagent("inbox", "seen", failed.run_id).output == "seen: 0\n"
    with pytest.raises(UnknownRun, match="has not failed"):
        inbox.see([runs[0].run_id], "Ada", 1.0)
    world.allow(halts=())
    assert gpuagent("books", "--all").exit_code == 0, "they do not differ, and no transfer waits"
    left = inbox.read(world.store.now())
    assert [item.run_id for item in left.items] == [runs[1].run_id]
    assert inbox.read(world.store.now() + FAILED_S).approvals == (), "it has expired"
