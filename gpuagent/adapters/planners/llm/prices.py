"""Prices of a model's tokens: the owner's table, or litellm's map. Never a price of nothing by mistake.

litellm's completion_cost() is not asked: it goes by the model's name in the server's answer, and gives 0 for a
Fireworks model whose name it does not find (1.106).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Any

from gpuagent.core.money import UNIT
from gpuagent.errors import ConfigError
from gpuagent.wire import strict_json

MILLION = Decimal(1_000_000)
USD_PER_MILLION_MAX = Decimal(1_000_000)
PRICES_FORM = "PLANNER_PRICES='{\"MODEL\": [USD per million prompt tokens, USD per million completion tokens]}'"


@dataclass(frozen=True, slots=True)
class Rates:
    """USD a token."""

    prompt: Decimal
    completion: Decimal

    def usd(self, prompt: int, completion: int) -> Decimal:
        """The cost of so many tokens, exact."""
        return prompt * self.prompt + completion * self.completion


FREE = Rates(Decimal(0), Decimal(0))


def atomic(cost: Decimal) -> int:
    """USD in atomic units, rounded up: nothing is free because it is small."""
    return int((cost * UNIT).to_integral_value(ROUND_CEILING))


def read_table(text: str) -> Mapping[str, Rates]:
    """PLANNER_PRICES: model -> rates. Raises ConfigError."""
    if not text:
        return {}
    try:
        table = strict_json.parse(text.encode())
    except ValueError as error:
        raise ConfigError(f"PLANNER_PRICES is not JSON ({error}): write {PRICES_FORM}") from error
    if not isinstance(table, Mapping):
        raise ConfigError(f"PLANNER_PRICES is no object: write {PRICES_FORM}")
    return {model: _rates(model, prices) for model, prices in table.items()}


def litellm_rates(entry: Mapping[str, Any]) -> Rates | None:
    """The rates in one entry of litellm's map, the dearest kind of token each; None where it says 0 or nothing."""
    prompt = Decimal(str(entry.get("input_cost_per_token") or 0))
    completion = max(
        Decimal(str(entry.get(name) or 0)) for name in ("output_cost_per_token", "output_cost_per_reasoning_token")
    )
    return Rates(prompt, completion) if prompt > 0 and completion > 0 else None


def _rates(model: str, prices: Any) -> Rates:
    numbers = prices if isinstance(prices, list) else []
    sound = [
        Decimal(number) / MILLION
        for number in numbers
        if isinstance(number, int | Decimal) and not isinstance(number, bool) and 0 <= number <= USD_PER_MILLION_MAX
    ]
    if len(numbers) != 2 or len(sound) != 2:
        raise ConfigError(f"PLANNER_PRICES: {model} has no two prices of 0 or more: write {PRICES_FORM}")
    return Rates(*sound)
