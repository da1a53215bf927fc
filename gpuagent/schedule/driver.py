"""The driver that the notebook of a scheduled run calls: it begins or continues a run and ticks it, within limits.

The run's state is in MongoDB alone, so the driver may be killed anywhere and called again.
"""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from functools import partial
from pathlib import Path
from typing import Any

from gpuagent import settings, wiring
from gpuagent.agent.drive import drive
from gpuagent.agent.start import Order
from gpuagent.books.audit import audit
from gpuagent.core.model import Run
from gpuagent.core.money import parse_usd, show_usd
from gpuagent.core.pace import Pace
from gpuagent.core.ports import Ports
from gpuagent.core.status import planner_label
from gpuagent.errors import BadInput, ChainError
from gpuagent.render.narration import Narration
from gpuagent.schedule.result import Result
from gpuagent.schedule.run_name import load_or_start
from gpuagent.session import resolved_environment
from gpuagent.settings import is_configured
from gpuagent.tick import tick
from gpuagent.wire.download import Download
from gpuagent.wire.egress import egress
from gpuagent.wire.job_inputs import open_job

TICKS_MAX, PAUSE_MAX_S = 1_000_000, 86_400
GOAL = "Fine-tune tiny-llm"
"""What a run is for where neither a goal nor a job says so."""

Say = Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class TickLimits:
    """How often a run is ticked. ticks: at most. pause_s: seconds between two of them."""

    ticks: int = 600
    pause_s: float = Pace().poll_s

    def check(self) -> None:
        """Raises BadInput."""
        if not 1 <= self.ticks <= TICKS_MAX:
            raise BadInput(f"max_ticks {self.ticks} cannot be: write 1 to {TICKS_MAX}")
        if not 0 <= self.pause_s <= PAUSE_MAX_S:
            raise BadInput(f"pause_s {self.pause_s} cannot be: write 0 to {PAUSE_MAX_S} seconds")


def make_order(
    goal: str,
    budget: str,
    gpu_type: str,
    hours: str,
    planner: str = "",
    user: str = "local",
    tags: str = "",
    job: str = "",
    environ: Mapping[str, str] = os.environ,
) -> Order:
    """Make an order of a notebook's parameters, which are texts: budget in USD, tags with commas. Raises BadInput.

    planner: "" for the one that the environment names. job: the path of a job file; then goal, gpu_type and hours may
    be "", and follow from it.
    """
    try:
        max_hours = Decimal(str(hours)) if hours != "" else None
    except InvalidOperation:
        raise BadInput(f"hours {str(hours)[:40]!r} is not a number: write GPU hours such as 1 or 0.5") from None
    sealed = open_job(Path(job), {}, Download(egress(environ))) if job else None
    return Order(
        goal=goal or ("" if job else GOAL),
        budget=parse_usd(budget),
        gpu_type=gpu_type,
        max_hours=max_hours,
        user_id=user,
        planner=planner or settings.read(environ).planner,
        tags=tuple(tag.strip() for tag in tags.split(",") if tag.strip()),
        workload=sealed.workload if sealed else None,
        sources=sealed.sources if sealed else {},
    )


def drive_run(
    order: Order, run_id: str, limits: TickLimits, say: Say, environ: Mapping[str, str] = os.environ
) -> Result:
    """Begin or continue the run that run_id names (run_name.load_or_start), and tick it. say: gets a line of news.

    Where neither a chain nor a wallet is configured the run is driven on the embedded stack.
    Raises BadInput, ConfigError and, where the run cannot begin, Refused and ChainError; ChainMismatch at any tick.
    """
    limits.check()
    if not is_configured(environ):
        say("[bold]practice[/]: no chain and no wallet are configured, so all is embedded and the money is test money")
    with resolved_environment(environ) as resolved, wiring.open_agent(settings.read(resolved)) as agent:
        run = load_or_start(order, run_id, agent.ports)
        name = f" ({run_id})" if run_id not in ("", run.run_id) else ""
        planner = planner_label(run.planner)
        say(f"run {run.run_id}{name}: {show_usd(run.budget)} for {run.goal!r}, decided by {planner}")
        tell = _narrator(agent, run.run_id, say)
        run, ticks, trouble = advance(run.run_id, agent.ports, limits, tell)
        recorded = agent.reads.recorded(run.run_id)
        try:
            books = audit(run, recorded, agent.chain, agent.ports.wallet.token)
        except ChainError as error:  # the run is as it is; its books can be checked later
            books, trouble = None, trouble or str(error)
        payments = tuple(agent.reads.documents(run.run_id)["payments"])
        return Result(run_id or run.run_id, run, ticks, trouble, recorded, books, payments)


def advance(
    run_id: str,
    ports: Ports,
    limits: TickLimits,
    tell: Callable[[str], None],
    pause: Callable[[float], None] = time.sleep,
) -> tuple[Run, int, str]:
    """Tick the run. The run as it was left, the number of ticks, and the trouble at the last one, or "".

    Trouble that may pass ends nothing: the next tick tries again. tell: gets "" after each tick that was made, and
    each trouble once.
    """
    ticks, trouble = 0, ""
    pace = replace(ports.pace, poll_s=limits.pause_s)
    ticking = partial(tick, ports=ports)
    for attempt in drive(ports.store.load(run_id), ticking, pause, pace, ticks_max=limits.ticks, patient=True):
        error = str(attempt.error or "")
        if not error or error != trouble:
            tell(error)
        ticks, trouble = attempt.number, error
    return ports.store.load(run_id), ticks, trouble


def _narrator(agent: wiring.Agent, run_id: str, say: Say) -> Callable[[str], None]:
    """A function that says every new observation, or the trouble that it is called with."""
    narration = Narration(agent.reads.documents, run_id)

    def tell(trouble: str) -> None:
        if trouble:
            say(f"not now: {trouble}")
            return
        for line in narration.lines():
            say(line)

    return tell
