"""The container runner on a real engine: jobs run, ended, killed and lost, images refused, pulled and recorded."""

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from seller.runners import JobOrder, JobState, Limits, RunnerError, gpus
from seller.runners.container import ContainerRunner
from seller.runners.engine import FOLDER_LABEL, Engine, leftovers
from seller.runners.isolation import LOG_BYTES
from seller.runners.job_folder import JobFolder
from seller.runners.local import NODE_LOST
from tests.support.container_engine import API, IMAGE, OwnEngine
from tests.support.eventually import eventually

DEADLINE_S = 90.0
SECRET = "hf_it's not\na real one"
UP = "echo up; trap 'exit 0' TERM; sleep 78.1 & wait"
MakeRunner = Callable[..., ContainerRunner]


@pytest.fixture
def make_runner(engine: OwnEngine, tmp_path: Path) -> Iterator[MakeRunner]:
    def make(**options: Any) -> ContainerRunner:
        return ContainerRunner(tmp_path / "jobs", **{"engine": engine.url, "images": ["localhost/*"], **options})

    yield make
    for path in (tmp_path / "jobs").glob("*"):
        (path / "stop").write_text("the test is over")
        eventually(lambda path=path: not JobFolder(path).is_held(), DEADLINE_S)  # type: ignore[misc]
    make()
    assert own_containers(engine, tmp_path) == []


@pytest.fixture
def runner(make_runner: MakeRunner) -> ContainerRunner:
    return make_runner()


def own_containers(engine: OwnEngine, tmp_path: Path) -> list[str]:
    with engine.client() as api:
        return [container for container, _ in leftovers(api, str(tmp_path / "jobs"))]


def order(command: str | list[str] = UP, job_id: str = "job-1", **options: Any) -> JobOrder:
    return JobOrder(job_id, command, **{"duration_s": 60.0, "image": IMAGE, **options})


def ended(runner: ContainerRunner, job_id: str = "job-1") -> JobState:
    eventually(lambda: runner.state(job_id).phase == "ended", DEADLINE_S)
    return runner.state(job_id)


def output(runner: ContainerRunner, job_id: str = "job-1") -> list[str]:
    return runner.logs(job_id, 0)[0][1:]


def is_up(runner: ContainerRunner, job_id: str = "job-1") -> bool:
    return runner.state(job_id).phase == "running" and "up" in output(runner, job_id)


def supervisor(tmp_path: Path) -> psutil.Process:
    (pid,) = (tmp_path / "jobs").glob("*/pid")
    return psutil.Process(int(pid.read_text()))


