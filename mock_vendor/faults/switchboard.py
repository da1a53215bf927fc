"""The faults that are on, and the points at which the normal path lets them in."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from starlette.responses import Response
from x402.schemas import PaymentRequired

from mock_vendor.database import PracticeDatabase
from mock_vendor.faults.scene import Scene
from mock_vendor.faults.table import TABLE, Hook
from seller.api.answers import Answer, FileAnswer
from seller.conduct import Verdict
from seller.records import Quote
from seller.work.order import ACCEPTS


def _no_402() -> Answer:
    raise AssertionError("only a paid answer can be followed by a fresh 402")


class Faults:
    """The faults that are on, per vendor, kept in the database. With none on, everything passes unchanged."""

    def __init__(self, database: PracticeDatabase, lure_url: str, slow_s: float) -> None:
        self._database = database
        self._lure_url = lure_url
        self._slow_s = slow_s
        self._turns: Counter[tuple[str, str]] = Counter()

    def switch(self, vendor_id: str, name: str, *, on: bool) -> None:
        """Switch a fault on or off. Raises KeyError for a name that is not in the table."""
        self._database.switch_fault(vendor_id, TABLE[name].name, on=on)
        del self._turns[vendor_id, name]

    def clear(self) -> None:
        for vendor_id, name in self._database.faults():
            self._database.switch_fault(vendor_id, name, on=False)

    def switched_on(self) -> list[tuple[str, str]]:
        return self._database.faults()

    def bend_quote(self, vendor_id: str, quote: Quote) -> Quote:
        bent: Quote = self._bend(Hook.QUOTE, "quote", vendor_id, quote)
        return bent

    def bend_challenge(self, vendor_id: str, challenge: PaymentRequired) -> PaymentRequired:
        bent: PaymentRequired = self._bend(Hook.CHALLENGE, "offer", vendor_id, challenge)
        return bent

    def verdict(self, vendor_id: str) -> Verdict:
        verdict: Verdict = self._bend(Hook.VERDICT, "paid", vendor_id, "take")
        return verdict

    def accepts(self, vendor_id: str) -> tuple[str, ...]:
        accepted: tuple[str, ...] = self._bend(Hook.ACCEPTS, "quote", vendor_id, ACCEPTS)
        return accepted

    def loses_node(self, vendor_id: str) -> bool:
        lost: bool = self._bend(Hook.NODE, "job", vendor_id, False)
        return lost

    def bend_source(self, vendor_id: str, job_ids: list[str]) -> list[str]:
        bent: list[str] = self._bend(Hook.SOURCE, "file", vendor_id, job_ids)
        return bent

    def send_file(self, vendor_id: str, file: FileAnswer) -> Response:
        bent: FileAnswer | Response = self._bend(Hook.FILE, "file", vendor_id, file)
        return bent if isinstance(bent, Response) else bent.to_response()

    def send(self, stage: str, vendor_id: str, answer: Answer, fresh_402: Callable[[], Answer] = _no_402) -> Response:
        """The answer as it leaves: a fault may replace it by something that is no answer at all."""
        bent: Answer | Response = self._bend(Hook.ANSWER, stage, vendor_id, answer, fresh_402)
        return bent if isinstance(bent, Response) else bent.to_response()

    def _bend(
        self,
        hook: Hook,
        stage: str,
        vendor_id: str,
        value: Any,
        fresh_402: Callable[[], Answer] = _no_402,
    ) -> Any:
        on = {name for switched, name in self._database.faults() if switched == vendor_id}
        if not on:
            return value
        scene = Scene(self._lure_url, self._slow_s, fresh_402)
        for fault in TABLE.values():
            if fault.name in on and fault.hook is hook and fault.stage == stage:
                turn = self._turns[vendor_id, fault.name]
                self._turns[vendor_id, fault.name] += 1
                value = fault.change(value, replace(scene, turn=turn))
                if isinstance(value, Response):
                    break  # nothing is left that another fault could bend
        return value
