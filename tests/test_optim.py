"""Optimizers against NumPy, and the rules of Optimizer: groups, state, errors."""

from __future__ import annotations

import copy
import itertools
import pickle

import numpy as np
import pytest

import tilegrad as tg
from tilegrad import nn, optim

START = [np.array([[1.0, -2.0], [0.5, 3.0]]), np.array([0.3, -0.7, 2.0])]


def gradients(step):
    rng = np.random.default_rng(step)
    return [rng.normal(size=p.shape) for p in START]


def run(make, steps=6, dtype=tg.float64):
    params = [nn.Parameter(tg.tensor(p, dtype=dtype)) for p in START]
    optimizer = make(params)
    for step in range(steps):
        for p, g in zip(params, gradients(step), strict=True):
            p.grad = tg.tensor(g, dtype=dtype)
        optimizer.step()
    return [p.detach().double().numpy() for p in params], optimizer, params


def numpy_sgd(lr, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, maximize=False, steps=6):
    params, buffers = [p.copy() for p in START], [None, None]
    for step in range(steps):
        for i, g in enumerate(gradients(step)):
            g = (-g if maximize else g) + weight_decay * params[i]
            if momentum:
                buffers[i] = g.copy() if buffers[i] is None else momentum * buffers[i] + (1 - dampening) * g
                g = g + momentum * buffers[i] if nesterov else buffers[i]
            params[i] -= lr * g
    return params


