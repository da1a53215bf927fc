"""The audit of a campaign: the chain, the seller's ledger, its jobs, its disk and its buyers must say the same."""

import json
import os
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from web3 import Web3

from mock_vendor import contracts
from mock_vendor.market import PracticeMarket
from seller.config import Config
from seller.database import Database
from seller.payments.market import connect, to_usd
from seller.records import Job
from seller.runners import supervise
from seller.work.workshop import SECRETS_LOST
from tests.tools.seller_campaign.buyers import Order
from tests.tools.seller_campaign.report import Report
from tests.tools.seller_campaign.victim import EVIDENCE, OUTPUT, STARTS, folder_name

HONEST = ("node lost: the machine that ran it is gone", supervise.SECRETS_LOST, SECRETS_LOST)
"""What a job may say that was paid and did not run to its end."""
ROOT = Path(__file__).parents[3]


def audit(folder: Path, config: Config, practice: PracticeMarket, orders: list[Order], report: Report) -> None:
    transfers = _transfers(practice)
    report.orders, report.transfers = len(orders), len(transfers)
    with closing(Database(folder / "seller" / "seller.sqlite3")) as database:
        purchases, jobs = database.purchases(), database.jobs_with_work()
    _audit_money(folder, transfers, purchases, jobs, report)
    by_key = {job.key: job for job in jobs}
    by_nonce = {purchase.nonce: by_key.get(purchase.key) for purchase in purchases}
    for order in orders:
        job = by_nonce.get(order.nonce.lower())
        _audit_order(folder, order, job, paid=order.nonce.lower() in transfers, report=report)
    names = {folder_name(job.job_id): job for job in jobs}
    starts = Counter((folder / STARTS).read_text().split()) if (folder / STARTS).exists() else Counter[str]()
    report.check(max(starts.values(), default=0) <= 1, f"started twice: {starts.most_common(3)}")
    report.check(set(starts) <= set(names), f"started without a sale: {set(starts) - set(names)}")
    kept = {path.name for path in (folder / "seller" / "jobs").iterdir()}
    expected = {name for name, job in names.items() if job.start == "ended"}
    # One that was killed between a deletion and its note has deleted what its time was over for.
    report.check(kept <= expected, f"folders too many: {kept - expected}")
    for order in orders:
        held = _holders(folder, order.secret) if order.secret else []
        report.check(not held, f"the secret of {order.name} is in {held}")


def _audit_money(folder: Path, transfers: dict[str, Any], purchases: Any, jobs: list[Job], report: Report) -> None:
    sales = _sales(folder)
    of_chain = Counter((entry["tx"], entry["payer"], str(to_usd(entry["amount"]))) for entry in transfers.values())
    of_ledger = Counter((sale["tx"], sale["payer"], sale["usd"]) for sale in sales)
    report.check(max(of_chain.values(), default=0) <= 1, "one transfer for two payments")
    report.check(of_chain == of_ledger, f"chain {of_chain - of_ledger}, ledger {of_ledger - of_chain}")
    report.check(len(jobs) == len(purchases) == len(transfers), f"{len(jobs)} jobs, {len(purchases)} purchases")
    for purchase in purchases:
        entry = transfers.get(purchase.nonce)
        report.check(bool(entry) and entry["tx"] == purchase.tx, f"{purchase.key} was not paid by {purchase.tx}")


def _audit_order(folder: Path, order: Order, job: Job | None, *, paid: bool, report: Report) -> None:
    report.check(paid == (job is not None), f"{order.name}: paid {paid}, {job}")
    report.check(not (order.refused and paid), f"{order.name} was refused ({order.refused}) and is paid")
    if job is None:
        report.check(not order.job_id, f"{order.name} was given job {order.job_id} and has none")
        report.jobs["none, unpaid"] += 1
        return
    report.check(order.job_id in ("", job.job_id), f"{order.name}: {order.job_id} is not {job.job_id}")
    report.check(json.loads(job.job_order)["workload"]["env"] == order.workload["env"], f"{order.name}: {job}")
    written = _written(folder, job.job_id)
    end = job.failure or f"exit code {job.exit_code}"
    report.jobs[end] += 1
    if job.exit_code == 0:
        report.check(written == order.written, f"{order.name} wrote {written!r}")
    else:
        report.check(job.failure in HONEST, f"{order.name} ended so: {end}")
        report.check(written in (b"", order.line, order.written), f"{order.name} wrote {written!r}")
    if order.status.get("status") == "completed":
        report.check(job.exit_code == 0, f"{order.name} was said to be completed, and is {end}")
    if order.status.get("status") == "failed":
        report.check(order.status["errorMessage"] == end, f"{order.name}: {order.status['errorMessage']} and {end}")


def _transfers(practice: PracticeMarket) -> dict[str, Any]:
    """The transfers to the seller by the nonce of their authorization."""
    web3 = connect(practice.market.rpc_url)
    token = web3.eth.contract(address=Web3.to_checksum_address(practice.market.asset), abi=contracts.load().abi)
    nonces = {
        log["transactionHash"]: Web3.to_hex(log["args"]["nonce"])
        for log in token.events.AuthorizationUsed().get_logs(from_block=0)
    }
    return {
        nonces[log["transactionHash"]]: {
            "tx": log["transactionHash"].to_0x_hex(),
            "payer": log["args"]["sender"].lower(),
            "amount": log["args"]["amount"],
        }
        for log in token.events.Transfer().get_logs(from_block=0, argument_filters={"receiver": practice.payees[0]})
    }


def _sales(folder: Path) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "seller", "sales", "--json", "--config", folder / "seller.yaml"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    sales: list[dict[str, Any]] = json.loads(done.stdout)
    return sales


def _written(folder: Path, job_id: str) -> bytes:
    """What a job wrote, also where it is kept no longer."""
    name = folder_name(job_id)
    for path in (folder / "seller" / "jobs" / name / "work" / OUTPUT, folder / EVIDENCE / name):
        if path.exists():
            return path.read_bytes()
    return b""


def _holders(folder: Path, secret: str) -> list[str]:
    """The files that hold it."""
    paths = (Path(parent) / name for parent, _, names in os.walk(folder) for name in names)
    return [str(path) for path in paths if secret.encode() in path.read_bytes()]
