"""The environment is read once, and an error names what is wrong with it."""

from decimal import Decimal

import pytest

from mock_vendor.settings import read_settings
from seller.errors import BadSetting

OWN_CHAIN = {
    "CHAIN_RPC_URL": "http://127.0.0.1:1",
    "X402_NETWORK": "eip155:84532",
    "X402_ASSET": "0x036CbD53842c5426634e7929541eC2318f3dCF7e",
    "FACILITATOR_PRIVATE_KEY": "0x" + "11" * 32,
    "MOCK_PAY_TO": "0x036CbD53842c5426634e7929541eC2318f3dCF7e",
}


def test_an_empty_environment_has_defaults() -> None:
    settings = read_settings({})
    assert (settings.port, settings.seed, settings.speed, settings.vendors) == (4001, 7, 1200, 3)
    assert settings.base_price_per_hour == Decimal("1.40")
    assert (settings.fail_vendor_id, settings.fail_rate) == (None, 0)
    assert settings.chain is None
    assert settings.data_dir is None
    assert settings.secret != read_settings({}).secret


def test_empty_counts_as_unset_and_none_fails_nobody() -> None:
    assert read_settings({"PORT": "", "FAIL_VENDOR_ID": " "}).port == 4001
    assert read_settings({"FAIL_VENDOR_ID": "none"}).fail_vendor_id is None


def test_a_chain_of_ones_own() -> None:
    chain = read_settings(OWN_CHAIN).chain
    assert chain is not None
    assert (chain.network, chain.asset_name, chain.asset_version) == ("eip155:84532", "USDC", "2")


@pytest.mark.parametrize("missing", [name for name in OWN_CHAIN if name != "CHAIN_RPC_URL"])
def test_what_a_chain_of_ones_own_lacks_is_named(missing: str) -> None:
    with pytest.raises(BadSetting, match=missing):
        read_settings({name: value for name, value in OWN_CHAIN.items() if name != missing})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "http"),
        ("PORT", "65536"),
        ("PORT", "80.5"),
        ("FAIL_RATE", "1.1"),
        ("FAIL_RATE", "nan"),
        ("BASE_PRICE_PER_HOUR", "$1.40"),
        ("BASE_PRICE_PER_HOUR", "0"),
        ("BASE_PRICE_PER_HOUR", "1.0000001"),
        ("MOCK_SPEED", "0"),
        ("MOCK_VENDORS", "0"),
        ("MOCK_SEED", "-1"),
        ("MOCK_SLOW_S", "inf"),
        ("MOCK_PAYER_USDC", "lots"),
    ],
)
def test_bad_values_are_named(name: str, value: str) -> None:
    with pytest.raises(BadSetting, match=name):
        read_settings({name: value})
    with pytest.raises(BadSetting, match="X402_NETWORK"):
        read_settings(OWN_CHAIN | {"X402_NETWORK": "base-sepolia"})
