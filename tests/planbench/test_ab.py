"""Assignment of planners to runs: several with weights, one by the run's id, both in the record."""

from collections import Counter

import pytest

from gpuagent.agent.start import assigned_planner, parse_planners
from gpuagent.errors import BadInput

ARMS = (("stub", 3), ("llm", 1))


def test_assignment_is_deterministic_and_follows_the_weights() -> None:
    ids = [f"{number:024x}" for number in range(4000)]
    assignments = [assigned_planner(run_id, ARMS) for run_id in ids]
    assert assignments == [assigned_planner(run_id, ARMS) for run_id in ids]
    counts = Counter(assignments)
    assert set(counts) == {"stub", "llm"}
    assert abs(counts["llm"] - 1000) < 110  # four standard deviations
    assert assigned_planner(ids[0], (("llm", 5),)) == "llm"


def test_planners_as_an_operator_writes_them() -> None:
    assert parse_planners(["stub"]) == (("stub", 1),)
    assert parse_planners(["stub=1,llm=3"]) == parse_planners(["stub", "llm=3"]) == (("stub", 1), ("llm", 3))
    for mistake in ("", "stub=", "stub=x", "=1", "stub=-1", "stub=1.5", "stub=99999999999", "stub=²"):
        with pytest.raises(BadInput, match="write NAME"):
            parse_planners([mistake])
