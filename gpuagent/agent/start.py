"""The start of a run: check the order, then save the run. Nothing is quoted or signed yet."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from gpuagent.agent.guard import check_clocks
from gpuagent.agent.inputs import check_sizes, keep_inputs
from gpuagent.agent.readings import READING_S
from gpuagent.agent.vendors import candidates
from gpuagent.core import gpus
from gpuagent.core.indices import tries_max
from gpuagent.core.model import (
    AT_ONCE_MAX,
    COUNT_MAX,
    HEDGE_AFTER_MAX_S,
    HOURS_MIN,
    JOBS_MAX,
    NO_HEDGING,
    Hedging,
    Run,
    Token,
    Vendor,
)
from gpuagent.core.money import show_usd
from gpuagent.core.ports import Ports
from gpuagent.core.ports.store import Footing
from gpuagent.core.units import exact_duration
from gpuagent.core.workload import Source, Workload
from gpuagent.errors import BadInput, ClocksDiffer, PolicyRefused, WalletUnfunded

GOAL_MAX = 2_000
TAG_MAX = 100
WEIGHT_MAX = 1000
RECORD_MAX = 4_000_000
"""Bytes of a run's jobs as they are stored, without news: what MongoDB reads at once is less than 16 MB."""
FILE_BYTES = 400
"""Bytes that a file of a job takes in its record: it stands there as what was listed and as what is kept."""
HOURS_MAX = Decimal(24 * 30)
GPU_TYPE, HOURS = "A100", Decimal(1)
"""What is bought where neither the order nor a workload says otherwise."""


@dataclass(frozen=True, slots=True)
class Order:
    """An order for a run. budget in atomic units, max_hours in GPU hours; no vendor_ids: any enabled vendor.

    planner: who chooses. planners: several instead, each with its weight; each run gets one of them, by its id.
    count: jobs of this kind to complete, None as the job file says, which says one where it says nothing;
    jobs_open_max: of them at once.
    hedge_after: seconds past its expected time after which a job is bought once more elsewhere (core/hedging.py), 0 for
    never, None as the job file says, which says never where it says nothing.
    workload: what is to run, its inputs named by their SHA-256; then goal, gpu_type and max_hours follow from it.
    sources: of the inputs that the file store may lack, by SHA-256.
    """

    goal: str
    budget: int
    gpu_type: str = ""
    max_hours: Decimal | None = None
    user_id: str = "local"
    planner: str = "stub"
    planners: tuple[tuple[str, int], ...] = ()
    jobs_open_max: int = 1
    count: int | None = None
    hedge_after: int | None = None
    vendor_ids: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    workload: Workload | None = None
    sources: Mapping[str, Source] = field(default_factory=dict, repr=False, compare=False)

    @property
    def terms(self) -> tuple[str, str, Decimal]:
        """The goal, the GPU type and the hours that are ordered. Raises BadInput where the workload differs."""
        job = self.workload
        if job is None:
            return self.goal.strip(), self.gpu_type or GPU_TYPE, HOURS if self.max_hours is None else self.max_hours
        if job.resources.gpu_count > 1:
            raise BadInput(f"resources.gpu is {job.resources.gpu}: one GPU for a job is supported, and no more yet")
        gpu_type = job.resources.gpu_type
        if self.gpu_type and not gpus.is_same(self.gpu_type, gpu_type):
            raise BadInput(
                f"the job file asks for {gpu_type} (resources.gpu), and the order for {self.gpu_type}: "
                "change the job file, or leave the GPU out of the order"
            )
        if self.max_hours not in (None, job.hours):
            raise BadInput(
                f"the job file asks for {job.hours} hours (max_duration), and the order for {self.max_hours}: "
                "change the job file, or leave the hours out of the order"
            )
        return self.goal.strip() or job.name, gpu_type, job.hours

    @property
    def several(self) -> tuple[int, int]:
        """The jobs to complete, and how many of them at once. Raises BadInput where the workload differs, and for
        numbers that cannot be."""
        jobs = self.workload.jobs if self.workload else None
        count, at_once = self.count or 1, self.jobs_open_max
        if jobs:
            if self.count not in (None, jobs.count) or self.jobs_open_max not in (1, jobs.at_once):
                raise BadInput(
                    f"the job file asks for {jobs.count} jobs, {jobs.at_once} at once (jobs), and the order for "
                    f"{count}, {at_once} at once: change the job file, or leave them out of the order"
                )
            count, at_once = jobs.count, jobs.at_once
        if self.count is not None and not 1 <= self.count <= COUNT_MAX:
            raise BadInput(f"a run completes 1 to {COUNT_MAX} jobs: split what is more into several runs")
        most = AT_ONCE_MAX if count > 1 else JOBS_MAX
        if not 1 <= at_once <= most:
            raise BadInput(f"1 to {most} jobs may be open at once")
        return count, at_once

    @property
    def hedging(self) -> Hedging:
        """The rule for late jobs. Raises BadInput where the workload differs, and for a delay that cannot be."""
        jobs, after_s = self.workload.jobs if self.workload else None, self.hedge_after
        if jobs and jobs.hedge_after:
            if after_s not in (None, jobs.hedge_after):
                raise BadInput(
                    f"the job file has jobs hedged after {exact_duration(jobs.hedge_after)} (jobs.hedge_after), and "
                    f"the order after {exact_duration(after_s or 0)}: change the job file, or leave it out of the order"
                )
            after_s = jobs.hedge_after
        if after_s is not None and not 0 <= after_s <= HEDGE_AFTER_MAX_S:
            raise BadInput("jobs are hedged after 1 s to 30 days; 0 is for never")
        count, at_once = self.several
        if after_s and count == 1 and at_once > 1:
            raise BadInput(
                f"one job with {at_once} open at once is bought {at_once} times from the beginning: leave out either "
                "that or the delay after which it is hedged"
            )
        return Hedging(after_s) if after_s else NO_HEDGING


