"""`gpuagent report`: what was spent, on what, and what of it was wasted; as a page, tables, a journal or FOCUS."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpuagent.cli.common import AsJson, errors_explained, print_json
from gpuagent.cli.process import loading
from gpuagent.errors import BadInput, ConfigError, StoreError

if TYPE_CHECKING:
    from gpuagent.reports.figures.headlines import Headline
    from gpuagent.reports.report import Report

STDOUT = "-"
EXTENSIONS = {"html": ".html", "journal": "-journal.csv", "focus": "-focus.csv", "csv": "", "parquet": ""}


def report(
    period: Annotated[
        str, typer.Option(help="30d, 24h, 2026, 2026-Q4, 2026-11, 2026-11-22, FIRST..LAST, all.")
    ] = "30d",
    user: Annotated[str, typer.Option(help="Only this user's runs.")] = "",
    tag: Annotated[str, typer.Option(help="Only runs with this tag.")] = "",
    vendor: Annotated[str, typer.Option(help="Only what was bought from this vendor.")] = "",
    by: Annotated[
        str, typer.Option(help="In the page: spend by vendor, user, tag, gpu or planner, in a table and over time.")
    ] = "vendor",
    form: Annotated[str, typer.Option("--format", help="html, csv, parquet, focus or journal.")] = "html",
    out: Annotated[
        str, typer.Option(help="A file; for csv and parquet a folder; -: stdout. Default: gpuagent-report-PERIOD...")
    ] = "",
    currency: Annotated[str, typer.Option(help="Shown beside USD in the page, such as EUR; with --rate.")] = "",
    rate: Annotated[str, typer.Option(help="What 1 USD is in that currency, such as 0.92.")] = "",
    server: Annotated[str, typer.Option(help="In the page: a gpuagent server that the names of files link to.")] = "",
    chain: Annotated[
        bool, typer.Option(help="In the page: hold the ledger against the chain, if there is one.")
    ] = True,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="In the page: add up every run anew, whatever earlier reports have kept.")
    ] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Write no page, but add up and draw beforehand what the next one shows.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Report what was spent, wasted and learned: one offline page, tables, a double-entry journal or FOCUS 1.2."""
    with errors_explained(), ExitStack() as until_end:
        if form not in EXTENSIONS:
            raise BadInput(f"no format {form!r}; there are: {', '.join(EXTENSIONS)}")
        if out == STDOUT and (as_json or not EXTENSIONS[form]):
            raise BadInput(f"--out -: {'--json goes there already' if as_json else f'{form} is a folder of files'}")
        try:
            with loading():
                from gpuagent.reports import exports
                from gpuagent.reports.report import opened_report
                from gpuagent.reports.request import ReportRequest
                from gpuagent.wiring.database import load_reports

                load_reports()
        except ModuleNotFoundError as error:
            raise ConfigError(f"reports need {error.name}: pip install 'gpuagent[reports]'") from error

        from gpuagent.render.progress import counted_rows

        request = ReportRequest(period, user, tag, vendor, currency, rate, server, by)
        if form != "html" and request.by != ReportRequest().by:
            raise BadInput(f"--by {by} groups the page alone, and {form} has each purchase: leave --by out")
        if keep and (form != "html" or out or as_json):
            raise BadInput("--keep writes no file and prints no figures: leave --format, --out and --json out")
        held_to_chain = chain and form == "html" and not keep
        finished = until_end.enter_context(opened_report(request, chain=held_to_chain, fresh=fresh))
        if finished.nothing:
            typer.echo(finished.nothing, err=True)
        if out == STDOUT:
            with counted_rows("reading") as counter:
                for piece in exports.pieces(replace(finished, count=counter.add), form, counter.add):
                    typer.echo(piece, nl=False)
            return
        if keep:
            with counted_rows("adding up") as counter:
                _keep(replace(finished, count=counter.add))
            return
        path = Path(out or f"gpuagent-report-{finished.period.label}{EXTENSIONS[form]}")
        with counted_rows(f"writing {path}") as counter:
            finished = replace(finished, count=counter.add)
            files = exports.write(finished, form, path, counter.add)
            headlines = finished.headlines if as_json else [finished.headlines[0] if form == "html" else finished.spent]
        _print_summary(finished, headlines, files, as_json)


def _keep(report: "Report") -> None:
    """Make the page for what is kept of it. Raises StoreError where the database takes nothing."""
    from gpuagent.reports import exports

    exports.html(report)
    if unkept := report.overview.unkept:
        raise StoreError(
            f"{unkept} parts of the report could not be kept: name a user of MongoDB that has the role readWrite"
        )
    typer.echo(f"{report.period.description}: kept; the next page reads what has changed since")


def _print_summary(report: "Report", headlines: list["Headline"], files: list[Path], as_json: bool) -> None:
    """Print the headlines and the spend by group as JSON, or the spend as one line; and the files written."""
    if as_json:
        lines = [
            {"name": line.name, "unit": line.unit, "now": _json_value(line.now), "before": _json_value(line.before)}
            for line in headlines
        ]
        groups = [
            {name: value if name in ("group", "jobs") else _json_value(value) for name, value in row.items()}
            for row in report.groups.astype("object").where(report.groups.notna(), None).to_dict("records")
        ]
        print_json(
            {
                "period": report.period.description,
                "headlines": lines,
                "by": report.request.by,
                "groups": groups,
                "files": [str(path) for path in files],
            }
        )
        return
    spent = headlines[0]
    change = f" ({spent.change})" if spent.change else ""
    typer.echo(f"{report.period.description}: {spent.text(report.display)} spent{change}")
    for path in files:
        typer.echo(path)


def _json_value(value: object) -> object:
    """Amounts in atomic units and rates as strings, as everywhere in JSON here; shares and times as numbers."""
    return value if value is None or isinstance(value, float) else str(value)
