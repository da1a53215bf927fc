"""Validators of the collections: the database itself refuses malformed money and unbalanced books.

Each is stamped with its version, so that an older program does not put its own in the place of a newer one's.
"""

import re
from collections.abc import Mapping
from typing import Any

from gpuagent.core.credits import CreditKind
from gpuagent.core.model import Settles
from gpuagent.core.policy import LIMITS
from gpuagent.core.rules import RULES

ZERO = 0
_MONEY = {"bsonType": "decimal", "minimum": ZERO}
_ID = {"bsonType": "objectId"}
_DATE = {"bsonType": "date"}
_TEXT = {"bsonType": "string"}
_ADDRESS = {"bsonType": "string", "pattern": "^0x[0-9a-fA-F]{40}$"}
_LOWER = {"bsonType": "string", "pattern": "^0x[0-9a-f]{40}$"}
_HASH = {"bsonType": "string", "pattern": "^0x[0-9a-fA-F]{64}$"}
_COUNT = {"bsonType": ["int", "long"], "minimum": 0}


def _one_of(*values: str | int) -> dict[str, Any]:
    return {"enum": list(values)}


def _schema(properties: dict[str, Any], *optional: str) -> dict[str, Any]:
    required = [name for name in properties if name not in optional]
    return {"$jsonSchema": {"bsonType": "object", "required": required, "properties": properties}}


RUNS = {
    "$and": [
        _schema(
            {
                "userId": _TEXT,
                "goal": _TEXT,
                "status": _one_of("running", "completed", "failed"),
                "phase": _one_of("PLANNING", "APPROVAL", "EXECUTING", "WAITING", "SUCCESS", "FAILED"),
                "budgetTotal": _MONEY,
                "budgetRemaining": _MONEY,
                "settled": _MONEY,
                "held": _MONEY,
                "plannerCost": _MONEY,
                "version": _COUNT,
                "createdAt": _DATE,
                "updatedAt": _DATE,
            }
        ),
        {"$expr": {"$eq": ["$budgetTotal", {"$add": ["$settled", "$held", "$plannerCost", "$budgetRemaining"]}]}},
    ]
}
JOBS = _schema(
    {
        "runId": _ID,
        "ordinal": _COUNT,
        "vendorId": _TEXT,
        "state": _one_of("reserved", "authorized", "settled", "voided"),
        "status": _one_of("quoted", "submitted", "running", "completed", "failed"),
        "expectedCost": _MONEY,
        "actualCost": _MONEY,
        "jobParams": {"bsonType": "object"},
        "createdAt": _DATE,
        "vendorJobId": _TEXT,
        "policyVersion": _COUNT,
    },
    "vendorJobId",
    "policyVersion",
)
PAYMENTS = {
    "$and": [
        _schema(
            {
                "runId": _ID,
                "jobId": _ID,
                "attempt": _COUNT,
                "vendorId": _TEXT,
                "amount": {"bsonType": "decimal", "minimum": ZERO, "exclusiveMinimum": True},
                "currency": _one_of("USDC"),
                "status": _one_of("pending", "completed", "failed"),
                "payer": _ADDRESS,
                "payee": _ADDRESS,
                "asset": _ADDRESS,
                "network": {"bsonType": "string", "pattern": "^eip155:[0-9]+$"},
                "nonce": _HASH,
                "validBefore": _COUNT,
                "header": {"bsonType": "string", "minLength": 1},
                "createdAt": _DATE,
                "x402TxId": _HASH,
                "blockNumber": _COUNT,
                "settledAt": _DATE,
                "refunded": _MONEY,
                "credit": _MONEY,
            },
            *("x402TxId", "blockNumber", "settledAt", "refunded", "credit"),
        ),
        # A payment is completed exactly when it names its transfer on chain.
        {"$expr": {"$eq": [{"$eq": ["$status", "completed"]}, {"$eq": [{"$type": "$x402TxId"}, "string"]}]}},
        # No more comes back than was paid.
        {"$expr": {"$lte": [{"$ifNull": ["$refunded", ZERO]}, "$amount"]}},
    ]
}
REFUNDS = _schema(
    {
        "network": {"bsonType": "string", "pattern": "^eip155:[0-9]+$"},
        "asset": _LOWER,
        "transaction": {"bsonType": "string", "pattern": "^0x[0-9a-f]{64}$"},
        "logIndex": _COUNT,
        "blockNumber": _COUNT,
        "sender": _LOWER,
        "wallet": _LOWER,
        "amount": {"bsonType": "decimal", "minimum": ZERO, "exclusiveMinimum": True},
        "vendorId": _TEXT,
        "runId": _ID,
        "jobId": _ID,
        "by": _TEXT,
        "why": _TEXT,
        "createdAt": _DATE,
    }
)
CREDITS = _schema(
    {
        "vendorId": _TEXT,
        "runId": _ID,
        "jobId": _ID,
        "wallet": _ADDRESS,
        "kind": _one_of(*CreditKind),
        "amount": _MONEY,
        "claimed": _TEXT,
        "transaction": _TEXT,
        "note": _TEXT,
        "createdAt": _DATE,
    }
)
OBSERVATIONS = _schema(
    {
        "runId": _ID,
        "type": _one_of("agent_reasoning", "job_log", "error", "payment_event", "metric"),
        "content": _TEXT,
        "timestamp": _DATE,
        "tick": _COUNT,
    }
)
VENDORS = _schema(
    {
        "vendorId": {"bsonType": "string", "minLength": 1},
        "name": _TEXT,
        "endpoint": {"bsonType": "string", "pattern": "^https?://"},
        "basePricePerHour": _MONEY,
        "reliabilityScore": {"bsonType": ["double", "int"], "minimum": 0, "maximum": 1},
        "supportedGpuTypes": {"bsonType": "array"},
        "payTo": _ADDRESS,
        "network": _TEXT,
        "asset": _ADDRESS,
        "secretEnv": _TEXT,
        "enabled": {"bsonType": "bool"},
        "trusted": {"bsonType": "bool"},
        "createdAt": _DATE,
        "protocol": _TEXT,
        "x402Version": _one_of(1, 2),
        "settles": _one_of(*Settles),
        "maxAuthorizationSeconds": _COUNT,
        "proven": {"bsonType": "bool"},
        "refundAddress": {"bsonType": "string", "pattern": "^(0x[0-9a-fA-F]{40})?$"},
    },
    *("trusted", "protocol", "x402Version", "settles", "maxAuthorizationSeconds", "proven", "refundAddress"),
)