def start(order: Order, ports: Ports, run_id: str = "") -> Run:
    """The new run, saved. Raises as prepare() does, and DuplicateRun for an id that is taken; no run was written then.

    The inputs of a workload are kept before; where that fails there is no run.
    run_id: 24 hex digits, for a caller that may repeat its order and must start one run; a new one unless given.
    """
    run = prepare(order, ports, run_id)
    if order.workload:
        run = replace(run, workload=keep_inputs(order.workload, order.sources, ports).canonical)
    ports.store.create(run)
    return run


def prepare(order: Order, ports: Ports, run_id: str = "") -> Run:
    """The new run, not saved. Raises BadInput, UnknownVendor, WalletUnfunded, ClocksDiffer."""
    goal, gpu_type, max_hours = order.terms
    count, at_once = order.several
    hedging = order.hedging
    _check(order, goal, max_hours, ports)
    run_id = run_id or ports.store.new_id()
    run = Run(
        run_id=run_id,
        user_id=order.user_id,
        goal=goal,
        budget=order.budget,
        gpu_type=gpu_type,
        max_hours=max_hours,
        planner=assigned_planner(run_id, order.planners) if order.planners else order.planner,
        planner_arms=order.planners,
        payer=ports.wallet.address,
        network=ports.wallet.token.network,
        workload=order.workload.measured({}).canonical if order.workload else "",
        created_at=ports.clock.now(),
        vendor_ids=tuple(dict.fromkeys(order.vendor_ids)),
        count=count,
        jobs_open_max=at_once,
        jobs_max=tries_max(count),
        hedging=hedging,
        tags=tuple(dict.fromkeys(order.tags)),
    )
    run = replace(run, gpu_type=_checked(run, order, ports))
    balance = ports.chain.head(ports.wallet.address).balance
    if balance <= 0:
        raise WalletUnfunded(
            f"wallet {ports.wallet.address} holds {show_usd(balance)} on {ports.wallet.token.network}: fund it first"
        )
    return run


def _checked(run: Run, order: Order, ports: Ports) -> str:
    """The run's GPU type as its vendors spell it, once rules and clocks allow the order.

    What was read seconds ago will do to let it pass: each purchase is held against what is read for it. A refusal
    rests on what is read for the order.
    """
    try:
        return _checked_by(ports.store.footing(READING_S), run, order, ports)
    except (BadInput, PolicyRefused, ClocksDiffer):
        return _checked_by(ports.store.footing(), run, order, ports)


