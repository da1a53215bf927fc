"""Paths that vendors and users name: only what is a plain file in a folder on every system."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuagent.core.paths import DEPTH_MAX, PART_MAX, PATH_MAX, path_problem, twins


@pytest.mark.parametrize("path", ["model.npz", "a/b/c.txt", ".hidden", "checkpoint/step-40/w.npz", "größe.txt", "a b"])
def test_a_plain_path_has_no_problem(path: str) -> None:
    assert path_problem(path) == ""


@pytest.mark.parametrize(
    "path",
    [
        *("", "/etc/passwd", "//a", "..", "../a", "a/../../b", "a/./b", "a//b", "a/", "./a", "."),
        *("a\0b", "a\nb", "a\x1b[31mb", "a\u202eb", "a\u200bb", "\ud800"),
        *("C:\\x", "c:x", "a\\b", "~\\a", "a:stream"),
        *("con", "NUL.txt", "a/com1", "a.", "a ", " a", "a/b /c"),
        *("\uff0e\uff0e/a", "\ufb01le", "a\u0301"),  # look-alikes: full width dots, a ligature, an accent of its own
        "/".join("a" * (DEPTH_MAX + 1)),
        "/".join("a" * 300),
        "a" * (PART_MAX + 1),
        "ä" * (PATH_MAX // 2 + 1),
    ],
)
def test_others_are_refused_in_words(path: str) -> None:
    assert path_problem(path)


@given(st.text(max_size=60))
def test_whatever_passes_stays_in_its_folder(path: str) -> None:
    if path_problem(path):
        return
    parts = path.split("/")
    assert not {"", ".", ".."} & {*parts}
    assert path.isprintable()
    assert not path.startswith(("/", "\\", "~/.."))


@pytest.mark.parametrize(
    "paths", [("a", "A"), ("a", "a"), ("a", "a/b"), ("A/b", "a"), ("x/y", "x/y/z"), ("straße", "STRASSE")]
)
def test_paths_that_are_one_file_somewhere_are_twins(paths: tuple[str, str]) -> None:
    pair = twins(paths)
    assert pair
    assert {*pair} == {*paths}
    assert twins(["other", *reversed(paths)])


def test_paths_that_differ_everywhere_are_no_twins() -> None:
    assert twins(["a/b", "a/c", "ab", "b/a"]) is None
