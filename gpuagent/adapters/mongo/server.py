"""Version, replica set and clock of a MongoDB server."""

from dataclasses import dataclass
from typing import Any

from bson.codec_options import CodecOptions
from pymongo import MongoClient

from gpuagent.adapters.mongo.values import seconds

_UTC: CodecOptions[Any] = CodecOptions(tz_aware=True)
"""Commands do not go by the client's options."""


@dataclass(frozen=True, slots=True)
class Server:
    """replica_set: its name, "" of a sharded cluster. clock: Unix seconds there, when it was asked."""

    version: str
    replica_set: str
    clock: float


def server(client: MongoClient[dict[str, Any]]) -> Server:
    version = str(client.admin.command("buildInfo")["version"])
    hello = client.admin.command("hello", codec_options=_UTC)
    return Server(version, str(hello.get("setName", "")), seconds(hello["localTime"]))


def clock(client: MongoClient[dict[str, Any]]) -> float:
    """The server's clock, Unix seconds in whole milliseconds."""
    return seconds(client.admin.command("hello", codec_options=_UTC)["localTime"])
