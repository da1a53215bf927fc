"""What `gpuagent books` holds against the chain: one run, or all that a database knows."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpuagent.core.ports import Node
    from gpuagent.wiring import Database


@dataclass(frozen=True, slots=True)
class Audited:
    balanced: bool
    as_json: dict[str, Any]
    shown: Any


def audit_run(run_id: str, db: "Database", chain: "Node") -> Audited:
    from gpuagent.books.audit import audit
    from gpuagent.render.as_json import books_json
    from gpuagent.render.books import books_table

    found = audit(db.store.load(run_id), db.reads.recorded(run_id), chain, chain.token)
    return Audited(found.balanced, {"run": run_id, **books_json(found)}, books_table(found))


def audit_all(db: "Database", chain: "Node", repairing: bool, from_block: int | None) -> Audited:
    """Every run of every wallet, and every transfer out of them. repairing: mend what is provable, look again."""
    from gpuagent.books.repair import Sources, repair
    from gpuagent.books.sweep import sweep
    from gpuagent.render.as_json import sweep_json
    from gpuagent.render.books import sweep_table
    from gpuagent.wiring import system_clock

    found = sweep(chain, db.ledgers, from_block)
    repaired = repair(found.findings, Sources(db.store, db.ledgers, chain, system_clock())) if repairing else ()
    if repaired:
        found = sweep(chain, db.ledgers, from_block)
    return Audited(found.balanced, sweep_json(found, repaired), sweep_table(found, repaired))
