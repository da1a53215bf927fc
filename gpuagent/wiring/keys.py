"""What guards the wallet: its key in a keystore, and the policy that CDP holds an account to."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from gpuagent.core.model import SealedKey, Token, Vendor


def seal_key(private_key: str | None, password: bytes) -> "SealedKey | None":
    """A private key, a new one for None, encrypted for a keystore; None when it is no private key.

    Raises nothing, so that no traceback shows a frame that holds the key.
    """
    from gpuagent.adapters.wallets import keystore

    return keystore.seal(keystore.new_key() if private_key is None else private_key, password)


def password_weakness(password: bytes) -> str:
    """Why the password is too weak for a new keystore, in words without it; "" for one that will do."""
    from gpuagent.adapters.wallets import keystore

    return keystore.weakness(password)


def write_keystore(path: "Path", key: "SealedKey") -> None:
    """Write an encrypted key to a new file that only its owner may read. Raises BadInput where there is one."""
    from gpuagent.adapters.wallets import keystore

    keystore.write(path, key)


def cdp_policy(token: "Token", payer: str, vendors: "Iterable[Vendor]", payment_max: int | None) -> dict[str, Any]:
    """The policy for CDP's policy engine that holds the account to these payees and this much per payment."""
    from gpuagent.adapters.wallets import cdp_policy

    return cdp_policy.cdp_policy(token, payer, list(vendors), payment_max)
