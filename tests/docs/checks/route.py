"""The new route answers with the rules in force, and only to those who may read."""

import os

from starlette.testclient import TestClient

from gpuagent.api.app import create_app

LOCAL = {"base_url": "http://127.0.0.1", "client": ("127.0.0.1", 1)}
TOKEN = "r" * 20

with TestClient(create_app(os.environ), **LOCAL) as client:
    answer = client.get("/api/policy")
    assert answer.status_code == 200, answer.text
    assert answer.json()["version"] >= 1
    assert "perPayment" in answer.json()["limits"]
    assert "/api/policy" in client.get("/openapi.json").json()["paths"]
with TestClient(create_app({**os.environ, "GPUAGENT_API_TOKENS": f"bob=read:{TOKEN}"}), **LOCAL) as client:
    assert client.get("/api/policy").status_code == 401
    assert client.get("/api/policy", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
