"""A vendor of the new protocol quotes as it does, and the others as before; a bad answer is a VendorError."""

import os
from dataclasses import replace
from decimal import Decimal

import pytest

from gpuagent import settings, wiring
from gpuagent.errors import VendorError
from tests.support.factories import WIRE_QUOTE
from tests.support.scripted_server import ScriptedServer

SECRET = "GPU_VENDOR_SECRET"
ANSWER = {"offer": "quote-1", "total": 1.4, **{key: WIRE_QUOTE[key] for key in WIRE_QUOTE if "rice" not in key}}
del ANSWER["vendorJobTemplateId"]

scripted_server = ScriptedServer()
acme = replace(scripted_server.vendor, vendor_id="acme", secret_env=SECRET, protocol="acme/1")
with wiring.open_agent(settings.read(os.environ)) as agent:
    vendor_api = agent.ports.vendor_api
    scripted_server.respond_with(ANSWER)
    assert vendor_api.quote(acme, "goal", "A100", Decimal(1)).amount == 1_400_000
    with pytest.raises(VendorError):  # the same words from a vendor of the usual protocol
        vendor_api.quote(replace(acme, protocol="gpuagent/1"), "goal", "A100", Decimal(1))
    scripted_server.respond_with({"offer": 7})
    with pytest.raises(VendorError):
        vendor_api.quote(acme, "goal", "A100", Decimal(1))
    usual = agent.store.vendors()[0]
    assert vendor_api.quote(usual, "goal", "A100", Decimal(1)).vendor_id == usual.vendor_id
