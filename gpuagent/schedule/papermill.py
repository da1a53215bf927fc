"""Execute a notebook with papermill so that a SIGTERM stops the cell, not only the process around it.

papermill alone dies of a SIGTERM and leaves its kernel to notice; nothing is written then, and no `finally` runs.
"""

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from gpuagent.errors import BadInput
from gpuagent.schedule.parameters import Value

ENGINE, KERNEL = "gpuagent", "python3"
"""The kernel of this very environment: its spec is found beside sys.executable, activated or not."""
GRACE_S = 20
"""A cell that was interrupted has so long to end, then its kernel is killed."""
SIGNALS = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True, slots=True)
class Ended:
    """stopped: the signal that ended it, or 0. error, words: of the cell that failed, or ""."""

    stopped: int = 0
    error: str = ""
    words: str = ""


class Stopped(RuntimeError):
    """Between two cells: the next one does not begin."""


def execute(notebook: Path, output: Path, values: Mapping[str, Value]) -> Ended:
    """Call it in the main thread. The output is written cell by cell, whatever happens. Raises BadInput."""
    import papermill as pm
    from jupyter_client.kernelspec import NoSuchKernel
    from papermill.exceptions import PapermillExecutionError

    stop = _Stop()
    _register()
    try:
        with stop.heard():
            pm.execute_notebook(
                notebook,
                output,
                parameters=dict(values),
                engine_name=ENGINE,
                kernel_name=KERNEL,
                progress_bar=False,
                store_widget_state=False,
                gpuagent_stop=stop,
            )
    except PapermillExecutionError as error:
        return Ended(stop.signal, error.ename, error.evalue)
    except NoSuchKernel as error:
        raise BadInput(f"no kernel {KERNEL}: pip install 'gpuagent[notebooks]' ({error})") from error
    except RuntimeError as error:  # the kernel died, or was stopped before it was there
        return Ended(stop.signal, type(error).__name__, str(error))
    return Ended(stop.signal)


class _Stop:
    """What a signal asks for: interrupt the cell; after GRACE_S, kill the kernel."""

    def __init__(self) -> None:
        self.signal = 0
        self.client: Any = None

    @contextmanager
    def heard(self) -> Iterator[None]:
        handlers = {number: signal.signal(number, self._ask) for number in SIGNALS}
        handlers[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._insist)
        try:
            yield
        finally:
            signal.alarm(0)
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def check(self, cell: Any, **_: Any) -> None:
        """Before every cell: a kernel that does nothing ignores an interrupt, so a signal may have come to nothing."""
        if self.signal:
            cell.metadata.papermill["status"] = "failed"
            raise Stopped(f"stopped by {signal.Signals(self.signal).name} before this cell")

    def _ask(self, number: int, _: FrameType | None) -> None:
        if not self.signal:
            signal.alarm(GRACE_S)
        self.signal = number
        self._send(signal.SIGINT)

    def _insist(self, *_: object) -> None:
        self._send(signal.SIGKILL)

    def _send(self, number: int) -> None:
        """To the kernel alone: what it started, such as a database, it stops in its own order."""
        km = self.client.km if self.client else None
        pid = km.provisioner.pid if km and km.provisioner else None
        if pid:
            os.kill(pid, number)


def _register() -> None:
    from papermill.clientwrap import PapermillNotebookClient
    from papermill.engines import NBClientEngine, papermill_engines

    class Engine(NBClientEngine):  # type: ignore[misc]
        @classmethod
        def execute_managed_notebook(
            cls, nb_man: Any, kernel_name: str, *, gpuagent_stop: _Stop, start_timeout: int = 60, **options: Any
        ) -> None:
            kept = {name: value for name, value in options.items() if name == "store_widget_state"}
            client = PapermillNotebookClient(
                nb_man,
                kernel_name=kernel_name,
                startup_timeout=start_timeout,
                on_cell_execute=gpuagent_stop.check,
                **kept,
            )
            gpuagent_stop.client = client
            client.execute()

    papermill_engines.register(ENGINE, Engine)
