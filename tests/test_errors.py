"""The tree of errors; those that a user can fix are one line in a notebook, too."""

import re

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from gpuagent import errors
from gpuagent.errors import BadInput, ConfigError, IllegalTransition, UnknownRun


@pytest.mark.parametrize("kind", [BadInput, UnknownRun, ConfigError])
def test_a_slip_in_a_notebook_is_one_line(kind: type[Exception], capsys: pytest.CaptureFixture[str]) -> None:
    run(f"raise {kind.__name__}('write 30d')")
    assert capsys.readouterr().out.strip() == f"{kind.__name__}: write 30d"


def test_a_bug_shows_where_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    run("raise IllegalTransition('owed twice')")
    assert "Traceback" in capsys.readouterr().out


def test_the_tree_draws_every_error() -> None:
    names = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert names - set(re.findall(r"\w+", errors.__doc__ or "")) == set()


def run(source: str) -> None:
    names = (BadInput, ConfigError, IllegalTransition, UnknownRun)
    config = Config({"HistoryManager": {"enabled": False}})
    shell = InteractiveShell(config=config, user_ns={name.__name__: name for name in names})  # type: ignore[no-untyped-call]
    shell.run_cell(source)
