"""The seller's key, which pays the gas of settlements and signs quotes: from a variable, or from a keystore.

Where the money goes needs no key here: `pay_to` is an address, best of a wallet that this machine does not hold.
"""

import json
import stat
from collections.abc import Mapping

from eth_account import Account as Keys

from seller.config import KeySource
from seller.errors import BadSetting
from seller.payments.market import Account, account


def read_key(source: KeySource, environment: Mapping[str, str]) -> Account | None:
    """The key; None where there is none. Raises BadSetting, which repeats nothing secret."""
    if source.keystore is None:
        key = environment.get(source.variable, "").strip()
        return account(key, source.variable) if key else None
    password = environment.get(source.password_variable, "")
    if not password:
        raise BadSetting(f"key.keystore is set, so set {source.password_variable} too: the keystore's password")
    try:
        mode = source.keystore.stat().st_mode
        document = json.loads(source.keystore.read_text())
    except OSError as error:
        raise BadSetting(f"key.keystore: {source.keystore} cannot be read: {error.strerror}") from None
    except ValueError:
        raise BadSetting(
            f"key.keystore: {source.keystore} is no keystore: `gpuagent wallet new FILE` makes one"
        ) from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise BadSetting(f"key.keystore: others may read {source.keystore}: chmod 600 it")
    try:
        return account("0x" + bytes(Keys.decrypt(document, password)).hex(), "key.keystore")
    except (ArithmeticError, AttributeError, LookupError, NotImplementedError, TypeError, ValueError):
        raise BadSetting(
            f"key.keystore: {source.password_variable} is not its password, or the file is damaged"
        ) from None
