"""Copies between layouts: rows, transposed blocks, edges of tiles and of cache lines, borders, picked rows."""

import itertools

import numpy as np
import pytest

import tilegrad as tg

EDGES = (1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 91, 129)
TYPES = (tg.float32, tg.float64, tg.bfloat16, tg.int64, tg.int32, tg.uint8)


def whole(rng, *shape):
    """Integers that every dtype holds exactly."""
    return rng.integers(0, 200, shape)


def same(got, expected):
    return np.array_equal(got.to(tg.int64).numpy(), expected)


@pytest.mark.parametrize("dtype", TYPES, ids=lambda d: d.name)
def test_transposed_copies_at_the_edges_of_blocks(dtype, rng):
    for rows, cols in itertools.product(EDGES, EDGES):
        a = whole(rng, rows, cols)
        x = tg.tensor(a).to(dtype)
        assert same(x.t().contiguous(), a.T), (rows, cols)
        into = tg.zeros(cols + 2, rows + 2, dtype=dtype)
        into[1:-1, 1:-1].copy_(x.t())
        assert same(into, np.pad(a.T, 1)), (rows, cols)


@pytest.mark.parametrize("dtype", TYPES, ids=lambda d: d.name)
def test_any_permutation_of_any_slice(dtype, rng):
    for trial in range(60):
        ndim = 1 + trial % 4
        shape = [int(rng.choice(EDGES[: 15 - 3 * ndim])) for _ in range(ndim)]
        order = rng.permutation(ndim)
        slices = tuple(slice(int(rng.integers(0, 2)), None, int(rng.integers(1, 3))) for _ in range(ndim))
        a = whole(rng, *shape)
        x = tg.tensor(a).to(dtype).permute(*map(int, order))[slices]
        expected = a.transpose(order)[slices]
        assert same(x.contiguous(), expected), (shape, order, slices)
        repeated = x.unsqueeze(0).expand(3, *x.shape)
        assert same(repeated.contiguous(), np.broadcast_to(expected, (3, *expected.shape)))


@pytest.mark.parametrize("cols", [60, 64, 65, 66, 127, 128, 129, 191, 1000, 1023, 1024, 20000])
@pytest.mark.parametrize("shift", [0, 1, 3, 16])
def test_rows_that_begin_anywhere(cols, shift, rng):
    a = rng.standard_normal((5, cols + shift)).astype("f")
    assert np.array_equal(tg.tensor(a)[:, shift:].contiguous().numpy(), a[:, shift:])
    assert np.array_equal(tg.roll(tg.tensor(a), shift, 1).numpy(), np.roll(a, shift, 1))
    into = tg.zeros(5, cols + 40)
    into[:, shift : shift + cols].copy_(tg.tensor(a)[:, :cols])
    expected = np.zeros((5, cols + 40), "f")
    expected[:, shift : shift + cols] = a[:, :cols]
    assert np.array_equal(into.numpy(), expected)


@pytest.mark.parametrize("shape", [(4096, 1024), (2051, 2053), (4100, 1040)])
def test_results_that_go_past_the_cache(shape, rng):
    a = rng.standard_normal(shape).astype("f")
    x = tg.tensor(a)
    assert np.array_equal(x.t().contiguous().numpy(), a.T)
    assert np.array_equal(x[:, 1:].contiguous().numpy(), a[:, 1:])
    assert np.array_equal(x.double().t().contiguous().numpy(), a.T)


@pytest.mark.parametrize("width", [1, 2, 16, 17, 64, 65, 128, 512, 700])
def test_picked_rows(width, rng):
    a = whole(rng, 9, width)
    index = rng.integers(0, 9, 300)
    for dtype in TYPES:
        x = tg.tensor(a).to(dtype)
        assert same(tg.index_select(x, 0, tg.tensor(index)), a[index])
        assert same(tg.index_select(x.reshape(3, 3, width), 1, tg.tensor(index % 3)), a.reshape(3, 3, width)[:, index % 3])


@pytest.mark.parametrize("shape", [(10,), (10, 4), (10, 0), (3, 10, 7)])
@pytest.mark.parametrize("bad", [-11, 10])
def test_a_bad_number_is_named(shape, bad):
    with pytest.raises(
        IndexError, match=f"index {bad} is out of bounds for dimension {len(shape) - 2 if len(shape) > 2 else 0}"
    ):
        tg.index_select(tg.zeros(shape), 1 if len(shape) > 2 else 0, tg.tensor([1, 9, bad, 0]))


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
@pytest.mark.parametrize(("n", "left", "right"), [(3, 2, 1), (40, 39, 38), (67, 3, 2), (100, 0, 64), (5, -2, 3)])
def test_wide_borders(mode, n, left, right, rng):
    """More places on a side than are looked up beforehand."""
    a = rng.standard_normal((2, 3, n)).astype("f")
    names = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    cut = a[..., max(-left, 0) :]
    got = tg.nn.functional.pad(tg.tensor(a), (left, right), mode)
    if left < 0 and mode != "circular":  # the place a border shows is counted in what was there before the cut
        expected = np.pad(a, ((0, 0), (0, 0), (0, right)), names[mode])[..., -left:]
    else:
        expected = np.pad(cut, ((0, 0), (0, 0), (max(left, 0), right)), names[mode])
    assert np.array_equal(got.numpy(), expected)
