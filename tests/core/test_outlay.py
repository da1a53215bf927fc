"""What jobs cost at least where caps limit how many of them each vendor may have."""

from dataclasses import replace

import pytest

from gpuagent.core.model import Reserved, Voided
from gpuagent.core.outlay import Supply, capacity, least_cost, may_be_proven, offer, tag_room
from gpuagent.core.policy import Policy, Usage
from tests.support.factories import RUN, past_job, quote

CHEAP, DEAR = Supply("a", 1, 3, ("vendor_per_run",)), Supply("b", 5)


def test_the_cheap_are_filled_first_and_the_dear_are_counted_at_their_price() -> None:
    assert least_cost([DEAR, CHEAP], 6) == 3 * 1 + 3 * 5
    assert least_cost([DEAR, CHEAP], 2) == 2
    assert (capacity([CHEAP], 6), capacity([CHEAP, DEAR], 6)) == (3, 6)
    assert capacity([Supply("a", 2, 5), Supply("b", 3, 2), Supply("c", 1, -1)], 6) == 2
    assert capacity([Supply("a", 0, 2)], 6) == 2, "a price of nothing divides nothing"


@pytest.mark.parametrize(
    ("amount", "completed", "opened", "is_limited"),
    [(4, 0, 0, True), (3, 0, 0, False), (4, 1, 0, False), (4, 0, 1, False), (6, 1, 0, True)],
)
def test_a_new_vendor_that_its_next_jobs_may_prove_is_not_limited(
    amount: int, completed: int, opened: int, is_limited: bool
) -> None:
    """10 are allowed, 0 are used: three at 3 prove it, two at 4 do with one that is completed or open."""
    usage, past = Usage(new_vendors={"a": 0}), [past_job("a", True, amount=0)] * completed
    offered = offer(Policy(new_vendor=10), RUN, usage, past, "a", amount, opened)
    assert (offered.room, offered.rules) == ((10, ("new_vendor",)) if is_limited else (None, ()))
    assert offer(Policy(new_vendor=10), RUN, Usage(), (), "a", amount, 0).room is None, "a proven one has no such cap"


def test_a_new_vendor_is_not_limited_while_jobs_elsewhere_may_prove_it() -> None:
    """8 of 10 are used: 3 by this run, 4 by a job elsewhere that has ended, and 1 by one that has not."""
    run = replace(RUN, jobs=(Reserved("a", quote(3, "a"), 1.0),))
    past = [past_job("a", False, amount=4), past_job("b", False, amount=1)]
    assert may_be_proven(run, Usage(new_vendors={"a": 8}), past, "a", 1)
    assert not may_be_proven(run, Usage(new_vendors={"a": 7}), past, "a", 1)
    assert offer(Policy(new_vendor=10), run, Usage(new_vendors={"a": 8}), past, "a", 1, 0).room is None


def test_what_the_run_has_at_a_vendor_counts_against_its_cap_and_what_came_to_nothing_does_not() -> None:
    run = replace(RUN, jobs=(Reserved("a", quote(3, "a"), 1.0), Voided("b", quote(4, "a"), 1.0, "expired unused")))
    assert offer(Policy(vendor_per_run=10, new_vendor=None), run, Usage(), (), "a", 1, 0).room == 7


def test_the_tightest_of_the_tags_totals() -> None:
    run, rules = replace(RUN, tags=("x", "y", "z")), Policy(tag_totals={"x": 10, "y": 9, "other": 1})
    assert tag_room(rules, run, Usage(tags={"x": 8})) == 2
    assert tag_room(rules, replace(run, tags=("z",)), Usage()) is None
