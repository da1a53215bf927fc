"""`gpuagent books`: the ledger of one run, or of all runs, held against the chain; and what a user books by hand."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gpuagent.cli.common import EXIT_OTHER, AsJson, By, console, errors_explained, open_database, print_json, user_name
from gpuagent.errors import BadInput

if TYPE_CHECKING:
    from gpuagent.books.repair import Sources
    from gpuagent.core.ports.chain import Node
    from gpuagent.wiring.database import Database


def books(
    run_id: Annotated[str, typer.Argument(help="The run's id; or --all.")] = "",
    all_runs: Annotated[bool, typer.Option("--all", help="Every run and transfer of every wallet.")] = False,
    repair: Annotated[bool, typer.Option("--repair", help="With --all: mend the ledger where it is provable.")] = False,
    adopt: Annotated[
        str, typer.Option(metavar="NONCE", help="Book a payment that the chain proves and the ledger does not know.")
    ] = "",
    write_off: Annotated[
        str, typer.Option(metavar="JOB", help="Book as spent what a job's payment moved on other terms than recorded.")
    ] = "",
    why: Annotated[str, typer.Option(help="Why it is adopted or written off, which is recorded.")] = "",
    by: By = "",
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
    if sum(map(bool, (repair, adopt, write_off))) > 1 or (write_off and all_runs):
        raise typer.BadParameter("one of --repair, --adopt and --write-off; the last goes with the run's id")
    if (why or by) and not (adopt or write_off):
        raise typer.BadParameter("--why and --by go with --adopt and --write-off")
    with errors_explained(), open_database() as db, wiring.open_chain(settings.read()) as chain:
        sources = _sources(db, chain)
        lines = [_book(run_id, adopt, write_off, by, why, sources, from_block)] if adopt or write_off else []
        audit = _audit_all(sources, repair, from_block) if all_runs else _audit_run(run_id, db, chain)
        _note(db, run_id or "all", audit)
        if as_json:
            print_json({**audit.as_json, **({"said": lines[0]} if lines else {})})
        else:
            console().print(*lines, audit.table, sep="\n")
        if not audit.balanced:
            raise typer.Exit(EXIT_OTHER)


@dataclass(frozen=True, slots=True)
class _Audit:
    """The outcome of an audit, for programs and for a terminal."""

    balanced: bool
    as_json: dict[str, Any]
    table: Any
    differences: tuple[str, ...]
    unassigned: tuple[str, ...] = ()
    """Transfers from vendors that wait for a user."""


def _book(run_id: str, nonce: str, job_id: str, by: str, why: str, sources: "Sources", from_block: int | None) -> str:
    """Adopt the payment of the nonce, or write off the job's; what was booked, in words."""
    from gpuagent.books.adopt import adopt
    from gpuagent.books.write_off import write_off

    if not why.strip():
        raise BadInput("say why it is booked, once you have looked into it: --why WHY")
    name = user_name(by)
    if nonce:
        run = adopt(nonce, run_id, name, why, sources, from_block)
        return f"adopted into run {run.run_id}, by {name}: {why}"
    run = write_off(run_id, job_id, name, why, sources)
    return f"written off in run {run.run_id}, by {name}: {why}"


def _note(db: "Database", scope: str, audit: _Audit) -> None:
    """Write down for alerts and inbox what was seen. Whose database user may only read has checked all the same."""
    from gpuagent.errors import StoreError

    try:
        db.outbox.note_books(scope, audit.differences)
        if scope == "all":
            db.inbox.note_refunds(audit.unassigned, db.outbox.now())
    except StoreError as error:
        typer.echo(f"gpuagent: no alert was written of this, and the inbox does not show it: {error}", err=True)


def _sources(db: "Database", chain: "Node") -> "Sources":
    from gpuagent.books.repair import Sources
    from gpuagent.wiring import system_clock

    return Sources(db.store, db.ledgers, chain, system_clock())


def _audit_run(run_id: str, db: "Database", chain: "Node") -> _Audit:
    from gpuagent.books.audit import audit
    from gpuagent.render.as_json import books_json
    from gpuagent.render.books import books_table

    result = audit(db.store.load(run_id), db.reads.recorded(run_id), chain, chain.token)
    payments = db.reads.documents(run_id)["payments"]
    differences = result.differences or ("its sum is not what was transferred",)
    return _Audit(
        result.balanced,
        {"run": run_id, **books_json(result, payments)},
        books_table(result, payments),
        () if result.balanced else differences,
    )


def _audit_all(sources: "Sources", repairing: bool, from_block: int | None) -> _Audit:
    """Every run of every wallet, and every transfer out of them. repairing: mend what is provable, look again."""
    from gpuagent.books.findings import Kind
    from gpuagent.books.repair import repair
    from gpuagent.books.sweep import sweep
    from gpuagent.render.as_json import sweep_json
    from gpuagent.render.books import sweep_table

    result = sweep(sources.chain, sources.ledgers, from_block)
    repairs = repair(result.findings, sources) if repairing else ()
    if repairs:
        result = sweep(sources.chain, sources.ledgers, from_block)
    return _Audit(
        result.balanced,
        sweep_json(result, repairs),
        sweep_table(result, repairs),
        tuple(f"{finding.kind}: {finding.text}" for finding in result.findings if finding.differs),
        tuple(finding.text for finding in result.findings if finding.kind is Kind.UNASSIGNED),
    )
