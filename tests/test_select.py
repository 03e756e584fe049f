"""The element at a place of the sorted order, found without sorting: against the sorted row."""

import numpy as np
import pytest

import tilegrad as tg

DTYPES = ["float32", "float64", "bfloat16", "float16", "int64", "int32", "int8", "uint8", "bool"]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1, 2, 47, 48, 49, 50, 1000, 3001])
def test_every_rank_is_the_sorted_row_s(rng, dtype, size):
    """Equal elements too: the indices are those of the stable order. Groups of 48 and fewer are sorted, larger ones split."""
    kinds = [np.rint(rng.uniform(0, 20, (2, size)))]  # many equal ones
    if dtype not in ("bool", "int8", "uint8"):
        kinds.append(rng.standard_normal((2, size)) * 1000)
    for values in kinds:
        x = tg.tensor(values).to(getattr(tg, dtype))
        whole = tg.sort(x, 1)
        for rank in sorted({0, 1, size // 3, size // 2, size - 1} & set(range(size))):
            found = tg.kthvalue(x, rank + 1, 1)
            assert found.indices.tolist() == whole.indices[:, rank].tolist()
            assert found.values.tolist() == whole.values[:, rank].tolist()


def test_keys_that_differ_in_any_bit(rng):
    """All exponents, both signs: every digit of the key decides somewhere."""
    x = (rng.standard_normal(5000) * 10.0 ** rng.integers(-300, 300, 5000)).reshape(2, 2500)
    assert np.array_equal(tg.median(tg.tensor(x), 1).values.numpy(), np.sort(x, 1)[:, 1249])
    low = rng.integers(np.iinfo(np.int64).min, np.iinfo(np.int64).max, (2, 999))
    assert np.array_equal(tg.kthvalue(tg.tensor(low), 500, 1).values.numpy(), np.sort(low, 1)[:, 499])
    near = 2.0**30 + np.arange(3000)[::-1] * 64  # keys alike but for their last digits
    assert tg.median(tg.tensor(near, dtype=tg.float32)).item() == np.sort(near.astype(np.float32))[1499]


def test_median_with_nan(rng):
    x = rng.standard_normal((3, 301)).astype(np.float32)
    x[1, [7, 100]] = np.nan
    x[2] = np.nan
    found = tg.median(tg.tensor(x), 1)
    assert found.values[0].item() == np.median(x[0]) and found.indices[1:].tolist() == [7, 0]
    assert np.isnan(found.values[1:].numpy()).all()
    skipped = tg.nanmedian(tg.tensor(x), 1)
    assert skipped.values[1].item() == np.sort(x[1][~np.isnan(x[1])])[149] and np.isnan(skipped.values[2].item())


def test_dims_views_and_gradient(rng):
    x = rng.standard_normal((5, 7, 6))
    for dim in (0, 1, 2):
        t = tg.tensor(x).requires_grad_()
        found = tg.median(t, dim, keepdim=True)
        assert np.array_equal(found.values.detach().numpy(), np.sort(x, dim).take([(x.shape[dim] - 1) // 2], dim))
        found.values.sum().backward()
        expected = np.zeros_like(x)
        np.put_along_axis(expected, found.indices.numpy(), 1.0, dim)
        assert np.array_equal(t.grad.numpy(), expected)
    turned = tg.tensor(x).permute(2, 0, 1)[::2]
    assert tg.median(turned).item() == np.sort(x.transpose(2, 0, 1)[::2], None)[(turned.numel() - 1) // 2]
    assert tg.median(tg.tensor(3.0), 0).indices.item() == 0


@pytest.mark.xdist_group("threads")
def test_selection_does_not_depend_on_threads(rng):
    x = tg.tensor(rng.standard_normal((37, 2000)), dtype=tg.float32)
    results = []
    for threads in (1, 2, 3):
        tg.set_num_threads(threads)
        results.append([v.tolist() for v in (*tg.median(x, 1), *tg.kthvalue(x, 5, 0))])
    tg.set_num_threads(1)
    assert results[0] == results[1] == results[2]


def test_searchsorted_in_groups(rng):
    """Values are looked for eight at a time: all remainders, NaN, equal ones, empty and single tables."""
    for length in (0, 1, 2, 5, 1000):
        table = np.sort(np.rint(rng.uniform(0, 30, length)))
        for count in (1, 7, 8, 9, 33):
            values = np.rint(rng.uniform(-2, 33, count))
            for right, side in ((False, "left"), (True, "right")):
                found = tg.searchsorted(tg.tensor(table), tg.tensor(values), right=right)
                assert np.array_equal(found.numpy(), np.searchsorted(table, values, side))
    nan = float("nan")
    assert tg.searchsorted(tg.tensor([1.0, nan, nan]), tg.tensor([nan, 2.0])).tolist() == [1, 1]
    assert tg.searchsorted(tg.tensor([1.0, nan, nan]), tg.tensor([nan, 2.0]), right=True).tolist() == [3, 1]
