"""What is said of a database that does not answer: whom it asked and what came of it, in a line."""

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from gpuagent.adapters.mongo.deadline import bounded
from gpuagent.core.text import driver_text
from gpuagent.errors import StoreError


def test_an_outage_is_said_without_the_drivers_picture_of_it() -> None:
    client = MongoClient[dict[str, object]]("127.0.0.1", 1, directConnection=True)
    with client, pytest.raises(StoreError) as outage, bounded(0.05):
        client.admin.command("ping")
    assert "127.0.0.1:1" in str(outage.value)
    assert not any(picture in str(outage.value) for picture in ("Topology", "configured timeouts", "Timeout:"))


def test_a_refusal_is_said_without_the_whole_answer() -> None:
    refusal = OperationFailure("not authorized on gpuagent", 13, {"ok": 0.0, "errmsg": "not authorized on gpuagent"})
    assert driver_text(str(refusal)) == "not authorized on gpuagent"
