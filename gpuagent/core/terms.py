"""Terms of a purchase: the one offer that is the agreed one, and the ids and nonces that a job determines. Pure.

problem() is the pair of agent/guard: the guard checks what we decide, this what the vendor's 402 asks for.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from eth_hash.auto import keccak

from gpuagent.core.model import TIMEOUT_MAX_S, Challenge, Quote, Reserved, Run, Settles, Terms, Token, Vendor
from gpuagent.core.money import DECIMALS, show_usd
from gpuagent.core.networks import is_address
from gpuagent.core.text import clean
from gpuagent.errors import OfferInvalid, PayeeChanged

NAMES = ("name", "version")
"""Facts of the token that an offer must name in `extra`: the EIP-712 domain that is signed in."""
SAID_MAX, DECLINED_MAX, WORD_MAX = 3, 8, 40
"""Reasons that an error names, offers of which it is said why they were not taken, characters of a network's name."""
SENDING_S = 120
"""How much longer than it is asked to an authorization lives that is taken after the work. Such a vendor wants all that
it asks for from when the payment comes, and the block that dates it is older than that by its way and its tries."""
_AMOUNT = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)
"""An amount of atomic units: more is no price of anything."""


def agreed(
    challenge: Challenge, quote: Quote, vendor: Vendor, token: Token, timeout_max_s: int = TIMEOUT_MAX_S
) -> Terms:
    """The one offer that is exactly the agreed purchase; all others are ignored. Raises OfferInvalid."""
    problems: list[str] = []
    for terms in challenge.accepts:
        reason = problem(terms, quote, vendor, token, timeout_max_s)
        if not reason:
            return terms
        problems.append(reason)
    raise _invalid(f"{vendor.vendor_id} does not ask for what it quoted: {_said(problems)}", challenge, vendor)


def priced(challenge: Challenge, vendor: Vendor) -> Terms:
    """The cheapest offer in the recorded network, asset and payee, wherever it stands. Raises OfferInvalid.

    Only its price is learned by this: before a signature agreed() matches an offer in all it says.
    """
    reasons = [_unpayable(terms, vendor) for terms in challenge.accepts]
    payable = [terms for terms, reason in zip(challenge.accepts, reasons, strict=True) if not reason]
    if not payable:
        raise _invalid(
            f"{vendor.vendor_id} asks for no payment that its record allows: {_said(reasons)}", challenge, vendor
        )
    return min(payable, key=lambda terms: int(terms.amount))


def declined(challenge: Challenge, chosen: Terms, quote: Quote, vendor: Vendor, token: Token) -> tuple[str, ...]:
    """Why each other offer of the 402 was not taken, in words; the first of many."""
    rest = [terms for terms in challenge.accepts if terms is not chosen]
    return tuple(
        f"{clean(terms.network, WORD_MAX)}: {problem(terms, quote, vendor, token) or 'the same purchase again'}"
        for terms in rest[:DECLINED_MAX]
    )


def _invalid(text: str, challenge: Challenge, vendor: Vendor) -> OfferInvalid:
    """PayeeChanged where what the recorded network and token are asked for goes to others alone.

    Offers in other networks and tokens name payees of their own, as they may.
    """
    ours = [
        terms
        for terms in challenge.accepts
        if (terms.scheme, terms.network) == ("exact", vendor.network) and _same_address(terms.asset, vendor.asset)
    ]
    if ours and not any(_same_address(terms.pay_to, vendor.pay_to) for terms in ours):
        return payee_changed(text, ours[0].pay_to)
    return OfferInvalid(text)


def payee_changed(text: str, payee: str) -> PayeeChanged:
    """The error, with the payee that the vendor named; "" unless that is an address, as the text is untrusted."""
    return PayeeChanged(text, payee.lower() if is_address(payee) else "")


def _said(reasons: Sequence[str]) -> str:
    return "; ".join(reasons[:SAID_MAX]) or "no offer"


def _unpayable(terms: Terms, vendor: Vendor) -> str:
    checks = (*_recorded(terms, vendor), (_AMOUNT.fullmatch(terms.amount) is not None, "an amount that is no price"))
    return ", ".join(text for holds, text in checks if not holds)


def _recorded(terms: Terms, vendor: Vendor) -> tuple[tuple[bool, str], ...]:
    """Whether the terms are those of the vendor's record in all but the amount, each with what is wrong where not."""
    return (
        (terms.scheme == "exact", "another scheme than exact"),
        (terms.network == vendor.network, f"another network than {vendor.network}"),
        (_same_address(terms.asset, vendor.asset), "another asset"),
        (_same_address(terms.pay_to, vendor.pay_to), "another payee than the recorded one"),
    )


def timeout_max_s(vendor: Vendor, policy_max_s: int) -> int:
    """The longest life of an authorization that the vendor may ask for: what its record says, within the policy's."""
    return min(vendor.max_authorization_s, policy_max_s) if vendor.max_authorization_s else TIMEOUT_MAX_S


