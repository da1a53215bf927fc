"""A simulated training run: what a job looks like after some seconds. Pure, so it needs no worker."""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import takewhile
from typing import Literal

STEPS_PER_EPOCH = 8
BOOT_SHARE = 0.04  # of the whole duration, before the first training step
Curve = list[tuple[float, dict[str, float]]]
"""The fraction at which each step is done, and its metrics."""
DEATHS = (
    "CUDA out of memory: tried to allocate 2.50 GiB on GPU 0",
    "node lost: no heartbeat from the worker for 60 s",
    "NCCL error: unhandled system error, ring closed by peer",
    "Xid 79: GPU has fallen off the bus",
)


@dataclass(frozen=True)
class Training:
    """A bought training run, and whether it is doomed. `hours` are simulated, `price` is USD."""

    seed: int
    job_id: str
    gpu_type: str
    hours: float
    epochs: int
    price: Decimal
    doomed: bool


@dataclass(frozen=True)
class Progress:
    """The job's state as the buyer sees it. `fraction` runs from 0 to 1 and stays where a doomed job died."""

    status: Literal["running", "completed", "failed"]
    fraction: float
    logs: tuple[str, ...]
    remaining_minutes: float
    cost: Decimal
    metrics: dict[str, float] | None
    final_metrics: dict[str, float] | None
    artifact_url: str | None
    error_message: str | None


def observe(training: Training, elapsed_s: float) -> Progress:
    """The progress of a job after `elapsed_s` simulated seconds. The same inputs always give the same answer."""
    duration_s = training.hours * 3600
    reached = min(max(elapsed_s / duration_s, 0.0), 1.0)
    death = _death(training)
    dead = death is not None and reached >= death[0]
    fraction = death[0] if death is not None and dead else reached
    complete = fraction >= 1.0
    curve = _curve(training)
    metrics = next((metrics for moment, metrics in reversed(curve) if moment <= fraction), None)
    return Progress(
        status="failed" if dead else "completed" if complete else "running",
        fraction=round(fraction, 6),
        logs=tuple(line for _, line in takewhile(lambda entry: entry[0] <= reached, _log(training, curve))),
        remaining_minutes=0.0 if dead or complete else round((1 - fraction) * duration_s / 60, 2),
        cost=(training.price * Decimal(str(round(fraction, 6)))).quantize(Decimal("0.000001")),
        metrics=metrics,
        final_metrics=metrics if complete else None,
        artifact_url=_artifact_url(training) if complete else None,
        error_message=death[1] if death is not None and dead else None,
    )


def _log(training: Training, curve: Curve) -> Iterator[tuple[float, str]]:
    """Every line with the fraction it appears at, in order, ending where a doomed job ends."""
    death = _death(training)
    end = death[0] if death else math.inf
    for moment, line in _whole_log(training, curve):
        if moment >= end:
            break
        yield moment, line
    if death:
        yield death[0], f"[error] {death[1]}"
        yield death[0], "[error] training stopped; no artifact was saved"


def _whole_log(training: Training, curve: Curve) -> Iterator[tuple[float, str]]:
    yield 0.0, f"[boot] {training.job_id} on 1x {training.gpu_type}, {training.hours:g} h reserved"
    yield BOOT_SHARE / 2, "[boot] image pulled, dataset mounted"
    yield BOOT_SHARE, f"[train] {training.epochs} epochs of {STEPS_PER_EPOCH} steps"
    for step, (moment, metrics) in enumerate(curve, start=1):
        epoch = (step - 1) // STEPS_PER_EPOCH + 1
        values = " ".join(f"{name}={value}" for name, value in metrics.items())
        yield moment, f"[train] epoch {epoch}/{training.epochs} step {step}/{_steps(training)} {values}"
        if step % STEPS_PER_EPOCH == 0:
            yield moment, f"[checkpoint] epoch {epoch} saved"
    yield 1.0, f"[done] artifact: {_artifact_url(training)}"


def _curve(training: Training) -> Curve:
    """The steps.

    Loss falls, accuracy rises; the noise is too small to turn either round between steps.
    """
    dice = random.Random(f"{training.seed}:{training.job_id}:curve")  # noqa: S311
    curve = []
    for step in range(1, _steps(training) + 1):
        share = step / _steps(training)
        distance = math.exp(-3 * share)
        learned = 1 - distance + (dice.random() - 0.5) * distance / _steps(training)
        metrics = {
            "loss": round(2.6 - 2.2 * learned, 4),
            "accuracy": round(0.10 + 0.85 * learned, 4),
            "samplesPerSecond": round(410 * (1 + 0.05 * dice.uniform(-1, 1)), 1),
        }
        curve.append((BOOT_SHARE + (1 - BOOT_SHARE) * share, metrics))
    return curve


def _death(training: Training) -> tuple[float, str] | None:
    """The fraction at which a doomed job dies, and its error."""
    if not training.doomed:
        return None
    dice = random.Random(f"{training.seed}:{training.job_id}:death")  # noqa: S311
    return round(dice.uniform(0.3, 0.7), 3), dice.choice(DEATHS)


def _steps(training: Training) -> int:
    return training.epochs * STEPS_PER_EPOCH


def _artifact_url(training: Training) -> str:
    return f"https://artifacts.example/{training.job_id}/model.safetensors"
