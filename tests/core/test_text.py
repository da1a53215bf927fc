"""Untrusted text in cells: no formula in any locale, and numbers as they are."""

import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuagent.core.text import spreadsheet_text

SEPARATORS = ",;\t|\n\r\v\f\x85\u2028\u2029\u060c\u061b\uff0c\uff1b"
STARTS = "=+-@\uff1d\uff0b\uff0d\uff20"
BEFORE = ["", " ", "\xa0", '"', ' "', '""', "\ufeff", "\u200b", "\x00", "\u3000"]
ORDERS = [*STARTS, *SEPARATORS, *BEFORE, "'", "a", "1", "SUM(A1)", "cmd|' /C calc'!A0"]


@pytest.mark.parametrize("start", STARTS)
def test_a_formula_gets_an_apostrophe_after_every_separator(start: str) -> None:
    assert spreadsheet_text(f"{start}A1") == f"'{start}A1"
    for separator in SEPARATORS:
        for before in BEFORE:
            assert spreadsheet_text(f"x{separator}{before}{start}A1") == f"x{separator}'{before}{start}A1"


@pytest.mark.parametrize(
    "text",
    ["", "5", "-5", "+5", "-11.400000", "a-b", "a=b", "ada@example.com", "e-5 = x", "say; 'no'", "'=1", "2 h A100",
     "https://a.example/?b=1;c=2", '{"x": true, "y": true}', "0xabc", "2026-01-31", "a, b; c\td", "größe; Übung"],
)  # fmt: skip
def test_what_is_no_formula_stays(text: str) -> None:
    assert spreadsheet_text(text) == text


@given(st.lists(st.sampled_from(ORDERS), max_size=12).map("".join))
def test_no_cell_is_a_formula_whichever_separator_a_spreadsheet_takes(text: str) -> None:
    safe = spreadsheet_text(text)
    assert spreadsheet_text(safe) == safe
    assert safe.replace("'", "") == text.replace("'", "")
    file = io.StringIO()
    csv.writer(file).writerow(["first", safe, "last"])
    for separator in SEPARATORS:
        for line in re.split(r"[\r\n\v\f\x85\u2028\u2029]", file.getvalue()):
            for cell in line.split(separator):
                cells = {cell, *next(csv.reader([cell.replace("\0", "")], delimiter=separator), [])}
                assert not any(_is_formula(shown) for shown in cells), (separator, cells)


def _is_formula(cell: str) -> bool:
    seen = cell.strip(' \xa0\u3000\t"\ufeff\u200b\0')
    return seen.startswith(tuple(STARTS)) and not re.fullmatch(r"[+-]?\d+(\.\d+)?", seen)
