"""The command itself: ready line, signals, kills, restarts, and nothing left behind."""

import os
import random
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from mock_vendor import chain
from mock_vendor.chain import anvil, rpc
from seller.errors import ChainError
from tests.support.eventually import eventually
from tests.support.job_sleeps import processes, sleeping
from tests.support.mock_buyer import Buyer, header_json, new_key
from tests.support.mock_command import final_output, launched, ready_line, selling
from tests.support.work_orders import look, run_job, workload


@contextmanager
def buying(ready: dict[str, Any], vendor_id: str = "gpu_vendor_1") -> Iterator[Buyer]:
    buyer = Buyer(ready, vendor_id)
    try:
        yield buyer
    finally:
        buyer.close()


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_gone(pid: int) -> bool:
    """Ended; a zombie that waits for the reaper counts as well."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_the_ready_line_is_all_there_is_on_stdout_and_sigterm_ends_cleanly(tmp_path: Path) -> None:
    with launched(
        TMPDIR=str(tmp_path), GPU_VENDOR_SECRET="given", MOCK_VENDORS="5", HTTP_PROXY="http://127.0.0.1:1"
    ) as child:
        ready = ready_line(child)
        [anvil] = children_of(child.pid)
        assert ready["secret"] == "given"
        assert "given" not in psutil.Process(anvil).environ().values()
        assert [vendor["vendorId"] for vendor in ready["vendors"]] == [f"gpu_vendor_{number}" for number in range(1, 6)]
        assert len({vendor["payTo"] for vendor in ready["vendors"]}) == 5
        with buying(ready) as buyer:
            assert buyer.balance() == 1_000_000_000
            job_ids = [run_job(buyer, workload(sleeping(611))) for _ in range(2)]
            eventually(lambda: processes(sleeping(611)).count(sleeping(611)) == len(job_ids))
        child.send_signal(signal.SIGTERM)
        rest, _ = child.communicate(timeout=60)
    assert (child.returncode, rest) == (0, "")
    assert is_gone(anvil)
    assert processes(sleeping(611)) == []
    assert list(tmp_path.iterdir()) == []


def test_it_ends_when_stdin_closes_though_clients_still_wait() -> None:
    with launched(MOCK_SLOW_S="3600") as child:
        ready = ready_line(child)
        [anvil_pid] = children_of(child.pid)
        with buying(ready) as buyer, ThreadPoolExecutor(1) as pool:
            run_job(buyer, workload(sleeping(612)))
            eventually(lambda: processes(sleeping(612)))
            buyer.fault("slow")
            waiting = pool.submit(buyer.quote)
            eventually(waiting.running)
            assert child.stdin is not None
            child.stdin.close()
            assert child.wait(60) == 0
            waiting.exception(60)
    assert is_gone(anvil_pid)
    assert processes(sleeping(612)) == []


def test_a_lost_chain_is_503_and_anvil_dies_with_a_killed_vendor() -> None:
    with launched() as child:
        ready = ready_line(child)
        with buying(ready) as buyer:
            quote_id, key = buyer.quote_id(), new_key()
            header = buyer.payment_for(buyer.submit(quote_id, key))
            [anvil] = children_of(child.pid)
            os.kill(anvil, signal.SIGKILL)
            eventually(lambda: is_gone(anvil))
            answer = buyer.submit(quote_id, key, header)
            assert (answer.status_code, answer.json()["error"]) == (503, "settlement_pending")


def pay_until_killed(ready: dict[str, Any], child: subprocess.Popen[str]) -> list[tuple[str, str, str]]:
    """Pay eight jobs, one after the other, and SIGKILL the mock somewhere among them. Returns all eight."""
    with buying(ready, "gpu_vendor_2") as buyer:
        quotes = [(buyer.quote_id(), new_key()) for _ in range(8)]
        payments = [(*quote, buyer.payment_for(buyer.submit(*quote))) for quote in quotes]
        [anvil_pid] = children_of(child.pid)
        killer = threading.Timer(random.uniform(0.05, 0.5), os.kill, (child.pid, signal.SIGKILL))
        killer.start()
        with suppress(httpx.TransportError):
            for payment in payments:
                buyer.submit(*payment)
        killer.join()
    child.wait(60)
    eventually(lambda: is_gone(anvil_pid))
    return payments


def test_jobs_payments_and_balances_survive_a_kill(tmp_path: Path) -> None:
    """Killed with a job bought, a payment unsettled, one settled without the vendor knowing, and amid others."""
    data = {"MOCK_DATA_DIR": str(tmp_path)}
    with launched(**data) as child:
        ready = ready_line(child)
        with buying(ready) as buyer:
            bought = buyer.buy()
            job_id = run_job(buyer, workload(sleeping(613)))
            eventually(lambda: processes(sleeping(613)))
            buyer.fault("settle_late")
            orders = []
            for _ in range(2):
                quote_id, key = buyer.quote_id(), new_key()
                header = buyer.payment_for(buyer.submit(quote_id, key))
                assert buyer.submit(quote_id, key, header).status_code == 503
                orders.append((quote_id, key, header))
            relayed_tx = buyer.relay(orders[1][2])
        payments = pay_until_killed(ready, child)
        eventually(lambda: not processes(sleeping(613)), otherwise="a job outlives the vendor that was killed")

    with selling(**data) as restarted, buying(restarted) as buyer:
        assert restarted["chain"]["asset"] == ready["chain"]["asset"]
        assert buyer.status(bought.json()["vendorJobId"]).status_code == 200
        assert look(buyer, job_id)["errorMessage"] == "the seller has ended, and its jobs with it"
        assert buyer.submit(*orders[0]).status_code == 503  # faults survive as well
        buyer.fault("settle_late", on=False)
        first, second = (buyer.submit(*payment) for payment in orders)
        assert (first.status_code, second.status_code) == (200, 200)
        assert header_json(second.headers["PAYMENT-RESPONSE"])["transaction"] == relayed_tx
        with buying(restarted, "gpu_vendor_2") as second_buyer:
            answers = [second_buyer.submit(*payment) for payment in payments * 2]
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.json()["vendorJobId"] for answer in answers}) == len(payments)
        transfers = buyer.transfers(since=0)
        assert len(transfers) == 4 + len(payments)
        assert buyer.balance() == 1_000_000_000 - sum(log.args.amount for log in transfers)


def test_a_port_is_free_and_none_that_the_system_hands_out(monkeypatch: pytest.MonkeyPatch) -> None:
    port = chain.free_port()
    assert port < 32_768, "from there on Linux gives them to others, who may come before Anvil has it"
    monkeypatch.setattr(chain, "PORTS", range(port, port + 1))
    with socket.create_server(("127.0.0.1", port)), pytest.raises(ChainError, match=f"no port from {port} to {port}"):
        chain.free_port()


def test_two_chains_do_not_share_a_data_folder(tmp_path: Path) -> None:
    with anvil(tmp_path), pytest.raises(ChainError, match="is using"), anvil(tmp_path, lock_s=0):
        pass
    with anvil(tmp_path):
        assert (tmp_path / "anvil-state.json").exists()


def test_it_sells_on_a_chain_that_somebody_else_runs(ready: dict[str, Any]) -> None:
    chain = ready["chain"]
    own = {
        "CHAIN_RPC_URL": chain["rpcUrl"],
        "X402_NETWORK": chain["network"],
        "X402_ASSET": chain["asset"],
        "X402_ASSET_NAME": chain["assetName"],
        "FACILITATOR_PRIVATE_KEY": "0x" + "5e" * 32,
        "MOCK_PAY_TO": ready["vendors"][2]["payTo"],
    }
    with selling(**own) as second:
        assert second["chain"]["payer"] is None
        rpc(chain["rpcUrl"], "anvil_setBalance", second["chain"]["facilitator"], hex(10**18))
        with buying(second) as buyer:
            buyer.payer = chain["payer"]
            assert buyer.buy().status_code == 200


@pytest.mark.parametrize(
    ("environment", "words"),
    [({"FAIL_RATE": "often"}, "FAIL_RATE"), ({"FAIL_VENDOR_ID": "nobody"}, "gpu_vendor_1, gpu_vendor_2")],
)
def test_a_bad_environment_is_one_line_and_exit_2(environment: dict[str, str], words: str) -> None:
    with launched(**environment) as child:
        code, out, complaint = final_output(child)
    assert (code, out) == (2, "")
    assert words in complaint
    assert complaint.count("\n") == 1


def test_a_taken_port_is_said(ready: dict[str, Any]) -> None:
    with launched(PORT=ready["url"].rpartition(":")[2]) as child:
        code, _, complaint = final_output(child)
    assert code == 2
    assert complaint.startswith("mock_vendor: PORT=")


def test_a_chain_that_runs_for_long_leaves_nothing_in_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with anvil() as chain:
        rpc(chain.rpc_url, "anvil_mine", hex(2_000), hex(0))
        assert rpc(chain.rpc_url, "eth_getBalance", chain.accounts[0].address, hex(1_900))
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not files
