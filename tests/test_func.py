"""tilegrad.func: derivatives as functions, nested, over trees, and modules called with other weights."""

import math

import numpy as np
import pytest

import tilegrad as tg
from tilegrad import func, nn


def test_grad_of_any_order():
    f = lambda x: (x**3).sum()  # noqa: E731
    x = tg.tensor(2.0)
    assert func.grad(f)(x).item() == 12 and func.grad(func.grad(f))(x).item() == 12
    assert func.grad(func.grad(func.grad(f)))(x).item() == 6
    assert not func.grad(f)(x).requires_grad and not x.requires_grad
    w = tg.tensor(2.0, requires_grad=True)
    g = func.grad(f)(w)
    assert g.requires_grad and w.grad is None
    g.backward()
    assert w.grad.item() == 12
    g, value = func.grad_and_value(f)(x)
    assert (g.item(), value.item()) == (12, 8) and not value.requires_grad


def test_arguments_trees_and_aux():
    def f(params, x, scale=1.0):
        y = (params["w"] * x + params["b"][0]).sum() * scale
        return y, {"y": y.detach()}

    params = {"w": tg.tensor([1.0, 2.0]), "b": [tg.tensor(3.0)]}
    x = tg.tensor([4.0, 5.0])
    g, aux = func.grad(f, has_aux=True)(params, x, scale=2.0)
    assert g["w"].tolist() == [8, 10] and g["b"][0].item() == 4 and aux["y"].item() == 40
    both = func.grad(lambda a, b: (a * b).sum(), argnums=(0, 1))(x, x + 1)
    assert both[0].tolist() == [5, 6] and both[1].tolist() == [4, 5]
    assert func.grad(lambda a, b: a.sum(), argnums=1)(x, x).tolist() == [0, 0]
    with tg.no_grad():
        assert func.grad(lambda a: (a * a).sum())(x).tolist() == [8, 10]


def test_vjp_jvp_jacobian_hessian():
    x = tg.tensor([0.3, 0.7], dtype=tg.float64)
    f = lambda v: tg.stack([v[0] * v[1], tg.sin(v[0]), v[1] ** 2])  # noqa: E731
    jacobian = np.array([[0.7, 0.3], [math.cos(0.3), 0], [0, 1.4]])
    np.testing.assert_allclose(func.jacrev(f)(x).numpy(), jacobian)
    np.testing.assert_allclose(func.jacfwd(f)(x).numpy(), jacobian)
    out, pull = func.vjp(f, x)
    v = tg.tensor([1.0, 2.0, 3.0], dtype=tg.float64)
    np.testing.assert_allclose(pull(v)[0].numpy(), v.numpy() @ jacobian)
    np.testing.assert_allclose(pull(v * 2)[0].numpy(), 2 * v.numpy() @ jacobian)
    assert not out.requires_grad and out.equal(f(x))
    _, pushed = func.jvp(f, (x,), (tg.tensor([1.0, -1.0], dtype=tg.float64),))
    np.testing.assert_allclose(pushed.numpy(), jacobian @ [1, -1])
    np.testing.assert_allclose(func.hessian(lambda v: v[0] * v[1] ** 2)(x).numpy(), [[0, 1.4], [1.4, 0.6]])


def test_vmap():
    a, b = tg.randn(4, 3), tg.randn(4, 3)
    assert tg.allclose(func.vmap(tg.dot)(a, b), (a * b).sum(1))
    assert func.vmap(lambda x, y: x + y, in_dims=(1, None), out_dims=1)(a, b[:, 0]).equal(a + b[:, :1])
    per_sample = func.vmap(func.grad(lambda w, x: (w * x).sum() ** 2), in_dims=(None, 0))(tg.ones(3), a)
    np.testing.assert_allclose(per_sample.numpy(), (2 * a.sum(1, keepdim=True) * a).numpy(), rtol=1e-5)


