"""Every link in the docs leads somewhere, every page can be reached and left, and the README stays short."""

import re
from os.path import relpath
from pathlib import Path

import pytest

from tests.support.documents import DOCUMENTS, ROOT, name, prose
from tests.tools.docs import BESIDE, BY_OTHERS, README, pages

README_LINES = 110
SERIES = ROOT / "docs" / "vendors" / "README.md"
"""The page that lists the pages of its folder; one of the README's pages leads to it."""
LINK = re.compile(r"!?\[(?:[^][]|\[[^]]*\])*\]\(([^)\s]+)\)")
OUTSIDE = re.compile(r"https?://")
LOCAL_PATH = re.compile(r"(?<![\w.])/(?:root|tmp|home|work|Users)/")
REGISTRIES = re.compile(r"pypi\.org|pythonhosted\.org|registry\.npmjs\.org|conda\.anaconda\.org")


def anchors(text: str) -> set[str]:
    """What a link may name after the #: the headings as GitHub writes them, the second of a name with -1."""
    slugs: list[str] = []
    for heading in re.findall(r"^#+ (.+)$", prose(text), re.M):
        title = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)).strip().lower()
        slug = title.replace(" ", "-")
        slugs.append(f"{slug}-{slugs.count(slug)}" if slug in slugs else slug)
    return set(slugs)


def broken(text: str, folder: Path) -> list[str]:
    """The links of a document in a folder that lead nowhere."""
    dead = []
    for link in LINK.findall(prose(text)):
        if OUTSIDE.match(link):
            continue
        path, _, anchor = link.partition("#")
        target = (folder / path).resolve() if path else None
        if target and not target.exists():
            dead.append(link)
            continue
        if anchor and anchor not in anchors(target.read_text() if target else text):
            dead.append(link)
    return dead


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_links_lead_somewhere(path: Path) -> None:
    assert broken(path.read_text(), path.parent) == []


@pytest.mark.parametrize(
    "text",
    [
        "[x](nowhere.md)",
        "[x](README.md#no-such-heading)",
        "# Here\n[x](#there)",
        "![x](docs/none.png)",
        "[a [b]](c.md)",
    ],
)
def test_the_check_of_links_bites(text: str) -> None:
    assert len(broken(text, ROOT)) == 1


def test_headings_are_named_as_github_names_them() -> None:
    assert anchors("# `gpuagent run`: start, *or* not?\n## A\n## A\n```\n# no\n```\n") == {
        "gpuagent-run-start-or-not",
        "a",
        "a-1",
    }


def test_every_page_is_in_the_readme_and_leads_back_to_it() -> None:
    listed, series = {path for _, path in pages()}, set(SERIES.parent.glob("*.md"))
    assert listed | series | set(BESIDE) == set((ROOT / "docs").rglob("*.md"))
    assert all(f"({relpath(page, parent.parent)})" in parent.read_text() for page, parent in BESIDE.items())
    assert any(f"{SERIES.parent.name}/{SERIES.name})" in path.read_text() for path in listed)
    assert all(f"({path.name})" in SERIES.read_text() for path in series - {SERIES})
    for path in listed | series | set(BESIDE):
        if name(path) not in BY_OTHERS:
            assert "README.md#the-docs)" in path.read_text(), name(path)


def test_the_readme_is_read_in_one_go() -> None:
    assert len(README.read_text().splitlines()) <= README_LINES


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_no_document_names_one_machine_or_a_registry(path: Path) -> None:
    assert LOCAL_PATH.findall(path.read_text()) == []
    assert REGISTRIES.findall(path.read_text()) == []
