"""One rule says which of a data folder's databases is meant, and the kill switch holds in all that are in use."""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from gpuagent import settings
from gpuagent.adapters.mongo.embedded import start
from gpuagent.adapters.mongo.embedded_folders import meant_first
from gpuagent.cli import app
from gpuagent.settings import CHAIN_NAMES
from gpuagent.wiring.database import open_database, open_used_databases
from gpuagent.wiring.embedded import announce_practice_database, say_once
from gpuagent.wiring.embedded import data_folder as own_folder
from gpuagent.wiring.vendors import record_vendors
from tests.support.factories import RUN
from tests.support.report_history import vendors

OWN, PRACTICE = "your own database", "the practice stack's database"
CONFIGURED = {"X402_NETWORK": "base-sepolia"}


@pytest.mark.parametrize(
    ("own", "practice", "configured", "meant"),
    [
        (False, False, False, PRACTICE),
        (False, True, False, PRACTICE),
        (True, True, False, PRACTICE),
        (True, False, False, OWN),  # `gpuagent policy show`, in a shell without the chain's variables
        *((own, practice, True, OWN) for own in (False, True) for practice in (False, True)),
    ],
)
def test_one_rule_for_all_commands(tmp_path: Path, own: bool, practice: bool, configured: bool, meant: str) -> None:
    for exists, folder in ((own, "mongod"), (practice, "up/mongod")):
        if exists:
            (tmp_path / folder / "data").mkdir(parents=True)
    first, second = meant_first(tmp_path, configured=configured)
    assert first.name == meant
    assert {first.folder, second.folder} == {tmp_path / "mongod", tmp_path / "up" / "mongod"}
    assert not first.is_used
    assert not second.is_used


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Both databases with a vendor each, in use: by a server of the user's own, and by a `gpuagent lab`."""
    with pytest.MonkeyPatch.context() as monkeypatch, ExitStack() as stack:
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        for name in ("MONGODB_URI", "MONGODB_DB_NAME", *CHAIN_NAMES):
            monkeypatch.delenv(name, raising=False)
        folder = own_folder()
        for place, environ, vendor in (("mongod", CONFIGURED, vendors()[0]), ("up/mongod", {}, vendors()[1])):
            stack.enter_context(start(folder / place))
            with open_database(settings.read(environ)) as db:
                record_vendors(db, [vendor])
        yield folder


def gpuagent(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(app, arguments, env=environment)


def halts(**environment: str) -> list[str]:
    (policy,) = json.loads(gpuagent("policy", "show", "--json", **environment).stdout)["policies"]
    return [halt["name"] for halt in policy["halts"]]


@pytest.mark.safety("the kill switch, thrown in a shell whose variables mean another database than a running lab's")
def test_a_halt_holds_in_every_database_that_is_in_use(
    data_folder: Path, record_property: Callable[[str, object], None]
) -> None:
    halt = ("policy", "halt", "wallet", "all", "--why", "stolen", "--by", "Ada")
    for environment, other in (({}, OWN), (CONFIGURED, PRACTICE)):
        result = gpuagent(*halt, **environment)
        assert result.exit_code == 0, result.output
        assert f"halted there too: {other} ({data_folder}" in result.stderr
        assert (halts(), halts(**CONFIGURED)) == (["*"], ["*"])
        resumed = gpuagent("policy", "resume", "wallet", "all", "--why", "found", "--by", "Ada", **environment)
        assert resumed.exit_code == 0, resumed.output
        assert sorted((halts(), halts(**CONFIGURED))) == [[], ["*"]]  # what allows more is for each alone
    record_property("observed", "halted in both, resumed in the one that is meant")
    alpha, beta = (vendor.vendor_id for vendor in vendors()[:2])
    assert gpuagent("policy", "halt", "vendor", alpha, "--why", "x", "--by", "Ada").exit_code == 0
    assert (alpha in halts(), alpha in halts(**CONFIGURED)) == (False, True)  # only one knows this vendor
    unknown = gpuagent("policy", "halt", "vendor", "nobody", "--why", "x", "--by", "Ada")
    assert (unknown.exit_code, f"known: {alpha}, {beta}" in unknown.output) == (2, True)


def test_no_command_looks_into_one_of_two_databases_without_saying_so(
    data_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def spoken() -> list[str]:
        messages = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        caplog.clear()
        say_once.cache_clear()
        return messages

    spoken()
    with open_database(settings.read(CONFIGURED)) as db:
        db.store.create(RUN)
    (notice,) = spoken()
    assert notice.startswith(f"this is {OWN} ({data_folder / 'mongod'}); there is {PRACTICE}")
    commands: tuple[tuple[tuple[str, ...], dict[str, str], str], ...] = (
        (("run", "list"), {}, PRACTICE),
        (("report", "--format", "journal", "--out", "-"), {}, PRACTICE),
        (("policy", "show"), {}, PRACTICE),
        (("vendor", "list"), CONFIGURED, OWN),
        (("run", "status", RUN.run_id), CONFIGURED, OWN),
    )
    for arguments, environment, meant in commands:
        result = gpuagent(*arguments, **environment)
        assert result.exit_code == 0, result.output
        (notice,) = spoken()
        assert notice.startswith(f"this is {meant} ("), arguments
    announce_practice_database()  # as `gpuagent up` and `gpuagent lab` do
    (notice,) = spoken()
    assert notice.startswith(f"this is {PRACTICE} (")
    with open_database(settings.read({**CONFIGURED, "MONGODB_DB_NAME": "other"})):
        assert "MONGODB_DB_NAME may name ['gpuagent']" in spoken()[-1]
    with start(data_folder / "mongod") as server:
        environment = {"MONGODB_URI": server.uri, "MONGODB_DB_NAME": "gpuagent"}
    spoken()
    with open_used_databases(settings.read(environment)) as databases:
        assert list(databases) == [""]  # an address is the one database
    assert spoken() == []
