"""Sorting and what is made of it: orders that no reference call states, named results, independence of threads."""

import numpy as np
import pytest

import tilegrad as tg


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16", "int64", "int32", "int8", "uint8", "bool"])
@pytest.mark.parametrize("size", [1, 2, 7, 8, 9, 255, 256, 257, 1000])
def test_sort_is_a_stable_permutation(rng, dtype, size):
    """Across the edges of the algorithms: runs of 8, merging up to 256, radix beyond."""
    x = tg.tensor(np.rint(rng.uniform(0, 20, (3, size)))).to(getattr(tg, dtype))
    for descending in (False, True):
        values, indices = tg.sort(x, 1, descending=descending)
        plain, order = values.to(tg.float64).numpy(), indices.numpy()
        assert np.array_equal(np.sort(order, 1), np.tile(np.arange(size), (3, 1)))
        assert np.array_equal(plain, np.take_along_axis(x.to(tg.float64).numpy(), order, 1))
        step = np.diff(plain, axis=1) * (-1 if descending else 1)
        assert (step >= 0).all()
        assert (np.diff(order, axis=1)[step == 0] > 0).all(), "equal elements keep their order"


def test_radix_sort_uses_every_byte_of_the_key(rng):
    for dtype in (np.int64, np.int32):
        x = rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, 2000, dtype=dtype)
        assert np.array_equal(tg.sort(tg.tensor(x)).values.numpy(), np.sort(x))
    x = rng.standard_normal(2000) * 10.0 ** rng.integers(-300, 300, 2000)
    assert np.array_equal(tg.sort(tg.tensor(x)).values.numpy(), np.sort(x))


def test_zero_and_minus_zero_are_equal_and_nan_is_last():
    x = tg.tensor([0.0, float("nan"), -0.0, 1.0, -1.0, float("nan"), 0.0])
    assert tg.argsort(x).tolist() == [4, 0, 2, 6, 3, 1, 5]
    assert tg.argsort(x, descending=True).tolist() == [1, 5, 3, 0, 2, 6, 4]
    assert tg.topk(x, 3).indices.tolist() == [1, 5, 3]
    assert tg.topk(x, 2, largest=False).indices.tolist() == [4, 0]


@pytest.mark.parametrize("order", ["random", "ascending", "descending", "equal"])
@pytest.mark.parametrize("k", [1, 31, 32, 33, 64, 200, 999, 1000])
def test_topk_is_the_head_of_the_sorted_row(rng, order, k):
    """Buffers fill and are cut at 2k candidates, in blocks of 64."""
    x = {
        "random": rng.standard_normal((2, 1000)),
        "ascending": np.tile(np.arange(1000.0), (2, 1)),
        "descending": np.tile(-np.arange(1000.0), (2, 1)),
        "equal": np.ones((2, 1000)),
    }[order]
    x = tg.tensor(x, dtype=tg.float32)
    for largest in (True, False):
        best, whole = tg.topk(x, k, largest=largest), tg.sort(x, descending=largest)
        assert np.array_equal(best.values.numpy(), whole.values[:, :k].numpy())
        assert np.array_equal(best.indices.numpy(), whole.indices[:, :k].numpy())


def test_results_have_names_and_unpack():
    x = tg.tensor([3.0, 1.0, 2.0])
    result = x.sort()
    values, indices = result
    assert result.values is values and result.indices is indices
    assert x.topk(1).indices.tolist() == [0] and x.kthvalue(1).values.item() == 1.0 and tg.median(x, 0).indices.item() == 2


@pytest.mark.xdist_group("threads")
def test_orders_do_not_depend_on_threads(rng):
    x = tg.tensor(rng.standard_normal((37, 700)), dtype=tg.float32)
    results = []
    for threads in (1, 2, 3):
        tg.set_num_threads(threads)
        parts = [*tg.sort(x, 1), *tg.sort(x, 0), *tg.topk(x, 9), tg.searchsorted(tg.sort(x[0]).values, x)]
        results.append([p.numpy().tobytes() for p in parts])
    tg.set_num_threads(1)
    assert results[0] == results[1] == results[2]


def test_unique_of_negative_numbers_and_nothing():
    assert tg.unique(tg.tensor([3, -1, 3, 0])).tolist() == [-1, 0, 3]
    values, inverse = tg.tensor([[1.0, 0.0], [1.0, 2.0]]).unique(return_inverse=True)
    assert values.tolist() == [0.0, 1.0, 2.0] and inverse.tolist() == [[1, 0], [1, 2]]
    assert tg.unique(tg.tensor([], dtype=tg.int64)).tolist() == []


def test_searchsorted_sides_and_sorter():
    edges = tg.tensor([1, 3, 3, 5])
    assert tg.searchsorted(edges, 3).item() == 1 and tg.searchsorted(edges, 3, side="right").item() == 3
    shuffled = tg.tensor([5, 1, 3, 3])
    assert tg.searchsorted(shuffled, tg.tensor([2, 6]), sorter=tg.argsort(shuffled)).tolist() == [1, 4]
    assert tg.bucketize(tg.tensor([0.0, 2.0]), tg.tensor([1.0, 2.0]), out_int32=True).dtype is tg.int32
    with pytest.raises(RuntimeError, match="opposites"):
        tg.searchsorted(edges, 3, right=True, side="left")


def test_gradients_of_equal_values_go_to_the_chosen_ones():
    x = tg.tensor([2.0, 1.0, 2.0], requires_grad=True)
    tg.topk(x, 1).values.sum().backward()
    assert x.grad.tolist() == [1.0, 0.0, 0.0]
