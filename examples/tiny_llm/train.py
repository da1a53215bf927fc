"""A character-level language model: a gated recurrent net in numpy, trained on the texts beside it.

It keeps to what a job file promises. Each line of metrics.jsonl is a metric; checkpoint/ holds the files from which
another machine goes on, and in progress.json how far they reach; GPUAGENT_RESUME names such a folder when there is one.
Every batch follows from the seed and the step alone, so a resumed training gives the model of an uninterrupted one.

The net is the GRU of Cho et al. 2014 (arXiv:1406.1078) in the form with one reset before the recurrent product
(cuDNN's), trained by truncated backpropagation through time with Adam (Kingma and Ba 2014, arXiv:1412.6980).
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

Parameters = dict[str, np.ndarray]

HIDDEN, BATCH, LENGTH = 96, 24, 32
RATE, DECAY_1, DECAY_2, CLIP = 6e-3, 0.9, 0.99, 1.0
CHECKPOINT = Path("checkpoint")
METRICS = Path("metrics.jsonl")


def read_corpus(folder: Path) -> tuple[np.ndarray, str]:
    """The texts in a folder as indices into their alphabet, and the alphabet. Rare characters become a blank."""
    text = "\n".join(path.read_text("utf-8") for path in sorted(folder.rglob("*.md")))
    counts = {char: text.count(char) for char in set(text)}
    alphabet = "".join(sorted(char for char, count in counts.items() if count > 20))
    index = {char: number for number, char in enumerate(alphabet)}
    return np.array([index.get(char, index[" "]) for char in text]), alphabet


def new_parameters(symbols: int, seed: int) -> Parameters:
    """inputs: symbols by three gates; recurrent: hidden by three gates; output: hidden by symbols."""
    rng = np.random.default_rng(seed)
    scale = HIDDEN**-0.5
    return {
        "inputs": rng.normal(0, 0.1, (symbols, 3 * HIDDEN)),
        "recurrent": rng.normal(0, scale, (HIDDEN, 3 * HIDDEN)),
        "bias": np.zeros(3 * HIDDEN),
        "output": rng.normal(0, scale, (HIDDEN, symbols)),
        "output_bias": np.zeros(symbols),
    }


def batch(corpus: np.ndarray, seed: int, step: int) -> np.ndarray:
    """BATCH random windows of LENGTH + 1 symbols."""
    starts = np.random.default_rng((seed, step)).integers(0, len(corpus) - LENGTH - 1, BATCH)
    return corpus[starts[:, None] + np.arange(LENGTH + 1)]


def sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values))


def cell(weights: Parameters, symbols: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """The next state, and what its gradient needs."""
    of_input = weights["inputs"][symbols] + weights["bias"]
    of_state = state @ weights["recurrent"]
    update = sigmoid(of_input[:, :HIDDEN] + of_state[:, :HIDDEN])
    reset = sigmoid(of_input[:, HIDDEN : 2 * HIDDEN] + of_state[:, HIDDEN : 2 * HIDDEN])
    recurrent = of_state[:, 2 * HIDDEN :]
    candidate = np.tanh(of_input[:, 2 * HIDDEN :] + reset * recurrent)
    return update * state + (1 - update) * candidate, (state, update, reset, recurrent, candidate)


def loss_and_gradients(weights: Parameters, windows: np.ndarray) -> tuple[float, Parameters]:
    """The mean cross-entropy in nats per character, and its gradients."""
    state = np.zeros((BATCH, HIDDEN))
    states, caches = [], []
    for time in range(LENGTH):
        state, cache = cell(weights, windows[:, time], state)
        states.append(state)
        caches.append(cache)
    hidden = np.stack(states, 1)
    scores = hidden @ weights["output"] + weights["output_bias"]
    scores -= scores.max(-1, keepdims=True)
    likelihood = np.exp(scores)
    likelihood /= likelihood.sum(-1, keepdims=True)
    rows, times = np.arange(BATCH)[:, None], np.arange(LENGTH)
    loss = -np.log(likelihood[rows, times, windows[:, 1:]] + 1e-12).mean()
    error = likelihood
    error[rows, times, windows[:, 1:]] -= 1
    error /= BATCH * LENGTH
    gradients = {name: np.zeros_like(values) for name, values in weights.items()}
    gradients["output"] = np.tensordot(hidden, error, ((0, 1), (0, 1)))
    gradients["output_bias"] = error.sum((0, 1))
    of_hidden = error @ weights["output"].T
    later = np.zeros((BATCH, HIDDEN))
    for time in reversed(range(LENGTH)):
        later = _backward(weights, gradients, windows[:, time], caches[time], of_hidden[:, time] + later)
    return float(loss), gradients


def _backward(
    weights: Parameters,
    gradients: Parameters,
    symbols: np.ndarray,
    cache: tuple[np.ndarray, ...],
    of_state: np.ndarray,
) -> np.ndarray:
    """Adds one step's share to the gradients; the gradient of the state before it."""
    state, update, reset, recurrent, candidate = cache
    of_candidate = of_state * (1 - update) * (1 - candidate**2)
    of_update = of_state * (state - candidate) * update * (1 - update)
    of_reset = of_candidate * recurrent * reset * (1 - reset)
    of_gates = np.concatenate([of_update, of_reset, of_candidate], 1)
    of_products = np.concatenate([of_update, of_reset, of_candidate * reset], 1)
    np.add.at(gradients["inputs"], symbols, of_gates)
    gradients["bias"] += of_gates.sum(0)
    gradients["recurrent"] += state.T @ of_products
    return of_state * update + of_products @ weights["recurrent"].T


