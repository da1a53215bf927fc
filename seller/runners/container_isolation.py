"""A job's containers: of an image that is pulled before, and without any rights but in the job's folder."""

import json
import shlex
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from seller.folders import write_whole
from seller.runners import gpus, images
from seller.runners.base import Limits, RunnerError
from seller.runners.container_log import LogCopy
from seller.runners.container_program import GONE_S, ContainerProgram
from seller.runners.engine import Engine, failures, is_here, labels, remove
from seller.runners.isolation import LOG_BYTES, program
from seller.runners.job_folder import JobFolder
from seller.runners.sandbox import RESUME, TMP_BYTES, WORK

POLL_S = 0.05
NO_SUCH_COMMAND = ("not found", "no such file", "permission denied")
TMPFS = f"rw,nosuid,nodev,size={TMP_BYTES},mode=1777"
WITH_SECRETS = ["/bin/sh", "-c", 'eval "$(cat)"; exec "$@" < /dev/null', "sh"]
"""Reads variables from its input: those of a container's own environment lie on the engine's disk."""


class ContainerIsolation:
    """Runs the programs of a job as containers of one image. order: as order.json has it."""

    def __init__(self, folder: JobFolder, order: Mapping[str, Any], limits: Limits) -> None:
        self._folder, self._order, self._limits = folder, order, limits
        self._engine = Engine(**order["engine"])
        self._api = self._engine.client()
        self._image: dict[str, Any] = {}

    def prepare(self, reason_to_end: Callable[[], str]) -> str:
        """Gets the image, and notes which that is: by its digest, in the job's folder and first in its log."""
        name = self._order["image"]
        if reason := self._pull(name, reason_to_end):
            return reason
        self._image = self._api.inspect_image(name)
        digest = next(iter(self._image.get("RepoDigests") or []), "")
        write_whole(
            self._folder.path / "image.json", json.dumps({"name": name, "id": self._image["Id"], "digest": digest})
        )
        with self._folder.log.open("a") as log:
            log.write(f"(image {name}, {digest.partition('@')[2] or self._image['Id']})\n")
        return self._gpu_problem()

    def launch(self, command: str | Sequence[str], secrets: Mapping[str, str]) -> "ContainerProgram":
        argv = [*(WITH_SECRETS if secrets else []), *program(command)]
        container = self._create(argv, stdin=bool(secrets))
        try:
            log = LogCopy(self._engine, container, self._folder.log)
            if secrets:
                self._start_with(container, secrets)
            else:
                self._api.start(container)
        except failures() as error:
            with suppress(*failures()):  # else the runner does it, when it starts
                remove(self._api, container, GONE_S)
            words = str(getattr(error, "explanation", None) or error)
            if not any(hint in words.lower() for hint in NO_SUCH_COMMAND):
                raise RunnerError(words[:500]) from error
            with self._folder.log.open("a") as file:
                file.write(f"{words[:1000]}\n")
            raise RunnerError(f"there is no such command in the image: {argv[0][:200]!r}") from error
        return ContainerProgram(self._engine, container, log, self._limits)

    def _create(self, argv: Sequence[str], stdin: bool = False) -> str:
        """A container that may do nothing; its id."""
        user, group = self._order["user"]
        limits, order = self._limits, self._order
        resume = self._folder.resume.is_dir()
        volumes = (self._image.get("Config") or {}).get("Volumes") or {}  # else each is a place to write without bound
        api = self._api
        try:
            host = api.create_host_config(
                binds={
                    str(self._folder.work): {"bind": WORK, "mode": "rw"},
                    **({str(self._folder.resume): {"bind": RESUME, "mode": "ro"}} if resume else {}),
                },
                network_mode=order["network"],
                cap_drop=["ALL"],
                security_opt=["no-new-privileges"],
                read_only=True,
                tmpfs=dict.fromkeys(["/tmp", "/var/tmp", "/run", *set(volumes) - {WORK, RESUME}], TMPFS),  # noqa: S108
                shm_size=TMP_BYTES,
                log_config={"Type": "json-file", "Config": {"max-size": str(2 * LOG_BYTES)}},
                **({"mem_limit": limits.memory, "memswap_limit": limits.memory} if limits.memory else {}),
                **({"pids_limit": limits.pids} if limits.pids else {}),
                **({"nano_cpus": int(limits.cpus * 1e9)} if limits.cpus else {}),
                **gpus.request(order["gpuKind"], order["gpus"]),
            )
            created = api.create_container(
                image=self._image["Id"],
                entrypoint=list(argv),  # and not the image's own, which would run before
                healthcheck={"test": ["NONE"]},
                user=f"{user}:{group}",
                working_dir=WORK,
                environment=self._environment(resume),
                host_config=host,
                labels=labels(self._folder),
                stdin_open=stdin,
                stop_signal="SIGTERM",
                hostname="job" if order["network"] == "none" else None,
            )
        except failures() as error:
            raise RunnerError(
                f"the engine makes no container: {getattr(error, 'explanation', None) or error}"
            ) from error
        return str(created["Id"])

    def _environment(self, resume: bool) -> dict[str, str]:
        own = {"HOME": "/tmp", "LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1"}  # noqa: S108
        return {**own, **self._order["env"], **({"GPUAGENT_RESUME": RESUME} if resume else {})}

    def _start_with(self, container: str, secrets: Mapping[str, str]) -> None:
        lines = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in secrets.items())
        stream = self._api.attach_socket(container, params={"stdin": 1, "stream": 1})
        self._api.start(container)
        connection = getattr(stream, "_sock", stream)
        connection.sendall(lines.encode())
        connection.shutdown(socket.SHUT_WR)
        connection.close()

    def _pull(self, name: str, reason_to_end: Callable[[], str]) -> str:
        """Why the image is not here."""
        if is_here(self._api, name):
            return ""
        if name.startswith(images.LOCAL):
            return f"the image {name} is no longer on the seller's machine"
        outcome: list[str] = []
        puller = threading.Thread(target=_pull, args=(self._engine, name, outcome), daemon=True)
        puller.start()
        give_up = time.monotonic() + self._order["pullS"]
        while puller.is_alive():
            puller.join(POLL_S)
            if reason := reason_to_end():
                return reason
            if time.monotonic() > give_up:
                return f"the image {name} could not be pulled within {self._order['pullS']:.0f} s"
        return outcome[0] if outcome else f"the image {name} could not be pulled"

    def _gpu_problem(self) -> str:
        """Why the job would have no GPU: engines drop a request for one without a word."""
        if self._order["gpuKind"] == "none":
            return ""
        container = self._create(gpus.LOOK)
        try:
            self._api.start(container)
            code = int(self._api.wait(container, timeout=GONE_S)["StatusCode"])
            output = self._api.logs(container).decode(errors="replace")
        except failures() as error:
            return f"the engine hands out no GPU: {str(error)[:300]}"
        finally:
            remove(self._api, container)
        return gpus.problem(code, output, self._order["gpus"])


def _pull(engine: Engine, name: str, outcome: list[str]) -> None:
    """Pulls an image; outcome: "" or why not. In a thread, for the engine may take for ever."""
    try:
        api = engine.client(answer_s=None)
        for news in api.pull(name, stream=True, decode=True):
            if "error" in news:
                outcome.append(f"the image {name} could not be pulled: {str(news['error'])[:500]}")
                return
        outcome.append("" if is_here(api, name) else f"the image {name} could not be pulled")
    except failures() as error:
        outcome.append(f"the image {name} could not be pulled: {str(error)[:500]}")
