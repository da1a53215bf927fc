"""`gpuagent vendor add`: what a vendor declares, held against its own quote and 402, before its payee is pinned.

Nothing is paid, nothing is recorded here, and no token goes to a server that it was not meant for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from gpuagent.agent.price_check import price_quote
from gpuagent.agent.stranger import probed_declaration
from gpuagent.core import gpus
from gpuagent.core.belief import UNKNOWN
from gpuagent.core.dialects import DIALECTS
from gpuagent.core.job_secrets import is_own_variable
from gpuagent.core.listings import VENDOR_ID, Declaration, origin
from gpuagent.core.model import HOURS_MIN, OWN_PROTOCOL, Quote, Reserved, Settles, Token, Vendor
from gpuagent.core.money import show_usd
from gpuagent.core.networks import NOWHERE
from gpuagent.core.ports.discovery import Discovery
from gpuagent.core.ports.vendors import VendorApi
from gpuagent.core.rules import LIFE_MAX_S
from gpuagent.core.terms import SENDING_S, is_payee, problem, timeout_max_s
from gpuagent.core.text import clean
from gpuagent.errors import BadInput, OfferInvalid, Refused

HOURS = Decimal(1)
SPARE_S = 120 + SENDING_S
"""Of an authorization's life what is not the job's, where it is settled after the work."""
TOKENS = "GPU_VENDOR_"
"""The beginning of those of the agent's own variables that hold vendors' tokens."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """The user's own word on a new vendor, "" or () where the vendor's counts.

    vendor_id: of its declarations the one, else what to send as x-vendor-id. secret_env: the variable of its bearer
    token. pay_to: the only payee that is right. protocol: of a vendor that declares none.
    """

    vendor_id: str = ""
    gpu_types: tuple[str, ...] = ()
    secret_env: str = ""
    pay_to: str = ""
    protocol: str = ""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A vendor that could be recorded. quote: for an hour of its first GPU. differences: what forbids to record it.

    declared: its price for that hour by its own document, None where it has none. accepts: what it can. is_new: whether
    it is not on record yet.
    """

    vendor: Vendor
    quote: Quote
    declared: int | None = None
    accepts: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()
    is_new: bool = True


def propose(
    url: str,
    wishes: Wishes,
    token: Token,
    discovery: Discovery,
    vendor_api: VendorApi,
    records: Sequence[Vendor],
    order: str,
) -> Proposal:
    """The vendor at a URL, without a difference that forbids to record it. Raises BadInput, Refused, VendorError.

    records: the vendors that are known. order: an id for the unpaid order, 24 hex digits.
    """
    declarations = discovery.declarations(url)
    if wishes.protocol and not declarations:
        declarations = [probed_declaration(url, wishes.protocol, wishes.vendor_id, wishes.gpu_types, token, discovery)]
    vendor = declared_vendor(url, declarations, wishes, token)
    check_new(vendor, records)  # before its token is sent
    proposal = examined(vendor, declarations, wishes, token, vendor_api, order)
    check_recordable(proposal)
    return replace(proposal, is_new=check_new(proposal.vendor, records))


def declared_vendor(url: str, declarations: Sequence[Declaration], wishes: Wishes, token: Token) -> Vendor:
    """The record to be, with the declared payee, NOWHERE where none is declared. Raises BadInput, Refused."""
    declaration = _chosen(url, declarations, wishes)
    types = wishes.gpu_types or (tuple(declaration.gpu_prices) if declaration else ())
    vendor_id = declaration.vendor_id if declaration else wishes.vendor_id
    if not declaration and not (vendor_id and types):
        raise BadInput(f"{url} declares no vendor at /.well-known/x402: say --vendor-id and --gpu, as it names them")
    if not VENDOR_ID.fullmatch(vendor_id):
        raise BadInput("--vendor-id is to be 1 to 64 letters, digits, dots, dashes, underscores")
    if declaration and declaration.protocol not in DIALECTS:
        protocol, spoken = clean(declaration.protocol, 80), ", ".join(DIALECTS)
        raise Refused(f"{vendor_id} speaks {protocol}, this agent {spoken}: nothing was recorded")
    if (declaration is None or declaration.bearer) and not wishes.secret_env:
        raise BadInput(f"{vendor_id} wants a bearer token: name the variable that holds it, --secret-env NAME")
    return Vendor(
        vendor_id=vendor_id,
        name=declaration.name if declaration else vendor_id,
        endpoint=declaration.endpoint if declaration else url.rstrip("/"),
        pay_to=declaration.pay_to if declaration else wishes.pay_to or NOWHERE,
        network=declaration.network if declaration else token.network,
        asset=declaration.asset if declaration else token.address,
        secret_env=wishes.secret_env,
        base_price_per_hour=0,  # what it quotes
        reliability=UNKNOWN,
        gpu_types=types,
        protocol=declaration.protocol if declaration else OWN_PROTOCOL,
        x402_version=declaration.x402_version if declaration else 2,
        settles=declaration.settles if declaration else Settles.BEFORE,
        max_authorization_s=declaration.max_authorization_s if declaration else 0,
        proven=False,
    )


