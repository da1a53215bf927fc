"""A job is a pure function of time: its log only grows, its loss only falls, its end is final."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from mock_vendor.clock import Clock
from mock_vendor.training import Progress, Training, observe

trainings = st.builds(
    Training,
    seed=st.integers(0, 2**63),
    job_id=st.text("abc-123", min_size=1, max_size=20),
    gpu_type=st.sampled_from(["A100", "T4"]),
    hours=st.floats(0.0001, 1000),
    epochs=st.integers(1, 20),
    price=st.decimals("0.000001", "10000", places=6),
    doomed=st.booleans(),
)
shares = st.floats(-0.1, 1.5)


def at(training: Training, share: float) -> Progress:
    return observe(training, share * training.hours * 3600)


@given(trainings, shares, shares)
def test_later_answers_only_add(training: Training, fraction: float, other_fraction: float) -> None:
    sooner, later = (at(training, share) for share in sorted((fraction, other_fraction)))
    assert later.logs[: len(sooner.logs)] == sooner.logs
    assert later.fraction >= sooner.fraction
    assert later.cost >= sooner.cost
    assert later.remaining_minutes <= sooner.remaining_minutes
    if sooner.metrics and later.metrics:
        assert later.metrics["loss"] <= sooner.metrics["loss"]
        assert later.metrics["accuracy"] >= sooner.metrics["accuracy"]
    if sooner.status != "running":
        assert later == sooner


@given(trainings, shares)
def test_the_same_inputs_give_the_same_answer(training: Training, share: float) -> None:
    assert at(training, share) == at(training, share)


@given(trainings, shares)
def test_an_answer_is_consistent(training: Training, share: float) -> None:
    state = at(training, share)
    assert 0 <= state.fraction <= 1
    assert Decimal(0) <= state.cost <= training.price
    assert (state.status == "completed") == (state.final_metrics is not None) == (state.artifact_url is not None)
    assert (state.status == "failed") == (state.error_message is not None)
    if state.error_message:
        assert any(state.error_message in line for line in state.logs)


@given(trainings)
def test_every_job_ends_as_it_was_meant_to(training: Training) -> None:
    assert at(training, 0.0).status == "running"
    end = at(training, 1.0)
    assert end.status == ("failed" if training.doomed else "completed")
    if training.doomed:
        assert 0.2 < end.fraction < 0.8
    else:
        assert end.cost == training.price
        assert f"epoch {training.epochs}/{training.epochs}" in end.logs[-3]


def test_a_clock_can_be_turned_and_stopped() -> None:
    wall = 1000.0
    clock = Clock(lambda: wall)
    assert clock.advance(50) == 1050
    clock.freeze()
    wall += 10
    assert clock.now() == 1050
    assert clock.advance(5) == 1055
    clock.run()
    wall += 1
    assert clock.now() == 1056
