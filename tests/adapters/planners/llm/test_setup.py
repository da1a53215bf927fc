"""Models that the environment names: keys, prices, limits; and the moment litellm is imported."""

import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal

import pytest
from click.testing import Result

from gpuagent import settings, wiring
from gpuagent.adapters.planners.llm.call import Model
from gpuagent.adapters.planners.llm.models import read_models
from gpuagent.adapters.planners.llm.planner import open_planner
from gpuagent.adapters.planners.llm.prices import Rates, atomic, litellm_rates, read_table
from gpuagent.adapters.planners.registry import PlannerRegistry
from gpuagent.errors import ConfigError
from tests.support.world import World

KEY = "fw-0123456789abcdef"
FIREWORKS = {"FIREWORKS_API_KEY": KEY, "FIREWORKS_MODEL": "accounts/fireworks/models/deepseek-v3p2"}
PRICED = '{"openai/mine": [0.5, 1.5]}'
LOCAL = {"PLANNER_MODEL": "openai/mine", "PLANNER_API_BASE": "http://127.0.0.1:1/v1", "PLANNER_PRICES": PRICED}


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """litellm looks for keys in the process's environment too."""
    for name in ("OPENAI_API_KEY", "FIREWORKS_API_KEY", "FIREWORKS_AI_API_KEY", "AWS_ACCESS_KEY_ID"):
        monkeypatch.delenv(name, raising=False)


def test_fireworks_is_the_default() -> None:
    (model,) = read_models(FIREWORKS)
    assert model.name == "fireworks_ai/accounts/fireworks/models/deepseek-v3p2"
    assert (model.api_key, model.api_base, model.structured) == (KEY, "", True)
    assert model.rates == Rates(Decimal("5.6e-7"), Decimal("1.68e-6"))
    assert KEY not in repr(model)


def test_any_models_by_name_in_their_order() -> None:
    environ = FIREWORKS | {
        "PLANNER_MODEL": " openai/gpt-4o-mini, fireworks_ai/accounts/fireworks/models/deepseek-v3p2,openai/gpt-4o-mini",
        "OPENAI_API_KEY": "sk-0123456789",
    }
    assert [(model.name.split("/")[0], model.api_key) for model in read_models(environ)] == [
        ("openai", "sk-0123456789"),
        ("fireworks_ai", KEY),
    ]


def test_a_server_of_ones_own_gets_its_own_key() -> None:
    (model,) = read_models(LOCAL | {"PLANNER_API_KEY": "none", "OPENAI_API_KEY": "sk-0123456789"})
    assert (model.api_base, model.api_key) == ("http://127.0.0.1:1/v1", "none")
    assert model.rates == Rates(Decimal("5e-7"), Decimal("1.5e-6"))


MISSING: dict[str, tuple[dict[str, str], str]] = {
    "no model": ({}, "set FIREWORKS_MODEL"),
    "no Fireworks key": ({"FIREWORKS_MODEL": "x"}, "set FIREWORKS_API_KEY: the key for the model 'fireworks_ai/x'"),
    "an empty key": ({**FIREWORKS, "FIREWORKS_API_KEY": " "}, "set FIREWORKS_API_KEY"),
    "no OpenAI key": ({"PLANNER_MODEL": "openai/gpt-4o-mini"}, "set OPENAI_API_KEY"),
    "the key of the second": (
        {**FIREWORKS, "PLANNER_MODEL": "fireworks_ai/accounts/fireworks/models/deepseek-v3p2,gpt-4o"},
        "OPENAI",
    ),
    "no key for a server": (LOCAL, "or PLANNER_API_KEY for the server at PLANNER_API_BASE"),
    "keys of AWS": ({"PLANNER_MODEL": "bedrock/anthropic.claude-v2"}, "set AWS_ACCESS_KEY_ID"),
    "a broken key": ({**FIREWORKS, "FIREWORKS_API_KEY": f"{KEY}\nx"}, "FIREWORKS_API_KEY holds characters"),
    "unknown provider": ({"PLANNER_MODEL": "gpt-x"}, "no provider for the model 'gpt-x'"),
    "a key for a model": ({"PLANNER_MODEL": f"{KEY}x"}, "no provider for the model whose name has 20 characters"),
    "a key for a Fireworks model": ({**FIREWORKS, "FIREWORKS_MODEL": f"{KEY}x"}, "no price is known for the model of"),
    "too many": ({"PLANNER_MODEL": ",".join(f"openai/{n}" for n in range(6))}, "names 6 models"),
    "no URL": ({**LOCAL, "PLANNER_API_BASE": "localhost:8000"}, "PLANNER_API_BASE is no URL"),
    "unpriced": ({**FIREWORKS, "FIREWORKS_MODEL": "mine"}, "no price is known for the model 'fireworks_ai/mine'"),
    "a price of nothing": ({**FIREWORKS, "FIREWORKS_MODEL": "accounts/fireworks/routers/auto"}, "no price is known"),
    "prices in words": ({**FIREWORKS, "PLANNER_PRICES": "cheap"}, "PLANNER_PRICES is not JSON"),
    "a list of prices": ({**FIREWORKS, "PLANNER_PRICES": "[1, 2]"}, "PLANNER_PRICES is no object"),
    "one price": ({**FIREWORKS, "PLANNER_PRICES": '{"m": [1]}'}, "PLANNER_PRICES: m has no two prices"),
    "negative price": ({**FIREWORKS, "PLANNER_PRICES": '{"m": [1, -1]}'}, "PLANNER_PRICES: m has no two prices"),
    "no time": ({**FIREWORKS, "PLANNER_TIMEOUT_S": "0"}, "PLANNER_TIMEOUT_S='0': write a whole number"),
    "endless time": ({**FIREWORKS, "PLANNER_TIMEOUT_S": "9" * 5_000}, "PLANNER_TIMEOUT_S="),
    "tokens in words": ({**FIREWORKS, "PLANNER_MAX_TOKENS": "many"}, "PLANNER_MAX_TOKENS='many'"),
}


