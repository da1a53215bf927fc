"""`make protocols`: a pytest plugin that writes the table of docs/vendors/README.md from what the purchases came to.

A row is a test in tests/adapters/vendors/test_protocols.py, by the first line of its docstring; a column is a protocol.
What stands in a cell the test records as `cell`.
"""

import inspect
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests/adapters/vendors/test_protocols.py"
DOCUMENT = ROOT / "docs/vendors/README.md"
HEADING = "## The same purchases over all of them\n"
INTRODUCTION = """
Written by `make protocols` from a run of the tests, never by hand: each purchase with real payments, from our practice
vendor and from the stubs. A wallet with enough for one purchase and not for two; *held* is nothing at the end of any.
"""
FAILED = "**FAILED**"


class ProtocolTable:
    """Collects what each purchase came to, by case and protocol."""

    def __init__(self) -> None:
        self._titles: dict[str, str] = {}
        self._protocols: dict[str, None] = {}
        self._cells: dict[tuple[str, str], str] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            if isinstance(item, pytest.Function) and item.path == TESTS:
                name, protocol = _place(item.nodeid)
                self._titles[name] = (inspect.getdoc(item.obj) or name).partition("\n")[0]
                self._protocols[protocol] = None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and TESTS.name in report.nodeid:
            texts = [str(value) for key, value in report.user_properties if key == "cell"]
            self._cells[_place(report.nodeid)] = texts[-1] if report.passed and texts else FAILED

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Nothing is written from a run that left purchases out."""
        if session.config.option.collectonly:
            return
        if len(self._cells) < max(1, len(self._titles) * len(self._protocols)):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
            print(f"\n{DOCUMENT.name} is not written: not all purchases were played")
            return
        head, _, _ = DOCUMENT.read_text().partition(HEADING)
        DOCUMENT.write_text(f"{head}{HEADING}{INTRODUCTION}\n{self._table()}\n")

    def _table(self) -> str:
        rows = [["the purchase", *(f"`{protocol}`" for protocol in self._protocols)]]
        rows.append(["---"] * len(rows[0]))
        for name, title in self._titles.items():
            rows.append([title, *(self._cells[name, protocol] for protocol in self._protocols)])
        return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(ProtocolTable())


def _place(nodeid: str) -> tuple[str, str]:
    """Test and protocol of a node id."""
    name, _, protocol = nodeid.rpartition("::")[2].partition("[")
    return name, protocol.removesuffix("]")
