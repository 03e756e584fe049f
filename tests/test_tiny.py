"""Half a minute at most: does anything work?"""

import numpy as np

import tilegrad as tg


def test_version():
    assert tg.__version__.count(".") >= 1


def test_add_and_print():
    y = tg.tensor([1.0, 2.0]) + 1
    assert y.tolist() == [2.0, 3.0]
    assert "2., 3." in str(y)


def test_matmul_softmax_sum():
    a, b = np.random.default_rng(0).standard_normal((2, 64, 64)).astype(np.float32)
    y = tg.softmax(tg.from_numpy(a) @ tg.from_numpy(b), dim=1).sum(1)
    np.testing.assert_allclose(y.numpy(), np.ones(64), rtol=1e-5)


def test_gradient():
    x = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    (x * x).sum().backward()
    assert x.grad.tolist() == [2.0, 4.0, 6.0]


def test_second_order():
    x = tg.tensor(2.0, requires_grad=True)
    (g,) = tg.autograd.grad(x**3, x, create_graph=True)
    (h,) = tg.autograd.grad(g, x)
    assert (g.item(), h.item()) == (12.0, 12.0)


def test_least_squares_by_gradient_descent():
    rng = np.random.default_rng(0)
    x = tg.tensor(rng.standard_normal((64, 3)), dtype=tg.float32)
    goal = tg.tensor([[1.0], [-2.0], [0.5]])
    w = tg.zeros(3, 1, requires_grad=True)
    for _ in range(100):
        loss = ((x @ w - x @ goal) ** 2).mean()
        loss.backward()
        with tg.no_grad():
            w -= 0.2 * w.grad
        w.grad = None
    np.testing.assert_allclose(w.detach().numpy(), goal.numpy(), atol=1e-3)


def test_view_writes_reach_the_base():
    x = tg.ones(3, 4)
    x[:, :2] *= 0
    assert x.sum().item() == 6.0
