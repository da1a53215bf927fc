"""An operator's text for a notebook's parameter, read by the parameter's annotation."""

import pytest

from gpuagent.schedule.typed_text import read_text, type_named


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("list", '[1, "a", null, [true]]', [1, "a", None, [True]]),
        ("list", "['a', None]", ["a", None]),
        ("list[str]", "[]", []),
        ("List[int]", "[1, -2]", [1, -2]),
        ("list[float]", "[1, 0.5]", [1, 0.5]),
        ("dict", '{"a": {"b": [1.5]}}', {"a": {"b": [1.5]}}),
        ("dict[str, int | None]", "{'a': None}", {"a": None}),
        ("int | None", "null", None),
        ("int | None", "5", 5),
        ("Optional[str]", "None", None),
        ("Optional[str]", "12345678", "12345678"),
        ("typing.Union[int, str]", "5", 5),
        ("typing.Union[int, str]", "five", "five"),
        ("list[str] | None", '["a"]', ["a"]),
        ("None", "None", None),
        ("None", "5", 5),
        ("None", "[1]", [1]),
        ("None", "2026-01-31", "2026-01-31"),
        ("None", "1e234567", "1e234567"),
    ],
)
def test_a_text_is_read_as_its_type_says(kind: str, text: str, value: object) -> None:
    assert read_text(type_named(kind), text) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("list", "1"),
        ("list", "(1, 2)"),
        ("list", "[NaN]"),
        ("list", "[1e999]"),
        ("list", "[" * 100_000),
        ("list", "[open('x')]"),
        ("list[str]", "[1]"),
        ("list[int]", "[true]"),
        ("dict", "{1: 2}"),  # papermill would write 1 as a text
        ("dict[str, int]", '{"a": "b"}'),
        ("int | None", ""),
        ("int | None", "x"),
    ],
)
def test_what_is_of_another_type_is_refused(kind: str, text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        read_text(type_named(kind), text)


@pytest.mark.parametrize("kind", ["tuple", "an expression", "Path", "dict[str]", "Optional", "a.b()", "list[Path]", ""])
def test_a_type_that_no_text_can_have(kind: str) -> None:
    with pytest.raises(LookupError):
        type_named(kind)
