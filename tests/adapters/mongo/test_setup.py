"""MongoDB users with few rights, on a real server: who may read reads, who may write is never without protection."""

import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import pytest
from click.testing import Result
from pymongo import MongoClient
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent
from typer.testing import CliRunner

from gpuagent.adapters.mongo import embedded_secrets
from gpuagent.adapters.mongo.address import database_name, unusable
from gpuagent.adapters.mongo.connection import Connection
from gpuagent.adapters.mongo.embedded import start
from gpuagent.adapters.mongo.indexes import INDEXES, SUPERSEDED
from gpuagent.adapters.mongo.schema import RUNS, VALIDATORS, VERSION
from gpuagent.adapters.mongo.setup import Gaps, ensure_schema
from gpuagent.cli import app
from gpuagent.errors import ConfigError, StoreError
from gpuagent.reports.partitions import Sizes
from gpuagent.wiring.database import Database
from tests.support import big_history, report_history
from tests.support.factories import RUN
from tests.support.small_partitions import sized

NAME, PASSWORD = "rights", "p@ss:w/rd?#[%"
ESCAPED = "p%40ss%3Aw%2Frd%3F%23%5B%25"
WRITES = ["find", "insert", "update", "remove", "listCollections", "listIndexes"]
ROLES: dict[str, list[Any]] = {
    "owner": [{"role": "readWrite", "db": NAME}, {"role": "dbAdmin", "db": NAME}],
    "writer": [{"role": "readWrite", "db": NAME}],  # it has no collMod
    "clerk": [{"role": "clerk", "db": "admin"}],  # nor createIndex
    "reader": [{"role": "read", "db": NAME}],
}


@dataclass
class Rights:
    """A server whose users have different rights on one database."""

    admin: MongoClient[dict[str, Any]]
    address: str
    opened: list[Connection] = field(default_factory=list)

    @property
    def database(self) -> Any:
        return self.admin[NAME]

    def uri(self, user: str, database: str = NAME, password: str = ESCAPED) -> str:
        return f"mongodb://{user}:{password}@{self.address}/{database}?directConnection=true&authSource=admin"

    @contextmanager
    def open(self, user: str) -> Iterator[Database]:
        with closing(Connection(self.uri(user), "")) as connection:
            yield Database(connection)


@pytest.fixture(scope="module")
def server() -> Iterator[Rights]:
    with start() as server:
        port = urlsplit(server.uri).port or 0
        with MongoClient[dict[str, Any]](embedded_secrets.superuser_uri(port, server.folder)) as admin:
            privileges = [{"resource": {"db": NAME, "collection": ""}, "actions": WRITES}]
            admin.admin.command("createRole", "clerk", privileges=privileges, roles=[])
            for user, roles in ROLES.items():
                admin.admin.command("createUser", user, pwd=PASSWORD, roles=roles)
            yield Rights(admin, f"127.0.0.1:{port}")


@pytest.fixture
def rights(server: Rights) -> Rights:
    for name in (NAME, "gpuagent", "fresh"):
        server.admin.drop_database(name)
    return server


def test_a_user_that_may_only_read_reads(rights: Rights, caplog: pytest.LogCaptureFixture) -> None:
    with rights.open("reader") as db:
        assert db.reads.runs() == []  # of a database that nobody has set up
    with rights.open("owner") as owner:
        run = replace(RUN, run_id=owner.store.new_id())
        owner.store.create(run)
    with rights.open("reader") as db:
        assert db.name == NAME
        assert db.store.load(run.run_id) == run
        assert [shown["goal"] for shown in db.reads.runs()] == [run.goal]
        assert db.reads.server().replica_set
        assert db.store.policy().version == 1
        with db.reads.history() as rows:
            assert rows.original_runs() == 0
        for write in (
            lambda: db.store.create(replace(run, run_id=db.store.new_id())),
            lambda: db.store.save(run, run, [], 1.0),
        ):
            with pytest.raises(StoreError, match="has no right to: name one that has the role readWrite"):
                write()
        assert db.upgrade == ""
    assert not caplog.records

    def gpuagent(*arguments: str) -> Result:
        environment = {"MONGODB_URI": rights.uri("reader"), "MONGODB_DB_NAME": None}
        return CliRunner().invoke(app, arguments, env=environment)

    assert json.loads(gpuagent("run", "list", "--json").stdout)["runs"][0]["goal"] == run.goal
    for arguments in (
        ("run", "status", run.run_id),
        ("policy", "history"),
        ("report", "--format", "journal", "--out", "-"),
    ):
        result = gpuagent(*arguments)
        assert result.exit_code == 0, result.output
    refused = gpuagent("policy", "set", "--per-payment", "1", "--by", "Ada")
    assert (refused.exit_code, "the role readWrite" in refused.output) == (1, True)
    assert PASSWORD not in refused.output


