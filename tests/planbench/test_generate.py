"""Our own scenarios: all nine families, seeded, in the agreed schema, with bounds that nothing beats."""

import json
from collections.abc import Sequence
from statistics import fmean

import pytest

from gpuagent.errors import BadInput
from gpuagent.planbench.answers import Asker, Memory, Purse
from gpuagent.planbench.baselines import RULES
from gpuagent.planbench.compare import compare
from gpuagent.planbench.files import parse
from gpuagent.planbench.generator.families import FAMILIES
from gpuagent.planbench.generator.generate import generate
from gpuagent.planbench.generator.histories import Belief
from gpuagent.planbench.scenarios import Market, load, markets, own_folder
from gpuagent.planbench.scores import rows


@pytest.fixture(scope="module")
def scenarios() -> Sequence[Sequence[Market]]:
    return [markets(parse(one["id"], one)) for one in generate(3, 27)]


def test_the_same_seed_gives_the_same_files() -> None:
    first, second, other = (json.dumps(list(generate(seed, 9))) for seed in (5, 5, 6))
    assert first == second
    assert first != other
    with pytest.raises(BadInput):
        next(generate(5, 0))


def test_the_files_of_the_package_are_generated_ones() -> None:
    """They can be made again: `gpuagent planners generate --seed 7 --count 18`."""
    made = {one["id"]: one for one in generate(7, 18)}
    assert {path.stem for path in own_folder().glob("*.json")} == set(made)
    for path in own_folder().glob("*.json"):
        assert json.loads(path.read_text()) == made[path.stem], path.name


def test_every_family_comes_and_is_itself(scenarios: Sequence[Sequence[Market]]) -> None:
    kinds = {family.name: [one for one in scenarios if one[0].family == family.name] for family in FAMILIES}
    assert [len(found) for found in kinds.values()] == [3] * 9
    assert all(one[0].ticks <= 3 for one in kinds["deadline"])
    assert all(one[0].truth.price for one in kinds["spikes"])
    assert all(len(one) > 1 and one[0].truth.index == "tick" for one in kinds["outage"])
    assert any(one[0].gpu_type not in seller.gpu_types for one in kinds["mismatch"] for seller in one[0].sellers)
    for made, *_ in kinds["coldstart"]:
        assert made.sellers[0].vendor_id not in {job.vendor_id for job in made.past}
    lied = [
        seller.reliability - made.chance(seller.vendor_id, 0)
        for (made,) in kinds["liars"]
        for seller in made.sellers
        if seller.reliability == 0.95
    ]
    assert max(lied) > 0.4


def test_nothing_beats_bayes_under_its_own_posterior_nor_hindsight(scenarios: Sequence[Sequence[Market]]) -> None:
    still = [one for one in scenarios if one[0].truth.posterior]
    comparison = compare(still, [Asker(rule, Memory(), Purse()) for rule in RULES.values()], "posterior")
    for row in rows(comparison, "scenario"):
        if row.planner in RULES:
            assert row.lost is not None
            assert row.lost.mean > -1e-4, row
    for row in rows(compare(scenarios, [], "exact"), "scenario"):
        if row.planner == "hindsight":
            assert row.lost is not None
            assert row.lost.mean < 1e-4, row


def test_the_posterior_is_the_average_of_what_was_drawn() -> None:
    """Over many markets, chances that were drawn and chances that are believed agree: the generator knows itself."""
    made = [market for one in generate(1, 90) for market in markets(parse(one["id"], one))[:1]]
    pairs = [
        (market.truth.posterior[seller.vendor_id][0], market.chance(seller.vendor_id, 0))
        for market in made
        if market.truth.posterior
        for seller in market.sellers
    ]
    assert len(pairs) > 250
    assert fmean(believed - drawn for believed, drawn in pairs) == pytest.approx(0, abs=0.025)
    sure = [drawn for believed, drawn in pairs if believed > 0.8]
    assert fmean(sure) == pytest.approx(fmean(believed for believed, _ in pairs if believed > 0.8), abs=0.05)


def test_a_belief_by_hand() -> None:
    """Half sure of 0.5, half of 0: 0.25, and after a failure 0.5 * 0.25 / 0.75."""
    belief = Belief([(1, 0.5), (1, 0.0)])
    assert belief.chance() == 0.25
    assert belief.chance(1) == pytest.approx(0.5 * 0.5 * 0.5 / (0.5 * 0.5 + 0.5))


def test_the_folder_of_the_package_is_read() -> None:
    assert len(load(own_folder())) == 18
