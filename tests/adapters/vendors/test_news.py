"""A vendor's news of a job: files, checkpoint, metrics, exit code, cursor. What is odd is left out, which is said."""

import json
from contextlib import closing, suppress
from decimal import Decimal
from hashlib import sha256
from math import inf, nan
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gpuagent.adapters.vendors.answers import LOGS_MAX, read_object, read_report
from gpuagent.adapters.vendors.http import HttpVendor
from gpuagent.adapters.vendors.manifest import BYTES_MAX, REFUSED_MAX, read_checkpoint, read_files
from gpuagent.adapters.vendors.news import METRICS_MAX, ROWS_MAX
from gpuagent.core.orders import manifest_sha256
from gpuagent.core.paths import path_problem, twins
from gpuagent.core.ports.vendors import VendorJob
from gpuagent.core.work import CheckpointOffer, FileEntry, JobReport, JobStatus
from gpuagent.core.workload import FILES_MAX
from gpuagent.errors import VendorError
from tests.support.factories import VENDOR, WIRE_QUOTE
from tests.support.file_vendor import FileVendor, VendorAnswer

bounded = settings(deadline=None, max_examples=100)
HASH = "ab" * 32


def listed(path: Any = "model.bin", size: Any = 7, digest: Any = HASH) -> dict[str, Any]:
    return {"path": path, "bytes": size, "sha256": digest}


def report(**news: Any) -> JobReport:
    return read_report(VENDOR, {"status": "running", **news})


# Manifests.


def test_files_as_a_vendor_lists_them() -> None:
    news = report(
        files=[listed(), listed("out/log.txt", 0), {**listed("b"), "at": 7}, listed("c", BYTES_MAX, "AB" * 32)]
    )
    assert news.refused == ()
    assert news.files == (
        FileEntry("model.bin", 7, HASH),
        FileEntry("out/log.txt", 0, HASH),
        FileEntry("b", 7, HASH),
        FileEntry("c", BYTES_MAX, HASH),
    )
    assert (report().files, report(files=None).files, report(files=[]).refused) == ((), (), ())


ODD_PATHS = [
    "",
    "/etc/passwd",
    "../x",
    "a/../b",
    "./a",
    "a//b",
    "a/",
    "C:/x",
    "a\\b",
    "a\0b",
    "a\nb",
    "nul",
    "aux.txt",
    "a.",
    " a",
    "\u202ea",
    "a\u200bb",
    "\uff21",
    "\ud800",
    "d/" * 300 + "f",
    "x" * 5_000,
    None,
    7,
    ["a"],
    {"path": "a"},
]


@pytest.mark.safety("a path in a manifest that leads out of the job's folder")
@pytest.mark.parametrize("path", ODD_PATHS, ids=repr)
def test_a_path_that_is_none_is_left_out(path: Any) -> None:
    """The others stay, and a checkpoint that names it is none."""
    news = report(files=[listed(), listed(path)])
    assert [file.path for file in news.files] == ["model.bin"]
    assert len(news.refused) == 1
    assert news.refused[0].isprintable()
    assert len(news.refused[0]) < 300
    assert read_checkpoint({"sha256": HASH, "files": [listed(), listed(path)]})[0] is None


@pytest.mark.parametrize(
    "entry",
    [
        listed(size=-1),
        listed(size=BYTES_MAX + 1),
        listed(size=10**400),
        listed(size=True),
        listed(size=7.0),
        listed(size="7"),
        listed(size=None),
        listed(digest="ab" * 31),
        listed(digest="ab" * 33),
        listed(digest="xy" * 32),
        listed(digest=f"{HASH}\n"),
        listed(digest="٠" * 64),
        listed(digest=None),
        listed(digest=7),
        {"path": "model.bin"},
        "model.bin",
        None,
        [],
    ],
    ids=repr,
)
def test_an_entry_that_is_none_is_left_out(entry: Any) -> None:
    news = report(files=[entry, listed("other")])
    assert [file.path for file in news.files] == ["other"]
    assert len(news.refused) == 1


