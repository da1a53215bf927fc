"""vendors.json: read strictly, every fault by line and field, and nothing of a file that has one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gpuagent.adapters.vendors.entry import FIELDS
from gpuagent.adapters.vendors.file import FAULTS_MAX, FILE_MAX, read_vendors, vendor_entry, vendor_from
from gpuagent.errors import BadInput

ENTRY: dict[str, Any] = {
    "vendorId": "acme",
    "name": "Acme GPUs",
    "endpoint": "https://gpu.acme.example",
    "payTo": "0x" + "1" * 40,
    "network": "eip155:84532",
    "asset": "0x036CbD53842c5426634e7929541eC2318f3dCF7e",
    "secretEnv": "ACME_SECRET",
    "basePricePerHour": "1.40",
    "reliabilityScore": 0.9,
    "supportedGpuTypes": ["A100"],
    "enabled": True,
    "trusted": False,
    "protocol": "gpuagent/1",
    "x402Version": 2,
    "settles": "before",
    "maxAuthorizationSeconds": 0,
    "proven": True,
    "refundAddress": None,
}
NEEDED = tuple(ENTRY)[: tuple(ENTRY).index("enabled")]
"""The fields that every entry has, but for secretEnv."""
SECRET = "sk-live-0123456789abcdef"


@pytest.fixture
def fault(tmp_path: Path) -> Callable[[str | bytes], str]:
    """What is said of a file with this content."""

    def refuse(content: str | bytes) -> str:
        file = tmp_path / "vendors.json"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(BadInput) as error:
            read_vendors(file)
        return str(error.value)

    return refuse


def lines(*entries: dict[str, Any]) -> str:
    """A file of these entries, each field on a line of its own: the first entry's first field is on line 4."""
    return json.dumps({"vendors": list(entries)}, indent=1)


