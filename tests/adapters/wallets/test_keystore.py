"""The wallet's key in an encrypted file, and the commands that make and show it."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from eth_account import Account
from typer.testing import CliRunner

from gpuagent import settings, wiring
from gpuagent.adapters.wallets import keystore
from gpuagent.adapters.wallets.source import PASSWORDS
from gpuagent.cli import app
from gpuagent.core.model import SealedKey
from gpuagent.errors import BadInput, ConfigError
from tests.support.world import World

PASSWORD = "correct horse battery staple"
KEY = "0x" + "5" * 64
ADDRESS = Account.from_key(KEY).address
NO_SECRETS = ("X402_PRIVATE_KEY", "EVM_PRIVATE_KEY", "X402_KEYSTORE", *PASSWORDS, "CHAIN_RPC_URL")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A keystore of KEY that opens fast."""
    file = tmp_path / "wallet.json"
    sealed_key = keystore.seal(KEY, PASSWORD.encode(), scrypt_n=2)
    assert sealed_key
    keystore.write(file, sealed_key)
    return file


def private_key(**environ: object) -> str:
    return wiring.key_source(settings.read({name: str(value) for name, value in environ.items()})).private_key


def gpuagent(*arguments: object, typed: str = "", **environ: object) -> Result:
    env = {**dict.fromkeys(NO_SECRETS), **{name: str(value) for name, value in environ.items()}}
    return CliRunner().invoke(app, ["wallet", *map(str, arguments)], input=typed, env=env)


def test_the_password_opens_it(file: Path) -> None:
    assert private_key(X402_KEYSTORE=file, X402_KEYSTORE_PASSWORD=PASSWORD) == KEY


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_the_password_may_lie_in_a_file(file: Path, tmp_path: Path, ending: str) -> None:
    password = tmp_path / "password"
    password.touch(0o600)
    password.write_text(PASSWORD + ending, newline="")
    assert private_key(X402_KEYSTORE=file, X402_KEYSTORE_PASSWORD_FILE=password) == KEY


def test_other_programs_open_it_and_it_opens_theirs(tmp_path: Path, file: Path) -> None:
    assert Account.decrypt(json.loads(file.read_text()), PASSWORD).to_0x_hex() == KEY
    foreign_file = tmp_path / "theirs.json"
    foreign_file.touch(0o600)
    foreign_file.write_text(json.dumps(Account.encrypt(KEY, PASSWORD, kdf="pbkdf2", iterations=10)))
    assert private_key(X402_KEYSTORE=foreign_file, X402_KEYSTORE_PASSWORD=PASSWORD) == KEY


def test_the_plain_key_stays(file: Path) -> None:
    assert private_key(X402_PRIVATE_KEY=KEY) == KEY
    assert private_key(EVM_PRIVATE_KEY=KEY) == KEY
    assert private_key(EVM_PRIVATE_KEY="0x1", X402_PRIVATE_KEY=KEY) == KEY


@pytest.mark.parametrize("name", ["X402_PRIVATE_KEY", "EVM_PRIVATE_KEY"])
def test_a_key_beside_a_keystore_is_refused(file: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} and X402_KEYSTORE are both set: choose one"):
        private_key(X402_KEYSTORE=file, X402_KEYSTORE_PASSWORD=PASSWORD, **{name: KEY})


def test_passwords_that_open_nothing(file: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch(0o600)
    with pytest.raises(ConfigError, match="does not open"):
        private_key(X402_KEYSTORE=file, X402_KEYSTORE_PASSWORD=PASSWORD + " ")
    with pytest.raises(ConfigError, match="set X402_KEYSTORE_PASSWORD or X402_KEYSTORE_PASSWORD_FILE"):
        private_key(X402_KEYSTORE=file)
    with pytest.raises(ConfigError, match="choose one"):
        private_key(X402_KEYSTORE=file, X402_KEYSTORE_PASSWORD=PASSWORD, X402_KEYSTORE_PASSWORD_FILE=empty)
    with pytest.raises(ConfigError, match="is empty"):
        private_key(X402_KEYSTORE=file, X402_KEYSTORE_PASSWORD_FILE=empty)
    with pytest.raises(ConfigError, match="X402_KEYSTORE_PASSWORD_FILE names cannot be read: No such file"):
        private_key(X402_KEYSTORE=file, X402_KEYSTORE_PASSWORD_FILE=tmp_path / "none")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_files_that_others_reach_are_refused(file: Path, tmp_path: Path, mode: int) -> None:
    password = tmp_path / "password"
    password.touch(0o600)
    password.write_text(PASSWORD)
    for path in (file, password):
        path.chmod(mode)
        with pytest.raises(ConfigError, match=f"chmod 600 {path}"):
            private_key(X402_KEYSTORE=file, X402_KEYSTORE_PASSWORD_FILE=password)
        path.chmod(0o600)
    assert private_key(X402_KEYSTORE=file, X402_KEYSTORE_PASSWORD_FILE=password) == KEY


def with_crypto(file: Path, **crypto: Any) -> str:
    document = json.loads(file.read_text())
    return json.dumps({**document, "crypto": {**document["crypto"], **crypto}})


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "7", "not json", "\xff", '{"version": 3, "crypto": 7}', '{"version": 4}']
)
def test_files_that_are_no_keystore(file: Path, text: str) -> None:
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match="is no keystore of version 3"):
        private_key(X402_KEYSTORE=file, X402_KEYSTORE_PASSWORD=PASSWORD)


@pytest.mark.parametrize(
    "damage",
    [{"mac": "00" * 32}, {"mac": 7}, {"ciphertext": "zz"}, {"kdf": "none"}, {"kdfparams": {}}, {"cipherparams": []}],
)
def test_keystores_that_are_damaged(file: Path, damage: dict[str, Any]) -> None:
    file.write_text(with_crypto(file, **damage))
    with pytest.raises(ConfigError, match=r"does not open .* or the file is damaged"):
        private_key(X402_KEYSTORE=file, X402_KEYSTORE_PASSWORD=PASSWORD)


