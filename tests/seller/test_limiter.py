"""What is taken of one address: arithmetic of the buckets, and a flood that others do not feel."""

import hashlib
import os
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from seller.limiter import ADDRESSES_MAX, Bucket, Limiter, SharedLevels, limiter, neighbourhood
from tests.support.fake_till import payment_header
from tests.support.mock_buyer import new_key
from tests.support.seller_desk import Desk, open_desk, order


class Second:
    """A clock."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_empties_and_fills_again() -> None:
    clock = Second()
    bucket = Bucket(6, 60, clock)
    assert [bucket.take("a") for _ in range(7)] == [0] * 6 + [10]
    assert bucket.take("b") == 0, "each address has its own"
    clock.now += 9.5
    assert bucket.take("a") == pytest.approx(0.5)
    clock.now += 0.5
    assert bucket.take("a") == 0
    assert bucket.take("a", 3) == pytest.approx(30)
    clock.now += 1e6
    assert [bucket.take("a") for _ in range(7)] == [0] * 6 + [10], "and holds no more than it can"


def test_more_than_it_holds_takes_all_of_it() -> None:
    clock = Second()
    bucket = Bucket(10, 10, clock)
    assert bucket.take("a", 1_000) == 0
    assert bucket.take("a", 1_000) == pytest.approx(10)


def test_without_a_bound_nothing_is_counted() -> None:
    bucket = Bucket(0, 60)
    assert [bucket.take("a", 1e9) for _ in range(3)] == [0, 0, 0]


def test_the_addresses_that_are_remembered_are_bounded() -> None:
    bucket = Bucket(1, 60, Second())
    assert bucket.take("first") == 0
    for number in range(ADDRESSES_MAX):
        bucket.take(str(number))
        if number == ADDRESSES_MAX // 2:
            assert bucket.take("first") > 0, "who asks often is remembered longest"
    assert len(bucket._levels) == ADDRESSES_MAX  # type: ignore[arg-type]


def test_levels_that_processes_share() -> None:
    levels, child = SharedLevels(), os.fork()
    if not child:
        levels.put("192.0.2.7", 3.0, 1_000.0)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert (levels.get("192.0.2.7"), levels.get("192.0.2.8")) == ((3.0, 1_000.0), None)
    levels.put("192.0.2.7", 2.0, 1_001.0)
    assert levels.get("192.0.2.7") == (2.0, 1_001.0)


def test_the_shared_levels_are_bounded_and_who_asks_often_is_remembered_longest() -> None:
    levels = SharedLevels()
    for number in range(2 * ADDRESSES_MAX):
        levels.put(str(number), 1.0, number)
        levels.put("often", 1.0, number)
    known = [number for number in range(2 * ADDRESSES_MAX) if levels.get(str(number))]
    assert levels.get("often")
    assert 0.8 * ADDRESSES_MAX < len(known) < ADDRESSES_MAX
    assert levels.get(str(2 * ADDRESSES_MAX - 1))


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:0db8:0001:0002"),
        ("2001:db8:1:2::9", "2001:0db8:0001:0002"),
        ("fe80::1%eth0", "fe80:0000:0000:0000"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("::ffff:c000:207", "192.0.2.7"),
        ("::ffff:192.0.2.8", "192.0.2.8"),
        ("64:ff9b::192.0.2.7", "192.0.2.7"),
        ("64:ff9b:1::192.0.2.7", "0064:ff9b:0001:0000"),
        ("::ffff:0:192.0.2.7", "0000:0000:0000:0000"),
        ("::1", "0000:0000:0000:0000"),
        ("testclient", "testclient"),
        ("", ""),
    ],
)
def test_a_network_of_ipv6_counts_as_one_address(host: str, name: str) -> None:
    assert neighbourhood(host) == name


def other_address(desk: Desk) -> TestClient:
    return TestClient(desk.http.app, base_url="http://seller.example", client=("198.51.100.7", 50_000))


@pytest.mark.safety("An address that floods a seller with quotes and inputs is told to wait; others buy meanwhile")
def test_a_flood_of_unpaid_quotes_and_inputs(tmp_path: Path, safety_note: Any) -> None:
    limits = Limiter(Bucket(20, 60, Second()), Bucket(4_000_000, 3600, Second()))
    with open_desk(tmp_path, limiter=limits) as desk:
        header = payment_header(desk.submit(order("mine")).json())
        answers = [desk.quote(str(number)) for number in range(30)]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert len(refused) == 11
        assert {answer.json()["error"] for answer in refused} == {"too_many_requests"}
        assert all(1 <= int(answer.headers["Retry-After"]) <= 3 for answer in refused)
        assert desk.submit(order("1")).status_code == 429, "a 402 is as much work as a quote"
        inputs = [put(desk.http, f"{number}".encode()) for number in range(20)]
        taken = sum(answer.status_code == 200 for answer in inputs)
        assert 0 < taken < 10, "small ones count too: the store has places for a number only"
        assert {answer.json()["error"] for answer in inputs[taken:]} == {"too_many_bytes"}
        assert int(inputs[-1].headers["Retry-After"]) > 0

        other = other_address(desk)
        assert put(other, b"an input of another address").status_code == 200
        challenge = other.post("/submit-job", json={"jobParams": order("other")})
        assert challenge.status_code == 402
        headers = {"PAYMENT-SIGNATURE": payment_header(challenge.json()), "Idempotency-Key": new_key()}
        paid = other.post("/submit-job", json={"jobParams": order("other")}, headers=headers)
        assert paid.status_code == 200
        assert len(list((tmp_path / "inputs" / "box").iterdir())) == taken + 1
        other.close()
        assert header
    safety_note(f"19 of 30 quotes and {taken} of 20 inputs taken; another address bought at once")


def put(http: TestClient, content: bytes) -> httpx.Response:
    sha256 = hashlib.sha256(content).hexdigest()
    params = {"sha256": sha256, "size": len(content)}
    return http.put("/job-input", params=params, content=content, headers={"Idempotency-Key": new_key()})


def test_who_asks_for_much_is_told_when_to_ask_again(tmp_path: Path) -> None:
    clock = Second()
    limits = limiter(2, 1_000_000)
    object.__setattr__(limits, "requests", Bucket(2, 60, clock))
    with open_desk(tmp_path, limiter=limits) as desk:
        assert [desk.quote().status_code for _ in range(3)] == [200, 200, 429]
        wait_s = int(desk.quote().headers["Retry-After"])
        clock.now += wait_s
        assert desk.quote().status_code == 200
        assert desk.http.get("/healthz").status_code == 200
