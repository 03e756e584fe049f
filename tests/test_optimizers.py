"""The fused optimisers against the plain formulas in NumPy, their arguments, gradient clipping, and the later schedules."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tilegrad as tg
from tilegrad import optim
from tilegrad.optim import lr_scheduler

RNG = np.random.default_rng(0)
SHAPES = [(3, 5), (1,), (40, 500), (7,)]  # one of them has more than one piece
STEPS = 12


def rmsprop(p, g, s, t, lr=0.1, alpha=0.9, eps=1e-8, momentum=0.0, centered=False):
    s["v"] = alpha * s.get("v", 0) + (1 - alpha) * g * g
    v = s["v"]
    if centered:
        s["a"] = alpha * s.get("a", 0) + (1 - alpha) * g
        v = v - s["a"] ** 2
    d = g / (np.sqrt(v) + eps)
    s["b"] = momentum * s.get("b", 0) + d
    return p - lr * s["b"]


def adagrad(p, g, s, t, lr=0.1, lr_decay=0.0, start=0.0, eps=1e-10):
    s["s"] = s.get("s", start) + g * g
    return p - lr / (1 + (t - 1) * lr_decay) * g / (np.sqrt(s["s"]) + eps)


def adadelta(p, g, s, t, lr=0.5, rho=0.9, eps=1e-6):
    s["v"] = rho * s.get("v", 0) + (1 - rho) * g * g
    d = np.sqrt(s.get("u", 0) + eps) / np.sqrt(s["v"] + eps) * g
    s["u"] = rho * s.get("u", 0) + (1 - rho) * d * d
    return p - lr * d


def moments(g, s, b1, b2):
    s["m"] = b1 * s.get("m", 0) + (1 - b1) * g
    s["v"] = b2 * s.get("v", 0) + (1 - b2) * g * g
    return s["m"], s["v"]


def nadam(p, g, s, t, lr=0.1, b1=0.9, b2=0.99, eps=1e-8, decay=4e-3):
    m, v = moments(g, s, b1, b2)
    mu, after = (b1 * (1 - 0.5 * 0.96 ** (n * decay)) for n in (t, t + 1))
    s["mu"] = s.get("mu", 1.0) * mu
    direction = (1 - mu) * g / (1 - s["mu"]) + after * m / (1 - s["mu"] * after)
    return p - lr * direction / (np.sqrt(v / (1 - b2**t)) + eps)


def radam(p, g, s, t, lr=0.1, b1=0.9, b2=0.99, eps=1e-8):
    m, v = moments(g, s, b1, b2)
    longest = 2 / (1 - b2) - 1
    r = longest - 2 * t * b2**t / (1 - b2**t)
    m = m / (1 - b1**t)
    if r <= 5:
        return p - lr * m
    factor = math.sqrt((r - 4) * (r - 2) * longest / ((longest - 4) * (longest - 2) * r))
    return p - lr * factor * m * math.sqrt(1 - b2**t) / (np.sqrt(v) + eps)


def adamax(p, g, s, t, lr=0.1, b1=0.9, b2=0.99, eps=1e-8):
    s["m"] = b1 * s.get("m", 0) + (1 - b1) * g
    s["u"] = np.maximum(b2 * s.get("u", 0), np.abs(g) + eps)
    return p - lr / (1 - b1**t) * s["m"] / s["u"]


def asgd(p, g, s, t, lr=0.1, lambd=1e-2, alpha=0.75):
    eta = s.get("eta", lr)
    s["eta"] = lr / (1 + lambd * lr * t) ** alpha
    return p * (1 - lambd * eta) - eta * g


def rprop(p, g, s, t, lr=0.1):
    turn = s.get("prev", 0 * g) * g
    s["size"] = np.clip(s.get("size", np.full_like(g, lr)) * np.where(turn > 0, 1.2, np.where(turn < 0, 0.5, 1)), 1e-6, 50)
    s["prev"] = np.where(turn < 0, 0, g)
    return p - np.sign(s["prev"]) * s["size"]


B = {"betas": (0.9, 0.99), "lr": 0.1}
CASES = {
    "RMSprop": (lambda p, **k: optim.RMSprop(p, 0.1, alpha=0.9, **k), rmsprop, {}),
    "RMSprop momentum": (lambda p, **k: optim.RMSprop(p, 0.1, alpha=0.9, momentum=0.7, **k), rmsprop, {"momentum": 0.7}),
    "RMSprop centered": (
        lambda p, **k: optim.RMSprop(p, 0.1, alpha=0.9, eps=0.1, momentum=0.7, centered=True, **k),
        rmsprop,
        {"momentum": 0.7, "centered": True, "eps": 0.1},
    ),
    "Adagrad": (
        lambda p, **k: optim.Adagrad(p, 0.1, lr_decay=0.1, initial_accumulator_value=0.5, **k),
        adagrad,
        {"lr_decay": 0.1, "start": 0.5},
    ),
    "Adadelta": (lambda p, **k: optim.Adadelta(p, 0.5, **k), adadelta, {}),
    "NAdam": (lambda p, **k: optim.NAdam(p, **B, **k), nadam, {}),
    "RAdam": (lambda p, **k: optim.RAdam(p, **B, **k), radam, {}),
    "Adamax": (lambda p, **k: optim.Adamax(p, **B, **k), adamax, {}),
    "ASGD": (lambda p, **k: optim.ASGD(p, 0.1, lambd=1e-2, **k), asgd, {}),
    "Rprop": (lambda p, **k: optim.Rprop(p, 0.1, **k), rprop, {}),
}


def run(make, dtype, starts, gradients, **options):
    params = [tg.tensor(a, dtype=dtype, requires_grad=True) for a in starts]
    optimizer = make(params, **options)
    for step in gradients:
        for p, g in zip(params, step, strict=True):
            p.grad = tg.tensor(g, dtype=dtype)
        optimizer.step()
    return [p.detach().to(tg.float64).numpy() for p in params], optimizer


def data():
    rng = np.random.default_rng(1)
    starts = [rng.standard_normal(s) for s in SHAPES]
    return starts, [[rng.standard_normal(s) for s in SHAPES] for _ in range(STEPS)]


@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("name", CASES)
def test_against_the_formula(name, decay, maximize):
    if name == "Rprop" and decay:
        pytest.skip("Rprop has no weight decay")
    make, formula, options = CASES[name]
    starts, gradients = data()
    given = {"maximize": maximize, **({"weight_decay": decay} if decay else {})}
    actual, _ = run(make, tg.float64, starts, gradients, **given)
    for i, p in enumerate(starts):
        state = {}
        for t, step in enumerate(gradients, 1):
            g = (-step[i] if maximize else step[i]) + decay * p
            p = formula(p, g, state, t, **options)
        np.testing.assert_allclose(actual[i], p, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", CASES)
def test_float32_stays_near_float64(name):
    starts, gradients = data()
    make = CASES[name][0]
    for a, b in zip(run(make, tg.float32, starts, gradients)[0], run(make, tg.float64, starts, gradients)[0], strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("name", ["NAdam", "RAdam"])
def test_decoupled_weight_decay(name):
    starts, gradients = data()
    make, formula, _ = CASES[name]
    actual, _ = run(make, tg.float64, starts, gradients, weight_decay=0.1, decoupled_weight_decay=True)
    state, p = {}, starts[0]
    for t, step in enumerate(gradients, 1):
        p = formula(p, step[0], state, t) - 0.1 * 0.1 * p
    np.testing.assert_allclose(actual[0], p, rtol=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_saving_and_loading_goes_on_where_it_was(name):
    starts, gradients = data()
    make = CASES[name][0]
    whole, _ = run(make, tg.float64, starts, gradients)
    half, first = run(make, tg.float64, starts, gradients[:6])
    params = [tg.tensor(a, requires_grad=True) for a in half]
    second = make(params)
    second.load_state_dict(first.state_dict())
    for step in gradients[6:]:
        for p, g in zip(params, step, strict=True):
            p.grad = tg.tensor(g)
        second.step()
    for a, b in zip(params, whole, strict=True):
        np.testing.assert_array_equal(a.detach().numpy(), b)


@pytest.mark.xdist_group("serial")
def test_the_same_bits_for_any_number_of_threads():
    starts, gradients = data()
    before = tg.get_num_threads()
    results = []
    try:
        for count in (1, 2, 3):
            tg.set_num_threads(count)
            values = [run(CASES[name][0], tg.float32, starts, gradients)[0] for name in CASES]
            norm = tg.nn.utils.get_total_norm([tg.tensor(g, dtype=tg.float32) for g in gradients[0]]).item()
            results.append([a.tobytes() for v in values for a in v] + [norm])
    finally:
        tg.set_num_threads(before)
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda p: optim.Adadelta(p, rho=1.5), "rho value: 1.5"),
        (lambda p: optim.NAdam(p, lr=-1), "learning rate: -1"),
        (lambda p: optim.NAdam(p, momentum_decay=-1), "momentum_decay value: -1"),
        (lambda p: optim.RAdam(p, betas=(0.9, 1.0)), "index 1: 1.0"),
        (lambda p: optim.Adamax(p, eps=-1), "epsilon value: -1"),
        (lambda p: optim.Rprop(p, etas=(1.5, 2)), "eta values: 1.5, 2"),
        (lambda p: optim.ASGD(p, weight_decay=-1), "weight_decay value: -1"),
        (lambda p: optim.LBFGS(p, line_search_fn="golden"), "line_search_fn"),
    ],
)
def test_bad_arguments(call, text):
    with pytest.raises(ValueError, match=text):
        call([tg.ones(2, requires_grad=True)])


# --- LBFGS -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_lbfgs_solves_a_quadratic(search):
    a = RNG.standard_normal((8, 8))
    a = tg.tensor(a @ a.T + np.eye(8))
    b = tg.tensor(RNG.standard_normal(8))
    x = tg.zeros(8, dtype=tg.float64, requires_grad=True)
    optimizer = optim.LBFGS([x], max_iter=100, line_search_fn=search, tolerance_grad=1e-9, tolerance_change=1e-14)

    def closure():
        optimizer.zero_grad()
        loss = 0.5 * (x @ (a @ x)) - b @ x
        loss.backward()
        return loss

    optimizer.step(closure)
    np.testing.assert_allclose(x.detach().numpy(), np.linalg.solve(a.numpy(), b.numpy()), atol=1e-6)


def test_lbfgs_finds_the_bottom_of_rosenbrocks_valley():
    x = tg.tensor([-1.5, 2.0], dtype=tg.float64, requires_grad=True)
    optimizer = optim.LBFGS([x], max_iter=100, line_search_fn="strong_wolfe", tolerance_change=1e-14)

    def closure():
        optimizer.zero_grad()
        loss = (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2
        loss.backward()
        return loss

    first = optimizer.step(closure)
    assert first.item() == pytest.approx(6.25 + 100 * 0.0625)
    np.testing.assert_allclose(x.detach().numpy(), [1, 1], atol=1e-5)
    with pytest.raises(TypeError, match="closure"):
        optimizer.step()


# --- clipping ----------------------------------------------------------------------------------------------------------


def parameters(dtype=tg.float64):
    params = [tg.zeros(s, dtype=dtype, requires_grad=True) for s in SHAPES]
    for p in params:
        p.grad = tg.tensor(RNG.standard_normal(tuple(p.shape)), dtype=dtype)
    return params


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0, math.inf])
@pytest.mark.parametrize("dtype", [tg.float64, tg.float32, tg.bfloat16])
def test_clip_grad_norm(p, dtype):
    params = parameters(dtype)
    before = np.concatenate([q.grad.to(tg.float64).numpy().ravel() for q in params])
    expected = np.linalg.norm(before, p)
    rtol = {"float64": 1e-12, "float32": 1e-5}.get(dtype.name, 2e-2)
    total = tg.nn.utils.clip_grad_norm_(params, 0.5, p, foreach=True)
    np.testing.assert_allclose(total.to(tg.float64).item(), expected, rtol=rtol)
    after = np.concatenate([q.grad.to(tg.float64).numpy().ravel() for q in params])
    np.testing.assert_allclose(after, before * (0.5 / (expected + 1e-6)), rtol=2 * rtol)
    again = tg.nn.utils.clip_grad_norm_(params, 1e9, p)
    np.testing.assert_allclose(again.to(tg.float64).item(), 0.5 * expected / (expected + 1e-6), rtol=2 * rtol)


@pytest.mark.parametrize("p", [1.0, 2.0, math.inf])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_clip_grad_norm_of_what_is_not_finite(p, bad):
    params = parameters(tg.float32)
    params[2].grad[3, 4] = bad
    with pytest.raises(RuntimeError, match="non-finite"):
        tg.nn.utils.clip_grad_norm_(params, 1.0, p, error_if_nonfinite=True)
    total = tg.nn.utils.clip_grad_norm_(params, 1.0, p).item()
    assert math.isnan(total) if math.isnan(bad) else total == math.inf


def test_large_gradients_do_not_overflow():
    x = tg.zeros(3, requires_grad=True)
    x.grad = tg.full((3,), 1e30)
    assert tg.nn.utils.clip_grad_norm_([x], 1.0).item() == pytest.approx(math.sqrt(3) * 1e30, rel=1e-6)
    assert x.grad.tolist() == pytest.approx([1 / math.sqrt(3)] * 3, rel=1e-5)


# --- schedules ---------------------------------------------------------------------------------------------------------


def rates(make, count, lr=1.0, **options):
    optimizer = optim.SGD([tg.zeros(1, requires_grad=True)], lr=lr, momentum=0.9)
    scheduler = make(optimizer, **options)
    found = []
    for _ in range(count):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found, optimizer


def test_polynomial():
    found, _ = rates(lr_scheduler.PolynomialLR, 7, total_iters=4, power=2.0)
    np.testing.assert_allclose(found, [1, 0.5625, 0.25, 0.0625, 0, 0, 0])


def test_cyclic():
    found, optimizer = rates(lr_scheduler.CyclicLR, 9, base_lr=0.1, max_lr=0.5, step_size_up=2, step_size_down=2)
    np.testing.assert_allclose(found, [0.1, 0.3, 0.5, 0.3, 0.1, 0.3, 0.5, 0.3, 0.1])
    assert optimizer.param_groups[0]["momentum"] == pytest.approx(0.85)  # at step 9, half way up
    found, _ = rates(lr_scheduler.CyclicLR, 9, base_lr=0.1, max_lr=0.5, step_size_up=2, mode="triangular2")
    np.testing.assert_allclose(found, [0.1, 0.3, 0.5, 0.3, 0.1, 0.2, 0.3, 0.2, 0.1])
    found, _ = rates(lr_scheduler.CyclicLR, 4, base_lr=0.0, max_lr=1.0, step_size_up=4, mode="exp_range", gamma=0.5)
    np.testing.assert_allclose(found, [0, 0.25 * 0.5, 0.5 * 0.25, 0.75 * 0.125])
    with pytest.raises(ValueError, match="mode"):
        rates(lr_scheduler.CyclicLR, 1, base_lr=0.1, max_lr=0.5, mode="square")


def test_chained():
    def make(optimizer):
        constant = lr_scheduler.ConstantLR(optimizer, factor=0.1, total_iters=2)
        return lr_scheduler.ChainedScheduler([constant, lr_scheduler.ExponentialLR(optimizer, gamma=0.9)])

    found, _ = rates(make, 5)
    np.testing.assert_allclose(found, [0.1, 0.09, 0.81, 0.729, 0.6561])
    with pytest.raises(ValueError, match="at least one"):
        lr_scheduler.ChainedScheduler([])
