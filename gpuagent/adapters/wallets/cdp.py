"""The Wallet port with the key at Coinbase (CDP). It signs typed data, so that a CDP policy can see payee and amount.

Never a raw hash, which no policy can read. What comes back is believed only once the signature is found to be this
wallet's, over these very terms.
"""

import re
from typing import TYPE_CHECKING, Any

import rlp
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_keys.exceptions import BadSignature
from eth_utils.address import is_address, to_checksum_address
from eth_utils.exceptions import ValidationError
from hexbytes import HexBytes
from rlp.exceptions import RLPException

from gpuagent.adapters.wallets.signing import cancel_transaction, check_cancel, check_payment, domain_of
from gpuagent.core.model import Authorization, Terms, Token
from gpuagent.core.ports.chain import Gas
from gpuagent.errors import ConfigError, WalletError
from gpuagent.wire.eip3009 import CANCEL_TYPES, cancel_message
from gpuagent.wire.x402 import encode_payment, typed_data

if TYPE_CHECKING:  # to import it takes seconds
    from gpuagent.adapters.wallets.cdp_client import CdpClient

Types = dict[str, list[dict[str, str]]]

DOMAIN_FIELDS = {"name": "string", "version": "string", "chainId": "uint256", "verifyingContract": "address"}
HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
"""Half the order of secp256k1: tokens refuse a signature whose s is above it (EIP-2)."""
_SIGNATURE = re.compile(r"0x[0-9a-fA-F]{130}", re.ASCII)
_SIGNED = ("v", "r", "s")


class CdpWallet:
    """Has EIP-3009 transfers of one token and their cancellation signed, nothing else. It never sees the key."""

    def __init__(self, client: "CdpClient", address: str, token: Token) -> None:
        self._client, self._address, self._token = client, address, token

    def __repr__(self) -> str:
        return f"CdpWallet({self._address})"

    @property
    def address(self) -> str:
        return self._address

    @property
    def token(self) -> Token:
        return self._token

    def sign(self, authorization: Authorization, terms: Terms, identifier: str) -> str:
        """The PAYMENT-SIGNATURE header. Raises Refused, also when a CDP policy forbids it, and WalletError."""
        check_payment(authorization, terms, self._address, self._token)
        _, types, _, message = typed_data(authorization, self._token)
        return encode_payment(authorization, "0x" + self._signed(types, message).hex(), terms, identifier)

    def cancel(self, authorization: Authorization, gas: Gas) -> str:
        """A raw transaction that cancels. Raises Refused, also for lack of gas or by a CDP policy, and WalletError."""
        check_cancel(authorization, gas, self._address, self._token)
        signature = self._signed(CANCEL_TYPES, cancel_message(authorization))
        r, s, v = int.from_bytes(signature[:32]), int.from_bytes(signature[32:64]), signature[64]
        transaction = cancel_transaction(authorization, gas, self._token, (v, r, s))
        signed = self._client.sign_transaction(self._address, _unsigned(transaction))
        if not self._is_ours(signed, transaction):
            raise WalletError("CDP signed another transaction than the cancellation it was given: it is not sent")
        return signed

    def _signed(self, types: Types, message: dict[str, Any]) -> bytes:
        """The signature of a message in the token's domain, r, s and v. Raises WalletError for one that is not ours."""
        domain = domain_of(self._token)
        (primary_type,) = types
        domain_fields = [{"name": name, "type": kind} for name, kind in DOMAIN_FIELDS.items()]
        typed_message = {
            "domain": domain,
            "types": {"EIP712Domain": domain_fields, **types},
            "primaryType": primary_type,
            "message": {name: _as_json(value) for name, value in message.items()},
        }
        text = self._client.sign_typed_data(self._address, typed_message)
        signature = bytes.fromhex(text[2:]) if _SIGNATURE.fullmatch(text) else b""
        if len(signature) != 65 or signature[64] not in (27, 28):
            raise WalletError("CDP gave no signature of 65 bytes that ends in 27 or 28: it is not used")
        if int.from_bytes(signature[32:64]) > HALF_ORDER:
            raise WalletError("CDP gave a signature with a high s, which tokens refuse: it is not used")
        if not self._recovers(domain, types, message, signature):
            raise WalletError(f"CDP gave a signature that is not of {self._address} over these terms: it is not used")
        return signature

    def _recovers(self, domain: dict[str, Any], types: Types, message: dict[str, Any], signature: bytes) -> bool:
        """Whether the signature is this wallet's, over the digest that we compute from what we asked for."""
        try:
            signer = Account.recover_message(encode_typed_data(domain, types, message), signature=signature)
        except (BadSignature, ValidationError, ValueError):  # r and s of no point on the curve
            return False
        return bool(signer == self._address)

    def _is_ours(self, signed: str, transaction: dict[str, Any]) -> bool:
        try:
            signed_fields = TypedTransaction.from_bytes(HexBytes(signed)).as_dict()
            signer = Account.recover_transaction(signed)
        except (BadSignature, LookupError, RLPException, TypeError, ValidationError, ValueError):
            return False
        fields = TypedTransaction.from_dict(transaction).as_dict()
        same = {name: value for name, value in signed_fields.items() if name not in _SIGNED}
        return signer == self._address and same == {
            name: value for name, value in fields.items() if name not in _SIGNED
        }


def address_of(client: "CdpClient", account: str) -> str:
    """The checksummed address of the account with this name; an address is taken as it is, and not asked for.

    Raises ConfigError, WalletError.
    """
    if account.startswith("0x") and not is_address(account):
        raise ConfigError(f"CDP_ACCOUNT={account!r}: write the account's name, or its address of 0x and 40 hex digits")
    return to_checksum_address(account if account.startswith("0x") else client.account(account).address)


def _unsigned(transaction: dict[str, Any]) -> str:
    """RLP (EIP-1559) with an empty access list and an empty signature, as CDP's own SDK sends it."""
    counts = [transaction[name] for name in ("chainId", "nonce", "maxPriorityFeePerGas", "maxFeePerGas", "gas")]
    data = bytes.fromhex(transaction["data"][2:])
    fields = [*counts, transaction["to"], transaction["value"], data, [], 0, 0, 0]
    return "0x02" + bytes(rlp.encode(fields)).hex()


def _as_json(value: object) -> object:
    """Numbers as text: a uint256 is more than every JSON parser keeps."""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return str(value) if isinstance(value, int) else value