def test_a_user_that_may_only_read_gets_a_report_and_keeps_nothing_of_it(rights: Rights) -> None:
    with rights.open("owner") as owner, sized(Sizes(most=20, least=5)):
        big_history.write(rights.database, 30)
        with rights.open("reader") as db:
            figures = report_history.report(db, "all").headlines
            assert rights.database.report_summaries.count_documents({}) == 0
        environment = {"MONGODB_URI": rights.uri("reader"), "MONGODB_DB_NAME": None}
        result = CliRunner().invoke(app, ["report", "--period", "all", "--keep"], env=environment)
        assert (result.exit_code != 0, "could not be kept: name a user" in result.output) == (True, True), result.output
        assert report_history.report(owner, "all").headlines == figures
        assert rights.database.report_summaries.count_documents({}) > 1


def test_a_user_without_collmod_runs_and_is_told_what_an_upgrade_needs(
    rights: Rights, caplog: pytest.LogCaptureFixture
) -> None:
    with rights.open("writer") as db:  # it may set up a new database
        assert db.upgrade == ""
    older = {"$and": [{**RUNS["$and"][0]}]}
    rights.database.command("collMod", "runs", validator=older)
    for user, mention in (("writer", True), ("clerk", True), ("reader", False)):
        caplog.clear()
        with rights.open(user) as db:
            if mention:
                db.store.create(replace(RUN, run_id=db.store.new_id()))
            assert ("collMod on runs" in db.upgrade and "roles readWrite and dbAdmin" in db.upgrade) == mention
        assert [record.levelno for record in caplog.records] == [logging.WARNING] * mention
    with rights.open("owner") as db:
        assert db.upgrade == ""
    with rights.open("writer") as db:
        assert db.upgrade == ""


def test_no_writer_is_without_what_refuses_malformed_money_and_duplicates(rights: Rights) -> None:
    def is_refused(missing: str, user: str = "clerk") -> bool:
        pattern = f"lacks what refuses.*{missing}.*roles readWrite and dbAdmin"
        with pytest.raises(ConfigError, match=pattern), rights.open(user):
            pass
        with rights.open("reader"):
            return True

    assert is_refused("createIndex runId_ordinal_of_ours on jobs")  # to insert is to create a collection, too
    with rights.open("owner"), rights.open("clerk") as db:
        assert db.upgrade == ""
    rights.database.runs.drop_index("createdAt_-1__id_-1")
    with rights.open("clerk") as db:
        assert "createIndex createdAt_-1__id_-1 on runs" in db.upgrade
    rights.database["gpuagent_files.files"].drop_index("filename_1")
    with rights.open("clerk") as db:  # they guard no money
        assert "createIndex filename_1 on gpuagent_files.files" in db.upgrade
    rights.database.payments.drop_index("jobId_attempt_of_ours")
    assert is_refused("createIndex jobId_attempt_of_ours on payments")
    with rights.open("writer"):
        pass
    rights.database.command("collMod", "payments", validator={})
    assert is_refused("collMod on payments", "writer")


def test_indexes_that_others_took_the_place_of_go_once_these_are_there(rights: Rights) -> None:
    (name, *_), jobs = SUPERSEDED["jobs"], rights.database.jobs
    with rights.open("owner"):
        pass
    (newer,) = (index for index in jobs.index_information() if index.startswith(name))
    jobs.drop_index(newer)
    jobs.create_index([("payer", 1), ("state", 1), ("settledAt", 1)])
    with rights.open("clerk") as db:
        assert f"createIndex {newer} on jobs" in db.upgrade
    assert name in jobs.index_information()
    with rights.open("writer"):
        pass
    assert {name, newer} & set(jobs.index_information()) == {newer}


