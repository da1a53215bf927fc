"""The start of a run: check the order, then save the run. Nothing is quoted or signed yet."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from gpuagent.agent.guard import check_clocks
from gpuagent.agent.market import candidates
from gpuagent.core import gpus
from gpuagent.core.model import HOURS_MIN, JOBS_MAX, Run
from gpuagent.core.money import show_usd
from gpuagent.core.ports import Ports
from gpuagent.errors import BadInput, WalletUnfunded

GOAL_MAX = 2_000
TAG_MAX = 100
WEIGHT_MAX = 1000
HOURS_MAX = Decimal(24 * 30)


@dataclass(frozen=True, slots=True)
class Order:
    """An order for a run. budget in atomic units, max_hours in GPU hours; no vendor_ids: any enabled vendor.

    planner: who chooses. planners: several instead, each with its weight; each run gets one of them, by its id.
    """

    goal: str
    budget: int
    gpu_type: str = "A100"
    max_hours: Decimal = Decimal(1)
    user_id: str = "local"
    planner: str = "stub"
    planners: tuple[tuple[str, int], ...] = ()
    jobs_open_max: int = 1
    vendor_ids: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


def start(order: Order, ports: Ports, run_id: str = "") -> Run:
    """The new run, saved. Raises as prepare() does, and DuplicateRun for an id that is taken; nothing was written then.

    run_id: 24 hex digits, for a caller that may repeat its order and must start one run; a new one unless given.
    """
    run = prepare(order, ports, run_id)
    ports.store.create(run)
    return run


def prepare(order: Order, ports: Ports, run_id: str = "") -> Run:
    """The new run, not saved. Raises BadInput, UnknownVendor, WalletUnfunded, ClocksDiffer."""
    _check(order, ports)
    check_clocks(ports)
    run_id = run_id or ports.store.new_id()
    run = Run(
        run_id=run_id,
        user_id=order.user_id,
        goal=order.goal.strip(),
        budget=order.budget,
        gpu_type=order.gpu_type,
        max_hours=order.max_hours,
        planner=assigned_planner(run_id, order.planners) if order.planners else order.planner,
        planner_arms=order.planners,
        payer=ports.wallet.address,
        network=ports.wallet.token.network,
        created_at=ports.clock.now(),
        vendor_ids=tuple(dict.fromkeys(order.vendor_ids)),
        jobs_open_max=order.jobs_open_max,
        tags=tuple(dict.fromkeys(order.tags)),
    )
    run = replace(run, gpu_type=_gpu_type(run, ports))
    balance = ports.chain.head(ports.wallet.address).balance
    if balance <= 0:
        raise WalletUnfunded(
            f"wallet {ports.wallet.address} holds {show_usd(balance)} on {ports.wallet.token.network}: fund it first"
        )
    return run


def _gpu_type(run: Run, ports: Ports) -> str:
    """The run's GPU type as the vendors that it may buy from spell it. Raises BadInput where none of them offers it."""
    vendors, token = ports.store.vendors(), ports.wallet.token
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


def _check(order: Order, ports: Ports) -> None:
    if not order.goal.strip() or len(order.goal) > GOAL_MAX:
        raise BadInput(f"a goal is a text of 1 to {GOAL_MAX} characters")
    if order.budget <= 0:
        raise BadInput("a budget is more than 0 USD")
    if not order.max_hours.is_finite() or not HOURS_MIN <= order.max_hours <= HOURS_MAX:
        raise BadInput(f"hours are at least {HOURS_MIN} and at most {HOURS_MAX}")
    if not 1 <= order.jobs_open_max <= JOBS_MAX:
        raise BadInput(f"1 to {JOBS_MAX} jobs may be open at once")
    if any(not 0 < len(tag) <= TAG_MAX or not tag.isprintable() for tag in order.tags):
        raise BadInput(f"a tag is a text of 1 to {TAG_MAX} characters")
    for name in [name for name, _ in order.planners] or [order.planner]:
        if name not in ports.planners:
            raise BadInput(f"no planner {name!r}; there are: {', '.join(ports.planners)}")
    if any(not 0 < weight <= WEIGHT_MAX for _, weight in order.planners):
        raise BadInput(f"a planner's weight is a whole number of 1 to {WEIGHT_MAX}")
    if len({name for name, _ in order.planners}) < len(order.planners):
        raise BadInput("each planner is named once")