@pytest.mark.parametrize("case", MISSING)
def test_what_is_missing_is_said_at_the_start(case: str) -> None:
    environ, problem = MISSING[case]
    with pytest.raises(ConfigError) as caught:
        open_planner(environ)
    assert problem in str(caught.value)
    assert KEY not in str(caught.value)


def test_an_unpriced_model_may_be_allowed() -> None:
    (model,) = read_models(FIREWORKS | {"FIREWORKS_MODEL": "mine", "PLANNER_ALLOW_UNPRICED": "1"})
    assert model == Model("fireworks_ai/mine", KEY, rates=None, structured=True)


def test_a_planner_that_is_not_set_up_stops_those_who_name_it_alone() -> None:
    planners = PlannerRegistry({"stub": lambda _: "stub", "llm": lambda _: open_planner({})})
    assert "stub" in planners
    assert "oracle" not in planners
    assert ", ".join(planners) == "stub, llm"
    with pytest.raises(ConfigError, match="set FIREWORKS_MODEL"):
        assert "llm" in planners


def test_the_mode_is_known_and_read_late() -> None:
    environment_settings = settings.read({"PLANNER_MODE": "llm"})
    assert environment_settings.planner == "llm"
    with pytest.raises(ConfigError, match="set FIREWORKS_MODEL"):
        wiring.named_planner(environment_settings, "llm")


@pytest.mark.parametrize(
    ("usd", "amount"), [("0", 0), ("1e-12", 1), ("0.000001", 1), ("0.0000010001", 2), ("1.4", 1_400_000)]
)
def test_costs_are_rounded_up(usd: str, amount: int) -> None:
    assert atomic(Decimal(usd)) == amount


def test_prices_are_exact() -> None:
    rates = read_table('{"m": [0.1, 3]}')["m"]
    assert rates.usd(3, 7) == Decimal("0.0000213")
    assert read_table("") == {}


def test_the_dearest_kind_of_token_counts() -> None:
    entry = {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6, "output_cost_per_reasoning_token": 3e-6}
    assert litellm_rates(entry) == Rates(Decimal("1e-6"), Decimal("3e-6"))
    assert litellm_rates({"input_cost_per_token": 0.0, "output_cost_per_token": 0.0}) is None
    assert litellm_rates({"input_cost_per_token": None}) is None


def test_litellm_is_not_imported_before_a_model_is_needed() -> None:
    code = (
        "import sys, gpuagent, gpuagent.settings, gpuagent.cli, gpuagent.adapters.planners.llm.planner as planner\n"
        "gpuagent.settings.read({'PLANNER_MODE': 'llm'})\n"
        "assert not {'litellm', 'openai'} & sys.modules.keys(), 'too early'\n"
        "try: planner.open_planner({'FIREWORKS_MODEL': 'x'})\n"
        "except gpuagent.errors.ConfigError: pass\n"
        "assert 'litellm' in sys.modules, 'the test tests nothing'\n"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300)
    assert (process.returncode, process.stdout, process.stderr) == (0, "", "")


@pytest.mark.parametrize("how", ["by the mode", "by the option"])
def test_a_run_is_not_started_without_a_key(gpuagent: Callable[..., Result], world: World, how: str) -> None:
    option = ("--planner", "llm") if how == "by the option" else ()
    mode = {"PLANNER_MODE": "llm"} if how == "by the mode" else {}
    result = gpuagent("run", "start", "--goal", "x", "--budget", "5", *option, FIREWORKS_MODEL="x", **mode)
    assert (result.exit_code, "set FIREWORKS_API_KEY" in result.stderr) == (2, True)
    assert world.reads.runs() == []
