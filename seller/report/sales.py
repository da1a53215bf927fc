"""The ledger of sales: a row for each payment that was settled."""

import csv
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from decimal import Decimal
from typing import IO, Any

from seller.database import Database
from seller.payments.market import to_usd


@dataclass(frozen=True)
class Sale:
    """at: when the payment was taken, ISO 8601. state: of the job. tx: the transfer on chain."""

    at: str
    job_id: str
    gpu: str
    hours: str
    usd: Decimal
    payer: str
    pay_to: str
    tx: str
    state: str
    exit_code: int | None
    ended_at: str
    reason: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"usd": str(self.usd)}


def sales(database: Database) -> Iterator[Sale]:
    """All sales, the oldest first."""
    for row in database.sales():
        yield Sale(
            at=_iso(row["sold_at"]),
            job_id=row["job_id"],
            gpu=row["gpu_type"],
            hours=row["hours"],
            usd=to_usd(row["amount"]),
            payer=row["payer"],
            pay_to=row["pay_to"],
            tx=row["tx"],
            state=row["start"],
            exit_code=row["exit_code"],
            ended_at=_iso(row["ended_at"]) if row["ended_at"] else "",
            reason=row["failure"],
        )


def write_csv(rows: Iterator[Sale], file: IO[str]) -> None:
    writer = csv.DictWriter(file, [field.name for field in fields(Sale)])
    writer.writeheader()
    for row in rows:
        writer.writerow(asdict(row))


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
