"""Collections, indexes and validators: malformed money, unbalanced books and duplicates are refused by the database."""

from typing import Any

from bson import Decimal128
from pymongo import ASCENDING, DESCENDING, TEXT, IndexModel

from gpuagent.core.credits import CreditKind
from gpuagent.core.model import Settles
from gpuagent.core.policy import LIMITS
from gpuagent.core.rules import RULES

ALERTS_KEPT_S = 90 * 86_400
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
    *("monthBudgets", "monthZone"),
    *(limit.key for limit in LIMITS if limit.optional),
    *(rule.key for rule in RULES),
)

VALIDATORS: dict[str, dict[str, Any]] = {
    "runs": RUNS,
    "jobs": JOBS,
    "payments": PAYMENTS,
    "observations": OBSERVATIONS,
    "vendors": VENDORS,
    "policies": POLICIES,
    "refunds": REFUNDS,
    "credits": CREDITS,
}


def _unique(*keys: str, where: dict[str, Any] | None = None) -> IndexModel:
    options = {"partialFilterExpression": where} if where else {}
    return IndexModel([(key, ASCENDING) for key in keys], unique=True, **options)


def _unique_of_ours(*keys: str, has: str) -> IndexModel:
    """Unique among the documents with that field: those of the original system lack it."""
    name = "_".join((*keys, "of_ours"))
    where = {has: {"$exists": True}}
    return IndexModel([(key, ASCENDING) for key in keys], unique=True, name=name, partialFilterExpression=where)


def _newest_first(field: str) -> IndexModel:
    """The order in which a list shows the runs with one value of the field."""
    return IndexModel([(field, ASCENDING), ("_id", DESCENDING)])


def _greatest_first(field: str) -> IndexModel:
    """The order of a list that is sorted by the field."""
    return IndexModel([(field, DESCENDING), ("_id", DESCENDING)])


def _times_of_settled(time: str) -> IndexModel:
    """The order in which exports are written."""
    return IndexModel([(time, ASCENDING)], name=f"{time}_of_settled", partialFilterExpression={"state": "settled"})


def _sums_of_a_day(field: str) -> IndexModel:
    """With all that a cap adds up over a day: no job is read for it."""
    names = (field, "state", "settledAt", "quote.network", "expectedCost", "_id")
    return IndexModel([(name, ASCENDING) for name in names])


INDEXES: dict[str, list[IndexModel]] = {
    "runs": [
        IndexModel([("createdAt", DESCENDING), ("_id", DESCENDING)]),
        IndexModel([("payer", ASCENDING), ("_id", ASCENDING)]),
        IndexModel([("held", ASCENDING)], partialFilterExpression={"held": {"$gt": Decimal128("0")}}),
        *(_newest_first(name) for name in ("phase", "userId", "tags")),
        # With the version, by which a report sees in the index alone which runs have changed.
        IndexModel([("network", ASCENDING), ("_id", DESCENDING), ("version", ASCENDING)]),
        # What lists are sorted by, and the words that they are searched for (run_list.py). No document says in which
        # language its goal is: every word counts as it is written.
        *(_greatest_first(name) for name in ("settled", "budgetTotal")),
        # With the status, by which those that failed lately are found in the index alone.
        IndexModel([("updatedAt", DESCENDING), ("_id", DESCENDING), ("status", ASCENDING)]),
        IndexModel([("goal", TEXT)], default_language="none", language_override="goalLanguage"),
    ],
    "jobs": [
        # With the cost, which an operator may set by hand: a report sees it in the index alone.
        IndexModel([("runId", ASCENDING), ("ordinal", ASCENDING), ("actualCost", ASCENDING)]),
        _unique_of_ours("runId", "ordinal", has="ordinal"),
        _unique("vendorId", "vendorJobId", where={"vendorJobId": {"$type": "string"}}),
        *(_sums_of_a_day(name) for name in ("payer", "vendorId")),
        IndexModel([("tags", ASCENDING), ("state", ASCENDING)]),
        IndexModel([("userId", ASCENDING), ("state", ASCENDING), ("settledAt", ASCENDING)]),
        IndexModel([("vendorId", ASCENDING), ("quote.network", ASCENDING), ("createdAt", DESCENDING)]),
        *(_times_of_settled(name) for name in ("settledAt", "completedAt")),
    ],
    "payments": [
        IndexModel([("jobId", ASCENDING)]),
        _unique_of_ours("jobId", "attempt", has="attempt"),
        _unique_of_ours("network", "asset", "payer", "nonce", has="network"),
        IndexModel([("runId", ASCENDING), ("_id", ASCENDING)]),
        IndexModel([("vendorId", ASCENDING), ("createdAt", ASCENDING)]),
        IndexModel([("payer", ASCENDING), ("status", ASCENDING)]),
    ],
    "observations": [
        IndexModel([("runId", ASCENDING), ("_id", ASCENDING)]),
        IndexModel([("timestamp", ASCENDING)], partialFilterExpression={"data.cost": {"$gt": 0}}),
        IndexModel(
            [("runId", ASCENDING)], name="runId_of_paid_answers", partialFilterExpression={"data.cost": {"$gt": 0}}
        ),
        _unique_of_ours("jobId", "position", has="position"),
    ],
    "vendors": [_unique("vendorId")],
    "policies": [_unique("version"), _unique("current", where={"current": True})],
    # A transfer is booked once, however often it is read; a vendor's word on a job once of each kind.
    "refunds": [
        _unique("network", "asset", "transaction", "logIndex"),
        IndexModel([("wallet", ASCENDING), ("_id", ASCENDING)]),
    ],
    "credits": [_unique("jobId", "kind"), IndexModel([("wallet", ASCENDING)])],
}
SUPERSEDED = {
    "runs": ("status_1_updatedAt_-1", "status_1__id_-1", "updatedAt_-1__id_-1"),
    "jobs": ("payer_1_state_1_settledAt_1", "vendorId_1_state_1_settledAt_1", "state_1"),
}
"""Indexes of earlier versions that others above take the place of: every write would keep them up for nothing."""
KEPT_S = 90 * 86_400
DERIVED_INDEXES: dict[str, list[IndexModel]] = {
    "report_summaries": [IndexModel([("keptAt", ASCENDING)], expireAfterSeconds=KEPT_S)],
}
"""Of what can be made anew: who may not make it goes without."""
FILE_INDEXES: dict[str, list[IndexModel]] = {
    "gpuagent_files.files": [_unique("filename"), IndexModel([("metadata.uploads", ASCENDING)])],
    "gpuagent_files.chunks": [_unique("files_id", "n")],
}
"""The file store's, in the format of GridFS (adapters/files/gridfs.py). They guard no money: what a file's content is
is proven by its hash."""
ALERT_INDEXES: dict[str, list[IndexModel]] = {
    "alerts": [
        IndexModel([("createdAt", ASCENDING)], expireAfterSeconds=ALERTS_KEPT_S),
        IndexModel([("kind", ASCENDING), ("open", ASCENDING)], partialFilterExpression={"open": True}),
    ],
}
"""They guard nothing: an alert's key is its _id. Its history is kept for a while, and not for ever."""
