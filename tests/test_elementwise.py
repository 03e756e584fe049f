"""The walks of elementwise kernels: rows, numbers, one value a row, 16-bit floats, results that go past the cache."""

from __future__ import annotations

import numpy as np
import pytest

import tilegrad as tg

FLOATS = ("float32", "float64", "bfloat16", "float16")
# a register and its neighbours, a pair of registers, a stretch and its neighbours, two of them, more than are parallel
LENGTHS = (1, 15, 16, 17, 31, 33, 63, 64, 65, 97, 1023, 1024, 1025, 8193, 40_001)


def numbers(*shape: int, dtype: str = "float32") -> tg.Tensor:
    values = np.random.default_rng(sum(shape)).standard_normal(shape)
    return tg.tensor(values.astype(np.float32)).to(getattr(tg, dtype))


def wide(x: tg.Tensor) -> np.ndarray:
    return x.to(tg.float64).numpy()


def same(got: tg.Tensor, expected: np.ndarray, dtype: str) -> None:
    """`expected` in float64, rounded once to the dtype, by way of float32 for the 16-bit floats."""
    assert got.dtype == getattr(tg, dtype)
    step = np.float64 if dtype == "float64" else np.float32
    rounded = tg.tensor(expected.astype(step)).to(got.dtype)
    np.testing.assert_array_equal(wide(got), wide(rounded))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", LENGTHS)
def test_a_number_on_either_side(n: int, dtype: str) -> None:
    x = numbers(n, dtype=dtype)
    third = 1 / 3 if dtype == "float64" else float(np.float32(1 / 3))  # not a 16-bit float: it must not be rounded to one
    same(x * third, wide(x) * third, dtype)
    same(third - x, third - wide(x), dtype)
    same(tg.relu(x), np.maximum(wide(x), 0), dtype)
    y = x.clone()
    y.mul_(third)
    same(y, wide(x) * third, dtype)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("cols", [n for n in LENGTHS if n > 1])
def test_rows_columns_and_both(cols: int, dtype: str) -> None:
    x, row, column = numbers(7, cols, dtype=dtype), numbers(cols, dtype=dtype), numbers(7, 1, dtype=dtype)
    same(x + row, wide(x) + wide(row), dtype)
    same(x * column, wide(x) * wide(column), dtype)
    same(column - row, wide(column) - wide(row), dtype)
    same(x[:, 1:] - x[:, :-1], wide(x)[:, 1:] - wide(x)[:, :-1], dtype)
    same(x[::2] * 0.75, wide(x)[::2] * 0.75, dtype)
    same(x.t() * 0.75, wide(x).T * 0.75, dtype)  # tiles
    same(column.expand(7, cols) * 0.75, np.broadcast_to(wide(column), (7, cols)) * 0.75, dtype)


@pytest.mark.parametrize("special", [np.inf, -np.inf, np.nan, 1e-40, -0.0, 3.3895313892515355e38, 65519.0])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_16_bit_floats_round_as_a_conversion_does(dtype: str, special: float) -> None:
    x = numbers(100, dtype=dtype)
    y = tg.full((100,), special, dtype=tg.float32).to(x.dtype)
    y[::3] = 1.0
    expected = (x.float() + y.float()).to(x.dtype)
    np.testing.assert_array_equal(wide(x + y), wide(expected))
    np.testing.assert_array_equal(np.signbit(wide(y * y)), np.signbit(wide((y.float() * y.float()).to(y.dtype))))


def test_broadcast_results_that_go_past_the_cache() -> None:
    x, row, column = numbers(4160, 1040), numbers(1040), numbers(4160, 1)  # 17 MB, rows of whole lines of 64 bytes
    np.testing.assert_array_equal((x + row).numpy(), x.numpy() + row.numpy())
    np.testing.assert_array_equal((x * column).numpy(), x.numpy() * column.numpy())
    np.testing.assert_array_equal((x * 0.3).numpy(), x.numpy() * np.float32(0.3))
    odd = numbers(4200, 1021)  # rows that begin anywhere
    np.testing.assert_array_equal((odd * odd[:, :1]).numpy(), odd.numpy() * odd.numpy()[:, :1])


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "int64", "int32"])
def test_add_and_sub_with_alpha(dtype: str) -> None:
    x, y = (numbers(37, 65, dtype="float32") * 9).to(getattr(tg, dtype)), (numbers(65) * 9).to(getattr(tg, dtype))
    in_place = x.clone().add_(y, alpha=3), x.clone().sub_(y, alpha=3)
    for got, sign in ((x.add(y, alpha=3), 3), (x.sub(y, alpha=3), -3), (in_place[0], 3), (in_place[1], -3)):
        if dtype == "float64" or dtype.startswith("int"):
            assert got.dtype == x.dtype
            np.testing.assert_array_equal(wide(got), wide(x) + sign * wide(y))
        else:
            same(got, wide(x).astype(np.float32) + np.float32(sign) * wide(y).astype(np.float32), dtype)
    assert x.add(2, alpha=3).dtype == x.dtype
    mask = tg.tensor([True, False, True])
    np.testing.assert_array_equal(tg.tensor([1, 2, 3]).add(mask, alpha=2).numpy(), [3, 2, 5])


def test_the_gradient_of_add_with_alpha() -> None:
    x, y = numbers(3, 4).requires_grad_(), numbers(4).requires_grad_()
    x.sub(y, alpha=2.5).backward(tg.ones(3, 4))
    np.testing.assert_array_equal(x.grad.numpy(), np.ones((3, 4)))
    np.testing.assert_array_equal(y.grad.numpy(), np.full(4, -7.5))


@pytest.mark.parametrize("n", [65_536, 65_537, 100_000, 262_145])
def test_long_sums_have_the_same_bits_for_any_number_of_threads(n: int) -> None:
    x = numbers(n)
    before, answers = tg.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            tg.set_num_threads(threads)
            answers.append(x.sum().item())
    finally:
        tg.set_num_threads(before)
    assert len(set(answers)) == 1
    np.testing.assert_allclose(answers[0], wide(x).sum(), atol=1e-7 * np.abs(wide(x)).sum())
