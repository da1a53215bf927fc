"""A payer other than the agent, whose payments the chain reader is tested against."""

from dataclasses import replace
from typing import Any

from eth_abi.abi import encode
from eth_account import Account
from eth_hash.auto import keccak

from gpuagent.core.model import Authorization
from gpuagent.wire.x402 import typed_data
from tests.support.world import World


class OtherPayer:
    """A funded key that signs authorizations, and settles or cancels them on chain by itself."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.account = Account.create()
        self.token = world.ports.wallet.token
        world.market.fund(self.account.address, 10_000_000)

    def authorize(self, **changes: Any) -> Authorization:
        head = self.world.chain.head(self.account.address)
        authorization = Authorization(
            payer=self.account.address,
            payee=self.world.market.vendors[0].pay_to,
            amount=1_400_000,
            network=self.token.network,
            asset=self.token.address,
            nonce="0x" + keccak(self.account.address.encode()).hex(),
            valid_before=head.time + 120,
            from_block=head.number,
        )
        return replace(authorization, **changes)

    def settle(self, authorization: Authorization) -> None:
        domain, types, _, message = typed_data(authorization, self.token)
        signature = self._sign(domain, types, message)
        parameters = "address,address,uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32"
        values = [
            authorization.payer,
            authorization.payee,
            authorization.amount,
            0,
            authorization.valid_before,
            bytes.fromhex(authorization.nonce[2:]),
        ]
        self._send("transferWithAuthorization", parameters, [*values, *self._vrs(signature)])

    def cancel(self, authorization: Authorization) -> None:
        domain, *_ = typed_data(authorization, self.token)
        fields = [{"name": "authorizer", "type": "address"}, {"name": "nonce", "type": "bytes32"}]
        nonce = bytes.fromhex(authorization.nonce[2:])
        message = {"authorizer": authorization.payer, "nonce": nonce}
        signature = self._sign(domain, {"CancelAuthorization": fields}, message)
        values = [authorization.payer, nonce, *self._vrs(signature)]
        self._send("cancelAuthorization", "address,bytes32,uint8,bytes32,bytes32", values)

    def _sign(self, domain: Any, types: Any, message: Any) -> Any:
        domain_data = {
            "name": domain.name,
            "version": domain.version,
            "chainId": domain.chain_id,
            "verifyingContract": domain.verifying_contract,
        }
        return self.account.sign_typed_data(domain_data, types, message)

    def _vrs(self, signature: Any) -> list[Any]:
        return [signature.v, signature.r.to_bytes(32, "big"), signature.s.to_bytes(32, "big")]

    def _send(self, name: str, types: str, values: list[Any]) -> None:
        data = "0x" + (keccak(f"{name}({types})".encode())[:4] + encode(types.split(","), values)).hex()
        self.world.market.transact(self.token.address, data)
