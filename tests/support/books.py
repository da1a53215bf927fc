"""Helpers for `books --all`: the wallet used behind the agent's back, and sources that change while they are read."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from eth_abi.abi import encode
from eth_account import Account
from eth_hash.auto import keccak

from gpuagent.books.findings import Finding, Kind
from gpuagent.books.repair import Sources, repair
from gpuagent.books.sweep import Sweep, sweep
from gpuagent.core.model import Authorization, Run
from tests.support.other_payer import OtherPayer
from tests.support.world import World

OTHER_PAYEE = "0x" + "9" * 40
CALL_BYTES = 4 + 9 * 32
"""Length of a call to transferWithAuthorization."""


class OwnWalletPayer(OtherPayer):
    """A payer other than the agent who holds the key of the agent's own wallet."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.account = Account.from_key(world.environment["X402_PRIVATE_KEY"])
        self.token = world.ports.wallet.token

    def transfer(self, payee: str, amount: int) -> None:
        """A plain transfer, sent and paid for by the wallet itself."""
        market, address = self.world.market, self.account.address
        market.rpc("anvil_setBalance", address, hex(10**18))
        data = keccak(b"transfer(address,uint256)")[:4] + encode(["address", "uint256"], [payee, amount])
        unsigned = {
            "to": self.token.address,
            "data": "0x" + data.hex(),
            "gas": 200_000,
            "gasPrice": int(market.rpc("eth_gasPrice"), 16) * 2,
            "nonce": int(market.rpc("eth_getTransactionCount", address, "latest"), 16),
            "chainId": self.token.chain_id,
        }
        raw = self.account.sign_transaction(unsigned).raw_transaction.to_0x_hex()
        transaction = market.rpc("eth_sendRawTransaction", raw)
        market.rpc("evm_mine")
        assert market.rpc("eth_getTransactionReceipt", transaction)["status"] == "0x1"

    def settle_together(self, *authorizations: Authorization) -> None:
        """Settle two authorizations in one transaction, by a contract that only passes both calls on."""
        collector = CallCollector(self.world)
        for authorization in authorizations:
            collector.settle(authorization)
        contract = Account.create().address
        self.world.market.rpc("anvil_setCode", contract, forwarder(self.token.address))
        market = self.world.market
        sender, data = market.rpc("eth_accounts")[0], "0x" + "".join(collector.calls)
        # With the gas given: an estimate would find enough for the outer call alone.
        call = {"from": sender, "to": contract, "data": data, "gas": hex(1_000_000)}
        market.rpc("eth_sendTransaction", call)
        market.rpc("evm_mine")


class CallCollector(OwnWalletPayer):
    """A payer whose calls are collected instead of sent."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.calls: list[str] = []

    def _send(self, name: str, types: str, values: list[Any]) -> None:
        self.calls.append((keccak(f"{name}({types})".encode())[:4] + encode(types.split(","), values)).hex())


def forwarder(token: str) -> str:
    """EVM code: copy the call data, then CALL the token with its first and its second CALL_BYTES."""
    size = f"61{CALL_BYTES:04x}"
    calls = "".join(f"60006000{size}61{start:04x}600073{token[2:]}5af150" for start in (0, CALL_BYTES))
    return f"0x366000600037{calls}00"


class Interrupted:
    """The inner object, with an action before the first call of one method."""

    def __init__(self, inner: Any, method: str, action: Callable[[], object]) -> None:
        self._inner, self._method, self._action = inner, method, action

    def __getattr__(self, name: str) -> Any:
        if name == self._method:
            self._method = ""
            self._action()
        return getattr(self._inner, name)


def sweep_world(world: World, **changes: Any) -> Sweep:
    """Sweep the world's wallet. changes: chain, ledgers and from_block instead of the world's."""
    arguments = {"chain": world.chain, "ledgers": world.database.ledgers, "from_block": None, **changes}
    return sweep(arguments["chain"], arguments["ledgers"], arguments["from_block"])


def repair_world(world: World, report: Sweep, **changes: Any) -> tuple[Finding, ...]:
    """Repair what a sweep has found. changes: other sources than the world's."""
    sources = Sources(world.store, world.database.ledgers, world.chain, world.market.clock)
    return repair(report.findings, replace(sources, **changes))


def kinds(report: Sweep) -> list[Kind]:
    return [finding.kind for finding in report.findings]


def pending(world: World, fault: str = "never_settle") -> Run:
    """A run whose payment is out and unused."""
    world.market.fault("gpu_vendor_1", fault)
    run = world.tick(world.start(vendor_ids=("gpu_vendor_1",)))
    if fault == "never_settle":
        world.market.heal()
    return run


def outlive_quote(world: World, run: Run) -> None:
    """Turn the clocks until the quote of the run's last job has expired by the chain's."""
    remaining_s = run.jobs[-1].quote.expires_at - world.chain.final().time
    world.market.pass_by_vendors(max(0, remaining_s) + 1)


def assert_repaired_once(world: World, report: Sweep) -> None:
    """Check that a repair mends all findings, and that a second one changes nothing."""
    assert repair_world(world, report) == report.findings
    after = sweep_world(world)
    assert after.balanced
    assert after.findings == ()
    assert after.moved == after.settled
    runs = world.reads.runs()
    assert repair_world(world, report) == ()
    assert world.reads.runs() == runs
