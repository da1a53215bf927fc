"""A workload as a value: units, one canonical text, and the test of success."""

import json
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from gpuagent.core.job_parts import MetricTest
from gpuagent.core.job_secrets import is_own_variable
from gpuagent.core.units import parse_duration, parse_size
from gpuagent.core.workload import Workload, from_canonical

HASH = "a" * 64


def workload(**fields: Any) -> Workload:
    return Workload.model_validate({"name": "tiny", "command": "python train.py", **fields})


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("2h", 7200), ("1h30m", 5400), ("1.5h", 5400), ("1d", 86_400), ("0.5m", 30)]
)
def test_durations_are_read_as_seconds(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "2", "h", "-1h", "1:30", "1m2h", "2 hours", "1e9h", "٣h", "0.0001s", "1h 30m"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [("64MB", 64_000_000), ("1.5GiB", 1_610_612_736), ("4096", 4096), ("1 kb", 1000), ("0.5TB", 5 * 10**11)],
)
def test_sizes_are_read_as_bytes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MB", "-1MB", "64XB", "1.5B", "0x10", "1e3", "64M"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no"):
        parse_size(text)


@pytest.mark.parametrize(("duration", "hours"), [("2h", "2"), ("36s", "0.01"), ("37s", "0.02"), (1, "0.01")])
def test_hours_are_bought_in_hundredths(duration: Any, hours: str) -> None:
    assert workload(max_duration=duration).hours == Decimal(hours)


@pytest.mark.parametrize("command", ["a\0b", ["python", "a\0"]])
def test_no_command_holds_a_nul(command: Any) -> None:
    with pytest.raises(ValidationError, match="NUL"):
        workload(command=command)


def test_the_canonical_text_is_one_however_it_was_written() -> None:
    written = workload(max_duration="90m", outputs=[{"path": "m", "max_bytes": "1MB"}], env={"B": "2", "A": 1})
    otherwise = workload(env={"A": "1", "B": 2}, outputs=[{"max_bytes": 10**6, "path": "m"}], max_duration=5400)
    assert written.canonical == otherwise.canonical
    assert written.sha256 == otherwise.sha256
    assert from_canonical(written.canonical) == written
    document = json.loads(written.canonical)
    assert document["max_duration"] == 5400
    assert document["program_failures"] == 2, "defaults are written out: a later default changes no stored workload"
    assert " " not in written.canonical.replace("python train.py", "")


@pytest.mark.parametrize("change", [{"command": "python train.py "}, {"env": {"A": "2"}}, {"image": "x"}])
def test_whatever_changes_the_work_changes_its_hash(change: dict[str, Any]) -> None:
    assert workload(**change).sha256 != workload().sha256


def test_local_files_become_their_hash() -> None:
    written = workload(
        inputs=[{"path": "a.py", "file": "./src/a.py"}, {"path": "b", "url": "https://x/b", "sha256": HASH}]
    )
    assert written.local_files == {"a.py": "./src/a.py"}
    sealed = written.sealed({"a.py": (HASH, 7)})
    assert sealed.local_files == {}
    assert "src" not in sealed.canonical
    assert (sealed.inputs[0].sha256, sealed.inputs[0].bytes) == (HASH, 7)
    pinned = workload(inputs=[{"path": "a.py", "file": "a.py", "sha256": "b" * 64}])
    with pytest.raises(ValueError, match="the job file names bbb"):
        pinned.sealed({"a.py": (HASH, 7)})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"command": " "}, "what is to be run"),
        ({"command": []}, "at least 1 item"),
        ({"command": [""]}, "what is to be run"),
        ({"env": {"HF_TOKEN": "x"}}, "name it in secrets"),
        ({"env": {"WHO": "hf_abcdefghijklmnop"}}, "name it in secrets"),
        ({"env": {"WALLET": "0x" + "1" * 64}}, "name it in secrets"),
        ({"env": {"A": "a\0b"}}, "NUL"),
        ({"env": {"A": 1.5}}, "valid string"),
        ({"env": {"A": True}}, "valid string"),
        ({"env": {"A-B": "1"}}, "pattern"),
        ({"env": {"A": "1"}, "secrets": ["A"]}, "choose one"),
        ({"secrets": ["GPUAGENT_RESUME"]}, "set by the vendor"),
        ({"inputs": [{"path": "a"}]}, "no source"),
        ({"inputs": [{"path": "a", "file": "a", "url": "https://x"}]}, "choose one"),
        ({"inputs": [{"path": "a", "url": "http://x", "sha256": HASH}]}, "not https"),
        ({"inputs": [{"path": "a", "url": "https://x"}]}, "without sha256"),
        ({"inputs": [{"path": "../a", "file": "a"}]}, "plain relative path"),
        ({"inputs": [{"path": "a", "file": "x"}, {"path": "A", "file": "y"}]}, "one file on some system"),
        ({"outputs": [{"path": "checkpoint/a"}], "checkpoint": {"path": "Checkpoint/"}}, "keep them apart"),
        ({"outputs": [{"path": "a", "max_bytes": 0}]}, "greater than 0"),
        ({"max_duration": "31d"}, "less than or equal"),
        ({"max_duration": 0}, "greater than 0"),
        ({"success": {"metric": {"name": "loss"}}}, "no bound"),
        ({"on_exit": {300: "stop"}}, "less than or equal"),
        ({"resources": {"gpu": "A100:0"}}, "pattern"),
        ({"image": "a b"}, "pattern"),
        ({"surprise": 1}, "Extra inputs"),
    ],
)
def test_what_cannot_be(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        workload(**fields)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (2.1, ""),
        (Decimal("2.2"), ""),
        (2, ""),
        (2.3, "above 2.2"),
        (-1, "below 0"),
        (float("nan"), "is NaN"),
        (float("-inf"), "is -Infinity"),
        ("2.1", "no number"),
        (True, "no number"),
        (None, "no number"),
    ],
)
def test_the_metric_that_success_needs(value: object, problem: str) -> None:
    reason = MetricTest.model_validate({"name": "loss", "at_most": 2.2, "at_least": 0}).problem({"loss": value})
    assert problem in reason
    assert bool(problem) == bool(reason)


@pytest.mark.parametrize("name", ["CONSOLE_APPROVE_MONGODB_URI", "CONSOLE_READ_MONGODB_URI", "SELLER_PRIVATE_KEY"])
def test_no_job_gets_a_users_password_or_a_sellers_key(name: str) -> None:
    """A vendor that had the first could approve its own purchases."""
    assert is_own_variable(name)


def test_a_job_that_was_ordered_before_a_name_was_the_agents_own_can_still_be_read() -> None:
    """It may be paid for: its files are to be fetched. Its next order is refused where secrets are sent."""
    text = Workload.model_validate({"name": "x", "command": "true", "secrets": ["OTHER_TOKEN"]}).canonical
    assert from_canonical(text.replace("OTHER_TOKEN", "SELLER_API_TOKEN")).secrets == ["SELLER_API_TOKEN"]
    with pytest.raises(ValidationError, match="agent's own"):
        Workload.model_validate_json(text.replace("OTHER_TOKEN", "SELLER_API_TOKEN"))
