"""`make docs`: writes what of docs/ follows from the code. A test holds each of them against it.

docs/reference/cli.md, docs/packages.svg, and the line of links below the title of each page in the README's table.
"""

import re
from collections.abc import Iterator
from os.path import relpath
from pathlib import Path

from tests.tools import cli_reference, package_graph

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
BY_OTHERS = ("docs/safety.md",)
"""Written as a whole by another command."""
BESIDE = {ROOT / "docs/scale.md": ROOT / "docs/operating/scheduling.md"}
"""Pages that are not in the table, by the page of it that leads to each."""
TITLE = re.compile(r"(# .+\n\n)(?:\[[^\n]*\n\n)?")
"""A page's title, and the line of links if it is there."""


def generated() -> dict[Path, str]:
    """What each file is to hold."""
    documents = {
        ROOT / "docs/packages.svg": package_graph.drawing(
            package_graph.reduced(package_graph.imports()), package_graph.layers()
        ),
        ROOT / "docs/reference/cli.md": cli_reference.reference(),
    }
    for page, links in _links():
        text = documents.get(page) or page.read_text()
        documents[page] = TITLE.sub(lambda title, links=links: f"{title[1]}{links}\n\n", text, count=1)
    return documents


def pages() -> list[tuple[str, Path]]:
    """Title and file of each page, in the order of the README's table."""
    rows = re.findall(r"^\| \[([^]]+)\]\((docs/[^)]+\.md)\) \|", README.read_text(), re.M)
    return [(title, ROOT / path) for title, path in rows]


def _links() -> Iterator[tuple[Path, str]]:
    """For each page that people write, the line with its neighbours and the way back to the table."""
    table = [(title, path) for title, path in pages() if path.relative_to(ROOT).as_posix() not in BY_OTHERS]
    for number, (_, page) in enumerate(table):
        before = [f"[← {title}]({_from(page, path)})" for title, path in table[max(0, number - 1) : number]]
        after = [f"[{title} →]({_from(page, path)})" for title, path in table[number + 1 : number + 2]]
        yield page, " · ".join([*before, f"[all pages]({_from(page, README)}#the-docs)", *after])
    titles = {path: title for title, path in table}
    for page, parent in BESIDE.items():
        yield page, f"[← {titles[parent]}]({_from(page, parent)}) · [all pages]({_from(page, README)}#the-docs)"


def _from(page: Path, target: Path) -> str:
    return Path(relpath(target, page.parent)).as_posix()


def main() -> None:
    for path, text in generated().items():
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            print(f"wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
