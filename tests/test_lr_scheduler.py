"""Learning-rate schedules against their closed formulas."""

from __future__ import annotations

import math

import pytest

import tilegrad as tg
from tilegrad import nn, optim
from tilegrad.optim import lr_scheduler as schedules

STEPS = 25


def make_optimizer(lr=0.8, **options):
    return optim.SGD([nn.Parameter(tg.ones(1))], lr=lr, **options)


def rates(make, steps=STEPS, **options):
    optimizer = make_optimizer(**options)
    schedule = make(optimizer)
    out = [optimizer.param_groups[0]["lr"]]
    for _ in range(steps):
        optimizer.step()
        schedule.step()
        assert schedule.get_last_lr() == [optimizer.param_groups[0]["lr"]]
        out.append(optimizer.param_groups[0]["lr"])
    return out


def cosine(n, period, low=0.0):
    return low + (0.8 - low) * (1 + math.cos(math.pi * n / period)) / 2


def restarts(n):
    length = 4
    while n >= length:
        n, length = n - length, length * 2
    return cosine(n, length, 0.1)


@pytest.mark.parametrize(
    ("make", "formula"),
    [
        (lambda o: schedules.LambdaLR(o, lambda n: 1 / (1 + n)), lambda n: 0.8 / (1 + n)),
        (lambda o: schedules.MultiplicativeLR(o, lambda n: 0.9), lambda n: 0.8 * 0.9**n),
        (lambda o: schedules.StepLR(o, 4, 0.5), lambda n: 0.8 * 0.5 ** (n // 4)),
        (lambda o: schedules.MultiStepLR(o, [3, 3, 8]), lambda n: 0.8 * 0.1 ** ((n >= 3) * 2 + (n >= 8))),
        (lambda o: schedules.ExponentialLR(o, 0.95), lambda n: 0.8 * 0.95**n),
        (lambda o: schedules.LinearLR(o, 0.25, 1.0, 8), lambda n: 0.8 * (0.25 + 0.75 * min(n, 8) / 8)),
        (lambda o: schedules.ConstantLR(o, 0.5, 6), lambda n: 0.8 * (0.5 if n < 6 else 1)),
        (lambda o: schedules.CosineAnnealingLR(o, 10, 0.05), lambda n: cosine(n, 10, 0.05)),
        (lambda o: schedules.CosineAnnealingWarmRestarts(o, 4, 2, 0.1), restarts),
        (
            lambda o: schedules.SequentialLR(o, [schedules.ConstantLR(o, 0.1, 99), schedules.ExponentialLR(o, 0.9)], [5]),
            lambda n: 0.08 if n < 5 else 0.8 * 0.9 ** (n - 5),
        ),
    ],
)
def test_closed_formulas(make, formula):
    assert rates(make) == pytest.approx([formula(n) for n in range(STEPS + 1)], rel=1e-9)


@pytest.mark.parametrize("strategy", ["cos", "linear"])
def test_one_cycle(strategy):
    out = rates(lambda o: schedules.OneCycleLR(o, 1.0, 20, pct_start=0.25, anneal_strategy=strategy), steps=19, momentum=0.9)
    assert out[0] == pytest.approx(1 / 25) and max(out) == pytest.approx(1.0) and out.index(max(out)) == 4
    assert out[-1] == pytest.approx(1 / 25 / 1e4)
    if strategy == "linear":
        assert out[2] == pytest.approx((out[1] + out[3]) / 2)
    adam = optim.Adam([nn.Parameter(tg.ones(1))])
    schedule = schedules.OneCycleLR(adam, 0.1, epochs=2, steps_per_epoch=3)
    assert adam.param_groups[0]["betas"] == (0.95, 0.999)
    for _ in range(6):
        schedule.step()
    with pytest.raises(ValueError, match=r"Tried to step 7 times. The specified number of total steps is 6"):
        schedule.step()


def test_plateau():
    optimizer = make_optimizer()
    schedule = schedules.ReduceLROnPlateau(optimizer, factor=0.5, patience=2, cooldown=1, min_lr=0.15)
    seen = []
    for metric in [1.0, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9]:
        schedule.step(tg.tensor(metric))
        seen.append(optimizer.param_groups[0]["lr"])
    assert seen[:4] == [0.8] * 4 and seen[4] == 0.4 and seen[7] == 0.4 and seen[8] == 0.2 and seen[-1] == 0.15
    up = schedules.ReduceLROnPlateau(make_optimizer(), "max", patience=0, threshold_mode="abs")
    for metric in (1.0, 2.0, 1.5):
        up.step(metric)
    assert up.get_last_lr() == pytest.approx([0.08])


def test_state_dict_resumes():
    optimizer = make_optimizer()
    schedule = schedules.CosineAnnealingLR(optimizer, 10)
    for _ in range(4):
        schedule.step()
    other_optimizer = make_optimizer()
    other = schedules.CosineAnnealingLR(other_optimizer, 10)
    other.load_state_dict(schedule.state_dict())
    other_optimizer.load_state_dict(optimizer.state_dict())
    schedule.step()
    other.step()
    assert other.get_last_lr() == schedule.get_last_lr() == pytest.approx([cosine(5, 10)])
    resumed = make_optimizer()
    resumed.param_groups[0]["initial_lr"] = 0.8
    assert schedules.ExponentialLR(resumed, 0.5, last_epoch=3).last_epoch == 4


def test_groups_have_their_own_rates():
    optimizer = optim.SGD([{"params": [nn.Parameter(tg.ones(1))], "lr": 1.0}, {"params": [nn.Parameter(tg.ones(1))]}], lr=0.1)
    schedule = schedules.LambdaLR(optimizer, [lambda n: 0.5**n, lambda n: 1.0])
    schedule.step()
    assert schedule.get_last_lr() == [0.5, 0.1] and schedule.base_lrs == [1.0, 0.1]
    assert "lr_lambdas" not in schedule.state_dict()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda o: schedules.StepLR(3, 1), TypeError, "int is not an Optimizer"),
        (lambda o: schedules.StepLR(o, 0), ValueError, "step_size must be at least 1, got 0"),
        (lambda o: schedules.LambdaLR(o, [abs, abs]), ValueError, "Expected 1 lr_lambdas, but got 2"),
        (lambda o: schedules.StepLR(o, 1, last_epoch=3), KeyError, "'initial_lr' is not specified in param_groups"),
        (lambda o: schedules.LinearLR(o, 0.0), ValueError, r"expected to be in \(0, 1\], got 0.0"),
        (lambda o: schedules.LinearLR(o, 1.0, 2.0), ValueError, "between 0 and 1, got 2.0"),
        (lambda o: schedules.ConstantLR(o, 2.0), ValueError, "between 0 and 1, got 2.0"),
        (lambda o: schedules.CosineAnnealingWarmRestarts(o, 0), ValueError, "Expected integer T_0 >= 1, but got 0"),
        (lambda o: schedules.OneCycleLR(o, 1.0), ValueError, "define either total_steps OR"),
        (lambda o: schedules.OneCycleLR(o, 1.0, 5, pct_start=2), ValueError, "between 0 and 1 pct_start, but got 2"),
        (
            lambda o: schedules.OneCycleLR(o, 1.0, 5, anneal_strategy="x"),
            ValueError,
            "must be one of 'cos' or 'linear', instead got x",
        ),
        (lambda o: schedules.ReduceLROnPlateau(o, factor=1.0), ValueError, "Factor should be < 1.0, got 1.0"),
        (lambda o: schedules.ReduceLROnPlateau(o, "up"), ValueError, "mode up is unknown"),
        (lambda o: schedules.ReduceLROnPlateau(o, threshold_mode="x"), ValueError, "threshold mode x is unknown"),
        (lambda o: schedules.SequentialLR(o, [], [1]), ValueError, "one more than the number of milestone points"),
        (lambda o: schedules.LRScheduler(o), NotImplementedError, "LRScheduler must define get_lr"),
    ],
)
def test_errors(make, error, message):
    with pytest.raises(error, match=message):
        make(make_optimizer())
