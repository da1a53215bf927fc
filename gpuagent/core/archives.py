"""The archive of a finished run's observations: one compressed file in the file store, named by the run's record."""

from dataclasses import dataclass
from enum import StrEnum


class ArchiveState(StrEnum):
    """The state of a run's archive. What the file holds is in the database too, but for ARCHIVED, of which no longer.

    ARCHIVING: it is taken out of the database. RESTORING: it is put back, after which there is no archive any more.
    """

    ARCHIVING = "archiving"
    ARCHIVED = "archived"
    RESTORING = "restoring"


@dataclass(frozen=True, slots=True)
class Archive:
    """The file that holds the observations of one run: gzip of a line of extended JSON each, in their order.

    bytes: of the file, as stored.
    """

    sha256: str
    bytes: int
    observations: int
