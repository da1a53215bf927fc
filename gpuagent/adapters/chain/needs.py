"""A trial of what payments need of a node: the token, reads at a block, receipts, logs; and its limits."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from eth_abi.abi import decode, encode

from gpuagent.adapters.chain.decoding import count
from gpuagent.adapters.chain.json_rpc import Call, JsonRpc, NodeRefused
from gpuagent.adapters.chain.logs import TokenLogs
from gpuagent.core.model import Token
from gpuagent.core.money import DECIMALS
from gpuagent.core.ports.chain import Limits
from gpuagent.errors import ChainError
from gpuagent.wire.eip3009 import AUTHORIZATION_STATE, DOMAIN_GETTERS, USED_TOPIC, domain_separator

PROBE_ADDRESS = "0x" + "1".rjust(40, "0")
"""An account that has paid nobody. Mints are transfers out of the zero address, so it is not that one."""
ZERO_WORD = "0x" + "0" * 64
PAST_BLOCKS = 1_000
"""How far back a past state is tried: on Base about half an hour."""
BATCH_TRIED = 20
"""More than a payment needs at once."""
CALLS_KEPT = 256

Batch = Callable[..., list[Any]]


def token_call(token: Token, selector: str, types: Sequence[str] = (), values: Sequence[object] = ()) -> dict[str, str]:
    """The parameters of an eth_call of the token."""
    return {"to": token.address, "data": selector + _encoded(tuple(types), tuple(values))}


@lru_cache(maxsize=CALLS_KEPT)
def _encoded(types: tuple[str, ...], values: tuple[object, ...]) -> str:
    # Kept: a wallet's balance is asked for in every tick, and eth_abi takes longer than the rest of the question.
    return encode(types, values).hex()


def state_call(token: Token, payer: str, nonce: str) -> dict[str, str]:
    """The parameters of an eth_call that says whether a nonce is used."""
    # By hand: two words of 32 bytes, for which eth_abi takes longer than all else that a tick asks the chain.
    words = [bytes.fromhex(text[2:]).rjust(32, b"\0").hex() for text in (payer, nonce)]
    return {"to": token.address, "data": AUTHORIZATION_STATE + "".join(words)}


def at_hash(block: dict[str, Any]) -> dict[str, Any]:
    """A block by hash (EIP-1898): a reorganization makes the read fail instead of mixing two chains."""
    return {"blockHash": block["hash"], "requireCanonical": True}


def check_token(batch: Batch, token: Token) -> None:
    """Raises ChainError unless the token there is the pinned one, down to its signing domain."""
    reads = [("eth_call", [token_call(token, getter), "latest"]) for getter in DOMAIN_GETTERS]
    code, *answers = batch(("eth_getCode", [token.address, "latest"]), *reads)
    if code == "0x":
        raise ChainError(f"there is no token at {token.address} on {token.network}")
    name, version, decimals, separator = (
        decode([kind], bytes.fromhex(answer[2:]))[0]
        for kind, answer in zip(DOMAIN_GETTERS.values(), answers, strict=True)
    )
    if (name, version, decimals) != (token.name, token.version, DECIMALS):
        raise ChainError(
            f"the token at {token.address} is {name!r} version {version!r} with {decimals} decimals, "
            f"not {token.name!r} version {token.version!r} with {DECIMALS}"
        )
    if separator != domain_separator(token):
        raise ChainError(
            f"the token at {token.address} binds signatures to another domain than its name, version, chain "
            "and address make: what is signed for it would be void"
        )


def check_needs(batch: Batch, host: str, token: Token, final: dict[str, Any]) -> None:
    """Raises ChainError when the node refuses what every payment needs after the money has gone out."""
    number = hex(count(final["number"]))
    logs = {"address": token.address, "topics": [USED_TOPIC, ZERO_WORD], "fromBlock": number, "toBlock": number}
    needs: dict[str, Call] = {
        "read the token at a block's hash (EIP-1898)": (
            "eth_call",
            [state_call(token, PROBE_ADDRESS, ZERO_WORD), at_hash(final)],
        ),
        "show receipts (eth_getTransactionReceipt)": ("eth_getTransactionReceipt", [ZERO_WORD]),
        "show logs (eth_getLogs), not even of one block": ("eth_getLogs", [logs]),
    }
    try:
        batch(*needs.values())
    except NodeRefused:
        for need, call in needs.items():
            try:
                batch(call)
            except NodeRefused as error:
                raise ChainError(
                    f"{host} does not {need}: a payment could go out there and never be seen to arrive. "
                    f"Name another node in CHAIN_RPC_URL ({error})"
                ) from error


def measure(batch: Batch, logs: TokenLogs, rpc: JsonRpc, token: Token, final: int) -> Limits:
    """What the node answers at once, found by asking."""
    span = logs.widest(final)
    batch(*[("eth_chainId", [])] * BATCH_TRIED)
    state = state_call(token, PROBE_ADDRESS, ZERO_WORD)
    try:
        batch(("eth_call", [state, hex(max(0, final - PAST_BLOCKS))]))
    except NodeRefused:
        return Limits(span, rpc.size, keeps_past=False)
    return Limits(span, rpc.size, keeps_past=True)
