"""The document by which a seller says what it sells."""

import json
from typing import Any

import pytest

from gpuagent.adapters.discovery.client import HttpDiscovery
from gpuagent.adapters.discovery.well_known import declarations
from gpuagent.core.listings import Declaration
from gpuagent.errors import BadInput, VendorError
from tests.support.discovery_lists import DiscoveryLists, well_known
from tests.support.factories import ASSET, PAYEE, TOKEN

URL = "https://gpu.acme.example"


def read(document: object, url: str = URL) -> tuple[Declaration, ...]:
    return declarations(json.dumps(document).encode(), url)


def test_a_seller_of_ours() -> None:
    (declared,) = read(well_known(URL))
    assert (declared.endpoint, declared.protocol, declared.vendor_id) == (URL, "gpuagent/1", "box_in_the_cellar")
    assert (declared.pay_to, declared.network, declared.asset) == (PAYEE, TOKEN.network, ASSET)
    assert declared.gpu_prices == {"A100": 1_400_000}
    assert (declared.accepts, declared.bearer) == (("workload", "files"), True)
    several = {**well_known(URL), "gpuagent": [well_known(URL)["gpuagent"]] * 2}
    assert len(read(several)) == 2


@pytest.mark.parametrize("document", [{}, {"version": 1, "resources": [URL]}, {"gpuagent": None}, {"gpuagent": []}])
def test_documents_of_others_declare_no_vendor(document: object) -> None:
    assert read(document) == ()


@pytest.mark.parametrize(
    "resources",
    [
        [f"{URL}/v2/submit-job"],
        [{"resource": f"{URL}/v2/submit-job", "method": "POST"}],
        [{"url": f"{URL}/v2/submit-job"}],
        [f"POST {URL}/v2/submit-job"],
        [7, None, {}, "https://evil.example/submit-job", f"{URL}/v2/submit-job"],
    ],
)
def test_the_routes_are_learned_from_the_resources_of_the_same_server(resources: list[Any]) -> None:
    (declared,) = read({**well_known(URL), "resources": resources}, URL)
    assert declared.endpoint == f"{URL}/v2"


@pytest.mark.safety("routes that a vendor's document places on another server are not taken")
def test_routes_elsewhere_are_not_taken() -> None:
    for elsewhere in ("https://evil.example", f"{URL}.evil.example", f"{URL}@evil.example"):
        (declared,) = read({**well_known(URL), "resources": [f"{elsewhere}/submit-job"]})
        assert declared.endpoint == URL


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"payTo": "0x12"}, "payTo is to be an address"),
        ({"payTo": "0x" + "0" * 40}, "payTo is to be an address"),
        ({"asset": None}, "asset is to be a line"),
        ({"vendorId": "a\r\nX-Evil: 1"}, "vendorId is to be"),
        ({"vendorId": "ünicode"}, "vendorId is to be"),
        ({"name": "\x1b[2J"}, "name is to be a line"),
        ({"name": "n" * 200}, "name is to be a line"),
        ({"gpus": []}, "gpus is to be"),
        ({"gpus": [7]}, "gpus is to be"),
        ({"gpus": [{"gpu": "A100", "pricePerHour": 0}]}, "pricePerHour is to be above 0"),
        ({"gpus": [{"gpu": "A100", "pricePerHour": "-1"}]}, "not an amount in USD"),
        ({"gpus": [{"gpu": "A100", "pricePerHour": None}]}, "not an amount in USD"),
        ({"gpus": [{"gpu": "A100"}]}, "not an amount in USD"),
        ({"bearer": "no"}, "bearer is to be true or false"),
        ({"protocol": ""}, "protocol is to be a line"),
    ],
)
def test_a_part_that_is_wrong_is_said(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(VendorError, match=problem):
        read(well_known(URL, **changes))


def test_documents_that_are_none() -> None:
    own = b'{"gpuagent": 7}'
    for body, problem in ((b"<html>", "not JSON"), (b"[]", "not an object"), (own, "is to be an object")):
        with pytest.raises(VendorError, match=problem):
            declarations(body, URL)


def test_the_document_is_looked_for_below_the_url_and_at_the_server(
    stub: DiscoveryLists, client: HttpDiscovery
) -> None:
    assert client.declarations(stub.url) == ()
    stub.serves("/.well-known/x402.json", well_known(stub.url))
    for url in (stub.url, stub.url + "/", stub.url + "/submit-job"):
        (declared,) = client.declarations(url)
        assert declared.endpoint == stub.url
    stub.serves("/two/.well-known/x402", well_known(f"{stub.url}/two", vendorId="two"))
    (declared,) = client.declarations(f"{stub.url}/two")
    assert (declared.vendor_id, declared.endpoint) == ("two", f"{stub.url}/two")


@pytest.mark.parametrize(
    "url",
    [
        "http://acme.example",
        "https://10.1.2.3",
        "https://user:word@acme.example",
        "https://acme.example/?key=1",
        "https://acme.example/#x",
        "https://db.internal",
        "acme.example",
        "file:///etc/passwd",
        "",
    ],
)
def test_urls_that_are_not_asked(client: HttpDiscovery, url: str) -> None:
    with pytest.raises(BadInput, match="a vendor is not asked at this URL"):
        client.declarations(url)
