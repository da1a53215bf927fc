"""The two embedded databases of a user's data folder, and which of them an environment means.

    mongod/       the user's own, with the runs of the chain and the wallet that are configured
    up/mongod/    the practice stack's, which `gpuagent lab`, `gpuagent up` and the notebooks start

One rule for all commands: who names a chain or a wallet means their own; else the practice stack's is meant, unless
only the other is there.
"""

from dataclasses import dataclass
from pathlib import Path

from gpuagent.adapters.mongo.embedded import is_supervised


@dataclass(frozen=True, slots=True)
class Place:
    """One of the two databases. hint: how it is reached."""

    name: str
    folder: Path
    hint: str

    @property
    def exists(self) -> bool:
        return (self.folder / "data").is_dir()

    @property
    def is_used(self) -> bool:
        """Whether a process uses it now, such as a running `gpuagent lab`."""
        return self.exists and is_supervised(self.folder)

    def __str__(self) -> str:
        return f"{self.name} ({self.folder})"


def places(data_folder: Path) -> tuple[Place, Place]:
    """The user's own database and the practice stack's."""
    own = Place(
        "your own database",
        data_folder / "mongod",
        "name its chain or wallet, such as X402_NETWORK, in the environment",
    )
    practice = Place(
        "the practice stack's database",
        data_folder / "up" / "mongod",
        "unset the variables of chain and wallet, or export what `gpuagent up` prints",
    )
    return own, practice


def meant_first(data_folder: Path, *, configured: bool) -> tuple[Place, Place]:
    """The database that is meant, and the other. configured: whether the environment names a chain or a wallet."""
    own, practice = places(data_folder)
    means_own = configured or (own.exists and not practice.exists)
    return (own, practice) if means_own else (practice, own)
