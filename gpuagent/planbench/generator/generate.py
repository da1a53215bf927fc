"""Scenario files of our own: nine synthetic market families, seeded, in schema planbench/1, with truth and bounds.

Each vendor's true chance is drawn from its family's prior and kept hidden; the history is drawn from the truth. What
the generator must believe after the history is exact, so the bounds are: see families.py and optimum.py.
"""

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpuagent.core.ports import Planner
from gpuagent.errors import BadInput
from gpuagent.planbench import play
from gpuagent.planbench.answers import Asker, Memory, Purse
from gpuagent.planbench.bounds import Optimal, Regimes
from gpuagent.planbench.files import parse
from gpuagent.planbench.generator.families import FAMILIES, Family, Maker
from gpuagent.planbench.generator.histories import Belief, drawn_history, spike_path
from gpuagent.planbench.generator.outages import OutageBelief, draw_outage
from gpuagent.planbench.scenarios import Market, atomic, cost, markets

REPLICATES, TRIES = 8, 14
"""Drawn outcomes per vendor: so many replicates, of so many tries each."""
VARIANTS = 6
"""Outage paths of one outage market."""
DIGITS = 5


def generate(seed: int, count: int) -> Iterator[dict[str, Any]]:
    """So many scenario documents, family by family in turn. The same seed gives the same files. Raises BadInput."""
    if count < 1:
        raise BadInput("generate at least one scenario")
    for number in range(count):
        family = FAMILIES[number % len(FAMILIES)]
        name = f"gen-{seed}-{family.name}-{number // len(FAMILIES):03d}"
        yield _scenario(name, family, random.Random(f"{seed} {number}"), seed)  # noqa: S311 - no secret


def write(seed: int, count: int, folder: Path) -> list[Path]:
    """A file each. Raises BadInput, and OSError where the folder cannot be written."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for document in generate(seed, count):
        path = folder / f"{document['id']}.json"
        path.write_text(json.dumps(document, separators=(",", ":")) + "\n", "utf-8")
        written.append(path)
    return written


@dataclass(frozen=True, slots=True)
class _Made:
    """A document without bounds, and what only the generator knows."""

    document: dict[str, Any]
    belief: OutageBelief | None = None
    regimes: Regimes | None = None


def _scenario(name: str, family: Family, dice: random.Random, seed: int) -> dict[str, Any]:
    maker = Maker(family, dice)
    run, vendors = maker.run(), maker.vendors
    head = {"schema": "planbench/1", "id": name, "family": family.name, "split": "sim", "seed": seed}
    document = {**head, "run": run, "vendors": [one.entry for one in vendors]}
    made = _outage(document, maker) if family.name == "outage" else _still(document, maker)
    variants = markets(parse(name, made.document))
    watching = made.belief.planner(variants[0]) if made.belief else None  # the variants look alike to it
    bounded = [_bounds(one, watching or Optimal(one, one.posterior, made.regimes)) for one in variants]
    if "variants" in made.document:
        for variant, bounds in zip(made.document["variants"], bounded, strict=True):
            variant["bounds"] = bounds
    else:
        made.document["bounds"] = bounded[0]
    return made.document


def _still(document: dict[str, Any], maker: Maker) -> _Made:
    """A family whose vendors have one chance each for the whole run, and prices that may jump."""
    dice, ticks = maker.dice, maker.ticks
    path = spike_path(maker) if maker.family.name == "spikes" else None
    history, beliefs = drawn_history(maker, path)
    truth: dict[str, Any] = {
        "index": "attempt",
        "pSuccess": {one.name: one.chance for one in maker.vendors},
        "price": {},
        "outcomes": {
            one.name: [_coins(dice, [one.chance] * TRIES) for _ in range(REPLICATES)] for one in maker.vendors
        },
        "posterior": {name: _posterior(belief) for name, belief in beliefs.items()},
    }
    if path:
        spiking = [one for one in maker.vendors if one.spikes]
        truth["price"] = {one.name: [one.price_at(path[t]) for t in range(ticks)] for one in spiking}
        truth["spike"] = path.told
    made = {**document, "history": history, "truth": truth}
    if not path:
        return _Made(made)
    sold = [one for one in maker.vendors if maker.gpu in one.entry["supportedGpuTypes"]]
    prices = [[cost(atomic(one.price_at(regime)), maker.hours) for one in sold] for regime in (0, 1)]
    return _Made(made, regimes=Regimes(path.run, prices, path.enter, path.exit))


def _outage(document: dict[str, Any], maker: Maker) -> _Made:
    """Vendors fail together while their data centre is down; one history, several paths from there on."""
    outage = draw_outage(maker)
    variants = []
    for _ in range(VARIANTS):
        chances = outage.path(maker.dice)
        outcomes = {name: [_coins(maker.dice, path)] for name, path in chances.items()}
        variants.append({"truth": {"pSuccess": chances, "outcomes": outcomes}})
    truth = {"index": "tick", "price": {}, **variants[0]["truth"], "outage": outage.told}
    made = {**document, "history": outage.history, "truth": truth, "variants": variants}
    return _Made(made, belief=outage.belief)


def _bounds(market: Market, bayes: Planner) -> Mapping[str, Any]:
    """bayes: knows the generator and the history. hindsight: knows the drawn chances and all that will happen."""
    hindsight = Optimal(market, lambda vendor, _, tick: market.chance(vendor, tick))
    found = {"hindsight": _played(market, hindsight), "bayes": _played(market, bayes)}
    if market.truth.posterior:
        after = play.posterior(market, "", Asker(bayes, Memory(), Purse()))
        found["bayes"] |= {"completePost": round(after.complete, DIGITS), "spendPost": _usd(after.spend, market)}
    return found


def _played(market: Market, planner: Planner) -> dict[str, float]:
    found = play.exact(market, "", Asker(planner, Memory(), Purse()))
    return {"complete": round(found.complete, DIGITS), "spend": _usd(found.spend, market)}


def _usd(share: float, market: Market) -> float:
    return round(share * market.budget / 1e6, DIGITS)


def _posterior(belief: Belief) -> list[float]:
    return [round(belief.chance(failures), DIGITS) for failures in range(TRIES)]


def _replicates(dice: random.Random, chance: float) -> list[str]:
    return [_coins(dice, [chance] * TRIES) for _ in range(REPLICATES)]


def _coins(dice: random.Random, chances: list[float]) -> str:
    return "".join("1" if dice.random() < chance else "0" for chance in chances)
