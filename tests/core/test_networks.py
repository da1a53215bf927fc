"""The networks that are known by name: what the environment makes of them, and the links that people get."""

from io import StringIO
from typing import Any

import pytest
from bson import Decimal128, ObjectId
from eth_hash.auto import keccak
from eth_utils.address import to_checksum_address
from rich.console import Console, Group, RenderableType

from gpuagent import settings
from gpuagent.core import networks
from gpuagent.errors import ConfigError
from gpuagent.render.as_json import run_json
from gpuagent.render.run import explorer_url, jobs_table, transfer_links

TRANSACTION = "0x" + "ab" * 32


def test_names_and_caip2_are_the_same_networks() -> None:
    for profile in networks.PROFILES:
        by_name, by_caip2 = (settings.read({"X402_NETWORK": text}) for text in (profile.name, profile.caip2))
        assert by_name.network == by_caip2.network == profile.caip2
        assert by_name.profile == profile
    assert settings.read({}).profile == settings.read({"X402_NETWORK": ""}).profile == networks.LOCAL


def test_base_is_known_whole() -> None:
    read = settings.read({"X402_NETWORK": "base"})
    assert (read.token.chain_id, read.token.address) == (8453, "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913")
    assert (read.token.name, read.token.version, read.confirmations) == ("USD Coin", "2", 10)
    assert read.rpc_urls == ("https://mainnet.base.org",)


def test_what_is_set_beats_the_profile_but_for_the_pinned_token() -> None:
    read = settings.read(
        {
            "X402_NETWORK": "base",
            "CHAIN_RPC_URL": "https://a, https://b",
            "X402_CONFIRMATIONS": "3",
            "X402_ASSET": "0x1",
        }
    )
    assert read.rpc_urls == ("https://a", "https://b")
    assert read.confirmations == 3
    assert read.token == networks.BASE.token


def test_a_network_nobody_described_needs_all_of_it() -> None:
    read = settings.read({"X402_NETWORK": "eip155:10"})
    assert (read.profile.name, read.confirmations) == ("eip155:10", 10)
    with pytest.raises(ConfigError, match="set CHAIN_RPC_URL"):
        _ = read.rpc_urls
    with pytest.raises(ConfigError, match="set X402_ASSET"):
        _ = read.token
    with pytest.raises(ConfigError, match="set CHAIN_RPC_URL"):
        _ = settings.read({}).rpc_urls


@pytest.mark.parametrize(
    "text", ["mainnet", "Base", "eip155:", "eip155:0", "eip155:08453", "eip155:１", "solana:1", "ba se"]
)
def test_networks_that_are_none(text: str) -> None:
    with pytest.raises(ConfigError, match="write one of local, base-sepolia, base, or a CAIP-2 network"):
        settings.read({"X402_NETWORK": text})


@pytest.mark.parametrize("address", [profile.token.address for profile in networks.PROFILES if profile.token])
def test_an_address_in_mixed_case_has_a_right_checksum(address: str) -> None:
    """A slip in a payee would be paid."""
    assert networks.is_address(address)
    assert networks.is_address(address.lower())
    assert networks.is_address("0x" + address[2:].upper())
    place = next(number for number, char in enumerate(address) if number > 1 and char.isalpha())
    assert not networks.is_address(address[:place] + address[place].swapcase() + address[place + 1 :])
    for slip in (address[:-1], address + "0", address[2:], "0X" + address[2:], f" {address}", address[:-1] + "g"):
        assert not networks.is_address(slip)


def test_checksums_are_those_of_eth_utils() -> None:
    for number in range(200):
        address = f"0x{keccak(number.to_bytes(2, 'big')).hex()[:40]}"
        mixed = to_checksum_address(address)
        assert networks.is_address(mixed)
        assert not networks.is_address(mixed.swapcase().replace("0X", "0x"))


def payment(network: str, transaction: str | None = TRANSACTION) -> dict[str, Any]:
    document = {"_id": ObjectId(), "jobId": ObjectId("a" * 24), "network": network, "status": "completed"}
    return {**document, "x402TxId": transaction} if transaction else document


@pytest.mark.parametrize(
    ("paid", "url"),
    [
        (payment("eip155:8453"), f"https://basescan.org/tx/{TRANSACTION}"),
        (payment("eip155:84532"), f"https://sepolia.basescan.org/tx/{TRANSACTION}"),
        (payment("eip155:31337"), ""),
        (payment("eip155:10"), ""),
        (payment("eip155:8453", None), ""),
        (payment("eip155:8453", "local_tx_17"), ""),
        (payment("eip155:8453", f"{TRANSACTION}/../x"), ""),
        ({"jobId": 1}, ""),
    ],
)
def test_links_to_the_explorer(paid: dict[str, Any], url: str) -> None:
    assert explorer_url(paid) == url
    assert [link.plain for link in transfer_links([paid])] == ([url] if url else [])


def test_a_run_shows_its_transfers_links() -> None:
    paid = payment("eip155:8453")
    job = {
        "_id": paid["jobId"],
        "vendorId": "v",
        "state": "settled",
        "status": "running",
        "expectedCost": Decimal128("1"),
    }
    document = run_json(
        {"runs": [{"_id": 1}], "jobs": [job], "payments": [paid, payment("eip155:31337")], "observations": []}
    )
    assert [payment_json.get("explorerUrl") for payment_json in document["payments"]] == [
        f"https://basescan.org/tx/{TRANSACTION}",
        None,
    ]
    url = f"https://basescan.org/tx/{TRANSACTION}"
    assert f";{url}\x1b" in printed(jobs_table([job], [paid]), force_terminal=True)
    assert f";{url}\x1b" in printed(*transfer_links([paid]), force_terminal=True, width=40)
    assert printed(*transfer_links([paid]), width=40).replace("\n", "") == url, "whole, however narrow it is"


def printed(*renderables: RenderableType, **options: Any) -> str:
    file = StringIO()
    Console(file=file, **{"width": 100, **options}).print(Group(*renderables))
    return file.getvalue()
