"""Mutation testing: take one protection away at a time, and see a named test go red.

Each mutant is a copy of the tree with one replacement. A test that stays green without its protection is no test.
"""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from tempfile import NamedTemporaryFile, TemporaryDirectory
from uuid import uuid4

from gpuagent.practice import stack
from tests.support.stack import DATABASE_NAME, STACK_FILE, STACK_SETTINGS, share_stack
from tests.tools import forked_pytest

WORKERS_MAX = 4
SHARE = re.compile(r"(\d+)/([1-9]\d*)")
ROOT = Path(__file__).parents[2]


PLUGIN = "-p", "_hypothesis_pytestplugin"
"""Whose option stands in pyproject.toml."""


@dataclass(frozen=True)
class Mutant:
    """A protection to take away: the text `old` in a file becomes `new`, and the test must go red."""

    name: str
    file: str
    old: str
    new: str
    test: str

    def __post_init__(self) -> None:
        assert " -k " in self.test, f"{self.name}: the test is to be written as FILE -k WORDS"

    def problem(self, root: Path = ROOT) -> str:
        """Why the mutant cannot be played in this tree; empty when it can."""
        source = root / self.file
        if not source.is_file():
            return f"{self.name}: there is no {self.file}"
        if source.read_text().count(self.old) != 1:
            return f"{self.name}: its text is not once in {self.file}; bring the mutant up to date"
        if source.suffix == ".py" and (error := _syntax_error(self.mutated(source.read_text()))):
            return f"{self.name}: {self.file} would be no Python ({error}); no test can tell that from an import error"
        if not (root / self.test_file).is_file():
            return f"{self.name}: there is no {self.test_file}"
        return ""

    def mutated(self, text: str) -> str:
        """The file's text without the protection."""
        return text.replace(self.old, self.new)

    @property
    def test_file(self) -> str:
        return self.test.partition(" -k ")[0]

    @property
    def keyword(self) -> str:
        """The tests of the file that must notice, as pytest's -k takes it."""
        return self.test.partition(" -k ")[2]


def _syntax_error(text: str) -> str:
    try:
        ast.parse(text)
    except SyntaxError as error:
        return str(error)
    return ""


class Worker:
    """Runs pytest on a copy of the tree, with a running stack of its own. Raises SystemExit where no test runs."""

    def __init__(self, stack_file: Path, server: "subprocess.Popen[str]") -> None:
        self._stack_file, self._server = stack_file, server

    def kills(self, mutant: Mutant) -> bool:
        """Whether the named test goes red without the protection."""
        if problem := mutant.problem():
            raise SystemExit(problem)
        with TemporaryDirectory() as scratch:
            folder = Path(scratch) / "tree"
            shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(".venv", ".git", ".*_cache", ".hypothesis"))
            source = folder / mutant.file
            source.write_text(mutant.mutated(source.read_text()))
            return not self.passes([mutant], folder)

    def passes(self, mutants: Sequence[Mutant], folder: Path = ROOT) -> bool:
        """Whether the tests of these mutants are green in this tree."""
        environment = {
            **os.environ,
            # The copy goes before the installed package, in this process and in those that the tests start.
            "PYTHONPATH": str(folder),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # they take five seconds to import, and one is needed
            STACK_FILE: str(self._stack_file),
            DATABASE_NAME: f"mutants_{uuid4().hex[:8]}",
        }
        keywords = dict.fromkeys(mutant.keyword for mutant in mutants)
        selection = [*dict.fromkeys(mutant.test_file for mutant in mutants), "-k", " or ".join(keywords)]
        exit_code, output = self._run(folder, environment, "-q", "-x", "-p", "no:cacheprovider", *PLUGIN, *selection)
        if exit_code not in (0, 1):
            raise SystemExit(f"{' '.join(selection)} did not run\n{output[-2000:]}")
        if exit_code and folder == ROOT:
            print(output[-4000:])
        return exit_code == 0

    def _run(self, folder: Path, environment: dict[str, str], *arguments: str) -> tuple[int, str]:
        """Run pytest in the folder; its exit code and output."""
        assert self._server.stdin
        assert self._server.stdout
        with NamedTemporaryFile("r", errors="replace") as output:
            run = {"folder": str(folder), "environment": environment, "arguments": arguments, "output": output.name}
            self._server.stdin.write(json.dumps(run) + "\n")
            self._server.stdin.flush()
            exit_code = self._server.stdout.readline()
            return int(exit_code or -1), output.read()


@contextmanager
def _pytest_server() -> "Iterator[subprocess.Popen[str]]":
    """The process that runs pytest for one worker; it ends once its input does."""
    command = [sys.executable, "-P", str(Path(forked_pytest.__file__))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process


@contextmanager
def start_workers() -> Iterator[list[Worker]]:
    """One worker more than there are processors, as each waits for servers: it has chain, clocks and vendors to itself,
    mutant after mutant."""
    with ExitStack() as closing:
        scratch = Path(closing.enter_context(TemporaryDirectory()))
        files = [scratch / f"stack-{number}.json" for number in range(min(WORKERS_MAX, (os.cpu_count() or 1) + 1))]
        for file in files:
            share_stack(closing.enter_context(stack.start(**STACK_SETTINGS)), file)
        yield [Worker(file, closing.enter_context(_pytest_server())) for file in files]


def hunt(workers: Sequence[Worker], mutants: Sequence[Mutant]) -> list[str]:
    """The names of mutants that no test notices, and a line on tests that are red with every protection in place.

    The latter are run last, so that a stack which some mutant broke does not pass for a test that noticed it.
    """
    idle: Queue[Worker] = Queue()
    for worker in workers:
        idle.put(worker)

    def survives(mutant: Mutant) -> str:
        worker = idle.get()
        started_at = time.monotonic()
        try:
            killed = worker.kills(mutant)
        finally:
            idle.put(worker)
        verdict, duration_s = "killed  " if killed else "SURVIVES", time.monotonic() - started_at
        print(f"{verdict} {duration_s:5.1f} s  {mutant.name}  ({mutant.test})", flush=True)
        return "" if killed else mutant.name

    def is_red(number: int) -> str:
        share = mutants[number :: len(workers)]
        return "" if not share or workers[number].passes(share) else "tests that are red without any mutant"

    with ThreadPoolExecutor(len(workers)) as pool:
        problems = [*pool.map(survives, mutants), *pool.map(is_red, range(len(workers)))]
        return [problem for problem in problems if problem]


def main(mutants: Sequence[Mutant], keywords: Sequence[str]) -> None:
    """Play all mutants, those whose name holds one of the keywords, or by NUMBER/SHARES one share of them."""
    if share := SHARE.fullmatch(" ".join(keywords)):
        selection = list(mutants[int(share[1]) % int(share[2]) :: int(share[2])])
    else:
        selection = [mutant for mutant in mutants if not keywords or any(word in mutant.name for word in keywords)]
    if not selection:
        raise SystemExit(f"no mutant is named so; there are: {', '.join(mutant.name for mutant in mutants)}")
    with start_workers() as workers:
        problems = hunt(workers, selection)
    if problems:
        raise SystemExit(f"no test notices, or worse: {'; '.join(problems)}")
    print(f"{len(selection)} mutants, each noticed by a test that is green without it")
