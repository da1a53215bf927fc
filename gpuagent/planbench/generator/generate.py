"""Generated scenario files: eleven synthetic market families, seeded, in schema planbench/1, with truth and bounds.

Each vendor's true chance is drawn from its family's prior and hidden; the history is drawn from the truth. The
posterior after the history is exact, and so are the bounds: see families.py and bounds.py.
"""

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gpuagent.core.ports.planner import Planner
from gpuagent.errors import BadInput
from gpuagent.planbench.answers import PlannerClient
from gpuagent.planbench.bounds import OptimalPlanner, PriceRegimes
from gpuagent.planbench.files import parse
from gpuagent.planbench.generator.families import FAMILIES, Family, MarketMaker
from gpuagent.planbench.generator.histories import ChancePosterior, draw_history, spike_path
from gpuagent.planbench.generator.outages import OutageBelief, draw_outage
from gpuagent.planbench.generator.sweeps import oracle_bounds, sweep_bounds
from gpuagent.planbench.play import play_exact, play_posterior
from gpuagent.planbench.scenarios import Market, atomic, cost, markets

REPLICATES, TRIES = 8, 14
"""Drawn outcomes per vendor: replicates, and tries in each."""
DELAYS = "1239"
"""The ticks by which a late job is late; 9 is after every deadline."""
VARIANTS = 6
"""Outage paths of one outage market."""
DIGITS = 5
SINGLE = sum(not family.has_several for family in FAMILIES)
"""Families whose runs have one job; they come first."""


def generate(seed: int, count: int, family: str = "") -> Iterator[dict[str, Any]]:
    """Scenario documents, of each family in turn, or of the one that is named. The same seed gives the same files.

    Raises BadInput.
    """
    if count < 1:
        raise BadInput("generate at least one scenario")
    chosen = [member for member in FAMILIES if family in ("", member.name)]
    if not chosen:
        raise BadInput(f"no family {family!r}: write one of {', '.join(member.name for member in FAMILIES)}")
    for number in range(count):
        turn, place = divmod(number, len(chosen))
        dice = random.Random(_draw(seed, chosen[place], turn))  # noqa: S311 - no secret
        yield _scenario(f"gen-{seed}-{chosen[place].name}-{turn:03d}", chosen[place], dice, seed)


def _draw(seed: int, family: Family, turn: int) -> str:
    """What one file is drawn from. A seed draws the same markets of one job, whatever families of several there are."""
    if family.has_several:
        return f"{seed} {family.name} {turn}"
    return f"{seed} {turn * SINGLE + FAMILIES.index(family)}"


def scenario_files(seed: int, count: int, family: str = "") -> Iterator[tuple[str, bytes]]:
    """The name and the content of a file for each scenario. Raises BadInput."""
    for document in generate(seed, count, family):
        yield f"{document['id']}.json", (json.dumps(document, separators=(",", ":")) + "\n").encode()


@dataclass(frozen=True, slots=True)
class _Draft:
    """A document without bounds, and the generator's knowledge of its outages, its prices or its vendors."""

    document: dict[str, Any]
    belief: OutageBelief | None = None
    regimes: PriceRegimes | None = None
    posteriors: Mapping[str, ChancePosterior] = field(default_factory=dict)


def _scenario(name: str, family: Family, dice: random.Random, seed: int) -> dict[str, Any]:
    maker = MarketMaker(family, dice)
    run, vendors = maker.run(), maker.vendors
    head = {"schema": "planbench/1", "id": name, "family": family.name, "split": "sim", "seed": seed}
    document = {**head, "run": run, "vendors": [vendor.document for vendor in vendors]}
    draft = _outage(document, maker) if family.name == "outage" else _steady(document, maker)
    variants = markets(parse(name, draft.document))
    if family.late[1]:
        return draft.document | {"bounds": oracle_bounds(variants[0])}
    if family.has_several:
        return draft.document | {"bounds": sweep_bounds(variants[0], draft.posteriors)}
    # The variants of an outage market look alike to its planner, so that one serves them all.
    outage_planner = draft.belief.planner(variants[0]) if draft.belief else None
    bounds = [
        _bounds(market, outage_planner or OptimalPlanner(market, market.posterior, draft.regimes))
        for market in variants
    ]
    if "variants" in draft.document:
        for variant, variant_bounds in zip(draft.document["variants"], bounds, strict=True):
            variant["bounds"] = variant_bounds
    else:
        draft.document["bounds"] = bounds[0]
    return draft.document


