"""Tasks of SkyPilot and dstack become job files; what does not map is named."""

import pytest

from gpuagent.errors import BadInput
from gpuagent.wire.job_file import read_job_file
from gpuagent.wire.job_import import import_job

SKYPILOT = """\
name: Train GPT
resources:
  accelerators: {A100: 2}
  cpus: 8+
  memory: 32+
  disk_size: 100
  image_id: docker:pytorch/pytorch:2.4
envs: {EPOCHS: 3, BATCH: "8"}
secrets: {HF_TOKEN: null}
file_mounts: {~/train.py: ./train.py}
setup: pip install numpy
run: |
  python train.py
"""
DSTACK = """\
type: task
name: train
python: "3.12"
commands: [pip install numpy, python train.py]
env: [HF_TOKEN, EPOCHS=3]
files: [train.py]
resources: {gpu: H100, memory: 32GB.., disk: 100GB.., cpu: 8..}
max_duration: 2h
"""


def test_a_skypilot_task() -> None:
    job = read_job_file(import_job(SKYPILOT.encode(), "task.yaml").encode())
    assert (job.name, job.image, job.setup) == ("train-gpt", "pytorch/pytorch:2.4", "pip install numpy")
    assert (job.resources.gpu, job.resources.cpu, job.resources.memory) == ("A100:2", 8, 32 * 10**9)
    assert (job.env, job.secrets) == ({"EPOCHS": "3", "BATCH": "8"}, ["HF_TOKEN"])
    assert job.local_files == {"train.py": "./train.py"}


def test_a_dstack_task() -> None:
    job = read_job_file(import_job(DSTACK.encode(), ".dstack.yml").encode())
    assert job.command == "pip install numpy &&\npython train.py"
    assert (job.image, job.max_duration) == ("docker.io/library/python:3.12-slim", 7200)
    assert (job.resources.gpu, job.resources.cpu, job.resources.disk) == ("H100", 8, 100 * 10**9)
    assert (job.env, job.secrets) == ({"EPOCHS": "3"}, ["HF_TOKEN"])


@pytest.mark.parametrize(
    ("task", "gpu", "gpu_memory", "memory"),
    [
        ("run: x\nresources: {gpus: H100, memory: 32GB+}", "H100", None, 32 * 10**9),
        ("run: x\nresources: {accelerators: A100-80GB:2, memory: 64}", "A100-80GB:2", None, 64 * 10**9),
        ("run: x\nresources: {cpus: 2}", "CPU", None, None),
        ("type: task\ncommands: [x]", "CPU", None, None),
        ("type: task\ncommands: [x]\nresources: {gpu: 'A100:80GB'}", "A100", 80 * 10**9, None),
        ("type: task\ncommands: [x]\nresources: {gpu: 'A100:40GB..:2'}", "A100:2", 40 * 10**9, None),
        (
            "type: task\ncommands: [x]\nresources: {gpu: {name: A100, memory: 80GB, count: 2}}",
            "A100:2",
            80 * 10**9,
            None,
        ),
    ],
)
def test_a_machine_in_each_form(task: str, gpu: str, gpu_memory: int | None, memory: int | None) -> None:
    """A task that names no GPU gets none: it is not to be paid for what it does without."""
    needs = read_job_file(import_job(task.encode(), "task.yaml").encode()).resources
    assert (needs.gpu, needs.gpu_memory, needs.memory) == (gpu, gpu_memory, memory)


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        (SKYPILOT + "num_nodes: 2\nworkdir: .\nservice: {port: 80}\n", ["num_nodes", "workdir", "service"]),
        (SKYPILOT.replace("{A100: 2}", "{A100: 2, H100: 1}"), ["resources.accelerators"]),
        (SKYPILOT.replace("  cpus: 8+", "  cpus: many\n  use_spot: true"), ["resources.cpus", "resources.use_spot"]),
        (SKYPILOT.replace("./train.py", "s3://bucket/x"), ["file_mounts.~/train.py"]),
        (SKYPILOT.replace("~/train.py", "/data/train.py"), ["file_mounts./data/train.py"]),
        (SKYPILOT.replace("null", "hf_x"), ["secrets.HF_TOKEN"]),
        (SKYPILOT.replace("EPOCHS: 3", "EPOCHS: null"), ["envs.EPOCHS"]),
        (DSTACK + "nodes: 3\nports: [80]\n", ["nodes", "ports"]),
        (DSTACK.replace("gpu: H100", "gpu: 24GB, shm_size: 8GB"), ["resources.gpu", "resources.shm_size"]),
        (DSTACK.replace("gpu: H100", "gpu: 'A10G,A100'"), ["resources.gpu"]),
        (DSTACK.replace("gpu: H100", "gpu: {name: [A100, H100]}"), ["resources.gpu"]),
        (DSTACK.replace("[train.py]", "[train.py, ~/a:b]"), ["files"]),
        ("type: service\nname: x\ncommands: [a]\n", ["type", "commands"]),
    ],
)
def test_what_does_not_map_is_named(text: str, fields: list[str]) -> None:
    with pytest.raises(BadInput) as refusal:
        import_job(text.encode(), "task.yaml")
    assert [line.split(": ")[1] for line in str(refusal.value).splitlines()] == fields


@pytest.mark.parametrize("text", ["", "- 1", "run: &a [*a]", "name: x"])
def test_what_is_no_task_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        import_job(text.encode(), "task.yaml")
