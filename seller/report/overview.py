"""A seller at a glance: its jobs, its money and its disk."""

import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from seller.catalogue import Vendor
from seller.database import Database
from seller.folders import folder_bytes
from seller.payments.market import to_usd


@dataclass(frozen=True)
class GpuUse:
    """A kind of GPU: how many there are, and the jobs that run and wait."""

    gpu: str
    count: int | None
    price_per_hour: Decimal
    running: int
    queued: int


@dataclass(frozen=True)
class Overview:
    """jobs: by state: queued, running, completed, failed. Bytes of the seller's folder, and free on its disk."""

    jobs: Mapping[str, int]
    gpus: tuple[GpuUse, ...]
    sales: int
    sold_usd: Decimal
    settling: int
    folder_bytes: int
    disk_free_bytes: int

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {
            "gpus": [asdict(gpu) | {"price_per_hour": str(gpu.price_per_hour)} for gpu in self.gpus],
            "sold_usd": str(self.sold_usd),
        }


def read_overview(database: Database, vendors: Mapping[str, Vendor], folder: Path) -> Overview:
    counts = database.count_jobs()
    sales, amount, settling = database.totals()
    jobs: Counter[str] = Counter({"queued": 0, "running": 0, "completed": 0, "failed": 0})
    for count in counts:
        jobs[_state(count.start, count.exit_code)] += count.jobs
    gpus = tuple(
        GpuUse(
            gpu=offer.gpu,
            count=offer.count,
            price_per_hour=offer.price_per_hour,
            running=sum(count.jobs for count in counts if (count.gpu_type, count.start) == (offer.gpu, "started")),
            queued=sum(count.jobs for count in counts if (count.gpu_type, count.start) == (offer.gpu, "waiting")),
        )
        for vendor in vendors.values()
        for offer in vendor.offers.values()
    )
    return Overview(
        jobs=dict(jobs),
        gpus=gpus,
        sales=sales,
        sold_usd=to_usd(amount),
        settling=settling,
        folder_bytes=folder_bytes(folder),
        disk_free_bytes=shutil.disk_usage(folder).free,
    )


def _state(start: str, exit_code: int | None) -> str:
    if start in ("waiting", "started"):
        return {"waiting": "queued", "started": "running"}[start]
    return "completed" if exit_code == 0 else "failed"
