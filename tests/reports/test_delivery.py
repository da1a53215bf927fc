"""What runs with a job file delivered: the cost of a result, hours bought twice, what resuming saved; by hand below.

run  user  started       jobs paid
T    ada   12 Nov 09:00  alpha 1 h 1.40 lost at 50 %, beta 0.53 h 0.95 from its checkpoint at 47 %, completed
U    bob   13 Nov 09:00  alpha 2 h 2.60 completed; a job of 2 h
V    bob   14 Nov 09:00  alpha 1 h 1.40 completed; no job file
W    ada   15 Nov 09:00  alpha 1 h 1.40 the program failed; the run failed
"""

import json
import re
from typing import Any

import pytest
from bson import Decimal128, ObjectId

from gpuagent.core.model import Run
from gpuagent.core.money import parse_usd
from gpuagent.errors import BadInput
from gpuagent.reports import exports, sections
from gpuagent.reports.charts import delivery as charts
from gpuagent.reports.charts.style import Picture
from gpuagent.reports.frames import frame
from gpuagent.reports.tables import Cell, Table
from tests.conftest import SafetyNote
from tests.support import delivered_run, report_history
from tests.support.report_history import ALPHA, BETA, LOST, OVER, completed, failed

EVIL = '"><script>alert(1)</script>'


def write(book: report_history.Book, database: Any) -> Run:
    """The four runs; the first of them."""
    first = book.settled(ALPHA, "1.40", "2026-11-12T09:01", failed("2026-11-12T09:32", "t1", 50))
    second = book.settled(BETA, "0.95", "2026-11-12T09:34", completed("2026-11-12T10:06", "t2"), hours="0.53")
    run = book.run("T", "ada", "2026-11-12T09:00", "5", first, second, ended="2026-11-12T10:06", **OVER)
    whole = book.settled(ALPHA, "2.60", "2026-11-13T09:01", completed("2026-11-13T11:00", "u1"), hours="2")
    long = book.run("U", "bob", "2026-11-13T09:00", "5", whole, ended="2026-11-13T11:00", **OVER)
    plain = book.settled(ALPHA, "1.40", "2026-11-14T09:01", completed("2026-11-14T10:00", "v1"))
    book.run("V", "bob", "2026-11-14T09:00", "5", plain, ended="2026-11-14T10:00", **OVER)
    program = book.settled(ALPHA, "1.40", "2026-11-15T09:01", failed("2026-11-15T09:30", "w1", 90))
    lost = book.run("W", "ada", "2026-11-15T09:00", "5", program, ended="2026-11-15T09:30", **LOST)
    for workload in (run, long, lost):
        database.runs.update_one({"_id": ObjectId(workload.run_id)}, {"$set": {"workloadHash": "f" * 64}})
    database.runs.update_one({"_id": ObjectId(long.run_id)}, {"$set": {"maxHours": 2.0}})
    work = delivered_run.resumed_job(ObjectId(second.job_id), ObjectId(first.job_id))
    files = [*delivered_run.lost_job(ObjectId())["files"], *work["files"]]
    resumed = {"resumedFrom": work["resumedFrom"], "hoursSaved": Decimal128("0.47")}
    job = {"files": files, "exitCode": 0, "index": 3, **resumed}
    database.jobs.update_one({"vendorJobId": "t2"}, {"$set": job})
    for name, hedges in (("t2", first.job_id), ("w1", plain.job_id)):
        database.jobs.update_one({"vendorJobId": name}, {"$set": {"hedges": ObjectId(hedges)}})
    database.jobs.update_one({"vendorJobId": "w1"}, {"$set": {"fault": "program", "exitCode": 1}})
    database.jobs.update_one({"vendorJobId": "u1"}, {"$set": {"artifactUrl": "https://vendor.example/u1/model"}})
    return run


def test_the_cost_of_a_result_what_was_bought_twice_and_what_resuming_saved(
    own_book: tuple[report_history.Book, Any],
) -> None:
    book, database = own_book
    run = write(book, database)
    report = report_history.report(book.db)
    dear, resumed = report.delivered.itertuples()
    assert (resumed.runId, resumed.jobs, resumed.cost) == (run.run_id, 2, parse_usd("2.35"))
    assert (resumed.hours, resumed.boughtHours, resumed.twiceHours, resumed.savedHours) == (1.0, 1.53, 0.53, 0.47)
    assert resumed.saved == 842_453, "0.95 USD for 0.53 h, times 0.47 h"
    assert [file["path"] for file in resumed.outputs] == list(delivered_run.CONTENTS), "outputs, and no checkpoint"
    assert (dear.jobs, dear.cost, dear.twiceHours, dear.saved) == (1, parse_usd("2.60"), 0.0, 0)
    headlines = {headline.name: headline.now for headline in report.headlines}
    assert headlines["Cost of a delivered result"] == parse_usd("2.475")
    assert (headlines["Hours bought twice"], headlines["Saved by resuming"]) == (0.53, 842_453)
    hedges = [headlines[name] for name in ("Late jobs hedged", "Cost of hedges", "Hedges that won")]
    assert hedges == [2, parse_usd("2.35"), 1], "0.95 that won, and 1.40 that failed"
    beta = report_history.report(book.db, vendor=BETA)
    assert beta.delivered.cost.tolist() == [parse_usd("2.35")], "a result's cost is that of all its jobs"
    nothing = {headline.name: headline.now for headline in report_history.report(book.db, "2020").headlines}
    assert nothing["Cost of a delivered result"] is None


