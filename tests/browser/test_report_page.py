"""The tables of a report's page, as a reader sorts and searches them, with the keyboard alone."""

import pandas as pd
from playwright.sync_api import Browser, expect

from gpuagent.reports.page import ReportSection, page
from gpuagent.reports.tables import Cell, Table

COLUMNS = {
    "vendor": ("vendor", Cell.TEXT),
    "cost": ("cost, USD", Cell.AMOUNT),
    "seconds": ("time", Cell.SECONDS),
}
ROWS = [("beta", 9_000_000, 7200.0), ("acme", 10_000_000, 90.0), ("Zeta", 500, None), ("10", 0, 100_000.0)]


def test_a_table_is_sorted_and_searched(browser: Browser) -> None:
    frame = pd.DataFrame([*ROWS, ("x1", 1, 1.0), ("x2", 2, 2.0)], columns=list(COLUMNS))
    tab = browser.new_page(viewport={"width": 900, "height": 700})
    try:
        tab.set_content(page("Report", [], [ReportSection("Spend", "", [Table("By vendor", frame, COLUMNS, "")])]))
        rows = tab.locator("tbody tr:visible")

        def vendors() -> list[str]:
            return [row.split("\t")[0] for row in rows.all_inner_texts()][: len(ROWS)]

        tab.get_by_role("button", name="cost, USD").click()
        assert vendors() == ["10", "x1", "x2", "Zeta"]
        expect(tab.get_by_role("columnheader", name="cost, USD")).to_have_attribute("aria-sort", "ascending")
        tab.keyboard.press("Enter")
        assert vendors() == ["acme", "beta", "Zeta", "x2"]
        tab.keyboard.press("Tab")
        tab.keyboard.press("Space")
        assert vendors() == ["x1", "x2", "acme", "beta"], "two hours are more than 90 seconds"
        expect(tab.locator("[aria-sort]")).to_have_count(1)
        assert [text.split("\t")[0] for text in rows.all_inner_texts()][-1] == "Zeta"
        tab.keyboard.press("Space")
        assert [text.split("\t")[0] for text in rows.all_inner_texts()][-1] == "Zeta", "no time comes last either way"
        tab.get_by_label("Search: By vendor").fill("ze")
        assert vendors() == ["Zeta"]
    finally:
        tab.close()