@pytest.mark.parametrize("files", [{}, "model.bin", 7, True, {"model.bin": HASH}])
def test_a_list_that_is_none_is_refused(files: Any) -> None:
    assert (report(files=files).files, report(files=files).refused) == ((), ("the list of files is no list",))


def test_of_two_files_that_clash_one_counts() -> None:
    """On any system: case, a file that would be a folder, and one path twice."""
    paths = ("Model.bin", "model.BIN", "out", "out/a", "b/c/d", "B/c", "straße", "STRASSE")
    news = report(files=[listed(path) for path in paths])
    assert sorted(file.path for file in news.files) == ["B/c", "Model.bin", "out", "straße"]
    assert len(news.refused) == 4
    assert report(files=[listed(), listed()]).refused == ()
    twice = report(files=[listed(), listed(size=8)])
    assert (twice.files, len(twice.refused)) == ((FileEntry("model.bin", 7, HASH),), 1)


def test_of_a_million_files_the_first_thousand_count() -> None:
    """With as many reasons as can be read."""
    news = report(files=[listed(f"f{number}") for number in range(FILES_MAX + 1)])
    assert len(news.files) == FILES_MAX
    assert news.refused == (f"{FILES_MAX + 1} files are listed, of which the first {FILES_MAX} count",)
    news = report(files=[listed(f"../{number}") for number in range(50)])
    assert (len(news.refused), news.refused[-1]) == (REFUSED_MAX + 1, f"and {50 - REFUSED_MAX} more")


# Checkpoints.

FILES = (FileEntry("state.bin", 7, HASH), FileEntry("a/progress.json", 20, "cd" * 32))
OFFER = {"sha256": manifest_sha256(FILES), "files": [listed(file.path, file.bytes, file.sha256) for file in FILES]}


def test_a_checkpoint_is_as_its_hash_says() -> None:
    """In whatever order its files are listed."""
    for files in (OFFER["files"], OFFER["files"][::-1]):
        offer, reasons = read_checkpoint({**OFFER, "files": files, "at": "2030-01-01"})
        assert offer is not None
        assert (offer.sha256, set(offer.files), reasons) == (OFFER["sha256"], set(FILES), ())
    assert read_checkpoint({**OFFER, "sha256": OFFER["sha256"].upper()})[0] == CheckpointOffer(OFFER["sha256"], FILES)
    assert read_checkpoint(None) == (None, ())


@pytest.mark.safety("a checkpoint whose list of files is not the one that its hash names")
@pytest.mark.parametrize(
    "change",
    [
        {"sha256": HASH},
        {"sha256": None},
        {"sha256": ""},
        {"sha256": 7},
        {"files": OFFER["files"][:1]},
        {"files": [*OFFER["files"], listed("more")]},
        {"files": [*OFFER["files"], listed("../more")]},
        {"files": [*OFFER["files"], listed("STATE.bin")]},
        {"files": [{**OFFER["files"][0], "bytes": 8}, OFFER["files"][1]]},
        {"files": []},
        {"files": None},
        {"files": "all"},
        {"files": [listed(f"f{number}") for number in range(FILES_MAX + 1)]},
    ],
    ids=repr,
)
def test_a_checkpoint_that_is_not_what_its_hash_says(change: dict[str, Any]) -> None:
    news = report(checkpoint={**OFFER, **change}, files=[listed()])
    assert (news.checkpoint, len(news.files)) == (None, 1)
    assert len(news.refused) >= 1
    assert all("checkpoint" in reason for reason in news.refused)


@pytest.mark.parametrize("checkpoint", [[], "latest", 7, True, {}])
def test_a_checkpoint_that_is_none(checkpoint: Any) -> None:
    assert (report(checkpoint=checkpoint).checkpoint, len(report(checkpoint=checkpoint).refused)) == (None, 1)


# Metrics.


