"""Comparison runs: the planners, scenarios and spending limit that a user asks for, checked and ready to be played."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gpuagent import settings, wiring
from gpuagent.core.money import show_usd
from gpuagent.core.ports.planner import Planner
from gpuagent.core.text import counted
from gpuagent.errors import BadInput, ConfigError
from gpuagent.planbench.answers import PlannerClient, Priced, SpendLimit, cache_for
from gpuagent.planbench.catalog import check_prices, find_planner
from gpuagent.planbench.compare import MODES, Comparison, CostEstimate, OnProgress, Scenario, compare, estimate
from gpuagent.planbench.files import parse
from gpuagent.planbench.generator import generate
from gpuagent.planbench.replay import ReplayedDecision, replay
from gpuagent.planbench.scenarios import bundled_folder, load, markets
from gpuagent.session import open_records
from gpuagent.wiring.embedded import data_folder

GENERATED, BUNDLED = "generated", "own"
COUNT_MAX = 500
REPLAYED_RUNS = 3
OnScenario = Callable[[int, int], None]
"""Called with (scenarios generated, scenarios in all)."""


@dataclass(frozen=True, slots=True)
class ComparisonRequest:
    """A request for a comparison. planners: names.

    scenarios: "generated", of this seed and count; "own", which come with the package; or a folder. limit: USD that
    asking may cost; "" asks no planner that charges. against: the planner that the others are paired with; "": the
    first.
    """

    planners: tuple[str, ...]
    scenarios: str = GENERATED
    seed: int = 7
    count: int = 10
    mode: str = "exact"
    limit: str = ""
    against: str = ""


def parse_planner_names(text: str) -> tuple[str, ...]:
    """Names separated by commas, each once. Raises BadInput."""
    names = tuple(dict.fromkeys(_split(text)))
    if not names:
        raise BadInput("name at least one planner")
    return names


def llm_problem(environ: Mapping[str, str]) -> str:
    """Why the language model cannot be compared, or ""."""
    try:
        wiring.named_planner(settings.read(environ), "llm")
    except (ConfigError, BadInput) as error:
        return str(error)
    return ""


class ComparisonRun:
    """A checked request with its planners and scenarios. No planner is asked before play()."""

    def __init__(
        self,
        request: ComparisonRequest,
        environ: Mapping[str, str],
        cache: Path | None = None,
        on_scenario: OnScenario | None = None,
    ) -> None:
        """cache: the folder of paid answers. on_scenario: called as scenarios are generated, which takes a while.

        Raises BadInput, ConfigError, and what on_scenario raises to stop.
        """
        if request.mode not in MODES:
            raise BadInput(f"no mode {request.mode!r}: write one of {', '.join(MODES)}")
        if request.against and request.against not in request.planners:
            raise BadInput(f"{request.against} is not among the planners that are compared")
        self.request = request
        self.spend_limit = SpendLimit.parse(request.limit)
        planners = [_planner(name, environ) for name in request.planners]
        self.clients = _clients(planners, self.spend_limit, cache)
        self.scenarios = _scenarios(request, on_scenario)

    @property
    def estimates(self) -> list[CostEstimate]:
        """The most that each planner which charges can cost."""
        return list(filter(None, (estimate(self.scenarios, client) for client in self.clients)))

    def summary(self) -> str:
        """The size of the comparison and the most that it can cost, as a sentence."""
        costs = [f"{cost.planner}: at most {cost.calls} questions, {show_usd(cost.amount)}" for cost in self.estimates]
        total = "; ".join(costs) or "nothing"
        scenarios, planners = counted(len(self.scenarios), "scenario"), counted(len(self.clients), "planner")
        return f"{scenarios}, {planners}. Asking costs: {total}."

    def play(self, on_progress: OnProgress | None = None) -> Comparison:
        """Plays every scenario with every planner. Raises BadInput where asking costs money and no limit is set."""
        if self.spend_limit.amount is None and any(isinstance(client.planner, Priced) for client in self.clients):
            raise BadInput(f"asking costs money: say how much it may. {self.summary()}")

        def check_and_report(name: str, played: int, total: int) -> None:
            if played < total:
                self.spend_limit.check(0, name)
            if on_progress:
                on_progress(name, played, total)

        return compare(self.scenarios, self.clients, self.request.mode, check_and_report)

    def stop(self) -> None:
        """Stops the play, from any thread: no further scenario and no further paid question begins."""
        self.spend_limit.stopped = True


def replay_decisions(
    run_ids: str, name: str, environ: Mapping[str, str], limit: str = ""
) -> dict[str, list[ReplayedDecision]]:
    """The user's own runs replayed with the named planner, by run id. run_ids: with commas; "": the newest.

    Raises UnknownRun, BadInput, ConfigError.
    """
    planner = _planner(name, environ)
    if isinstance(planner, Priced) and not limit:
        raise BadInput(f"asking {name} costs money: say how much it may")
    (client,) = _clients([planner], SpendLimit.parse(limit), None)
    replays: dict[str, list[ReplayedDecision]] = {}
    with open_records(environ) as db:
        ids = _split(run_ids)
        # Of the newest runs, those without a decision, or made by the original system, are passed over.
        skipped = () if ids else (BadInput,)
        for run_id in ids or [str(run["_id"]) for run in db.reads.runs()]:
            with suppress(*skipped):
                db.store.load(run_id)
                replays[run_id] = replay(db.reads.documents(run_id)["observations"], client)
            if not ids and len(replays) == REPLAYED_RUNS:
                break
    return replays


def _split(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _planner(name: str, environ: Mapping[str, str]) -> Planner:
    """Raises BadInput, and ConfigError for a planner that is not set up."""
    return find_planner(name, lambda name: wiring.named_planner(settings.read(environ), name))


def _clients(planners: Sequence[Planner], spend_limit: SpendLimit, cache: Path | None) -> list[PlannerClient]:
    check_prices(planners)
    if cache is None and any(isinstance(planner, Priced) for planner in planners):
        cache = data_folder() / "planner-answers"
    return [PlannerClient(planner, cache_for(planner, cache), spend_limit) for planner in planners]


def _scenarios(request: ComparisonRequest, on_scenario: OnScenario | None) -> Sequence[Scenario]:
    if request.scenarios == GENERATED:
        if not 1 <= request.count <= COUNT_MAX:
            raise BadInput(f"generate 1 to {COUNT_MAX} scenarios, not {request.count}")
        scenarios: list[Scenario] = []
        for document in generate.generate(request.seed, request.count):
            if on_scenario:
                on_scenario(len(scenarios), request.count)
            scenarios.append(markets(parse(document["id"], document)))
        return scenarios
    if request.scenarios == BUNDLED:
        return load(bundled_folder())
    folder = Path(request.scenarios)
    if not request.scenarios or not folder.exists():
        raise BadInput(f"scenarios {request.scenarios!r}: write {GENERATED}, {BUNDLED}, or a folder of scenario files")
    return load(folder)
