"""The models that the environment names, with keys and prices. What is missing is an error here, before any run."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from gpuagent.adapters.planners.llm.call import Model, load_litellm
from gpuagent.adapters.planners.llm.prices import PRICES_FORM, Rates, litellm_rates, read_table
from gpuagent.core.text import SECRET_MIN
from gpuagent.errors import ConfigError

MODELS_MAX = 5
FIREWORKS = "fireworks_ai"
FIREWORKS_KEY = "FIREWORKS_API_KEY"


def read_models(environ: Mapping[str, str]) -> tuple[Model, ...]:
    """The models in the order in which they are asked. Raises ConfigError naming the variable and what to write."""
    table = read_table(environ.get("PLANNER_PRICES", ""))
    base = _api_base(environ)
    return tuple(_model(name, base, table, environ) for name in _names(environ))


def _names(environ: Mapping[str, str]) -> list[str]:
    listed = [name.strip() for name in environ.get("PLANNER_MODEL", "").split(",")]
    names = list(dict.fromkeys(name for name in listed if name))
    if len(names) > MODELS_MAX:
        raise ConfigError(f"PLANNER_MODEL names {len(names)} models: write {MODELS_MAX} at most")
    if names:
        return names
    fireworks = environ.get("FIREWORKS_MODEL", "").strip()
    if not fireworks:
        raise ConfigError(
            "set FIREWORKS_MODEL (such as accounts/fireworks/models/deepseek-v3p2), or PLANNER_MODEL to any model of "
            "litellm (such as openai/gpt-4o-mini; several, comma-separated, are asked in turn)"
        )
    return [fireworks if fireworks.startswith(f"{FIREWORKS}/") else f"{FIREWORKS}/{fireworks}"]


def _api_base(environ: Mapping[str, str]) -> str:
    base = environ.get("PLANNER_API_BASE", "").strip()
    try:
        sound = not base or (urlsplit(base).scheme in ("http", "https") and bool(urlsplit(base).hostname))
    except ValueError:
        sound = False
    if not sound:
        raise ConfigError("PLANNER_API_BASE is no URL: write one like http://127.0.0.1:8000/v1")
    return base


def _model(name: str, base: str, table: Mapping[str, Rates], environ: Mapping[str, str]) -> Model:
    litellm = load_litellm()
    from openai import OpenAIError

    try:
        _, provider, _, _ = litellm.get_llm_provider(model=name)
    except OpenAIError:
        raise ConfigError(
            f"litellm knows no provider for {_described(name)}: write provider/model, such as openai/gpt-4o-mini"
        ) from None
    return Model(
        name=name,
        api_key=_api_key(litellm, name, provider, base, environ),
        api_base=base,
        rates=_rates(litellm, name, table, environ),
        structured=litellm.supports_response_schema(model=name),
    )


def _api_key(litellm: Any, name: str, provider: str, base: str, environ: Mapping[str, str]) -> str:
    """The key to send; "" where the provider needs none, or reads several variables of its own."""
    usual = FIREWORKS_KEY if provider == FIREWORKS else f"{provider.upper()}_API_KEY"
    variable = "PLANNER_API_KEY" if base and environ.get("PLANNER_API_KEY") else usual
    key = environ.get(variable, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise ConfigError(f"{variable} holds characters that no key has: copy the key again")
    if key:
        return key
    missing = litellm.validate_environment(model=name, api_base=base or None)["missing_keys"]
    unset = [variable for variable in missing if not environ.get(variable)]
    if variable in environ or provider == FIREWORKS or usual in unset:
        raise ConfigError(f"set {usual}: the key for {_described(name)}{_or_local(base)}")
    if unset:
        raise ConfigError(f"set {', '.join(unset)}: {_described(name)} needs it")
    return ""


def _described(name: str) -> str:
    """The model for an error: by its name if that is short or litellm's own, as it may be a key in the wrong place."""
    prefix, slash, rest = name.partition("/")
    if name in load_litellm().model_cost or len(rest or name) < SECRET_MIN:
        return f"the model {name!r}"
    provider = f" of {prefix}" if slash and prefix in list(load_litellm().provider_list) else ""
    return f"the model{provider} whose name has {len(name)} characters, in PLANNER_MODEL or FIREWORKS_MODEL"


def _or_local(base: str) -> str:
    return "; or PLANNER_API_KEY for the server at PLANNER_API_BASE, any word if it wants none" if base else ""


def _rates(litellm: Any, name: str, table: Mapping[str, Rates], environ: Mapping[str, str]) -> Rates | None:
    if name in table:
        return table[name]
    try:
        rates = litellm_rates(litellm.get_model_info(model=name))
    except litellm.exceptions.ModelNotMappedError:
        rates = None
    if rates is None and environ.get("PLANNER_ALLOW_UNPRICED") != "1":
        raise ConfigError(
            f"no price is known for {_described(name)}, so its cost could not be charged: write {PRICES_FORM}, or "
            "PLANNER_ALLOW_UNPRICED=1 to let it run uncounted"
        )
    return rates