def test_a_job_with_all_it_may_have(
    runner: ContainerRunner, engine: OwnEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Setup, inputs, what it resumes from, variables and secrets go in; outputs, log and exit code come out."""
    monkeypatch.setenv("SELLER_PRIVATE_KEY", "0xsecret")
    for name in ("corpus", "weights"):
        (tmp_path / name).write_text(f"{name} ")
    script = """
        cat data/corpus $GPUAGENT_RESUME/w/weights prepared; echo "$EPOCHS ${#TOKEN}"; env | grep -c SELLER
        echo more >> data/corpus; mkdir out; cp data/corpus out/c; touch $GPUAGENT_RESUME/x || echo read-only >&2; cat
        exit 7
    """
    job = order(
        script,
        setup="echo prepared > prepared",
        env={"EPOCHS": "3"},
        secrets={"TOKEN": SECRET},
        inputs={"data/corpus": tmp_path / "corpus"},
        resume={"w/weights": tmp_path / "weights"},
        outputs=["out/c", "missing"],
    )
    runner.start(job)
    assert ended(runner) == JobState("ended", 7, "", runner.state("job-1").ended_at)
    lines = output(runner)
    assert lines[:3] == ["corpus weights prepared", f"3 {len(SECRET)}", "0"]
    assert lines[-1] == "read-only"
    assert b"".join(runner.read("job-1", "out/c")) == b"corpus more\n"
    assert [entry.path for entry in runner.files("job-1")] == ["out/c"]
    (folder,) = (tmp_path / "jobs").iterdir()
    assert json.loads((folder / "image.json").read_text())["digest"] == f"localhost/busybox@{engine.digest}"
    assert runner.logs("job-1", 0)[0][0] == f"(image {IMAGE}, {engine.digest})"
    for path in [*tmp_path.rglob("*"), *engine.folder.rglob("*")]:
        assert not path.is_file() or path.is_symlink() or b"hf_it" not in path.read_bytes(), path
    assert own_containers(engine, tmp_path) == []
    runner.start(job)
    assert runner.state("job-1").phase == "ended", "a job is never started twice"


def test_a_command_that_is_not_there(runner: ContainerRunner, engine: OwnEngine, tmp_path: Path) -> None:
    runner.start(order(["nosuch"]))
    assert ended(runner).reason == "it could not be started: there is no such command in the image: 'nosuch'"
    assert own_containers(engine, tmp_path) == []


def test_killed_by_the_operator(runner: ContainerRunner, engine: OwnEngine, tmp_path: Path) -> None:
    for job_id in ("killed", "removed"):
        runner.start(order(job_id=job_id))
    for job_id, deed in (("killed", ["kill"]), ("removed", ["rm", "-f", "-t", "0"])):
        eventually(lambda job_id=job_id: is_up(runner, job_id), DEADLINE_S)  # type: ignore[misc]
        with engine.client() as api:
            name = runner._known(job_id).path.name
            ((container, _),) = leftovers(api, str(tmp_path / "jobs"), name)
        engine.podman(*deed, container)
        state = ended(runner, job_id)
        assert state.exit_code is None
        assert "from outside" in state.reason
    assert own_containers(engine, tmp_path) == []


def test_how_a_container_is_made_and_stopped(make_runner: MakeRunner, engine: OwnEngine, tmp_path: Path) -> None:
    """As the engine itself says it; what a job sees of that is told by the attacks. The end is polite at first."""
    runner = make_runner(limits=Limits(memory=64 * 2**20, cpus=0.5, pids=30))
    runner.start(order("trap 'echo bye; exit 0' TERM; echo up; sleep 78.1 & wait"))
    eventually(lambda: is_up(runner), DEADLINE_S)
    (container,) = own_containers(engine, tmp_path)
    with engine.client() as api:
        details = api.inspect_container(container)
    host = details["HostConfig"]
    assert (host["Memory"], host["MemorySwap"], host["PidsLimit"], host["NanoCpus"]) == (2**26, 2**26, 30, 5 * 10**8)
    assert (host["ReadonlyRootfs"], host["NetworkMode"], host["Privileged"]) == (True, "none", False)
    assert "no-new-privileges" in str(host["SecurityOpt"])
    assert details["Config"]["Labels"][FOLDER_LABEL] == str(tmp_path / "jobs")
    assert host["LogConfig"]["Type"] == "json-file" or host["LogConfig"]["Size"] in ("", f"{2 * LOG_BYTES}")
    assert sorted(mount["Destination"] for mount in details["Mounts"] if mount["Type"] == "bind") == ["/job"]
    runner.stop("job-1", "the buyer cancelled it")
    assert (ended(runner).exit_code, ended(runner).reason) == (None, "the buyer cancelled it")
    assert output(runner) == ["up", "bye"]


def test_its_supervisor_is_killed(make_runner: MakeRunner, engine: OwnEngine, tmp_path: Path) -> None:
    """The state says so and the container goes; so it does when the seller comes back, whatever is asked first."""
    runner = make_runner()
    runner.start(order(job_id="looked at"))
    eventually(lambda: is_up(runner, "looked at"), DEADLINE_S)
    supervisor(tmp_path).kill()
    state = ended(runner, "looked at")
    assert (state.exit_code, state.reason) == (None, NODE_LOST)
    assert own_containers(engine, tmp_path) == []
    runner.forget("looked at")
    runner.start(order(job_id="found"))
    eventually(lambda: is_up(runner, "found"), DEADLINE_S)
    process = supervisor(tmp_path)
    process.kill()
    process.wait(DEADLINE_S)
    assert len(own_containers(engine, tmp_path)) == 1
    make_runner()
    assert own_containers(engine, tmp_path) == []


def test_the_loss_of_a_machine_and_a_seller_that_comes_back(
    make_runner: MakeRunner, engine: OwnEngine, tmp_path: Path
) -> None:
    runner = make_runner()
    runner.start(order("echo up; while [ ! -e go ]; do sleep 0.05; done; echo done"))
    eventually(lambda: is_up(runner), DEADLINE_S)
    adopter = make_runner()
    assert adopter.state("job-1").phase == "running", "what a supervisor holds is not swept away"
    next(tmp_path.rglob("work")).joinpath("go").touch()
    assert (ended(adopter).exit_code, output(adopter)) == (0, ["up", "done"])
    runner.start(order(job_id="job-2"))
    eventually(lambda: is_up(runner, "job-2"), DEADLINE_S)
    runner.kill("job-2")
    assert (runner.state("job-2").exit_code, runner.state("job-2").reason) == (None, NODE_LOST)
    assert own_containers(engine, tmp_path) == []
    runner.forget("job-2")
    with pytest.raises(RunnerError, match="there is no job"):
        runner.state("job-2")


def test_an_engine_that_is_restarted(runner: ContainerRunner, engine: OwnEngine, tmp_path: Path) -> None:
    """Its containers live on: no line of the log is lost, none is there twice, and the exit code is the job's."""
    runner.start(order("echo up; while [ ! -e go ]; do sleep 0.05; done; seq 3; exit 5"))
    eventually(lambda: is_up(runner), DEADLINE_S)
    engine.kill()
    next(tmp_path.rglob("work")).joinpath("go").touch()
    engine.start()
    assert ended(runner).exit_code == 5
    assert output(runner) == ["up", "1", "2", "3"]


def test_images_that_are_not_run(make_runner: MakeRunner, engine: OwnEngine) -> None:
    digest = f"localhost/busybox@{engine.digest}"
    runner = make_runner(images=[digest, "docker.io/pytorch/*"])
    assert runner.refusal(digest) == ""
    assert runner.refusal("pytorch/pytorch:2.6") == ""
    for image, words in (
        ("", "name an image"),
        (IMAGE, "does not run the image localhost/busybox:latest; it runs localhost/busybox@sha256"),
        (f"localhost/busybox@sha256:{'0' * 64}", "does not run the image"),
        ("docker.io/library/pytorch/x", "does not run"),
        ("dir:/etc", "no name of an image"),
        ("oci-archive:/etc/shadow", "no name of an image"),
    ):
        assert words in runner.refusal(image), image
        with pytest.raises(RunnerError, match="image"):
            runner.start(order(image=image))
        with pytest.raises(RunnerError, match="there is no job"):
            runner.state("job-1")
    runner.start(order("echo by digest", image=digest))
    assert (ended(runner).exit_code, output(runner)) == (0, ["by digest"])


def test_images_that_are_not_to_be_had(make_runner: MakeRunner, engine: OwnEngine) -> None:
    """A registry that takes the connection and says nothing, then none at all, and a name of no registry."""
    with socket.create_server(("127.0.0.1", 0)) as registry:
        host = f"127.0.0.1:{registry.getsockname()[1]}"
        runner = make_runner(images=["127.0.0.1*", "localhost/*"], pull_s=4.0)
        runner.start(order(job_id="silent", image=f"{host}/x"))
        runner.start(order(job_id="stopped", image=f"{host}/y"))
        runner.start(order(job_id="local", image="localhost/gone"))
        runner.start(order(job_id="closed", image="127.0.0.1:1/x"))
        runner.stop("stopped", "the buyer cancelled it")
        assert ended(runner, "local").reason == "the image localhost/gone:latest is no longer on the seller's machine"
        assert ended(runner, "silent").reason == f"the image {host}/x:latest could not be pulled within 4 s"
        assert ended(runner, "stopped").reason == "the buyer cancelled it"
        assert "could not be pulled" in ended(runner, "closed").reason


def test_a_gpu_that_the_engine_does_not_hand_out(make_runner: MakeRunner) -> None:
    """Podman drops Docker's request for one without a word, and the job would run without."""
    runner = make_runner(gpus="nvidia")
    runner.start(order("echo ran"))
    assert "the engine gave it 0 of all GPUs" in ended(runner).reason
    assert output(runner) == []
    runner = make_runner(gpus="cdi")
    runner.start(order("echo ran", job_id="job-2"))
    assert ended(runner, "job-2").exit_code is None
    assert output(runner, "job-2") == []


@pytest.mark.parametrize(
    ("seen", "ids", "passes"),
    [("/dev/nvidia0\n/dev/nvidia1\n", ("0", "1"), True), ("/dev/nvidia0\n", ("0", "1"), False), ("/dev/dxg", (), True)],
)
def test_gpus_are_counted(seen: str, ids: tuple[str, ...], passes: bool) -> None:
    assert (gpus.problem(0, seen, ids) == "") is passes


@pytest.mark.parametrize(
    ("kind", "ids", "driver", "names", "count"),
    [
        ("nvidia", ("1",), "", ["1"], 0),
        ("nvidia", (), "", [], -1),
        ("cdi", ("0", "1"), "cdi", ["nvidia.com/gpu=0", "nvidia.com/gpu=1"], 0),
        ("cdi", (), "cdi", ["nvidia.com/gpu=all"], 0),
    ],
)
def test_gpus_by_their_names(kind: str, ids: tuple[str, ...], driver: str, names: list[str], count: int) -> None:
    (request,) = gpus.request(kind, ids)["device_requests"]
    assert (request["Driver"], request["DeviceIDs"], request["Count"]) == (driver, names, count)
    assert gpus.request("none", ids) == {}


def test_a_runner_that_cannot_be(make_runner: MakeRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RunnerError, match=r"no container engine answers at unix:///none: start it"):
        make_runner(engine="unix:///none")
    with pytest.raises(RunnerError, match="has no network 'jobs': create it"):
        make_runner(network="jobs")
    with pytest.raises(RunnerError, match=r"runner\.network is host"):
        make_runner(network="host")
    monkeypatch.setattr("seller.runners.engine.find_spec", lambda name: None)
    with pytest.raises(RunnerError, match="pip install"):
        make_runner()


def test_what_it_does_not_contain(make_runner: MakeRunner) -> None:
    bounded = make_runner(limits=Limits(memory=2**30, cpus=1.0))
    assert [notice.partition(":")[0] for notice in bounded.notices] == [
        "the disk of a job's folder is looked at once a second, not bounded by the kernel"
    ]
    notices = make_runner(images=[], limits=Limits(pids=0)).notices
    assert {"it runs none", "set runner.memory", "set runner.cpus", "set runner.pids"} <= {
        next(
            (
                words
                for words in ("it runs none", *map("set runner.{}".format, ("memory", "cpus", "pids")))
                if words in n
            ),
            "",
        )
        for n in notices
    }


def test_the_version_of_the_api_is_asked_for_once(engine: OwnEngine) -> None:
    assert Engine.at(engine.url) == Engine(engine.url, API)