def numpy_adam(lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, amsgrad=False, maximize=False, decoupled=False, steps=6):
    params, (b1, b2) = [p.copy() for p in START], betas
    m, v, top = ([np.zeros_like(p) for p in START] for _ in range(3))
    for t in range(1, steps + 1):
        for i, g in enumerate(gradients(t - 1)):
            g = -g if maximize else g
            if decoupled:
                params[i] *= 1 - lr * weight_decay
            else:
                g = g + weight_decay * params[i]
            m[i] = b1 * m[i] + (1 - b1) * g
            v[i] = b2 * v[i] + (1 - b2) * g * g
            top[i] = np.maximum(top[i], v[i])
            second = top[i] if amsgrad else v[i]
            params[i] -= lr / (1 - b1**t) * m[i] / (np.sqrt(second / (1 - b2**t)) + eps)
    return params


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"momentum": 0.9},
        {"momentum": 0.9, "dampening": 0.9},  # the (1 - beta) form of the course
        {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
        {"weight_decay": 0.3, "maximize": True},
    ],
)
def test_sgd_matches_numpy(options):
    got, _, _ = run(lambda p: optim.SGD(p, lr=0.1, **options))
    for a, b in zip(got, numpy_sgd(0.1, **options), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


@pytest.mark.parametrize(
    "options",
    [{}, {"betas": (0.5, 0.9), "eps": 1e-3}, {"weight_decay": 0.1}, {"amsgrad": True}, {"maximize": True, "weight_decay": 0.2}],
)
@pytest.mark.parametrize("decoupled", [False, True])
def test_adam_and_adamw_match_numpy(options, decoupled):
    make = optim.AdamW if decoupled else optim.Adam
    got, _, _ = run(lambda p: make(p, lr=0.05, **options))
    if decoupled:
        options = {"weight_decay": 1e-2, **options, "decoupled": True}
    for a, b in zip(got, numpy_adam(0.05, **options), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10)


def numpy_adagrad(lr, lr_decay=0.0, weight_decay=0.0, initial_accumulator_value=0.0, steps=6):
    params, total = [p.copy() for p in START], [np.full_like(p, initial_accumulator_value) for p in START]
    for t in range(steps):
        for i, g in enumerate(gradients(t)):
            g = g + weight_decay * params[i]
            total[i] += g * g
            params[i] -= lr / (1 + t * lr_decay) * g / (np.sqrt(total[i]) + 1e-10)
    return params


def numpy_rmsprop(lr, alpha=0.99, momentum=0.0, centered=False, maximize=False, steps=6):
    params = [p.copy() for p in START]
    v, mean, buffer = ([np.zeros_like(p) for p in START] for _ in range(3))
    for t in range(steps):
        for i, g in enumerate(gradients(t)):
            g = -g if maximize else g
            v[i] = alpha * v[i] + (1 - alpha) * g * g
            mean[i] = alpha * mean[i] + (1 - alpha) * g
            change = g / (np.sqrt(v[i] - mean[i] ** 2 if centered else v[i]) + 1e-8)
            buffer[i] = momentum * buffer[i] + change
            params[i] -= lr * buffer[i]
    return params


@pytest.mark.parametrize(
    ("make", "reference", "options"),
    [
        (optim.Adagrad, numpy_adagrad, {}),
        (optim.Adagrad, numpy_adagrad, {"lr_decay": 0.1, "weight_decay": 0.2, "initial_accumulator_value": 0.5}),
        (optim.RMSprop, numpy_rmsprop, {}),
        (optim.RMSprop, numpy_rmsprop, {"alpha": 0.9, "momentum": 0.8, "maximize": True}),
        (optim.RMSprop, numpy_rmsprop, {"alpha": 0.5, "centered": True}),
    ],
)
def test_adagrad_and_rmsprop_match_numpy(make, reference, options):
    got, _, _ = run(lambda p: make(p, lr=0.05, **options))
    for a, b in zip(got, reference(0.05, **options), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10)


@pytest.mark.parametrize(("dtype", "rtol"), [(tg.float32, 1e-5), (tg.float16, 2e-2), (tg.bfloat16, 1e-1)])
def test_other_dtypes(dtype, rtol):
    for make, expected in (
        (lambda p: optim.SGD(p, 0.05, momentum=0.9), numpy_sgd(0.05, momentum=0.9)),
        (lambda p: optim.Adam(p, 0.05), numpy_adam(0.05)),
    ):
        got, optimizer, params = run(make, dtype=dtype)
        for a, b in zip(got, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)
        assert all(p.dtype == dtype for p in params)
        buffers = [v for state in optimizer.state.values() for v in state.values() if isinstance(v, tg.Tensor)]
        assert buffers and all(b.dtype == dtype for b in buffers)


def test_non_contiguous_parameters_and_mixed_dtypes():
    base = tg.tensor(START[0])
    flipped = nn.Parameter(base.t())  # a transposed view
    single = nn.Parameter(tg.tensor(START[1], dtype=tg.float32))
    assert not flipped.is_contiguous()
    for make, reference in ((lambda p: optim.Adam(p, 0.05), numpy_adam), (lambda p: optim.SGD(p, 0.05, momentum=0.9), None)):
        with tg.no_grad():
            flipped.copy_(tg.tensor(START[0].T))
            single.copy_(tg.tensor(START[1]))
        optimizer = make([flipped, single])
        for step in range(6):
            g = gradients(step)
            flipped.grad, single.grad = tg.tensor(g[0]).t(), tg.tensor(g[1], dtype=tg.float32)
            optimizer.step()
        expected = reference(0.05) if reference else numpy_sgd(0.05, momentum=0.9)
        np.testing.assert_allclose(flipped.detach().numpy(), expected[0].T, rtol=1e-10)
        np.testing.assert_allclose(base.numpy(), expected[0], rtol=1e-10)  # the memory it is a view of
        np.testing.assert_allclose(single.detach().numpy(), expected[1], rtol=1e-5)


def test_parameters_without_gradient_are_skipped():
    for make in (lambda p: optim.SGD(p, 0.1, momentum=0.9), lambda p: optim.Adam(p, 0.1)):
        a, b = nn.Parameter(tg.ones(2)), nn.Parameter(tg.ones(2))
        optimizer = make([a, b])
        a.grad = tg.ones(2)
        optimizer.step()
        assert a[0].item() < 1 and b.tolist() == [1, 1] and b not in optimizer.state
        b.grad = tg.ones(2)  # b's first step is a's second
        optimizer.step()
        assert b[0].item() == pytest.approx(0.9, rel=1e-5) and a[0].item() < b[0].item()


def test_an_update_moves_the_storage_version():
    p = nn.Parameter(tg.ones(2))
    y = (p * p).sum()
    p.grad = tg.ones(2)
    optim.SGD([p], 0.1).step()
    with pytest.raises(RuntimeError):
        y.backward()


def test_groups_defaults_and_names():
    net = nn.Linear(2, 2)
    optimizer = optim.SGD([{"params": net.weight, "weight_decay": 0.5}, {"params": [net.bias], "lr": 1.0}], lr=0.1)
    assert [g["lr"] for g in optimizer.param_groups] == [0.1, 1.0]
    assert [g["weight_decay"] for g in optimizer.param_groups] == [0.5, 0]
    assert optimizer.defaults["lr"] == 0.1
    extra = nn.Parameter(tg.ones(1))
    optimizer.add_param_group({"params": extra})
    assert len(optimizer.param_groups) == 3
    for group in optimizer.param_groups:
        group["lr"] *= 0.5
    extra.grad = tg.ones(1)
    optimizer.step()
    assert extra.item() == pytest.approx(0.95)
    named = optim.SGD(net.named_parameters(), lr=0.1)
    assert named.param_groups[0]["param_names"] == ["weight", "bias"]
    assert "lr: 0.1" in repr(named) and repr(named).startswith("SGD (\nParameter Group 0\n")


def test_zero_grad():
    p = nn.Parameter(tg.ones(2))
    optimizer = optim.SGD([p], lr=0.1)
    (p * 2).sum().backward()
    optimizer.zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0, 0]
    optimizer.zero_grad()
    assert p.grad is None


