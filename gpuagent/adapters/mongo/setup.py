"""Setting up a database: collections, validators and indexes, as far as the MongoDB user may; the rest in words.

A user that may only read needs none of it. One that may write goes without an upgrade, but never without what refuses
malformed money and duplicates, and never on a database that a newer version has set up.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pymongo import TEXT, IndexModel, MongoClient
from pymongo.database import Database
from pymongo.errors import OperationFailure

from gpuagent.adapters.mongo.address import DEFAULT_DATABASE
from gpuagent.adapters.mongo.deadline import UNAUTHORIZED
from gpuagent.adapters.mongo.indexes import ALERT_INDEXES, DERIVED_INDEXES, FILE_INDEXES, INDEXES, SUPERSEDED
from gpuagent.adapters.mongo.schema import VALIDATORS, VERSION, version_of
from gpuagent.adapters.mongo.values import Document
from gpuagent.errors import ConfigError

Documents = Database[Document]
INDEX_NOT_FOUND, NAMESPACE_EXISTS = 27, 48
"""MongoDB's error codes."""


@dataclass(slots=True)
class Gaps:
    """What the database lacks and this MongoDB user may not make; in words, such as `createIndex on jobs`.

    unprotected: what refuses malformed money or duplicates. outdated: what only an earlier version's schema lacks.
    newer: the version of the schema, where it is a later one than this program's; nothing is compared with it.
    """

    unprotected: list[str] = field(default_factory=list)
    outdated: list[str] = field(default_factory=list)
    newer: int = 0


def ensure_schema(database: Documents) -> Gaps:
    """Create or update the collections, as far as the user may; a newer version's are left as they are.

    Safe to repeat and to run in many processes at once.
    """
    gaps = Gaps()
    validators = {
        collection["name"]: collection["options"].get("validator") for collection in database.list_collections()
    }
    version = max(map(version_of, validators.values()), default=0)
    if version > VERSION:
        gaps.newer = version
        return gaps
    for name, validator in VALIDATORS.items():
        if name not in validators:
            if not is_allowed(partial(_create, database, name, validator)):
                gaps.unprotected.append(f"createCollection {name}")
                continue
        elif validators[name] != validator and not is_allowed(
            partial(database.command, "collMod", name, validator=validator)
        ):
            (gaps.outdated if validators[name] else gaps.unprotected).append(f"collMod on {name}")
        if is_allowed(partial(database[name].create_indexes, INDEXES[name])):
            _drop_superseded(database, name)
        else:
            _note_indexes(database, name, INDEXES[name], gaps)
    for name, indexes in DERIVED_INDEXES.items():
        is_allowed(partial(database[name].create_indexes, indexes))
    for name, indexes in {**FILE_INDEXES, **ALERT_INDEXES}.items():
        if not is_allowed(partial(database[name].create_indexes, indexes)):
            unguarded = Gaps()
            _note_indexes(database, name, indexes, unguarded)
            gaps.outdated += unguarded.unprotected + unguarded.outdated
    return gaps


def is_allowed(act: Callable[[], object]) -> bool:
    """Do it, unless the MongoDB user has no right to."""
    try:
        act()
    except OperationFailure as error:
        if error.code != UNAUTHORIZED:
            raise
        return False
    return True


def _note_indexes(database: Documents, name: str, indexes: list[IndexModel], gaps: Gaps) -> None:
    present = {index["name"]: index for index in database[name].list_indexes()}
    for index in indexes:
        document = index.document
        described = {key: value for key, value in document.items() if key != "key" or TEXT not in value.values()}
        if any(present.get(document["name"], {}).get(key) != value for key, value in described.items()):
            gap = gaps.unprotected if document.get("unique") else gaps.outdated
            gap.append(f"createIndex {document['name']} on {name}")


def _drop_superseded(database: Documents, name: str) -> None:
    if name not in SUPERSEDED:
        return
    for index in set(SUPERSEDED[name]).intersection(database[name].index_information()):
        # Another process may be first.
        drop = partial(database.command, "dropIndexes", name, index=index, allowable_errors=[INDEX_NOT_FOUND])
        is_allowed(drop)


def _create(database: Documents, name: str, validator: dict[str, Any]) -> None:
    try:
        database.create_collection(name, validator=validator, check_exists=False)
    except OperationFailure as error:
        if error.code != NAMESPACE_EXISTS:
            raise
        # Another process was first.
        database.command("collMod", name, validator=validator)


def check_not_elsewhere(client: MongoClient[Document], database: Documents) -> None:
    """Raises ConfigError where the URI's database is empty and the usual one has a policy: it was used until now."""
    usual = client[DEFAULT_DATABASE]
    with suppress(OperationFailure):  # what this user may not read, it has not used
        if usual.name != database.name and not database.policies.find_one() and usual.policies.find_one():
            raise ConfigError(
                f"MONGODB_URI names the database {database.name!r}, which is empty, while {usual.name!r} has runs or "
                f"limits of gpuagent: to go on with those, name {usual.name!r} in the URI (and ?authSource="
                f"{database.name}, if it keeps the user's password); to begin anew, set MONGODB_DB_NAME={database.name}"
            )


def upgrade_needed(database: Documents, gaps: Gaps) -> str:
    """What an administrator must do, in words; "" for nothing.

    Raises ConfigError for a user that could write past what is to refuse malformed money and duplicates, or to a
    database of a newer version.
    """
    role = f"open it once, by any command, as a MongoDB user with the roles readWrite and dbAdmin on {database.name!r}"
    may_write = bool(gaps.unprotected or gaps.outdated or gaps.newer) and _may_write(database)
    if gaps.newer and may_write:
        raise ConfigError(
            f"the database {database.name!r} was written by a newer gpuagent (its schema is {gaps.newer}, this one "
            f"knows {VERSION}): pip install --upgrade gpuagent; a MongoDB user that may only read may look at it"
        )
    if gaps.unprotected and may_write:
        missing = ", ".join(gaps.unprotected)
        raise ConfigError(
            f"the database {database.name!r} lacks what refuses malformed money and duplicates, and this MongoDB user "
            f"may write to it but not set it up ({missing}): {role}"
        )
    if not (gaps.outdated and may_write):
        return ""
    return (
        f"the database {database.name!r} has the schema of an earlier version, and this MongoDB user may not upgrade "
        f"it ({', '.join(gaps.outdated)}): {role}"
    )


def _may_write(database: Documents) -> bool:
    status = database.command("connectionStatus", showPrivileges=True)["authInfo"]
    return not status["authenticatedUsers"] or any(
        {"insert", "update"} & set(privilege["actions"])
        and (privilege["resource"].get("anyResource") or privilege["resource"].get("db") in ("", database.name))
        for privilege in status["authenticatedUserPrivileges"]
    )
