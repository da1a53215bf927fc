"""The environment of the servers that we start, by an allow-list: any other variable may hold a secret."""

from collections.abc import Mapping

ALLOWED = (
    "CONDA_PREFIX",
    "DYLD_LIBRARY_PATH",
    "HOME",
    "LANG",
    "LANGUAGE",
    "LD_LIBRARY_PATH",
    "LOGNAME",
    "PATH",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONHOME",
    "PYTHONIOENCODING",
    "PYTHONPATH",
    "PYTHONPYCACHEPREFIX",
    "PYTHONUTF8",
    "SHELL",
    "TMPDIR",
    "TZ",
    "USER",
    "VIRTUAL_ENV",
)
"""Where programs and libraries are, and how text is written."""


def child_environment(environ: Mapping[str, str], *more: str) -> dict[str, str]:
    """The variables that a server may know, and more of its own. Nothing of ours to pay with, or to log in by."""
    names = {*ALLOWED, *more}
    return {name: value for name, value in environ.items() if name in names or name.startswith("LC_")}
