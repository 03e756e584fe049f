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
