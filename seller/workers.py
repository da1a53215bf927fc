"""The worker processes of one seller: forks of a parent, which serves nothing, replaces those that die, and ends last.

A fork, so that what takes seconds to import is imported once, and memory that all of them share needs no name. The
parent has no thread. The listening socket is one for all: calls that wait at it are not lost with a worker.
"""

import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from seller.command import STOP_SIGNALS
from seller.errors import BadSetting, ChainError, Unreadable
from seller.events import event

STOP_S = 60.0
"""How long a worker may take to end: settlements under way are answered before."""
LOOK_S = 0.05
SHORT_S, PAUSE_S = 5.0, 1.0
"""A worker that lives shorter is replaced after a pause: what has ended it may end the next."""
ENDED, FAILED, MISCONFIGURED, DRAINED = 0, 1, 2, 10
"""Exit codes of a worker; the first three as the seller's own."""
Work = Callable[[Callable[[], None]], bool]
"""What a worker does: it calls back once it serves, and returns whether the seller has been drained."""
logger = logging.getLogger(__name__)


def run_workers(count: int, work: Work, listener: socket.socket, ready: Callable[[], None]) -> None:
    """Runs so many workers until a signal to stop comes, which raises SystemExit, or until one has drained the seller.

    ready: called once all of them serve. Raises SystemExit with the code of a first one that ends before it does.
    """
    workers = Workers(work)
    try:
        for pid, started in [workers.start() for _ in range(count)]:
            workers.await_start(pid, started)
        ready()
        workers.keep()
    finally:
        listener.close()
        workers.stop()


class Workers:
    """The living workers, by their process, with when each began."""

    def __init__(self, work: Work) -> None:
        self._work, self._began = work, dict[int, float]()
        self._lifeline, self._life = os.pipe()

    def start(self) -> tuple[int, int]:
        """Forks a worker: its process, and what can be read from once it serves, and ends with it."""
        started, starting = os.pipe()
        # Between the fork and its note no signal may come: the parent would not know that there is one to wait for.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        try:
            pid = os.fork()
            if not pid:
                self._be_worker(starting)
            self._began[pid] = time.monotonic()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        os.close(starting)
        return pid, started

    def await_start(self, pid: int, started: int) -> None:
        """Returns once a worker serves. Raises SystemExit, with its code, where it ends instead: it has said why."""
        serves = os.read(started, 1)
        os.close(started)
        if not serves:
            del self._began[pid]
            sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) or FAILED)

    def keep(self) -> None:
        """Replaces workers that end, until one has drained the seller."""
        while True:
            pid, status = os.wait()
            began = self._began.pop(pid, None)
            if began is None:
                continue  # where the parent is a container's first process, the supervisors of jobs are its children
            code = os.waitstatus_to_exitcode(status)
            if code == DRAINED:
                return
            event(logger, "worker ended", worker=pid, exitCode=code)
            if time.monotonic() < began + SHORT_S:
                time.sleep(PAUSE_S)
            os.close(self.start()[1])

    def stop(self) -> None:
        """Ends all workers, and returns when none is left."""
        for pid in self._began:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        ends_at = time.monotonic() + STOP_S
        for pid in list(self._began):
            while not _is_reaped(pid):
                if time.monotonic() > ends_at:
                    os.kill(pid, signal.SIGKILL)
                time.sleep(LOOK_S)
            del self._began[pid]
        os.close(self._life)
        os.close(self._lifeline)

    def _be_worker(self, starting: int) -> None:
        """Does the work, and ends the process: nothing of the parent's stack is unwound here."""
        code = FAILED
        try:
            os.close(self._life)
            threading.Thread(target=_end_with_parent, args=(self._lifeline,), daemon=True).start()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
            code = DRAINED if self._work(lambda: _tell(starting)) else ENDED
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else ENDED
        except (BadSetting, ChainError, Unreadable) as error:
            code = FAILED if isinstance(error, Unreadable) else MISCONFIGURED
            sys.stderr.write(f"seller: {error}\n")
        except BaseException:
            logger.exception("a worker failed")
        finally:
            with suppress(OSError, ValueError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)


def _tell(starting: int) -> None:
    with suppress(BrokenPipeError):  # the parent waits for the first workers alone
        os.write(starting, b".")
    os.close(starting)


def _end_with_parent(lifeline: int) -> None:
    """Ends this process when the parent has ended, whatever ended that: by its cleanups, or after STOP_S without."""
    while os.read(lifeline, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(STOP_S)
    os._exit(FAILED)


def _is_reaped(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True
