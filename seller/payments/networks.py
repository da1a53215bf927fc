"""The networks that are known by name, with their USDC.

https://developers.circle.com/stablecoins/usdc-contract-addresses,
https://docs.base.org/base-chain/quickstart/connecting-to-base.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Network:
    """A chain, its USDC with the domain that is signed in, and a public node, which is good to try with."""

    caip2: str
    asset: str
    asset_name: str
    asset_version: str
    rpc_url: str


NETWORKS = {
    "base-sepolia": Network(
        "eip155:84532", "0x036CbD53842c5426634e7929541eC2318f3dCF7e", "USDC", "2", "https://sepolia.base.org"
    ),
    "base": Network(
        "eip155:8453", "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913", "USD Coin", "2", "https://mainnet.base.org"
    ),
}
