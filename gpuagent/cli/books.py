"""`gpuagent books`: the ledger of one run, or of all runs, held against the chain."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gpuagent.cli.common import EXIT_OTHER, AsJson, console, errors_explained, open_database, print_json

if TYPE_CHECKING:
    from gpuagent.core.ports import Node
    from gpuagent.wiring import Database


def books(
    run_id: Annotated[str, typer.Argument(help="The run's id; or --all.")] = "",
    all_runs: Annotated[bool, typer.Option("--all", help="Every run and transfer of every wallet.")] = False,
    repair: Annotated[bool, typer.Option("--repair", help="With --all: mend the ledger where it is provable.")] = False,
    from_block: Annotated[
        int | None, typer.Option(min=0, help="With --all: look from an earlier block than the first run's.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check ledgers against the chain. Exits with 1 if they differ."""
    from gpuagent import settings, wiring

    if bool(run_id) == all_runs:
        raise typer.BadParameter("name one run, or --all")
    if run_id and (repair or from_block is not None):
        raise typer.BadParameter("--repair and --from-block go with --all; one run is repaired by `gpuagent run tick`")
    with errors_explained(), open_database() as db, wiring.open_chain(settings.read()) as chain:
        audit = _audit_all(db, chain, repair, from_block) if all_runs else _audit_run(run_id, db, chain)
        if as_json:
            print_json(audit.as_json)
        else:
            console().print(audit.table)
        if not audit.balanced:
            raise typer.Exit(EXIT_OTHER)


@dataclass(frozen=True, slots=True)
class _Audit:
    """The outcome of an audit, for programs and for a terminal."""

    balanced: bool
    as_json: dict[str, Any]
    table: Any


def _audit_run(run_id: str, db: "Database", chain: "Node") -> _Audit:
    from gpuagent.books.audit import audit
    from gpuagent.render.as_json import books_json
    from gpuagent.render.books import books_table

    result = audit(db.store.load(run_id), db.reads.recorded(run_id), chain, chain.token)
    return _Audit(result.balanced, {"run": run_id, **books_json(result)}, books_table(result))


def _audit_all(db: "Database", chain: "Node", repairing: bool, from_block: int | None) -> _Audit:
    """Every run of every wallet, and every transfer out of them. repairing: mend what is provable, look again."""
    from gpuagent.books.repair import Sources, repair
    from gpuagent.books.sweep import sweep
    from gpuagent.render.as_json import sweep_json
    from gpuagent.render.books import sweep_table
    from gpuagent.wiring import system_clock

    result = sweep(chain, db.ledgers, from_block)
    repairs = repair(result.findings, Sources(db.store, db.ledgers, chain, system_clock())) if repairing else ()
    if repairs:
        result = sweep(chain, db.ledgers, from_block)
    return _Audit(result.balanced, sweep_json(result, repairs), sweep_table(result, repairs))
