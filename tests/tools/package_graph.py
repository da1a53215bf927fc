"""The packages of gpuagent and what they import, drawn as an SVG from the code itself.

Rows are the layers of the import contract in pyproject.toml. An arrow that follows from others is left out.
"""

import tomllib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any
from xml.sax.saxutils import escape

import grimp

ROOT = Path(__file__).parents[2]
PACKAGE = "gpuagent"
BOX, BEND, ROW, MARGIN = 104, 22, 74, 20
"""Widths of a package's box and of an arrow that passes a row, the height of a row, the margin, in pixels."""
HEIGHT = 30
GAP = 16
SWEEPS = 24
STYLE = """\
  <style>
    svg { --ink: #1f2328; --line: #6e7781; --box: #ffffff; --pure: #ddf4e4; --start: #ddeafc; --edge: #8c959f; }
    @media (prefers-color-scheme: dark) {
      svg { --ink: #e6edf3; --line: #9198a1; --box: #161b22; --pure: #12351f; --start: #12294a; --edge: #6e7681; }
    }
    text { font: 13px ui-monospace, Menlo, Consolas, monospace; fill: var(--ink); text-anchor: middle; }
    rect { fill: var(--box); stroke: var(--edge); }
    .pure { fill: var(--pure); }
    .start { fill: var(--start); }
    path { fill: none; stroke: var(--line); stroke-width: 1.2; }
    marker path { fill: var(--line); stroke: none; }
  </style>
  <defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">\
<path d="M0 0 8 4 0 8z"/></marker></defs>"""
START = "tick"

Edges = Mapping[str, frozenset[str]]
Node = str | tuple[str, str, int]
"""A package, or the place where the arrow between two packages passes a row."""


def imports() -> Edges:
    """For each package or module at the door, those that it imports directly."""
    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    edges: dict[str, set[str]] = {_package(module): set() for module in graph.modules}
    for importer in graph.modules:
        for imported in graph.find_modules_directly_imported_by(importer):
            edges[_package(importer)].add(_package(imported))
    return {name: frozenset(targets - {name, ""}) for name, targets in edges.items() if name}


def layers() -> list[list[str]]:
    """The rows of the contract, highest first."""
    return [
        [name.strip().removeprefix(f"{PACKAGE}.") for name in row.replace("|", ":").split(":")]
        for row in _contract("read downwards")["layers"]
    ]


def pure() -> list[str]:
    """The packages that the contract keeps from databases, networks and clocks."""
    return [name.removeprefix(f"{PACKAGE}.") for name in _contract("the core is pure")["source_modules"]]


def reduced(edges: Edges) -> Edges:
    """Without the arrows that follow from others. The graph has no circle."""
    reach: dict[str, set[str]] = {}

    def reachable(name: str) -> set[str]:
        if name not in reach:
            reach[name] = set().union(*({target} | reachable(target) for target in edges[name]))
        return reach[name]

    return {
        name: frozenset(target for target in targets if not any(target in reachable(other) for other in targets))
        for name, targets in edges.items()
    }


def drawing(edges: Edges, rows: Sequence[Sequence[str]]) -> str:
    """The SVG of these arrows between the packages of these rows."""
    chains = _chains(edges, {name: number for number, row in enumerate(rows) for name in row})
    neighbours: dict[Node, list[Node]] = defaultdict(list)
    for chain in chains:
        for upper, lower in pairwise(chain):
            neighbours[upper].append(lower)
            neighbours[lower].append(upper)
    levels = _ordered(_levels(rows, chains), neighbours)
    x = _placed(levels, neighbours)
    y = {node: MARGIN + HEIGHT / 2 + ROW * number for number, level in enumerate(levels) for node in level}
    left = min(x.values()) - BOX / 2 - MARGIN
    width = max(x.values()) + BOX / 2 + MARGIN - left
    height = 2 * MARGIN + HEIGHT + ROW * (len(levels) - 1)
    x = {node: round(place - left, 1) for node, place in x.items()}
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        'role="img">',
        "  <title>The packages of gpuagent; an arrow means: imports</title>",
        STYLE,
    ]
    lines += [f'  <path d="{_curve(chain, x, y)}" marker-end="url(#head)"/>' for chain in chains]
    for row in rows:
        lines += [_box(name, x[name], y[name]) for name in row]
    return "\n".join([*lines, "</svg>", ""])


def _contract(name: str) -> Any:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    return next(contract for contract in contracts if contract["name"] == name)


def _package(module: str) -> str:
    return ".".join(module.split(".")[1:2])


