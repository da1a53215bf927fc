"""A server that runs pytest in forks of a process which has imported the libraries, and nothing of this project.

It is run as a script. Each line of its input is one run as JSON: folder, environment, arguments, and the file that
takes the output; each line of its output is the exit code of the next run.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import NoReturn

LIBRARIES = (
    *("pytest", "hypothesis", "httpx", "pydantic", "pymongo", "numpy", "pandas"),
    *("eth_account", "web3", "x402.mechanisms.evm.signers", "typer.testing"),
)
"""What tests/conftest.py imports of others: three seconds of a processor."""


def serve() -> None:
    for name in LIBRARIES:
        import_module(name)
    for line in sys.stdin:
        if not (pid := os.fork()):
            _run(**json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def _run(folder: str, environment: Mapping[str, str], arguments: Sequence[str], output: str) -> NoReturn:
    import pytest

    null, file = os.open(os.devnull, os.O_RDONLY), os.open(output, os.O_WRONLY | os.O_CREAT)
    for source, target in ((null, 0), (file, 1), (file, 2)):
        os.dup2(source, target)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path.insert(0, folder)
    sys.exit(pytest.main(arguments))


if __name__ == "__main__":
    serve()
