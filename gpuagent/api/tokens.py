"""Who may ask for what: bearer tokens with roles, read from the environment.

GPUAGENT_API_TOKENS holds NAME=ROLE:TOKEN, several with commas between; a name may have several roles with + between.
read looks; operate starts, ticks and cancels; approve agrees, rejects and cancels; both of these may look as well.
"""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from gpuagent.errors import ConfigError

TOKENS, CRON = "GPUAGENT_API_TOKENS", "CRON_SECRET"
READ, OPERATE, APPROVE, TICK_DUE = "read", "operate", "approve", "tick-due"
ROLES = {
    READ: frozenset({READ}),
    OPERATE: frozenset({READ, OPERATE, TICK_DUE}),
    APPROVE: frozenset({READ, APPROVE}),
}
"""What each role may do."""
TOKEN_MIN = 16
PLATFORMS = ("VERCEL", "AWS_LAMBDA_FUNCTION_NAME", "K_SERVICE", "FUNCTIONS_WORKER_RUNTIME")
"""Variables by which platforms say that they call the server from elsewhere, whatever address it sees."""
_ENTRY = re.compile(r"([A-Za-z0-9._@-]{1,64})=([a-z]+(?:\+[a-z]+)*):([\x21-\x2b\x2d-\x7e]+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Caller:
    """may: what it is allowed to do. name: what its decisions are recorded under."""

    name: str
    may: frozenset[str]

    def decides(self, person: str) -> str:
        """Under which name a decision is recorded: whoever it was made for, the token that made it stays visible."""
        return f"{person} (by {self.name})" if person and person != self.name else self.name


@dataclass(frozen=True, slots=True)
class Tokens:
    """known: callers by their token. hosted: on a platform whose callers are never local."""

    known: Mapping[str, Caller] = field(repr=False)
    hosted: bool = False

    @property
    def any(self) -> bool:
        return bool(self.known)

    def caller(self, token: str) -> Caller | None:
        """Takes the same time whichever tokens are wrong, and wherever they are."""
        found = None
        for known, caller in self.known.items():
            if secrets.compare_digest(known.encode(), token.encode("utf-8", "surrogateescape")):
                found = caller
        return found


def read_tokens(environ: Mapping[str, str]) -> Tokens:
    """Raises ConfigError without showing a token."""
    known: dict[str, Caller] = {}
    for number, entry in enumerate(filter(None, map(str.strip, environ.get(TOKENS, "").split(","))), 1):
        name, roles, token = _parsed(entry, number)
        if token in known:
            raise ConfigError(f"{TOKENS}: entry {number} has the token of another one")
        known[token] = Caller(name, frozenset().union(*(ROLES[role] for role in roles)))
    cron = environ.get(CRON, "")
    if cron:
        if len(cron) < TOKEN_MIN:
            raise ConfigError(f"{CRON} is too short: write {TOKEN_MIN} characters or more")
        if cron in known:
            raise ConfigError(f"{CRON} is a token of {TOKENS} as well: it may do less, so write another")
        known[cron] = Caller("cron", frozenset({TICK_DUE}))
    return Tokens(known, hosted=any(environ.get(name) for name in PLATFORMS))


def _parsed(entry: str, number: int) -> tuple[str, list[str], str]:
    found = _ENTRY.fullmatch(entry)
    if found is None:
        raise ConfigError(f"{TOKENS}: entry {number} is not NAME=ROLE:TOKEN, such as ada=operate+approve:…")
    name, roles, token = found[1], found[2].split("+"), found[3]
    unknown = [role for role in roles if role not in ROLES]
    if unknown:
        raise ConfigError(f"{TOKENS}: {name} has the role {unknown[0]!r}; there are {', '.join(ROLES)}")
    if len(token) < TOKEN_MIN:
        raise ConfigError(f"{TOKENS}: the token of {name} is too short: write {TOKEN_MIN} characters or more")
    return name, roles, token
