"""What is looked at before the first sale: each finding is a sentence, and none costs anything."""

import errno
import os
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import httpx

from seller.config import Config
from seller.database import Database
from seller.errors import BadSetting, ChainError, Unreadable
from seller.home import DATABASE
from seller.opening import bearer, gas, make_folder, open_market, open_runner
from seller.payments.keys import read_key
from seller.payments.till import Till
from seller.serve import listen
from seller.unreadable import existing_database, explained

ASK_S = 5.0
GAS_WEI = 10**14
"""About twenty settlements on Base at a price of 0.05 gwei."""


@dataclass(frozen=True)
class Finding:
    """What was looked at, whether it is well, and what was seen."""

    name: str
    passed: bool
    detail: str


def check(config: Config, environment: Mapping[str, str]) -> list[Finding]:
    """The findings, in the order of a first set-up."""
    looks: dict[str, Callable[[], str]] = {
        "key": lambda: _key(config, environment),
        "market": lambda: _market(config, environment),
        "gas": lambda: _gas(config, environment),
        "bearer": lambda: "asked for" if bearer(config, environment) else "anybody may ask, and buy",
        "folder": lambda: _folder(config.folder),
        "runner": lambda: _runner(config, config.folder / "jobs"),
        "listen": lambda: _listen(config),
    }
    findings = []
    for name, look in looks.items():
        try:
            with explained(config.folder / DATABASE):
                findings.append(Finding(name, True, look()))
        except (BadSetting, ChainError, Unreadable) as error:
            findings.append(Finding(name, False, str(error)))
    return findings


def _key(config: Config, environment: Mapping[str, str]) -> str:
    key = read_key(config.key, environment)
    return f"{key.address} settles, and signs quotes" if key else "none: quotes are not signed"


def _market(config: Config, environment: Mapping[str, str]) -> str:
    market = open_market(config, read_key(config.key, environment))
    Till(market).close()
    settles = market.facilitator_url or "this seller"
    return f"{market.network}, paid with {market.asset} to {config.pay_to}, settled by {settles}"


def _gas(config: Config, environment: Mapping[str, str]) -> str:
    market = open_market(config, read_key(config.key, environment))
    balance = gas(market)
    if balance is None:
        return "paid by the facilitator"
    if balance < GAS_WEI:
        wants = f"send it at least {_ether(GAS_WEI)}, or nothing can be settled"
        raise BadSetting(f"the key has {_ether(balance)} for gas: {wants}")
    with closing(Till(market)) as till:
        if problem := till.gas_problem():
            raise BadSetting(problem)
    return _ether(balance)


def _ether(wei: int) -> str:
    return f"{Decimal(wei) / 10**18:,.6f} ETH"


def _folder(path: Path) -> str:
    """Looks at it and at the database that is there, which is a seller's if its tables can be read."""
    database = existing_database(make_folder(path), DATABASE)
    if not os.access(path, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    if database.exists():
        with closing(Database(database)) as opened:
            opened.totals()
    return str(path)


def _runner(config: Config, folder: Path) -> str:
    runner = open_runner(config, folder)
    try:
        return "; ".join(runner.notices) or f"{config.runner.kind}: it runs jobs"
    finally:
        with suppress(OSError):
            runner.close()


def _listen(config: Config) -> str:
    if serving(config):
        return f"it sells at {config.listen}"
    listen(config.listen).close()
    return f"{config.listen} is free"


def serving(config: Config) -> str:
    """The URL at which this seller serves now; "" where it does not."""
    host, _, port = config.listen.rpartition(":")
    here = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)  # noqa: S104 - what is listened at, to ask there
    url = f"http://{here}:{port}"
    try:
        answer = httpx.get(f"{url}/.well-known/x402", timeout=ASK_S, trust_env=False)
        vendor = answer.json()["gpuagent"]["vendorId"]
    except (httpx.HTTPError, ValueError, LookupError, TypeError):
        return ""
    return url if vendor == config.id else ""
