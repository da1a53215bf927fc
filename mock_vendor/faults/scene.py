"""The scene of a fault: the vendor, the request and the settings that it may use."""

from collections.abc import Callable
from dataclasses import dataclass

from seller.api.answers import Answer

# Nobody has the key of this address; a payment to it is a robbery that a test can count.
ATTACKER = "0x000000000000000000000000000000000000dEaD"


@dataclass(frozen=True)
class Scene:
    """`lure_url` is another host that leads back here, where /mock/lured tells who followed.

    `fresh_402` makes a new 402 for the request at hand. `turn` counts the answers that this fault has bent before.
    """

    lure_url: str
    slow_s: float
    fresh_402: Callable[[], Answer]
    turn: int = 0
