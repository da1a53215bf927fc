"""The networks that are known by name: chain, USDC with its signing domain, a node, finality, explorer.

USDC: https://developers.circle.com/stablecoins/usdc-contract-addresses. Nodes and explorers:
https://docs.base.org/base-chain/quickstart/connecting-to-base.
"""

import re
from dataclasses import dataclass

from eth_hash.auto import keccak

from gpuagent.core.model import Token

_CAIP2 = re.compile(r"eip155:[1-9][0-9]{0,17}", re.ASCII)
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
_HASH = re.compile(r"0x[0-9a-fA-F]{64}", re.ASCII)
NOWHERE = "0x" + "0" * 40
"""The zero address: there is no key for it."""
CONFIRMATIONS = 10
"""Of a network that has no profile."""


@dataclass(frozen=True, slots=True)
class Network:
    """A chain that is paid on. token, rpc_url and explorer are None or "" where there is no common one.

    rpc_url: a public node, good to try with; it is rate-limited, and one node is believed alone.
    confirmations: how many blocks deep a payment is final. explorer: the site that shows a transaction.
    faucet: the site that gives test money away.
    """

    name: str
    caip2: str
    token: Token | None = None
    rpc_url: str = ""
    confirmations: int = CONFIRMATIONS
    explorer: str = ""
    faucet: str = ""


LOCAL = Network("local", "eip155:31337", confirmations=0)
BASE_SEPOLIA = Network(
    name="base-sepolia",
    caip2="eip155:84532",
    token=Token("eip155:84532", "0x036CbD53842c5426634e7929541eC2318f3dCF7e", "USDC", "2"),
    rpc_url="https://sepolia.base.org",
    explorer="https://sepolia.basescan.org",
    faucet="https://faucet.circle.com",
)
BASE = Network(
    name="base",
    caip2="eip155:8453",
    token=Token("eip155:8453", "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913", "USD Coin", "2"),
    rpc_url="https://mainnet.base.org",
    explorer="https://basescan.org",
)
PROFILES = (LOCAL, BASE_SEPOLIA, BASE)
_V1_CHAIN_IDS = {
    **{"ethereum": 1, "polygon": 137, "polygon-amoy": 80002, "avalanche": 43114, "avalanche-fuji": 43113},
    **{"abstract": 2741, "abstract-testnet": 11124, "iotex": 4689, "sei": 1329, "sei-testnet": 1328, "peaq": 3338},
    **{"story": 1513, "educhain": 656476, "skale-base-sepolia": 1444673419, "megaeth": 4326, "monad": 143},
    **{"monad-testnet": 10143, "stable": 988, "stable-testnet": 2201, "celo": 42220, "flare": 14},
}
V1_NETWORKS = {
    **{profile.name: profile.caip2 for profile in PROFILES},
    **{name: f"eip155:{chain_id}" for name, chain_id in _V1_CHAIN_IDS.items()},
}
"""CAIP-2 by the names that version 1 of x402 has for networks: https://github.com/coinbase/x402."""


def caip2_of(text: str) -> str:
    """The CAIP-2 form of a profile's name; any other text as it is."""
    return next((profile.caip2 for profile in PROFILES if profile.name == text), text)


def is_caip2(text: str) -> bool:
    """Whether the text names an EVM chain by its CAIP-2 id, such as eip155:8453."""
    return _CAIP2.fullmatch(text) is not None


def of(caip2: str) -> Network:
    """The profile of a network; of one that has none, only its name."""
    return next((profile for profile in PROFILES if profile.caip2 == caip2), Network(caip2, caip2))


def transaction_url(caip2: str, transaction: str) -> str:
    """The explorer's page of a transaction (0x and 64 hex digits); "" where there is none."""
    explorer = of(caip2).explorer
    return f"{explorer}/tx/{transaction}" if explorer and _HASH.fullmatch(transaction) else ""


def address_url(caip2: str, address: str) -> str:
    """The explorer's page of an address; "" where there is none."""
    explorer = of(caip2).explorer
    return f"{explorer}/address/{address}" if explorer else ""


def is_address(text: str) -> bool:
    """Whether the text is an address (0x and 40 hex digits). Mixed case is a checksum (EIP-55), which must be right."""
    if not _ADDRESS.fullmatch(text):
        return False
    return text[2:] in (text[2:].lower(), text[2:].upper()) or text == _checksummed(text)


def _checksummed(address: str) -> str:
    """The address with its checksum: a letter is a capital where the hash has a digit of 8 or more at its place."""
    digits = address[2:].lower()
    # Not eth_utils, of which every process would read a list of all chains: that takes longer than all of the core.
    digest = keccak(digits.encode()).hex()[: len(digits)]
    pairs = zip(digits, digest, strict=True)
    return "0x" + "".join(digit.upper() if place >= "8" else digit for digit, place in pairs)
