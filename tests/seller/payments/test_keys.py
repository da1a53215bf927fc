"""The seller's key: from a variable or a keystore; what is wrong with it is said, and it never is."""

import json
import traceback
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from seller.config import KeySource
from seller.errors import BadSetting
from seller.payments.keys import read_key

KEY = "0x" + "4d" * 32
PASSWORD = "correct horse"
VARIABLE, PASSWORD_VARIABLE = "SELLER_PRIVATE_KEY", "SELLER_KEYSTORE_PASSWORD"


@pytest.fixture(scope="module")
def encrypted() -> dict[str, Any]:
    keystore: dict[str, Any] = Account.encrypt(KEY, PASSWORD, kdf="scrypt", iterations=2)
    return keystore


@pytest.fixture
def keystore(encrypted: dict[str, Any], tmp_path: Path) -> Path:
    path = tmp_path / "key.json"
    path.write_text(json.dumps(encrypted))
    path.chmod(0o600)
    return path


def test_a_key_in_a_variable() -> None:
    key = read_key(KeySource(), {VARIABLE: f" {KEY}\n"})
    assert key
    assert key.address == Account.from_key(KEY).address
    assert read_key(KeySource(), {}) is None, "a hosted facilitator needs none"
    other = read_key(KeySource(variable="MY_KEY"), {"MY_KEY": KEY})
    assert other == read_key(KeySource(), {VARIABLE: KEY})


def test_a_key_in_a_keystore(keystore: Path) -> None:
    key = read_key(KeySource(keystore=keystore), {PASSWORD_VARIABLE: PASSWORD})
    assert key
    assert (key.address, key.private_key) == (Account.from_key(KEY).address, KEY)


@pytest.mark.parametrize("wrong", ["0x12", "4d" * 33, "zz" * 32, "0x" + "00" * 32, "0x" + "ff" * 32, "ключ"])
def test_a_key_that_is_none_is_not_repeated(wrong: str) -> None:
    with pytest.raises(BadSetting, match=VARIABLE) as refusal:
        read_key(KeySource(), {VARIABLE: wrong})
    assert wrong not in "".join(traceback.format_exception(refusal.value))


def refused(keystore: Path, password: str = PASSWORD) -> str:
    """The words in which a keystore is refused, which nothing secret is in."""
    with pytest.raises(BadSetting, match="keystore") as refusal:
        read_key(KeySource(keystore=keystore), {PASSWORD_VARIABLE: password} if password else {})
    words = "".join(traceback.format_exception(refusal.value))
    assert not [secret for secret in (KEY[2:], PASSWORD, "wrong horse") if secret in words]
    return str(refusal.value)


def test_a_keystore_that_cannot_be_used_is_said_in_words(keystore: Path, tmp_path: Path) -> None:
    assert "SELLER_KEYSTORE_PASSWORD" in refused(keystore, password="")
    assert "is not its password" in refused(keystore, "wrong horse")
    keystore.chmod(0o644)
    assert "chmod 600" in refused(keystore)
    assert "cannot be read" in refused(tmp_path / "none.json")
    assert "cannot be read" in refused(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"[]", b"null", b"{}", b'{"version": 3}', b'{"crypto": 1}', b"[" * 20_000]
)
def test_a_file_that_is_no_keystore(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key.json"
    path.write_bytes(content)
    path.chmod(0o600)
    refused(path)


def test_a_damaged_keystore(keystore: Path, encrypted: dict[str, Any]) -> None:
    for damaged in (
        {**encrypted, "version": 1},
        {**encrypted, "crypto": {**encrypted["crypto"], "ciphertext": "00"}},
        {**encrypted, "crypto": {**encrypted["crypto"], "kdf": "bcrypt"}},
        {**encrypted, "crypto": {**encrypted["crypto"], "kdfparams": {}}},
    ):
        keystore.write_text(json.dumps(damaged))
        assert "is not its password, or the file is damaged" in refused(keystore)