def check_new(vendor: Vendor, records: Sequence[Vendor]) -> bool:
    """Whether the vendor is not on record yet. Raises Refused where another of its name is, or its token is another's.

    A recorded vendor that wants another payee is what theft looks like: it is changed by hand, or not at all.
    """
    if is_own_variable(vendor.secret_env) and not vendor.secret_env.startswith(TOKENS):
        raise Refused(f"{vendor.secret_env} is the agent's own, and no vendor's token: nothing was sent")
    for record in records:
        if (
            vendor.secret_env
            and record.secret_env == vendor.secret_env
            and origin(record.endpoint) != origin(vendor.endpoint)
        ):
            raise Refused(
                f"{vendor.secret_env} holds the token of {record.vendor_id} at {record.endpoint}, and is sent nowhere "
                "else: give each vendor a variable of its own, --secret-env NAME"
            )
    twin = next((record for record in records if _is_same_seller(record, vendor)), None)
    if twin:
        raise Refused(
            f"{vendor.endpoint} is on record as {twin.vendor_id}: a seller has one record, whose caps and halts hold "
            "for it. Nothing was changed"
        )
    namesake = next((record for record in records if record.vendor_id.casefold() == vendor.vendor_id.casefold()), None)
    if namesake is None:
        return True
    facts = {"payee": (namesake.pay_to, vendor.pay_to), "token": (namesake.asset, vendor.asset)}
    facts |= {"network": (namesake.network, vendor.network)}
    facts |= {"endpoint": (namesake.endpoint.rstrip("/"), vendor.endpoint.rstrip("/"))}
    changed = [
        f"{name} {recorded}, and this names {clean(claimed, 120)}"
        for name, (recorded, claimed) in facts.items()
        if recorded.lower() != claimed.lower() and not (name == "payee" and claimed == NOWHERE)
    ]
    if changed:
        raise Refused(
            f"{namesake.vendor_id} is on record with another {'; another '.join(changed)}. Nothing was changed: if the "
            "vendor itself confirms it, by another way than this URL, write it down and `gpuagent vendor seed` it"
        )
    return False


def _is_same_seller(record: Vendor, vendor: Vendor) -> bool:
    """Whether it is on record under another id. Only vendors of our own protocol are several at one URL."""
    return (
        vendor.protocol != OWN_PROTOCOL
        and record.vendor_id.casefold() != vendor.vendor_id.casefold()
        and record.protocol == vendor.protocol
        and record.endpoint.rstrip("/").casefold() == vendor.endpoint.rstrip("/").casefold()
    )


def examined(
    vendor: Vendor, declarations: Sequence[Declaration], wishes: Wishes, token: Token, vendor_api: VendorApi, order: str
) -> Proposal:
    """The vendor's quote and unpaid 402, held against what it declares. Raises VendorError.

    order: an id for the unpaid order, 24 hex digits.
    """
    gpu_type = vendor.gpu_types[0]
    hours = _hours(vendor)
    quote = price_quote(vendor_api, vendor, gpu_type, hours)
    recorded = replace(vendor, pay_to=quote.pay_to) if vendor.pay_to == NOWHERE else vendor
    declaration = next((entry for entry in declarations if entry.vendor_id == vendor.vendor_id), None)
    prices = declaration.gpu_prices if declaration else {}
    declared = prices.get(gpus.spelling(gpu_type, prices) or "")
    texts: list[str] = []
    if not is_payee(quote, recorded):
        texts.append(f"its quote is to be paid to {quote.pay_to}, {quote.asset} on {quote.network}")
    if wishes.pay_to and wishes.pay_to.lower() != recorded.pay_to.lower():
        texts.append(f"it is to be paid to {recorded.pay_to}, and you say {wishes.pay_to}")
    if (recorded.network, recorded.asset.lower()) != (token.network, token.address.lower()):
        texts.append(f"this agent pays {token.address} on {token.network}")
    if declared and declared != quote.amount:
        texts.append(f"it declares {show_usd(declared)} per hour of {gpu_type}, and quotes {show_usd(quote.amount)}")
    texts += _offer_problems(recorded, quote, token, vendor_api, order)
    return Proposal(
        vendor=replace(recorded, base_price_per_hour=int(quote.amount / hours)),
        quote=quote,
        declared=declared,
        accepts=declaration.accepts if declaration else quote.accepts,
        differences=tuple(texts),
    )


def _hours(vendor: Vendor) -> Decimal:
    """How long the job is that is asked for: an hour, or what an authorization lives that is settled after the work."""
    lives_s = vendor.max_authorization_s - SPARE_S
    if vendor.settles is Settles.BEFORE or lives_s >= HOURS * 3600:
        return HOURS
    return max(Decimal(lives_s) / 3600, HOURS_MIN)


def check_recordable(proposal: Proposal) -> None:
    """Raises Refused where the vendor asks otherwise than it declares."""
    if proposal.differences:
        raise Refused(
            f"{proposal.vendor.vendor_id} is not recorded: {'; '.join(proposal.differences)}. Nothing was changed"
        )


def _offer_problems(vendor: Vendor, quote: Quote, token: Token, vendor_api: VendorApi, order: str) -> list[str]:
    """Why the 402 to an unpaid order is not for what was quoted; none where one of its offers is."""
    try:
        challenge = vendor_api.challenge(vendor, Reserved(order, quote, 0))
    except OfferInvalid as error:
        return [str(error)]
    problems = [problem(terms, quote, vendor, token, timeout_max_s(vendor, LIFE_MAX_S)) for terms in challenge.accepts]
    if "" in problems:
        return []
    return [f"its 402 asks for {text}" for text in dict.fromkeys(problems)][:3] or ["its 402 offers nothing"]


def _chosen(url: str, declarations: Sequence[Declaration], wishes: Wishes) -> Declaration | None:
    if not declarations:
        return None
    if not wishes.vendor_id and len(declarations) == 1:
        return declarations[0]
    names = ", ".join(clean(entry.vendor_id, 80) for entry in declarations)
    chosen = next((entry for entry in declarations if entry.vendor_id == wishes.vendor_id), None)
    if chosen is None:
        raise BadInput(f"{url} declares {names}: say which, --vendor-id NAME")
    return chosen
