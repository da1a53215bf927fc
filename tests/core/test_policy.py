"""The owner's rules, pure: what is refused, what needs a person, what counts as allowing more."""

import shlex
from dataclasses import replace

import pytest

from gpuagent.core import policy
from gpuagent.core.model import Cause, Reserved, Voided
from gpuagent.core.policy import EVERY_WALLET, Halt, Policy, Usage, approval, check, loosenings, refusals
from gpuagent.errors import BadInput
from tests.support.factories import PAYER, RUN, quote

PRICE = quote().amount
USED = Usage(
    wallet_day=PRICE, vendor_day={"gpu_vendor_1": PRICE}, tags={"alpha": PRICE}, new_vendors={"gpu_vendor_1": 2 * PRICE}
)


def rules(**limits: object) -> Policy:
    return replace(Policy(version=1), **limits)


@pytest.mark.parametrize(
    ("exact", "short", "rule"),
    [
        ({"per_payment": PRICE}, {"per_payment": PRICE - 1}, "payment"),
        ({"vendor_per_run": PRICE}, {"vendor_per_run": PRICE - 1}, "vendor per run"),
        ({"vendor_per_day": 2 * PRICE}, {"vendor_per_day": 2 * PRICE - 1}, "vendor per day"),
        ({"wallet_per_day": 2 * PRICE}, {"wallet_per_day": 2 * PRICE - 1}, "wallet per day"),
        ({"tag_totals": {"alpha": 2 * PRICE}}, {"tag_totals": {"alpha": 2 * PRICE - 1}}, "tag alpha"),
        ({"new_vendor": 3 * PRICE}, {"new_vendor": 3 * PRICE - 1}, policy.NEW_VENDOR),
    ],
)
def test_a_cap_is_used_to_the_last_unit_and_not_passed(
    exact: dict[str, object], short: dict[str, object], rule: str
) -> None:
    run = replace(RUN, tags=("alpha", "beta"))
    assert refusals(rules(**exact), run, quote(), USED) == ()
    (refusal,) = refusals(rules(**short), run, quote(), USED)
    assert refusal.rule == rule
    assert "1.40 USD would exceed the cap of" in refusal.reason


def test_caps_that_time_may_lift_are_told_from_those_that_it_cannot() -> None:
    run = replace(RUN, tags=("alpha",))
    assert [refusal.transient for refusal in refusals(rules(wallet_per_day=PRICE), run, quote(), USED)] == [True]
    assert [refusal.transient for refusal in refusals(rules(wallet_per_day=PRICE - 1), run, quote(), USED)] == [False]
    assert [refusal.transient for refusal in refusals(rules(per_payment=0), run, quote(), USED)] == [False]


def test_a_vendors_other_jobs_in_the_run_count_and_the_purchase_itself_does_not() -> None:
    run = replace(RUN, jobs=(Reserved("one", quote(), 0), Reserved("two", quote(vendor_id="gpu_vendor_2"), 0)))
    assert refusals(rules(vendor_per_run=PRICE), run, quote(), Usage(), job_id="one") == ()
    assert refusals(rules(vendor_per_run=PRICE), run, quote(), Usage())[0].rule == "vendor per run"
    released = replace(run, jobs=(Voided("one", quote(), 0, "never taken"),))
    assert refusals(rules(vendor_per_run=PRICE), released, quote(), Usage()) == ()


@pytest.mark.parametrize(
    ("halt", "refused"),
    [
        (Halt("vendor", "gpu_vendor_1", "Ada", "it stalls"), True),
        (Halt("vendor", "gpu_vendor_2", "Ada", "it stalls"), False),
        (Halt("wallet", PAYER, "Ada", "leak"), True),
        (Halt("wallet", EVERY_WALLET, "Ada", "leak"), True),
        (Halt("wallet", "0x" + "9" * 40, "Ada", "leak"), False),
    ],
)
def test_a_halt_forbids_what_it_names(halt: Halt, refused: bool) -> None:
    reasons = refusals(rules(halts=(halt,)), RUN, quote(), Usage())
    assert bool(reasons) is refused
    assert all("Ada halted" in refusal.reason for refusal in reasons)


