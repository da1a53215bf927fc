"""The embedded MongoDB of this machine: its folders, which of two is meant, and its server."""

import logging
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from gpuagent.adapters.mongo.embedded import Mongod
    from gpuagent.adapters.mongo.embedded_folders import Place
    from gpuagent.settings import Settings

log = logging.getLogger(__name__)


def data_folder() -> "Path":
    """The folder in the user's home for all that the agent keeps on this machine."""
    from gpuagent.adapters.mongo.embedded import default_folder

    return default_folder().parent


def practice_folder() -> "Path":
    """The folder of the practice stack's data."""
    return data_folder() / "up"


def embedded_place(settings: "Settings") -> "Place":
    """The embedded database that the environment means. Says so where there is another."""
    meant, other = places_of(settings)
    if other.exists:
        say_once(f"this is {meant}; there is {other} too: to use that, {other.hint}")
    return meant


def announce_practice_database() -> None:
    """Say that the practice stack works on a database of its own, where the user has another."""
    from gpuagent.adapters.mongo.embedded_folders import places

    own, practice = places(data_folder())
    if own.exists:
        say_once(f"this is {practice}; there is {own} too: to use that, {own.hint}")


def places_of(settings: "Settings") -> "tuple[Place, Place]":
    """The embedded database that the environment means, and the other."""
    from gpuagent.adapters.mongo.embedded_folders import meant_first
    from gpuagent.settings import is_configured

    return meant_first(data_folder(), configured=is_configured(settings.environ))


@cache
def say_once(text: str) -> None:
    """Say once in a process which of several databases is used."""
    log.warning(text)


def start_mongod(folder: "Path | None") -> "Mongod":
    """The embedded MongoDB server of a data folder, in use until it is closed; None: a folder that ends with it."""
    from gpuagent.adapters.mongo import embedded

    return embedded.start(folder)
