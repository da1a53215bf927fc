"""`make safety`: a pytest plugin that runs the hostile cases and writes docs/safety.md from what they observed.

A row of the table is a test in tests/safety named test_<row>_<slug>, rows 01 to 33 and F01 to F16. Its docstring
says in its first line what happens, and in the rest what the agent does. Tests elsewhere join a second table by
`@pytest.mark.safety("what is proven")` and `record_property("observed", "what was seen")`.
"""

import ast
import inspect
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "tests" / "safety"
DOCUMENT = ROOT / "docs" / "safety.md"
ROWS = (*(f"{number:02}" for number in range(1, 34)), *(f"F{number:02}" for number in range(1, 17)))
ROW_TEST = re.compile(r"test_(F?\d\d)_(\w+)")
INTRODUCTION = """\
# What a hostile world can do to a payment, and what came of it

Written by `make safety` from a run of the tests, never by hand. Every case is played against the real database,
the real chain and real vendors over HTTP. Unless a row says otherwise, the fault is at `gpu_vendor_1`, the cheapest
vendor, which the agent chooses first, and the budget is 5 USD. *Signed* counts the distinct payment headers that
were ever stored or sent, *moved* the transfers on chain, *held* the budget still reserved at the end.
"""
ROW_HEAD = ("row", "case", "what happens", "what the agent does", "test", "observed", "result")
MORE_HEAD = ("what is proven", "test", "observed", "result")


@dataclass
class Case:
    """A test function and what its runs, one per parameter, left behind."""

    file: str
    name: str
    doc: str
    proves: str = ""
    observed: dict[str, str] = field(default_factory=dict)
    results: set[str] = field(default_factory=set)

    @property
    def row(self) -> str:
        match = ROW_TEST.fullmatch(self.name)
        return match[1] if match and not self.proves else ""


class Table:
    """Collects outcomes as the tests run, keeps those that belong here, and writes them down."""

    def __init__(self) -> None:
        self._cases: dict[str, Case] = {}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        chosen = [item for item in items if isinstance(item, pytest.Function) and self._take(item)]
        config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
        items[:] = chosen

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        case = self._cases[report.nodeid.partition("[")[0]]
        if report.when == "call" or not report.passed:
            case.results.add(report.outcome)
        if report.when == "call":
            observations = [str(value) for key, value in report.user_properties if key == "observed"]
            case.observed[report.nodeid.partition("[")[2].removesuffix("]")] = "; then ".join(observations)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Nothing is written from a run that left tests out: the rest of the table would be lost."""
        if session.config.option.collectonly:
            return
        missing = {name for _, name in written_tests()} - {case.name for case in self._cases.values() if case.results}
        if missing:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
            print(f"\n{DOCUMENT.name} is not written, these did not run: {', '.join(sorted(missing))}")
            return
        DOCUMENT.parent.mkdir(exist_ok=True)
        DOCUMENT.write_text(render(self._cases.values()))

    def _take(self, item: pytest.Function) -> bool:
        marker = item.get_closest_marker("safety")
        name = item.originalname or item.name
        if marker is None and not (item.path.parent == FOLDER and ROW_TEST.fullmatch(name)):
            return False
        doc = inspect.getdoc(item.obj) or ""
        file = item.path.relative_to(ROOT).as_posix()
        self._cases.setdefault(
            item.nodeid.partition("[")[0], Case(file, name, doc, str(marker.args[0]) if marker else "")
        )
        return True


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Table())


def written_tests() -> list[tuple[str, str]]:
    """(row, test) of every test that is named after a row, read from the sources of the folder."""
    return [
        (match[1], node.name)
        for source in sorted(FOLDER.glob("test_*.py"))
        for node in ast.parse(source.read_text()).body
        if isinstance(node, ast.FunctionDef) and (match := ROW_TEST.fullmatch(node.name))
    ]


def as_cell(row: str) -> str:
    """A row's name as people write it: 1 for 01, F1 for F01."""
    return f"F{int(row[1:])}" if row.startswith("F") else str(int(row))


def render(cases: Iterable[Case]) -> str:
    """The whole document."""
    rows = sorted((case for case in cases if case.row), key=lambda case: ROWS.index(case.row))
    more = sorted((case for case in cases if case.proves), key=lambda case: (case.file, case.name))
    parts = [INTRODUCTION, "## The cases\n", *_head(ROW_HEAD), *map(_row, rows)]
    if more:
        parts += ["\n## What else is proven\n", *_head(MORE_HEAD), *map(_more, more)]
    return "\n".join(parts) + "\n"


def _head(names: Sequence[str]) -> tuple[str, str]:
    return _line(names), "|---" * len(names) + "|"


def _row(case: Case) -> str:
    happens, _, does = case.doc.partition("\n")
    slug = ROW_TEST.fullmatch(case.name)[2].replace("_", " ")  # type: ignore[index]
    return _line(
        [as_cell(case.row), slug, happens, " ".join(does.split()), _link(case), _observed(case), _result(case)]
    )


def _more(case: Case) -> str:
    return _line([case.proves, _link(case), _observed(case), _result(case)])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _link(case: Case) -> str:
    return f"[{case.name}](../{case.file})"


def _result(case: Case) -> str:
    return "passed" if case.results == {"passed"} else "**FAILED**"


def _observed(case: Case) -> str:
    """One sentence when every parameter saw the same, else the sentences with whom they are true of."""
    observations: dict[str, list[str]] = {}
    for parameter, text in case.observed.items():
        observations.setdefault(text, []).append(parameter)
    if len(observations) == 1:
        return next(iter(observations))
    return "<br>".join(f"{', '.join(parameters)}: {text}" for text, parameters in observations.items())
