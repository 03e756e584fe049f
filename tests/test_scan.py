"""Running sums: precision, independence of layout and threads, in-place neighbours."""

import numpy as np
import pytest

import tilegrad as tg


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_float32_sums_carry_in_float64(rng):
    """A million numbers: each result is the exact sum rounded once."""
    x = rng.standard_normal(1 << 20).astype(np.float32)
    exact = np.cumsum(x, dtype=np.longdouble)
    assert np.max(np.abs(tg.cumsum(tg.tensor(x), 0).numpy() - exact) / (np.abs(exact) + 1e-3)) < 2.0**-23


@pytest.mark.parametrize("name", ["cumsum", "cumprod", "logcumsumexp", "cummax", "cummin"])
def test_a_chain_does_not_depend_on_its_neighbours(rng, name):
    def values(x, dim):
        out = getattr(tg, name)(x, dim)
        return (out if isinstance(out, tg.Tensor) else out.values).contiguous().numpy()

    x = tg.tensor(rng.uniform(0.5, 1.5, (11, 130)), dtype=tg.float32)
    whole = values(x, 1)
    for rows in (slice(0, 1), slice(3, 8), slice(0, 4), slice(10, 11)):
        assert np.array_equal(values(x[rows], 1), whole[rows])
    assert np.array_equal(values(x.t().contiguous(), 0), whole.T)


@pytest.mark.xdist_group("threads")
@pytest.mark.parametrize("shape", [(300, 500), (2, 100, 700), (5, 20000)])
def test_scans_do_not_depend_on_threads(rng, shape):
    x = tg.tensor(rng.standard_normal(shape), dtype=tg.float32)
    results = []
    for threads in (1, 2, 3):
        tg.set_num_threads(threads)
        parts = [tg.cumsum(x, 0), tg.cumsum(x, 1), *tg.cummax(x, 0), tg.logcumsumexp(x, 1)]
        results.append([p.numpy().tobytes() for p in parts])
    tg.set_num_threads(1)
    assert results[0] == results[1] == results[2]


def test_integers_add_up_in_int64_and_wrap():
    assert tg.cumsum(tg.tensor([200, 100], dtype=tg.uint8), 0).tolist() == [200, 300]
    assert tg.cumsum(tg.tensor([True, True, False]), 0).tolist() == [1, 2, 2]
    assert tg.cumsum(tg.tensor([1.5, 2.5]), 0, dtype=tg.int64).tolist() == [1, 3]
    largest = np.iinfo(np.int64).max
    assert tg.cumsum(tg.tensor([largest, 1]), 0).tolist() == [largest, -largest - 1]


def test_diff_of_bools_and_joined_ends():
    assert tg.diff(tg.tensor([True, False, False])).tolist() == [True, False]
    assert tg.diff(tg.tensor([1, 4]), prepend=tg.tensor([0]), append=tg.tensor([9])).tolist() == [1, 3, 5]


def test_gradient_of_cumprod_with_several_zeros():
    x = tg.tensor([2.0, 0.0, 3.0, 0.0, 5.0], dtype=tg.float64, requires_grad=True)
    assert tg.testing.gradcheck(lambda v: tg.cumprod(v, 0), [x])


@pytest.mark.xdist_group("threads")
def test_scatter_and_gather_do_not_depend_on_threads(rng):
    x, src = (tg.tensor(rng.standard_normal((400, 300)), dtype=tg.float32) for _ in range(2))
    results = []
    for threads in (1, 2, 3):
        tg.set_num_threads(threads)
        rng_index = np.random.default_rng(1)
        parts = []
        for dim in (0, 1):
            index = tg.tensor(rng_index.integers(0, x.shape[dim], (400, 300)))
            parts += [tg.gather(x, dim, index), tg.scatter_add(x, dim, index, src), tg.scatter(x, dim, index, src)]
            parts.append(tg.scatter_reduce(x, dim, index, src, "amax"))
        parts.append(tg.nonzero(x > 0))
        results.append([p.numpy().tobytes() for p in parts])
    tg.set_num_threads(1)
    assert results[0] == results[1] == results[2]


def test_a_bad_number_changes_nothing():
    x = tg.zeros(2, 3)
    with pytest.raises(IndexError, match="index 7 is out of bounds for dimension 1 with size 3"):
        x.scatter_(1, tg.tensor([[0, 7], [1, 1]]), tg.ones(2, 2))
    assert x.tolist() == tg.zeros(2, 3).tolist()