def test_metrics_are_numbers_and_short_texts_by_name() -> None:
    news = report(
        metrics=[
            {"step": 1, "loss": Decimal("2.5"), "note": "warm\nup", "ok": True, "none": None, "nested": {"a": 1}},
            {"$where": 1, "$": 2, "": 3, " ": 4, "x" * 100: 5},
            "loss",
            None,
            {},
            {"flag": False},
        ]
    )
    assert news.metrics == (
        {"step": 1.0, "loss": 2.5, "note": "warm up"},
        {"where": 1.0, "x" * 63 + "…": 5.0},
    )
    assert all(type(value) in (int, float, str) for row in news.metrics for value in row.values())
    assert [report(metrics=odd).metrics for odd in ({"loss": 1}, "x", 7, None)] == [()] * 4


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (80, "80"),
        (Decimal("80.0"), "80"),
        (Decimal("2.5"), "2.5"),
        (-3, "-3"),
        (2**53 + 2, "9007199254740994.0"),
        (10**30, "1e+30"),
    ],
)
def test_a_whole_number_is_read_as_such(value: Any, read: str) -> None:
    news = report(metrics=[{"step": value}], finalMetrics={"step": value})
    assert (str(news.metrics[0]["step"]), str(news.final_metrics["step"])) == (read, read)


def test_of_ten_thousand_metrics_the_newest_thousand_count() -> None:
    news = report(metrics=[{"step": number} for number in range(10_000)])
    assert (len(news.metrics), news.metrics[0], news.metrics[-1]) == (ROWS_MAX, {"step": 9_000.0}, {"step": 9_999.0})
    wide = report(metrics=[{f"m{number}": number for number in range(1_000)}])
    assert len(wide.metrics[0]) == METRICS_MAX


@pytest.mark.parametrize("bare", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999999999", "9" * 4_000])
def test_a_loss_that_is_not_finite_is_seen_and_is_no_number(bare: str) -> None:
    """It stands for itself: an older value must not pass for the last one."""
    body = b'{"status": "running", "progress": %s, "metrics": [{"loss": %s}], "finalMetrics": {"loss": %s}}'
    answer = body.replace(b"%s", bare.encode())
    news = read_report(VENDOR, read_object(VENDOR, answer, Decimal))
    for metrics in (news.final_metrics, *news.metrics):
        assert isinstance(metrics["loss"], str)
    with suppress(VendorError):
        assert 0 <= news.progress <= 1


def test_a_status_with_nan_is_an_answer(file_vendor: FileVendor) -> None:
    api = HttpVendor({"GPU_VENDOR_SECRET": "s"}.get)
    file_vendor.script("GET /job-status", VendorAnswer(200, b'{"status": "running", "metrics": [{"loss": NaN}]}'))
    assert api.status(file_vendor.vendor, VendorJob("v")).metrics == ({"loss": "NaN"},)
    price = json.dumps({**WIRE_QUOTE, "priceEstimate": nan, "etaMinutes": 1}).encode()
    file_vendor.script("POST /quote", VendorAnswer(200, price))
    with closing(api), pytest.raises(VendorError, match="not JSON"):  # money is read to the letter
        api.quote(file_vendor.vendor, "goal", "A100", Decimal(1))


# The rest.


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (0, 0),
        (1, 1),
        (255, 255),
        (256, None),
        (-1, 129),
        (-9, 137),
        (-64, 192),
        (-65, None),
        (10**30, None),
        (True, None),
        (False, None),
        (1.0, None),
        ("1", None),
        (None, None),
        ([0], None),
    ],
)
def test_an_exit_code_is_0_to_255_or_none(sent: Any, code: int | None) -> None:
    assert report(exitCode=sent).exit_code == code


@pytest.mark.parametrize(
    ("sent", "cursor", "is_refused"),
    [
        ("", "", False),
        (None, "", False),
        ("a" * 200, "a" * 200, False),
        ("ä/=+ &", "ä/=+ &", False),
        (17, "17", False),
        (0, "0", False),
        ("a" * 201, "", True),
        ("a\nb", "", True),
        ("\ud800", "", True),
        (1.5, "", True),
        (True, "", True),
        (["a"], "", True),
        (10**30, "", True),
    ],
)
def test_a_cursor_is_a_short_line(sent: Any, cursor: str, is_refused: bool) -> None:
    news = report(cursor=sent)
    assert (news.cursor, bool(news.refused)) == (cursor, is_refused)


