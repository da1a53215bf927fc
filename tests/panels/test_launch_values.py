"""The delay after which jobs are hedged, as the launch form reads it."""

import pytest

from gpuagent.errors import BadInput
from gpuagent.panels.launch_values import hedge_after


@pytest.mark.parametrize(
    ("text", "seconds"), [("", None), (" ", None), ("0", 0), (" 0 ", 0), ("15m", 900), (" 1h30m ", 5400)]
)
def test_a_delay_is_a_duration(text: str, seconds: int | None) -> None:
    assert hedge_after(text) == seconds


@pytest.mark.parametrize("text", ["soon", "-1", "1.5s", "15 minutes", "15", "900"])
def test_another_text_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="0 for never"):
        hedge_after(text)
