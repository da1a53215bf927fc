"""CDP's policy engine: rules in order, the first that matches decides, and none that matches refuses.

https://docs.cdp.coinbase.com/wallets/security-and-policies/policies/evm-policies
"""

from collections.abc import Mapping
from operator import eq, ge, gt, le, lt, ne
from typing import Any

import rlp
from eth_hash.auto import keccak

OPERATIONS = {"typed-data": "signEvmTypedData", "transaction": "signEvmTransaction"}
COMPARE = {">": gt, "<": lt, ">=": ge, "<=": le, "==": eq, "!=": ne}


def allows(policy: Mapping[str, Any], operation: str, request: Mapping[str, Any]) -> bool:
    """Whether the policy lets a request through. operation: the last part of the route. request: its body."""
    for rule in policy["rules"]:
        if rule["operation"] == OPERATIONS[operation] and all(
            _matches(criterion, request) for criterion in rule["criteria"]
        ):
            return bool(rule["action"] == "accept")
    return False


def unsigned_fields(transaction: str) -> dict[str, Any]:
    """The fields of an EIP-1559 transaction whose signature is empty, RLP in 0x hex."""
    raw = bytes.fromhex(transaction[2:])
    assert raw[0] == 2
    *numbers, to, value, data, access_list, v, r, s = rlp.decode(raw[1:])
    assert (access_list, v, r, s) == ([], b"", b"", b"")
    names = ("chainId", "nonce", "maxPriorityFeePerGas", "maxFeePerGas", "gas")
    counts = {name: int.from_bytes(number) for name, number in zip(names, numbers, strict=True)}
    return {"type": 2, **counts, "to": to, "value": int.from_bytes(value), "data": data}


def _matches(criterion: Mapping[str, Any], request: Mapping[str, Any]) -> bool:
    match criterion["type"]:
        case "evmTypedDataVerifyingContract":
            return _listed(request["domain"]["verifyingContract"], criterion)
        case "evmTypedDataField":
            types, primary = criterion["types"]["types"], criterion["types"]["primaryType"]
            if request["primaryType"] != primary or request["types"][primary] != types[primary]:
                return False
            return all(
                _holds(condition, request["message"][condition["path"]]) for condition in criterion["conditions"]
            )
    transaction = unsigned_fields(request["transaction"])
    match criterion["type"]:
        case "ethValue":
            return bool(COMPARE[criterion["operator"]](transaction["value"], int(criterion["ethValue"])))
        case "evmAddress":
            return _listed("0x" + transaction["to"].hex(), criterion)
        case "evmData":
            return any(
                _calls(condition["function"], criterion["abi"], transaction["data"])
                for condition in criterion["conditions"]
            )
    raise AssertionError(f"CDP knows no criterion {criterion['type']}")


def _holds(condition: Mapping[str, Any], value: Any) -> bool:
    if "addresses" in condition:
        return _listed(value, condition)
    return bool(COMPARE[condition["operator"]](int(value), int(condition["value"])))


def _listed(address: str, condition: Mapping[str, Any]) -> bool:
    is_listed = address.lower() in [candidate.lower() for candidate in condition["addresses"]]
    return is_listed == (condition["operator"] == "in")


def _calls(function: str, abi: Any, data: bytes) -> bool:
    (signature,) = [candidate for candidate in abi if candidate["name"] == function]
    kinds = ",".join(argument["type"] for argument in signature["inputs"])
    return data[:4] == keccak(f"{function}({kinds})".encode())[:4]
