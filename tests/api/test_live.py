"""Live events through a real server: in order, complete, resumed without gap or repeat, soon, and bounded."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice
from statistics import median
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from gpuagent.core.model import Observation
from tests.support.eventually import eventually
from tests.support.rest_server import Served, serving, sse
from tests.support.world import World

Events = list[dict[str, Any]]


def follow(served: Served, run_id: str, last: str = "") -> Iterator[dict[str, Any]]:
    headers = {"Last-Event-ID": last} if last else {}
    with httpx.stream("GET", f"{served.url}/api/runs/{run_id}/events", headers=headers, timeout=90) as reply:
        assert reply.status_code == 200, reply.read()
        assert reply.headers["content-type"].startswith("text/event-stream")
        yield from sse(reply)


def talk(served: Served, run_id: str, last: str = "") -> Iterator[dict[str, Any]]:
    url = f"{served.url.replace('http', 'ws')}/api/runs/{run_id}/ws?after={last}"
    with connect(url, max_queue=None) as ws:  # a full queue would keep the answer to its close from it, for ten seconds
        try:
            while True:
                message = json.loads(ws.recv(timeout=90))
                if message["event"] != "idle":
                    yield message
        except ConnectionClosed:
            return


Follow = Callable[..., Iterator[dict[str, Any]]]
BOTH = pytest.mark.parametrize("listen", [follow, talk], ids=["sse", "ws"])


class Listener(threading.Thread):
    """A thread that follows to the end and notes when each event came, by the monotonic clock."""

    def __init__(self, events: Iterator[dict[str, Any]]) -> None:
        super().__init__(daemon=True)
        self.events: Events = []
        self.times: list[float] = []
        self.began = threading.Event()
        self._source = events
        self.start()
        assert self.began.wait(60)

    def run(self) -> None:
        for event in self._source:
            self.times.append(time.monotonic())
            self.events.append(event)
            self.began.set()

    def all(self) -> Events:
        self.join(90)
        assert not self.is_alive()
        return self.events


def merged(events: Events) -> dict[str, Any]:
    """The run of a client that lays every change over what it had."""
    (run,) = [event["data"]["run"] for event in events if event["event"] == "snapshot"]
    for event in events:
        if event["event"] == "run":
            run |= event["data"]
    return run


def assert_complete(served: Served, run_id: str, events: Events) -> None:
    """Every observation since the start, in order and once; every version of the run; the last state."""
    status = served.get("/api/agent-status", runId=run_id)
    observation_ids = [event["data"]["_id"] for event in events if event["event"] == "observation"]
    assert observation_ids == [observation["_id"] for observation in status["observations"]]
    versions = [event["data"]["version"] for event in events if event["event"] == "run"]
    assert versions == list(range(1, status["run"]["version"] + 1))
    payment_states = [(event["data"]["jobId"], event["data"]["status"]) for event in events
                      if event["event"] == "payment" and "status" in event["data"]]  # fmt: skip
    assert payment_states == [
        (payment["jobId"], state) for payment in status["payments"] for state in ("pending", "completed")
    ]
    assert merged(events) == status["run"]
    assert (events[0]["event"], events[-1]["event"]) == ("snapshot", "end")
    ids = [event["id"] for event in events]
    assert len(set(ids)) == len(ids)


@BOTH
def test_all_that_happens_comes_in_order(
    served: Served, listen: Follow, record_property: Callable[[str, object], None]
) -> None:
    """Through a vendor's failure. How late messages are is printed."""
    served.world.market.outcomes("gpu_vendor_1", "0")
    run_id = served.start()
    listener = Listener(listen(served, run_id))
    written: dict[int, float] = {}
    while served.world.store.load(run_id).status.value == "running":
        served.post("/api/agent-step", {"runId": run_id})
        written[served.world.store.load(run_id).version] = time.monotonic()
        served.world.market.work(120)  # not so long that a quote would lapse between two steps
    assert_complete(served, run_id, listener.all())
    came = {event["data"]["version"]: at for event, at in zip(listener.events, listener.times, strict=True)
            if event["event"] == "run"}  # fmt: skip
    late = sorted(came[version] - at for version, at in written.items())
    print(f"\n{listen.__name__}: after the step returned, its last version came {median(late) * 1000:.0f} ms later "
          f"(median), {late[-1] * 1000:.0f} ms (worst of {len(late)}); negative is before")  # fmt: skip
    record_property("latency_ms", round(median(late) * 1000, 1))


