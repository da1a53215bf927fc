"""The files in deploy/: every key known, every value of its form, and every command line one that the agent takes."""

import re
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from gpuagent.cli.schedule import schedules
from gpuagent.schedule.parameters import parameter_types, parse_parameters
from gpuagent.schedule.run_name import NAME
from tests.support.cron_machine import CronMachine
from tests.support.notebooks import FOLDER, SCHEDULED

DEPLOY = FOLDER.parent / "deploy"
UNITS = sorted((DEPLOY / "systemd").iterdir())
SPAN = r"(\d+(s|min|h|d)?)+"
TEXT, UNIT, PATH = r"\S.*", r"[a-z-]+(@(%[in])?)?\.(service|timer|target)", r"/[\w./%@-]+"
YES = "yes|no|true|false"
KEYS: Mapping[str, Mapping[str, str]] = {
    "Unit": {
        "Description": TEXT,
        **dict.fromkeys(("Wants", "After", "OnFailure"), UNIT),
        "StartLimitIntervalSec": SPAN,
    },
    "Service": {
        "Type": "oneshot",
        **dict.fromkeys(("User", "Group"), "[a-z]+"),
        "EnvironmentFile": PATH,
        "Environment": r"[A-Z_]+=\S+( [A-Z_]+=\S+)*",
        "StateDirectory": "[a-z]+",
        **dict.fromkeys(("StateDirectoryMode", "UMask"), "0[0-7]{3}"),
        "WorkingDirectory": PATH,
        "ExecStart": r"/\S+ .*",
        **dict.fromkeys(("TimeoutStartSec", "TimeoutStopSec", "RestartSec"), SPAN),
        "KillMode": "mixed|control-group",
        "KillSignal": "SIGTERM",
        "Restart": "on-failure",
        "RestartPreventExitStatus": r"\d+( \d+)*",
        **dict.fromkeys(("NoNewPrivileges", "PrivateTmp", "PrivateDevices", "ProtectHome"), YES),
        **dict.fromkeys(("ProtectKernelTunables", "ProtectControlGroups"), YES),
        "ProtectSystem": "strict",
        "RestrictAddressFamilies": r"AF_\w+( AF_\w+)*",
    },
    "Timer": {
        "OnCalendar": r"\*-\*-\* \d\d:\d\d:\d\d UTC",
        "RandomizedDelaySec": SPAN,
        "Persistent": YES,
        "Unit": UNIT,
    },
    "Install": {"WantedBy": UNIT},
}
"""The keys that we use of systemd.{unit,service,exec,timer}(5), and the form of their values."""

Unit = dict[str, dict[str, str]]


def parse_unit(text: str) -> Unit:
    """Strict: a known section, a known key, each once, a value of its form. Raises ValueError with the line."""
    sections: Unit = {}
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        if header := re.fullmatch(r"\[(\w+)\]", line):
            section = header[1]
            if section not in KEYS or section in sections:
                raise ValueError(f"line {number}: section {section}")
            sections[section] = {}
            continue
        key, equals, value = line.partition("=")
        if not section or not equals or key not in KEYS[section] or key in sections[section]:
            raise ValueError(f"line {number}: {key} in [{section}]")
        if not re.fullmatch(KEYS[section][key], value):
            raise ValueError(f"line {number}: {key}={value}")
        sections[section][key] = value
    return sections


def unit(name: str) -> Unit:
    return parse_unit((DEPLOY / "systemd" / name).read_text())


def assert_command_taken(arguments: list[str], variables: Mapping[str, str]) -> dict[str, Any]:
    """The options and parameters that `gpuagent schedule run` reads, with the notebook of this tree."""
    for name, value in variables.items():
        arguments = [word.replace(name, value) for word in arguments]
    assert not any(re.search(r"[$%]", word) for word in arguments), arguments
    *_, command, subcommand, notebook = arguments[:4]
    assert (Path(arguments[0]).name, command, subcommand) == ("gpuagent", "schedule", "run")
    assert FOLDER / Path(notebook).name == SCHEDULED
    click_command = typer.main.get_command(schedules).commands["run"]  # type: ignore[attr-defined]
    options = click_command.make_context("run", arguments[3:]).params
    texts = [tuple(text.partition("=")[::2]) for text in options["parameter"]]
    values = parse_parameters(parameter_types(SCHEDULED), texts)  # type: ignore[arg-type]
    assert NAME.fullmatch(str(values["run_id"]))
    assert "practice" in options
    assert not options["practice"]
    return {**options, **values}


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_units_hold_known_keys_with_values_of_their_form(path: Path) -> None:
    sections = parse_unit(path.read_text())
    assert {"Unit"} < set(sections)
    for key in ("OnFailure", "Unit"):
        template = {**sections["Unit"], **sections.get("Timer", {})}.get(key)
        if template:  # the template it is an instance of is here too
            assert (path.parent / re.sub(r"@.*\.", "@.", template)).exists()


