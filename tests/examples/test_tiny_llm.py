"""The example's language model: its gradients are right, it learns, and a resumed training gives the same model."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpuagent.wire.job_file import load_job
from tests.support.documents import ROOT

FOLDER = ROOT / "examples/tiny_llm"
CHECKPOINT_STEPS, STEPS = 5, 14


@pytest.fixture(scope="module")
def program() -> dict[str, Any]:
    return runpy.run_path(str(FOLDER / "train.py"), run_name="program")


def train(folder: Path, steps: int, resume: str = "") -> list[dict[str, float]]:
    """The metrics that the program reports, of a process of its own in the folder."""
    workload, files = load_job(FOLDER / "job.yaml", {})
    for entry in workload.inputs:
        assert entry.sha256
        (folder / entry.path).parent.mkdir(parents=True, exist_ok=True)
        (folder / entry.path).write_bytes(files[entry.sha256].read_bytes())
    environ = {
        **os.environ,
        "STEPS": str(steps),
        "CHECKPOINT_STEPS": str(CHECKPOINT_STEPS),
        "OPENBLAS_NUM_THREADS": "1",
    }
    environ |= {"GPUAGENT_RESUME": resume} if resume else {}
    subprocess.run([sys.executable, "train.py"], cwd=folder, env=environ, check=True, capture_output=True)
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_the_job_is_sound_and_names_what_the_program_leaves(tmp_path: Path) -> None:
    workload, _ = load_job(FOLDER / "job.yaml", {})
    metrics = train(tmp_path, 10)
    assert [metric["step"] for metric in metrics] == [10]
    for output in workload.outputs:
        assert 0 < (tmp_path / output.path).stat().st_size <= output.max_bytes
    assert workload.success.metric
    assert workload.success.metric.name in metrics[0]


def test_resumed_elsewhere_it_gives_the_same_model(tmp_path: Path) -> None:
    whole, killed, resumed = (tmp_path / name for name in ("whole", "killed", "resumed"))
    for folder in (whole, killed, resumed):
        folder.mkdir()
    train(whole, STEPS)
    train(killed, CHECKPOINT_STEPS * 2 + 1)  # its last checkpoint is one step back
    progress = json.loads((killed / "checkpoint/progress.json").read_text())
    assert progress["step"] == CHECKPOINT_STEPS * 2
    metrics = train(resumed, STEPS, resume=str(killed / "checkpoint"))
    assert metrics[-1]["step"] == STEPS
    models = [np.load(folder / "model.npz") for folder in (whole, resumed)]
    assert all(np.array_equal(models[0][name], models[1][name]) for name in models[0].files)


def test_gradients_are_those_of_the_loss(program: dict[str, Any]) -> None:
    corpus = np.arange(400) % 11
    weights = program["new_parameters"](11, seed=3)
    windows = program["batch"](corpus, 1, 0)
    _, gradients = program["loss_and_gradients"](weights, windows)
    rng = np.random.default_rng(0)
    for name, values in weights.items():
        place = tuple(rng.integers(0, size) for size in values.shape)
        losses = []
        for shift in (1e-5, -1e-5):
            moved = {**weights, name: values.copy()}
            moved[name][place] += shift
            losses.append(program["loss_and_gradients"](moved, windows)[0])
        assert gradients[name][place] == pytest.approx((losses[0] - losses[1]) / 2e-5, rel=1e-3, abs=1e-7)
