"""The command line that runs a program apart from the machine: bubblewrap, with limits by prlimit.

Inside there are no network, no other processes, no files but a read-only system and the job's folder, and no
capabilities. What it does not contain, its supervisor bounds: memory of many processes together, disk in the job's
folder. What nothing here contains: the disk's and the memory's speed, and calls of the kernel.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from seller.runners.base import RunnerError

HOME, WORK, RESUME = "/home/job", "/job", "/resume"
TRIAL_S = 10.0
TMP_BYTES = 256 * 2**20
FILE_BYTES = 8 * 2**30
PROCESSES, OPEN_FILES = 256, 512
SETTINGS = (
    "/proc/sys",
    "/proc/sysrq-trigger",
    "/proc/irq",
    "/proc/bus",
    "/proc/fs",
    "/proc/acpi",
    "/proc/scsi",
    "/proc/pressure",
)
NETWORK = ("/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/ssl")
HIDDEN = ("/proc/kcore", "/proc/kmsg", "/proc/keys", "/proc/timer_list", "/proc/mtrr", "/proc/sched_debug")


def require_sandbox() -> None:
    """Raises RunnerError where no program can be run in a sandbox: not installed, or not allowed on this machine."""
    try:
        with sealed(Path("/usr"), None, {}) as arguments:  # /usr: any folder that is there
            subprocess.run(
                sandboxed(["/bin/true"], arguments),
                check=True,
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=TRIAL_S,
                pass_fds=[arguments],
            )
    except (OSError, subprocess.SubprocessError) as error:
        words = getattr(error, "stderr", None) or str(error).encode()
        raise RunnerError(
            f"bubblewrap is here, and cannot run a program ({words.decode(errors='replace').strip()[:200]}): "
            "allow user namespaces (sysctl kernel.unprivileged_userns_clone=1), or give the container SYS_ADMIN"
        ) from error


def sandboxed(argv: Sequence[str], arguments: int) -> list[str]:
    """The argv that runs argv in a sandbox. Raises RunnerError where bubblewrap or prlimit is missing.

    arguments: what sealed() gives, for the process to inherit. prlimit and bubblewrap run outside: their environment
    must not be the job's, whose LD_PRELOAD would be loaded into them.
    """
    bwrap, prlimit = shutil.which("bwrap"), shutil.which("prlimit")
    if not bwrap or not prlimit:
        raise RunnerError("jobs run in bubblewrap, which is not here: apt-get install bubblewrap util-linux")
    limits = [f"--fsize={FILE_BYTES}", f"--nofile={OPEN_FILES}", f"--nproc={PROCESSES}", "--core=0"]
    return [prlimit, *limits, "--", bwrap, "--args", str(arguments), "--", *argv]


@contextmanager
def sealed(work: Path, resume: Path | None, env: Mapping[str, str], *, network: bool = False) -> Iterator[int]:
    """The descriptor of bubblewrap's arguments: mounts and environment, for a command line is everyone's to read.

    network: the machine's own, with what finds and proves hosts there.
    """
    # The job of a seller that is root is the owner of the kernel's settings, with no capability: it could write them.
    settings = [part for path in SETTINGS for part in ("--ro-bind-try", path, path)]
    hidden = [part for path in HIDDEN if Path(path).exists() for part in ("--ro-bind", "/dev/null", path)]
    mounts = [
        *("--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin", "--symlink", "usr/lib", "/lib"),
        *("--symlink", "usr/lib64", "/lib64", "--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"),
        *("--proc", "/proc", *settings, *hidden, "--dev", "/dev"),
        *("--size", str(TMP_BYTES), "--tmpfs", "/tmp", "--size", str(TMP_BYTES), "--tmpfs", "/dev/shm"),  # noqa: S108
        *("--size", str(TMP_BYTES), "--tmpfs", "/home", "--dir", HOME),
        # After those, which would hide a Python that lies below one of them.
        *(part for folder in python_folders() for part in ("--ro-bind", folder, folder)),
        *("--bind", str(work), WORK),
        *(("--ro-bind", str(resume), RESUME) if resume else ()),
        *(part for path in NETWORK if network for part in ("--ro-bind-try", path, path)),
        *("--chdir", WORK, "--remount-ro", "/dev", "--remount-ro", "/"),
    ]
    apart = ["--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent", "--new-session"]
    apart += ["--share-net"] if network else []
    nobody = ["--cap-drop", "ALL", "--uid", "65534", "--gid", "65534", "--hostname", "job"]
    variables = [part for name, value in env.items() for part in ("--setenv", name, value)]
    words = [*apart, *nobody, *mounts, "--clearenv", *variables]
    with os.fdopen(os.memfd_create("arguments"), "wb") as file:
        file.write(b"".join(word.encode() + b"\0" for word in words))
        file.flush()
        file.seek(0)
        yield file.fileno()


def python_folders() -> list[str]:
    """The folders of the Python that the seller runs on, whose libraries are a job's environment without an image."""
    folders = {str(Path(folder).resolve()) for folder in (sys.prefix, sys.base_prefix)} | {sys.prefix}
    return sorted(folder for folder in folders if not folder.startswith("/usr"))


def environment(env: Mapping[str, str], secrets: Mapping[str, str], work: str, resume: str) -> dict[str, str]:
    """The whole environment of a job: nothing of the seller's own."""
    return {
        "PATH": f"{sys.prefix}/bin:/usr/local/bin:/usr/bin:/bin",
        "HOME": HOME if work == WORK else work,
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "OPENBLAS_NUM_THREADS": "1",
        **env,
        **secrets,
        **({"GPUAGENT_RESUME": resume} if resume else {}),
    }
