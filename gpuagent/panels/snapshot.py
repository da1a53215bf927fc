"""Snapshots of the database and the chain for the console, and the titles of runs and sessions in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from gpuagent.core import networks
from gpuagent.core.indices import is_open
from gpuagent.core.model import (
    Ordered,
    Run,
)
from gpuagent.core.money import show_usd
from gpuagent.core.policy import Policy
from gpuagent.core.records import RunSnapshot
from gpuagent.core.run_list import RunFilter
from gpuagent.core.status import StatusText, heard_at, status_text
from gpuagent.core.work import Collecting, Owed, Underway
from gpuagent.errors import ChainError, RunNotOurs
from gpuagent.panels.event_log import FILTERS, LINES_MAX
from gpuagent.panels.kit.html import Html, el
from gpuagent.render.palette import vendor_colours
from gpuagent.session import Session


@dataclass(frozen=True, slots=True)
class OpenRun:
    """The documents of the run that is open, and its status at the same moment.

    at: that moment, by the agent's clock. activity: what the phase WAITING waits for, "" where its usual
    caption says that.
    """

    documents: RunSnapshot
    status: StatusText
    at: datetime
    activity: str = ""


@dataclass(frozen=True, slots=True)
class ConsoleSnapshot:
    """All that the console shows. open_run: None while none is open."""

    open_run: OpenRun | None
    policy: Policy
    colours: Mapping[str, str]
    balance: str


def take_snapshot(
    session: Session, run_id: str, types: Sequence[str], text: str, decision: str = ""
) -> ConsoleSnapshot:
    """Read all that the console shows. run_id: "" for none. types, text: which observations. decision: which one.

    Raises UnknownRun, PolicyRefused, StoreError.
    """
    open_run = read_run(session, run_id, types, text, decision) if run_id else None
    try:
        balance = show_usd(session.agent.chain.head(session.agent.ports.wallet.address).balance)
    except ChainError as error:
        balance = f"unknown ({error})"
    return ConsoleSnapshot(open_run, session.agent.store.policy(), registry_colours(session), balance)


def read_run(
    session: Session,
    run_id: str,
    types: Sequence[str] = FILTERS["Everything"],
    text: str = "",
    decision: str = "",
) -> OpenRun:
    """Read one run. types, text: which observations. decision: which one; "": the last. Raises as glance()."""
    agent, ports = session.agent, session.agent.ports
    documents = agent.reads.glance(run_id, types, text, LINES_MAX + 1, decision)
    unfiltered = types == FILTERS["Everything"] and not text
    heard = heard_at(documents.observations if unfiltered else ())
    now = ports.clock.now()
    at = datetime.fromtimestamp(now, UTC)
    try:
        run = agent.store.load(run_id)
    except RunNotOurs:  # the original system's runs have no status
        return OpenRun(documents, StatusText(), at)
    status = status_text(run, now, ports.pace, zone=None, heard=heard)
    return OpenRun(documents, status, at, activity(run))


def activity(run: Run) -> str:
    """What the phase WAITING waits for, where no vendor is known to work; "" where one is."""
    works = [job.work for job in run.jobs if isinstance(job, Ordered) and is_open(job)]
    if any(isinstance(work, Collecting) for work in works):
        return "files are fetched"
    if any(isinstance(work, Owed | Underway) and work.silent_since is not None for work in works):
        return "the vendor does not answer"
    if any(isinstance(work, Owed) for work in works):
        return "the vendor names no job yet"
    return "" if works else "until the planner's time"


def default_run(session: Session) -> str:
    """The id of the newest run that is still running, or else of the newest; "" where there is none."""
    lists = session.agent.reads
    runs = lists.run_page(RunFilter(status="running"), limit=1).runs or lists.run_page(limit=1).runs
    return str(runs[0]["_id"]) if runs else ""


def registry_colours(session: Session) -> Mapping[str, str]:
    """The colour of every recorded vendor."""
    return vendor_colours([vendor.vendor_id for vendor in session.agent.store.vendors()])


def console_title(session: Session, balance: str) -> Html:
    """The console's heading: which wallet, market and database it is connected to."""
    wallet = session.agent.ports.wallet
    market = "practice market" if session.faults else f"network {networks.of(wallet.token.network).name}"
    address = el("code", f"{wallet.address[:8]}…{wallet.address[-4:]}", title=wallet.address)
    place = f", {market}, database {session.agent.database.name}"
    return el(
        "div",
        el("h2", "gpuagent console"),
        el("span", "wallet ", address, " holds ", el("b", balance), place, class_="faint"),
        class_="head",
    )
