"""The rules of the house that no linter knows: what tests import, which test covers a module, names, and mutants."""

import ast
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.tools.mutants import MUTANTS
from tests.tools.mutation import Mutant

ROOT = Path(__file__).parents[1]
LONG_LINES = 60
"""A module with more lines than that is imported by a test, or stands below with the test that covers it from outside:
over HTTP, by the command line, on a screen, or through the module that others import.
"""
COVERED_FROM_OUTSIDE: dict[str, tuple[str, ...]] = {
    "tests/agent/test_collect.py": ("gpuagent.agent.collect", "gpuagent.agent.deliver", "gpuagent.agent.judge"),
    "tests/api/test_files.py": ("gpuagent.api.routes.files",),
    "tests/api/test_jobs.py": ("gpuagent.api.routes.uploads",),
    "tests/cli/test_run_files.py": (
        "gpuagent.adapters.mongo.run_files",
        "gpuagent.cli.run_files",
    ),
    "tests/adapters/chain/test_json_rpc.py": ("gpuagent.adapters.chain.answers",),
    "tests/adapters/chain/test_limited_nodes.py": ("gpuagent.adapters.chain.needs",),
    "tests/adapters/mongo/test_outbox.py": ("gpuagent.cli.inbox", "gpuagent.render.inbox"),
    "tests/alerts/test_sender.py": ("gpuagent.adapters.mongo.alerts",),
    "tests/api/test_approval.py": ("gpuagent.api.routes.approval",),
    "tests/cli/test_alerts.py": ("gpuagent.cli.alerts",),
    "tests/adapters/mongo/test_store.py": (
        "gpuagent.adapters.mongo.files",
        "gpuagent.adapters.mongo.documents",
        "gpuagent.adapters.mongo.quotes",
        "gpuagent.adapters.mongo.reads",
        "gpuagent.adapters.mongo.whole_runs",
    ),
    "tests/adapters/mongo/test_track_records.py": ("gpuagent.adapters.mongo.track_records",),
    "tests/agent/test_approve.py": ("gpuagent.cli.approve", "gpuagent.cli.policy"),
    "tests/agent/test_caps.py": ("gpuagent.adapters.mongo.policy",),
    "tests/agent/test_plan.py": ("gpuagent.adapters.mongo.past_jobs",),
    "tests/api/test_auth.py": ("gpuagent.cli.serve",),
    "tests/browser/test_page.py": ("gpuagent.console.server", "gpuagent.cli.console"),
    "tests/console/test_environments.py": ("gpuagent.adapters.mongo.users",),
    "tests/api/test_due.py": ("gpuagent.adapters.mongo.leases",),
    "tests/cli/test_fleet_command.py": ("gpuagent.cli.fleet",),
    "tests/api/test_idempotency.py": ("gpuagent.api.idempotency",),
    "tests/api/test_live.py": ("gpuagent.api.followers", "gpuagent.api.messages", "gpuagent.api.routes.events"),
    "tests/api/test_routes.py": (
        "gpuagent.adapters.mongo.queries",
        "gpuagent.api.guarded_route",
        "gpuagent.api.middleware",
        "gpuagent.api.requests",
        "gpuagent.api.responses",
    ),
    "tests/api/test_server.py": ("gpuagent.api.http11",),
    "tests/books/test_refunds.py": (
        "gpuagent.adapters.mongo.refunds",
        "gpuagent.cli.refund",
        "gpuagent.render.refunds",
    ),
    "tests/books/test_sweep.py": ("gpuagent.books.audit",),
    "tests/cli/test_commands.py": (
        "gpuagent.cli.books",
        "gpuagent.cli.run",
        "gpuagent.cli.vendor",
        "gpuagent.render.books",
    ),
    "tests/mcp/test_tools.py": (
        *("gpuagent.mcp.arguments", "gpuagent.mcp.looks", "gpuagent.mcp.purchases", "gpuagent.mcp.shown"),
        "gpuagent.mcp.strict_tool",
    ),
    "tests/mcp/test_transports.py": ("gpuagent.cli.mcp",),
    "tests/agent/test_month_budgets.py": ("gpuagent.adapters.mongo.months",),
    "tests/cli/test_policy_budget.py": ("gpuagent.api.routes.reports", "gpuagent.cli.policy_budget"),
    "tests/panels/test_vendors_form.py": ("gpuagent.panels.vendors_form",),
    "tests/adapters/discovery/test_client.py": ("gpuagent.adapters.discovery.offers",),
    "tests/cli/test_sell.py": ("gpuagent.cli.sell",),
    "tests/cli/test_job.py": ("gpuagent.cli.job",),
    "tests/cli/test_planners.py": ("gpuagent.cli.planners",),
    "tests/cli/test_run_job.py": ("gpuagent.core.shipment", "gpuagent.render.policy"),
    "tests/cli/test_report.py": ("gpuagent.cli.report",),
    "tests/cli/test_wallet.py": ("gpuagent.cli.wallet",),
    "tests/mock_vendor/test_mock_faults.py": (
        "mock_vendor.conduct",
        "mock_vendor.control",
        "mock_vendor.conduct",
        "mock_vendor.faults.job",
        "mock_vendor.faults.odd",
        "mock_vendor.faults.offer",
        "mock_vendor.faults.paid",
        "mock_vendor.faults.quote",
        "mock_vendor.faults.shape",
        "mock_vendor.faults.file",
        "mock_vendor.faults.switchboard",
        "mock_vendor.faults.work",
    ),
    "tests/mock_vendor/test_mock_process.py": ("mock_vendor.__main__", "mock_vendor.serve"),
    "tests/mock_vendor/test_mock_sale.py": ("mock_vendor.catalogue", "seller.api.callers", "seller.conduct"),
    "tests/mock_vendor/test_mock_work.py": (
        "seller.api.answers",
        "seller.api.files",
        "seller.api.wire",
        "seller.work.order",
        "seller.work.status",
        "seller.work.submission",
    ),
    "tests/seller/test_config.py": ("seller.yaml_text",),
    "tests/seller/test_limiter.py": ("seller.api.callers",),
    "tests/seller/test_quotes.py": ("seller.api.documents", "seller.quotes"),
    "tests/seller/test_sale.py": ("seller.conduct",),
    "tests/seller/test_seller_process.py": ("seller.serve",),
    "tests/panels/test_approval_form.py": ("gpuagent.panels.approval_form",),
    "tests/panels/test_comparison.py": ("gpuagent.panels.comparison.form", "gpuagent.panels.comparison.results"),
    "tests/adapters/mongo/test_timeline.py": ("gpuagent.adapters.mongo.timeline",),
    "tests/panels/timeline/test_run_tools.py": (
        "gpuagent.panels.timeline.run_tools",
        "gpuagent.panels.timeline.timeline",
    ),
    "tests/panels/test_console.py": (
        "gpuagent.panels.kit.style",
        "gpuagent.panels.run_controls",
    ),
    "tests/mock_vendor/test_stubs.py": (
        "mock_vendor.stubs.__main__",
        *("mock_vendor.stubs.bench", "mock_vendor.stubs.payments", "mock_vendor.stubs.stub"),
        *("mock_vendor.stubs.hypercli", "mock_vendor.stubs.hypercli_orders"),
        *("mock_vendor.stubs.__main__", "mock_vendor.stubs.openvps", "mock_vendor.stubs.prism"),
    ),
    "tests/panels/test_forms.py": (
        "gpuagent.panels.budgets_form",
        "gpuagent.panels.faults_form",
        "gpuagent.panels.kit.fields",
        "gpuagent.panels.launch_form",
        "gpuagent.panels.limits_form",
    ),
    "tests/planbench/test_generate.py": ("gpuagent.planbench.generator.outages",),
    "tests/practice/test_demo.py": ("gpuagent.cli.up", "gpuagent.practice.demo"),
    "tests/reports/test_attention.py": ("gpuagent.reports.figures.attention",),
    "tests/reports/test_delivery.py": ("gpuagent.reports.figures.delivery",),
    "tests/reports/test_exports.py": (
        "gpuagent.adapters.mongo.report_streams",
        "gpuagent.reports.stream",
    ),
    "tests/reports/test_page.py": (
        "gpuagent.reports.figures.headlines",
        "gpuagent.reports.sections.money",
        "gpuagent.reports.sections.spending",
        "gpuagent.reports.sections.work",
    ),
    "tests/reports/test_summaries.py": (
        *("gpuagent.reports.chunks", "gpuagent.reports.overview", "gpuagent.reports.summary_rows"),
    ),
    "tests/seller/runners/test_container_runner.py": (
        "seller.runners.container_isolation",
        "seller.runners.container_log",
        "seller.runners.container_program",
    ),
    "tests/seller/runners/test_process_runner.py": (
        "seller.runners.base",
        "seller.runners.kept",
        "seller.runners.reading",
    ),
    "tests/seller/test_stock_client.py": ("seller.api.documents",),
    "tests/wire/test_job_file.py": ("gpuagent.core.job_fields", "gpuagent.wire.yaml_text"),
}
DIALECT = """
    one ones other others found told said asked seen shown known kept words wanted given made taken named called held
    left sent done begun due these those them theirs ours mine somebody nobody anybody stranger everything something
"""
"""Pronouns, and participles used as nouns: a name is a noun of the domain instead."""
DIALECT_MAX = {"gpuagent": 5, "mock_vendor": 15, "seller": 5, "tests": 15}
"""Names in the dialect of 1,000 bound ones."""


