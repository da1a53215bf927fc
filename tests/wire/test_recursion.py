"""A deeply nested text ends no program that has loaded a wallet."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2] / "gpuagent"
LIFTS = re.compile(r"^\s*(?:from|import) (?:eth_account|web3|cdp|x402\.mechanisms)\b", re.MULTILINE)
BOUNDS = re.compile(r"^bound_recursion\(\)$|^from gpuagent\.wire\.x402 import", re.MULTILINE)
PROGRAM = """
import gpuagent.adapters.wallets.local
from starlette.testclient import TestClient
from gpuagent.api.app import create_app
token = "t" * 40
client = TestClient(create_app({"GPUAGENT_API_TOKENS": f"ada=own:{token}"}), raise_server_exceptions=False)
headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
for text in (b"[" * 500_000, b'{"a":' * 150_000):
    answer = client.post("/api/agent-start", content=text, headers=headers)
    print(answer.status_code)
"""


def test_a_body_does_not_end_the_api() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout.split()) == (0, ["400", "400"]), ended.stderr


def test_each_module_that_lifts_the_limit_sets_it_back() -> None:
    sources = {path: path.read_text() for path in ROOT.rglob("*.py")}
    lifting = {path.name for path, text in sources.items() if LIFTS.search(text)}
    assert lifting >= {"local.py", "keystore.py", "cdp_client.py", "x402.py"}
    assert {path.name for path, text in sources.items() if LIFTS.search(text) and not BOUNDS.search(text)} == set()