def test_a_rejected_price_is_not_asked_for_again() -> None:
    run = replace(RUN, jobs=(Voided("one", quote(), 0, "rejected by Ada: dear", cause=Cause.PERSON),))
    assert refusals(rules(), run, quote(), Usage())[0].rule == "rejection"
    assert refusals(rules(), run, quote(PRICE - 1), Usage()) == ()
    assert refusals(rules(), run, quote(vendor_id="gpu_vendor_2"), Usage()) == ()


def test_approval_is_asked_for_above_the_threshold_and_ends_with_the_quote() -> None:
    assert approval(rules(), quote(), 0) is None
    assert approval(rules(approval_above=PRICE), quote(), 0) is None
    request = approval(rules(approval_above=PRICE - 1, approval_s=60), quote(expires_at=1_000), 500)
    assert request is not None
    assert (request.asked_at, request.expires_at, request.by) == (500, 560, "")
    late = approval(rules(approval_above=0), quote(expires_at=1_000), 500)
    assert late is not None
    assert late.expires_at == 1_000


def test_what_allows_more_is_told_from_what_allows_less() -> None:
    strict = rules(
        per_payment=1, wallet_per_day=1, approval_above=1, tag_totals={"a": 1}, halts=(Halt("vendor", "x", "Ada", "y"),)
    )
    assert loosenings(rules(), strict) == ()
    assert loosenings(strict, strict) == ()
    assert len(loosenings(strict, rules())) == 5
    assert loosenings(strict, replace(strict, per_payment=2)) == ("per_payment: 0.000001 USD to 0.000002 USD",)
    assert loosenings(strict, replace(strict, tag_totals={"a": 2}))[0].startswith("tag a")


@pytest.mark.parametrize(
    "wrong",
    [
        {"per_payment": -1},
        {"tag_totals": {"": 1}},
        {"tag_totals": {"a": -1}},
        {"approval_s": 0},
        {"approval_s": policy.APPROVAL_MAX_S + 1},
        {"approval_s": float("nan")},
    ],
)
def test_rules_that_cannot_be_meant(wrong: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        check(rules(**wrong))
    assert check(policy.FIRST) == policy.FIRST


def test_the_cap_for_new_vendors_is_none_for_those_that_are_proven() -> None:
    assert refusals(rules(new_vendor=0), RUN, quote(), Usage()) == ()
    assert refusals(rules(new_vendor=0), RUN, quote(), Usage(new_vendors={"another": 0})) == ()
    (refusal,) = refusals(rules(new_vendor=0), RUN, quote(), Usage(new_vendors={"gpu_vendor_1": 0}))
    assert not refusal.transient
    assert refusals(rules(new_vendor=None), RUN, quote(), USED) == ()


def test_a_longer_life_of_authorizations_is_to_be_reasoned_and_has_an_end() -> None:
    assert loosenings(rules(authorization_max_s=60), rules(authorization_max_s=61))
    assert not loosenings(rules(authorization_max_s=61), rules(authorization_max_s=60))
    check(rules(authorization_max_s=86_400))
    for seconds in (0, 86_401):
        with pytest.raises(BadInput, match="an authorization lives"):
            check(rules(authorization_max_s=seconds))


def test_the_command_that_ends_a_halt_can_be_typed_in_a_shell() -> None:
    """A `*` there would name the files of a folder; and --why must be given."""
    words = shlex.split(Halt("wallet", EVERY_WALLET, "Ada", "fire").resume_command)
    assert words == ["gpuagent", "policy", "resume", "wallet", "all", "--why", "what has changed"]
    assert "resume vendor v1 --why" in Halt("vendor", "v1", "Ada", "late").resume_command
