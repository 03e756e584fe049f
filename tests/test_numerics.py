"""Promises about bits and rounding: results that must not depend on where a split falls, and how long sums are added."""

import math

import numpy as np
import pytest

import tilegrad as tg

UNARY = ["exp", "expm1", "log", "log1p", "log2", "sin", "cos", "tanh", "sigmoid", "erf", "sqrt", "rsqrt", "reciprocal"]


def same_bits(a, b):
    return a.detach().contiguous().numpy().tobytes() == b.detach().contiguous().numpy().tobytes()


@pytest.fixture
def data():
    return np.random.default_rng(0)


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_element_does_not_depend_on_its_neighbours(name, dtype, data):
    """Tails of vectors take the same path as their bodies: every offset and length gives the same bits."""
    f = getattr(tg, name)
    x = tg.tensor(data.uniform(0.1, 3.0, 100), dtype=getattr(tg, dtype))
    whole = f(x)
    for start in range(18):
        for stop in (start + 1, start + 7, 50 + start, 99):
            assert same_bits(f(x[start:stop]), whole[start:stop]), f"{name}(x[{start}:{stop}])"
    assert same_bits(f(x.reshape(10, 10).t()), whole.reshape(10, 10).t())


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_a_row_of_a_product_does_not_depend_on_the_other_rows(dtype, data):
    """K is added up in one fixed order for every tile size, so each element of a @ b depends on its row and column alone."""
    kind = getattr(tg, dtype)
    for m, k, n in ((37, 700, 45), (130, 1030, 9)):
        a, b = (tg.tensor(data.standard_normal(s), dtype=kind) for s in ((m, k), (k, n)))
        whole = (a @ b).to(tg.float64)
        for rows in (slice(0, 1), slice(3, 5), slice(1, 36), slice(m - 1, m)):
            assert same_bits((a[rows] @ b).to(tg.float64), whole[rows]), (dtype, m, k, n, rows)
        for columns in (slice(0, 1), slice(2, 9), slice(0, 8)):
            assert same_bits((a @ b[:, columns]).to(tg.float64), whole[:, columns]), (dtype, m, k, n, columns)


def test_a_product_does_not_depend_on_layouts(data):
    a, b = (tg.tensor(data.standard_normal(s), dtype=tg.float32) for s in ((33, 600), (600, 40)))
    whole = a @ b
    assert same_bits(a.t().contiguous().t() @ b, whole)
    assert same_bits(a @ b.t().contiguous().t(), whole)
    assert same_bits(tg.stack([a, a]) @ b, tg.stack([whole, whole]))


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_a_row_of_softmax_does_not_depend_on_the_other_rows(name, data):
    x = tg.tensor(data.standard_normal((50, 77)), dtype=tg.float32)
    whole = getattr(tg, name)(x, 1)
    for rows in (slice(0, 1), slice(7, 20)):
        assert same_bits(getattr(tg, name)(x[rows], 1), whole[rows])


def test_a_sum_of_rows_does_not_depend_on_their_number(data):
    x = tg.tensor(data.standard_normal((60, 1000)), dtype=tg.float32)
    assert same_bits(x.sum(1)[7:9], x[7:9].sum(1))


def test_long_sums_are_accurate(data):
    """A running float32 sum of a million numbers loses four digits; a tree loses none that matter."""
    x = data.uniform(0, 1, 1_000_003).astype(np.float32)
    exact = math.fsum(x)
    assert tg.from_numpy(x).sum().item() == pytest.approx(exact, rel=1e-6)
    assert tg.from_numpy(x).mean().item() == pytest.approx(exact / x.size, rel=1e-6)
    columns = tg.from_numpy(x[:1_000_000].reshape(100_000, 10)).sum(0)
    np.testing.assert_allclose(columns.numpy(), x[:1_000_000].reshape(-1, 10).astype(np.float64).sum(0), rtol=2e-6)


def test_long_products_are_accurate(data):
    """The error of a dot product of 100,000 terms grows far slower than their number."""
    a = data.uniform(0, 1, (3, 100_000)).astype(np.float32)
    exact = a.astype(np.float64) @ a.T.astype(np.float64)
    t = tg.from_numpy(a)
    np.testing.assert_allclose((t @ t.t()).numpy(), exact, rtol=3e-6)


