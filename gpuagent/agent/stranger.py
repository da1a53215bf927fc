"""A vendor that declares nothing of ours: what its 402 to an unpaid order says, by the protocol that the user names."""

from collections.abc import Sequence

from gpuagent.core.dialects import DIALECTS, orders
from gpuagent.core.listings import Declaration, Listing, UnpaidAnswer, payable
from gpuagent.core.model import OWN_PROTOCOL, Settles, Token
from gpuagent.core.ports.discovery import Discovery
from gpuagent.core.rules import LIFE_MAX_S
from gpuagent.core.terms import SENDING_S
from gpuagent.errors import BadInput, OfferInvalid, Refused


def probed_declaration(
    url: str, protocol: str, vendor_id: str, gpu_types: Sequence[str], token: Token, discovery: Discovery
) -> Declaration:
    """The vendor that its 402 describes, its version of x402 and the life it wants of an authorization with it.

    Raises BadInput, Refused where the 402 is not for one payee in our token, VendorError.
    """
    if protocol not in DIALECTS or protocol == OWN_PROTOCOL:
        names = ", ".join(name for name in DIALECTS if name != OWN_PROTOCOL)
        raise BadInput(f"--protocol is to be one of {names}; a vendor that declares itself names its own")
    if not (vendor_id and gpu_types):
        raise BadInput(f"{url} declares no vendor at /.well-known/x402: say --vendor-id and --gpu too")
    dialect = DIALECTS[protocol]
    endpoint = url.rstrip("/").removesuffix(dialect.route)
    answer = _unpaid(endpoint + dialect.route, protocol, gpu_types[0], discovery)
    offers = payable(answer.offers, token)
    payees = {terms.pay_to.lower() for terms in offers}
    if len(payees) != 1:
        raise Refused(
            f"the 402 of {url} names {len(payees)} payees for {token.address} on {token.network}: nothing was recorded"
        )
    life_s = min(max(terms.max_timeout_s for terms in offers) + SENDING_S, LIFE_MAX_S)
    return Declaration(
        endpoint=endpoint,
        protocol=protocol,
        vendor_id=vendor_id,
        name=vendor_id,
        pay_to=offers[0].pay_to,
        network=token.network,
        asset=token.address,
        gpu_prices=dict.fromkeys(gpu_types, 0),
        bearer=False,
        x402_version=answer.version,
        settles=dialect.settles,
        max_authorization_s=life_s if dialect.settles is Settles.AFTER else 0,
    )


def _unpaid(resource: str, protocol: str, gpu_type: str, discovery: Discovery) -> UnpaidAnswer:
    """The 402 to the first example of an order that the vendor answers by one."""
    problem: OfferInvalid | None = None
    for body in orders(protocol, gpu_type):
        try:
            return discovery.unpaid(Listing(resource, body=body, source=resource))
        except OfferInvalid as error:
            problem = error
    raise problem or OfferInvalid("it was asked for nothing")
