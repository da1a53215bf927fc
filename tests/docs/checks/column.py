"""The new column is in the page, with what failed jobs cost, and adds up to what the report calls wasted."""

import os

from gpuagent.reports.exports import html
from gpuagent.reports.figures import spend
from tests.support import report_history

assert "wasted" in spend.BY_VENDOR
with report_history.empty_database(os.environ["MONGODB_URI"], "gpuagent_recipe") as (store, database):
    report = report_history.report(report_history.write(store, database).db)
    vendors = spend.by_vendor(report.paid)
    parts = spend.composition(report.paid, report.decisions)
    assert vendors.wasted.sum() == parts[spend.JobResult.FAILED] > 0
    assert vendors.wasted.dtype == "int64"
    assert "of it failed, USD" in html(report)
