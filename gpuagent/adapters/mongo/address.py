"""The address in MONGODB_URI: the database that it names, and its problems, told without the password."""

import re

from pymongo import MongoClient
from pymongo.errors import ConfigurationError

from gpuagent.adapters.mongo.values import Document
from gpuagent.errors import ConfigError

DEFAULT_DATABASE = "gpuagent"
SERVERS_OWN = ("admin", "local", "config")
"""In a URI they say where the user's password is kept: nobody keeps runs there."""
SCHEMES = ("mongodb", "mongodb+srv")
_WORD = r"(?:[^%:/?#\[\]@\s]|%[0-9a-fA-F]{2})*"
ESCAPED = re.compile(f"{_WORD}(?::{_WORD})?")
PLACEHOLDER = re.compile(r"<[\w ]*>")
ESCAPES = ", ".join(f"{character} as %{ord(character):02X}" for character in "%@:/?#[]") + ", a space as %20"
MESSAGE_MAX = 200


def database_in(client: MongoClient[Document]) -> str:
    """The database that the client's URI names for data, "" for none."""
    try:
        name = client.get_default_database().name
    except ConfigurationError:
        return ""
    return "" if name in SERVERS_OWN else name


def database_name(in_uri: str, named: str) -> str:
    """The database of MONGODB_URI, else of MONGODB_DB_NAME, else the usual one. Raises ConfigError for two names."""
    if in_uri and named and in_uri != named:
        raise ConfigError(
            f"MONGODB_URI names the database {in_uri!r} and MONGODB_DB_NAME {named!r}: write one of them; "
            f"if {in_uri!r} only keeps the user's password, write ?authSource={in_uri} for it"
        )
    return in_uri or named or DEFAULT_DATABASE


def unusable(uri: str, error: Exception) -> ConfigError:
    """The error for a URI that the driver does not take. Shows nothing of user name and password."""
    scheme, separator, rest = uri.partition("://")
    if scheme not in SCHEMES or not separator:
        return ConfigError("MONGODB_URI cannot be used: it begins with mongodb:// or mongodb+srv://")
    credentials, _, _ = rest.rpartition("@")
    if PLACEHOLDER.search(credentials):
        return ConfigError("MONGODB_URI cannot be used: write the user's own name and password for what stands in <>")
    if not ESCAPED.fullmatch(credentials):
        return ConfigError(
            f"MONGODB_URI cannot be used: between :// and the host write {ESCAPES}; "
            "the only : and @ that stay are the one behind the user's name and the one before the host"
        )
    return ConfigError(f"MONGODB_URI cannot be used: {str(error)[:MESSAGE_MAX]}")


def unknown_user(uri: str, error: Exception) -> ConfigError:
    """The error for a user or a password that the server does not take."""
    if PLACEHOLDER.search(uri.rpartition("@")[0]):
        return unusable(uri, error)
    return ConfigError(
        "MongoDB does not accept the user or the password in MONGODB_URI: correct it; for a user whose password is "
        f"kept in another database, add ?authSource=DATABASE; in both write {ESCAPES}"
    )
