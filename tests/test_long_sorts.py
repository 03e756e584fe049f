"""Long rows that several threads sort together, integers of a small range, and counting."""

import numpy as np
import pytest

import tilegrad as tg

LONG = 70_001


@pytest.fixture
def threads():
    before = tg.get_num_threads()
    yield tg.set_num_threads
    tg.set_num_threads(before)


def numbers(rng, kind, n):
    return {
        "normal": lambda: rng.standard_normal(n).astype("f"),
        "special": lambda: rng.choice(np.array([np.nan, -np.nan, 0.0, -0.0, np.inf, -np.inf, 1.5, -1e-40], "f"), n),
        "double": lambda: rng.standard_normal(n),
        "small_range": lambda: rng.integers(-500, 500, n) + (1 << 61),
        "range_of_32_bits": lambda: np.append(rng.integers(0, 1 << 32, n - 2), [0, (1 << 32) - 1]) - 7,
        "range_of_33_bits": lambda: np.append(rng.integers(0, 1 << 32, n - 2), [0, 1 << 32]) - 7,
        "whole_range": lambda: np.append(rng.integers(-(1 << 63), (1 << 63) - 1, n - 2), [-(1 << 63), (1 << 63) - 1]),
        "int32": lambda: rng.integers(-(1 << 31), 1 << 31, n).astype("i4"),
        "bytes": lambda: rng.integers(0, 256, n).astype("u1"),
        "equal": lambda: np.full(n, 3),
    }[kind]()


KINDS = ("normal", "special", "double", "small_range", "range_of_32_bits", "range_of_33_bits", "whole_range", "int32", "bytes",
         "equal")  # fmt: skip


@pytest.mark.xdist_group("threads")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("descending", [False, True])
def test_sorted_and_stable_for_any_number_of_threads(kind, descending, rng, threads):
    a = numbers(rng, kind, LONG)
    flipped = a[::-1]
    order = np.argsort(flipped, kind="stable")[::-1] if descending else np.argsort(a, kind="stable")
    order = LONG - 1 - order if descending else order
    for count in (1, 2, 3, 4):
        threads(count)
        values, where = tg.sort(tg.tensor(a), descending=descending)
        assert np.array_equal(where.numpy(), order), count
        assert values.numpy().tobytes() == a[order].tobytes(), count  # the sign of a zero and of a NaN too


@pytest.mark.xdist_group("threads")
@pytest.mark.parametrize("size", [3, 1000, 1024, 1025, 5000])
def test_counts_do_not_depend_on_threads(size, rng, threads):
    a = rng.integers(0, size, LONG)
    expected = np.bincount(a, minlength=size)
    for count in (1, 2, 4):
        threads(count)
        assert np.array_equal(tg.bincount(tg.tensor(a), minlength=size).numpy(), expected)
        x = tg.full((size,), 5)
        x.scatter_add_(0, tg.tensor(a), tg.full((1,), -2).expand(LONG))
        assert np.array_equal(x.numpy(), 5 - 2 * expected)
        with pytest.raises(IndexError, match=f"index {size} is out of"):
            tg.zeros(size, dtype=tg.int64).scatter_add(0, tg.tensor(np.append(a, size)), tg.full((1,), 1).expand(LONG + 1))


@pytest.mark.parametrize("dtype", [tg.int64, tg.int32, tg.uint8])
@pytest.mark.parametrize(("low", "high", "n"), [(0, 10, 1000), (100, 200, 255), (-40, 90, 1000), (0, 5000, 1000), (7, 8, 300)])
def test_unique_integers(dtype, low, high, n, rng):
    """By counting and by sorting."""
    if dtype is tg.uint8:
        low, high = max(low, 0), min(high, 256)
    a = rng.integers(low, high, (n // 5, 5))
    found = tg.unique(tg.tensor(a).to(dtype), return_inverse=True, return_counts=True)
    for got, expected in zip(found, np.unique(a, return_inverse=True, return_counts=True), strict=True):
        assert np.array_equal(got.to(tg.int64).numpy(), expected.reshape(got.shape))
    assert found[0].dtype is dtype and found[1].dtype is tg.int64 and found[1].shape == a.shape
    assert np.array_equal(tg.unique(tg.tensor(a)).numpy(), np.unique(a))


def test_unique_at_the_ends_of_the_range(rng):
    a = rng.integers(0, 3, 1000) + np.iinfo(np.int64).min
    assert np.array_equal(tg.unique(tg.tensor(a)).numpy(), np.unique(a))


def test_histc_leaves_out_what_is_outside(rng):
    a = rng.standard_normal(10_000).astype("f")
    a[:3] = np.nan, np.inf, -np.inf
    a[3:6] = -1, 1, 0
    inside = a[np.isfinite(a) & (a >= -1) & (a <= 1)]
    got = tg.histc(tg.tensor(a), 8, -1, 1)
    assert np.array_equal(got.numpy(), np.histogram(inside, 8, (-1, 1))[0].astype("f")) and got.dtype is tg.float32
