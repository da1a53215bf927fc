"""Rows of text: hostile text that comes in, private data that must not go out, and claims of failure."""

import io
import json
import re
from base64 import b64decode
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_hash.auto import keccak
from rich.console import Console, Group

from gpuagent.core.model import Run, Settled
from gpuagent.core.money import show_usd
from gpuagent.core.work import Failed
from gpuagent.render.narration import narration_lines
from gpuagent.render.run import read_status, run_view
from tests.support.attacks import (
    FIRST,
    SECOND,
    Attack,
    Observed,
    attacks,
    finishes,
    goes_on,
    is_accepted,
    pays_once,
    refuses_offer,
    refuses_quote,
)
from tests.support.evidence import stored_headers
from tests.support.world import World

CONTENT_MAX = 2_500
"""Letters of one observation: what is kept of a vendor's text, and our words around it."""
OPAQUE = re.compile(r"[A-Za-z0-9_-]{16,128}")
GOAL, USER = "Fine-tune tiny-llm", "alice.private@example.org"


def fails_its_job(world: World, fault: str) -> Run:
    """The vendor is paid, says hostile things in its log, and fails the job with more of them."""
    world.market.outcomes(FIRST, "0")
    run = pays_once(world, fault)
    world.market.work()
    run = world.tick(run)
    assert isinstance(run.jobs[0], Settled)
    assert isinstance(run.jobs[0].work, Failed)
    return run


@attacks(
    (refuses_quote, "hostile_refusal"),
    (refuses_quote, "hostile_template"),
    (pays_once, "hostile_quote"),
    (pays_once, "hostile_offer"),
    (refuses_offer, "hostile_terms"),
    (pays_once, "hostile_after_settle"),
    (fails_its_job, "hostile_text"),
)
def test_30_prompt_injection(world: World, observed: Observed, attack: Attack, fault: str) -> None:
    """Quote, 402, logs and errors hold orders to the agent, terminal escapes, markup, HTML and operators.

    Keeps them as capped, printable text that decides nothing: payee, amount and vendor are as without them.
    """
    run = attack(world, fault)
    if attack is fails_its_job:
        finishes(world, run, observed, [FIRST, SECOND])
        assert any("[red]not red[/red]" in line["content"] for line in world.observations(run, "job_log"))
    else:
        goes_on(world, attack, run, observed)
    assert_inert(world, run)


def test_32_private_data_in_ids(world: World, observed: Observed) -> None:
    """Ids go out to vendors with every purchase, and could carry private data there.

    Sends opaque ids, which hold neither the goal nor the user nor the wallet's address.
    """
    world.market.outcomes(FIRST, "0")
    run = world.start(user_id=USER, tags=("secret-project",))
    finishes(world, run, observed, [FIRST, SECOND])
    purchases = world.market.control("GET", "purchases")["received"]
    headers = stored_headers(world, run)
    sent_keys = {record["key"] for record in purchases if record["header"] in headers}
    assert len(sent_keys) == 2
    for text in (*sent_keys, *(b64decode(header).decode() for header in headers)):
        assert not any(word.lower() in text.lower() for word in (USER, GOAL, "alice", "tiny-llm", "secret-project"))
    for key in sent_keys:
        assert OPAQUE.fullmatch(key)
        assert world.ports.wallet.address.lower()[2:] not in key.lower()
    extensions = [json.loads(b64decode(header))["extensions"] for header in headers]
    assert {record["payment-identifier"]["info"]["id"] for record in extensions} == sent_keys
    assert sent_keys == {job.job_id for job in world.store.load(run.run_id).jobs}


@pytest.mark.parametrize(
    "fault", ["", "status_down", "status_garbage", "stuck"], ids=["says so", "silent", "garbage", "stuck"]
)
def test_33_failed_after_payment(world: World, observed: Observed, fault: str) -> None:
    """The paid job fails, its vendor falls silent or talks rubbish, or the job never ends; later comes a refund.

    Keeps the money as spent, buys elsewhere with what is left, and does not take a refund for budget.
    """
    if not fault:
        world.market.outcomes(FIRST, "0")
    run = pays_once(world, fault or "no_receipt")
    world.tick(run)
    world.market.pass_time(3 * 3600)
    run = world.tick(run)
    job = run.jobs[0]
    assert isinstance(job, Settled)
    assert isinstance(job.work, Failed)
    before = world.reads.recorded(run.run_id)
    refund(world, job)
    assert world.reads.recorded(world.tick(run).run_id) == before
    evidence = finishes(world, run, observed, [FIRST, SECOND], refunded=show_usd(job.quote.amount))
    assert world.reads.recorded(run.run_id).settled == evidence.moved > job.quote.amount


def refund(world: World, job: Settled) -> None:
    """The vendor sends the money back, from the address that it was paid at."""
    data = keccak(b"transfer(address,uint256)")[:4] + encode(
        ["address", "uint256"], [world.ports.wallet.address, job.quote.amount]
    )
    balance = world.chain.head(world.ports.wallet.address).balance
    assert is_accepted(world, "0x" + data.hex(), job.authorization.payee)
    assert world.chain.head(world.ports.wallet.address).balance == balance + job.quote.amount


def assert_inert(world: World, run: Run) -> None:
    """What is stored is short and printable, and is shown as the text that it is: no escape, no markup at work."""
    documents = world.reads.documents(run.run_id)
    observations = documents["observations"]
    for text in (
        *strings([observation["content"] for observation in observations]),
        *strings([observation["data"] for observation in observations]),
    ):
        assert text.isprintable()
        assert len(text) <= CONTENT_MAX
    assert not any(key.startswith("$") for key in keys([observation["data"] for observation in observations]))
    console = Console(file=io.StringIO(), width=3_000, force_terminal=True, color_system=None)
    console.print(
        Group(run_view(documents, read_status(world.store.load, documents, 0)), *narration_lines(observations))
    )
    assert isinstance(console.file, io.StringIO)
    printed = console.file.getvalue()
    assert printed.replace("\n", "").isprintable()
    lines = [observation["content"].rstrip() for observation in observations if "progress" not in observation["data"]]
    assert [text for text in lines if text not in printed] == []


def strings(value: Any) -> Iterator[str]:
    """Every text in a document."""
    match value:
        case str():
            yield value
        case Mapping():
            yield from strings([*value, *value.values()])
        case list():
            for item in value:
                yield from strings(item)


def keys(value: Any) -> Iterator[str]:
    """Every field's name in a document."""
    match value:
        case Mapping():
            yield from value
            yield from keys([*value.values()])
        case list():
            for item in value:
                yield from keys(item)
