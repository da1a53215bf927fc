"""A payment that a program signs is what a key in this process signs; a program with another key is refused."""

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from eth_account import Account

from gpuagent.adapters.wallets.local import LocalWallet
from gpuagent.adapters.wallets.source import KeySource
from gpuagent.errors import ConfigError, Refused, WalletError
from tests.support.factories import TERMS, TOKEN, authorization

PROGRAM = """\
#!{python}
import json, sys
from eth_account import Account
data = json.load(sys.stdin)
print(Account.sign_typed_data("{key}", data["domain"], data["types"], data["message"]).signature.hex())
"""
KEY, OTHER_KEY = ("0x" + digit * 64 for digit in "12")
ADDRESS = Account.from_key(KEY).address


def source(program: str, **variables: str) -> KeySource:
    return KeySource({"SIGNER_PROGRAM": program, "SIGNER_ADDRESS": ADDRESS, **variables})


def program(folder: str, key: str) -> str:
    path = Path(folder) / f"sign{key[-1]}"
    path.write_text(PROGRAM.format(python=sys.executable, key=key))
    path.chmod(0o700)
    return str(path)


with TemporaryDirectory() as folder:
    payment, signer = authorization(payer=ADDRESS), program(folder, KEY)
    with source(signer).open_wallet(TOKEN) as wallet:
        assert wallet.sign(payment, TERMS, "") == LocalWallet(KEY, TOKEN).sign(payment, TERMS, "")
        with pytest.raises(Refused):
            wallet.sign(authorization(payer=ADDRESS, amount=1), TERMS, "")
        with pytest.raises(Refused):
            wallet.cancel(payment, None)
    for broken in (program(folder, OTHER_KEY), os.devnull, "/bin/true", "/bin/false"):
        with source(broken).open_wallet(TOKEN) as wallet, pytest.raises(WalletError):
            wallet.sign(payment, TERMS, "")
    assert source(signer).payer().custody == "in a program of its own"
    with pytest.raises(ConfigError, match="set SIGNER_ADDRESS"):
        source(signer, SIGNER_ADDRESS="").payer()
    with pytest.raises(ConfigError, match="both set"):
        _ = source(signer, X402_PRIVATE_KEY=KEY).kind
