"""The ABI of an EIP-3009 token: topics, selectors, and the call that cancels an authorization.

https://eips.ethereum.org/EIPS/eip-3009; Circle's FiatToken v2: https://github.com/circlefin/stablecoin-evm.
"""

from functools import cache
from typing import Any

from eth_abi.abi import encode
from eth_hash.auto import keccak

from gpuagent.core.model import Authorization, Token


def _topic(signature: str) -> str:
    return "0x" + keccak(signature.encode()).hex()


def _selector(signature: str) -> str:
    return _topic(signature)[:10]


USED_TOPIC = _topic("AuthorizationUsed(address,bytes32)")
CANCELED_TOPIC = _topic("AuthorizationCanceled(address,bytes32)")
TRANSFER_TOPIC = _topic("Transfer(address,address,uint256)")
AUTHORIZATION_STATE = _selector("authorizationState(address,bytes32)")
BALANCE_OF = _selector("balanceOf(address)")
CANCEL = _selector("cancelAuthorization(address,bytes32,uint8,bytes32,bytes32)")
DOMAIN_GETTERS = {
    _selector("name()"): "string",
    _selector("version()"): "string",
    _selector("decimals()"): "uint8",
    _selector("DOMAIN_SEPARATOR()"): "bytes32",
}
"""Selectors of the functions that make up the token's EIP-712 domain, with the type that each returns."""
_DOMAIN_TYPE = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
_TRANSFER_TYPE_HASH = keccak(
    b"TransferWithAuthorization(address from,address to,uint256 value,"
    b"uint256 validAfter,uint256 validBefore,bytes32 nonce)"
)
ADDRESS_BYTES, WORD_BYTES = 20, 32
CANCEL_FIELDS = [{"name": "authorizer", "type": "address"}, {"name": "nonce", "type": "bytes32"}]
CANCEL_SIGNATURE = {"v": "uint8", "r": "bytes32", "s": "bytes32"}
CANCEL_TYPES = {"CancelAuthorization": CANCEL_FIELDS}
"""The EIP-712 type that the authorizer signs; any account may then send it."""
CANCEL_ABI: dict[str, Any] = {
    "type": "function",
    "name": "cancelAuthorization",
    "stateMutability": "nonpayable",
    "inputs": [*CANCEL_FIELDS, *({"name": name, "type": kind} for name, kind in CANCEL_SIGNATURE.items())],
    "outputs": [],
}
"""cancelAuthorization() as JSON ABI."""


@cache
def domain_separator(token: Token) -> bytes:
    """The EIP-712 domain separator that binds every signature for the token, as the token itself must have it."""
    texts = (_DOMAIN_TYPE, token.name, token.version)
    types = ["bytes32", "bytes32", "bytes32", "uint256", "address"]
    return keccak(encode(types, [*(keccak(text.encode()) for text in texts), token.chain_id, token.address]))


def transfer_hash(authorization: Authorization) -> bytes:
    """The EIP-712 hash of the struct that the payer signs: TransferWithAuthorization, valid at once.

    By hand: six words, for which a library that reads the type anew takes as long as the signature itself. Raises
    ValueError and OverflowError for what does not fit its word.
    """
    numbers = (authorization.amount, 0, authorization.valid_before)
    encoded = (
        _TRANSFER_TYPE_HASH,
        _word(authorization.payer, ADDRESS_BYTES),
        _word(authorization.payee, ADDRESS_BYTES),
        *(number.to_bytes(WORD_BYTES, "big") for number in numbers),
        _word(authorization.nonce, WORD_BYTES),
    )
    return keccak(b"".join(encoded))


def _word(text: str, size: int) -> bytes:
    """0x hex of so many bytes as a word."""
    data = bytes.fromhex(text.removeprefix("0x"))
    if len(data) != size:
        raise ValueError(f"{text} has {len(data)} bytes, not {size}")
    return data.rjust(WORD_BYTES, b"\0")


def cancel_message(authorization: Authorization) -> dict[str, object]:
    """The message of CANCEL_TYPES that the authorizer signs."""
    return {"authorizer": authorization.payer, "nonce": bytes.fromhex(authorization.nonce[2:])}


def cancel_call(authorization: Authorization, v: int, r: int, s: int) -> str:
    """Call data of cancelAuthorization(), 0x hex. v, r, s: the signature of cancel_message()."""
    nonce = bytes.fromhex(authorization.nonce[2:])
    values = [authorization.payer, nonce, v, r.to_bytes(32, "big"), s.to_bytes(32, "big")]
    return CANCEL + encode(["address", "bytes32", "uint8", "bytes32", "bytes32"], values).hex()
