"""The outcome of a hostile case, read from the real sources: the vendors, the chain, the database."""

import json
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gpuagent.core.model import Run, RunStatus, Settled
from gpuagent.core.money import show_usd
from gpuagent.core.work import Completed
from gpuagent.errors import UnknownRun
from tests.support.world import World


@dataclass(frozen=True)
class Evidence:
    """The outcome of a case. stored and received: distinct PAYMENT-SIGNATURE headers; moved and held: atomic units."""

    stored: frozenset[str]
    received: frozenset[str]
    transfers: int
    moved: int
    held: int
    text: str


def look(worlds: World | Sequence[World], runs: Run | str | Sequence[Run | str], **notes: object) -> Evidence:
    """Collect the evidence from all sources. The text repeats the notes, so they must hold no ids, ports or times."""
    worlds = [worlds] if isinstance(worlds, World) else list(worlds)
    homes = [_home(worlds, run) for run in ([runs] if isinstance(runs, Run | str) else runs)]
    stored = frozenset(header for world, run in homes for header in stored_headers(world, run))
    received = frozenset(
        header for world in worlds for header in world.market.received_headers(world.ports.wallet.address)
    )
    transfers = [transfer for world in worlds for transfer in world.transfers()]
    moved = sum(transfer.amount for transfer in transfers)
    held_amount = sum(world.reads.recorded(run.run_id).held for world, run in homes)
    parts = (
        _signed(worlds[0], stored, received),
        f"moved {len(transfers)}, {show_usd(moved)}" if transfers else "moved 0",
        f"held {show_usd(held_amount)}" if held_amount else "held 0",
        " and ".join(_ended(run) for _, run in homes),
        *("books differ from the chain" for world, run in homes if not world.books(run).balanced),
        *(f"{key.replace('_', ' ')}: {value}" for key, value in notes.items()),
    )
    return Evidence(stored, received, len(transfers), moved, held_amount, "; ".join(parts))


def stored_headers(world: World, run: Run) -> list[str]:
    """The PAYMENT-SIGNATURE headers that the database keeps for the run."""
    return [payment["header"] for payment in world.reads.documents(run.run_id)["payments"] if payment.get("header")]


def signature_of(header: str) -> str:
    """The signature in a PAYMENT-SIGNATURE header, 0x and hex digits."""
    return str(json.loads(b64decode(header))["payload"]["signature"])


def authorized(header: str) -> dict[str, str]:
    """The EIP-3009 terms that a PAYMENT-SIGNATURE header carries."""
    terms: dict[str, str] = json.loads(b64decode(header))["payload"]["authorization"]
    return terms


def payee(world: World, header: str) -> str:
    """The vendor that the header pays, by its recorded address; otherwise "a stranger"."""
    address = authorized(header)["to"].lower()
    names = {vendor.pay_to.lower(): vendor.vendor_id for vendor in world.market.vendors}
    return names.get(address, "a stranger")


def _home(worlds: Sequence[World], run: Run | str) -> tuple[World, Run]:
    """The world that pays for the run, and the run as it is now."""
    run_id = run if isinstance(run, str) else run.run_id
    for world in worlds:
        try:
            loaded = world.store.load(run_id)
        except UnknownRun:
            continue
        if loaded.payer == world.ports.wallet.address:
            return world, loaded
    raise AssertionError(f"no world given pays for run {run_id}")


def _signed(world: World, stored: frozenset[str], received: frozenset[str]) -> str:
    headers = stored | received
    payments = sorted(f"{show_usd(int(authorized(h)['value']))} to {payee(world, h)}" for h in headers)
    text = f"signed {len(headers)}" + (f" ({', '.join(payments)})" if payments else "")
    if received != headers:
        text += f", {len(received)} of them sent"
    return text


def _ended(run: Run) -> str:
    tried = _names(run.jobs)
    paid = _names([job for job in run.jobs if isinstance(job, Settled)])
    match run.status:
        case RunStatus.COMPLETED:
            by = [j.quote.vendor_id for j in run.jobs if isinstance(j, Settled) and isinstance(j.work, Completed)]
            text, unsuccessful = f"completed by {', '.join(by)}", [name for name in tried if name not in by]
        case RunStatus.FAILED:
            text, unsuccessful = "run failed", tried
        case _:
            text, unsuccessful = "run goes on", tried
    if unsuccessful:
        text += " after " if run.status is not RunStatus.RUNNING else " with "
        text += ", ".join(f"{name} ({'paid' if name in paid else 'not paid'})" for name in unsuccessful)
    return text


def _names(jobs: Sequence[Any]) -> list[str]:
    return list(dict.fromkeys(job.quote.vendor_id for job in jobs))