def _steady(document: dict[str, Any], maker: MarketMaker) -> _Draft:
    """A market whose vendors have one chance each for the whole run, and prices that may jump."""
    dice, ticks = maker.dice, maker.ticks
    path = spike_path(maker) if maker.family.name == "spikes" else None
    history, posteriors = draw_history(maker, path)
    truth: dict[str, Any] = {
        "index": "attempt",
        "pSuccess": {vendor.name: vendor.chance for vendor in maker.vendors},
        "price": {},
        "outcomes": {
            vendor.name: [_coins(dice, [vendor.chance] * TRIES) for _ in range(REPLICATES)] for vendor in maker.vendors
        },
    }
    if maker.family.late[1]:
        truth["delays"] = _delays(maker)
    if not maker.family.has_several:  # a table by failures alone says too little of several jobs
        truth["posterior"] = {name: _posterior_table(posterior) for name, posterior in posteriors.items()}
    if path:
        spiking_vendors = [vendor for vendor in maker.vendors if vendor.spike_factor]
        truth["price"] = {vendor.name: [vendor.price_at(path[t]) for t in range(ticks)] for vendor in spiking_vendors}
        truth["spike"] = path.document
    scenario = {**document, "history": history, "truth": truth}
    if not path:
        return _Draft(scenario, posteriors=posteriors)
    sellers = [vendor for vendor in maker.vendors if maker.gpu in vendor.document["supportedGpuTypes"]]
    prices = [[cost(atomic(seller.price_at(regime)), maker.hours) for seller in sellers] for regime in (0, 1)]
    return _Draft(scenario, regimes=PriceRegimes(path.run, prices, path.enter, path.exit))


def _delays(maker: MarketMaker) -> dict[str, list[str]]:
    """The ticks by which each vendor's jobs are late: none for most, and one vendor is late more often than another."""
    dice, scripts = maker.dice, {}
    for vendor in maker.vendors:
        chance = dice.uniform(*maker.family.late)
        scripts[vendor.name] = [
            "".join(dice.choice(DELAYS) if dice.random() < chance else "0" for _ in range(TRIES))
            for _ in range(REPLICATES)
        ]
    return scripts


def _outage(document: dict[str, Any], maker: MarketMaker) -> _Draft:
    """Vendors fail together while their data centre is down; one history, several paths from there on."""
    outage = draw_outage(maker)
    variants = []
    for _ in range(VARIANTS):
        chances = outage.path(maker.dice)
        outcomes = {name: [_coins(maker.dice, path)] for name, path in chances.items()}
        variants.append({"truth": {"pSuccess": chances, "outcomes": outcomes}})
    truth = {"index": "tick", "price": {}, **variants[0]["truth"], "outage": outage.document}
    scenario = {**document, "history": outage.history, "truth": truth, "variants": variants}
    return _Draft(scenario, belief=outage.belief)


def _bounds(market: Market, bayes: Planner) -> Mapping[str, Any]:
    """The bounds of a market: bayes knows the generator and the history; hindsight the drawn chances and the future."""
    hindsight = OptimalPlanner(market, lambda vendor, _, tick: market.chance(vendor, tick))
    bounds = {"hindsight": _bound(market, hindsight), "bayes": _bound(market, bayes)}
    if market.truth.posterior:
        result = play_posterior(market, "", PlannerClient(bayes))
        bounds["bayes"] |= {"completePost": round(result.complete, DIGITS), "spendPost": _usd(result.spend, market)}
    return bounds


def _bound(market: Market, planner: Planner) -> dict[str, float]:
    result = play_exact(market, "", PlannerClient(planner))
    return {"complete": round(result.complete, DIGITS), "spend": _usd(result.spend, market)}


def _usd(share: float, market: Market) -> float:
    return round(share * market.budget / 1e6, DIGITS)


def _posterior_table(posterior: ChancePosterior) -> list[float]:
    return [round(posterior.chance(failures), DIGITS) for failures in range(TRIES)]


def _coins(dice: random.Random, chances: list[float]) -> str:
    return "".join("1" if dice.random() < chance else "0" for chance in chances)