def test_functional_call_and_maml():
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    x = tg.randn(5, 3)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    zeros = {name: tg.zeros_like(p) for name, p in before.items()}
    assert float(func.functional_call(model, zeros, x).abs().sum()) == 0
    assert func.functional_call(model, before, (x,)).equal(model(x))
    assert func.functional_call(model, {"2.bias": before["2.bias"] + 1}, x).allclose(model(x) + 1)
    assert all(p.equal(before[name]) and isinstance(p, nn.Parameter) for name, p in model.named_parameters())
    weights = dict(model.named_parameters())
    loss = lambda p: (func.functional_call(model, p, x) ** 2).mean()  # noqa: E731
    inner = func.grad(loss)(weights)  # differentiable, because the weights require grad
    outer = loss({name: p - 0.1 * inner[name] for name, p in weights.items()})
    outer.backward()
    assert all(p.grad is not None for p in model.parameters())
    eps, name = 1e-2, "0.weight"
    numeric = []
    for sign in (1, -1):
        moved = {n: p.detach().clone().requires_grad_() for n, p in weights.items()}
        corner = (tg.arange(12).reshape(4, 3) == 0).float()
        moved[name] = (moved[name].detach() + sign * eps * corner).requires_grad_()
        step = func.grad(loss)(moved)
        numeric.append(loss({n: p - 0.1 * step[n] for n, p in moved.items()}).item())
    assert model[0].weight.grad[0, 0].item() == pytest.approx((numeric[0] - numeric[1]) / (2 * eps), abs=2e-3)


def test_functional_call_restores_after_errors_and_ties():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(2, 2, bias=False)
            self.b = nn.Linear(2, 2, bias=False)
            self.b.weight = self.a.weight
            self.register_buffer("shift", tg.zeros(2))

        def forward(self, x):
            if x is None:
                raise KeyError("no input")
            return self.b(self.a(x)) + self.shift

    model = Tied()
    new = {"a.weight": tg.eye(2) * 3}
    assert func.functional_call(model, new, tg.ones(1, 2)).tolist() == [[9, 9]]
    assert func.functional_call(model, [new, {"shift": tg.ones(2)}], tg.ones(1, 2)).tolist() == [[10, 10]]
    assert func.functional_call(model, new, tg.ones(1, 2), tie_weights=False).tolist() != [[9, 9]]
    weight = model.a.weight
    with pytest.raises(KeyError):
        func.functional_call(model, new, (None,))
    assert model.a.weight is weight is model.b.weight
    for action, error, message in (
        (lambda: func.functional_call(model, {"c": tg.ones(1)}, tg.ones(1, 2)), RuntimeError, "Tied has no c"),
        (
            lambda: func.functional_call(model, new, tg.ones(1, 2), strict=True),
            RuntimeError,
            "missing with strict=True: b.weight",
        ),
        (lambda: func.functional_call(model, [new, new], tg.ones(1, 2)), ValueError, "appear in multiple dictionaries"),
    ):
        with pytest.raises(error, match=message):
            action()


@pytest.mark.parametrize(
    ("action", "error", "message"),
    [
        (lambda x: func.grad(lambda v: v)(x), RuntimeError, r"must return one tensor of one element, got \(2,\)"),
        (lambda x: func.grad(lambda v: 1.0)(x), RuntimeError, "one element, got float"),
        (lambda x: func.grad(lambda v: v.sum(), argnums=1)(x), IndexError, "argnums=1, but .* 1 positional"),
        (lambda x: func.grad(lambda v: v)("text"), TypeError, "expected tensors, or dicts, tuples and lists of them, got str"),
        (
            lambda x: func.vjp(lambda v: v, x)[1](tg.ones(3)),
            RuntimeError,
            r"\[\(3,\)\] do not fit outputs of shapes",
        ),
        (lambda x: func.jvp(lambda v: v, x, x), RuntimeError, "must be tuples"),
        (lambda x: func.vmap(lambda v: v)(x, tg.ones(3)), ValueError, r"one size, got \[2, 3\]"),
        (lambda x: func.vmap(lambda v: v, in_dims=None)(x), ValueError, "no mapped argument"),
        (lambda x: func.vmap(lambda v: v, in_dims=(0, 0))(x), ValueError, "2 entries for 1 arguments"),
    ],
)
def test_errors(action, error, message):
    with pytest.raises(error, match=message):
        action(tg.ones(2))
