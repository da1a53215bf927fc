"""The doctor: every check that spends nothing, with what is wrong and what mends it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from urllib.parse import urlsplit

from gpuagent import settings, wiring
from gpuagent.core.networks import BASE, LOCAL
from gpuagent.core.ports.chain import Limits
from gpuagent.core.ports.clock import Clock
from gpuagent.doctor import checks
from gpuagent.doctor.checks import Check, Installation, Status
from gpuagent.errors import ConfigError, GpuAgentError
from gpuagent.settings import Settings
from gpuagent.wiring.database import open_database
from gpuagent.wiring.embedded import embedded_place

FIXES = {
    "wallet": "set up one wallet: `gpuagent wallet --help`, and docs/operating/wallets.md",
    "database": "start it as a replica set, or unset MONGODB_URI to use the embedded one",
    "chain": "check CHAIN_RPC_URL and X402_NETWORK: `gpuagent up` starts a local chain",
}
CHECKS = (checks.policy, checks.files, checks.planner, checks.money, checks.vendors, checks.clocks)


def examine(environ: Mapping[str, str], clock: Clock | None = None) -> Iterator[Check]:
    """Every check, as it is made. One that fails keeps only those that need its part from being made."""
    try:
        installation = Installation(settings.read(environ), clock or wiring.system_clock())
    except ConfigError as error:
        yield Check("configuration", Status.FAILED, str(error), "correct the variable")
        return
    yield _configuration(installation.settings)
    with closing(_Opener(installation)) as opener:
        yield from opener.open_all()
        installation = opener.installation
        for check in CHECKS:
            yield from _results(check, installation)


class _Opener:
    """Opens wallet, database and chain one after the other, and closes what could be opened."""

    def __init__(self, installation: Installation) -> None:
        self.installation, self._stack = installation, ExitStack()

    def close(self) -> None:
        self._stack.close()

    def open_all(self) -> Iterator[Check]:
        for open_part in (self._wallet, self._database, self._chain):
            try:
                yield from open_part()
            except GpuAgentError as error:
                name = open_part.__name__.removeprefix("_")
                yield Check(name, Status.FAILED, str(error), FIXES[name])

    def _wallet(self) -> Iterator[Check]:
        current = self.installation.settings
        payer = wiring.key_source(current).payer()
        self.installation = replace(self.installation, payer=payer.address)
        yield Check("wallet", Status.OK, f"{payer.address}, its key {payer.custody}")
        if payer.kind == "cdp" and not payer.cdp_policies:
            detail = "CDP holds this account to no policy: its API key and wallet secret may sign anything"
            yield Check("wallet policy at CDP", Status.ADVICE, detail, "attach what `gpuagent wallet policy` prints")
        if payer.kind == "key" and current.profile == BASE:
            detail = "the key of real money lies in the environment unencrypted"
            yield Check("wallet key", Status.ADVICE, detail, "`gpuagent wallet import FILE` encrypts it")

    def _database(self) -> Iterator[Check]:
        database = self._stack.enter_context(open_database(self.installation.settings))
        self.installation = replace(self.installation, database=database)
        server = database.reads.server()
        current = self.installation.settings
        where = "MONGODB_URI" if current.mongodb_uri else f"embedded: {embedded_place(current)}"
        kind = f"replica set {server.replica_set}" if server.replica_set else "sharded cluster"
        yield Check("database", Status.OK, f"MongoDB {server.version}, {kind}, database {database.name} ({where})")
        if database.upgrade:
            yield Check("database schema", Status.ADVICE, database.upgrade, "an administrator of MongoDB does it once")

    def _chain(self) -> Iterator[Check]:
        current = self.installation.settings
        for url in current.rpc_urls:
            yield _node(current, url)
        self.installation = replace(self.installation, chain=self._stack.enter_context(wiring.open_chain(current)))
        if len(current.rpc_urls) == 1 and current.profile != LOCAL:
            detail = "one node is believed alone" + ("" if current.environ.get("CHAIN_RPC_URL") else ", a public one")
            yield Check(
                "chain", Status.ADVICE, detail, "name several in CHAIN_RPC_URL, commas between: they must agree"
            )


def _configuration(current: Settings) -> Check:
    deep = f"final {current.confirmations} blocks deep"
    return Check("configuration", Status.OK, f"network {current.profile.name} ({current.network}), {deep}")


def _node(current: Settings, url: str) -> Check:
    """Chain id of a node, the token there down to its domain, and what it answers at once. Shows the host only."""
    name = f"node {urlsplit(url).hostname or url[:8]}"
    try:
        with wiring.open_chain(replace(current, environ={**current.environ, "CHAIN_RPC_URL": url})) as node:
            token, limits = node.token, node.limits()
    except GpuAgentError as error:
        return Check(name, Status.FAILED, str(error), FIXES["chain"])
    detail = f"chain {token.chain_id}; {token.name} {token.version}, its domain as pinned; {_in_words(limits)}"
    if limits.logs_span >= checks.LOGS_SPAN_MIN:
        return Check(name, Status.OK, detail)
    requests = checks.BASE_BLOCKS_A_DAY // limits.logs_span
    detail += f": to read the books of a day on Base takes {requests:,} requests"
    return Check(name, Status.ADVICE, detail, "payments work; a node that shows more at once reads the books sooner")


def _in_words(limits: Limits) -> str:
    blocks = f"logs of {limits.logs_span:,} block{'' if limits.logs_span == 1 else 's'} at once"
    calls = f"{limits.batch} calls a request" if limits.batch > 1 else "no batches"
    return f"{blocks}, {calls}, {'with' if limits.keeps_past else 'without'} past states"


def _results(check: Callable[[Installation], Iterator[Check]], installation: Installation) -> Iterator[Check]:
    """The results of a check; an error that is raised on purpose is a failed check too."""
    try:
        yield from check(installation)
    except GpuAgentError as error:
        yield Check(check.__name__, Status.FAILED, str(error), "see the message")