def test_closure_runs_with_gradients_and_its_value_is_returned():
    p = nn.Parameter(tg.tensor([2.0]))
    optimizer = optim.SGD([p], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with tg.no_grad():
        assert optimizer.step(closure).item() == 4.0
    assert p.item() == pytest.approx(1.6)


def used():
    generator = iter([nn.Parameter(tg.ones(1))])
    list(generator)
    return generator


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda p: optim.SGD([], 0.1), ValueError, "optimizer got an empty parameter list"),
        (lambda p: optim.SGD(used(), 0.1), ValueError, r"call parameters\(\) again if that generator was already consumed"),
        (lambda p: optim.SGD(p, 0.1), TypeError, r"should be an iterable of Tensors or dicts, but got Parameter; wrap it"),
        (lambda p: optim.SGD([3], 0.1), TypeError, "optimizer can only optimize Tensors, but one of the params is int"),
        (lambda p: optim.SGD([p * 2], 0.1), ValueError, "can't optimize a non-leaf Tensor"),
        (lambda p: optim.SGD([p, p], 0.1), ValueError, "appear more than once in the parameter group"),
        (lambda p: optim.SGD([{"params": p}, {"params": [p]}], 0.1), ValueError, "appear in more than one parameter group"),
        (lambda p: optim.SGD([{"params": {p}}], 0.1), TypeError, "ordering of tensors in sets"),
        (lambda p: optim.SGD([{"weights": p}], 0.1), ValueError, "must have the key 'params', got the keys .'weights'."),
        (lambda p: optim.SGD([("a", p), p], 0.1), ValueError, "with/without names"),
        (lambda p: optim.SGD([p], -1), ValueError, "Invalid learning rate: -1"),
        (lambda p: optim.SGD([p], 0.1, momentum=-1), ValueError, "Invalid momentum value: -1"),
        (lambda p: optim.SGD([p], 0.1, weight_decay=-1), ValueError, "Invalid weight_decay value: -1"),
        (lambda p: optim.SGD([p], 0.1, nesterov=True), ValueError, "Nesterov momentum requires a momentum and zero dampening"),
        (lambda p: optim.Adam([p], betas=(1.0, 0.9)), ValueError, "Invalid beta parameter at index 0: 1.0"),
        (lambda p: optim.Adam([p], betas=(0.9, -1)), ValueError, "Invalid beta parameter at index 1: -1"),
        (lambda p: optim.Adam([p], eps=-1), ValueError, "Invalid epsilon value: -1"),
        (lambda p: optim.AdamW([p], weight_decay=-1), ValueError, "Invalid weight_decay value: -1"),
        (lambda p: optim.Adagrad([p], lr_decay=-1), ValueError, "Invalid lr_decay value: -1"),
        (lambda p: optim.Adagrad([p], initial_accumulator_value=-1), ValueError, "Invalid initial_accumulator_value value"),
        (lambda p: optim.RMSprop([p], alpha=-1), ValueError, "Invalid alpha value: -1"),
        (lambda p: optim.RMSprop([p], momentum=-1), ValueError, "Invalid momentum value: -1"),
        (lambda p: optim.RMSprop([p], lr=-1), ValueError, "Invalid learning rate: -1"),
        (lambda p: optim.SGD([p], 0.1).add_param_group([p]), TypeError, "param_group must be a dict, but got list"),
        (
            lambda p: optim.Optimizer([p], {"lr": optim.optimizer.required}),
            ValueError,
            "didn't specify a value of required optimization parameter lr",
        ),
        (lambda p: optim.Optimizer([p], {}).step(), NotImplementedError, "Optimizer must define step"),
        (lambda p: optim.SGD([p], 0.1).load_state_dict({}), ValueError, "has no key 'state'"),
    ],
)
def test_errors(make, error, message):
    with pytest.raises(error, match=message):
        make(nn.Parameter(tg.ones(2)))


@pytest.mark.parametrize("make", [lambda p: optim.SGD(p, 0.1, momentum=0.9), lambda p: optim.Adam(p, 0.1, amsgrad=True)])
def test_state_dict_continues_exactly(make):
    straight, _, _ = run(make, steps=6)
    params = [nn.Parameter(tg.tensor(p)) for p in START]
    optimizer = make(params)
    for step in range(6):
        if step == 3:  # a new optimizer over the same parameters takes over
            saved = copy.deepcopy(optimizer.state_dict())
            optimizer = make(params)
            optimizer.load_state_dict(saved)
        for p, g in zip(params, gradients(step), strict=True):
            p.grad = tg.tensor(g)
        optimizer.step()
    for a, b in zip(params, straight, strict=True):
        assert np.array_equal(a.detach().numpy(), b)