_LIMIT = {"bsonType": ["decimal", "null"], "minimum": ZERO}
_RULE = {"bsonType": ["long", "int", "string", "null"], "minimum": 1}
_MONTH_BUDGET = {"bsonType": "object", "required": ["kind", "name", "amount"], "properties": {"amount": _MONEY}}
POLICIES = _schema(
    {
        "version": _COUNT,
        "schema": _COUNT,
        "current": {"bsonType": "bool"},
        **{limit.key: _LIMIT for limit in LIMITS},
        "approvalSeconds": {"bsonType": ["double", "int"]},
        "tagTotals": {"bsonType": "array"},
        "halts": {"bsonType": "array"},
        "monthBudgets": {"bsonType": "array", "items": _MONTH_BUDGET},
        "monthZone": {"bsonType": "string", "minLength": 1},
        **{rule.key: _RULE for rule in RULES},
        "by": {"bsonType": "string", "minLength": 1},
        "why": _TEXT,
        "at": _DATE,
    },
    *("schema", "monthBudgets", "monthZone"),
    *(limit.key for limit in LIMITS if limit.optional),
    *(rule.key for rule in RULES),
)

VERSION = 1
"""Of the validators and unique indexes: raised with each release that changes one. A program that writes goes without
a database of a later version, whose limits it might lose with the fields that it does not know."""
_STAMP = "gpuagent schema "
VALIDATORS: dict[str, dict[str, Any]] = {
    name: {"$comment": f"{_STAMP}{VERSION}", **validator}
    for name, validator in {
        "runs": RUNS,
        "jobs": JOBS,
        "payments": PAYMENTS,
        "observations": OBSERVATIONS,
        "vendors": VENDORS,
        "policies": POLICIES,
        "refunds": REFUNDS,
        "credits": CREDITS,
    }.items()
}


def version_of(validator: Mapping[str, Any] | None) -> int:
    """The version that the validator of a collection is stamped with; 0 without one, as before there were stamps."""
    stamp = re.fullmatch(f"{_STAMP}([0-9]{{1,9}})", str((validator or {}).get("$comment")))
    return int(stamp[1]) if stamp else 0
