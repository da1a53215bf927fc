"""The quickstart notebook's few verbs: launch a run, follow it to its end, show its books."""

from rich.console import Console

from gpuagent.agent.start import Order, start
from gpuagent.books.audit import Books, audit
from gpuagent.core.model import Run
from gpuagent.core.money import parse_usd, show_usd
from gpuagent.practice import demo
from gpuagent.practice.faults import JOBS_FAIL
from gpuagent.render.run import books_table, jobs_table
from gpuagent.session import Desk, desk

# As one stream, not as rich's one output for every line: JupyterLab hides all outputs of a cell but the first fifty.
tell = Console(force_jupyter=False, force_terminal=True, color_system="standard", width=116).print

__all__ = ["books", "desk", "follow", "launch"]


def launch(at: Desk, goal: str, budget: str, fail_vendor: str = "none") -> Run:
    """A new run. budget: USD. fail_vendor: the practice vendor whose jobs fail from now on, where there are such.

    Raises BadInput, WalletUnfunded, VendorError.
    """
    if at.faults:
        for vendor in at.agent.store.vendors():
            at.faults.switch(vendor.vendor_id, JOBS_FAIL, vendor.vendor_id == fail_vendor)
    run = start(Order(goal=goal, budget=parse_usd(budget), planner=at.settings.planner), at.agent.ports)
    tell(f'run {run.run_id}: "{run.goal}", {run.max_hours} h of {run.gpu_type}, at most {show_usd(run.budget)}')
    return run


def follow(at: Desk, run: Run) -> Run:
    """Tick the run to its end, telling all that it does. Raises as tick() does."""
    run = demo.follow(run, at.agent, tell, at.agent.ports.pace)
    tell(f"\n[bold]run {run.status}[/]: {run.reason}")
    return run


def books(at: Desk, run: Run) -> Books:
    """The ledger against the chain, shown."""
    agent = at.agent
    documents = agent.reads.documents(run.run_id)
    found = audit(agent.store.load(run.run_id), agent.reads.recorded(run.run_id), agent.chain, agent.ports.wallet.token)
    tell(jobs_table(documents["jobs"], documents["payments"]))
    tell(books_table(found))
    return found
