"""Money that comes back: transfers into the agent's wallet, real ones and such that only a node shows."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from eth_abi.abi import encode
from eth_account import Account
from eth_hash.auto import keccak

from gpuagent.core.credits import Credit, CreditKind
from gpuagent.core.model import Run, Settled
from gpuagent.core.records import Incoming
from gpuagent.wire.eip3009 import TRANSFER_TOPIC
from tests.support.world import World


def send_back(world: World, sender: str, amount: int) -> str:
    """A plain transfer of the token into the wallet, from a vendor's account; its transaction."""
    call = encode(["address", "uint256"], [world.ports.wallet.address, amount])
    data = "0x" + (keccak(b"transfer(address,uint256)")[:4] + call).hex()
    receipt = world.market.mined(world.ports.wallet.token.address, data, sender)
    assert receipt["status"] == "0x1"
    return str(receipt["transactionHash"])


def send_another_token(world: World, sender: str, amount: int) -> str:
    """A transfer that another contract logs, of what it calls USDC as well: anyone can write such a log."""
    contract = Account.create().address
    words = [f"{amount:064x}", *(name[2:].lower().rjust(64, "0") for name in (world.ports.wallet.address, sender))]
    value, wallet, payee = words
    code = f"0x7f{value}6000527f{wallet}7f{payee}7f{TRANSFER_TOPIC[2:]}60206000a300"
    world.market.rpc("anvil_setCode", contract, code)
    return str(world.market.mined(contract, "0x", sender)["transactionHash"])


def paid_job(run: Run) -> Settled:
    """The first job of a run that was paid."""
    return next(job for job in run.jobs if isinstance(job, Settled))


def says(run: Run, kind: CreditKind, amount: int, transaction: str = "") -> Credit:
    """A vendor's word about the run's paid job."""
    job = paid_job(run)
    return Credit(
        job.quote.vendor_id, run.run_id, job.job_id, run.payer, kind, amount, str(amount), transaction=transaction
    )


@dataclass
class ChainWith:
    """A node that shows these transfers into wallets, beside what the one behind it shows."""

    inner: Any
    transfers: tuple[Incoming, ...] = ()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def incoming(self, wallet: str, first: int, last: int) -> Iterator[Incoming]:
        yield from self.inner.incoming(wallet, first, last)
        for transfer in self.transfers:
            if transfer.wallet == wallet.lower() and first <= transfer.block_number <= last:
                yield transfer