def test_a_database_of_an_earlier_version_has_no_index_too_many(rights: Rights) -> None:
    with rights.open("owner"):
        pass
    runs, jobs = rights.database.runs, rights.database.jobs
    wanted = [set(collection.index_information()) for collection in (runs, jobs)]
    for keys in ([("status", 1), ("updatedAt", -1)], [("status", 1), ("_id", -1)], [("updatedAt", -1), ("_id", -1)]):
        runs.create_index(keys)
    jobs.create_index([("state", 1)], partialFilterExpression={"state": "reserved"})
    assert len(runs.index_information()) == len(wanted[0]) + 3
    with rights.open("owner"):
        pass
    assert [set(collection.index_information()) for collection in (runs, jobs)] == wanted


def described(database: Any) -> dict[str, Any]:
    """The validator and the indexes of each collection."""
    return {
        collection["name"]: (collection["options"].get("validator"), database[collection["name"]].index_information())
        for collection in database.list_collections()
    }


class Forestalled(CommandListener):
    """Has another make each collection just before it is made."""

    def __init__(self, database: Any) -> None:
        self._database, self.names = database, set[str]()

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name == "create":
            self.names.add(event.command["create"])
            self._database.create_collection(event.command["create"])

    def succeeded(self, event: CommandSucceededEvent) -> None: ...
    def failed(self, event: CommandFailedEvent) -> None: ...


def test_two_that_set_up_a_database_at_once_do_not_fail(rights: Rights) -> None:
    with rights.open("owner"):
        current = described(rights.database)
    rights.admin.drop_database(NAME)
    other = Forestalled(rights.database)
    with MongoClient[dict[str, Any]](rights.uri("owner"), event_listeners=[other]) as client:
        assert ensure_schema(client[NAME]) == Gaps()
    assert other.names == set(VALIDATORS)
    assert described(rights.database).items() >= {name: current[name] for name in VALIDATORS}.items()


def test_what_a_newer_version_set_up_is_left_as_it_is_and_only_read(rights: Rights) -> None:
    with rights.open("owner") as db:
        run = replace(RUN, run_id=db.store.new_id())
        db.store.create(run)
    stricter = {**VALIDATORS["payments"], "$comment": f"gpuagent schema {VERSION + 1}", "capped": {"$ne": False}}
    rights.database.command("collMod", "payments", validator=stricter)
    rights.database.runs.drop_index("createdAt_-1__id_-1")
    rights.database.jobs.create_index([("state", 1)])  # an index that this version drops
    newer = described(rights.database)
    for user in ("owner", "writer", "clerk"):
        with pytest.raises(ConfigError, match=r"'rights' was written by a newer gpuagent .*upgrade"), rights.open(user):
            pass
    with rights.open("reader") as db:
        assert (db.store.load(run.run_id), db.upgrade) == (run, "")
    environment = {"MONGODB_URI": rights.uri("owner"), "MONGODB_DB_NAME": None}
    refused = CliRunner().invoke(app, ["run", "list"], env=environment)
    assert (refused.exit_code, "newer gpuagent" in " ".join(refused.output.split())) == (2, True), refused.output
    assert described(rights.database) == newer


def test_what_a_version_before_the_stamps_set_up_is_brought_up_to_date(rights: Rights) -> None:
    with rights.open("owner"):
        pass
    current = described(rights.database)
    for comment in (None, "ours", f"gpuagent schema {VERSION - 1}"):
        validator = {name: part for name, part in VALIDATORS["runs"].items() if name != "$comment"}
        rights.database.command("collMod", "runs", validator=validator | ({"$comment": comment} if comment else {}))
        with rights.open("owner"):
            assert described(rights.database) == current


