"""The secrets of the environment, taken out of everything that an assistant is shown."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from gpuagent.alerts.delivery import CHANNELS
from gpuagent.api.tokens import TOKENS
from gpuagent.wire.credentials import url_secrets
from gpuagent.wire.scrub import SECRET, Scrubber

_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASS|CREDENTIAL|AUTH|MNEMONIC|SEED|SIGNATURE|COOKIE", re.IGNORECASE)
_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^\s,]+", re.IGNORECASE)


def secrets_of(environ: Mapping[str, str], names: Iterable[str] = ()) -> dict[str, str]:
    """The secrets that the variables hold, by what stands in their place.

    A variable counts by its name; one with URLs, by what in them looks like a key. names: further variables that hold
    one, such as vendors' tokens.
    """
    secrets: dict[str, str] = {}
    variables = set(names)
    for name, value in environ.items():
        if name == TOKENS:
            secrets |= {entry.strip().rpartition(":")[2]: SECRET for entry in value.split(",")}
        elif name in variables or _SECRET_NAME.search(name):
            secrets[value.strip()] = SECRET
        for url in _URL.findall(value):
            secrets |= url_secrets(url)
            if name == CHANNELS and "." not in (place := url.split("://")[1].split("/")[0]):
                secrets[place] = SECRET  # no host, but the token of a chat, such as Telegram's
    return secrets


def scrubbed(value: Any, scrubber: Scrubber) -> Any:
    """The JSON value without a secret in any of its texts."""
    match value:
        case str():
            return scrubber.scrub(value)
        case list() | tuple():
            return [scrubbed(item, scrubber) for item in value]
        case dict():
            return {scrubbed(key, scrubber): scrubbed(item, scrubber) for key, item in value.items()}
    return value
