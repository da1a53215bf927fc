"""Job files as users write them: right ones become workloads, wrong ones are explained by line and field."""

import hashlib
import json
from pathlib import Path

import jsonschema
import pytest

from gpuagent.core.workload import Workload
from gpuagent.errors import BadInput
from gpuagent.wire.job_file import job_schema, load_job, read_job_file

JOB = """\
name: tiny-llm
image: docker.io/library/python:3.12-slim
setup: pip install numpy
command: python train.py
env: {EPOCHS: "3", BATCH: 8}
secrets: [HF_TOKEN]
resources: {gpu: "A100:1", gpu_memory: 40GB, cpu: 8, memory: 32GB, disk: 100GB}
max_duration: 2h
inputs:
  - {path: train.py, file: ./train.py}
  - {path: corpus.txt, url: "https://files.example/corpus.txt", sha256: "%s"}
outputs:
  - {path: model.npz, max_bytes: 64MB}
  - {path: metrics.jsonl, required: false}
checkpoint: {path: checkpoint/, every: 10m}
success: {exit_code: 0, metric: {name: loss, at_most: 2.2}}
on_exit: {75: retry, 1: stop}
""" % ("a" * 64)


def problems(text: str | bytes) -> list[str]:
    with pytest.raises(BadInput) as refusal:
        read_job_file(text if isinstance(text, bytes) else text.encode())
    return str(refusal.value).splitlines()


def test_a_whole_job() -> None:
    workload = read_job_file(JOB.encode())
    assert workload.env == {"EPOCHS": "3", "BATCH": "8"}
    assert (workload.max_duration, workload.resources.gpu_memory) == (7200, 40 * 10**9)
    assert workload.checkpoint
    assert (workload.checkpoint.path, workload.checkpoint.every) == ("checkpoint", 600)
    assert workload.on_exit == {75: "retry", 1: "stop"}


def test_json_is_read_too_and_a_byte_order_mark_passes() -> None:
    text = json.dumps({"name": "x", "command": ["python", "a.py"], "success": {"metric": {"name": "l", "at_most": 2}}})
    assert read_job_file(b"\xef\xbb\xbf" + text.encode()).command == ["python", "a.py"]


def test_the_schema_agrees() -> None:
    schema = json.loads(job_schema())
    jsonschema.Draft202012Validator.check_schema(schema)
    assert set(schema["properties"]) == set(Workload.model_fields)
    written = {"name": "x", "command": "c", "max_duration": "2h", "outputs": [{"path": "m", "max_bytes": "64MB"}]}
    validator = jsonschema.Draft202012Validator(schema)
    assert list(validator.iter_errors(written)) == []
    assert list(validator.iter_errors({**written, "comand": "c"}))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "name: X Y\ncomand: a\n",
            ["1: name: 'X Y' is to be", "1: command: is missing", "2: comand: there is no such"],
        ),
        (
            "name: x\ncommand: c\nresources:\n  gup: A100\n",
            ["4: resources.gup: there is no such field: did you mean gpu?"],
        ),
        ("name: x\ncommand: ''\n", ["2: command: is empty: what is to be run?"]),
        (
            "name: x\ncommand: c\ninputs:\n- path: a\n  file: a\n- path: ../b\n  file: b",
            ["6: inputs[1].path: '../b' is not"],
        ),
        ("name: x\ncommand: c\noutputs:\n- path: a\n- path: A\n", ["1: outputs 'a' and 'A' would be one file"]),
        ("name: x\ncommand: c\nmax_duration: 1:30\n", ["3: max_duration: '1:30' is no duration"]),
        ("name: x\ncommand: c\nmax_duration: 2024-01-01\n", ["3: max_duration: '2024-01-01' is no duration"]),
        ("name: x\ncommand: c\nenv: {HF_TOKEN: abc}\n", ["3: env: HF_TOKEN looks like a secret"]),
        ("name: x\ncommand: c\nenv: {A: 1.5}\n", ["3: env.A: input should be a valid string"]),
        ("name: x\ncommand: c\non_exit: {1: explode}\n", ["3: on_exit[1]: input should be 'retry' or 'stop'"]),
        ("name: 5\ncommand: c\n", ["1: name: input should be a valid string"]),
        ("a: &x [1]\nb: *x\n", ["2: aliases (*x) are not taken"]),
        ("name: x\nname: y\n", ["2: name stands there twice"]),
        ("name: x\nenv: {A: 1, A: 2}\n", ["2: A stands there twice"]),
        ("? [a]\n: b\n", ["1: a key is to be a plain text"]),
        ("x: [\n", ["expected the node content"]),
        ("!!python/object:os.system x", ["could not determine a constructor"]),
        ("x: " + "[" * 40 + "]" * 40, ["nested deeper than 32 levels"]),
        ("x: " + "[" * 5000 + "]" * 5000, ["nested"]),
        ("- 1\n", ["fields and values"]),
        ("just text", ["fields and values"]),
        ("", ["is empty"]),
        ("a: 1\n---\nb: 2\n", ["but found another document"]),
        (b"\xff\xfe", ["is not UTF-8"]),
        (b"\na: \x07", ["2: a character that is not text: U+0007"]),
        ("#" * 1_000_001, ["has more than 1,000,000 bytes"]),
    ],
)
def test_wrong_files_are_explained(text: str | bytes, expected: list[str]) -> None:
    lines = problems(text)
    assert len(lines) == len(expected), lines
    for line, part in zip(lines, expected, strict=True):
        assert line.startswith("job.yaml")
        assert part in line


def test_no_type_is_guessed() -> None:
    """YAML 1.1 would make false of no, 8 of 010 and a time of a date."""
    workload = read_job_file(b"name: x\ncommand: no\nenv: {A: 010, B: yes, C: 0x1F, D: 2024-01-01, E: 1_000}\n")
    assert workload.command == "no"
    assert workload.env == {"A": "010", "B": "yes", "C": "0x1F", "D": "2024-01-01", "E": "1_000"}


def test_many_errors_are_cut() -> None:
    lines = problems("name: x\ncommand: c\n" + "".join(f"field{number}: 1\n" for number in range(50)))
    assert len(lines) == 21
    assert lines[-1] == "and 30 more"


def test_files_are_read_beside_the_job_file(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("print(1)\n")
    (tmp_path / "job.yaml").write_text(JOB)
    workload, files = load_job(tmp_path / "job.yaml", {"EPOCHS": "9"})
    digest = hashlib.sha256(b"print(1)\n").hexdigest()
    assert files == {digest: tmp_path / "train.py"}
    assert (workload.inputs[0].sha256, workload.inputs[0].bytes, workload.env["EPOCHS"]) == (digest, 9, "9")
    assert str(tmp_path) not in workload.canonical


@pytest.mark.parametrize(
    ("job", "message"),
    [
        (JOB, "inputs: train.py: there is no file"),
        (JOB.replace("./train.py", "/"), "inputs: train.py: / lies outside of /"),
        (JOB.replace("./train.py}", f"./job.yaml, sha256: {'c' * 64}}}"), "the job file names ccc"),
        (None, "job.yaml cannot be read: No such file"),
    ],
)
def test_files_that_are_not_there_or_others(tmp_path: Path, job: str | None, message: str) -> None:
    if job is not None:
        (tmp_path / "job.yaml").write_text(job)
    with pytest.raises(BadInput, match=message):
        load_job(tmp_path / "job.yaml", {})
