"""The rights of a user of panels or pages: what they may do, and the name that it is recorded under."""

from dataclasses import dataclass
from enum import Enum

from gpuagent.errors import NotPermitted

READ, OPERATE, OWN, APPROVE = "read", "operate", "own", "approve"
"""Permissions, as the roles of tokens give them (api/tokens.py). OWN: to operate runs of one's own name alone."""


class Right(Enum):
    """A right, with the sets of permissions of which any gives it."""

    LOOK = (frozenset({"read"}),)
    OPERATE = (frozenset({"operate"}),)
    APPROVE = (frozenset({"approve"}),)
    CANCEL = (frozenset({"operate"}), frozenset({"approve"}))
    ADMINISTER = (frozenset({"operate", "approve"}),)
    """Limits, halts and vendors: with the right to change these, no approval would be needed."""

    @property
    def wording(self) -> str:
        return " or ".join(" and ".join(sorted(permissions)) for permissions in self.value)


@dataclass(frozen=True, slots=True)
class Rights:
    """What a user may do. login: the name that they logged in by; "" where they may say who they are."""

    login: str = ""
    permissions: frozenset[str] = frozenset({READ, OPERATE, APPROVE})

    def has(self, right: Right) -> bool:
        return any(permissions <= self.permissions for permissions in right.value)

    def check(self, right: Right) -> None:
        """Raises NotPermitted."""
        if not self.has(right):
            raise NotPermitted(
                f"{self.login or 'you'} may not do this: it takes the role {right.wording}. Nothing was changed"
            )


OWNER = Rights()
"""The rights of a user of this very machine, in whose environment all of it is."""
