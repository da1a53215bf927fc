"""What `make docs` writes is what the code says now; and the drawing draws every import, or one that implies it."""

from collections.abc import Mapping

import pytest

from tests.support.documents import name
from tests.tools.docs import generated
from tests.tools.package_graph import Edges, drawing, imports, layers, reduced

DOCUMENTS = generated()


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_the_file_is_what_make_docs_writes(path) -> None:
    assert path.read_text() == DOCUMENTS[path], "run `make docs`"


def test_every_package_has_a_row_and_every_import_leads_down() -> None:
    rows = {package: number for number, row in enumerate(layers()) for package in row}
    assert set(imports()) == set(rows)
    assert [(high, low) for high, targets in imports().items() for low in targets if rows[high] >= rows[low]] == []


def test_the_arrows_that_are_left_out_follow_from_those_that_stay() -> None:
    arrows = imports()
    assert closure(reduced(arrows)) == closure(arrows)
    assert sum(map(len, reduced(arrows).values())) < sum(map(len, arrows.values())) / 2


def test_a_new_import_changes_the_drawing() -> None:
    arrows: dict[str, frozenset[str]] = {"a": frozenset("b"), "b": frozenset("c"), "c": frozenset()}
    rows = [["a"], ["b"], ["c"], ["d"]]
    before = drawing(reduced(arrows), rows[:3])
    assert drawing(reduced({**arrows, "a": frozenset("bc")}), rows[:3]) == before  # it follows from the others
    arrows |= {"b": frozenset("cd"), "d": frozenset()}
    assert drawing(reduced(arrows), rows).count("marker-end") == before.count("marker-end") + 1


def closure(arrows: Edges) -> Mapping[str, set[str]]:
    """All that each package imports, directly or not."""
    reach = {package: set(targets) for package, targets in arrows.items()}
    for _ in reach:
        for targets in reach.values():
            targets |= set().union(*(reach[target] for target in targets))
    return reach
