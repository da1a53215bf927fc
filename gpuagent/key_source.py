"""Where the wallet's key comes from: the environment, or a keystore that it names.

No frame that raises here holds a key or a password: some tools print the locals of a traceback.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gpuagent.errors import ConfigError

KEYS = ("X402_PRIVATE_KEY", "EVM_PRIVATE_KEY")
PASSWORD, PASSWORD_FILE = PASSWORDS = ("X402_KEYSTORE_PASSWORD", "X402_KEYSTORE_PASSWORD_FILE")


@dataclass(frozen=True, slots=True)
class KeySource:
    """Reads a secret when it is asked for, and keeps none. Every property raises ConfigError saying what to set."""

    environ: Mapping[str, str] = field(repr=False)

    @property
    def private_key(self) -> str:
        """The key of the wallet that pays. A keystore takes about a second to open: ask once."""
        if not self.environ.get("X402_KEYSTORE"):
            return self.plain_key
        for name in KEYS:
            if self.environ.get(name):
                raise ConfigError(f"{name} and X402_KEYSTORE are both set: choose one of them, and unset the other")
        from gpuagent.adapters import keystore

        path = Path(self.environ["X402_KEYSTORE"])
        sealed = keystore.read(path, "X402_KEYSTORE")
        if not any(self.environ.get(name) for name in PASSWORDS):
            raise ConfigError(f"set {' or '.join(PASSWORDS)}: the password of {path}")
        key = keystore.unseal(sealed, self.password)
        if key is None:
            raise ConfigError(f"the keystore password does not open {path}, or the file is damaged")
        return key

    @property
    def plain_key(self) -> str:
        """The key that the environment itself holds."""
        for name in KEYS:
            if self.environ.get(name):
                return self.environ[name]
        raise ConfigError(
            f"set {KEYS[0]}: the key of the wallet that pays (0x and 64 hex digits); "
            "or X402_KEYSTORE: a file that holds it encrypted, as `gpuagent wallet new FILE` makes it"
        )

    @property
    def password(self) -> bytes:
        """The keystore's; b"" when the environment has none."""
        from gpuagent.adapters import keystore

        if all(self.environ.get(name) for name in PASSWORDS):
            raise ConfigError(f"{' and '.join(PASSWORDS)} are both set: choose one of them, and unset the other")
        if not self.environ.get(PASSWORD_FILE):
            return os.fsencode(self.environ.get(PASSWORD, ""))
        # Files that people write end with a newline, which passwords do not.
        password = keystore.read_private(Path(self.environ[PASSWORD_FILE]), PASSWORD_FILE).rstrip(b"\r\n")
        if not password:
            raise ConfigError(f"the file that {PASSWORD_FILE} names is empty")
        return password
