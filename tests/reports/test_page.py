"""The page of a report: nothing is loaded from anywhere, and no text can break out."""

from html.parser import HTMLParser
from typing import Any

import pytest

from gpuagent.core import budget
from gpuagent.core.money import UNIT
from gpuagent.reports import exports, sections
from gpuagent.reports.charts.style import Picture, label
from gpuagent.reports.figures import runs
from gpuagent.reports.report import Report, make_report
from gpuagent.reports.request import ReportRequest
from tests.support import big_history, report_history
from tests.support.factories import TOKEN
from tests.support.report_history import ALPHA, BETA, GAMMA

SIZE_MAX = 2_000_000
RUNS = 1_000
LOADING = ("src", "href", "action", "data", "poster", "srcset", "background", "formaction", "xlink:href", "ping")


class PageContent(HTMLParser):
    """The references of a page, its tags, the alternative texts of its pictures, and its texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.references: list[str] = []
        self.tags: list[str] = []
        self.alts: list[str] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.references += [value or "" for name, value in attrs if name in LOADING]
        if tag == "img":
            self.alts.append(dict(attrs).get("alt") or "")

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture
def november(book: report_history.Book) -> Report:
    return report_history.report(book.db)


@pytest.fixture(scope="module")
def page(book: report_history.Book) -> str:
    return exports.html(report_history.report(book.db))


@pytest.fixture
def empty_report(book: report_history.Book) -> Report:
    return report_history.report(book.db, "2020")


def assert_offline(page: str) -> PageContent:
    content = PageContent(page)
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in content.references), content.references
    assert not {"link", "iframe", "object", "embed", "script", "base"} & set(content.tags)
    assert "url(" not in page
    assert "@import" not in page
    assert len(page.encode()) < SIZE_MAX
    return content


def test_the_page_stands_alone(page: str) -> None:
    content = assert_offline(page)
    assert all(content.alts)
    assert len(content.alts) == 8
    text = " ".join(content.texts)
    for phrase in ("11.43 USD", "29.8%", "2 h 01 min", "gpu_vendor_3", "worse than advertised", "Not checked"):
        assert phrase in text


def test_the_deterministic_planner_is_shown_as_rules_and_exported_as_stub(book: report_history.Book) -> None:
    report = report_history.report(book.db)
    texts = PageContent(exports.html(report)).texts
    assert "rules" in texts
    assert "stub" not in texts
    assert "stub" in exports.tables(report)["runs"].planner.tolist()


def test_every_section_is_linked(page: str) -> None:
    anchors = [link for link in PageContent(page).references if link.startswith("#")]
    assert len(set(anchors)) == len(sections.ALL)
    assert all(f'<section id="{anchor[1:]}">' in page for anchor in anchors)


def test_an_empty_page_says_so(empty_report: Report) -> None:
    text = " ".join(assert_offline(exports.html(empty_report)).texts)
    for phrase in ("0.00 USD", "No vendor was paid", "has ended", "No purchase fell through"):
        assert phrase in text


def test_an_untrusted_text_cannot_break_the_page(own_book: tuple[report_history.Book, Any]) -> None:
    book, database = own_book
    evil = "<script>alert(1)</script> $x^{$ \"'><img src=http://x.example/> 日本 \x00 {0} %s"
    database.runs.update_many({}, {"$set": {"goal": evil, "userId": evil}})
    database.jobs.update_many({"status": "failed"}, {"$set": {"errorMessage": evil}})
    database.vendors.update_one({"vendorId": GAMMA}, {"$set": {"name": evil}})
    content = assert_offline(exports.html(report_history.report(book.db)))
    assert any("<script>alert(1)</script>" in text for text in content.texts)
    assert label(evil, 30).startswith("<script>")


def test_the_registry_is_in_the_order_of_registration(own_book: tuple[report_history.Book, Any]) -> None:
    book, _ = own_book
    first = book.db.reads.vendor_ids()
    (vendor, *_) = report_history.vendors()
    book.store.put_vendor(vendor, report_history.seconds("2026-12-01T00:00"))  # changes its record only
    assert first == (ALPHA, BETA, GAMMA) == book.db.reads.vendor_ids()


def test_a_page_of_a_single_run_is_whole(own_book: tuple[report_history.Book, Any]) -> None:
    book, database = own_book
    for name in ("runs", "jobs", "payments", "observations"):
        database[name].delete_many({})
    job = book.settled(ALPHA, "1.40", "2026-11-05T10:00", report_history.completed("2026-11-05T11:00", "one"))
    book.run("one", "ada", "2026-11-05T09:59", "5", job, ended="2026-11-05T11:00", **report_history.OVER)
    for period in ("2026-11", "2026-11-05", "all", "30d", "2026", "720h"):
        report = report_history.report(book.db, period)
        assert (report.headlines[0].now, len(report.paid)) == (1_400_000, 1), period
        parts = sections.spending(report).parts
        assert [isinstance(part, Picture) and "1.40 USD" in part.alt for part in parts] == [True, True, False]
    assert_offline(exports.html(report))
    assert len(runs.times_to_success(report.started, report.frames.purchases)) == 1


def test_thousands_of_runs(own_book: tuple[report_history.Book, Any]) -> None:
    book, database = own_book
    for name in ("runs", "jobs", "payments", "observations", "vendors"):
        database[name].delete_many({})
    big_history.write(database, RUNS)
    report = make_report(ReportRequest("all"), book.db, TOKEN.network, report_history.seconds(report_history.NOW))
    figures = {headline.name: headline.now for headline in report.headlines}
    runs_written = list(database.runs.find({}, {"settled": 1, "plannerCost": 1}))
    spent = sum(run["settled"].to_decimal() + run["plannerCost"].to_decimal() for run in runs_written)
    assert figures["Spent"] == spent * UNIT
    assert figures["Runs started"] == RUNS
    assert report.attention.empty  # the records agree with each other
    loaded = book.store.load(str(runs_written[17]["_id"]))  # in the store's own format
    assert budget.settled(loaded) == runs_written[17]["settled"].to_decimal() * UNIT
    text = " ".join(assert_offline(exports.html(report)).texts)
    assert f"The first 250 of {len(report.paid):,} rows" in text
