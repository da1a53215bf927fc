"""Routes under /mock that set faults, time, prices and outcomes, and report what happened.

They are for tests and demonstrations, share the bearer token, and are not part of the contract.
"""

from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import Field

from mock_vendor.answers import Refusal
from mock_vendor.faults import TABLE
from mock_vendor.purchase import settle_held
from mock_vendor.shop import Shop, TheShop
from mock_vendor.wire import WireModel

control = APIRouter(include_in_schema=False)
lure = APIRouter(include_in_schema=False)


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
def show_faults(shop: TheShop) -> dict[str, Any]:
    """List the faults: what each does, and for which vendors it is on."""
    table = [{"name": fault.name, "stage": fault.stage, "description": fault.description} for fault in TABLE.values()]
    return {"faults": table, "on": _switched_on(shop)}


@control.put("/faults")
def switch_on(shop: TheShop, switch: FaultSwitch) -> dict[str, Any]:
    return _switch(shop, switch, on=True)


@control.delete("/faults")
def switch_off(shop: TheShop, switch: FaultSwitch | None = None) -> dict[str, Any]:
    """Switch off one fault, or without a body all of them."""
    if switch is not None:
        return _switch(shop, switch, on=False)
    shop.faults.clear()
    return {"on": []}


@control.post("/clock")
def turn_clock(shop: TheShop, turn: ClockTurn) -> dict[str, float]:
    """Turn the vendors' clock alone: quotes and jobs see it, the chain does not."""
    if turn.freeze is not None:
        (shop.clock.freeze if turn.freeze else shop.clock.run)()
    return {"now": shop.clock.advance(turn.advance_s)}


@control.put("/outcomes")
def script_outcomes(shop: TheShop, outcomes: Outcomes) -> dict[str, str]:
    """Script the outcomes of a vendor's jobs: '1' succeeds, '0' fails, in the order in which they are paid for."""
    _check_vendor(shop, outcomes.vendor_id)
    shop.overrides.set_script(outcomes.vendor_id, outcomes.script)
    return {"vendorId": outcomes.vendor_id, "script": outcomes.script}


@control.get("/outcomes")
def show_outcomes(shop: TheShop) -> dict[str, Any]:
    """The rest of each vendor's script."""
    return {"scripts": shop.overrides.scripts()}


@control.put("/price")
def set_price(shop: TheShop, price: Price) -> dict[str, Any]:
    """Set a vendor's price for later quotes; quotes already given keep theirs."""
    _check_vendor(shop, price.vendor_id)
    shop.overrides.set_price(price.vendor_id, price.base_price_per_hour)
    return {"vendorId": price.vendor_id, "basePricePerHour": float(price.base_price_per_hour)}


@control.post("/settle")
def settle(shop: TheShop, request: Request) -> dict[str, int]:
    """Settle the authorizations that are held back, as a late vendor would."""
    return {"paid": settle_held(shop, str(request.base_url) + "submit-job")}


@control.get("/purchases")
def purchases(shop: TheShop) -> dict[str, Any]:
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
    return {"purchases": begun_purchases, "received": list(shop.received)}


@control.get("/lured")
def lured(shop: TheShop) -> dict[str, Any]:
    """The requests that followed a redirect, and what they gave away."""
    return {"requests": list(shop.lured)}


@lure.api_route("/lure", methods=["GET", "POST"])
async def take_the_lure(shop: TheShop, request: Request) -> Response:
    """The target of the redirect faults. It asks for no token: it stands for another host."""
    secrets = [name for name in ("authorization", "payment-signature") if name in request.headers]
    shop.lured.append({"method": request.method, "host": request.headers["host"], "secrets": secrets})
    return Response(b"{}", media_type="application/json")


def _switch(shop: Shop, switch: FaultSwitch, *, on: bool) -> dict[str, Any]:
    _check_vendor(shop, switch.vendor_id)
    if switch.name not in TABLE:
        raise Refusal(404, "fault_unknown", f"no fault {switch.name!r}; there are {', '.join(TABLE)}")
    shop.faults.switch(switch.vendor_id, switch.name, on=on)
    return {"on": _switched_on(shop)}


def _switched_on(shop: Shop) -> list[dict[str, str]]:
    return [{"vendorId": vendor_id, "name": name} for vendor_id, name in shop.faults.switched_on()]


def _check_vendor(shop: Shop, vendor_id: str) -> None:
    if vendor_id not in shop.vendors:
        raise Refusal(404, "vendor_unknown", f"{vendor_id!r} is not a vendor here")