def test_the_service_calls_what_there_is() -> None:
    service = unit("gpuagent-run@.service")["Service"]
    arguments = shlex.split(service["ExecStart"])
    values = assert_command_taken(
        arguments, {"%i": "nightly", "${GOAL}": "Fine-tune", "${BUDGET}": "5", "${TIMEZONE}": "UTC"}
    )
    assert (values["per"], values["run_id"], values["max_ticks"]) == ("day", "nightly", 3000)
    assert (values["timezone"], values["keep"]) == ("UTC", 60)
    for option in ("out", "locks"):
        assert str(values[option]).startswith("/var/lib/gpuagent/")
    assert service["StateDirectory"] == "gpuagent"
    assert service["RestartPreventExitStatus"] == "1 2 4"


def test_the_service_gives_the_command_time_to_stop() -> None:
    from gpuagent.schedule.papermill import GRACE_S

    service = unit("gpuagent-run@.service")["Service"]
    assert service["KillMode"] == "mixed"
    assert int(service["TimeoutStopSec"]) > 2 * GRACE_S
    assert manifest()["spec"]["jobTemplate"]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > 2 * GRACE_S


def test_the_timer_fires_the_service_and_catches_up() -> None:
    timer = unit("gpuagent-run@.timer")
    assert timer["Timer"]["Unit"] == "gpuagent-run@%i.service"
    assert timer["Timer"]["Persistent"] == "true"
    assert timer["Install"]["WantedBy"] == "timers.target"


@pytest.mark.parametrize(
    "broken",
    [
        "[Service]\nExecstart=/bin/true x",
        "[Service]\nType=oneshot\nType=oneshot",
        "[Servce]\nType=oneshot",
        "Type=oneshot",
        "[Service]\nTimeoutStopSec=soon",
        "[Service]\nRestart = on-failure",
        "[Service]\nExecStart=gpuagent schedule run",
        "[Timer]\nOnCalendar=every night",
    ],
)
def test_the_check_of_units_bites(broken: str) -> None:
    with pytest.raises(ValueError, match="line"):
        parse_unit(broken)


