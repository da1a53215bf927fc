"""Alerts to documents and back; each is written once, under its key."""

from collections.abc import Mapping, Sequence
from typing import Any

from pymongo import UpdateOne
from pymongo.client_session import ClientSession
from pymongo.database import Database

from gpuagent.adapters.mongo.values import Document, date, money, seconds
from gpuagent.core.alerts import Alert, AlertKind, Purchase
from gpuagent.core.money import amount


def write(
    database: Database[Document], alerts: Sequence[Alert], at: float, session: ClientSession | None = None
) -> None:
    """Write alerts whose keys are new, within the transaction that brings them about."""
    if alerts:
        writes = [
            UpdateOne({"_id": alert.key}, {"$setOnInsert": _document(alert, at)}, upsert=True) for alert in alerts
        ]
        database.alerts.bulk_write(writes, session=session)


def _document(alert: Alert, at: float) -> Document:
    purchase = alert.purchase
    return {
        "kind": alert.kind.value,
        "title": alert.title,
        "text": alert.text,
        "runId": alert.run_id,
        "purchase": None
        if purchase is None
        else {
            "jobId": purchase.job_id,
            "amount": money(purchase.amount),
            "quote": purchase.quote,
            "expiresAt": date(purchase.expires_at),
        },
        "createdAt": date(at),
    }


def alert_from(document: Mapping[str, Any]) -> Alert:
    purchase, run_id = document["purchase"], document["runId"]
    return Alert(
        document["_id"],
        AlertKind(document["kind"]),
        document["title"],
        document["text"],
        run_id,
        None
        if purchase is None
        else Purchase(
            run_id,
            purchase["jobId"],
            amount(purchase["amount"]),
            purchase["quote"],
            seconds(purchase["expiresAt"]),
        ),
    )
