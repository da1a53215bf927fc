"""What every hostile case records about itself, for docs/safety.md."""

from collections.abc import Callable, Sequence

import pytest

from gpuagent.core.model import Run
from tests.support.evidence import Evidence, look
from tests.support.world import World


@pytest.fixture
def observed(record_property: Callable[[str, object], None]) -> Callable[..., Evidence]:
    """Records what was signed, what moved, what is held and how it ended, as the table of docs/safety.md shows it."""

    def record(worlds: World | Sequence[World], runs: Run | str | Sequence[Run | str], **notes: object) -> Evidence:
        evidence = look(worlds, runs, **notes)
        record_property("observed", evidence.text)
        return evidence

    return record
