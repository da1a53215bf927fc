"""The source of the wallet's key: the environment, a keystore, or CDP.

No frame that raises here holds a key or a password: some tools print the locals of a traceback.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from gpuagent.core.model import Payer, Token
from gpuagent.errors import ConfigError

if TYPE_CHECKING:
    from gpuagent.adapters.wallets.cdp_client import CdpClient
    from gpuagent.core.ports.wallet import Wallet

KEYS = ("X402_PRIVATE_KEY", "EVM_PRIVATE_KEY")
PASSWORD, PASSWORD_FILE = PASSWORDS = ("X402_KEYSTORE_PASSWORD", "X402_KEYSTORE_PASSWORD_FILE")
KEYSTORE = "X402_KEYSTORE"
CDP = {
    "CDP_API_KEY_ID": "the id of an API key of your CDP project",
    "CDP_API_KEY_SECRET": "what CDP gave with the API key",
    "CDP_WALLET_SECRET": "the wallet secret of your CDP project",
    "CDP_ACCOUNT": "the name or the address of the server account that pays",
}
CDP_SELECTORS = ("CDP_WALLET_SECRET", "CDP_ACCOUNT")
"""The variables that choose the wallet at CDP; an API key of CDP has other uses too."""


@dataclass(frozen=True, slots=True)
class KeySource:
    """Reads a secret when it is asked for, and keeps none. Every property raises ConfigError saying what to set."""

    environ: Mapping[str, str] = field(repr=False)

    @property
    def kind(self) -> str:
        """Who holds the key: `cdp`, a `keystore` or the environment (`key`). Two at once would be two wallets."""
        alternatives = (*KEYS, KEYSTORE)
        chosen = next((name for name in CDP_SELECTORS if self.environ.get(name)), "")
        for variable, rivals in ((chosen, alternatives), (KEYSTORE, KEYS)):
            rival = next((name for name in rivals if self.environ.get(name)), "")
            if rival and self.environ.get(variable):
                raise ConfigError(f"{rival} and {variable} are both set: choose one of them, and unset the other")
        return "cdp" if chosen else "keystore" if self.environ.get(KEYSTORE) else "key"

    @contextmanager
    def open_wallet(self, token: Token) -> "Iterator[Wallet]":
        """The wallet that the environment chooses. Raises WalletError too, where CDP is asked for its address."""
        if self.kind != "cdp":
            from gpuagent.adapters.wallets.local import LocalWallet

            yield LocalWallet(self.private_key, token)
            return
        with self.open_cdp() as client:
            from gpuagent.adapters.wallets.cdp import CdpWallet, address_of

            yield CdpWallet(client, address_of(client, self.environ["CDP_ACCOUNT"]), token)

    def payer(self) -> Payer:
        """The wallet without a token or a chain. CDP is asked, so that a wrong key or account is found."""
        if self.kind != "cdp":
            from gpuagent.adapters.wallets.local import address_of

            return Payer(address_of(self.private_key), self.kind)
        from eth_utils.address import to_checksum_address

        with self.open_cdp() as client:
            account = client.account(self.environ["CDP_ACCOUNT"])
            return Payer(to_checksum_address(account.address), "cdp", account.policies)

    @contextmanager
    def open_cdp(self) -> "Iterator[CdpClient]":
        """CDP itself, with the keys in the environment."""
        for name, what in CDP.items():
            if not self.environ.get(name):
                raise ConfigError(
                    f"set {name}: {what}; or unset {' and '.join(CDP_SELECTORS)}, to pay from another wallet"
                )
        from gpuagent.wire.bounded_http import is_encrypted_or_local

        url = self.environ.get("CDP_URL", "")
        if url and not is_encrypted_or_local(url):
            raise ConfigError(
                "CDP_URL is not https, and keys would be readable on the way: write https://…, or unset it"
            )
        client = self._cdp_client(url)
        try:
            yield client
        finally:
            client.close()

    def _cdp_client(self, url: str) -> "CdpClient":
        try:
            from gpuagent.adapters.wallets.cdp_client import CDP_URL, CdpClient, CdpCredentials
        except ImportError as error:
            raise ConfigError("a wallet at CDP needs cdp-sdk: pip install 'gpuagent[cdp]'") from error
        from gpuagent.wire.egress import egress

        key_id, key_secret, wallet_secret, _ = CDP
        keys = CdpCredentials(self.environ[key_id], self.environ[key_secret], self.environ[wallet_secret])
        return CdpClient(keys, url or CDP_URL, egress=egress(self.environ))

    @property
    def private_key(self) -> str:
        """The key of the wallet that pays. A keystore takes about a second to open: ask once."""
        match self.kind:
            case "cdp":
                raise ConfigError("the wallet's key is at CDP, which never gives it away")
            case "key":
                return self.plain_key
        from gpuagent.adapters.wallets import keystore

        path = Path(self.environ[KEYSTORE])
        sealed = keystore.read(path, KEYSTORE)
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
            "or X402_KEYSTORE: a file that holds it encrypted, as `gpuagent wallet new FILE` makes it; "
            f"or {', '.join(CDP)}: a server account at CDP"
        )

    @property
    def password(self) -> bytes:
        """The keystore's; b"" when the environment has none."""
        from gpuagent.adapters.wallets import keystore

        if all(self.environ.get(name) for name in PASSWORDS):
            raise ConfigError(f"{' and '.join(PASSWORDS)} are both set: choose one of them, and unset the other")
        if not self.environ.get(PASSWORD_FILE):
            return os.fsencode(self.environ.get(PASSWORD, ""))
        # Files end with a newline, passwords do not.
        password = keystore.read_private(Path(self.environ[PASSWORD_FILE]), PASSWORD_FILE).rstrip(b"\r\n")
        if not password:
            raise ConfigError(f"the file that {PASSWORD_FILE} names is empty: write the password into it")
        return password
