"""What came in, sorted, where a node and a ledger that a test plays tell of it."""

from types import SimpleNamespace
from typing import Any, cast

from gpuagent.books.incoming import Received, incoming_books
from gpuagent.core.credits import Credit, CreditKind
from gpuagent.core.ports.chain import Node
from gpuagent.core.records import Block, Incoming, Ledgers, Payment, PaymentStatus
from tests.support.factories import PAYER, TOKEN, authorization

OTHER_WALLET = "0x" + "8" * 40
PAYMENT = Payment("run", "job-1", "v1", PaymentStatus.COMPLETED, authorization(), True, "0x" + "d" * 64, 7)
TOP_UP = Incoming("0x" + "1" * 64, 3, 9, OTHER_WALLET, PAYER.lower(), 500_000)


def test_what_another_wallet_of_ours_sent_came_back_from_nobody() -> None:
    """A vendor that declares our own wallet for its refunds, and owes just what we top up, has paid nothing back."""
    owed = Credit("v1", "run", "job-1", PAYER, CreditKind.OWED, 500_000, "500000")
    ledgers = SimpleNamespace(
        refunds=lambda *_: [],
        claims=lambda *_: [(owed, PAYMENT)],
        addresses=lambda: {"v1": OTHER_WALLET},
        wallets=lambda _: [SimpleNamespace(payer=payer) for payer in (PAYER, OTHER_WALLET.upper().replace("X", "x"))],
    )
    received = Received(1, Block(9, 0, "0x" + "b" * 64), (TOP_UP,), (), 1, TOP_UP.amount)
    books = incoming_books(PAYER, received, cast(Node, SimpleNamespace(token=TOKEN)), cast(Ledgers, cast(Any, ledgers)))
    assert (books.matched, books.unassigned) == ({}, (TOP_UP,))
