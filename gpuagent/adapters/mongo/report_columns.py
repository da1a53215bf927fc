"""The columns that a report's summaries are made of, by collection: the path of each field, and its kind."""

from collections.abc import Mapping
from typing import TypeAlias

from bson import Int64

from gpuagent.adapters.mongo.bson_columns import NO_TIME, ColumnKind

Fields: TypeAlias = Mapping[str, tuple[str, ColumnKind]]
RUN_COLUMNS = {
    "runId": ("_id", ColumnKind.ID),
    **{name: (name, ColumnKind.TEXT) for name in ("userId", "planner", "status")},
    **{name: (name, ColumnKind.LIST) for name in ("tags", "plannerArms")},
    "createdAt": ("createdAt", ColumnKind.TIME),
    **{name: (name, ColumnKind.AMOUNT) for name in ("settled", "plannerCost", "budgetTotal")},
    "hasFile": ("workloadHash", ColumnKind.FILLED),
    "maxHours": ("maxHours", ColumnKind.NUMBER),
}
JOB_COLUMNS = {
    "jobId": ("_id", ColumnKind.ID),
    "runId": ("runId", ColumnKind.ID),
    "protocol": ("quote.protocol", ColumnKind.TEXT),
    "gpuType": ("jobParams.gpuType", ColumnKind.TEXT),
    "hours": ("jobParams.maxHours", ColumnKind.NUMBER),
    **{name: (name, ColumnKind.TEXT) for name in ("vendorId", "state", "status", "errorMessage")},
    **{name: (name, ColumnKind.AMOUNT) for name in ("expectedCost", "actualCost")},
    **{name: (name, ColumnKind.TIME) for name in ("createdAt", "settledAt", "completedAt")},
    "hoursSaved": ("hoursSaved", ColumnKind.NUMBER),
    "hedges": ("hedges", ColumnKind.ID),
}
PAYMENT_COLUMNS = {
    "jobId": ("jobId", ColumnKind.ID),
    "paymentStatus": ("status", ColumnKind.TEXT),
    "signedAt": ("createdAt", ColumnKind.TIME),
    **{name: (name, ColumnKind.AMOUNT) for name in ("refunded", "credit")},
}
ANSWER_COLUMNS = {
    "runId": {"$toString": "$runId"},
    "at": {"$ifNull": [{"$toLong": "$timestamp"}, Int64(NO_TIME)]},
    **{name: f"$data.{name}" for name in ("planner", "model", "cost", "tokens")},
}
"""As a pipeline makes them."""
