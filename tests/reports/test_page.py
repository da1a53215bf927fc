"""The page and its charts: nothing is loaded from anywhere, texts cannot break out, every chart says its figures."""

import io
from html.parser import HTMLParser
from typing import Any

import pytest
from PIL import Image

from gpuagent.render.palette import BLACK, VENDORS, text_on, vendor_colours, vendor_marks
from gpuagent.reports import exports, sections
from gpuagent.reports.charts import money as charts
from gpuagent.reports.charts import work as charts_of_work
from gpuagent.reports.charts.style import Picture, label, marks
from gpuagent.reports.figures import reliability, runs, spend
from gpuagent.reports.report import Asked, Report, make
from tests.support import bulk_runs as many
from tests.support import report_history as seeded
from tests.support.factories import TOKEN
from tests.support.report_history import ALPHA, BETA, GAMMA

SIZE_MAX = 2_000_000
LOADING = ("src", "href", "action", "data", "poster", "srcset", "background", "formaction", "xlink:href", "ping")


class Links(HTMLParser):
    """What a page refers to, which pictures have words, and which texts it shows."""

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
def november(book: seeded.Book) -> Report:
    return seeded.report(book.db)


@pytest.fixture(scope="module")
def page(book: seeded.Book) -> str:
    return exports.html(seeded.report(book.db))


@pytest.fixture
def nothing(book: seeded.Book) -> Report:
    return seeded.report(book.db, "2020")


def assert_offline(page: str) -> Links:
    found = Links(page)
    assert all(one.startswith(("#", "data:image/png;base64,")) for one in found.references), found.references
    assert not {"link", "iframe", "object", "embed", "script", "base"} & set(found.tags)
    assert "url(" not in page
    assert "@import" not in page
    assert len(page.encode()) < SIZE_MAX
    return found


def test_the_page_stands_alone(page: str) -> None:
    found = assert_offline(page)
    assert all(found.alts)
    assert len(found.alts) == 7
    told = " ".join(found.texts)
    for words in ("11.43 USD", "29.8%", "2 h 01 min", "gpu_vendor_3", "worse than advertised", "Not checked"):
        assert words in told


def test_every_section_is_linked(page: str) -> None:
    anchors = [one for one in Links(page).references if one.startswith("#")]
    assert len(set(anchors)) == len(sections.ALL)
    assert all(f'<section id="{one[1:]}">' in page for one in anchors)


def test_a_page_of_nothing_says_so(nothing: Report) -> None:
    told = " ".join(assert_offline(exports.html(nothing)).texts)
    for words in ("0.00 USD", "No vendor was paid", "has ended", "No purchase fell through"):
        assert words in told


def test_texts_of_others_cannot_break_the_page(own_book: tuple[seeded.Book, Any]) -> None:
    book, database = own_book
    evil = "<script>alert(1)</script> $x^{$ \"'><img src=http://x.example/> 日本 \x00 {0} %s"
    database.runs.update_many({}, {"$set": {"goal": evil, "userId": evil}})
    database.jobs.update_many({"status": "failed"}, {"$set": {"errorMessage": evil}})
    database.vendors.update_one({"vendorId": GAMMA}, {"$set": {"name": evil}})
    found = assert_offline(exports.html(seeded.report(book.db)))
    assert any("<script>alert(1)</script>" in text for text in found.texts)
    assert label(evil, 30).startswith("<script>")


def pictures(report: Report) -> dict[str, Picture]:
    found = [part for make in sections.ALL for part in make(report).parts if isinstance(part, Picture)]
    return {one.title: one for one in found}


ALTS = {
    "What the money bought": ("11.43 USD", "successful jobs 6.20 USD (54.2%)", "failed jobs 3.40 USD", "planner 0.03"),
    "Spend by vendor per day": (f"{BETA} 5.40 USD", f"{ALPHA} 4.00 USD", "Most in the day of 2026-11-02", "3.23 USD"),
    "What an hour that succeeded cost, by vendor and GPU": (
        f"{ALPHA} A100 2.00 USD, without its failed jobs 1.30 USD",
    ),
    "Money on failed jobs, by cause": ("3.40 USD in all", "2.00 USD in 1 jobs"),
    "Reliability: advertised, and learned from jobs (95 % interval)": (f"{GAMMA} advertises 99%", "worse than"),
    "Time from start to success": ("2 runs succeeded", "median 2 h 01 min", "longest 2 h 02 min"),
    "Budgets as they burnt down": ("6.77 USD left of 10.00 USD (SUCCESS)", "1.00 USD left of 4.00 USD (FAILED)"),
}


def test_a_charts_words_name_its_figures(november: Report) -> None:
    found = pictures(november)
    assert set(found) == set(ALTS)
    for title, words in ALTS.items():
        for one in words:
            assert one in found[title].alt, title