def learn(weights: Parameters, first: Parameters, second: Parameters, gradients: Parameters, step: int) -> None:
    """One step of Adam, in place. The gradients' common norm is at most CLIP."""
    norm = np.sqrt(sum((values**2).sum() for values in gradients.values()))
    shrink = min(1.0, CLIP / (norm + 1e-12))
    for name, values in gradients.items():
        gradient = values * shrink
        first[name] = DECAY_1 * first[name] + (1 - DECAY_1) * gradient
        second[name] = DECAY_2 * second[name] + (1 - DECAY_2) * gradient**2
        mean = first[name] / (1 - DECAY_1**step)
        weights[name] -= RATE * mean / (np.sqrt(second[name] / (1 - DECAY_2**step)) + 1e-8)


def sample(weights: Parameters, alphabet: str, seed: int, length: int = 160, temperature: float = 0.5) -> str:
    """Text as the model writes it."""
    rng = np.random.default_rng(seed)
    state, symbol, text = np.zeros((1, HIDDEN)), alphabet.index("\n"), ""
    for _ in range(length):
        state, _ = cell(weights, np.array([symbol]), state)
        scores = (state @ weights["output"] + weights["output_bias"])[0] / temperature
        likelihood = np.exp(scores - scores.max())
        symbol = int(rng.choice(len(alphabet), p=likelihood / likelihood.sum()))
        text += alphabet[symbol]
    return text


def save_checkpoint(folder: Path, arrays: Mapping[str, np.ndarray], step: int, steps: int) -> None:
    """Each file appears whole or not at all; progress.json comes last and counts only with the step's weights."""
    folder.mkdir(exist_ok=True)
    with (folder / "weights.npz.part").open("wb") as file:
        np.savez(file, **arrays, step=step)
    (folder / "weights.npz.part").replace(folder / "weights.npz")
    (folder / "progress.json.part").write_text(json.dumps({"fraction": round(step / steps, 4), "step": step}))
    (folder / "progress.json.part").replace(folder / "progress.json")


def main(environ: Mapping[str, str] = os.environ) -> None:
    steps, seed = int(environ.get("STEPS", "300")), int(environ.get("SEED", "1"))
    every = int(environ.get("CHECKPOINT_STEPS", "50"))
    corpus, alphabet = read_corpus(Path())
    weights = new_parameters(len(alphabet), seed)
    first, second = ({name: np.zeros_like(values) for name, values in weights.items()} for _ in range(2))
    step = 0
    if resume := environ.get("GPUAGENT_RESUME"):
        arrays = np.load(Path(resume) / "weights.npz")
        step = int(arrays["step"])
        for group, part in (("weights", weights), ("first", first), ("second", second)):
            part.update({name: arrays[f"{group}.{name}"] for name in part})
        print(f"resumed at step {step} of {steps}", flush=True)
    with METRICS.open("a") as metrics:
        while step < steps:
            loss, gradients = loss_and_gradients(weights, batch(corpus, seed, step))
            step += 1
            learn(weights, first, second, gradients, step)
            if step % 10 == 0 or step == steps:
                metrics.write(json.dumps({"step": step, "loss": round(loss, 4)}) + "\n")
                metrics.flush()
            if step % 50 == 0:
                print(f"step {step}: loss {loss:.3f}", flush=True)
            if step % every == 0 and step < steps:
                groups = (("weights", weights), ("first", first), ("second", second))
                arrays = {f"{group}.{name}": values for group, part in groups for name, values in part.items()}
                save_checkpoint(CHECKPOINT, arrays, step, steps)
    text = sample(weights, alphabet, seed)
    Path("sample.txt").write_text(text, "utf-8")
    with Path("model.npz").open("wb") as file:
        np.savez(file, alphabet=np.array(alphabet), **weights)
    print(f"it writes: {' '.join(text.split())[:70]}", flush=True)


if __name__ == "__main__":
    main()