@pytest.mark.parametrize(
    ("field", "value", "form"),
    [
        ("enabled", "false", "true or false, without quotes"),
        ("enabled", 0, "true or false"),
        ("trusted", "true", "true or false, without quotes"),
        ("enabled", None, "true or false"),
        ("enabled", [], "true or false"),
        ("supportedGpuTypes", "A100", "a list"),
        ("supportedGpuTypes", [], "a GPU at least"),
        ("supportedGpuTypes", {"A100": 1}, "a list"),
        ("supportedGpuTypes", ["A100", 100], "a text"),
        ("supportedGpuTypes", [""], "a line"),
        ("supportedGpuTypes", None, "a list"),
        ("basePricePerHour", "-1", "0 or more"),
        ("basePricePerHour", -1.4, "0 or more"),
        ("basePricePerHour", True, "a price"),
        ("basePricePerHour", "1,40", "such as 1.40"),
        ("basePricePerHour", "1e2", "such as 1.40"),
        ("basePricePerHour", " 1.40", "such as 1.40"),
        ("basePricePerHour", "1.4000001", "6 decimals"),
        ("basePricePerHour", 10**12, "a price"),
        ("basePricePerHour", None, "a price"),
        ("basePricePerHour", ["1.40"], "a price"),
        ("reliabilityScore", "0.9", "without quotes"),
        ("reliabilityScore", True, "0 to 1"),
        ("reliabilityScore", 90, "0 to 1"),
        ("reliabilityScore", -0.1, "0 to 1"),
        ("endpoint", "http://gpu.acme.example", "https://host"),
        ("endpoint", "gpu.acme.example", "https://host"),
        ("endpoint", "https://", "https://host"),
        ("endpoint", "https://[", "https://host"),
        ("endpoint", "https://gpu.acme.example:99999", "https://host"),
        ("endpoint", "https://user:pass@gpu.acme.example", "without a user"),
        ("endpoint", "https://gpu.acme.example?key=1", "without a user"),
        ("endpoint", "https://gpu.acme.example/ x", "https://host"),
        ("endpoint", "https://gpü.example", "https://host"),
        ("endpoint", 443, "a text"),
        ("payTo", "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293Bc", "checksum"),
        ("payTo", "0x" + "1" * 39, "40 hex digits"),
        ("payTo", "1" * 40, "40 hex digits"),
        ("payTo", "0x" + "0" * 40, "no one"),
        ("payTo", "0x036CbD53842c5426634e7929541eC2318f3dCF7e", "the token's own address"),
        ("payTo", "0x036cbd53842c5426634e7929541ec2318f3dcf7e", "the token's own address"),
        ("payTo", None, "a text"),
        ("payTo", 0x1111, "a text"),
        ("asset", "USDC", "40 hex digits"),
        ("network", "base-sepolia", "eip155:84532 for base-sepolia"),
        ("network", "eip155:0", "CAIP-2"),
        ("secretEnv", SECRET, "the name of a variable"),
        ("secretEnv", "", "the name of a variable"),
        ("protocol", "gpuagent/2", "gpuagent/1"),
        ("protocol", "../evil", "spoken here"),
        ("x402Version", 3, "2, or 1"),
        ("x402Version", "2", "a whole number"),
        ("x402Version", True, "a whole number"),
        ("settles", "never", "before or after"),
        ("maxAuthorizationSeconds", -1, "0 to 86400"),
        ("maxAuthorizationSeconds", 86_401, "0 to 86400"),
        ("proven", "false", "true or false"),
        ("refundAddress", "0x12", "40 hex digits"),
        ("refundAddress", "0x" + "0" * 40, "no one"),
        ("vendorId", "ünicode", "letters"),
        ("vendorId", "", "letters"),
        ("vendorId", 7, "a text"),
        ("name", "a\nb", "a line"),
        ("name", "\ud800", "a line"),
        ("name", " ", "a line"),
    ],
)
@pytest.mark.safety(
    "a vendors file says whom to pay: each field is what it must be, or nothing of the file is recorded"
)
def test_a_field_that_cannot_be_is_named_with_its_line(
    fault: Callable[[str], str], field: str, value: object, form: str
) -> None:
    other = {**ENTRY, "vendorId": "other"}
    message = fault(lines(other, {**ENTRY, field: value}))
    assert form in message
    assert field in message
    expected = lines(other, ENTRY).splitlines()
    rows = [number for number, row in enumerate(expected, 1) if f'"{field}"' in row]
    assert f"line {rows[1]}: " in message or isinstance(value, list), message
    assert SECRET not in message


@pytest.mark.parametrize("field", [field for field in NEEDED if field != "secretEnv"])
def test_a_field_that_is_missing_is_named(fault: Callable[[str], str], field: str) -> None:
    message = fault(lines({name: value for name, value in ENTRY.items() if name != field}))
    assert f"line 3: {field} of vendor " in message
    assert "is missing" in message


@pytest.mark.parametrize(
    ("slip", "meant"),
    [
        ("payto", "payTo"),
        ("pay_to", "payTo"),
        ("enable", "enabled"),
        ("secret_env", "secretEnv"),
        ("Endpoint", "endpoint"),
    ],
)
def test_an_unknown_field_is_refused_with_the_one_that_was_meant(
    fault: Callable[[str], str], slip: str, meant: str
) -> None:
    assert f"did you mean {meant}?" in fault(lines({**ENTRY, slip: "x"}))


def test_a_field_like_no_other_is_refused(fault: Callable[[str], str]) -> None:
    message = fault(lines({**ENTRY, "comment": "x"}))
    assert "comment of vendor 'acme' is no field" in message
    assert "mean" not in message


@pytest.mark.parametrize("twin", ["acme", "ACME"])
@pytest.mark.safety("the same vendor twice in a file is refused: the last payee would silently be the payee")
def test_the_same_vendor_twice(fault: Callable[[str], str], twin: str) -> None:
    other = {**ENTRY, "vendorId": twin, "payTo": "0x" + "2" * 40}
    assert "'acme' again" in fault(lines(ENTRY, other))