def test_a_picture_is_a_png_and_carries_its_words_into_a_notebook(november: Report) -> None:
    for one in pictures(november).values():
        image = Image.open(io.BytesIO(one.png))
        assert (image.format, image.width) == ("PNG", 990)
        bundle, metadata = one._repr_mimebundle_()
        assert one.alt in metadata["image/png"]["alt"]
        assert one.alt in bundle["text/plain"]


def test_empty_charts_say_why(nothing: Report) -> None:
    told = {one.title: one.alt for one in pictures(nothing).values()}
    assert told.pop("Reliability: advertised, and learned from jobs (95 % interval)").count("no job yet") == 3
    assert all(words.startswith(("Nothing", "No ")) for words in told.values()), told


def colours(picture: Picture) -> set[str]:
    image = Image.open(io.BytesIO(picture.png)).convert("RGB")
    found = image.getcolors(image.width * image.height) or []
    return {f"#{red:02X}{green:02X}{blue:02X}" for count, (red, green, blue) in found if count > 40}


def test_a_vendor_has_one_colour_in_every_chart(november: Report) -> None:
    colour = vendor_colours([ALPHA, BETA, GAMMA])
    only = november.paid[november.paid.vendorId == BETA]
    table, word = spend.over_time(only, november.decisions.head(0), november.period)
    trust = reliability.reliability(november.frames.vendors, november.frames.outcomes)
    drawn = [
        charts.spend_over_time(table, word, november.marks, november.period, november.made_at),
        charts.cost_per_hour(spend.per_hour(only), november.marks),
        charts_of_work.reliability(trust[trust.vendorId == BETA], november.marks),
    ]
    for picture in drawn:
        assert {one for one in colours(picture) if one in VENDORS and one != BLACK} == {colour[BETA]}, picture.title
    wasted = charts.waste_by_cause(spend.waste(november.paid), november.marks)
    assert {one for one in colours(wasted) if one in VENDORS and one != BLACK} == {colour[ALPHA], colour[GAMMA]}


def test_the_palette_tells_vendors_apart() -> None:
    names = [f"vendor {place}" for place in range(64)]
    found = vendor_marks([*names, *names])
    assert len({(mark.colour, mark.hatch) for mark in found.values()}) == 64
    assert len({(mark.colour, mark.marker) for mark in found.values()}) == 64
    assert len(set(vendor_colours(names[:8]).values())) == 8
    assert vendor_colours(names)["vendor 3"] == vendor_colours(names[:4])["vendor 3"]
    assert (text_on("#000000"), text_on("#FFFFFF"), text_on("#F0E442")) == ("#FFFFFF", "#000000", "#000000")
    assert marks([])["a stranger"].colour not in VENDORS


def test_the_registry_is_in_the_order_of_registration(own_book: tuple[seeded.Book, Any]) -> None:
    book, _ = own_book
    first = book.db.reads.vendor_ids()
    (vendor, *_) = seeded.vendors()
    book.store.put_vendor(vendor, seeded.seconds("2026-12-01T00:00"))  # changes its record only
    assert first == (ALPHA, BETA, GAMMA) == book.db.reads.vendor_ids()


def test_one_run(own_book: tuple[seeded.Book, Any]) -> None:
    book, database = own_book
    for name in ("runs", "jobs", "payments", "observations"):
        database[name].delete_many({})
    job = book.bought(ALPHA, "1.40", "2026-11-05T10:00", seeded.completed("2026-11-05T11:00", "one"))
    book.run("one", "ada", "2026-11-05T09:59", "5", job, ended="2026-11-05T11:00", **seeded.OVER)
    for period in ("2026-11", "2026-11-05", "all", "30d", "2026", "720h"):
        report = seeded.report(book.db, period)
        assert (report.headlines[0].now, len(report.paid)) == (1_400_000, 1), period
        drawn = sections.spending(report).parts
        assert [isinstance(one, Picture) and "1.40 USD" in one.alt for one in drawn] == [True, True, False]
    assert_offline(exports.html(report))
    assert len(runs.times_to_success(report.started, report.frames.purchases)) == 1


def test_ten_thousand_runs(own_book: tuple[seeded.Book, Any]) -> None:
    book, database = own_book
    for name in ("runs", "jobs", "payments", "observations"):
        database[name].delete_many({})
    many.write(database, made := many.runs(10_000, list(seeded.ADVERTISED)))
    report = make(Asked("all"), book.db, TOKEN.network, seeded.seconds(seeded.NOW))
    figures = {one.name: one.now for one in report.headlines}
    assert figures["Spent"] == 10_000 * many.PRICE
    assert figures["Wasted on failed jobs"] == 1_000 * many.PRICE
    assert figures["Runs completed, of those that ended"] == 0.9
    assert book.store.load(made[17].run_id) == made[17]  # in the store's own format
    told = " ".join(assert_offline(exports.html(report)).texts)
    assert "The first 250 of 10,000 rows" in told
