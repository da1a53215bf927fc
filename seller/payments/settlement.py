"""The chain's verdict on an authorization, which alone decides whether a job is paid for."""

from dataclasses import dataclass

from eth_typing import HexStr
from web3 import Web3
from web3.types import FilterParams

from seller.payments.market import connect
from seller.payments.payment import Authorization

WINDOW_BLOCKS = 9_000
"""Providers refuse to search more than some 10,000 blocks for logs at once."""
VALID_MAX_S = 3600
"""How long an authorization may be valid that is taken: x402 says minutes. So far back its use is searched for."""
AUTHORIZATION_STATE = [
    {
        "type": "function",
        "name": "authorizationState",
        "stateMutability": "view",
        "inputs": [{"name": "authorizer", "type": "address"}, {"name": "nonce", "type": "bytes32"}],
        "outputs": [{"name": "", "type": "bool"}],
    }
]
"""Of EIP-3009, all of it that is read."""
USED = Web3.keccak(text="AuthorizationUsed(address,bytes32)").to_0x_hex()
TRANSFER = Web3.keccak(text="Transfer(address,address,uint256)").to_0x_hex()


@dataclass(frozen=True)
class Paid:
    """An authorization whose transfer is on chain."""

    tx: str


@dataclass(frozen=True)
class Open:
    """An authorization neither paid nor dead: it may still settle."""


@dataclass(frozen=True)
class Dead:
    """An authorization that did not pay this vendor and never will."""

    reason: str


class Ledger:
    """One token contract, read only. Every method raises OSError or Web3Exception if the chain is away."""

    def __init__(self, rpc_url: str, asset: str) -> None:
        self._web3 = connect(rpc_url)
        self._asset = Web3.to_checksum_address(asset)
        self._token = self._web3.eth.contract(address=self._asset, abi=AUTHORIZATION_STATE)

    def now(self) -> int:
        """The time of the newest block, in Unix seconds."""
        return int(self._web3.eth.get_block("latest")["timestamp"])

    def is_reachable(self) -> bool:
        return self._web3.is_connected()

    def look_up(self, authorization: Authorization) -> Paid | Open | Dead:
        """The verdict on an authorization. All reads are of one block, so that they cannot contradict each other."""
        block = self._web3.eth.get_block("latest")
        used = self._token.functions.authorizationState(
            Web3.to_checksum_address(authorization.payer), Web3.to_bytes(hexstr=HexStr(authorization.nonce))
        ).call(block_identifier=block["number"])
        if used:
            return self._what_used_it(authorization, block["number"])
        if block["timestamp"] >= authorization.valid_before:
            return Dead("authorization expired")
        return Open()

    def _what_used_it(self, authorization: Authorization, head: int) -> Paid | Dead:
        """Searched back to when the authorization can have come: a seller may have been down for days since."""
        topics = [HexStr(USED), _topic(authorization.payer), HexStr(authorization.nonce)]
        last = head
        while True:
            first = max(0, last - WINDOW_BLOCKS)
            search: FilterParams = {"address": self._asset, "fromBlock": first, "toBlock": last, "topics": topics}
            for log in self._web3.eth.get_logs(search):
                if self._transferred(authorization, log["transactionHash"].to_0x_hex()):
                    return Paid(log["transactionHash"].to_0x_hex())
            if not first or self._web3.eth.get_block(first)["timestamp"] < authorization.valid_before - VALID_MAX_S:
                return Dead("authorization canceled, or used for something else")
            last = first - 1

    def _transferred(self, authorization: Authorization, tx: str) -> bool:
        topics = [TRANSFER, _topic(authorization.payer), _topic(authorization.payee)]
        return any(
            log["address"] == self._asset
            and [topic.to_0x_hex() for topic in log["topics"]] == topics
            and int.from_bytes(log["data"]) == authorization.amount
            for log in self._web3.eth.get_transaction_receipt(HexStr(tx))["logs"]
        )


def _topic(address: str) -> HexStr:
    return HexStr("0x" + address.removeprefix("0x").lower().rjust(64, "0"))
