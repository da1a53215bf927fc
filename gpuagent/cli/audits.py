"""What `gpuagent books` holds against the chain: one run, or all that a database knows."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpuagent.adapters.agreeing_chain import Node
    from gpuagent.adapters.mongo_store import MongoStore


@dataclass(frozen=True, slots=True)
class Audited:
    balanced: bool
    as_json: dict[str, Any]
    shown: Any


def audit_run(run_id: str, store: "MongoStore", chain: "Node") -> Audited:
    from gpuagent.books import audit
    from gpuagent.show import books_json, books_table

    found = audit(store.load(run_id), store.recorded(run_id), chain, chain.token)
    return Audited(found.balanced, {"run": run_id, **books_json(found)}, books_table(found))


def audit_all(store: "MongoStore", chain: "Node") -> Audited:
    """Every run of every wallet that ever signed for the token, and every transfer out of those wallets since."""
    from gpuagent.books import audit, sweep
    from gpuagent.show import sweep_table

    differences, transfers, amount = [], 0, 0
    token = chain.token
    for payer, from_block in store.payers(token.network, token.address).items():
        for run_id in store.run_ids(payer):
            found = audit(store.load(run_id), store.recorded(run_id), chain, token)
            differences += [f"run {run_id}: {difference}" for difference in found.differences]
        on_chain = chain.transfers(payer, from_block)
        differences += sweep(store.settled(payer, token.network, token.address), on_chain)
        transfers, amount = transfers + len(on_chain), amount + sum(one.amount for one in on_chain)
    summary = {"transfers": transfers, "amount": str(amount), "differences": differences}
    return Audited(
        not differences, {**summary, "balanced": not differences}, sweep_table(transfers, amount, differences)
    )
