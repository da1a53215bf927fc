"""The new column is in page, CSV and Parquet, and adds up to what the report calls failed."""

import os

from gpuagent.core.money import usd
from gpuagent.reports import exports
from gpuagent.reports.exports.csv_text import csv_pieces
from gpuagent.reports.figures import spend
from tests.support import report_history

with report_history.empty_database(os.environ["MONGODB_URI"], "gpuagent_recipe") as (store, database):
    report = report_history.report(report_history.write(store, database).db)
    lost = report.paid.lost.sum()
    assert lost == spend.composition(report.paid, report.decisions)[spend.JobResult.FAILED] > 0
    assert report.paid.lost.dtype == "int64"
    assert "of it lost, USD" in exports.html(report)
    purchases = exports.tables(report)["purchases"]
    assert "lost" in "".join(csv_pieces(iter([purchases]))).splitlines()[0].split(",")
    assert purchases.lost.sum() >= usd(int(lost)), "the file has unpaid purchases of the period, too"