@dataclass(frozen=True)
class Module:
    """What the rules ask of a module: its imports, the names that it binds, its classes, and its length in lines."""

    imports: frozenset[str]
    names: tuple[str, ...]
    classes: tuple[str, ...]
    lines: int


@cache
def module(path: Path) -> Module:
    text = path.read_text()
    tree = ast.parse(text)
    classes = tuple(node.name for node in tree.body if isinstance(node, ast.ClassDef))
    return Module(frozenset(imports(tree)), tuple(bound_names(tree)), classes, len(text.splitlines()))


def sources(folder: str, pattern: str = "*.py") -> dict[Path, Module]:
    return {path: module(path) for path in sorted((ROOT / folder).rglob(pattern))}


def dotted_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(tree: ast.Module) -> set[str]:
    """The dotted names of all that is imported, anywhere in the module."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def bound_names(tree: ast.Module) -> Iterator[str]:
    """Parameters, targets of assignments, loops, with, except and match, and definitions."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()):
                yield name
            case ast.arg(arg=name):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name


def test_no_test_imports_a_test() -> None:
    for path, source in sources("tests").items():
        modules = {name for name in source.imports if any(part.startswith("test_") for part in name.split("."))}
        assert not {name for name in modules if name.startswith("tests.")}, f"{path}: helpers live in tests/support"