def test_state_dict_layout_and_loading():
    _, optimizer, params = run(lambda p: optim.Adam(p, 0.1))
    state = optimizer.state_dict()
    assert list(state) == ["state", "param_groups"]
    assert list(state["state"]) == [0, 1] and set(state["state"][0]) == {"step", "exp_avg", "exp_avg_sq"}
    assert state["state"][0]["exp_avg"].shape == (2, 2) and state["state"][0]["step"] == 6
    assert state["param_groups"][0]["params"] == [0, 1] and state["param_groups"][0]["lr"] == 0.1
    state["state"][0]["step"] = tg.tensor(6.0)  # how PyTorch stores it
    single = [nn.Parameter(p.detach().float()) for p in params]
    other = optim.Adam(single, lr=0.5)
    other.load_state_dict(state)
    assert other.param_groups[0]["lr"] == 0.1 and other.state[single[0]]["exp_avg"].dtype == tg.float32
    single[0].grad = tg.ones(2, 2)
    other.step()
    assert other.state[single[0]]["step"] == 7
    with pytest.raises(ValueError, match="different number of parameter groups: 1, this optimizer has 2"):
        optim.Adam([{"params": single[0]}, {"params": single[1]}]).load_state_dict(state)
    with pytest.raises(ValueError, match="group 0 has 2 parameters there and 1 here"):
        optim.Adam(single[:1]).load_state_dict(state)


def test_optimizer_copies():
    _, optimizer, _ = run(lambda p: optim.Adam(p, 0.1))
    for clone in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
        assert clone.state_dict()["param_groups"] == optimizer.state_dict()["param_groups"]
        assert len(clone.state) == 2 and set(map(id, clone.state)) == {id(p) for p in clone.param_groups[0]["params"]}


def test_own_optimizer_subclass():
    class Plain(optim.Optimizer):
        def __init__(self, params, lr=0.1):
            super().__init__(params, {"lr": lr})

        def step(self, closure=None):
            with tg.no_grad():
                for group in self.param_groups:
                    for p in group["params"]:
                        if p.grad is not None:
                            self.state[p]["count"] = self.state[p].get("count", 0) + 1
                            p.add_(p.grad, alpha=-group["lr"])

    p = nn.Parameter(tg.ones(2))
    optimizer = Plain([p])
    (p * 2).sum().backward()
    optimizer.step()
    assert p.tolist() == pytest.approx([0.8, 0.8]) and optimizer.state[p] == {"count": 1}


def test_training_reaches_a_straight_line():
    tg.manual_seed(0)
    x = tg.linspace(-1, 1, 64).reshape(-1, 1)
    y = 2 * x + 0.5
    for make in (
        lambda p: optim.SGD(p, 0.3),
        lambda p: optim.SGD(p, 0.05, momentum=0.9),
        lambda p: optim.Adam(p, 0.1),
        lambda p: optim.AdamW(p, 0.1, weight_decay=0),
    ):
        net = nn.Linear(1, 1)
        optimizer = make(net.parameters())
        for _ in range(200):
            optimizer.zero_grad()
            nn.functional.mse_loss(net(x), y).backward()
            optimizer.step()
        assert net.weight.item() == pytest.approx(2, abs=1e-2) and net.bias.item() == pytest.approx(0.5, abs=1e-2)


def test_gradient_of_wrong_shape():
    p = nn.Parameter(tg.ones(2))
    p.grad = tg.ones(2)
    p.data = tg.ones(3)
    with pytest.raises(RuntimeError, match=r"gradient of a parameter has shape \(2,\) and dtype .*, the parameter \(3,\)"):
        optim.SGD([p], 0.1).step()


def test_one_native_call_per_group_and_dtype(monkeypatch):
    from tilegrad import _core

    calls = []
    real = _core.sgd_step
    monkeypatch.setattr(_core, "sgd_step", lambda params, *rest: (calls.append(len(params)), real(params, *rest))[1])
    params = [nn.Parameter(tg.ones(2, dtype=d)) for d, _ in itertools.product((tg.float32, tg.float64), range(5))]
    for p in params:
        p.grad = tg.ones(2, dtype=p.dtype)
    optim.SGD(params, 0.1, momentum=0.9).step()
    assert calls == [5, 5]
