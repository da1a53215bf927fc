"""The policy's rules about files: what users write and read of them, what cannot be meant, what allows more."""

from dataclasses import replace

import pytest

from gpuagent.core.policy import Policy, check, loosenings
from gpuagent.core.rules import RULES
from gpuagent.core.units import exact_duration, exact_size, parse_duration, parse_size
from gpuagent.errors import BadInput

BY_NAME = {rule.name: rule for rule in RULES}


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("file_max", "64MB", 64_000_000),
        ("run_files_max", " 1.5GiB ", 1_610_612_736),
        ("keep_files_s", "30d", 2_592_000),
        ("keep_files_s", "none", None),
        ("keep_files_s", "", None),
        ("keep_files_max", "none", None),
        ("inputs_to", "trusted", "trusted"),
    ],
)
def test_a_rule_is_read_as_it_is_written(name: str, text: str, value: object) -> None:
    rule = BY_NAME[name]
    assert rule.parse(text) == value
    assert rule.parse(rule.text(rule.parse(text))) == value
    assert rule.show(rule.parse(text))
    check(replace(Policy(version=1), **{name: value}))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("file_max", "none"),
        ("file_max", ""),
        ("file_max", "many"),
        ("keep_files_s", "30"),
        ("keep_files_max", "1XB"),
        ("inputs_to", "Trusted"),
        ("inputs_to", ""),
    ],
)
def test_what_is_no_rule_is_said_with_its_name(name: str, text: str) -> None:
    with pytest.raises(BadInput, match=BY_NAME[name].label):
        BY_NAME[name].parse(text)


@pytest.mark.parametrize(
    "wrong",
    [{"file_max": 0}, {"run_files_max": None}, {"keep_files_s": 0}, {"keep_files_max": -1}, {"inputs_to": "everyone"}],
)
def test_rules_that_cannot_be_meant_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        check(replace(Policy(version=1), **wrong))


def test_larger_files_and_more_receivers_need_a_reason_and_retention_does_not() -> None:
    strict = Policy(inputs_to="trusted", file_max=1, run_files_max=1, keep_files_s=60, keep_files_max=1)
    assert loosenings(Policy(), strict) == ()
    assert loosenings(strict, Policy()) == (
        "inputs_to: trusted to any",
        "file_max: 1 to 64MB",
        "run_files_max: 1 to 512MB",
    )


@pytest.mark.parametrize("number", [1, 999, 1_000, 1_024, 4_097, 64_000_000, 1_500_000_000, 2**40, 123_456_789])
def test_a_size_is_read_back_exactly(number: int) -> None:
    assert parse_size(exact_size(number)) == number


@pytest.mark.parametrize("seconds", [0, 1, 60, 3_661, 86_400, 2_592_000])
def test_a_duration_is_read_back_exactly(seconds: int) -> None:
    assert parse_duration(exact_duration(seconds)) == seconds