def test_the_schemas_version_is_raised_with_what_it_guards() -> None:
    unique = {
        name: [index.document for index in indexes if index.document.get("unique")] for name, indexes in INDEXES.items()
    }
    guards = json.dumps([VALIDATORS, unique], sort_keys=True, default=str)
    digest = hashlib.sha256(guards.encode()).hexdigest()[:16]
    assert (VERSION, digest) == (1, "27b9751444e39a23"), "raise VERSION once a release, and write the digest"


def test_the_database_in_the_uri_is_the_database(rights: Rights) -> None:
    uri = rights.uri("owner")
    for name in ("", NAME):
        with closing(Connection(uri, name)) as connection:
            assert connection.database.name == NAME
    with pytest.raises(ConfigError, match=r"names the database 'rights' and MONGODB_DB_NAME 'other': write one"):
        Connection(uri, "other")
    # `admin` keeps the password, and no runs.
    with closing(Connection(rights.uri("owner", "admin"), NAME)) as connection:
        assert connection.database.name == NAME
    assert database_name("", "") == "gpuagent"


def test_runs_of_a_version_that_did_not_read_the_uri_are_not_left_behind(rights: Rights) -> None:
    usual, uri = rights.admin["gpuagent"], rights.uri("owner")
    usual.policies.insert_one({"version": 1})
    with closing(Connection(uri, "")):  # its user may not read the other database, and so has not used it
        pass
    rights.admin.drop_database(NAME)
    rights.admin.admin.command("grantRolesToUser", "owner", roles=[{"role": "read", "db": "gpuagent"}])
    try:
        with pytest.raises(
            ConfigError, match=r"'rights', which is empty, while 'gpuagent' has.*MONGODB_DB_NAME=rights"
        ):
            Connection(uri, "")
        assert rights.database.list_collection_names() == []
        for name in (NAME, ""):  # begun anew on purpose, and from then on
            with closing(Connection(uri, name)) as connection:
                assert connection.database.name == NAME
    finally:
        rights.admin.admin.command("revokeRolesFromUser", "owner", roles=[{"role": "read", "db": "gpuagent"}])


def test_a_wrong_password_is_said_without_showing_it(rights: Rights) -> None:
    with pytest.raises(ConfigError, match=r"does not accept the user or the password.*authSource") as error:
        Connection(rights.uri("owner", password="wr0ng-one"), "")
    assert "wr0ng-one" not in str(error.value)
    with pytest.raises(ConfigError, match="stands in <>"):
        Connection(rights.uri("owner", password="<db_password>"), "")


@pytest.mark.parametrize(
    ("uri", "explanation"),
    [
        ("mongodb://ada:sec/ret@h/db", "@ as %40"),
        ("mongodb://ada:sec@ret@h/db", "@ as %40"),
        ("mongodb://ada:sec:ret@h/db", ": as %3A"),
        ("mongodb://ada:sec%ret@h/db", "% as %25"),
        ("mongodb://ada:sec?ret@h/db", r"\? as %3F"),
        ("mongodb://a@da:secret@h/db", "@ as %40"),
        ("mongodb+srv://ada:sec/ret@h.example/db", "/ as %2F"),
        ("mongodb://ada:secret@h:port/db", "cannot be used: Port"),
        ("mongodb+srv://ada:secret@h.b.example:27017/", "must not include a port"),
        ("mongodb://ada:secret@h/my db", "Bad database name"),
        ("mongodb://ada:secret@/db", "cannot be used"),
        ("http://ada:secret@h/db", "it begins with mongodb://"),
        ("ada:secret@h/db", "it begins with mongodb://"),
        ("mongodb+srv://ada:secret@nowhere.invalid/db", "cannot be used|does not answer"),
    ],
)
def test_a_uri_that_cannot_be_used_is_explained_and_its_password_not_shown(uri: str, explanation: str) -> None:
    with pytest.raises(ConfigError, match=explanation) as error:
        Connection(uri, "", timeout_s=0.2)
    assert not [part for part in ("sec/", "secret", "ret@", "sec") if part in str(error.value)]
    assert error.value.__cause__ is None


def test_a_placeholder_of_a_template_is_named() -> None:
    error = unusable("mongodb+srv://ada:<password>@h/", ValueError("x"))
    assert "what stands in <>" in str(error)
