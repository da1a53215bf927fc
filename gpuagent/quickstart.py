"""The quickstart notebook's verbs: connect, launch a run, follow it to its end, show its books."""

from rich.console import Console

from gpuagent.agent.start import Order, start
from gpuagent.books.audit import Books, audit
from gpuagent.core.model import Run
from gpuagent.core.money import parse_usd, show_usd
from gpuagent.core.status import status_text
from gpuagent.practice import demo
from gpuagent.practice.faults import JOBS_FAIL
from gpuagent.render.books import books_table
from gpuagent.render.run import jobs_table
from gpuagent.session import Session, connect

# As one stream, not as rich's one output for every line: JupyterLab hides all outputs of a cell but the first fifty.
show = Console(force_jupyter=False, force_terminal=True, color_system="standard", width=116).print

__all__ = ["books", "connect", "follow", "launch"]


def launch(session: Session, goal: str, budget: str, fail_vendor: str = "none") -> Run:
    """A new run. budget: USD. fail_vendor: the practice vendor whose jobs fail from now on, where there are such.

    Raises BadInput, WalletUnfunded, VendorError.
    """
    if session.faults:
        for vendor in session.agent.store.vendors():
            session.faults.switch(vendor.vendor_id, JOBS_FAIL, vendor.vendor_id == fail_vendor)
    run = start(Order(goal=goal, budget=parse_usd(budget), planner=session.settings.planner), session.agent.ports)
    show(f'run {run.run_id}: "{run.goal}", {run.max_hours} h of {run.gpu_type}, at most {show_usd(run.budget)}')
    return run


def follow(session: Session, run: Run) -> Run:
    """Tick the run to its end, printing each observation once. Raises as tick() does."""
    pace = demo.PRACTICE_PACE if session.faults else session.agent.ports.pace
    run = demo.follow(run, session.agent, show, pace)
    show(f"\n[bold]run {run.status}[/]: {run.reason}")
    return run


def books(session: Session, run: Run) -> Books:
    """The run's ledger, audited against the chain and printed."""
    agent = session.agent
    documents, run = agent.reads.documents(run.run_id), agent.store.load(run.run_id)
    audited = audit(run, agent.reads.recorded(run.run_id), agent.chain, agent.ports.wallet.token)
    status = status_text(run, agent.ports.clock.now(), agent.ports.pace)
    show(jobs_table(documents["jobs"], documents["payments"], status))
    show(books_table(audited))
    return audited