def test_a_folder_is_no_keystore(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="X402_KEYSTORE names cannot be read: Is a directory"):
        private_key(X402_KEYSTORE=tmp_path, X402_KEYSTORE_PASSWORD=PASSWORD)


def test_a_keystore_is_never_overwritten(file: Path, tmp_path: Path) -> None:
    before = file.read_bytes()
    sealed_key = SealedKey(ADDRESS, "{}")
    with pytest.raises(BadInput, match="is there already"):
        keystore.write(file, sealed_key)
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BadInput, match="is there already"):
        keystore.write(tmp_path / "link", sealed_key)
    with pytest.raises(BadInput, match="No such file"):
        keystore.write(tmp_path / "nowhere" / "file", sealed_key)
    assert file.read_bytes() == before


def test_a_new_wallet_from_the_terminal(tmp_path: Path) -> None:
    file = tmp_path / "new.json"
    result = gpuagent("new", file, typed=f"{PASSWORD}\n{PASSWORD}\n")
    assert result.exit_code == 0, result.output
    assert PASSWORD not in result.output
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text())["crypto"]["kdfparams"]["n"] == 2**18, "the format's full strength"
    wallet = gpuagent("show", "--json", X402_KEYSTORE=file, X402_KEYSTORE_PASSWORD=PASSWORD)
    address = json.loads(wallet.stdout)["address"]
    assert f"{address} is in {file}" in result.stdout
    repetition = gpuagent("new", file)
    assert repetition.exit_code == 2
    assert "is there already" in repetition.stderr


def test_two_passwords_that_differ_make_nothing(tmp_path: Path) -> None:
    result = gpuagent("new", tmp_path / "new.json", typed="one\nother\n")
    assert (result.exit_code, "set X402_KEYSTORE_PASSWORD_FILE" in result.stderr) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_a_new_keystore_takes_no_password_that_is_easily_guessed(tmp_path: Path) -> None:
    file, short = tmp_path / "password", "swordfish"
    file.touch(0o600)
    file.write_text(short)
    ways: tuple[dict[str, Any], ...] = (
        {"typed": f"{short}\n{short}\n"},
        {"X402_KEYSTORE_PASSWORD": short},
        {"X402_KEYSTORE_PASSWORD_FILE": file},
    )
    for verb in ("new", "import"):
        for way in ways:
            result = gpuagent(verb, tmp_path / "new.json", X402_PRIVATE_KEY=KEY, **way)
            assert (result.exit_code, "12 characters or more, 5 of them different" in result.stderr) == (2, True)
            assert short not in result.output
    assert list(tmp_path.iterdir()) == [file]


def test_what_a_new_keystores_password_is_to_have() -> None:
    for weak in ("", "abc", "elevenchars", " " * 12, " abc         ", "a" * 40, "123412341234", "p\u00e4ssw\u00f6rter"):
        assert "easily guessed" in keystore.weakness(weak.encode()), weak
    for strong in (PASSWORD.encode(), b"twelve chars", b"\xff\xfe\xfd\xfc\xfb" * 3):
        assert keystore.weakness(strong) == ""


def test_a_keystore_with_a_short_password_opens(tmp_path: Path) -> None:
    """Made elsewhere, or before there was a minimum."""
    file = tmp_path / "wallet.json"
    file.touch(0o600)
    file.write_text(json.dumps(Account.encrypt(KEY, "abc", kdf="pbkdf2", iterations=10)))
    assert private_key(X402_KEYSTORE=file, X402_KEYSTORE_PASSWORD="abc") == KEY


def test_a_key_is_imported(tmp_path: Path) -> None:
    file = tmp_path / "new.json"
    result = gpuagent("import", file, "--json", X402_PRIVATE_KEY=KEY, X402_KEYSTORE_PASSWORD=PASSWORD)
    assert json.loads(result.stdout) == {"address": ADDRESS, "keystore": str(file)}
    assert KEY[2:] not in file.read_text() + result.output
    assert private_key(X402_KEYSTORE=file, X402_KEYSTORE_PASSWORD=PASSWORD) == KEY


@pytest.mark.parametrize("key", ["", "0xabc", KEY + "5", "0x" + "0" * 64, "f" * 64])
def test_what_is_no_key_is_not_imported(tmp_path: Path, key: str) -> None:
    result = gpuagent("import", tmp_path / "new.json", X402_PRIVATE_KEY=key, X402_KEYSTORE_PASSWORD=PASSWORD)
    assert result.exit_code == 2
    assert "X402_PRIVATE_KEY" in result.stderr
    assert not key or key not in result.output
    assert list(tmp_path.iterdir()) == []


def test_show_says_what_the_wallet_holds(world: World) -> None:
    address = world.ports.wallet.address
    world.market.rpc("anvil_setBalance", address, hex(25 * 10**16))
    wallet = json.loads(gpuagent("show", "--json", **world.environment).stdout)
    assert wallet == {
        "address": address,
        "heldBy": "key",
        "network": "eip155:31337",
        "asset": world.environment["X402_ASSET"],
        "balance": "1000000000",
        "gas": "250000000000000000",
    }
    output = gpuagent("show", **world.environment).stdout
    assert "1000.00 USD" in output
    assert "0.25 ETH" in output


def test_show_needs_no_chain() -> None:
    result = gpuagent("show", X402_PRIVATE_KEY=KEY)
    assert result.stdout.splitlines() == [
        f"wallet   {ADDRESS}",
        "key      in the environment",
        "network  eip155:31337",
    ]
