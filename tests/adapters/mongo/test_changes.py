"""What another process writes is told: in order, whole, once, without what was signed, and after a break as well."""

from collections.abc import Iterator
from itertools import takewhile

import pytest

from gpuagent.adapters.mongo.changes import watch
from gpuagent.core.records import Change
from gpuagent.errors import BadInput, ChangesLost
from tests.support.world import World

QUIET_S = 0.3
"""What was written and acknowledged before is read at once, however short this is."""


def news(changes: Iterator[Change]) -> list[Change]:
    """All until it is quiet."""
    return list(takewhile(lambda change: change.kind != "idle", changes))


def opened(world: World, run_id: str | None, resume_after: str | None = None) -> tuple[Iterator[Change], str]:
    changes = watch(world.store.connection.database, run_id, resume_after, idle_s=QUIET_S)
    first = next(changes)
    assert (first.kind, first.document) == ("open", {})
    assert first.token
    return changes, first.token


def test_tells_all_that_a_tick_elsewhere_writes(world: World) -> None:
    run, second = world.start(), world.start()
    changes, _ = opened(world, run.run_id)
    world.tick(second)
    world.tick(run)
    batch = news(changes)
    assert {change.kind for change in batch} == {"run", "job", "payment", "observation"}
    assert {str(change.document.get("runId", change.document["_id"])) for change in batch} == {run.run_id}
    observations = [change.document["content"] for change in batch if change.kind == "observation"]
    assert observations == [document["content"] for document in world.reads.documents(run.run_id)["observations"]]
    (payment,) = [change for change in batch if change.kind == "payment" and change.document["status"] == "completed"]
    assert payment.document["x402TxId"].startswith("0x")
    assert all("header" not in change.document for change in batch)
    assert "header" in world.payments(run)[0]


def test_without_a_run_it_tells_of_all(world: World) -> None:
    changes, _ = opened(world, None)
    runs = [world.start(), world.start()]
    assert [str(change.document["_id"]) for change in news(changes)] == [run.run_id for run in runs]


def test_goes_on_after_any_change_without_a_gap(world: World) -> None:
    run = world.start()
    changes, beginning = opened(world, run.run_id)
    world.tick(run)
    batch = news(changes)
    for at, token in ((0, beginning), *enumerate((change.token for change in batch), 1)):
        again, _ = opened(world, run.run_id, token)
        assert [change.token for change in news(again)] == [change.token for change in batch[at:]]


def test_quiet_is_told_too_and_its_token_serves(world: World) -> None:
    run = world.start()
    changes, _ = opened(world, run.run_id)
    quiet = next(changes)
    assert (quiet.kind, quiet.document) == ("idle", {})
    world.tick(run)
    again, _ = opened(world, run.run_id, quiet.token)
    assert news(again)[-1].token == news(changes)[-1].token


@pytest.mark.parametrize("token", ["", "no token", {"$gt": ""}.__str__()])
def test_refuses_what_is_no_token(world: World, token: str) -> None:
    with pytest.raises(BadInput, match="not a token"):
        next(world.reads.watch(None, token))


def test_refuses_what_is_no_run(world: World) -> None:
    with pytest.raises(BadInput, match="not a run id"):
        next(world.reads.watch("run-1"))


def test_a_token_of_elsewhere_is_changes_lost(world: World) -> None:
    with pytest.raises(ChangesLost, match="read anew"):
        next(world.reads.watch(None, "8263" + "00" * 20))
