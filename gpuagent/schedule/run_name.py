"""Names of scheduled runs: a name that the operator chose stands for one run, as an id does.

A name is an idempotency key. The run's id is derived from it, so a start that is repeated, after a SIGTERM in the very
first moment or from two machines at once, gets the same run: MongoDB takes an id once, and the jobs' ids and payment
nonces follow from it.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any

from gpuagent.agent.start import Order, start
from gpuagent.core.gpus import is_same
from gpuagent.core.model import Run
from gpuagent.core.money import amount, parse_usd, show_usd
from gpuagent.core.ports import Ports
from gpuagent.core.workload import Workload, from_canonical
from gpuagent.errors import BadInput, DuplicateRun, UnknownRun

RUN_ID = re.compile(r"[0-9a-fA-F]{24}")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
"""Fits a file name, a tag, and the name of a Kubernetes job."""
SCHEDULED = "scheduled"
"""The tag of every run that is started here by name; the name itself is another tag."""

PERIODS = {
    "hour": ("%Y-%m-%dT%H", r"\d{4}-\d\d-\d\dT\d\d"),
    "day": ("%Y-%m-%d", r"\d{4}-\d\d-\d\d"),
    "week": ("%G-W%V", r"\d{4}-W\d\d"),
    "month": ("%Y-%m", r"\d{4}-\d\d"),
}
"""The format of each period, and the pattern of a text in this format."""


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


def load_or_start(order: Order, text: str, ports: Ports) -> Run:
    """The run to drive, by text: "" is a new run; an id is that run, whatever the order says; a name is its one run,
    which is started if it never was.

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
        named_order = replace(order, tags=(*order.tags, SCHEDULED, text))
        try:
            return start(named_order, ports, run_id)
        except DuplicateRun:  # another process started it at the same moment
            run = ports.store.load(run_id)
    _check_order(order, run, text)
    return run


def run_name(name: str, period: str, now: float, runs: Iterable[Mapping[str, Any]], zone: tzinfo = UTC) -> str:
    """The name of the run for the period that now (Unix seconds) is in; or of the oldest run of the same name and kind
    of period that is not over, since a run that was begun is brought to its end first.

    runs: documents, newest first. zone: whose calendar days, weeks and months are of, on which the clocks may change;
    hours are UTC's in every zone, as two hours of a day may have one name there. Raises BadInput.
    """
    if period not in PERIODS:
        raise BadInput(f"no period {period!r}: write one of {', '.join(PERIODS)}")
    if not NAME.fullmatch(name) or RUN_ID.fullmatch(name):
        raise BadInput(f"run_id {name[:80]!r} is no name: a run for each {period} needs one, such as nightly")
    time_format, pattern = PERIODS[period]
    name_pattern = re.compile(f"{re.escape(name)}-{pattern}")
    names = [tag for run in runs if not _is_over(run) for tag in run.get("tags", ()) if name_pattern.fullmatch(tag)]
    moment = datetime.fromtimestamp(now, UTC if period == "hour" else zone)
    return names[-1] if names else f"{name}-{moment.strftime(time_format)}"


def ended_run(
    name: str, runs: Iterable[Mapping[str, Any]], values: Mapping[str, object] | None = None
) -> Mapping[str, Any] | None:
    """The document of the run with this name where it is over, so that another start has nothing to do; else None.

    values: of a notebook's parameters. None too where they order something else: the notebook says what is wrong then.
    """
    run_id, values = run_id_of(name), values or {}
    run = next((run for run in runs if str(run["_id"]) == run_id and _is_over(run)), None)
    if run is None or values.get("job") or run.get("workloadHash"):
        return None  # whether a job's files are the same is for the notebook to see
    given = {term: str(value) for term, value in values.items() if term in _SAME and str(value).strip()}
    try:
        return run if all(_SAME[term](value, run) for term, value in given.items()) else None
    except (BadInput, InvalidOperation):
        return None


_SAME: Mapping[str, Callable[[str, Mapping[str, Any]], bool]] = {
    "goal": lambda value, run: value.strip() == run["goal"],
    "budget": lambda value, run: parse_usd(value) == amount(run["budgetTotal"]),
    "gpu_type": lambda value, run: is_same(value, run["gpuType"]),
    "hours": lambda value, run: float(Decimal(value)) == run["maxHours"],
    "user": lambda value, run: value == run["userId"],
    "planner": lambda value, run: value == run["planner"],
}
"""Whether a parameter of a notebook orders what a run's document has. Raises BadInput, InvalidOperation."""


def _is_over(run: Mapping[str, Any]) -> bool:
    """steps.is_over() of a document."""
    return run["status"] != "running" and not run["held"].to_decimal()


def _check_order(order: Order, run: Run, name: str) -> None:
    """Raises BadInput where a name is used again with another order: a slip, and neither order may be lost."""
    goal, gpu_type, hours = order.terms
    terms: dict[str, tuple[object, object]] = {
        "job": (_workload_label(_as_kept(order.workload, run.workload)), _workload_label(run.workload)),
        "goal": (goal, run.goal),
        "budget": (show_usd(order.budget), show_usd(run.budget)),
        "gpu_type": (run.gpu_type if is_same(gpu_type, run.gpu_type) else gpu_type, run.gpu_type),
        "hours": (hours, run.max_hours),
        "user": (order.user_id, run.user_id),
        "planner": (order.planner, run.planner),
    }
    for term, (ordered, recorded) in terms.items():
        if ordered != recorded:
            raise BadInput(
                f"run {name} was started with the {term} {str(recorded)[:80]!r}, not {str(ordered)[:80]!r}: "
                "ask for the same to continue it, or give another run_id"
            )


def _as_kept(workload: Workload | None, recorded: str) -> str:
    """The canonical text of a workload as it is once the run has started, when the bytes of its inputs are known."""
    if workload is None:
        return ""
    inputs = from_canonical(recorded).inputs if recorded else []
    return workload.measured({str(entry.sha256): entry.bytes for entry in inputs if entry.bytes is not None}).canonical


def _workload_label(canonical: str) -> str:
    workload = from_canonical(canonical) if canonical else None
    return f"{workload.name} {workload.sha256[:12]}" if workload else "none"
