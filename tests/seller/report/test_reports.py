"""What the operator reads: the check before the first sale, metrics, the overview, the sales, and the log."""

import csv
import io
import json
import logging
import socket
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from mock_vendor.chain import free_port
from mock_vendor.market import PracticeMarket
from seller.config import Config, read_config
from seller.errors import BadSetting
from seller.events import JsonLines, event
from seller.report.check import check
from seller.report.metrics import serve_metrics
from seller.report.overview import read_overview
from seller.report.sales import Sale, sales, write_csv
from seller.report.tables import overview_table, sales_table
from seller.shop import Terms
from tests.support.fake_till import FakeTill
from tests.support.seller_command import KEY, write_config
from tests.support.seller_desk import ALICE, Desk, open_desk

POOR = "0x" + "77" * 32


def findings(config: Config, key: str = KEY) -> dict[str, tuple[bool, str]]:
    return {item.name: (item.passed, item.detail) for item in check(config, {"SELLER_PRIVATE_KEY": key} if key else {})}


def test_each_finding_of_the_check_is_a_sentence(tmp_path: Path, practice: PracticeMarket) -> None:
    config = read_config(write_config(tmp_path, practice, bearer_variable="SELLER_BEARER"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        found = findings(config.model_copy(update={"listen": place}), POOR)
    assert {name for name, (passed, _) in found.items() if passed} == {"key", "market", "folder", "runner"}
    assert "has 0.000000 ETH for gas: send it at least 0.000100 ETH" in found["gas"][1]
    assert "set SELLER_BEARER" in found["bearer"][1]
    assert "cannot listen there" in found["listen"][1]
    assert practice.payees[0] in found["market"][1]
    assert not [detail for _, detail in found.values() if POOR[2:] in detail]


def test_a_price_of_gas_above_the_sellers_is_found(tmp_path: Path, practice: PracticeMarket) -> None:
    config = read_config(write_config(tmp_path, practice, payment={"max_gas_price": "0.000001"}))
    rich = next(account.private_key for account in [practice.payer] if account)
    assert "more than payment.max_gas_price" in findings(config, rich)["gas"][1]


def test_what_is_missing_is_found_and_the_rest_is_looked_at(tmp_path: Path, practice: PracticeMarket) -> None:
    config = read_config(write_config(tmp_path, practice, rpc_url="http://127.0.0.1:1"))
    found = findings(config)
    assert found["market"] == found["gas"] == (False, "rpc_url: no chain answers there")
    assert found["listen"][0]
    assert not findings(config, "not a key")["key"][0]
    found = findings(config, "")
    assert found["key"] == (True, "none: quotes are not signed")
    assert "facilitator_url" in found["market"][1]
    elsewhere = config.model_copy(update={"rpc_url": practice.market.rpc_url, "network": "eip155:1"})
    assert "the chain there is eip155:31337" in findings(elsewhere)["market"][1]


def sold(folder: Path) -> Any:
    """A desk that has sold four jobs: one done, one failed, one running and one waiting; one more is settling."""
    return open_desk(folder, terms=Terms(queue=9, per_payer=9))


def play(desk: Desk) -> None:
    done, failed = desk.bought("1"), desk.bought("2", hours=0.000002)
    desk.step()
    desk.runner.finish(done, at=desk.clock.at)
    desk.step()
    desk.runner.finish(failed, exit_code=None, reason='=HYPERLINK("http://evil")', at=desk.clock.at)
    desk.bought("3", payer=ALICE)
    desk.bought("4")
    desk.step()


def test_metrics_stand_at_an_address_of_their_own(tmp_path: Path) -> None:
    with sold(tmp_path) as desk:
        play(desk)
        place = f"127.0.0.1:{free_port()}"
        close = serve_metrics(place, desk.shop, tmp_path)
        try:
            lines = httpx.get(f"http://{place}/metrics", trust_env=False, timeout=60).text.splitlines()
            with pytest.raises(BadSetting, match=f"metrics={place}: cannot listen there"):
                serve_metrics(place, desk.shop, tmp_path)
        finally:
            close()
        assert {
            'seller_jobs{state="queued"} 1.0',
            'seller_jobs{state="running"} 1.0',
            'seller_jobs{state="completed"} 1.0',
            'seller_jobs{state="failed"} 1.0',
            'seller_gpus{gpu="A100",kind="offered"} 1.0',
            'seller_gpus{gpu="A100",kind="taken"} 1.0',
            "seller_sales 4.0",
            "seller_sales_usd 4.200003",
            "seller_settling 0.0",
        } <= set(lines)
        assert desk.http.get("/metrics").status_code == 404
        text = "\n".join(lines)
        assert not [secret for secret in (ALICE, "box-", KEY[2:]) if secret in text], "figures alone"


def test_metrics_at_an_address_of_ipv6(tmp_path: Path) -> None:
    place = f"[::1]:{free_port()}"
    with sold(tmp_path) as desk:
        close = serve_metrics(place, desk.shop, tmp_path)
        try:
            assert httpx.get(f"http://{place}/metrics", trust_env=False, timeout=60).status_code == 200
        finally:
            close()


def test_the_overview_and_the_ledger_agree_to_the_last_digit(tmp_path: Path) -> None:
    with sold(tmp_path) as desk:
        play(desk)
        overview = read_overview(desk.shop.database, desk.shop.vendors, tmp_path)
        rows = list(sales(desk.shop.database))
        assert [row.usd for row in rows] == [Decimal(text) for text in ("1.4", "0.000003", "1.4", "1.4")]
        assert sum(row.usd for row in rows) == overview.sold_usd == Decimal("4.200003")
        assert overview.as_json()["sold_usd"] == "4.200003"
        assert [(gpu.gpu, gpu.count, gpu.running, gpu.queued) for gpu in overview.gpus] == [
            ("A100", 1, 1, 1),
            ("T4", 2, 0, 0),
        ]
        assert overview.disk_free_bytes > 0
        table = overview_table("Box", overview, draining=True)
        assert "Box (draining)" in table
        assert "4.200003 USD in 4 payments" in table
        assert rows[0].job_id[:12] in sales_table(rows)
        json.dumps([row.as_json() for row in rows] + [overview.as_json()])


def test_an_overview_of_nothing(tmp_path: Path) -> None:
    with open_desk(tmp_path, till=FakeTill()) as desk:
        overview = read_overview(desk.shop.database, desk.shop.vendors, tmp_path)
        assert (overview.sales, overview.as_json()["sold_usd"]) == (0, "0.000000")
        text = io.StringIO()
        write_csv(sales(desk.shop.database), text)
        assert text.getvalue().startswith("at,job_id,gpu,hours,usd,payer,pay_to,tx,state,exit_code,ended_at,reason")


def test_no_cell_of_the_sales_is_a_formula(tmp_path: Path) -> None:
    with sold(tmp_path) as desk:
        play(desk)
        text = io.StringIO()
        write_csv(sales(desk.shop.database), text)
    rows = list(csv.DictReader(io.StringIO(text.getvalue())))
    assert [row["usd"] for row in rows] == ["1.400000", "0.000003", "1.400000", "1.400000"]
    assert rows[1]["reason"] == '\'=HYPERLINK("http://evil")'
    assert [row["hours"] for row in rows] == ["1", "0.000002", "1", "1"], "figures, and not 2E-6"
    row = Sale("", "@SUM(1)", "-1+1", "+1", Decimal(1), "\tx", "\r", "=1", 'ended\n,"', None, "", "")
    text = io.StringIO(newline="")
    write_csv(iter([row]), text)
    [cells] = csv.reader(io.StringIO(text.getvalue().partition("\n")[2], newline=""))
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert cells[8] == 'ended\n,"'


def test_a_line_of_the_log_is_json_whatever_is_in_it() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logger = logging.Logger("seller.test", logging.INFO)
    logger.addHandler(handler)
    event(logger, "job ended", job="a", reason='x\n{"event": "job sold"}', path=Path("/tmp"))
    try:
        int("line one\nline two")
    except ValueError:
        logger.exception("a step failed")
    with closing(stream):
        first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (first["event"], first["level"], first["reason"]) == ("job ended", "info", 'x\n{"event": "job sold"}')
    assert first["at"].endswith("Z")
    assert (second["event"], second["level"]) == ("a step failed", "error")
    assert "line two" in second["error"]
    assert "Traceback" in second["error"]
