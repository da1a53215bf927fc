"""Routes under /mock that set faults, time, prices and outcomes, and report what happened.

They are for tests and demonstrations, share the bearer token, and are not part of the contract.
"""

from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field

from mock_vendor.conduct import PracticeConduct
from mock_vendor.faults import TABLE
from seller.api.answers import Refusal
from seller.api.wire import WireModel
from seller.sale import settle
from seller.shop import Shop, TheShop

control = APIRouter(include_in_schema=False)
lure = APIRouter(include_in_schema=False)


async def _the_practice(shop: TheShop) -> PracticeConduct:
    assert isinstance(shop.conduct, PracticeConduct)
    return shop.conduct


ThePractice = Annotated[PracticeConduct, Depends(_the_practice)]


class FaultSwitch(WireModel):
    vendor_id: str
    name: str


class ClockTurn(WireModel):
    advance_s: Annotated[float, Field(ge=0, le=10**9)] = 0
    freeze: bool | None = None


class Outcomes(WireModel):
    vendor_id: str
    script: Annotated[str, Field(pattern="^[01]{0,1000}$")]


class Price(WireModel):
    vendor_id: str
    base_price_per_hour: Annotated[Decimal, Field(gt=0, le=10_000, decimal_places=6)]


@control.get("/faults")
def show_faults(practice: ThePractice) -> dict[str, Any]:
    """List the faults: what each does, and for which vendors it is on."""
    table = [{"name": fault.name, "stage": fault.stage, "description": fault.description} for fault in TABLE.values()]
    return {"faults": table, "on": _switched_on(practice)}


@control.put("/faults")
def switch_on(shop: TheShop, practice: ThePractice, switch: FaultSwitch) -> dict[str, Any]:
    return _switch(shop, practice, switch, on=True)


@control.delete("/faults")
def switch_off(shop: TheShop, practice: ThePractice, switch: FaultSwitch | None = None) -> dict[str, Any]:
    """Switch off one fault, or without a body all of them."""
    if switch is not None:
        return _switch(shop, practice, switch, on=False)
    practice.faults.clear()
    return {"on": []}


@control.post("/clock")
def turn_clock(practice: ThePractice, turn: ClockTurn) -> dict[str, float]:
    """Turn the vendors' clock alone: quotes and jobs see it, the chain does not."""
    if turn.freeze is not None:
        (practice.clock.freeze if turn.freeze else practice.clock.run)()
    return {"now": practice.clock.advance(turn.advance_s)}


@control.put("/outcomes")
def script_outcomes(shop: TheShop, practice: ThePractice, outcomes: Outcomes) -> dict[str, str]:
    """Script the outcomes of a vendor's jobs: '1' succeeds, '0' fails, in the order in which they are paid for."""
    _check_vendor(shop, outcomes.vendor_id)
    practice.overrides.set_script(outcomes.vendor_id, outcomes.script)
    return {"vendorId": outcomes.vendor_id, "script": outcomes.script}


@control.delete("/outcomes")
def forget_outcomes(practice: ThePractice) -> dict[str, Any]:
    """Drop the rest of every script."""
    practice.overrides.clear_scripts()
    return {"scripts": {}}


@control.get("/outcomes")
def show_outcomes(practice: ThePractice) -> dict[str, Any]:
    """The rest of each vendor's script."""
    return {"scripts": practice.overrides.scripts()}


@control.put("/price")
def set_price(shop: TheShop, practice: ThePractice, price: Price) -> dict[str, Any]:
    """Set a vendor's price for later quotes; quotes already given keep theirs."""
    _check_vendor(shop, price.vendor_id)
    practice.overrides.set_price(price.vendor_id, price.base_price_per_hour)
    return {"vendorId": price.vendor_id, "basePricePerHour": float(price.base_price_per_hour)}


@control.post("/settle")
def settle_now(shop: TheShop, request: Request) -> dict[str, int]:
    """Settle the authorizations that are held back, as a late vendor would."""
    return {"paid": _settle_held(shop, str(request.base_url) + "submit-job")}


@control.get("/purchases")
def purchases(shop: TheShop, practice: ThePractice) -> dict[str, Any]:
    """Every purchase that was begun, and every PAYMENT-SIGNATURE that was received."""
    begun_purchases = [
        {
            "vendorId": purchase.vendor_id,
            "key": purchase.key,
            "quoteId": purchase.quote_id,
            "payer": purchase.payer,
            "payTo": purchase.pay_to,
            "amount": purchase.amount,
            "nonce": purchase.nonce,
            "state": purchase.state,
            "tx": purchase.tx,
        }
        for purchase in shop.database.purchases()
    ]
    return {"purchases": begun_purchases, "received": list(practice.received)}


@control.get("/lured")
def lured(practice: ThePractice) -> dict[str, Any]:
    """The requests that followed a redirect, and what they gave away."""
    return {"requests": list(practice.lured)}


@lure.api_route("/lure", methods=["GET", "POST"])
async def take_the_lure(practice: ThePractice, request: Request) -> Response:
    """The target of the redirect faults. It asks for no token: it stands for another host."""
    secrets = [name for name in ("authorization", "payment-signature") if name in request.headers]
    practice.lured.append({"method": request.method, "host": request.headers["host"], "secrets": secrets})
    return Response(b"{}", media_type="application/json")


def _switch(shop: Shop, practice: PracticeConduct, switch: FaultSwitch, *, on: bool) -> dict[str, Any]:
    _check_vendor(shop, switch.vendor_id)
    if switch.name not in TABLE:
        raise Refusal(404, "fault_unknown", f"no fault {switch.name!r}; there are {', '.join(TABLE)}")
    practice.faults.switch(switch.vendor_id, switch.name, on=on)
    return {"on": _switched_on(practice)}


def _switched_on(practice: PracticeConduct) -> list[dict[str, str]]:
    return [{"vendorId": vendor_id, "name": name} for vendor_id, name in practice.faults.switched_on()]


def _check_vendor(shop: Shop, vendor_id: str) -> None:
    if vendor_id not in shop.vendors:
        raise Refusal(404, "vendor_unknown", f"{vendor_id!r} is not a vendor here")


def _settle_held(shop: Shop, url: str) -> int:
    """Settle what is unsettled, but for what a fault keeps for ever. Returns how many were paid."""
    paid = 0
    for purchase in shop.database.settling():
        if shop.conduct.verdict(purchase.vendor_id) == "keep":
            continue
        with shop.locks.hold(purchase.vendor_id, purchase.key):
            current = shop.database.purchase(purchase.vendor_id, purchase.key)
            if current != purchase:
                continue
            try:
                paid += settle(shop, current, url, verdict="take").status == 200
            except Refusal:  # this one can no longer be settled; the others still may
                continue
    return paid
