"""docs/safety.md is the outcome of these tests: a row without a test, or a test without its row, is noticed."""

from tests.tools.safety_table import DOCUMENT, ROWS, as_cell, written_tests

REMEDY = "run `make safety` and commit docs/safety.md"


def test_every_row_has_exactly_one_test() -> None:
    assert sorted(row for row, _ in written_tests()) == sorted(ROWS)


def test_the_document_knows_exactly_these_tests() -> None:
    lines = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("|") and "[test_" in line]
    for row, test in written_tests():
        assert any(line.startswith(f"| {as_cell(row)} |") and f"[{test}]" in line for line in lines), (
            f"{test}: {REMEDY}"
        )
    rows = [line for line in lines if line.split("|")[1].strip().lstrip("F").isdigit()]
    assert len(rows) == len(written_tests()), REMEDY


def test_the_document_tells_of_no_failure() -> None:
    assert "**FAILED**" not in DOCUMENT.read_text()
