"""Prices and outcomes that the control routes set while the vendors are selling. Not persisted."""

import threading
from decimal import Decimal


class Overrides:
    """Prices by vendor and scripts of outcomes. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._prices: dict[str, Decimal] = {}
        self._scripts: dict[str, str] = {}

    def set_price(self, vendor_id: str, base_price_per_hour: Decimal) -> None:
        with self._lock:
            self._prices[vendor_id] = base_price_per_hour

    def price(self, vendor_id: str, default: Decimal) -> Decimal:
        with self._lock:
            return self._prices.get(vendor_id, default)

    def set_script(self, vendor_id: str, script: str) -> None:
        """Set a vendor's outcomes: '1' lets a job succeed, '0' fails it, in the order in which jobs are paid for."""
        with self._lock:
            self._scripts[vendor_id] = script

    def clear_scripts(self) -> None:
        with self._lock:
            self._scripts.clear()

    def scripts(self) -> dict[str, str]:
        """The rest of each script, by vendor."""
        with self._lock:
            return dict(self._scripts)

    def next_outcome(self, vendor_id: str) -> bool | None:
        """Whether the next job succeeds; None when no script says."""
        with self._lock:
            script = self._scripts.get(vendor_id, "")
            self._scripts[vendor_id] = script[1:]
            return script[0] == "1" if script else None