def test_every_long_module_is_named_by_a_test() -> None:
    modules = {
        dotted_name(path): source
        for package in ("gpuagent", "mock_vendor", "seller")
        for path, source in sources(package).items()
    }
    long_modules = {name for name, source in modules.items() if source.lines > LONG_LINES}
    imported = {name for source in sources("tests", "test_*.py").values() for name in source.imports}
    covered = {name for names in COVERED_FROM_OUTSIDE.values() for name in names}
    assert long_modules - imported - covered == set(), "import it in a test, or name the test that covers it"
    assert covered - modules.keys() == set(), "these modules are gone"
    assert covered & imported == set(), "a test imports these modules by now"
    assert [file for file in COVERED_FROM_OUTSIDE if not (ROOT / file).is_file()] == []


def test_a_class_name_means_one_thing() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path, source in sources("gpuagent").items():
        for name in source.classes:
            places[name].append(dotted_name(path))
    assert {name: modules for name, modules in places.items() if len(modules) > 1} == {}


@pytest.mark.parametrize("folder", DIALECT_MAX)
def test_names_are_nouns_of_the_domain(folder: str) -> None:
    names = [name.strip("_").lower() for source in sources(folder).values() for name in source.names]
    pronouns = frozenset(DIALECT.split())
    dialect = Counter(name for name in names if name in pronouns)
    assert 1000 * dialect.total() < DIALECT_MAX[folder] * len(names), dialect.most_common(10)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_every_mutant_can_be_played(mutant: Mutant) -> None:
    assert mutant.problem() == ""