def _chains(edges: Edges, row_of: Mapping[str, int]) -> list[list[Node]]:
    """Each arrow as the places that it passes, one in every row."""
    return [
        [name, *((name, target, row) for row in range(row_of[name] + 1, row_of[target])), target]
        for name in sorted(edges, key=lambda package: (row_of[package], package))
        for target in sorted(edges[name])
    ]


def _levels(rows: Sequence[Sequence[str]], chains: Sequence[Sequence[Node]]) -> list[list[Node]]:
    levels: list[list[Node]] = [list(row) for row in rows]
    for chain in chains:
        for bend in chain[1:-1]:
            levels[bend[2]].append(bend)
    return levels


def _ordered(levels: list[list[Node]], neighbours: Mapping[Node, Sequence[Node]]) -> list[list[Node]]:
    """Each row in the order of its neighbours' places, the fewest crossings of many sweeps down and up."""
    best = [list(level) for level in levels]
    for sweep in range(SWEEPS):
        place = {node: number - len(level) / 2 for level in levels for number, node in enumerate(level)}
        for level in levels if sweep % 2 else reversed(levels):
            level.sort(key=lambda node: fmean(place[other] for other in neighbours[node]) if neighbours[node] else 0)
            place.update({node: number - len(level) / 2 for number, node in enumerate(level)})
        if _crossings(levels, neighbours) < _crossings(best, neighbours):
            best = [list(level) for level in levels]
    return best


def _crossings(levels: Sequence[Sequence[Node]], neighbours: Mapping[Node, Sequence[Node]]) -> int:
    count = 0
    for upper, lower in pairwise(levels):
        place = {node: number for number, node in enumerate(lower)}
        ends = [[place[other] for other in neighbours[node] if other in place] for node in upper]
        count += sum(
            first > second
            for number, targets in enumerate(ends)
            for others in ends[number + 1 :]
            for first in targets
            for second in others
        )
    return count


def _placed(levels: Sequence[Sequence[Node]], neighbours: Mapping[Node, Sequence[Node]]) -> dict[Node, float]:
    """The middle of each node: near its neighbours, in the order of its row, no two overlapping."""
    x: dict[Node, float] = {}
    for level in levels:
        x.update(zip(level, _apart(level, [0.0] * len(level)), strict=True))
    for sweep in range(SWEEPS):
        for level in levels if sweep % 2 else reversed(levels):
            wishes = [fmean(x[other] for other in neighbours[node]) if neighbours[node] else x[node] for node in level]
            x.update(zip(level, _apart(level, wishes), strict=True))
    return x


def _apart(level: Sequence[Node], wishes: Sequence[float]) -> list[float]:
    """The wishes, moved as little as keeps the nodes of a row apart: blocks that would overlap share their mean."""
    offsets = [0.0]
    for left, right in pairwise(level):
        offsets.append(offsets[-1] + (_width(left) + _width(right)) / 2 + GAP)
    blocks: list[list[float]] = []
    for wish, offset in zip(wishes, offsets, strict=True):
        blocks.append([wish - offset])
        while len(blocks) > 1 and fmean(blocks[-2]) >= fmean(blocks[-1]):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    starts = [fmean(block) for block in blocks for _ in block]
    return [start + offset for start, offset in zip(starts, offsets, strict=True)]


def _width(node: Node) -> float:
    return BOX if isinstance(node, str) else BEND


def _curve(chain: Sequence[Node], x: Mapping[Node, float], y: Mapping[Node, float]) -> str:
    """From below the first box to above the last, straight down through every row that is passed."""
    first, last = chain[0], chain[-1]
    points = [(x[first], y[first] + HEIGHT / 2)]
    for bend in chain[1:-1]:
        points += [(x[bend], y[bend] - HEIGHT / 2), (x[bend], y[bend] + HEIGHT / 2)]
    points.append((x[last], y[last] - HEIGHT / 2 - 1))
    path = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for (x1, y1), (x2, y2) in pairwise(points):
        middle = (y1 + y2) / 2
        path += f" C{x1:.1f} {middle:.1f} {x2:.1f} {middle:.1f} {x2:.1f} {y2:.1f}"
    return path


def _box(name: str, x: float, y: float) -> str:
    kind = "pure" if name in pure() else "start" if name == START else "other"
    corner = f'x="{x - BOX / 2:.1f}" y="{y - HEIGHT / 2:.1f}"'
    text = f'<text x="{x:.1f}" y="{y + 4.5:.1f}">{escape(name)}</text>'
    return f'  <rect class="{kind}" {corner} width="{BOX}" height="{HEIGHT}" rx="5"/>{text}'
