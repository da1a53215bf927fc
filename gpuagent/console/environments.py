"""The environment of each visitor's process: what their token lets them do decides what it holds.

Who operates gets all that this process has. Everybody else gets an allow-list: no key, no token of a vendor, and a
MongoDB user that the server itself keeps from writing more than it may.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gpuagent import settings, wiring
from gpuagent.api.tokens import CRON, TOKENS, Caller
from gpuagent.core.networks import is_address
from gpuagent.core.rights import APPROVE, OPERATE, OWNER, READ
from gpuagent.errors import ConfigError
from gpuagent.session import PAGE_LOGIN, PAGE_RIGHTS, PAGE_WALLET, resolved_environment
from gpuagent.wire.child_environment import child_environment
from gpuagent.wiring.database import open_database
from gpuagent.wiring.embedded import embedded_place, practice_folder, start_mongod
from gpuagent.wiring.page_users import APPROVER, READER, excess_rights, page_users

READ_URI, APPROVE_URI = "CONSOLE_READ_MONGODB_URI", "CONSOLE_APPROVE_MONGODB_URI"
URIS = {READER: READ_URI, APPROVER: APPROVE_URI}
PUBLIC = (
    *("CHAIN_RPC_URL", "X402_NETWORK", "X402_ASSET", "X402_ASSET_NAME", "X402_ASSET_VERSION", "X402_CONFIRMATIONS"),
    *("VENDOR_PATIENCE_S", "FILE_STORE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE"),
)
"""What a process needs to look at chain and files. An RPC endpoint may hold the key of a node, which pays nothing."""
WITHHELD = (TOKENS, CRON, READ_URI, APPROVE_URI)
"""Of the server alone: by these others would be let in."""


OWN_USER = Caller("", OWNER.permissions)
"""This machine's own user, where no tokens are configured: may do what the environment may, and says who they are."""


@dataclass(frozen=True, slots=True)
class Environments:
    """Makes the environments. whole: of who operates. uris: of MongoDB, by user. wallet: whose balance is shown."""

    whole: Mapping[str, str] = field(repr=False)
    uris: Mapping[str, str] = field(repr=False)
    database: str
    wallet: str

    def of(self, caller: Caller) -> dict[str, str]:
        """The environment of a caller's process."""
        whole = {name: value for name, value in self.whole.items() if name not in WITHHELD}
        if caller == OWN_USER:
            return {name: value for name, value in whole.items() if name not in (PAGE_LOGIN, PAGE_RIGHTS)}
        permissions = caller.permissions & {READ, OPERATE, APPROVE}
        own = {PAGE_LOGIN: caller.name, PAGE_RIGHTS: "+".join(sorted(permissions))}
        if OPERATE in permissions:
            return {**whole, **own}
        uri = self.uris[user_of(caller)]
        variables = {"MONGODB_URI": uri, "MONGODB_DB_NAME": self.database, PAGE_WALLET: self.wallet}
        return {**child_environment(self.whole, *PUBLIC), **variables, **own}


def user_of(caller: Caller) -> str:
    """The MongoDB user that the process of a caller who does not operate comes as."""
    return APPROVER if APPROVE in caller.permissions else READER


@contextmanager
def open_environments(environ: Mapping[str, str], callers: tuple[Caller, ...]) -> Iterator[Environments]:
    """The environments of these callers, with all that is embedded running until the block ends.

    Raises ConfigError, also where a caller who does not operate could write more than they may; MongodError.
    """
    users = {user_of(caller) for caller in callers if OPERATE not in caller.permissions}
    with resolved_environment(environ) as environment, _located(environ, environment) as (whole, folder):
        values = settings.read(whole)
        with open_database(values) as db:
            uris = {user: whole[URIS[user]] for user in users if whole.get(URIS[user])}
            if folder and users - set(uris):
                uris = {**page_users(db, folder), **uris}
            for user in users:
                _check_user(user, uris, whole, db.name)
            yield Environments(whole, uris, db.name, _wallet(whole, values) if users else "")


@contextmanager
def _located(
    environ: Mapping[str, str], environment: Mapping[str, str]
) -> Iterator[tuple[dict[str, str], Path | None]]:
    """The environment with a MongoDB in it, and the embedded server's folder; None where the user has another."""
    if environ.get("MONGODB_URI"):
        yield dict(environment), None
    elif environment.get("MONGODB_URI"):
        yield dict(environment), practice_folder() / "mongod"
    else:
        folder = embedded_place(settings.read(environment)).folder
        with start_mongod(folder) as server:
            yield {**environment, "MONGODB_URI": server.uri}, folder


def _check_user(user: str, uris: Mapping[str, str], environ: Mapping[str, str], database: str) -> None:
    """Raises ConfigError where there is no such MongoDB user, or it may do more than the role needs."""
    variable, may = URIS[user], "read" if user == READER else "read and decide about runs"
    advice = f"docs/operating/console.md says how to make one that may only {may} the database {database!r}"
    if user not in uris:
        raise ConfigError(f"set {variable}: a token of {TOKENS} is for one who may not operate; {advice}")
    limited = {**environ, "MONGODB_URI": uris[user], "MONGODB_DB_NAME": database}
    with open_database(settings.read(limited)) as db:
        if excess := excess_rights(db, user):
            raise ConfigError(f"the MongoDB user of {variable} may do more than {may} ({excess}): {advice}")


def _wallet(environ: Mapping[str, str], values: settings.Settings) -> str:
    """The address of the wallet that pays: as the environment says, or else of its key."""
    address = environ.get(PAGE_WALLET, "")
    if not address:
        return wiring.key_source(values).payer().address
    if not is_address(address):
        raise ConfigError(f"{PAGE_WALLET} is no address: write 0x and 40 hex digits")
    return address
