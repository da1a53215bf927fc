"""Planners to be compared as a person chose them: who can be asked, over which scenarios, and what it may cost."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gpuagent import settings, wiring
from gpuagent.core.money import parse_usd, show_usd
from gpuagent.core.ports import Planner
from gpuagent.errors import BadInput, ConfigError
from gpuagent.planbench.answers import Asker, Priced, Purse, memory_of
from gpuagent.planbench.baselines import RULES
from gpuagent.planbench.compare import MODES, Comparison, Estimate, Scenario, Tell, compare, estimate
from gpuagent.planbench.files import parse
from gpuagent.planbench.generator import generate
from gpuagent.planbench.replay import Replayed, replay
from gpuagent.planbench.scenarios import load, markets, own_folder
from gpuagent.session import open_records

FREE = ("stub", *RULES)
GENERATED, OWN = "generated", "own"
COUNT_MAX = 500
REPLAYED_RUNS = 3


@dataclass(frozen=True, slots=True)
class Choice:
    """planners: names. scenarios: "generated", of this seed and so many; "own", which come with the package; a folder.

    limit: USD that asking may cost, or "": nothing that costs is asked. against: who the others are paired with; "":
    the first.
    """

    planners: tuple[str, ...]
    scenarios: str = GENERATED
    seed: int = 7
    count: int = 9
    mode: str = "exact"
    limit: str = ""
    against: str = ""


def names(text: str) -> tuple[str, ...]:
    """Of a text with commas, each once. Raises BadInput."""
    found = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not found:
        raise BadInput("name at least one planner")
    return found


def why_no_llm(environ: Mapping[str, str]) -> str:
    """Why the language model cannot be compared, or ""."""
    try:
        wiring.named_planner(settings.read(environ), "llm")
    except (ConfigError, BadInput) as error:
        return str(error)
    return ""


def planner(name: str, environ: Mapping[str, str]) -> Planner:
    """Raises BadInput, and ConfigError for one that is not set up."""
    if name in RULES:
        return RULES[name]
    try:
        return wiring.named_planner(settings.read(environ), name)
    except BadInput as error:
        raise BadInput(f"{error}; to compare with: {', '.join(RULES)}") from error


class Trial:
    """A comparison that is ready to be played, or was. It asks nobody before play()."""

    def __init__(self, choice: Choice, environ: Mapping[str, str], cache: Path | None = None) -> None:
        """cache: where paid answers are kept. Raises BadInput, ConfigError."""
        if choice.mode not in MODES:
            raise BadInput(f"no mode {choice.mode!r}: write one of {', '.join(MODES)}")
        if choice.against and choice.against not in choice.planners:
            raise BadInput(f"{choice.against} is not among the planners that are compared")
        self.choice = choice
        self.purse = Purse(parse_usd(choice.limit) if choice.limit else None)
        self.askers = _askers([planner(name, environ) for name in choice.planners], self.purse, cache)
        self.scenarios = _scenarios(choice)

    @property
    def estimates(self) -> list[Estimate]:
        """Of those who charge."""
        return [told for told in (estimate(self.scenarios, asker) for asker in self.askers) if told]

    def words(self) -> str:
        """What it is going to take."""
        told = [f"{one.planner}: at most {one.calls} questions, {show_usd(one.amount)}" for one in self.estimates]
        cost = "; ".join(told) or "nobody charges"
        return f"{len(self.scenarios)} scenarios, {len(self.askers)} planners. Asking costs: {cost}."

    def play(self, tell: Tell | None = None) -> Comparison:
        """Raises BadInput where asking costs money and no limit is set."""
        if self.purse.limit is None and any(isinstance(asker.planner, Priced) for asker in self.askers):
            raise BadInput(f"asking costs money: say how much it may. {self.words()}")

        def told(name: str, played: int, total: int) -> None:
            if played < total:
                self.purse.check(0, name)
            if tell:
                tell(name, played, total)

        return compare(self.scenarios, self.askers, self.choice.mode, told)

    def stop(self) -> None:
        """From any thread: no scenario and no paid question begins any more."""
        self.purse.stopped = True


def replayed(run_ids: str, name: str, environ: Mapping[str, str], limit: str = "") -> dict[str, list[Replayed]]:
    """What a planner would have decided in one's own runs, by run id. run_ids: with commas; "": the newest.

    Raises UnknownRun, BadInput, ConfigError.
    """
    asked = planner(name, environ)
    if isinstance(asked, Priced) and not limit:
        raise BadInput(f"asking {name} costs money: say how much it may")
    (asker,) = _askers([asked], Purse(parse_usd(limit) if limit else None), None)
    found: dict[str, list[Replayed]] = {}
    with open_records(environ) as db:
        wanted = [one.strip() for one in run_ids.split(",") if one.strip()]
        for run_id in wanted or [str(run["_id"]) for run in db.reads.runs()]:
            unnamed = () if wanted else (BadInput,)  # those that decided nothing, or that the original system made
            with suppress(*unnamed):
                db.store.load(run_id)
                found[run_id] = replay(db.reads.documents(run_id)["observations"], asker)
            if not wanted and len(found) == REPLAYED_RUNS:
                break
    return found


def _askers(named: Sequence[Planner], purse: Purse, cache: Path | None) -> list[Asker]:
    for one in named:
        if one.name not in FREE and not isinstance(one, Priced):
            raise BadInput(f"{one.name} cannot say beforehand what asking it costs, so no limit can be kept")
    return [Asker(one, memory_of(one, _cache(one, cache)), purse) for one in named]


def _cache(one: Planner, folder: Path | None) -> Path | None:
    if folder is None and isinstance(one, Priced):
        return wiring.data_folder() / "planner-answers"
    return folder


def _scenarios(choice: Choice) -> Sequence[Scenario]:
    if choice.scenarios == GENERATED:
        if not 1 <= choice.count <= COUNT_MAX:
            raise BadInput(f"generate 1 to {COUNT_MAX} scenarios, not {choice.count}")
        documents = generate.generate(choice.seed, choice.count)
        return [markets(parse(document["id"], document)) for document in documents]
    if choice.scenarios == OWN:
        return load(own_folder())
    folder = Path(choice.scenarios)
    if not choice.scenarios or not folder.exists():
        raise BadInput(f"scenarios {choice.scenarios!r}: write {GENERATED}, {OWN}, or a folder of scenario files")
    return load(folder)
