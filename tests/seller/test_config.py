"""seller.yaml: its defaults, and every mistake in it, which is said by its place."""

import textwrap
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from seller.config import FILE_MAX, read_config
from seller.errors import BadSetting
from seller.opening import open_market, vendor_of
from seller.payments.market import account

PAYEE = "0x" + "ab" * 20
DESIGN = """
name: Box in the cellar
pay_to: "0xabababababababababababababababababababab"
network: base-sepolia
offers: [{gpu: A100, count: 1, price_per_hour: 1.40, gpu_memory: 80GB}]
runner: {kind: container, images: ["docker.io/pytorch/*"], network: none}      # process | container | simulated
limits: {per_payer_queue: 2, max_duration: 24h, disk: 100GB, outputs: 5GB, keep_files: 7d}
payment: {modes: [exact]}                                                     # and metered, see METERED.md
"""
"""The example of the design."""
VALID = {
    "name": "Box",
    "pay_to": PAYEE,
    "network": "base-sepolia",
    "offers": [{"gpu": "A100", "price_per_hour": 1.4}],
    "runner": {"kind": "process"},
}
WRONG_VALUES: list[tuple[dict[str, Any], str]] = [
    ({"nmae": "Box"}, "nmae"),
    ({"name": ""}, "name"),
    ({"name": None}, "name"),
    ({"pay_to": "0x12"}, "pay_to"),
    ({"pay_to": 12}, "pay_to"),
    ({"offers": []}, "offers"),
    ({"offers": [{"gpu": "A100", "price_per_hour": 1}, {"gpu": "A100", "price_per_hour": 2}]}, "offers: .*twice"),
    ({"offers": [{"gpu": "A100", "price_per_hour": 0}]}, r"offers\.0\.price_per_hour: .*price"),
    ({"offers": [{"gpu": "A100", "price_per_hour": -1}]}, r"offers\.0\.price_per_hour"),
    ({"offers": [{"gpu": "A100", "price_per_hour": "0.0000001"}]}, r"offers\.0\.price_per_hour: .*decimal places"),
    ({"offers": [{"gpu": "A100", "price_per_hour": ".nan"}]}, r"offers\.0\.price_per_hour"),
    ({"offers": [{"gpu": "A100", "price_per_hour": float("inf")}]}, r"offers\.0\.price_per_hour"),
    ({"offers": [{"gpu": "A100", "price_per_hour": True}]}, r"offers\.0\.price_per_hour"),
    ({"offers": [{"gpu": "A100", "price_per_hour": 1e9}]}, r"offers\.0\.price_per_hour"),
    ({"offers": [{"gpu": "A100", "price_per_hour": 1, "count": 0}]}, r"offers\.0\.count"),
    ({"offers": [{"gpu": "A100", "price_per_hour": 1, "count": True}]}, r"offers\.0\.count"),
    ({"offers": [{"gpu": "=cmd()", "price_per_hour": 1}]}, r"offers\.0\.gpu"),
    ({"offers": {"A100": 1.4}}, "offers"),
    ({"runner": {"kind": "kubernetes"}}, r"runner\.kind"),
    ({"runner": {"kind": "container"}}, "runner: images: name the images"),
    ({"runner": {"kind": "process", "sandbox": False}}, "runner: payers: .*trust"),
    ({"runner": {"kind": "process", "payers": ["0x1"]}}, r"runner\.payers\.0"),
    ({"limits": {"max_duration": "24"}}, r"limits\.max_duration: .*24h"),
    ({"limits": {"max_duration": 24}}, r"limits\.max_duration: .*24h"),
    ({"limits": {"keep_files": "7 days"}}, r"limits\.keep_files"),
    ({"limits": {"keep_files": "0d"}}, r"limits\.keep_files"),
    ({"limits": {"disk": "100 florins"}}, r"limits\.disk"),
    ({"limits": {"disk": -5}}, r"limits\.disk"),
    ({"limits": {"outputs": "-1GB"}}, r"limits\.outputs"),
    ({"limits": {"queue": -1}}, r"limits\.queue"),
    ({"limits": {"per_payer_queue": 0}}, r"limits\.per_payer_queue"),
    ({"limits": {"requests_per_minute": 0}}, r"limits\.requests_per_minute"),
    ({"payment": {"modes": ["metered"]}}, r"payment\.modes\.0"),
    ({"payment": {"modes": []}}, r"payment\.modes"),
    ({"listen": "8402"}, "listen: .*127.0.0.1:8402"),
    ({"listen": "127.0.0.1:99999"}, "listen"),
    ({"metrics": "everywhere"}, "metrics"),
    ({"url": "gpu.example"}, "url: .*https://host/path"),
    ({"url": "https://user@gpu.example"}, "url"),
    ({"rpc_url": "ftp://node"}, "rpc_url"),
    ({"facilitator_url": "https://[::1"}, "facilitator_url"),
    ({"token": {"address": PAYEE, "decimals": 18}}, r"token\.decimals"),
    ({"vendor_id": "a b"}, "vendor_id"),
    ({"key": {"private_key": "0x1"}}, r"key\.private_key"),
]
WRONG_FILES: list[tuple[bytes, str]] = [
    (b"", "write fields such as name:"),
    (b"- a\n- b\n", "write fields such as name:"),
    (b"name: [", "is no YAML"),
    (b"name: \xff\xfe", "is no YAML"),
    (b"name: !!python/object/apply:os.system ['true']", "is no YAML"),
    (b"name: !secret x", "is no YAML"),
    (b"name: Box\nname: Another\n", "name is written twice"),
    (b"limits: {disk: 1GB, disk: 2GB}\n", "disk is written twice"),
    (b"? [a]\n: b\n", "has a key in line 1 that is no text"),
    (b"name: a\n---\nname: b\n", "is no YAML"),
    (b"name: " + b"[" * 100_000, "is nested too deep in line 1"),
    (b"a:\n- " + b"- " * 100_000, "is nested too deep in line 2"),
    (b"offers: &a [*a]\n", "has an alias in line 1"),
    (b"x" * (FILE_MAX + 1), "larger than"),
]
BOMB = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30))