def life_s(vendor: Vendor, terms: Terms, policy_max_s: int, usual_s: int) -> int:
    """The life of an authorization on these terms: all that is asked where the record allows a long one, else ours.

    Where the payment is taken after the work, it is SENDING_S more, as far as record and policy leave room for it.
    """
    if not vendor.max_authorization_s:
        return min(usual_s, terms.max_timeout_s, policy_max_s)
    sending_s = SENDING_S if vendor.settles is Settles.AFTER else 0
    return min(terms.max_timeout_s + sending_s, timeout_max_s(vendor, policy_max_s))


def problem(terms: Terms, quote: Quote, vendor: Vendor, token: Token, timeout_max_s: int = TIMEOUT_MAX_S) -> str:
    """What keeps these terms from being the agreed purchase, in words; "" when nothing does."""
    checks = (
        *_recorded(terms, vendor),
        (vendor.network == token.network, f"another network than {token.network} on record"),
        (_same_address(vendor.asset, token.address), "another asset on record"),
        (terms.amount == str(quote.amount), f"another amount than the quoted {show_usd(quote.amount)}"),
        (1 <= terms.max_timeout_s <= timeout_max_s, f"a timeout outside 1 to {timeout_max_s} s"),
        (repeats_facts(terms.extra, token), "extra terms or another token name"),
    )
    return ", ".join(text for holds, text in checks if not holds)


def repeats_facts(extra: Mapping[str, object], token: Token) -> bool:
    """Whether `extra` says only what is so anyway: the token's name and version, and perhaps more of what is signed."""
    chain = token.network.rpartition(":")[2]
    facts: dict[str, tuple[object, ...]] = {
        "name": (token.name,),
        "version": (token.version,),
        "decimals": (DECIMALS, str(DECIMALS)),
        "chainId": (chain, int(chain)) if chain.isascii() and chain.isdecimal() else (),
        "verifyingContract": (token.address, token.address.lower()),
        "assetTransferMethod": ("eip3009",),
        "primaryType": ("TransferWithAuthorization",),
    }
    named = all(name in extra for name in NAMES)
    # By type too: in Python True is 1.
    return named and all(
        (type(value), value) in [(type(f), f) for f in facts.get(key, ())] for key, value in extra.items()
    )


def record_problem(quote: Quote, vendor: Vendor) -> str:
    """What has changed in the vendor's record since the quote, so that it is not to be paid; "" for nothing."""
    if not vendor.enabled:
        return f"vendor {vendor.vendor_id} has been disabled"
    if not is_payee(quote, vendor):
        return f"vendor {vendor.vendor_id} has another payee, network or asset on record by now"
    return ""


def is_payee(quote: Quote, vendor: Vendor) -> bool:
    """Whether the quote names the payee, the network and the asset of the vendor's record."""
    recorded = quote.network == vendor.network and _same_address(quote.asset, vendor.asset)
    return recorded and _same_address(quote.pay_to, vendor.pay_to)


@lru_cache(maxsize=1024)
def nonce(token: Token, payer: str, job_id: str) -> str:
    """The EIP-3009 nonce of a job's one payment: keccak of everything that identifies it, 0x and 64 hex digits.

    A lost record can so not lose its authorization, and the token contract itself refuses a second payment.
    """
    text = f"gpuagent/payment/{token.network}/{token.address}/{payer}/{job_id}".lower()
    return "0x" + keccak(text.encode()).hex()


def derived_job_id(run_id: str, ordinal: int) -> str:
    """The id of the run's job with this ordinal: 24 hex digits, opaque.

    Derived and not drawn, so that a restored older database asks for the same id, hence the same payment
    nonce, and the token contract refuses to pay for that job twice.
    """
    return hashlib.sha256(f"gpuagent/job/{run_id}/{ordinal}".encode()).hexdigest()[:24]


def next_job_id(run: Run) -> str:
    """The id of the run's next job: the first that none of its jobs has, as a payment may be adopted out of order."""
    taken = {job.job_id for job in run.jobs}
    ids = (derived_job_id(run.run_id, ordinal) for ordinal in range(len(taken) + 1))
    return next(job_id for job_id in ids if job_id not in taken)


def unsigned_nonces(run: Run, token: Token) -> list[str]:
    """The nonces of all jobs the run may ever have, but for those that its ledger knows an authorization of."""
    signed = {job.job_id for job in run.jobs if not isinstance(job, Reserved) and job.authorization}
    ids = (derived_job_id(run.run_id, ordinal) for ordinal in range(run.jobs_max))
    return [nonce(token, run.payer, job_id) for job_id in ids if job_id not in signed]


def _same_address(first: str, second: str) -> bool:
    return first.lower() == second.lower()
