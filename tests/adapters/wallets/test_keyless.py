"""A wallet without a key signs nothing."""

from typing import Any

import pytest

from gpuagent.adapters.wallets.keyless import KeylessWallet
from gpuagent.errors import Refused
from tests.support.world import World


def test_nothing_is_signed_without_a_key(world: World) -> None:
    wallet = KeylessWallet(world.ports.wallet.address, world.ports.wallet.token)
    anything: Any = None
    with pytest.raises(Refused, match="holds no key: nothing is signed"):
        wallet.sign(anything, anything, "")
    with pytest.raises(Refused, match="holds no key: nothing is cancelled"):
        wallet.cancel(anything, anything)