def config_file(folder: Path, content: str | bytes | dict[str, Any]) -> Path:
    path = folder / "seller.yaml"
    text = yaml.safe_dump(content) if isinstance(content, dict) else content
    path.write_bytes(text if isinstance(text, bytes) else textwrap.dedent(text).encode())
    return path


def test_the_example_of_the_design(tmp_path: Path) -> None:
    config = read_config(config_file(tmp_path, DESIGN))
    [offer] = config.catalogue().values()
    assert (offer.gpu, offer.count, offer.price_per_hour, offer.gpu_memory) == ("A100", 1, Decimal("1.4"), "80GB")
    assert config.id == "box_in_the_cellar"
    assert (config.runner.kind, config.runner.images, config.runner.network) == (
        "container",
        ["docker.io/pytorch/*"],
        "none",
    )
    limits = config.limits
    assert (limits.per_payer_queue, limits.max_duration, limits.keep_files) == (2, 86_400, 604_800)
    assert (int(limits.disk), int(limits.outputs)) == (100 * 10**9, 5 * 10**9)
    assert config.payment.modes == ("exact",)


def test_a_folder_and_a_keystore_are_whole_paths_whatever_the_file_is_called_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = config_file(Path(), {**VALID, "key": {"keystore": "key.json"}})
    config = read_config(file)
    assert (config.folder, config.key.keystore) == (tmp_path / "seller-data", tmp_path / "key.json")


def test_what_is_not_said_has_safe_defaults(tmp_path: Path) -> None:
    config = read_config(config_file(tmp_path, VALID))
    assert config.folder == tmp_path / "seller-data", "beside the file, from wherever it is started"
    assert (config.listen, config.metrics) == ("127.0.0.1:8402", "127.0.0.1:9402")
    assert config.runner.sandbox
    assert (config.limits.queue, config.limits.per_payer_queue) == (10, 2)
    assert config.key.variable == "SELLER_PRIVATE_KEY"
    [offer] = config.catalogue().values()
    assert offer.count == 1
    assert vendor_of(config).pay_to.lower() == PAYEE


def test_text_is_text_with_quotes_or_without(tmp_path: Path) -> None:
    """YAML 1.1 would read an address as a number, and a name as false."""
    content = yaml.safe_dump(VALID).replace(f"'{PAYEE}'", PAYEE).replace("name: Box", "name: no")
    assert f"pay_to: {PAYEE}\n" in content
    config = read_config(config_file(tmp_path, content))
    assert (config.pay_to, config.name) == (PAYEE, "no")


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    config = read_config(config_file(tmp_path, {**VALID, "folder": "box", "key": {"keystore": "key.json"}}))
    assert (config.folder, config.key.keystore) == (tmp_path / "box", tmp_path / "key.json")


@pytest.mark.parametrize(
    ("name", "vendor_id"), [("Čtyři GPU!", "ty_i_gpu"), ("高性能", "seller"), ("x" * 100, "x" * 64)]
)
def test_an_id_follows_from_any_name(tmp_path: Path, name: str, vendor_id: str) -> None:
    assert read_config(config_file(tmp_path, {**VALID, "name": name})).id == vendor_id


@pytest.mark.parametrize(("change", "place"), WRONG_VALUES, ids=[str(change)[:60] for change, _ in WRONG_VALUES])
def test_a_mistake_is_said_by_its_place(tmp_path: Path, change: dict[str, Any], place: str) -> None:
    path = config_file(tmp_path, {**VALID, **change})
    with pytest.raises(BadSetting, match=rf"seller\.yaml: {place}") as refusal:
        read_config(path)
    assert "pydantic" not in str(refusal.value)


@pytest.mark.parametrize(("content", "words"), WRONG_FILES, ids=[words for _, words in WRONG_FILES])
def test_what_is_no_configuration_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(BadSetting, match=words):
        read_config(config_file(tmp_path, content))


def test_aliases_do_not_multiply(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="has an alias in line 2"):
        read_config(config_file(tmp_path, BOMB))


def test_a_file_that_is_not_there_or_not_readable(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(BadSetting, match="cannot be read: "):
            read_config(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"network": "ethereum"}, "network: write base-sepolia, base, or a CAIP-2 network"),
        ({"network": "eip155:1"}, "network: eip155:1 is not known by name, so write rpc_url and token too"),
        ({"network": "eip155:1", "rpc_url": "http://127.0.0.1:9"}, "write rpc_url and token too"),
        ({"network": "eip155:1", "token": {"address": PAYEE}}, "write rpc_url and token too"),
    ],
)
def test_a_network_that_is_not_known_needs_a_node_and_a_token(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    config = read_config(config_file(tmp_path, {**VALID, **change}))
    with pytest.raises(BadSetting, match=words):
        open_market(config, account("0x" + "11" * 32, "key"))
    with pytest.raises(BadSetting, match="set SELLER_PRIVATE_KEY to a key with gas"):
        open_market(config, None)
