"""What a seller says of itself: /.well-known/x402, and the Bazaar declaration in each 402, so that lists index it.

The document's form is that of public sellers, with what is ours under one key; the declaration is the x402 SDK's.
"""

from decimal import Decimal
from typing import Any

from fastapi import APIRouter, Request

from seller.api.wire import SubmitAnswer, SubmitRequest
from seller.catalogue import Vendor
from seller.shop import Shop, TheShop

PROTOCOL = "gpuagent/1"
documents = APIRouter()


@documents.get("/.well-known/x402")
async def well_known(shop: TheShop, http: Request) -> dict[str, Any]:
    """The paid routes, and what is offered by whom."""
    base = shop.url or str(http.base_url).rstrip("/")
    vendors = [_vendor_entry(shop, vendor) for vendor in shop.vendors.values()]
    return {
        "version": 1,
        "resources": [f"{base}/submit-job"],
        "instructions": f"POST /submit-job buys one GPU job; {base}/openapi.json says how",
        "gpuagent": vendors[0] if len(vendors) == 1 else vendors,
    }


def _vendor_entry(shop: Shop, vendor: Vendor) -> dict[str, Any]:
    return {
        "protocol": PROTOCOL,
        "vendorId": vendor.vendor_id,
        "name": vendor.name,
        "gpus": [
            {
                "gpu": offer.gpu,
                "pricePerHour": str(shop.conduct.price(vendor, offer.gpu, Decimal(1))),
                **({"count": offer.count} if offer.count is not None else {}),
                **({"gpuMemory": offer.gpu_memory} if offer.gpu_memory else {}),
            }
            for offer in vendor.offers.values()
        ],
        "payTo": vendor.pay_to,
        "network": shop.market.network,
        "asset": shop.market.asset,
        "accepts": list(shop.conduct.accepts(vendor)),
        "bearer": bool(shop.secret),
        **({"signer": shop.signer.address} if shop.signer else {}),
    }


def bazaar_declaration(vendor: Vendor, image: str = "") -> dict[str, Any]:
    """The extension of each 402, with an example that is answered by one."""
    from x402.extensions.bazaar import OutputConfig, declare_discovery_extension  # two seconds, and not for all

    workload = {"command": "nvidia-smi", **({"image": image} if image else {})}
    example = {"jobParams": {"gpuType": next(iter(vendor.offers)), "maxHours": 1, "workload": workload}}
    answer = SubmitAnswer(vendor_job_id="the id to ask GET /job-status for").model_dump(mode="json")
    declared = declare_discovery_extension(
        input=example,
        input_schema=SubmitRequest.model_json_schema(),
        body_type="json",
        output=OutputConfig(example=answer, schema=SubmitAnswer.model_json_schema()),
    )
    declared["bazaar"]["info"]["input"]["method"] = "POST"
    return declared
