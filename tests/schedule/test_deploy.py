"""The files in deploy/: every key known, every value of its form, and every command line one that the agent takes."""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from gpuagent.cli.schedule import schedules
from gpuagent.schedule.parameters import checked, inspected
from gpuagent.schedule.run_name import NAME
from tests.support.notebooks import FOLDER, SCHEDULED

DEPLOY = FOLDER.parent / "deploy"
UNITS = sorted((DEPLOY / "systemd").iterdir())
SPAN = r"(\d+(s|min|h|d)?)+"
WORDS, UNIT, PATH = r"\S.*", r"[a-z-]+(@(%[in])?)?\.(service|timer|target)", r"/[\w./%@-]+"
YES = "yes|no|true|false"
KEYS: Mapping[str, Mapping[str, str]] = {
    "Unit": {
        "Description": WORDS,
        **dict.fromkeys(("Wants", "After", "OnFailure"), UNIT),
        "StartLimitIntervalSec": SPAN,
    },
    "Service": {
        "Type": "oneshot",
        **dict.fromkeys(("User", "Group"), "[a-z]+"),
        "EnvironmentFile": PATH,
        "Environment": r"[A-Z_]+=\S+",
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
"""What we use of systemd.unit(5), systemd.service(5), systemd.exec(5) and systemd.timer(5), and what it looks like."""

Unit = dict[str, dict[str, str]]


def parsed(text: str) -> Unit:
    """Strict: a known section, a known key, each once, a value of its form. Raises ValueError with the line."""
    found: Unit = {}
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        if header := re.fullmatch(r"\[(\w+)\]", line):
            section = header[1]
            if section not in KEYS or section in found:
                raise ValueError(f"line {number}: section {section}")
            found[section] = {}
            continue
        key, equals, value = line.partition("=")
        if not section or not equals or key not in KEYS[section] or key in found[section]:
            raise ValueError(f"line {number}: {key} in [{section}]")
        if not re.fullmatch(KEYS[section][key], value):
            raise ValueError(f"line {number}: {key}={value}")
        found[section][key] = value
    return found


def unit(name: str) -> Unit:
    return parsed((DEPLOY / "systemd" / name).read_text())


def assert_command_taken(words: list[str], known: Mapping[str, str]) -> dict[str, Any]:
    """As `gpuagent schedule run` would read it, with the notebook of this tree. The notebook's parameters."""
    for name, value in known.items():
        words = [word.replace(name, value) for word in words]
    assert not any(re.search(r"[$%]", word) for word in words), words
    *_, command, subcommand, notebook = words[:4]
    assert (Path(words[0]).name, command, subcommand) == ("gpuagent", "schedule", "run")
    assert FOLDER / Path(notebook).name == SCHEDULED
    click_command = typer.main.get_command(schedules).commands["run"]  # type: ignore[attr-defined]
    taken = click_command.make_context("run", words[3:]).params
    given = [tuple(one.partition("=")[::2]) for one in taken["parameter"]]
    values = checked(inspected(SCHEDULED), given)  # type: ignore[arg-type]
    assert NAME.fullmatch(str(values["run_id"]))
    assert "practice" in taken
    assert not taken["practice"]
    return {**taken, **values}


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_units_hold_known_keys_with_values_of_their_form(path: Path) -> None:
    found = parsed(path.read_text())
    assert {"Unit"} < set(found)
    for key in ("OnFailure", "Unit"):
        named = {**found["Unit"], **found.get("Timer", {})}.get(key)
        if named:  # the template it is an instance of is here too
            assert (path.parent / re.sub(r"@.*\.", "@.", named)).exists()


def test_the_service_calls_what_there_is() -> None:
    service = unit("gpuagent-run@.service")["Service"]
    words = shlex.split(service["ExecStart"])
    taken = assert_command_taken(words, {"%i": "nightly", "${GOAL}": "Fine-tune", "${BUDGET}": "5"})
    assert (taken["per"], taken["run_id"], taken["max_ticks"]) == ("day", "nightly", 3000)
    for option in ("out", "locks"):
        assert str(taken[option]).startswith("/var/lib/gpuagent/")
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
        parsed(broken)


class StrictLoader(yaml.SafeLoader):
    """A key that is there twice is an error, which YAML itself leaves open."""

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
        for one in node if isinstance(node, list) else [node]:
            assert set(one) == set(keys.split()), place
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
    words = [*container["command"], *container["args"]]
    assert all(isinstance(word, str) for word in words)
    env = {one["name"]: one for one in container["env"]}
    assert "job-name" in env["JOB_NAME"]["valueFrom"]["fieldRef"]["fieldPath"]
    assert all(isinstance(one.get("value", ""), str) for one in env.values())
    known = {
        "$(JOB_NAME)": "gpuagent-nightly-29000000",
        "$(GOAL)": env["GOAL"]["value"],
        "$(BUDGET)": env["BUDGET"]["value"],
    }
    taken = assert_command_taken(words, known)
    assert (taken["run_id"], taken["budget"]) == ("gpuagent-nightly-29000000", "5")


def test_the_pod_is_confined_and_can_write_where_it_writes() -> None:
    pod = manifest()["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert {one["name"] for one in container["volumeMounts"]} == {one["name"] for one in pod["volumes"]}
    mounts = [one["mountPath"] for one in container["volumeMounts"]]
    written = [container["args"][container["args"].index(option) + 1] for option in ("--out", "--locks")]
    assert all(any(path.startswith(mount) for mount in mounts) for path in written)
    secrets = [source["secretRef"]["name"] for source in container["envFrom"]]
    assert secrets == ["gpuagent"]
    assert not any(re.search("KEY|SECRET|URI", one["name"]) for one in container["env"])


def test_a_key_that_stands_twice_is_found() -> None:
    with pytest.raises(AssertionError):
        yaml.load("a: 1\na: 2", StrictLoader)
