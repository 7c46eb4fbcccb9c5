"""Learning rates over a training, against values that follow from their definitions."""

import numpy as np
import pytest

from sgdlab.config.model import Train
from sgdlab.errors import UsageError
from sgdlab.optim.learning_rates import LearningRates, depends_on_epochs
from sgdlab.words.registry import hyperparameters_of
from sgdlab.words.schedules import SCHEDULES


def train(**others):
    return Train(**{"batch_size": 10, "learning_rate": 2.0, "epochs": 10} | others)


def rates(begin, end=None, **others):
    (rate,) = LearningRates.of_stack([train(**others)]).at(
        begin, begin + 0.1 if end is None else end
    )
    return rate


@pytest.mark.parametrize(
    ("schedule", "expected"),  # of 2.0, at the start, after a quarter, and after a half
    [
        ("constant", (2.0, 2.0, 2.0)),
        ("exponential", (2.0, 1.0, 0.5)),
        ("step", (2.0, 2.0, 0.5)),  # one drop to 1/16 would be at a half; two are at thirds
        ("inverse_time", (2.0, 2 / 4.75, 2 / 8.5)),
        ("cosine", (2.0, 2 * (1 / 16 + 15 / 16 * (1 + 0.5**0.5) / 2), 2 * 17 / 32)),
    ],
)
def test_values_on_the_way_to_a_sixteenth(schedule, expected):
    found = [
        rates(begin, schedule=schedule, final_factor=1 / 16, schedule_steps=2)
        for begin in (0.0, 2.5, 5.0)
    ]
    assert found == pytest.approx(expected, rel=1e-14)


def test_steps_drop_by_equal_factors_after_equal_times():
    found = [
        rates(epoch, schedule="step", final_factor=1e-3, schedule_steps=3, epochs=8)
        for epoch in range(8)
    ]
    assert found == pytest.approx([2.0, 2.0, 0.2, 0.2, 0.02, 0.02, 0.002, 0.002], rel=1e-12)


@pytest.mark.parametrize("schedule", [name for name in SCHEDULES if name != "constant"])
def test_every_schedule_falls_from_one_to_the_final_factor(schedule):
    fraction = np.linspace(0, 1, 101)[:-1]
    made = SCHEDULES.make(schedule, {"final_factor": 0.02, "schedule_steps": 4}.get)
    factors = made.factor(fraction)
    assert factors[0] == 1.0
    assert (np.diff(factors) <= 0).all()
    end = made.factor(np.array([1 - 1e-12]))
    assert end[0] == pytest.approx(0.02, rel=1e-6)


def test_a_warm_up_rises_to_the_full_rate_and_the_schedule_has_the_rest():
    during = [rates(begin, begin + 1, warmup=0.4, epochs=10) for begin in range(4)]
    assert during == pytest.approx([0.5, 1.0, 1.5, 2.0], rel=1e-14)
    assert rates(4.0, schedule="cosine", warmup=0.4) == 2.0
    halfway = rates(7.0, schedule="exponential", final_factor=0.25, warmup=0.4)
    assert halfway == pytest.approx(1.0, rel=1e-14)


def test_a_batch_that_ends_after_the_warm_up_gets_no_more_than_the_full_rate():
    assert rates(0.9, 1.4, warmup=0.1) == 2.0


def test_trajectories_of_a_stack_have_schedules_of_their_own():
    stack = [train(schedule=name, learning_rate=n + 1.0) for n, name in enumerate(SCHEDULES)]
    together = LearningRates.of_stack(stack).at(3.0, 3.1)
    alone = [LearningRates.of_stack([each]).at(3.0, 3.1)[0] for each in stack]
    assert together.tolist() == alone
    assert len(set(alone)) == 5


def test_only_a_constant_rate_does_not_depend_on_the_number_of_epochs():
    assert not depends_on_epochs(train())
    assert depends_on_epochs(train(warmup=0.1))
    assert all(depends_on_epochs(train(schedule=name)) for name in SCHEDULES if name != "constant")


def test_hyperparameters_belong_to_the_schedules_that_use_them():
    assert hyperparameters_of(SCHEDULES["constant"]) == {}
    assert list(hyperparameters_of(SCHEDULES["cosine"])) == ["final_factor"]
    assert list(hyperparameters_of(SCHEDULES["step"])) == ["final_factor", "schedule_steps"]


def test_an_unknown_schedule_is_refused():
    unknown = train().model_copy(update={"schedule": "linear"})
    with pytest.raises(UsageError, match=r"train.schedule 'linear': unknown; expected one of"):
        LearningRates.of_stack([unknown])


@pytest.mark.parametrize("schedule", [name for name in SCHEDULES if name != "constant"])
@pytest.mark.parametrize("final_factor", [5e-324, 1e-310, 1e-300])
def test_a_schedule_that_falls_as_far_as_it_can_begins_at_one(schedule, final_factor):
    found = rates(0.0, schedule=schedule, final_factor=final_factor)
    assert found == 2.0
    assert 0 <= rates(9.999, schedule=schedule, final_factor=final_factor) < 1e-3


def test_an_inverse_time_whose_inverse_is_not_in_range():
    done = np.array([0.0, 0.5, 1.0])
    small = SCHEDULES.make("inverse_time", {"final_factor": 1e-310}.get).factor(done)
    np.testing.assert_allclose(small, [1.0, 2e-310, 1e-310], rtol=1e-12)
    both = SCHEDULES.make("inverse_time", {"final_factor": np.array([0.01, 1e-310])}.get)
    usual = SCHEDULES.make("inverse_time", {"final_factor": 0.01}.get).factor(done)
    assert both.factor(np.array([0.5, 0.5])).tolist() == [usual[1], small[1]]
