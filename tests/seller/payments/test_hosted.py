"""A hosted facilitator's answers are read as far as one can be long, and never unpacked."""

import gzip
from contextlib import closing

import pytest

from seller.payments.hosted import ANSWER_MAX, FacilitatorUnavailable, HostedFacilitator
from tests.support.mock_facilitator import Fault, hosted


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        (Fault(body=b" " * (ANSWER_MAX + 1)), "too long"),
        (Fault(body=gzip.compress(b" " * 100 * ANSWER_MAX), encoding="gzip"), "compressed"),
    ],
    ids=["long", "a bomb"],
)
def test_an_answer_fills_no_memory(fault: Fault, problem: str) -> None:
    with hosted("http://127.0.0.1:1", "eip155:31337", "0x" + "6f" * 32) as server:
        server.faults["/supported"] = fault
        with closing(HostedFacilitator(server.url)) as client:
            with pytest.raises(FacilitatorUnavailable, match=problem):
                client.get_supported()
            assert client.get_supported().kinds
