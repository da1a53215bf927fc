"""Generated scenarios: all eleven families, seeded, valid in their schema, with bounds that no planner beats."""

import json
from collections.abc import Sequence
from statistics import fmean

import pytest

from gpuagent.errors import BadInput
from gpuagent.planbench.answers import PlannerClient
from gpuagent.planbench.baselines import BASELINES
from gpuagent.planbench.compare import compare
from gpuagent.planbench.files import parse
from gpuagent.planbench.generator.families import FAMILIES
from gpuagent.planbench.generator.generate import generate
from gpuagent.planbench.generator.histories import ChancePosterior
from gpuagent.planbench.scenarios import Market, bundled_folder, load, markets
from gpuagent.planbench.scores import rows


@pytest.fixture(scope="module")
def scenarios() -> Sequence[Sequence[Market]]:
    return [markets(parse(scenario["id"], scenario)) for scenario in generate(3, 33)]


def test_the_same_seed_gives_the_same_files() -> None:
    first, second, another = (json.dumps(list(generate(seed, 10))) for seed in (5, 5, 6))
    assert first == second
    assert first != another
    with pytest.raises(BadInput):
        next(generate(5, 0))


def test_one_family_alone_is_drawn_as_among_all() -> None:
    among_all = {scenario["id"]: scenario for scenario in generate(5, 22)}
    for family in ("honest", "sweep", "late"):
        assert list(generate(5, 2, family)) == [among_all[f"gen-5-{family}-00{turn}"] for turn in range(2)]
    with pytest.raises(BadInput, match="no family 'lucky': write one of honest"):
        next(generate(5, 1, "lucky"))


def test_the_files_of_the_package_are_generated_ones() -> None:
    """The command that makes them: `gpuagent planners generate --seed 7 --count 22`."""
    generated = {scenario["id"]: scenario for scenario in generate(7, 22)}
    assert {path.stem for path in bundled_folder().glob("*.json")} == set(generated)
    for path in bundled_folder().glob("*.json"):
        assert json.loads(path.read_text()) == generated[path.stem], path.name


def test_every_family_comes_and_is_itself(scenarios: Sequence[Sequence[Market]]) -> None:
    kinds = {
        family.name: [variants for variants in scenarios if variants[0].family == family.name] for family in FAMILIES
    }
    assert [len(members) for members in kinds.values()] == [3] * 11
    assert all(variants[0].ticks <= 3 for variants in kinds["deadline"])
    assert all(variants[0].truth.price for variants in kinds["spikes"])
    assert all(len(variants) > 1 and variants[0].truth.index == "tick" for variants in kinds["outage"])
    assert all(variants[0].count > 1 for variants in kinds["sweep"])
    assert len({(variants[0].count, variants[0].at_once) for variants in kinds["sweep"]}) > 1
    assert all(market.hedge_after == 1 and market.truth.delays for (market,) in kinds["late"])
    assert all(variants[0].count == 1 for variants in scenarios if variants[0].family not in ("sweep", "late"))
    assert not any(variants[0].truth.delays for variants in scenarios if variants[0].family != "late")
    assert any(
        variants[0].gpu_type not in seller.gpu_types for variants in kinds["mismatch"] for seller in variants[0].sellers
    )
    for market, *_ in kinds["coldstart"]:
        assert market.sellers[0].vendor_id not in {job.vendor_id for job in market.past}
    exaggerations = [
        seller.reliability - market.chance(seller.vendor_id, 0)
        for (market,) in kinds["liars"]
        for seller in market.sellers
        if seller.reliability == 0.95
    ]
    assert max(exaggerations) > 0.4


def test_nothing_beats_bayes_under_its_own_posterior_nor_hindsight(scenarios: Sequence[Sequence[Market]]) -> None:
    steady = [variants for variants in scenarios if variants[0].truth.posterior]
    comparison = compare(steady, [PlannerClient(baseline) for baseline in BASELINES.values()], "posterior")
    for row in rows(comparison, "scenario"):
        if row.planner in BASELINES:
            assert row.lost is not None
            assert row.lost.mean > -1e-4, row
    single = [variants for variants in scenarios if variants[0].count == 1]
    for row in rows(compare(single, [], "exact"), "scenario"):
        if row.planner == "hindsight":
            assert row.lost is not None
            assert row.lost.mean < 1e-4, row


def test_the_posterior_is_the_average_of_what_was_drawn() -> None:
    """Over many markets, drawn chances and posterior chances agree: the generator knows itself."""
    steady = [family.name for family in FAMILIES if family.name not in ("outage", "sweep", "late")]
    scenarios = [scenario for name in steady for scenario in generate(1, 10, name)]
    generated = [market for scenario in scenarios for market in markets(parse(scenario["id"], scenario))]
    pairs = [
        (market.truth.posterior[seller.vendor_id][0], market.chance(seller.vendor_id, 0))
        for market in generated
        for seller in market.sellers
    ]
    assert len(pairs) > 250
    assert fmean(expected - drawn for expected, drawn in pairs) == pytest.approx(0, abs=0.025)
    high = [drawn for expected, drawn in pairs if expected > 0.8]
    assert fmean(high) == pytest.approx(fmean(expected for expected, _ in pairs if expected > 0.8), abs=0.05)


def test_a_posterior_by_hand() -> None:
    """Half sure of 0.5, half of 0: 0.25, and after a failure 0.5 * 0.25 / 0.75."""
    posterior = ChancePosterior([(1, 0.5), (1, 0.0)])
    assert posterior.chance() == 0.25
    assert posterior.chance(1) == pytest.approx(0.5 * 0.5 * 0.5 / (0.5 * 0.5 + 0.5))


def test_the_folder_of_the_package_is_read() -> None:
    assert len(load(bundled_folder())) == 22
