"""jacobian, hessian and their products against closed forms."""

import numpy as np
import pytest

import tilegrad as tg
from tilegrad.autograd.functional import hessian, hvp, jacobian, jvp, vhp, vjp
from tilegrad.testing import assert_close

RNG = np.random.default_rng(0)
A = RNG.standard_normal((3, 4))
S = RNG.standard_normal((4, 4))
X = RNG.standard_normal(4)


def t(values, **options):
    return tg.tensor(values, dtype=tg.float64, **options)


def linear(x):
    return t(A) @ x


def quadratic(x):
    return x @ (t(S) @ x)


def test_jacobian_of_a_linear_map_is_its_matrix():
    assert_close(jacobian(linear, t(X)), t(A))


def test_jacobian_of_an_elementwise_function_is_diagonal():
    assert_close(jacobian(tg.exp, t(X)), t(np.diag(np.exp(X))))


def test_jacobian_of_softmax():
    p = np.exp(X) / np.exp(X).sum()
    assert_close(jacobian(lambda x: tg.softmax(x, 0), t(X)), t(np.diag(p) - np.outer(p, p)))


def test_jacobian_of_several_inputs_and_outputs():
    (aa, ab), (ba, bb) = jacobian(lambda a, b: (a * b, a + 2 * b), (t([1.0, 2.0]), t([3.0, 4.0])))
    assert_close(aa, t([[3.0, 0.0], [0.0, 4.0]]))
    assert_close(ab, t([[1.0, 0.0], [0.0, 2.0]]))
    assert_close(ba, t(np.eye(2)))
    assert_close(bb, t(2 * np.eye(2)))


def test_jacobian_shape_is_output_shape_then_input_shape():
    assert tuple(jacobian(lambda x: x.sum(0), t(RNG.standard_normal((2, 3)))).shape) == (3, 2, 3)
    assert tuple(jacobian(lambda x: x.sum(), t(RNG.standard_normal((2, 3)))).shape) == (2, 3)


def test_hessian_of_a_quadratic_form():
    assert_close(hessian(quadratic, t(X)), t(S + S.T))


def test_hessian_of_two_inputs():
    ((xx, xy), (yx, yy)) = hessian(lambda x, y: (x * x * y).sum(), (t([2.0]), t([5.0])))
    assert [h.item() for h in (xx, xy, yx, yy)] == [10.0, 4.0, 4.0, 0.0]


def test_hessian_of_a_saddle():
    """One datum y = 1, model w1 w2: the Hessian at the origin has eigenvalues +-2."""
    h = hessian(lambda w: (1 - w[0] * w[1]) ** 2, t([0.0, 0.0]))
    assert sorted(np.linalg.eigvalsh(h.numpy()).tolist()) == [-2.0, 2.0]


def test_hessian_of_log_sum_exp():
    p = np.exp(X) / np.exp(X).sum()
    assert_close(hessian(lambda x: tg.logsumexp(x, 0), t(X)), t(np.diag(p) - np.outer(p, p)))


def test_vjp_and_jvp():
    v, u = RNG.standard_normal(3), RNG.standard_normal(4)
    y, g = vjp(linear, t(X), t(v))
    assert_close(y, t(A @ X))
    assert_close(g, t(A.T @ v))
    y, d = jvp(lambda x: linear(x) ** 2, t(X), t(u))
    assert_close(y, t((A @ X) ** 2))
    assert_close(d, t(2 * (A @ X) * (A @ u)))


def test_vjp_of_a_scalar_needs_no_vector():
    value, g = vjp(quadratic, t(X))
    assert value.item() == pytest.approx(X @ S @ X)
    assert_close(g, t((S + S.T) @ X))
    with pytest.raises(RuntimeError, match="vjp: the vector v can be left out only for one tensor of one element"):
        vjp(linear, t(X))


def test_hvp_and_vhp():
    v = RNG.standard_normal(4)
    for product in (hvp, vhp):
        value, g = product(quadratic, t(X), t(v))
        assert value.item() == pytest.approx(X @ S @ X)
        assert_close(g, t((S + S.T) @ v))


def test_the_vector_must_have_the_shape_of_the_input():
    with pytest.raises(RuntimeError, match=r"hvp: a vector of shape \(2,\) does not fit a tensor of shape \(4,\)"):
        hvp(quadratic, t(X), t([1.0, 2.0]))


def test_hessian_of_a_vector_function_is_an_error():
    with pytest.raises(RuntimeError, match="hessian: the function must return one tensor of one element"):
        hessian(linear, t(X))


def test_create_graph_allows_another_order():
    x = t([2.0], requires_grad=True)
    h = hessian(lambda x: (x**4).sum(), x, create_graph=True)
    assert h.item() == 48.0
    h.sum().backward()
    assert x.grad.item() == 48.0


def test_results_have_no_graph_and_inputs_no_grad():
    x = t(X, requires_grad=True)
    assert not jacobian(linear, x).requires_grad
    assert x.grad is None


def test_an_output_that_does_not_depend_on_the_input():
    assert_close(jacobian(lambda x: t([1.0, 2.0]), t(X)), t(np.zeros((2, 4))))
    with pytest.raises(RuntimeError, match="an output does not depend on an input"):
        jacobian(lambda x: t([1.0, 2.0]), t(X), strict=True)
