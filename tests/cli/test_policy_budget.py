"""`gpuagent policy budget`, and the same budgets over REST."""

import json
from collections.abc import Callable

from click.testing import Result

from tests.support.rest_server import serving
from tests.support.world import World


def test_budgets_are_set_listed_and_ended(world: World, gpuagent: Callable[..., Result]) -> None:
    assert "no budgets a month" in gpuagent("policy", "budget", "list").output
    command = ("policy", "budget", "set", "--by", "Ada")
    table = gpuagent(*command, "--tag", "alpha=2.80", "--user", "ada=1", "--zone", "Europe/Berlin")
    assert table.exit_code == 0, table.output
    assert "months of Europe/Berlin" in table.output
    run = world.finish(world.start(vendor_ids=("gpu_vendor_1",), tags=("alpha",), user_id="local"))
    alpha, ada = json.loads(gpuagent("policy", "budget", "list", "--json").output)["budgets"]
    assert (alpha["name"], alpha["amount"], alpha["settled"], alpha["share"]) == ("alpha", "2800000", "1400000", 0.5)
    assert (ada["kind"], ada["settled"], ada["forecast"]) == ("user", "0", "0")
    assert "tag alpha, a month of Europe/Berlin" in gpuagent("policy", "show").output
    with serving(world) as served:
        answer = served.get("/api/budgets")
    assert answer["zone"] == "Europe/Berlin"
    assert {name: answer["budgets"][0][name] for name in ("name", "amount", "settled", "held", "share")} == {
        "name": "alpha",
        "amount": 2.8,
        "settled": 1.4,
        "held": 0,
        "share": 0.5,
    }
    narrow = gpuagent("policy", "budget", "list", COLUMNS="40").output.splitlines()
    assert max(map(len, narrow)) <= 40
    assert ["limit,", "USD", "2.80"] in [line.split() for line in narrow]
    unexplained = gpuagent(*command, "--tag", "alpha=none")
    assert unexplained.exit_code == 2
    assert "tag alpha per month: 2.80 USD to no limit" in unexplained.output
    assert gpuagent(*command, "--tag", "alpha=none", "--why", "the project is over").exit_code == 0
    assert [budget.name for budget in world.store.policy().month_budgets] == ["ada"]
    world.assert_balanced(run, transfers=1)


def test_what_cannot_be_meant_is_said(gpuagent: Callable[..., Result]) -> None:
    command = ("policy", "budget", "set", "--by", "Ada")
    for arguments, words in {
        (): "name a budget",
        ("--tag", "alpha"): "is not NAME=USD",
        ("--user", "ada=1,50"): "is not an amount",
        ("--zone", "Nowhere/Land"): "is no time zone",
    }.items():
        answer = gpuagent(*command, *arguments)
        assert (answer.exit_code, words in answer.output) == (2, True), answer.output