class StrictLoader(yaml.SafeLoader):
    """A loader that refuses a key that stands twice, which YAML itself leaves open."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        assert len(set(keys)) == len(keys), keys
        return super().construct_mapping(node, deep=deep)


def manifest() -> Any:
    return yaml.load((DEPLOY / "kubernetes" / "cronjob.yaml").read_text(), StrictLoader)


OBJECTS: Mapping[str, str] = {
    "": "apiVersion kind metadata spec",
    "metadata": "name labels",
    "spec": "schedule timeZone concurrencyPolicy startingDeadlineSeconds successfulJobsHistoryLimit"
    " failedJobsHistoryLimit jobTemplate",
    "spec.jobTemplate": "spec",
    "spec.jobTemplate.spec": "backoffLimit activeDeadlineSeconds ttlSecondsAfterFinished podFailurePolicy template",
    "spec.jobTemplate.spec.template": "metadata spec",
    "spec.jobTemplate.spec.template.spec": "restartPolicy automountServiceAccountToken terminationGracePeriodSeconds"
    " securityContext containers volumes",
    "spec.jobTemplate.spec.template.spec.containers": "name image command args env envFrom securityContext resources"
    " volumeMounts",
}
"""Where which keys of the batch/v1 API may stand: a misplaced one is ignored or refused only on a cluster."""


def test_the_cronjob_has_known_keys_in_their_places() -> None:
    for place, keys in OBJECTS.items():
        node = manifest()
        for step in filter(None, place.split(".")):
            node = node[step]
        for entry in node if isinstance(node, list) else [node]:
            assert set(entry) == set(keys.split()), place
    assert (manifest()["apiVersion"], manifest()["kind"]) == ("batch/v1", "CronJob")


def test_the_cronjob_runs_one_at_a_time_and_tries_again_what_may_pass() -> None:
    spec = manifest()["spec"]
    assert spec["concurrencyPolicy"] == "Forbid"
    assert re.fullmatch(r"(\S+ ){4}\S+", spec["schedule"])
    job = spec["jobTemplate"]["spec"]
    fail, ignore = job["podFailurePolicy"]["rules"]
    assert (fail["action"], fail["onExitCodes"]["operator"], fail["onExitCodes"]["values"]) == ("FailJob", "In", [1, 2])
    assert ignore["action"] == "Ignore"
    pod = job["template"]["spec"]
    assert pod["restartPolicy"] == "Never"  # which a podFailurePolicy demands
    assert fail["onExitCodes"]["containerName"] == pod["containers"][0]["name"]
    assert isinstance(job["backoffLimit"], int)
    assert isinstance(job["activeDeadlineSeconds"], int)


def test_the_cronjob_calls_what_there_is_and_names_the_run_after_the_job() -> None:
    (container,) = manifest()["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    arguments = [*container["command"], *container["args"]]
    assert all(isinstance(word, str) for word in arguments)
    env = {variable["name"]: variable for variable in container["env"]}
    assert "job-name" in env["JOB_NAME"]["valueFrom"]["fieldRef"]["fieldPath"]
    assert all(isinstance(variable.get("value", ""), str) for variable in env.values())
    variables = {
        "$(JOB_NAME)": "gpuagent-nightly-29000000",
        "$(GOAL)": env["GOAL"]["value"],
        "$(BUDGET)": env["BUDGET"]["value"],
    }
    values = assert_command_taken(arguments, variables)
    assert (values["run_id"], values["budget"], values["keep"]) == ("gpuagent-nightly-29000000", "5", 60)


RECORDER = """#!/bin/sh
{ printf '%s\\0' "$@"; printf '\\0'; env -0; } >"$HOME/recorded"
echo result
cat "$HOME/news" >&2
exit "$(cat "$HOME/code")"
"""
"""In the place of `gpuagent`: writes down how it was called, and ends as it is told."""


@pytest.fixture
def machine(tmp_path: Path) -> CronMachine:
    return CronMachine(tmp_path, RECORDER, env_of_the_readme())


def env_of_the_readme() -> str:
    (text,) = re.findall(r"<<'ENV'\n(.*?)ENV\n", (DEPLOY / "README.md").read_text(), re.DOTALL)
    return str(text)


def ends(machine: CronMachine, code: int, news: str) -> "subprocess.CompletedProcess[str]":
    """What comes of the cron line where the agent ends with this code and these words."""
    (machine.home / "code").write_text(str(code))
    (machine.home / "news").write_text(news)
    return machine.run()


def test_the_cron_line_runs_in_what_cron_gives_it(machine: CronMachine) -> None:
    """Every variable of the file reaches the agent, whatever stands in its value."""
    odd = "mongodb+srv://ada:p%40ss@host/?retryWrites=true&w=majority;x=$HOME #1"
    machine.file.write_text(f"{env_of_the_readme()}MONGODB_URI='{odd}'\nTIMEZONE=Europe/Berlin\n")
    process = ends(machine, 0, "news")
    assert (process.returncode, process.stdout, process.stderr) == (0, "", "")
    arguments, _, variables = (machine.home / "recorded").read_text().partition("\0\0")
    words = [word.replace(f"{machine.root}/", "/") for word in arguments.split("\0")]
    values = assert_command_taken(["/opt/gpuagent/.venv/bin/gpuagent", *words], {})
    assert (values["per"], values["run_id"], values["timezone"]) == ("day", "nightly", "Europe/Berlin")
    assert (values["goal"], values["budget"], values["keep"]) == ("Fine-tune tiny-llm", "5", 60)
    environment = dict(entry.partition("=")[::2] for entry in variables.split("\0") if entry)
    assert (environment["MONGODB_URI"], environment["HOME"]) == (odd, str(machine.home))
    assert {"CHAIN_RPC_URL", "X402_NETWORK", "X402_KEYSTORE", "GPU_VENDOR_SECRET"} <= set(environment)


@pytest.mark.parametrize(
    ("code", "news", "mail"),
    [
        *((code, "news", "") for code in (0, 3, 4)),
        *((code, "news", "news\n") for code in (1, 2, 5, 143)),
        (1, "", ""),  # it had failed before
    ],
)
def test_cron_mails_what_needs_somebody_once(machine: CronMachine, code: int, news: str, mail: str) -> None:
    process = ends(machine, code, news)
    assert (process.returncode, process.stdout, process.stderr) == (code, "", mail)


def test_a_cron_line_without_its_file_says_so(machine: CronMachine) -> None:
    machine.file.unlink()
    process = ends(machine, 0, "")
    assert process.returncode != 0
    assert "nightly.env" in process.stderr
    assert not (machine.home / "recorded").exists()


def test_the_environment_file_is_read_alike_by_systemd_and_by_a_shell() -> None:
    """One or no pair of single quotes, or double ones around nothing that either of the two expands."""
    for line in env_of_the_readme().splitlines():
        assert re.fullmatch(r"[A-Z0-9_]+=('[^'\\]*'|\"[\w .-]*\"|[\w./:@+-]+)", line), line


def test_the_pod_is_confined_and_can_write_where_it_writes() -> None:
    pod = manifest()["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert {entry["name"] for entry in container["volumeMounts"]} == {entry["name"] for entry in pod["volumes"]}
    mounts = [entry["mountPath"] for entry in container["volumeMounts"]]
    paths = [container["args"][container["args"].index(option) + 1] for option in ("--out", "--locks")]
    assert all(any(path.startswith(mount) for mount in mounts) for path in paths)
    secrets = [source["secretRef"]["name"] for source in container["envFrom"]]
    assert secrets == ["gpuagent"]
    assert not any(re.search("KEY|SECRET|URI", entry["name"]) for entry in container["env"])


def test_a_key_that_stands_twice_is_found() -> None:
    with pytest.raises(AssertionError):
        yaml.load("a: 1\na: 2", StrictLoader)
