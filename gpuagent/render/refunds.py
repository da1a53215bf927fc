"""Refunds and credits, as a table for a terminal and as JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from gpuagent.books.refunds import WalletRefunds
from gpuagent.core.credits import Credit, CreditKind, outstanding
from gpuagent.core.money import show_usd
from gpuagent.core.records import Incoming, Payment, PaymentStatus, Refund

ASSIGN = "a transfer of a job is booked by `gpuagent refund assign TRANSACTION JOB_ID --why WHY`"
MATCHED = "`gpuagent books --all --repair` books what vendors name"


def refunds_view(wallets: Sequence[WalletRefunds], *, every: bool = False) -> RenderableType:
    """What came in, by state, and what vendors say. every: with the newest transfers of others than vendors."""
    table = Table(box=None, pad_edge=False)
    for column in ("amount", "state", "vendor", "job", "from", "transaction"):
        is_amount = column == "amount"
        table.add_column(column, justify="right" if is_amount else "left", overflow="fold", no_wrap=is_amount)
    for wallet in wallets:
        for refund in wallet.books.booked:
            state = f"booked by {refund.by}" if refund.by else "booked"
            _row(table, refund.transfer, state, "green", refund.vendor_id, refund.job_id)
        for refund in wallet.books.missing:
            _row(table, refund.transfer, "booked, not on chain", "bold red", refund.vendor_id, refund.job_id)
        for transfer, payment in wallet.books.matched.items():
            _row(table, transfer, "to be booked", "yellow", payment.vendor_id, payment.job_id)
        for transfer in wallet.books.unassigned:
            _row(table, transfer, "of no known job", "yellow")
        for transfer in wallet.books.others if every else ():
            _row(table, transfer, "from no vendor", "dim")
    claims = [line for wallet in wallets for credit, payment in wallet.claims if (line := _claim(credit, payment))]
    hints = [
        text
        for text, applies in (
            (MATCHED, any(wallet.books.matched for wallet in wallets)),
            (ASSIGN, any(wallet.books.unassigned for wallet in wallets)),
        )
        if applies
    ]
    content = table if table.row_count else Text("nothing came back from a vendor", style="dim")
    return Group(content, *claims, *(Text(hint, style="dim") for hint in hints))


def credit_lines(by_vendor: Mapping[str, int]) -> list[Text]:
    """A line for each vendor with a credit: by its word, of what was paid."""
    return [
        Text(f"{vendor_id} says that it has a credit of {show_usd(amount)}: its word alone, no money", style="yellow")
        for vendor_id, amount in sorted(by_vendor.items())
    ]


def refunds_json(wallets: Sequence[WalletRefunds], *, every: bool = False) -> dict[str, Any]:
    """The same for programs: amounts in atomic units."""
    return {
        "wallets": [
            {
                "wallet": wallet.wallet,
                "incoming": wallet.books.received.transfers,
                "received": str(wallet.books.received.amount),
                "refunded": str(wallet.books.refunded),
                "booked": [refund_json(refund) for refund in wallet.books.booked],
                "missing": [refund_json(refund) for refund in wallet.books.missing],
                "matched": [
                    {**transfer_json(transfer), "vendorId": payment.vendor_id, "jobId": payment.job_id}
                    for transfer, payment in wallet.books.matched.items()
                ],
                "unassigned": [transfer_json(transfer) for transfer in wallet.books.unassigned],
                **({"others": [transfer_json(transfer) for transfer in wallet.books.others]} if every else {}),
                "claims": [_claim_json(credit, payment) for credit, payment in wallet.claims],
            }
            for wallet in wallets
        ]
    }


def refund_json(refund: Refund) -> dict[str, Any]:
    """A booked refund."""
    names = {"vendorId": refund.vendor_id, "runId": refund.run_id, "jobId": refund.job_id}
    return {**transfer_json(refund.transfer), **names, "by": refund.by, "why": refund.why}


def transfer_json(transfer: Incoming) -> dict[str, Any]:
    """A transfer into a wallet."""
    return {
        "transaction": transfer.transaction,
        "logIndex": transfer.log_index,
        "blockNumber": transfer.block_number,
        "sender": transfer.sender,
        "wallet": transfer.wallet,
        "amount": str(transfer.amount),
    }


def _row(table: Table, transfer: Incoming, state: str, style: str, vendor_id: str = "", job_id: str = "") -> None:
    mark = Text(state, style=style)
    table.add_row(show_usd(transfer.amount), mark, escape(vendor_id), job_id, transfer.sender, transfer.transaction)


def _claim(credit: Credit, payment: Payment) -> Text | None:
    """A vendor's word that is not proven by now, None where it is."""
    paid = payment.status is PaymentStatus.COMPLETED
    rest = outstanding(credit.amount, payment.refunded)
    if paid and not rest and not credit.note and (credit.amount or payment.refunded):
        return None
    where = {
        CreditKind.BALANCE: f"{show_usd(rest)} is on its platform",
        CreditKind.OWED: f"it owes {show_usd(rest)}",
        CreditKind.SENT: f"it paid back by {credit.transaction}, which is not booked",
    }[credit.kind]
    notes = [credit.note, "" if paid else "the job is not paid, so that nothing of it can come back"]
    text = "; ".join([f"{credit.vendor_id} says of job {credit.job_id} that {where}", *filter(None, notes)])
    return Text(f"{text}. Its word alone", style="dim")


def _claim_json(credit: Credit, payment: Payment) -> dict[str, Any]:
    return {
        "vendorId": credit.vendor_id,
        "runId": credit.run_id,
        "jobId": credit.job_id,
        "kind": credit.kind.value,
        "amount": str(credit.amount),
        "claimed": credit.claimed,
        "transaction": credit.transaction,
        "note": credit.note,
        "paid": payment.status is PaymentStatus.COMPLETED,
        "refunded": str(payment.refunded),
    }