def _checked_by(footing: Footing, run: Run, order: Order, ports: Ports) -> str:
    if order.workload:
        check_sizes(order.workload, footing.policy())
    check_clocks(ports, footing.now)
    return _gpu_type(run, footing.vendors(), ports.wallet.token)


def _check_several(workload: Workload, count: int) -> None:
    """Raises BadInput where the job file is not fit for so many jobs."""
    if count == 1:
        return
    try:
        workload.check_several()
    except ValueError as error:
        raise BadInput(str(error)) from error
    size = tries_max(count) * (len(workload.canonical.encode()) + FILE_BYTES * len(workload.outputs))
    if size > RECORD_MAX:
        raise BadInput(
            f"{count} jobs of this job file would be a record of {size:,} bytes, and {RECORD_MAX:,} fit: "
            "ask for fewer jobs, or put what the job file holds into inputs"
        )


def _gpu_type(run: Run, vendors: Sequence[Vendor], token: Token) -> str:
    """The run's GPU type as the vendors that it may buy from spell it. Raises BadInput where none of them offers it."""
    offered = [gpu for vendor in candidates(run, vendors, token) for gpu in vendor.gpu_types]
    gpu_type = gpus.spelling(run.gpu_type, offered)
    if gpu_type is None:
        others = [gpu for vendor in vendors if vendor.enabled for gpu in vendor.gpu_types]
        raise BadInput(
            f"no enabled vendor offers {run.gpu_type} for {token.name} on {token.network}"
            f"{gpus.suggestion(run.gpu_type, others)}: `gpuagent vendor list` shows who offers what"
        )
    return gpu_type


def assigned_planner(run_id: str, arms: Sequence[tuple[str, int]]) -> str:
    """The planner of this run: the same at every call, and over many runs as often as the weights say."""
    place = int(hashlib.sha256(f"planner of run {run_id}".encode()).hexdigest(), 16) % sum(weight for _, weight in arms)
    for name, weight in arms:
        if place < weight:
            return name
        place -= weight
    raise BadInput("name at least one planner")


def parse_planners(texts: Sequence[str]) -> tuple[tuple[str, int], ...]:
    """Planners with weights, of texts such as "stub", "stub=1,llm=3", or one each. Raises BadInput."""
    arms: list[tuple[str, int]] = []
    for text in ",".join(texts).split(","):
        name, equals, weight = text.strip().partition("=")
        if not name or (equals and not (weight.isascii() and weight.isdecimal() and len(weight) < 10)):
            raise BadInput(f"{text[:40]!r} is no planner: write NAME, or NAME=WEIGHT for each of several")
        arms.append((name, int(weight) if equals else 1))
    return tuple(arms)


def _check(order: Order, goal: str, max_hours: Decimal, ports: Ports) -> None:
    if not goal or len(goal) > GOAL_MAX:
        raise BadInput(f"a goal is a text of 1 to {GOAL_MAX} characters")
    if order.budget <= 0:
        raise BadInput("a budget is more than 0 USD")
    if not max_hours.is_finite() or not HOURS_MIN <= max_hours <= HOURS_MAX:
        raise BadInput(f"hours are at least {HOURS_MIN} and at most {HOURS_MAX}")
    if order.workload:
        _check_several(order.workload, order.several[0])
    if any(not 0 < len(tag) <= TAG_MAX or not tag.isprintable() for tag in order.tags):
        raise BadInput(f"a tag is a text of 1 to {TAG_MAX} characters")
    for name in [name for name, _ in order.planners] or [order.planner]:
        if name not in ports.planners:
            raise BadInput(f"no planner {name!r}; there are: {', '.join(ports.planners)}")
    if any(not 0 < weight <= WEIGHT_MAX for _, weight in order.planners):
        raise BadInput(f"a planner's weight is a whole number of 1 to {WEIGHT_MAX}")
    if len({name for name, _ in order.planners}) < len(order.planners):
        raise BadInput("each planner is named once")
