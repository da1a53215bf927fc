"""The buyers of a campaign: each orders, pays once, and says the same again until it is answered, or never returns."""

import base64
import hashlib
import random
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.support.mock_buyer import Buyer, header_json, new_key
from tests.tools.seller_campaign.report import Report
from tests.tools.seller_campaign.victim import OUTPUT

BLOB, BLOB_BYTES = "blob.bin", 600_000
"""More than is read of a file at once."""
TOKEN = "TOKEN"
PAUSE_S, PATIENCE_S = 0.05, 60.0
COMMAND = f"cat name.txt >> {OUTPUT}; head -c {BLOB_BYTES} /dev/zero > {BLOB}; sleep $WORK_S"
SECRET_COMMAND = f'{COMMAND}; printf "%s" "${TOKEN}" | sha256sum >> {OUTPUT}'
CLOSED = 503


class GaveUp(Exception):
    """A buyer that does not return."""


@dataclass
class Order:
    """What a buyer orders, and what came of it. steadfast: comes back until it has its files."""

    name: str
    secret: str
    key: str | None
    quoted: bool
    steadfast: bool
    work_s: float
    header: str = ""
    nonce: str = ""
    job_id: str = ""
    refused: str = ""
    """What a 402 said to the payment at last."""
    status: dict[str, Any] = field(default_factory=dict)

    @property
    def params(self) -> dict[str, Any]:
        return {"gpuType": "A100", "maxHours": 1, "workload": self.workload}

    @property
    def workload(self) -> dict[str, Any]:
        return {
            "command": SECRET_COMMAND if self.secret else COMMAND,
            "env": {"WORK_S": str(self.work_s)},
            "secrets": [TOKEN] if self.secret else [],
            "inputs": [{"path": "name.txt", "sha256": sha256(self.line)}],
            "outputs": [{"path": OUTPUT}, {"path": BLOB}],
        }

    @property
    def line(self) -> bytes:
        return f"{self.name}\n".encode()

    @property
    def written(self) -> bytes:
        """What a job that ran once, with its secrets, leaves in its output."""
        return self.line + (f"{sha256(self.secret.encode())}  -\n".encode() if self.secret else b"")


class BuyerThread:
    """A buyer, who makes one order after the other until closing() is true."""

    def __init__(
        self, buyer: Buyer, orders: list[Order], report: Report, seed: str, closing: Callable[[], bool]
    ) -> None:
        self._buyer, self._orders, self._report, self._closing = buyer, orders, report, closing
        self._dice = random.Random(seed)
        self._thread = threading.Thread(target=self._run, name=f"buyer {seed}")
        self._thread.start()

    def end(self) -> None:
        """Waits for the order that is under way."""
        self._thread.join()
        self._buyer.close()

    def _run(self) -> None:
        while not self._closing():
            order = self._draw()
            try:
                self._buy(order)
                self._follow(order)
            except GaveUp:
                pass
            except Exception as error:  # noqa: BLE001 - whatever a buyer meets is a finding
                self._report.problems.append(f"{order.name}: {type(error).__name__}: {error}")

    def _draw(self) -> Order:
        dice = self._dice
        return Order(
            name=f"order-{secrets.token_hex(6)}",
            secret=f"secret-{secrets.token_hex(12)}" if dice.random() < 0.3 else "",
            key=new_key() if dice.random() < 0.7 else None,
            quoted=dice.random() < 0.5,
            steadfast=dice.random() < 0.8,
            work_s=round(dice.uniform(0, 0.8), 2),
        )

    def _buy(self, order: Order) -> None:
        body: dict[str, Any] = {
            "jobParams": order.params,
            "inline": {sha256(order.line): base64.b64encode(order.line).decode()},
        }
        if order.quoted:
            quote = {"jobType": "job", **order.params}
            answer = self._persist(lambda: self._buyer.http.post("/quote", json=quote), 200)
            body["vendorJobTemplateId"] = answer["vendorJobTemplateId"]
        key = {"Idempotency-Key": order.key} if order.key else {}
        challenge = self._again(lambda: self._buyer.http.post("/submit-job", json=body, headers=key))
        assert challenge.status_code == 402, challenge.text
        order.header = self._buyer.payment_for(challenge)
        order.nonce = header_json(order.header)["payload"]["authorization"]["nonce"]
        self._orders.append(order)
        body["secrets"] = {TOKEN: order.secret} if order.secret else {}
        headers = {**key, "PAYMENT-SIGNATURE": order.header}
        self._pay(order, body, headers)

    def _pay(self, order: Order, body: dict[str, Any], headers: dict[str, str]) -> None:
        ends_at, repeats = time.monotonic() + PATIENCE_S, self._dice.choice([0, 0, 1])
        while True:
            answer = self._once(lambda: self._buyer.http.post("/submit-job", json=body, headers=headers))
            self._report.answers[str(answer.status_code) if answer else "none"] += 1
            if answer is not None and answer.status_code == 200:
                job_id = answer.json()["vendorJobId"]
                assert order.job_id in ("", job_id), f"{order.job_id} and {job_id} for one payment"
                order.job_id = job_id
                repeats -= 1
                if repeats < 0:
                    return
            elif answer is not None and answer.status_code == 402:
                order.refused = answer.json()["error"]
                raise GaveUp
            elif answer is not None and answer.status_code != CLOSED:
                raise AssertionError(f"{answer.status_code} {answer.text}")
            if not order.steadfast or time.monotonic() > ends_at:
                raise GaveUp
            time.sleep(PAUSE_S)

    def _follow(self, order: Order) -> None:
        if not order.steadfast and self._dice.random() < 0.5:
            raise GaveUp
        which = {"vendorJobId": order.job_id}
        if order.key and self._dice.random() < 0.5:
            which = {"idempotencyKey": order.key}
        while order.status.get("status", "running") == "running":
            order.status = self._persist(lambda: self._buyer.http.get("/job-status", params=which), 200)
            assert order.status["vendorJobId"] == order.job_id, order.status
            time.sleep(PAUSE_S)
        for file in order.status["files"] or []:
            params = {"vendorJobId": order.job_id, "path": file["path"]}
            answer = self._again(lambda: self._buyer.http.get("/job-file", params=params))  # noqa: B023 - called here
            if answer.status_code == 404:
                return  # it is kept no longer
            assert answer.status_code == 200, answer.text
            assert sha256(answer.content) == file["sha256"], f"{file['path']} is not what was listed"
            if file["path"] == OUTPUT and order.status["status"] == "completed":
                assert answer.content == order.written, f"{answer.content!r} of {order}"
            self._report.files += 1

    def _persist(self, send: Callable[[], httpx.Response], status: int) -> dict[str, Any]:
        answer = self._again(send)
        assert answer.status_code == status, f"{answer.status_code} {answer.text}"
        content: dict[str, Any] = answer.json()
        return content

    def _again(self, send: Callable[[], httpx.Response]) -> httpx.Response:
        """The first answer that says more than "not now"."""
        ends_at = time.monotonic() + PATIENCE_S
        while time.monotonic() < ends_at:
            answer = self._once(send)
            if answer is not None and answer.status_code != CLOSED:
                return answer
            time.sleep(PAUSE_S)
        raise GaveUp

    def _once(self, send: Callable[[], httpx.Response]) -> httpx.Response | None:
        try:
            return send()
        except httpx.TransportError:
            return None


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
