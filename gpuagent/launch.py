"""Start a run: check what a person asked for, then write it down. Nothing is quoted or signed yet."""

from dataclasses import dataclass
from decimal import Decimal

from gpuagent.errors import BadInput, WalletUnfunded
from gpuagent.model import JOBS_MAX, Run
from gpuagent.money import show_usd
from gpuagent.plan import candidates
from gpuagent.ports import Ports

GOAL_MAX = 2_000
TAG_MAX = 100
HOURS_MAX = Decimal(24 * 30)


@dataclass(frozen=True, slots=True)
class Order:
    """What a person wants. budget in atomic units, max_hours in GPU hours; no vendor_ids: any enabled vendor."""

    goal: str
    budget: int
    gpu_type: str = "A100"
    max_hours: Decimal = Decimal(1)
    user_id: str = "local"
    planner: str = "stub"
    jobs_open_max: int = 1
    vendor_ids: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


def start(order: Order, ports: Ports) -> Run:
    """The new run, saved. Raises as prepare() does; then nothing was written."""
    run = prepare(order, ports)
    ports.store.create(run)
    return run


def prepare(order: Order, ports: Ports) -> Run:
    """The new run, not saved. Raises BadInput, UnknownVendor, WalletUnfunded."""
    _check(order, ports)
    run = Run(
        run_id=ports.store.new_id(),
        user_id=order.user_id,
        goal=order.goal.strip(),
        budget=order.budget,
        gpu_type=order.gpu_type,
        max_hours=order.max_hours,
        planner=order.planner,
        payer=ports.wallet.address,
        network=ports.wallet.token.network,
        created_at=ports.clock.now(),
        vendor_ids=tuple(dict.fromkeys(order.vendor_ids)),
        jobs_open_max=order.jobs_open_max,
        tags=tuple(dict.fromkeys(order.tags)),
    )
    if not candidates(run, ports.store.vendors(), ports.wallet.token):
        raise BadInput(
            f"no enabled vendor offers {order.gpu_type} for {ports.wallet.token.name} on "
            f"{ports.wallet.token.network}: `gpuagent vendor list` shows who offers what"
        )
    balance = ports.chain.head(ports.wallet.address).balance
    if balance <= 0:
        raise WalletUnfunded(
            f"wallet {ports.wallet.address} holds {show_usd(balance)} on {ports.wallet.token.network}: fund it first"
        )
    return run


def _check(order: Order, ports: Ports) -> None:
    if not order.goal.strip() or len(order.goal) > GOAL_MAX:
        raise BadInput(f"a goal is a text of 1 to {GOAL_MAX} characters")
    if order.budget <= 0:
        raise BadInput("a budget is more than 0 USD")
    if not order.max_hours.is_finite() or not 0 < order.max_hours <= HOURS_MAX:
        raise BadInput(f"hours are more than 0 and at most {HOURS_MAX}")
    if not 1 <= order.jobs_open_max <= JOBS_MAX:
        raise BadInput(f"1 to {JOBS_MAX} jobs may be open at once")
    if any(not 0 < len(tag) <= TAG_MAX or not tag.isprintable() for tag in order.tags):
        raise BadInput(f"a tag is a text of 1 to {TAG_MAX} characters")
    if order.planner not in ports.planners:
        raise BadInput(f"no planner {order.planner!r}; there are: {', '.join(ports.planners)}")
