"""The quickstart notebook's verbs: connect, launch a run, follow it to its end, show its books."""

import os
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from gpuagent.agent.start import Order, start
from gpuagent.books.audit import Books, audit
from gpuagent.core.model import Run
from gpuagent.core.money import parse_usd, show_usd
from gpuagent.core.status import status_text
from gpuagent.errors import VendorError
from gpuagent.practice import demo
from gpuagent.practice.delivery import delivery_of, delivery_parts, example_job
from gpuagent.practice.faults import FaultSwitches
from gpuagent.render.books import books_table
from gpuagent.render.run import jobs_table
from gpuagent.session import Session, connect
from gpuagent.wire.download import Download
from gpuagent.wire.egress import egress
from gpuagent.wire.examples import example_jobs
from gpuagent.wire.job_inputs import open_job

# As one stream, not as rich's one output for every line: JupyterLab hides all outputs of a cell but the first fifty.
show = Console(force_jupyter=False, force_terminal=True, color_system="standard", width=116).print

__all__ = ["books", "connect", "follow", "launch"]


def launch(session: Session, job: str, budget: str, fail_vendor: str = "none") -> Run:
    """A new run. job: the name of an example, or the path of a job file. budget: USD.

    fail_vendor: the practice vendor whose machines are lost until the run has been followed, where there are such.
    Raises BadInput, WalletUnfunded, VendorError.
    """
    sealed = example_job(job) if job in example_jobs() else open_job(Path(job), {}, Download(egress(os.environ)))
    order = Order(
        goal="",
        budget=parse_usd(budget),
        planner=session.settings.planner,
        workload=sealed.workload,
        sources=sealed.sources,
    )
    with ExitStack() as failing:
        if session.faults:
            failing.callback(session.faults.restore)
            session.faults.fail_for_a_while(fail_vendor, [vendor.vendor_id for vendor in session.agent.store.vendors()])
        run = start(order, session.agent.ports)
        failing.pop_all()  # follow() switches back
    show(f'run {run.run_id}: "{run.goal}", {run.max_hours} h of {run.gpu_type}, at most {show_usd(run.budget)}')
    if note := session.faults.note() if session.faults else "":
        show(f"[dim]{note} What this run switched on goes off when it has been followed, or the session ends.[/]")
    return run


def follow(session: Session, run: Run) -> Run:
    """Tick the run to its end, printing each observation once; whatever becomes of it, launch()'s fault goes off.

    Raises as tick() does.
    """
    pace = demo.PRACTICE_PACE if session.faults else session.agent.ports.pace
    with ExitStack() as failing:
        if session.faults:
            failing.callback(_switch_back, session.faults)
        run = demo.follow(run, session.agent, show, pace)
    show(f"\n[bold]run {run.status}[/]: {run.reason}")
    return run


def _switch_back(faults: FaultSwitches) -> None:
    try:
        faults.restore()
    except VendorError as error:
        show(f"[dim]the practice fault may still be on: {error}[/]")


def books(session: Session, run: Run) -> Books:
    """The run's files and its ledger, which is audited against the chain, printed."""
    agent = session.agent
    documents, run = agent.reads.documents(run.run_id), agent.store.load(run.run_id)
    audited = audit(run, agent.reads.recorded(run.run_id), agent.chain, agent.ports.wallet.token)
    status = status_text(run, agent.ports.clock.now(), agent.ports.pace)
    show(jobs_table(documents["jobs"], documents["payments"], status))
    for part in delivery_parts(delivery_of(run, agent)):
        show(part)
    show(books_table(audited))
    return audited