def test_variance_of_a_large_mean(data):
    x = (data.standard_normal((4, 10_000)) + 1e4).astype(np.float32)
    np.testing.assert_allclose(tg.from_numpy(x).var(1).numpy(), x.astype(np.float64).var(1, ddof=1), rtol=1e-3)


def test_integers_never_pass_through_floats():
    big = 2**53 + 1
    x = tg.tensor([big, -big, 2**62])
    assert (x + 1).tolist() == [big + 1, -big + 1, 2**62 + 1]
    assert (x // 3).tolist() == [big // 3, -big // 3, 2**62 // 3]
    assert tg.tensor([big, 1]).sum().item() == big + 1 and x.max().item() == 2**62
    assert (tg.tensor([[big, 1]]) @ tg.tensor([[1], [1]])).item() == big + 1
    assert (x == tg.tensor([2**53, -big, 2**62])).tolist() == [False, True, True]


def test_half_precision_is_rounded_once():
    """16-bit floats compute in float32: 1 + 2**-9 + 2**-9 keeps the sum that a bfloat16 accumulator would lose."""
    x = tg.tensor([1.0] + [2.0**-9] * 256, dtype=tg.bfloat16)
    assert x.sum().item() == 1.5
    a = tg.tensor([[1.0] + [2.0**-9] * 256], dtype=tg.bfloat16)
    assert (a @ tg.ones(257, 1, dtype=tg.bfloat16)).item() == 1.5


def test_subnormal_numbers_are_kept():
    x = tg.tensor([1e-40, -1e-42], dtype=tg.float32)
    assert (x * 1.0 != 0).all().item() and (x + x == x * 2).all().item()


def test_gelu_keeps_its_relative_accuracy_in_the_negative_tail():
    """10 units in the last place for x > -2 (4 of them for x > 0); 3e-6 of the result down to -5, 6e-6 to -6."""
    for low, high in ((-2, 0), (0, 40), (-5, -2), (-6, -5)):
        x = np.linspace(low, high, 40001, dtype=np.float32)[1:-1]
        expected = np.array([v * math.erfc(-v / math.sqrt(2)) / 2 for v in x.tolist()])
        error = np.abs(tg.nn.functional.gelu(tg.tensor(x)).numpy() - expected)
        if low >= -2:
            units = error / np.spacing(np.abs(expected).astype(np.float32))
            assert units.max() <= (10 if low < 0 else 4), (low, high, units.max())
        else:
            assert np.all(error <= (3e-6 if low == -5 else 6e-6) * np.abs(expected)), (low, high)
    far = tg.nn.functional.gelu(tg.tensor(np.float32([-6.5, -8, -12, -13, -20, -1e30, 1e30, math.inf, -math.inf]))).numpy()
    assert np.all(np.abs(far[:3]) < 1e-9) and np.all(far[3:6] == 0) and np.all(far[6:8] == np.float32([1e30, math.inf]))
    assert math.isnan(far[8]) and math.isnan(tg.nn.functional.gelu(tg.tensor([math.nan])).item())


@pytest.mark.parametrize("dtype", [tg.float32, tg.float64])
@pytest.mark.parametrize("fill", [(math.nan,), (math.inf, -math.inf), (-math.inf, math.nan), (3e38, 3e38, -3e38), ()])
def test_extremes_of_rows_that_no_sum_can_vouch_for(dtype, fill, data):
    """max and min look for NaN by a sum; where that overflows or infinities meet, they look again."""
    for size in (16, 64, 65, 200, 1500, 70000):
        a = data.standard_normal((6, size))
        for value in fill:
            a[data.integers(0, 5), data.integers(0, size)] = value
        x = tg.tensor(a, dtype=dtype)
        a = x.numpy()
        assert np.array_equal(x.amax(1).numpy(), a.max(1), equal_nan=True)
        assert np.array_equal(x.amin(1).numpy(), a.min(1), equal_nan=True)
        assert np.array_equal(x.argmax(1).numpy(), a.argmax(1)) and np.array_equal(x.argmin(1).numpy(), a.argmin(1))
