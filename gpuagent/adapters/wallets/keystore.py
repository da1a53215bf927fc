"""The wallet's key in a file, encrypted with a password, in version 3 of the Ethereum keystore format.

https://ethereum.org/en/developers/docs/data-structures-and-encoding/web3-secret-storage/. What raises here holds
neither key nor password in its frame, and chains no error that does: some tools print the locals of a traceback.
"""

import binascii
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eth_account import Account

from gpuagent.core.model import SealedKey
from gpuagent.errors import BadInput, ConfigError
from gpuagent.wire.recursion import bound_recursion

bound_recursion()

SCRYPT_N = 2**18
"""The cost that the format's own definition uses: about a second, and 256 MB, for each guess of a password."""
PASSWORD_MIN, DISTINCT_MIN = 12, 5
"""Characters of a new keystore's password, and how many differ: guesses need the file alone."""
SIZE_MAX = 64 * 1024
PARTS = ("cipher", "cipherparams", "ciphertext", "kdf", "kdfparams", "mac")


def new_key() -> str:
    """A new random private key, 0x and 64 hex digits."""
    return "0x" + bytes(Account.create().key).hex()


def weakness(password: bytes) -> str:
    """Why the password is too weak for a new keystore; "" for one that will do. Raises nothing, and shows no part."""
    characters = password.decode("utf-8", "surrogateescape").strip()
    if len(characters) >= PASSWORD_MIN and len({*characters}) >= DISTINCT_MIN:
        return ""
    return (
        f"the password is easily guessed: write {PASSWORD_MIN} characters or more, {DISTINCT_MIN} of them different. "
        "Whoever gets the file may try passwords as long as they like"
    )


# Passwords are bytes: eth-account takes those too, though it does not say so, and fails on text that is not UTF-8.


def seal(private_key: str, password: bytes, scrypt_n: int = SCRYPT_N) -> SealedKey | None:
    """Encrypt the key; None when it is no private key. scrypt_n: a power of 2."""
    try:
        account = Account.from_key(private_key)
    except (ValueError, TypeError, binascii.Error):
        return None
    # Named, because eth-account's own default can be changed by a variable of the environment.
    encrypted = Account.encrypt(account.key, password, kdf="scrypt", iterations=scrypt_n)  # type: ignore[arg-type]
    return SealedKey(account.address, json.dumps(encrypted))


def write(path: Path, sealed: SealedKey) -> None:
    """A new file that only its owner may read. Raises BadInput, also when there is one already: it may hold a key."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise BadInput(f"{path} is there already, and may hold a key: choose another name") from None
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(sealed.text)
            file.flush()
            os.fsync(file.fileno())
    except BaseException as error:
        path.unlink()
        if isinstance(error, OSError):
            raise BadInput(f"{path} cannot be written: {error.strerror}") from error
        raise


def read(path: Path, variable: str) -> Mapping[str, Any]:
    """The encrypted file that the variable names. Raises ConfigError for one that is none, or that others may read."""
    try:
        document = json.loads(read_private(path, variable))
    except ValueError:
        document = None
    crypto = document.get("crypto") if isinstance(document, dict) else None
    if not isinstance(crypto, dict) or document.get("version") != 3 or any(part not in crypto for part in PARTS):
        raise ConfigError(f"{path} is no keystore of version 3: `gpuagent wallet new FILE` makes one")
    return document  # type: ignore[no-any-return]


def unseal(keystore: Mapping[str, Any], password: bytes) -> str | None:
    """The private key; None when this is not the password, or the file is damaged."""
    try:
        return "0x" + bytes(Account.decrypt(dict(keystore), password)).hex()  # type: ignore[arg-type]
    except (ArithmeticError, AttributeError, LookupError, NotImplementedError, TypeError, ValueError):
        return None


def read_private(path: Path, variable: str) -> bytes:
    """A small file that only its owner may read. Raises ConfigError.

    A path that leads nowhere is not shown: it may be a secret that was put into the wrong variable.
    """
    problem = ""
    shared = False
    content = b""
    try:
        with path.open("rb") as file:
            shared = bool(os.fstat(file.fileno()).st_mode & 0o077)
            content = b"" if shared else file.read(SIZE_MAX)
    except (OSError, ValueError) as error:
        problem = (error.strerror if isinstance(error, OSError) else "") or type(error).__name__
    if problem:
        raise ConfigError(f"the file that {variable} names cannot be read: {problem}")
    if shared:
        raise ConfigError(f"{path} may be read by others: chmod 600 {path}")
    return content
