"""How CDP applies a policy: rules in order, the first that matches decides, none that matches refuses.

https://docs.cdp.coinbase.com/wallets/security-and-policies/policies/evm-policies
"""

from collections.abc import Mapping
from operator import eq, ge, gt, le, lt, ne
from typing import Any

import rlp
from eth_hash.auto import keccak

OPERATIONS = {"typed-data": "signEvmTypedData", "transaction": "signEvmTransaction"}
COMPARE = {">": gt, "<": lt, ">=": ge, "<=": le, "==": eq, "!=": ne}


def allows(policy: Mapping[str, Any], what: str, asked: Mapping[str, Any]) -> bool:
    """what: the last part of the route. asked: the request's body."""
    for rule in policy["rules"]:
        if rule["operation"] == OPERATIONS[what] and all(_matches(one, asked) for one in rule["criteria"]):
            return bool(rule["action"] == "accept")
    return False


def unsigned_fields(transaction: str) -> dict[str, Any]:
    """Of an EIP-1559 transaction whose signature is empty, RLP in 0x hex."""
    raw = bytes.fromhex(transaction[2:])
    assert raw[0] == 2
    *numbers, to, value, data, access_list, v, r, s = rlp.decode(raw[1:])
    assert (access_list, v, r, s) == ([], b"", b"", b"")
    names = ("chainId", "nonce", "maxPriorityFeePerGas", "maxFeePerGas", "gas")
    counts = {name: int.from_bytes(number) for name, number in zip(names, numbers, strict=True)}
    return {"type": 2, **counts, "to": to, "value": int.from_bytes(value), "data": data}


def _matches(criterion: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    match criterion["type"]:
        case "evmTypedDataVerifyingContract":
            return _listed(asked["domain"]["verifyingContract"], criterion)
        case "evmTypedDataField":
            types, primary = criterion["types"]["types"], criterion["types"]["primaryType"]
            if asked["primaryType"] != primary or asked["types"][primary] != types[primary]:
                return False
            return all(_holds(one, asked["message"][one["path"]]) for one in criterion["conditions"])
    sent = unsigned_fields(asked["transaction"])
    match criterion["type"]:
        case "ethValue":
            return bool(COMPARE[criterion["operator"]](sent["value"], int(criterion["ethValue"])))
        case "evmAddress":
            return _listed("0x" + sent["to"].hex(), criterion)
        case "evmData":
            return any(_calls(one["function"], criterion["abi"], sent["data"]) for one in criterion["conditions"])
    raise AssertionError(f"CDP knows no criterion {criterion['type']}")


def _holds(condition: Mapping[str, Any], value: Any) -> bool:
    if "addresses" in condition:
        return _listed(value, condition)
    return bool(COMPARE[condition["operator"]](int(value), int(condition["value"])))


def _listed(address: str, condition: Mapping[str, Any]) -> bool:
    listed = address.lower() in [one.lower() for one in condition["addresses"]]
    return listed == (condition["operator"] == "in")


def _calls(function: str, abi: Any, data: bytes) -> bool:
    (entry,) = [one for one in abi if one["name"] == function]
    kinds = ",".join(argument["type"] for argument in entry["inputs"])
    return data[:4] == keccak(f"{function}({kinds})".encode())[:4]
