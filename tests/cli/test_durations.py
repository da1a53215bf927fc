"""Durations of options: texts with their unit; a bare number is seconds only where it has always been."""

from collections.abc import Callable

import pytest
from click.testing import Result

from tests.support.world import World


def test_a_wait_for_approval_has_its_unit_or_is_seconds(world: World, gpuagent: Callable[..., Result]) -> None:
    for option, text, seconds in (("--approval-wait", "30m", 1800), ("--approval-seconds", "90.5", 90.5)):
        assert gpuagent("policy", "set", option, text, "--by", "Ada").exit_code == 0
        assert world.store.policy().approval_s == seconds


@pytest.mark.parametrize(
    "command",
    [
        ("policy", "set", "--approval-wait", "nan"),
        ("fleet", "--every", "-1"),
        ("alerts", "send", "--every", "5 minutes"),
        ("console", "--idle", "1"),
        ("console", "--idle", "2d"),
    ],
)
def test_what_is_no_duration_of_an_option_is_said(gpuagent: Callable[..., Result], command: tuple[str, ...]) -> None:
    result = gpuagent(*command)
    assert (result.exit_code, command[-2] in result.stderr, command[-1] in result.stderr) == (2, True, True)
