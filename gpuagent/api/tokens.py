"""Bearer tokens with roles, read from the environment: who may ask for what.

GPUAGENT_API_TOKENS holds NAME=ROLE:TOKEN, several with commas between; a name may have several roles with + between.
read looks; operate starts, ticks and cancels; own does so with the runs of its own name; approve agrees, rejects and
cancels. All of these may look as well.
"""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from gpuagent.core.rights import APPROVE, OPERATE, OWN, READ
from gpuagent.core.text import shown
from gpuagent.errors import BadInput, ConfigError, NotPermitted
from gpuagent.settings import Environment

TOKENS, CRON = "GPUAGENT_API_TOKENS", "CRON_SECRET"
TICK_DUE = "tick-due"
ROLES = {
    READ: frozenset({READ}),
    OPERATE: frozenset({READ, OPERATE, TICK_DUE}),
    OWN: frozenset({READ, OWN}),
    APPROVE: frozenset({READ, APPROVE}),
}
"""What each role may do."""
TOKEN_MIN = 16
PLATFORMS = ("VERCEL", "AWS_LAMBDA_FUNCTION_NAME", "K_SERVICE", "FUNCTIONS_WORKER_RUNTIME")
"""Variables by which platforms say that they call the server from elsewhere, whatever address it sees."""
_ENTRY = re.compile(r"([A-Za-z0-9._@-]{1,64})=([a-z]+(?:\+[a-z]+)*):([\x21-\x2b\x2d-\x7e]+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Caller:
    """The owner of a token. name: what its decisions are recorded under, and the user of what is its own."""

    name: str
    permissions: frozenset[str]

    def user_of_start(self, user_id: str) -> str:
        """The user of a run that the caller starts: a budget of a user is not left by another name.

        user_id: as the caller says, or "". Raises NotPermitted, BadInput.
        """
        if not user_id and OPERATE in self.permissions:
            raise BadInput("userId: say whose run it is")
        self.check_run(user_id or self.name)
        return user_id or self.name

    def check_run(self, user_id: str) -> None:
        """Raises NotPermitted for the run of another user, unless the caller operates all."""
        if user_id != self.name and OPERATE not in self.permissions:
            raise NotPermitted(f"{self.name} may do this with runs of its own alone: those whose userId is {self.name}")

    def recorded_name(self, approver: str) -> str:
        """The name that a decision is recorded under: it always shows the token that the request came with."""
        return f"{approver} (by {self.name})" if approver and approver != self.name else self.name


@dataclass(frozen=True, slots=True)
class Tokens:
    """The callers by their token. hosted: on a platform whose callers are never local."""

    callers: Mapping[str, Caller] = field(repr=False)
    hosted: bool = False

    def caller(self, token: str) -> Caller | None:
        """The token's owner, or None. Takes the same time whichever tokens are wrong, and wherever they differ."""
        owner = None
        for secret, caller in self.callers.items():
            if secrets.compare_digest(secret.encode(), token.encode("utf-8", "surrogateescape")):
                owner = caller
        return owner


def read_tokens(environ: Mapping[str, str]) -> Tokens:
    """The tokens of GPUAGENT_API_TOKENS and CRON_SECRET. Raises ConfigError, which shows no token."""
    environ = Environment(environ)
    callers: dict[str, Caller] = {}
    for number, entry in enumerate(filter(None, map(str.strip, environ.get(TOKENS, "").split(","))), 1):
        name, roles, token = _parse_entry(entry, number)
        if token in callers:
            raise ConfigError(f"{TOKENS}: entry {number} has the token of another one")
        callers[token] = Caller(name, frozenset().union(*(ROLES[role] for role in roles)))
    cron = environ.get(CRON, "")
    if cron:
        if len(cron) < TOKEN_MIN:
            raise ConfigError(f"{CRON} is too short: write {TOKEN_MIN} characters or more")
        if cron in callers:
            raise ConfigError(f"{CRON} is a token of {TOKENS} as well: it may do less, so write another")
        callers[cron] = Caller("cron", frozenset({TICK_DUE}))
    return Tokens(callers, hosted=any(environ.get(name) for name in PLATFORMS))


def _parse_entry(entry: str, number: int) -> tuple[str, list[str], str]:
    match = _ENTRY.fullmatch(entry)
    if match is None:
        raise ConfigError(f"{TOKENS}: entry {number} is not NAME=ROLE:TOKEN, such as ada=operate+approve:…")
    name, roles, token = match[1], match[2].split("+"), match[3]
    unknown = [role for role in roles if role not in ROLES]
    if unknown:
        raise ConfigError(f"{TOKENS}: entry {number} has the role {shown(unknown[0])}; there are {', '.join(ROLES)}")
    if len(token) < TOKEN_MIN:
        raise ConfigError(f"{TOKENS}: the token of entry {number} is too short: write {TOKEN_MIN} characters or more")
    return name, roles, token
