"""The section on what runs with a job file delivered."""

from typing import Any
from urllib.parse import quote

from gpuagent.reports.charts import delivery as charts
from gpuagent.reports.page import ReportSection
from gpuagent.reports.report import Report
from gpuagent.reports.tables import Cell, Table


def delivered(report: Report) -> ReportSection:
    """The cost of each delivered result, what was bought twice for it, and what resuming saved."""
    columns = {
        "runId": ("run", Cell.ID),
        "goal": ("goal", Cell.TEXT),
        "jobs": ("jobs paid", Cell.COUNT),
        "hours": ("hours needed", Cell.HOURS),
        "twiceHours": ("bought twice", Cell.HOURS),
        "savedHours": ("saved", Cell.HOURS),
        "cost": ("cost, USD", Cell.BOTH),
        "saved": ("saved, USD", Cell.AMOUNT),
        "outputs": ("files", Cell.FILES),
        "artifactUrl": ("artifact", Cell.LINK),
    }
    empty = "No run of this period that has a job file has completed yet."
    results = report.overview.delivered.assign(outputs=_with_links(report))
    total = report.overview.now.counts["delivered"]
    table = Table("Dearest first", results, columns, empty, report.display, total)
    note = (
        "Runs of this period that have a job file and completed. Needed: the hours of the job file; what was bought "
        "beyond them was paid for before and lost. Saved: what would have been bought besides without checkpoints, at "
        "the price of the job that went on. The command gpuagent run files RUN fetches the files."
    )
    return ReportSection(
        "Delivered results", note, [report.charts.picture(charts.delivered, report.overview.delivered), table]
    )


def _with_links(report: Report) -> list[Any]:
    """The outputs of each result, each with the address where the request's server gives it to a browser."""
    server = report.request.server.rstrip("/")
    return [
        [
            {**file, "url": f"{server}/api/runs/{row.runId}/files/{quote(file['path'])}" if server else ""}
            for file in row.outputs
        ]
        for row in report.overview.delivered.itertuples()
    ]