def test_of_news_the_newest_lines_count() -> None:
    """With a cursor; without one lines are counted from the first on."""
    lines = [f"line {number}" for number in range(LOGS_MAX + 1)]
    assert report(logs=lines, cursor="c").logs[-1] == lines[-1]
    assert report(logs=lines).logs[0] == lines[0]
    assert len(report(logs=lines, cursor="c").logs) == LOGS_MAX


@pytest.mark.parametrize(
    ("news", "word"),
    [
        ({"phase": "pulling the image"}, "pulling the image"),
        ({"phase": "running"}, ""),
        ({"phase": ""}, ""),
        ({"phase": " \n"}, ""),
        ({"phase": ["running"]}, ""),
        ({"phase": "x" * 500}, "x" * 63 + "…"),
        ({"status": "queued", "phase": "third in line"}, "third in line"),
        ({"status": "queued"}, "queued"),
    ],
)
def test_a_phase_is_the_vendors_word(news: dict[str, Any], word: str) -> None:
    assert read_report(VENDOR, {"status": "running", **news}).word == word


def test_the_end_of_a_program_and_of_a_node() -> None:
    assert (report(status="completed", exitCode=0).status, report(exitCode=0).exit_code) == (JobStatus.COMPLETED, 0)
    lost = report(status="failed", exitCode=None)
    assert (lost.status, lost.exit_code) == (JobStatus.FAILED, None)


# Whatever comes.

texts = st.text(max_size=12) | st.sampled_from([path for path in ODD_PATHS if isinstance(path, str)])
scalars = st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=10
)
names = st.text(st.sampled_from("aA./\\ \u0130ßſ\u202e"), max_size=9) | texts
sizes = st.integers(-1, 1) | st.integers(BYTES_MAX - 1, BYTES_MAX + 1) | scalars
hashes = st.sampled_from([HASH, HASH.upper(), HASH[:-1], f"{HASH}0", ""]) | scalars
entries = st.builds(listed, names, sizes, hashes) | values
manifests = st.lists(entries, max_size=12) | values
NEWS = ("files", "checkpoint", "metrics", "exitCode", "cursor", "phase", "logs", "progress", "status", "finalMetrics")


@bounded
@given(manifests)
@example([listed("İ"), listed("i̇"), listed("ß"), listed("ss")])
def test_no_manifest_brings_an_error_or_a_path_that_leads_out(value: Any) -> None:
    files, reasons = read_files(value)
    paths = [file.path for file in files]
    assert [path_problem(path) for path in paths] == [""] * len(paths)
    assert twins(paths) is None
    assert all(0 <= file.bytes <= BYTES_MAX and len(file.sha256) == 64 for file in files)
    assert all(reason.isprintable() and len(reason) < 400 for reason in reasons)
    assert len(reasons) <= REFUSED_MAX + 1
    offer, _ = read_checkpoint({"sha256": manifest_sha256(files), "files": value})
    assert offer is None or offer.files == files


@bounded
@given(st.dictionaries(st.sampled_from(NEWS), values | manifests, max_size=3))
@example({"checkpoint": {"sha256": HASH, "files": nan}, "cursor": inf})
def test_no_news_bring_another_error(news: dict[str, Any]) -> None:
    body = json.dumps({"status": "running", **news}).encode()
    with suppress(VendorError):
        found = read_report(VENDOR, read_object(VENDOR, body, Decimal))
        json.dumps([*found.metrics, dict(found.final_metrics)], allow_nan=False)
        assert found.cursor.isprintable()
        assert len(found.cursor) <= 200
        assert found.exit_code is None or 0 <= found.exit_code <= 255
        assert not any(name.startswith("$") or not name.strip() for row in found.metrics for name in row)
        assert all(text.isprintable() for text in (found.word, *found.logs, *found.refused))


def test_a_manifest_hash_is_the_same_for_whoever_computes_it() -> None:
    text = '[{"bytes":7,"path":"ä","sha256":"' + HASH + '"}]'
    assert manifest_sha256((FileEntry("ä", 7, HASH),)) == sha256(text.encode()).hexdigest()
