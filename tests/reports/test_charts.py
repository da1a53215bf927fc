"""The charts of a report: every chart names its figures in its text, and a vendor looks the same in all of them."""

import html
import io

import pytest
from PIL import Image

from gpuagent.render.palette import BLACK, VENDORS, text_on, vendor_colours, vendor_marks
from gpuagent.reports import sections
from gpuagent.reports.charts import money as money_charts
from gpuagent.reports.charts import work as work_charts
from gpuagent.reports.charts.style import Picture, marks
from gpuagent.reports.figures import reliability, spend
from gpuagent.reports.report import Report
from tests.support import report_history
from tests.support.report_history import ALPHA, BETA, GAMMA


@pytest.fixture
def november(book: report_history.Book) -> Report:
    return report_history.report(book.db)


def pictures(report: Report) -> dict[str, Picture]:
    parts = [part for section in sections.ALL for part in section(report).parts]
    return {part.title: part for part in parts if isinstance(part, Picture)}


ALTS = {
    "What the money bought": ("11.43 USD", "successful jobs 6.20 USD (54.2%)", "failed jobs 3.40 USD", "planner 0.03"),
    "Spend by vendor per day": (f"{BETA} 5.40 USD", f"{ALPHA} 4.00 USD", "Most in the day of 2026-11-02", "3.23 USD"),
    "Cost of a successful GPU hour, by vendor and GPU": (f"{ALPHA} A100 2.00 USD, without its failed jobs 1.30 USD",),
    "GPU hours of delivered results": ("No run of this period that has a job file has completed yet.",),
    "Money on failed jobs, by cause": ("3.40 USD in all", "2.00 USD in 1 job;"),
    "Reliability: advertised, and learned from jobs (95 % interval)": (f"{GAMMA} advertises 99%", "worse than"),
    "Time from start to success": ("2 runs succeeded", "median 2 h 01 min", "longest 2 h 02 min"),
    "Budgets as they burnt down": ("6.77 USD left of 10.00 USD (SUCCESS)", "1.00 USD left of 4.00 USD (FAILED)"),
}


def test_a_charts_text_names_its_figures(november: Report) -> None:
    charts = pictures(november)
    assert set(charts) == set(ALTS)
    for title, figures in ALTS.items():
        for figure in figures:
            assert figure in charts[title].alt, title


def test_a_picture_is_a_png_and_carries_its_text_into_a_notebook(november: Report) -> None:
    for picture in pictures(november).values():
        image = Image.open(io.BytesIO(picture.png))
        assert (image.format, image.width) == ("PNG", 990)
        bundle, metadata = picture._repr_mimebundle_()
        assert picture.alt in metadata["image/png"]["alt"]
        assert picture.alt in bundle["text/plain"]
        assert f'alt="{html.escape(picture.title)}. ' in bundle["text/html"]


def test_empty_charts_say_why(book: report_history.Book) -> None:
    reasons = {picture.title: picture.alt for picture in pictures(report_history.report(book.db, "2020")).values()}
    assert reasons.pop("Reliability: advertised, and learned from jobs (95 % interval)").count("no job yet") == 3
    assert all(reason.startswith(("Nothing", "No ")) for reason in reasons.values()), reasons


def colours(picture: Picture) -> set[str]:
    image = Image.open(io.BytesIO(picture.png)).convert("RGB")
    counts = image.getcolors(image.width * image.height) or []
    return {f"#{red:02X}{green:02X}{blue:02X}" for count, (red, green, blue) in counts if count > 40}


def vendor_colours_of(picture: Picture) -> set[str]:
    return colours(picture) & set(VENDORS) - {BLACK}


def test_a_vendor_has_one_colour_in_every_chart(november: Report) -> None:
    colour = vendor_colours([ALPHA, BETA, GAMMA])
    of_beta = november.paid[november.paid.vendorId == BETA]
    table, bucket = spend.over_time(of_beta, november.decisions.head(0), november.period)
    vendors = reliability.reliability(november.frames.vendors, november.frames.past_jobs)
    charts = [
        money_charts.spend_over_time(table, bucket, november.marks, november.period, november.made_at),
        money_charts.cost_per_hour(spend.per_hour(of_beta), november.marks),
        work_charts.reliability(vendors[vendors.vendorId == BETA], november.marks),
    ]
    for chart in charts:
        assert vendor_colours_of(chart) == {colour[BETA]}, chart.title
    wasted = money_charts.waste_by_cause(spend.waste(november.paid), november.marks)
    assert vendor_colours_of(wasted) == {colour[ALPHA], colour[GAMMA]}


def test_the_palette_tells_vendors_apart() -> None:
    names = [f"vendor {place}" for place in range(64)]
    looks = vendor_marks([*names, *names])
    assert len({(mark.colour, mark.hatch) for mark in looks.values()}) == 64
    assert len({(mark.colour, mark.marker) for mark in looks.values()}) == 64
    assert len(set(vendor_colours(names[:8]).values())) == 8
    assert vendor_colours(names)["vendor 3"] == vendor_colours(names[:4])["vendor 3"]
    assert (text_on("#000000"), text_on("#FFFFFF"), text_on("#F0E442")) == ("#FFFFFF", "#000000", "#000000")
    assert marks([])["not in the registry"].colour not in VENDORS