def test_the_section_shows_hours_files_and_the_artifact(own_book: tuple[report_history.Book, Any]) -> None:
    book, database = own_book
    write(book, database)
    report = report_history.report(book.db)
    picture, table = sections.delivered(report).parts
    assert isinstance(picture, Picture)
    assert picture == charts.delivered(report.delivered)
    assert "needed 1 h, bought 0.53 h twice, saved 0.47 h, for 2.35 USD" in picture.alt
    page = table.html()
    model = delivered_run.stored(delivered_run.CONTENTS, "output")[0]
    assert f'title="SHA-256 {model["sha256"]}">model.npz, 160.0&nbsp;kB' in page
    assert 'rel="noopener noreferrer">vendor.example</a>' in page
    assert "/api/runs/" not in page
    linked = sections.delivered(report_history.report(book.db, server="https://gpu.example:8000/")).parts[1].html()
    address = f"https://gpu.example:8000/api/runs/{book.runs['T'].run_id}/files"
    assert f'<a href="{address}/model.npz" rel="noopener noreferrer">model.npz</a>' in linked
    assert f'href="{address}/out/sample.txt"' in linked
    with pytest.raises(BadInput, match=r"write it like https://gpuagent\.example"):
        report_history.report(book.db, server="javascript:alert(1)")


def test_exports_have_fault_exit_code_and_outputs(own_book: tuple[report_history.Book, Any]) -> None:
    book, database = own_book
    write(book, database)
    purchases = exports.tables(report_history.report(book.db))["purchases"].set_index("vendorJobId")
    program, resumed = purchases.loc["w1"], purchases.loc["t2"]
    assert (program.fault, program.exitCode, purchases.loc["v1"].exitCode) == ("program", "1", "")
    assert (resumed.hoursSaved, resumed.resumedFraction, str(resumed.saved)) == (0.47, 0.47, "0.842453")
    assert resumed.resumedFrom in book.runs["T"].jobs[0].job_id
    outputs = json.loads(resumed.outputs)
    assert [file["path"] for file in outputs] == list(delivered_run.CONTENTS)
    assert (purchases.loc["v1"].outputs, resumed.outputCount) == ("", 3)
    assert (resumed.jobIndex, program.jobIndex) == ("3", ""), "a run with one job numbers none"
    assert (resumed.hedges, purchases.loc["v1"].hedges) == (book.runs["T"].jobs[0].job_id, "")
    charges = exports.text(report_history.report(book.db), "focus")
    assert charges.splitlines()[0].endswith("x_TransactionId,x_HedgedJobId")
    assert sum(line.endswith(f",{resumed.hedges}") for line in charges.splitlines()) == 1, "of its hedge alone"
    assert list(purchases.columns)[-2:] == ["jobIndex", "hedges"], "older columns keep their places"


def files_and_links(rows: list[dict[str, Any]]) -> str:
    """The cells of these files and addresses, as HTML."""
    columns = {"outputs": ("files", Cell.FILES), "artifactUrl": ("artifact", Cell.LINK)}
    return Table("T", frame(rows, {"outputs": "object", "artifactUrl": "str"}), columns, "none").html()


@pytest.mark.safety("a report on files and artifact addresses that are markup, or run a script when they are clicked")
def test_hostile_names_in_a_report(safety_note: SafetyNote) -> None:
    (file,) = delivered_run.stored({EVIL: b"x"}, "output")
    addresses = (
        f"https://x/{EVIL}",
        "javascript:alert(1)",
        f"https://{EVIL}",
        "http://plain.example/",
        "data:text/html,x",
    )
    page = files_and_links([{"outputs": [file], "artifactUrl": address} for address in addresses])
    assert "<script" not in page
    assert re.findall(r'href="(\w+):', page) == ["https"]
    assert ">x</a>" in page
    safety_note("names and addresses shown as text; only an https address becomes a link, which names its host")


def test_few_of_many_files_are_named() -> None:
    (file,) = delivered_run.stored({"a": b"x"}, "output")
    page = files_and_links([{"outputs": [file] * 9, "artifactUrl": ""}])
    assert page.count("SHA-256") == 5
    assert "and 4 more" in page