def test_scatter_in_place_is_part_of_the_graph():
    x, src = tg.zeros(4, requires_grad=True), tg.tensor([1.0, 2.0], requires_grad=True)
    y = x * 1.0
    y.scatter_add_(0, tg.tensor([1, 1]), src)
    (y * tg.tensor([1.0, 10.0, 100.0, 1000.0])).sum().backward()
    assert x.grad.tolist() == [1.0, 10.0, 100.0, 1000.0] and src.grad.tolist() == [10.0, 10.0]
    view = tg.zeros(2, 3)
    view.t().scatter_(0, tg.tensor([[2, 1]]), 5.0)
    assert view.tolist() == [[0.0, 0.0, 5.0], [0.0, 5.0, 0.0]]


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "int32"])
@pytest.mark.parametrize("size", [1, 15, 16, 17, 18, 33, 100])
def test_running_extremes_of_rows(size, dtype):
    """Rows that change often, seldom and never, with ties and NaN before, in and behind a block of 16."""
    rng = np.random.default_rng(size)
    rows = np.stack(
        [rng.integers(-9, 9, size), np.arange(size), -np.arange(size), np.zeros(size), rng.integers(-99, 99, size)]
    ).astype(np.float64)
    if dtype != "int32":
        broken = np.repeat(rows[4:], 4, axis=0)
        broken[0, 0] = broken[1, -1] = broken[2, size // 2] = np.nan
        broken[3, 0] = np.inf
        rows = np.concatenate([rows, broken, np.full((1, size), -np.inf), np.full((1, size), np.inf)])
    x = tg.tensor(rows).to(getattr(tg, dtype))
    for name, better in (("cummax", np.greater_equal), ("cummin", np.less_equal)):
        values, places = getattr(tg, name)(x, 1)
        for row, value, place in zip(rows, values.to(tg.float64).numpy(), places.numpy(), strict=True):
            at = 0
            for i in range(size):
                if np.isnan(row[i]) or (not np.isnan(row[at]) and better(row[i], row[at])):
                    at = i
                np.testing.assert_array_equal(value[i], row[at])
                assert place[i] == at


@pytest.mark.parametrize("bins", [1, 3, 1024, 1025])
def test_counting_many_into_few(rng, bins):
    """Long vectors are counted into several tables, which are added to what was there."""
    x = rng.integers(0, bins, 8 * bins + 4099)
    np.testing.assert_array_equal(tg.bincount(tg.tensor(x)).numpy(), np.bincount(x))
    before = rng.integers(-5, 5, bins)
    added = tg.scatter_add(tg.tensor(before), 0, tg.tensor(x), tg.tensor(np.array([7])).expand(len(x)))
    np.testing.assert_array_equal(added.numpy(), before + 7 * np.bincount(x, minlength=bins))
    base = tg.tensor(np.repeat(before, 2))
    base[::2].scatter_add_(0, tg.tensor(x), tg.tensor(np.array([-1])).expand(len(x)))
    np.testing.assert_array_equal(base[::2].numpy(), before - np.bincount(x, minlength=bins))
    np.testing.assert_array_equal(base[1::2].numpy(), before)
    x[-1] = bins
    with pytest.raises(IndexError):
        base[::2].scatter_add_(0, tg.tensor(x), tg.tensor(np.array([1])).expand(len(x)))
    np.testing.assert_array_equal(base[1::2].numpy(), before)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
@pytest.mark.parametrize("size", [1, 2, 7, 8, 9, 15, 16, 17, 33, 1000, 65535, 65536, 65537, 100_000])
def test_running_sums_of_rows(rng, dtype, size):
    """Registers, their remainders, and pieces of long rows; from either end."""
    x = tg.tensor(rng.integers(-8, 9, (2, size))).to(getattr(tg, dtype)).requires_grad_()
    plain = x.detach().to(tg.float64).numpy()
    out = tg.cumsum(x, 1)
    exact = tg.tensor(np.cumsum(plain, 1)).to(x.dtype)
    assert np.array_equal(out.detach().to(tg.float64).numpy(), exact.to(tg.float64).numpy())
    dy = tg.tensor(rng.integers(-2, 3, (2, size))).to(x.dtype)
    out.backward(dy)
    expected = tg.tensor(np.cumsum(dy.to(tg.float64).numpy()[:, ::-1], 1)[:, ::-1].copy()).to(x.dtype)
    assert np.array_equal(x.grad.to(tg.float64).numpy(), expected.to(tg.float64).numpy())


def test_running_sums_meet_infinity_and_nan():
    x = np.ones(40, np.float32)
    x[20], x[30] = np.inf, -np.inf
    out = tg.cumsum(tg.tensor(x), 0).numpy()
    assert np.array_equal(out, np.cumsum(x), equal_nan=True)


@pytest.mark.xdist_group("threads")
def test_long_running_sums_do_not_depend_on_threads(rng):
    x = tg.tensor(rng.standard_normal(300_001), dtype=tg.float32)
    results = []
    for threads in (1, 2, 3):
        tg.set_num_threads(threads)
        results.append((tg.cumsum(x, 0).numpy().tobytes(), tg.cumsum(tg.flip(x, (0,)), 0).numpy().tobytes()))
    tg.set_num_threads(1)
    assert results[0] == results[1] == results[2]
