"""GPU types by their names, however they are capitalised, and what may have been meant by others."""

import pytest

from gpuagent.core.gpus import distinct, is_same, spelling, suggestion

OFFERED = ["A100", "H100", "L40S", "T4", "A100-80GB", "NVIDIA GeForce RTX 4090"]


@pytest.mark.parametrize("name", ["A100", "a100", " a100 ", "A100\n"])
def test_capital_and_small_letters_are_the_same(name: str) -> None:
    assert spelling(name, OFFERED) == "A100"
    assert spelling("A100", [name]) == name


@pytest.mark.parametrize("name", ["", "A10", "A 100", "A1000", "A100-40GB", "A100 80GB", "Ａ100"])
def test_anything_else_is_another_type(name: str) -> None:
    assert spelling(name, OFFERED) is None
    assert not is_same(name, "A100")


def test_blanks_within_a_name_count_once() -> None:
    assert spelling("nvidia  geforce rtx 4090", OFFERED) == "NVIDIA GeForce RTX 4090"


def test_the_very_spelling_comes_first() -> None:
    assert spelling("a100", ["A100", "a100"]) == "a100"
    assert distinct(["h100", "a100", "A100", "H100"]) == ["a100", "h100"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("A10O", "A100"),
        ("h-100", "H100"),
        ("H1O0", "H100"),
        ("l40", "L40S"),
        ("a100_80gb", "A100-80GB"),
        ("A100 80GB", "A100-80GB"),
        ("rtx4090", "NVIDIA GeForce RTX 4090"),
    ],
)
def test_what_is_close_is_suggested(name: str, meant: str) -> None:
    assert meant in suggestion(name, OFFERED)


@pytest.mark.parametrize("name", ["TPU", "", "  ", "--", "Z80"])
def test_what_is_far_from_all_is_not(name: str) -> None:
    assert suggestion(name, OFFERED) == ""
    assert suggestion("A100", []) == ""


def test_few_are_suggested() -> None:
    assert suggestion("100", ["A100", "H100", "B100", "V100"]) == "; did you mean A100 or B100 or H100?"
