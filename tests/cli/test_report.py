"""`gpuagent report` and the notebook on a real run: the same figures, with the chain, without a key, by other faces."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import nbformat
import pytest
from click.testing import Result
from rich.console import Console
from typer.testing import CliRunner

from gpuagent.cli import app
from gpuagent.render.progress import RowCounter
from gpuagent.reports import exports
from gpuagent.reports.gather import Gathering
from gpuagent.reports.partitions import Partition, Sizes
from tests.conftest import DATABASE
from tests.support import report_history
from tests.support.books import OwnWalletPayer
from tests.support.market import Market
from tests.support.notebook_path import NOTEBOOK_PATH
from tests.support.small_partitions import sized
from tests.support.world import World

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "notebooks" / "30_cost_report.ipynb"
NOWHERE = "mongodb://127.0.0.1:1"
Invoke = Callable[..., Result]


def lately(world: World) -> str:
    """A period around the market's day, which other tests may have turned past the command's own."""
    today = datetime.fromtimestamp(world.market.clock.now(), UTC).date()
    return f"{today - timedelta(days=30)}..{today + timedelta(days=1)}"


def test_a_real_run_is_reported_and_its_chain_checked(world: World, gpuagent: Invoke, tmp_path: Path) -> None:
    world.market.outcomes("gpu_vendor_1", "0")
    run = world.finish(world.start(tags=("paper",)))
    paid = world.reads.recorded(run.run_id).settled
    page = tmp_path / "report.html"
    result = gpuagent(
        "report", "--period", lately(world), "--tag", "paper", "--out", str(page), "--json", "--by", "tag"
    )
    assert result.exit_code == 0, result.output
    shown = json.loads(result.stdout)
    figures = {headline["name"]: headline["now"] for headline in shown["headlines"]}
    assert shown["by"] == "tag"
    assert [(row["group"], row["jobs"], row["cost"], row["share"]) for row in shown["groups"]] == [
        ("paper", len(run.jobs), str(paid), 1.0)
    ]
    assert (figures["Spent"], figures["Wasted on failed jobs"]) == (str(paid), "1400000")
    text = page.read_text()
    assert "Every transfer is in a ledger, and every payment on chain." in text
    assert "gpu_vendor_1" in text
    journal = gpuagent("report", "--period", lately(world), "--format", "journal", "--out", "-")
    assert journal.stdout.startswith("transactionId,date,account,debit,credit,amount")
    assert "expenses:failed jobs:gpu_vendor_1" in journal.stdout


def test_a_ledger_that_differs_from_the_chain_is_reported(world: World, gpuagent: Invoke, tmp_path: Path) -> None:
    world.finish(world.start())
    OwnWalletPayer(world).transfer("0x" + "9" * 40, 1_000_000)
    page = tmp_path / "report.html"
    assert gpuagent("report", "--period", "all", "--out", str(page)).exit_code == 0
    assert "The ledgers differ from the chain in 1 place." in page.read_text()
    assert "unknown transfer" in page.read_text()


def test_without_a_chain_or_a_key_the_report_says_so(world: World, gpuagent: Invoke, tmp_path: Path) -> None:
    world.finish(world.start())
    page = tmp_path / "report.html"
    bare = dict.fromkeys(("X402_PRIVATE_KEY", "CHAIN_RPC_URL", "GPU_VENDOR_SECRET"))
    assert gpuagent("report", "--period", "all", "--out", str(page), **bare).exit_code == 0
    assert "Not checked: set CHAIN_RPC_URL" in page.read_text()
    gone = gpuagent("report", "--period", "all", "--out", str(page), CHAIN_RPC_URL="http://127.0.0.1:1")
    assert gone.exit_code == 0
    assert "Not checked: " in page.read_text()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--period", "yesterday"), "write 30d"),
        (("--format", "pdf"), "there are: html"),
        (("--currency", "EUR"), "needs both"),
        (("--format", "csv", "--out", "-"), "folder of files"),
        (("--by", "colour"), "vendor, user, tag, gpu, planner"),
        (("--by", "tag", "--format", "focus"), "leave --by out"),
        (("--out", "-", "--json"), "--json goes there already"),
        (("--keep", "--out", "page.html"), "--keep writes no file"),
        (("--out", "/proc/no/such"), "cannot be written"),
    ],
)
def test_a_wrong_option_is_explained(gpuagent: Invoke, arguments: tuple[str, ...], says: str) -> None:
    result = gpuagent("report", *arguments, **({"MONGODB_URI": NOWHERE} if "--by" in arguments else {}))
    assert (result.exit_code, says in result.output) == (2, True), result.output


@pytest.fixture
def on_the_book(book: report_history.Book, market: Market) -> dict[str, str]:
    """An environment that names the history's database."""
    return {"MONGODB_URI": market.environment["MONGODB_URI"], "MONGODB_DB_NAME": f"{DATABASE}_book"}


