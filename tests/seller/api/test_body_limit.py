"""A body is read up to a bound, whether or not it says beforehand how long it is; a PUT streams."""

from collections.abc import Iterator

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from pydantic import BaseModel

from seller.api.body_limit import PARTS_MAX, BodyLimit

BYTES_MAX = 1_000
JSON = {"Content-Type": "application/json"}


class Order(BaseModel):
    text: str


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    app = FastAPI()
    app.add_middleware(BodyLimit, bytes_max=BYTES_MAX)

    @app.post("/order")
    def order(order: Order) -> int:
        return len(order.text)

    @app.put("/input")
    async def put_input(http: Request) -> int:
        return sum([len(piece) async for piece in http.stream()])

    with TestClient(app) as client:
        yield client


def pieces(size: int) -> Iterator[bytes]:
    yield b'{"text": "'
    for _ in range(size):
        yield b"x"
    yield b'"}'


def test_what_fits_is_read(client: TestClient) -> None:
    assert client.post("/order", json={"text": "x" * 900}).json() == 900
    assert client.post("/order", content=pieces(900), headers=JSON).json() == 900


@pytest.mark.parametrize("size", [BYTES_MAX, 100 * BYTES_MAX])
def test_what_does_not_fit_is_refused(client: TestClient, size: int) -> None:
    for answer in (
        client.post("/order", json={"text": "x" * size}),
        client.post("/order", content=pieces(size), headers=JSON),
    ):
        assert answer.status_code == 413
        assert "send larger inputs by PUT" in answer.text


def test_an_input_streams(client: TestClient) -> None:
    assert client.put("/input", content=b"x" * 5 * BYTES_MAX).json() == 5 * BYTES_MAX


def test_a_body_of_very_many_values_is_refused() -> None:
    """A list of empty lists takes a hundred times its size in memory."""
    app = FastAPI()
    app.add_middleware(BodyLimit)

    @app.post("/order")
    def order(order: Order) -> int:
        return len(order.text)

    with TestClient(app) as whole:
        answer = whole.post("/order", content=b"[" + b"[]," * PARTS_MAX + b"[]]", headers=JSON)
        assert (answer.status_code, "values" in answer.text) == (413, True)
        assert whole.post("/order", json={"text": "x" * 10_000_000}).json() == 10_000_000