@pytest.mark.safety("a key twice in one entry is refused: the parser would silently take the last")
def test_the_same_key_twice(fault: Callable[[str], str]) -> None:
    text = lines(ENTRY).replace('"payTo"', f'"payTo": "0x{"2" * 40}",\n   "payTo"')
    assert "line 8: payTo of vendor 'acme' is written twice" in fault(text)
    assert "line 1: vendors is written twice" in fault('{"vendors": [], "vendors": []}')
    # Spelled with an escape it is the same key.
    assert "is written twice" in fault(text.replace('"payTo"', '"\\u0070ayTo"', 1))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (b"\xef\xbb\xbf", "it is empty"),
        (b"{", "not JSON"),
        (b"{'vendors': []}", "not JSON"),
        (b'{"vendors": [],}', "not JSON"),
        (b"[]", "it is not {"),
        (b"null", "it is not {"),
        (b'"vendors"', "it is not {"),
        (b"7", "it is not {"),
        (b"{}", "it is not {"),
        (b'{"vendors": null}', "it is not {"),
        (b'{"vendors": {}}', "it is not {"),
        (b'{"vendors": "acme"}', "it is not {"),
        (b'{"vendors": []}', "has no vendor"),
        (b'{"vendors": [null]}', "is to be an object"),
        (b'{"vendors": ["acme"]}', "is to be an object"),
        (b'{"vendors": [[]]}', "is to be an object"),
        (b'{"vendors": [NaN]}', "NaN is no number"),
        (b'{"vendors": [Infinity]}', "Infinity is no number"),
        (b'{"vendors": [1e999999999]}', "is to be an object"),
        (b'{"vendors": [' + b"[" * 50_000, "nested deeper"),
        (b'{"vendors": [' + b"7" * 5_000 + b"]}", "not JSON"),
        ('{"vendors": []}'.encode("utf-16"), "not UTF-8"),
        (b" " * (FILE_MAX + 1), "larger than"),
        (json.dumps({"vendors": [{}] * 200}).encode(), f"and {200 * 9 - FAULTS_MAX} faults more"),
        (json.dumps({"vendors": [ENTRY], "version": 1}).encode(), "version is no field of the file"),
    ],
)
def test_a_file_that_is_none(fault: Callable[[bytes], str], content: bytes, says: str) -> None:
    assert says in fault(content)


def test_every_fault_is_said_at_once(fault: Callable[[str], str]) -> None:
    message = fault(lines({**ENTRY, "enabled": "false"}, {**ENTRY, "vendorId": "b", "payTo": "", "name": 7}))
    assert [word for word in ("enabled", "payTo", "name") if word in message] == ["enabled", "payTo", "name"]
    assert message.count("\n") == 3


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(BadInput, match="cannot be read"):
            read_vendors(path)


def test_what_a_sound_file_says(tmp_path: Path) -> None:
    """Also with a byte order mark, and with a price without quotes; two vendors may share endpoint and payee."""
    other = {**ENTRY, "vendorId": "b", "basePricePerHour": 1.4, "enabled": False}
    del other["secretEnv"]
    (tmp_path / "vendors.json").write_text("\ufeff" + lines(ENTRY, other))
    first, second = read_vendors(tmp_path / "vendors.json")
    assert vendor_from(vendor_entry(first)) == first
    assert tuple(vendor_entry(first)) == tuple(ENTRY)
    assert sorted(ENTRY) == sorted(FIELDS)
    assert (second.base_price_per_hour, second.enabled, second.secret_env) == (1_400_000, False, "GPU_VENDOR_SECRET")


def test_a_vendor_without_accounts_has_no_token_variable() -> None:
    """null says so; a vendor of our own protocol that says nothing has the usual variable, as ever."""
    plain = {name: value for name, value in ENTRY.items() if name != "secretEnv"}
    assert vendor_from({**ENTRY, "secretEnv": None}).secret_env == ""
    assert vendor_from(plain).secret_env == "GPU_VENDOR_SECRET"
    assert vendor_from(vendor_entry(vendor_from({**ENTRY, "secretEnv": None}))).secret_env == ""