def test_every_format_is_what_the_package_gives(
    book: report_history.Book, on_the_book: dict[str, str], tmp_path: Path
) -> None:
    report = report_history.report(book.db)
    for form in exports.FORMATS:
        out = tmp_path / form
        arguments = ["report", "--period", "2026-11", "--format", form, "--out", str(out)]
        result = CliRunner().invoke(app, arguments, env=on_the_book)
        assert result.exit_code == 0, result.output
        assert "11.43 USD spent" in result.output
        if form in ("focus", "journal"):
            assert out.read_text() == exports.text(report, form)
    assert sorted(path.name for path in (tmp_path / "parquet").iterdir()) == sorted(
        f"{name}.parquet" for name in exports.tables(report)
    )


def test_what_is_kept_at_night_is_not_added_up_in_the_morning(
    own_book: tuple[report_history.Book, Any], market: Market, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    environment = {"MONGODB_URI": market.environment["MONGODB_URI"], "MONGODB_DB_NAME": f"{DATABASE}_own_book"}
    parts: list[Partition] = []
    make = Gathering._make
    monkeypatch.setattr(Gathering, "_make", lambda *fields: parts.extend(fields[2]) or make(*fields))
    with sized(Sizes(most=3, least=1)):
        night = CliRunner().invoke(app, ["report", "--period", "all", "--keep"], env=environment)
        assert (night.exit_code, "the next page reads what has changed since" in night.output) == (0, True), (
            night.output
        )
        assert parts
        assert list(tmp_path.iterdir()) == []
        parts.clear()
        morning = CliRunner().invoke(app, ["report", "--period", "all", "--out", "-"], env=environment)
    assert (morning.exit_code, parts) == (0, []), morning.output


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--user", "adda"), 2, "no run of user 'adda', in any period; there are: ada"),
        (("--tag", "night"), 2, "no run with tag 'night'"),
        (("--vendor", "gpu_vendor_9"), 2, "no vendor 'gpu_vendor_9'; known: "),
        (("--user", "ada", "--period", "2020"), 0, "Nothing of user ada was started or paid in 2020-01-01"),
        (("--user", "bob", "--period", "2026-11-22"), 0, "Nothing of user bob was started or paid in"),  # ada paid
        (("--user", "ada", "--period", "all"), 0, " USD spent\n"),
    ],
)
def test_a_filter_that_matches_nothing_is_said_so(
    on_the_book: dict[str, str], tmp_path: Path, arguments: tuple[str, ...], code: int, says: str
) -> None:
    options = ["report", "--format", "journal", "--out", str(tmp_path / "out"), *arguments]
    result = CliRunner().invoke(app, options, env=on_the_book)
    assert (result.exit_code, says in result.output) == (code, True), result.output


@pytest.mark.parametrize(
    ("database", "period", "spent"), [("book", "2026", "12.83 USD"), ("nothing", "30d", "0.00 USD")]
)
def test_the_notebook_runs_under_papermill(
    on_the_book: dict[str, str], tmp_path: Path, database: str, period: str, spent: str
) -> None:
    notebook, out = tmp_path / "report.ipynb", tmp_path / "out"
    parameters = {"period": period, "out": str(out), "currency": "EUR", "rate": "0.92", "by": "tag"}
    options = [part for name, value in parameters.items() for part in ("-p", name, value)]  # 2026 becomes a number
    own = {"MONGODB_DB_NAME": f"{DATABASE}_{database}", "PYTHONPATH": NOTEBOOK_PATH}
    environment = {**os.environ, **on_the_book, **own}
    command = [sys.executable, "-m", "papermill", str(NOTEBOOK), str(notebook), "-k", "python3", *options]
    process = subprocess.run(command, check=False, capture_output=True, text=True, env=environment, timeout=300)
    assert process.returncode == 0, process.stderr
    outputs = [output for cell in nbformat.read(notebook, 4).cells for output in cell.get("outputs", [])]
    texts = [output.get("data", {}).get("text/html", "") for output in outputs]
    assert any("Spend by tag per" in text for text in texts)
    assert any(spent in output.get("data", {}).get("text/html", "") for output in outputs)
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == 8
    assert all(picture["metadata"]["image/png"]["alt"] for picture in pictures)
    assert (out / "report.html").stat().st_size > 10_000


def test_the_core_and_the_command_start_without_pandas() -> None:
    modules = "gpuagent, gpuagent.cli, gpuagent.settings, gpuagent.adapters.mongo.store, gpuagent.render.palette"
    heavy = "{'pandas', 'numpy', 'matplotlib', 'pyarrow', 'IPython'}"
    code = f"import sys, {modules}; assert not {heavy} & set(sys.modules), {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env=dict(os.environ))


def test_without_the_extra_the_command_says_what_to_install() -> None:
    code = "import sys; sys.modules['pandas'] = None; from gpuagent.cli import app; app(['report'])"
    result = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert result.returncode == 2
    assert "pip install 'gpuagent[reports]'" in result.stderr


@pytest.mark.parametrize("terminal", [True, False])
def test_rows_are_counted_on_a_terminal_alone(terminal: bool) -> None:
    screen = io.StringIO()
    counter = RowCounter("writing report.csv", Console(file=screen, force_terminal=terminal), patience_s=0)
    counter.add(1_200)
    counter.add(34)
    counter.close()
    assert ("1,234 rows" in screen.getvalue()) == terminal
    assert bool(screen.getvalue()) == terminal