@BOTH
def test_who_is_cut_off_anywhere_misses_and_repeats_nothing(served: Served, listen: Follow) -> None:
    """A new connection after every few messages, while the run goes on."""
    served.world.market.outcomes("gpu_vendor_1", "0")
    run_id = served.start()
    ticking = threading.Thread(target=served.finish, args=(run_id,))
    events = list(islice(listen(served, run_id), 1))
    ticking.start()
    for cut in range(1, 200):
        events += islice(listen(served, run_id, events[-1]["id"]), cut % 31 + 7)
        if events[-1]["event"] == "end":
            break
    ticking.join()
    assert_complete(served, run_id, events)


@BOTH
def test_every_id_is_a_place_to_go_on_from(served: Served, listen: Follow) -> None:
    run_id = served.start()
    listener = Listener(listen(served, run_id))
    served.finish(run_id)
    events = listener.all()
    for at in range(0, len(events) - 1, 9):
        assert list(listen(served, run_id, events[at]["id"]))[:-1] == events[at + 1 : -1]


def test_who_comes_late_gets_the_run_as_it_is(served: Served) -> None:
    run_id = served.start()
    served.tick(run_id)
    (first,) = islice(follow(served, run_id), 1)
    status = served.get("/api/agent-status", runId=run_id)
    assert first["data"] == {**status, "gap": False}


def test_after_the_end_an_event_source_is_told_to_stay_away(served: Served) -> None:
    run_id = served.start()
    served.finish(run_id)
    events = list(follow(served, run_id))
    assert [event["event"] for event in events] == ["snapshot", "end"]
    assert events[-1]["data"] == {"status": "completed", "reason": "gpu_vendor_1 completed the job"}
    reply = httpx.get(f"{served.url}/api/runs/{run_id}/events", headers={"Last-Event-ID": events[-1]["id"]}, timeout=60)
    assert reply.status_code == 204


def test_changes_that_are_not_kept_any_more_are_a_gap_that_is_told(served: Served) -> None:
    run_id = served.start()
    lost = "8263" + "00" * 20  # of long before this database
    (first,) = islice(follow(served, run_id, lost), 1)
    assert first["event"] == "snapshot"
    assert first["data"]["gap"] is True


def test_what_cannot_be_followed(served: Served) -> None:
    assert served.get("/api/runs/66a1f2c9d53a3f9ef1f0c123/events", 404)["code"] == "run_unknown"
    run_id = served.start()
    assert served.get(f"/api/runs/{run_id}/events", 422, after="no token")["code"] == "bad_input"


def test_there_is_a_limit_of_followers(world: World) -> None:
    with serving(world, followers_max=1) as served:
        run_id = served.start()
        following = follow(served, run_id)
        next(following)
        assert served.get(f"/api/runs/{run_id}/events", 503)["code"] == "too_many_followers"
        following.close()
        # Its place is free once its thread has seen that it left.
        eventually(
            lambda: httpx.get(f"{served.url}/api/runs/x/events", timeout=60).json()["code"] != "too_many_followers"
        )


@pytest.mark.parametrize("upgrade", [False, True], ids=["sse", "ws"])
def test_who_does_not_read_is_given_up_and_holds_up_nobody(world: World, upgrade: bool) -> None:
    with serving(world, slow_s=3) as served:
        run_id = served.start()
        with _mute(served, run_id, upgrade):
            ends_at = time.monotonic() + 60
            while served.app.state.followers.count:  # it has been given up
                assert time.monotonic() < ends_at
                _noise(served, run_id)
                served.get("/api/runs")
        assert served.finish(run_id)[-1] == "Job completed"


def _mute(served: Served, run_id: str, upgrade: bool) -> socket.socket:
    """A client that sends its request and never reads."""
    host, port = served.url.removeprefix("http://").split(":")
    mute = socket.socket()
    mute.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    mute.connect((host, int(port)))
    lines = [f"GET /api/runs/{run_id}/{'ws' if upgrade else 'events'} HTTP/1.1", "Host: localhost"]
    if upgrade:
        lines += ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
        lines += ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
    mute.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
    eventually(lambda: served.app.state.followers.count)
    return mute


def _noise(served: Served, run_id: str) -> None:
    """Observations so large that no buffer on the way holds many."""
    run = served.world.store.load(run_id)
    observations = [Observation("metric", "x" * 50_000, data={"kind": "noise"}) for _ in range(20)]
    served.world.store.save(run, run, observations, served.world.market.clock.now())
