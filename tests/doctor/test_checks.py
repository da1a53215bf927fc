"""What the doctor says of a vendor that promises none of what conformance tries."""

from dataclasses import replace

from gpuagent import settings
from gpuagent.doctor.checks import Status, _vendor
from tests.support.factories import PAYEE, WIRE_TERMS
from tests.support.scripted_server import ScriptedServer
from tests.support.world import World


def test_a_vendor_without_accounts_is_asked_its_price_alone(world: World, scripted_server: ScriptedServer) -> None:
    current = settings.read(world.environment)
    token = current.token
    vendor = replace(scripted_server.vendor, secret_env="", network=token.network, asset=token.address)
    terms = {**WIRE_TERMS, "network": token.network, "asset": token.address}
    for payee, status in ((PAYEE, Status.OK), ("0x" + "d" * 40, Status.FAILED)):
        scripted_server.respond_with({}, 404)
        scripted_server.respond_at("/submit-job", {"x402Version": 2, "accepts": [{**terms, "payTo": payee}]}, 402)
        check = _vendor(vendor, current)
        assert check.status is status, check
        assert {path for path, _ in scripted_server.requests} == {"/quote", "/submit-job"}
    assert "another payee" in check.detail
