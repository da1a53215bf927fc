"""Which run is meant: an id that the database gave, or a name that the operator chose, which stands for one run.

A name is an idempotency key. The run's id is derived from it, so whoever asks for it again, after a SIGTERM in the very
first moment or from two machines at once, gets the same run: MongoDB takes an id once, and the jobs' ids and payment
nonces follow from it.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from gpuagent.agent.start import Order, start
from gpuagent.core.model import Run
from gpuagent.core.money import show_usd
from gpuagent.core.ports import Ports
from gpuagent.errors import BadInput, DuplicateRun, UnknownRun

RUN_ID = re.compile(r"[0-9a-fA-F]{24}")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
"""Fits a file name, a tag, and the name of a Kubernetes job."""
SCHEDULED = "scheduled"
"""The tag of every run that was begun here by name; the name is another."""

PERIODS = {
    "hour": ("%Y-%m-%dT%H", r"\d{4}-\d\d-\d\dT\d\d"),
    "day": ("%Y-%m-%d", r"\d{4}-\d\d-\d\d"),
    "week": ("%G-W%V", r"\d{4}-W\d\d"),
    "month": ("%Y-%m", r"\d{4}-\d\d"),
}
"""How a moment of UTC is written as one of these periods, and what that looks like."""


def run_id_of(text: str) -> str:
    """The id of the run that an id or a name stands for. Raises BadInput."""
    if RUN_ID.fullmatch(text):
        return text.lower()
    if not NAME.fullmatch(text):
        raise BadInput(
            f"run_id {text[:80]!r} is neither the id of a run nor a name for one: "
            "write 1 to 80 letters, digits, dots, hyphens and underscores, such as nightly-2026-01-31"
        )
    return hashlib.sha256(f"gpuagent/scheduled/{text}".encode()).hexdigest()[:24]


def begin(order: Order, text: str, ports: Ports) -> Run:
    """The run to drive. text: ""  a new one; an id: that one, whatever the order says; a name: its one run, started
    if it never was.

    Raises UnknownRun for an id that no run has, BadInput where the named run was started with another order, and as
    start() does.
    """
    if not text:
        return start(order, ports)
    run_id = run_id_of(text)
    if RUN_ID.fullmatch(text):
        return ports.store.load(run_id)
    try:
        run = ports.store.load(run_id)
    except UnknownRun:
        tagged = replace(order, tags=(*order.tags, SCHEDULED, text))
        try:
            return start(tagged, ports, run_id)
        except DuplicateRun:  # somebody else was asked at the same moment
            run = ports.store.load(run_id)
    _check_same(order, run, text)
    return run


def occasion(name: str, period: str, now: float, runs: Iterable[Mapping[str, Any]]) -> str:
    """The name of the run for the period that now (Unix seconds) is in; or of the oldest earlier one of the same name
    and kind of period that is not over: what was begun is brought to its end first.

    runs: documents, newest first. Raises BadInput.
    """
    if period not in PERIODS:
        raise BadInput(f"no period {period!r}: write one of {', '.join(PERIODS)}")
    if not NAME.fullmatch(name) or RUN_ID.fullmatch(name):
        raise BadInput(f"run_id {name[:80]!r} is no name: a run for each {period} needs one, such as nightly")
    written, pattern = PERIODS[period]
    alike = re.compile(f"{re.escape(name)}-{pattern}")
    begun = [tag for run in runs if not _over(run) for tag in run.get("tags", ()) if alike.fullmatch(tag)]
    return begun[-1] if begun else f"{name}-{datetime.fromtimestamp(now, UTC).strftime(written)}"


def _over(run: Mapping[str, Any]) -> bool:
    """As transitions.is_over(), of a document."""
    return run["status"] != "running" and not run["held"].to_decimal()


def _check_same(order: Order, run: Run, name: str) -> None:
    """A name that is used for something else is a slip, and neither order may be forgotten for the other."""
    asked: dict[str, tuple[object, object]] = {
        "goal": (order.goal.strip(), run.goal),
        "budget": (show_usd(order.budget), show_usd(run.budget)),
        "gpu_type": (order.gpu_type, run.gpu_type),
        "hours": (order.max_hours, run.max_hours),
        "user": (order.user_id, run.user_id),
        "planner": (order.planner, run.planner),
    }
    for what, (now, then) in asked.items():
        if now != then:
            raise BadInput(
                f"run {name} was started with the {what} {str(then)[:80]!r}, not {str(now)[:80]!r}: "
                "ask for the same to continue it, or give another run_id"
            )
