"""einsum: random equations against NumPy, the list form, and the shapes of what it calls."""

import numpy as np
import pytest

import tilegrad as tg


@pytest.mark.parametrize("seed", range(60))
def test_random_equations(seed):
    """Up to four operands over five letters, repeated letters within an operand, any output."""
    rng = np.random.default_rng(seed)
    sizes = dict(zip("abcde", rng.integers(1, 5, 5), strict=True))
    terms = ["".join(rng.choice(list("abcde"), rng.integers(0, 4))) for _ in range(rng.integers(1, 5))]
    used = sorted(set("".join(terms)))
    output = "".join(rng.permutation(used)[: rng.integers(0, len(used) + 1)]) if used else ""
    arrays = [rng.standard_normal([sizes[c] for c in t]) for t in terms]
    for equation in (",".join(terms) + "->" + output, ",".join(terms)):
        result = tg.einsum(equation, *(tg.tensor(np.asarray(a), dtype=tg.float64) for a in arrays))
        expected = np.einsum(equation, *arrays)
        assert tuple(result.shape) == expected.shape, equation
        np.testing.assert_allclose(result.numpy(), expected, rtol=1e-11, atol=1e-11, err_msg=equation)


def test_lists_of_dims_instead_of_letters():
    x, y = tg.randn(2, 3), tg.randn(3, 4)
    assert np.allclose(tg.einsum(x, [0, 1], y, [1, 2], [0, 2]).numpy(), (x @ y).numpy())
    assert np.allclose(tg.einsum(x, [..., 1], y, [1, 2], [..., 2]).numpy(), (x @ y).numpy())
    assert tg.einsum("ij,jk->ik", [x, y]).shape == (2, 4)
    with pytest.raises(RuntimeError, match=r"subscripts within range"):
        tg.einsum(x, [0, 99])


def test_gradients_of_attention_scores():
    q, k = (tg.randn(2, 3, 4, 5, dtype=tg.float64, requires_grad=True) for _ in range(2))
    assert tg.testing.gradcheck(lambda a, b: tg.einsum("bthd,bshd->bhts", a, b), [q, k], fast_mode=True)
    assert tg.testing.gradgradcheck(lambda a, b: tg.einsum("bthd,bshd->bhts", a, b), [q, k], fast_mode=True)


def test_a_plain_product_has_the_bits_of_matmul():
    x, y = tg.randn(33, 70), tg.randn(70, 21)
    assert tg.einsum("ij,jk->ik", x, y).numpy().tobytes() == (x @ y).numpy().tobytes()
