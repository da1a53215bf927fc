"""Transfers of a wallet that no ledger claims, and the save by which a user books one."""

from collections.abc import Callable

from gpuagent.books.findings import ChainActivity, Mismatch, compare
from gpuagent.books.repair import TRIES, Sources
from gpuagent.books.sweep import activity_of, payments_of
from gpuagent.core import budget
from gpuagent.core.events import PaymentAdopted, PaymentVoided
from gpuagent.core.model import Authorization, Run, Transfer
from gpuagent.core.money import show_usd
from gpuagent.core.observations import observations_of
from gpuagent.core.ports.chain import Open, Void
from gpuagent.core.records import PayerRecord, Spent
from gpuagent.core.transitions import apply
from gpuagent.errors import BadInput, BudgetExceeded, StaleRun


def unknown_payment(nonce: str, sources: Sources, from_block: int | None) -> tuple[PayerRecord, Spent, Transfer]:
    """The wallet that used the nonce, and the one transfer by it that no ledger knows. Raises BadInput."""
    for wallet in sources.ledgers.wallets(sources.chain.token):
        activity, _ = unclaimed_activity(wallet, sources, from_block)
        spent = activity.unknown_nonces().get(nonce)
        if spent is None:
            continue
        transfers = set(activity.unclaimed_in(spent.transaction))
        if spent.cancelled:
            raise BadInput(f"nonce {nonce} was cancelled by {spent.transaction}: nothing was paid, nothing is to adopt")
        if len(transfers) != 1:
            raise BadInput(
                f"{spent.transaction} holds {len(transfers)} different transfers that no ledger knows: which of them "
                "is this nonce's, the chain's log alone does not prove"
            )
        return wallet, spent, transfers.pop()
    raise BadInput(
        f"no wallet of this ledger shows nonce {nonce} as used, at a final block and unknown to the ledger: "
        "`gpuagent books --all` lists those that are; `--all --adopt` with `--from-block` looks earlier"
    )


def moved_instead(job_id: str, signed: Authorization, sources: Sources) -> Transfer | None:
    """The one transfer that the nonce made on other terms than the signed ones; None where the chain shows none."""
    for wallet in sources.ledgers.wallets(sources.chain.token):
        if wallet.payer == signed.payer:
            activity, mismatches = unclaimed_activity(wallet, sources)
            transactions = [mismatch.transaction for mismatch in mismatches if mismatch.payment.job_id == job_id]
            transfers = {transfer for name in transactions for transfer in activity.unclaimed_in(name)}
            return transfers.pop() if len(transfers) == 1 else None
    return None


def unclaimed_activity(
    wallet: PayerRecord, sources: Sources, from_block: int | None = None
) -> tuple[ChainActivity, list[Mismatch]]:
    """The wallet's activity without what its ledgers know of; and the payments whose nonce moved something else."""
    _, final, activity = activity_of(wallet, sources.chain, from_block)
    compared = [
        compare(payment, activity, final) for payment in payments_of(wallet.payer, sources.chain.token, sources.ledgers)
    ]
    return activity, [mismatch for mismatch in compared if isinstance(mismatch, Mismatch)]


def undecided(outcome: Open | Void, signed: Authorization) -> str:
    """Why an authorization is not settled, in words."""
    if isinstance(outcome, Void):
        return f"{outcome.reason} on chain"
    return f"it can still be taken until the chain's clock passes {signed.valid_before} and that block is final"


def book(run_id: str, event_of: Callable[[Run], PaymentAdopted | PaymentVoided], sources: Sources) -> Run:
    """The run with the event, saved once; beside live ticks it is made anew of the newer run."""
    for _ in range(TRIES):
        run = sources.store.load(run_id)
        event = event_of(run)
        try:
            return sources.store.save(run, apply(run, event), observations_of(run, event), sources.clock.now())
        except StaleRun:
            continue
        except BudgetExceeded as error:
            raise BadInput(
                f"run {run_id} has {show_usd(budget.available(run))} left, less than the payment: "
                f"`gpuagent run cancel {run_id}` releases what it only holds, then try again"
            ) from error
    raise StaleRun(f"run {run_id} is ticked all the while: try again")
