"""Alerts in the collection `alerts`: written under their keys, claimed by senders, and marked for each channel.

A sender claims before it sends, and marks after. One that is lost in between leaves a claim that ends: the next sender
sends again, under the same message id, for nothing tells whether the first one did.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

from pymongo import DESCENDING, ReturnDocument

from gpuagent.adapters.mongo.alerts import alert_from, write
from gpuagent.adapters.mongo.connection import Connection, deadlined
from gpuagent.adapters.mongo.late_holds import late_holds
from gpuagent.adapters.mongo.values import Document, date, seconds
from gpuagent.core.alerts import LATE_S, AlertKind, Claimed, books_alert, late_alert
from gpuagent.core.money import amount
from gpuagent.errors import BadInput

CLAIM_S = 120.0
"""How long a sender has, longer than any channel may take; then the next one sends."""
FRESH_S = 3 * 86_400.0
"""An alert that no channel took for so long is given up for it."""
RETRY_S, RETRY_MAX_S = 30.0, 3_600.0
"""After the first failure, and at most; doubled each time."""
CHANNEL = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}", re.ASCII)


class MongoOutbox:
    """The outbox of one database. Safe to share between threads and processes. Raises StoreError.

    now: the database's clock, Unix seconds.
    """

    def __init__(self, connection: Connection, now: Callable[[], float]) -> None:
        self.connection = connection
        self._database, self._now = connection.database, now

    def now(self) -> float:
        return self._now()

    @deadlined
    def note_late_holds(self) -> None:
        """Write alerts of the holds that are late by now, once each."""
        now = self._now()
        holds = late_holds(self._database, now - LATE_S)
        write(
            self._database,
            [
                late_alert(
                    str(job["runId"]),
                    str(job["_id"]),
                    job["vendorId"],
                    amount(job["expectedCost"]),
                    job["state"] == "authorized",
                )
                for job in holds
            ],
            now,
        )

    @deadlined
    def note_books(self, scope: str, differences: Sequence[str]) -> None:
        """Write what an audit found: an alert where the books differ, and that earlier ones are past where not.

        scope: a run's id, or "all", which speaks of every run.
        """
        alerts = [books_alert(scope, differences)] if differences else []
        write(self._database, alerts, self._now())
        keys = [alert.key for alert in alerts]
        earlier = {"kind": AlertKind.BOOKS.value, "open": True, "_id": {"$nin": keys}}
        of_scope = {} if scope == "all" else {"runId": scope}
        self._database.alerts.update_many({**earlier, **of_scope}, {"$set": {"open": False}})
        self._database.alerts.update_many({"_id": {"$in": keys}}, {"$set": {"open": True}})

    @deadlined
    def join(self, channel: str) -> float:
        """Since when the channel gets alerts: it is sent none that is older than its first sender."""
        if not CHANNEL.fullmatch(channel):
            raise BadInput(f"{channel[:40]!r} is no name of a channel: small letters, digits, - and _")
        now = self._now()
        before = self._database.alert_channels.find_one_and_update(
            {"_id": channel}, {"$setOnInsert": {"since": date(now)}}, upsert=True
        )
        return seconds(before["since"]) if before else now

    @deadlined
    def claim(self, channel: str, since: float, kinds: Sequence[AlertKind]) -> Claimed | None:
        """The alert of these kinds that is due for the channel, and the caller's alone for CLAIM_S.

        The least tried is the first, then the oldest: texts that a channel refuses for ever hold up no others.
        """
        now, place, attempt = self._now(), f"deliveries.{channel}", uuid4().hex
        due = {f"{place}.state": {"$in": ["claimed", "failed"]}, f"{place}.until": {"$lte": date(now)}}
        document = self._database.alerts.find_one_and_update(
            {
                "createdAt": {"$gte": date(max(since, now - FRESH_S))},
                "kind": {"$in": [kind.value for kind in kinds]},
                "$or": [{place: {"$exists": False}}, due],
            },
            {
                "$set": {
                    f"{place}.state": "claimed",
                    f"{place}.until": date(now + CLAIM_S),
                    f"{place}.attempt": attempt,
                },
                "$inc": {f"{place}.attempts": 1},
            },
            sort=[(f"{place}.attempts", 1), ("createdAt", 1), ("_id", 1)],
            return_document=ReturnDocument.BEFORE,
        )
        if document is None:
            return None
        before = document.get("deliveries", {}).get(channel, {})
        lost = before.get("state") == "claimed"
        return Claimed(alert_from(document), channel, attempt, before.get("attempts", 0) + 1, lost)

    @deadlined
    def mark_sent(self, claim: Claimed, skipped: str = "") -> None:
        """The channel took it; or it was not sent at all, and why."""
        state = {"state": "skipped", "problem": skipped} if skipped else {"state": "sent", "problem": ""}
        self._mark(claim, {**state, "at": date(self._now())})

    @deadlined
    def mark_failed(self, claim: Claimed, problem: str) -> None:
        """The channel did not take it: it is due again after a while, which doubles with each attempt."""
        pause_s = min(RETRY_S * 2 ** min(claim.attempts - 1, 20), RETRY_MAX_S)
        now = self._now()
        until = date(now) + timedelta(seconds=pause_s)
        self._mark(claim, {"state": "failed", "problem": problem, "until": until, "at": date(now)})

    def _mark(self, claim: Claimed, fields: Mapping[str, Any]) -> None:
        place = f"deliveries.{claim.channel}"
        self._database.alerts.update_one(
            {"_id": claim.alert.key, f"{place}.attempt": claim.attempt},  # else another sender has it by now
            {"$set": {f"{place}.{name}": value for name, value in fields.items()}},
        )

    @deadlined
    def newest(self, limit: int) -> list[Document]:
        """Alerts as documents, newest first."""
        return list(self._database.alerts.find().sort([("createdAt", DESCENDING), ("_id", 1)]).limit(limit))
