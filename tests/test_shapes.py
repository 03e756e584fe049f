"""Random shapes against NumPy: broadcasting, reductions, reshapes, views and indexes."""

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tilegrad as tg

SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)
FILLED = hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=5)


def numbers(shape, start=1):
    return (np.arange(int(np.prod(shape)), dtype=np.float64) + start).reshape(shape)


@st.composite
def layouts(draw, shapes=FILLED):
    """An array of random shape, its dims permuted, sliced and broadcast at random: (tensor, array) of equal values."""
    a = numbers(draw(shapes))
    order = draw(st.permutations(range(a.ndim)))
    steps = tuple(slice(draw(st.integers(0, 1)), None, draw(st.integers(1, 2))) for _ in range(a.ndim))
    t = tg.tensor(a).permute(*order)[steps] if a.ndim else tg.tensor(a)
    return t, a.transpose(order)[steps]


def same(t, a):
    assert tuple(t.shape) == a.shape
    np.testing.assert_array_equal(t.numpy(), a)


@given(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=4, min_side=0))
def test_broadcast_pairs(shapes):
    a, b = (numbers(s) for s in shapes.input_shapes)
    x, y = tg.tensor(a), tg.tensor(b)
    same(x + y, a + b)
    same(x * y, a * b)
    same(tg.where(x > y, x, y), np.where(a > b, a, b))


@given(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=4))
def test_gradients_of_broadcast_pairs(shapes):
    a, b = (numbers(s) for s in shapes.input_shapes)
    x, y = tg.tensor(a, requires_grad=True), tg.tensor(b, requires_grad=True)
    (x * y).sum().backward()
    full = np.broadcast_shapes(a.shape, b.shape)

    def gathered(other, shape):
        g = np.broadcast_to(other, full)
        lead = g.ndim - len(shape)
        g = g.sum(tuple(range(lead)))
        return g.sum(tuple(i for i, n in enumerate(shape) if n == 1), keepdims=True)

    np.testing.assert_allclose(x.grad.numpy(), gathered(b, a.shape))
    np.testing.assert_allclose(y.grad.numpy(), gathered(a, b.shape))


@given(layouts(), layouts())
def test_pairs_of_layouts_that_may_not_fit(p, q):
    (x, a), (y, b) = p, q
    try:
        expected = a - b
    except ValueError:
        try:
            x - y
        except RuntimeError as error:
            assert str(a.shape) in str(error) and str(b.shape) in str(error)
            return
        raise AssertionError("shapes that do not fit were accepted") from None
    same(x - y, expected)


@given(layouts(), st.data())
def test_reductions(pair, data):
    t, a = pair
    dims = data.draw(st.lists(st.integers(0, a.ndim - 1), unique=True, min_size=1))
    keepdim = data.draw(st.booleans())
    negative = [d - a.ndim if data.draw(st.booleans()) else d for d in dims]
    axes = tuple(dims)
    same(t.sum(negative, keepdim=keepdim), a.sum(axes, keepdims=keepdim))
    same((t > 3).any(dims[0], keepdim=keepdim), (a > 3).any(dims[0], keepdims=keepdim))
    if a.size:
        same(t.amax(negative, keepdim=keepdim), a.max(axes, keepdims=keepdim))
        np.testing.assert_allclose(t.mean(negative, keepdim=keepdim).numpy(), a.mean(axes, keepdims=keepdim))
        same(t.argmin(dims[0], keepdim=keepdim), a.argmin(dims[0], keepdims=keepdim))
        np.testing.assert_allclose(
            t.var(negative, correction=0, keepdim=keepdim).numpy(), a.var(axes, keepdims=keepdim), atol=1e-12
        )


@given(layouts(), st.data())
def test_reshape(pair, data):
    t, a = pair
    factors = []
    rest = a.size
    while rest > 1 and len(factors) < 4:
        f = data.draw(st.sampled_from([d for d in range(1, rest + 1) if rest % d == 0]))
        factors.append(f)
        rest //= f
    shape = [*factors, rest] if a.size else [0, 3]
    if a.size and data.draw(st.booleans()):
        shape[data.draw(st.integers(0, len(shape) - 1))] = -1
    same(t.reshape(shape), a.reshape(shape))
    same(t.flatten(), a.reshape(-1))


@given(layouts(), st.data())
def test_views_compose(pair, data):
    t, a = pair
    for _ in range(data.draw(st.integers(1, 5))):
        kind = data.draw(st.sampled_from(["transpose", "unsqueeze", "slice", "flip", "expand", "squeeze"]))
        dim = data.draw(st.integers(0, a.ndim - 1)) if a.ndim else 0
        if kind == "transpose" and a.ndim:
            other = data.draw(st.integers(0, a.ndim - 1))
            t, a = t.transpose(dim, other), a.swapaxes(dim, other)
        elif kind == "unsqueeze" and a.ndim < 6:
            t, a = t.unsqueeze(dim), np.expand_dims(a, dim)
        elif kind == "slice" and a.ndim:
            start, stop, step = data.draw(st.integers(-6, 6)), data.draw(st.integers(-6, 6)), data.draw(st.integers(1, 3))
            where = (slice(None),) * dim + (slice(start, stop, step),)
            t, a = t[where], a[where]
        elif kind == "flip" and a.ndim:
            t, a = t.flip(dim), np.flip(a, dim)
        elif kind == "expand" and a.ndim < 6:
            t, a = t.expand(2, *t.shape), np.broadcast_to(a, (2, *a.shape))
        elif kind == "squeeze" and a.ndim:
            t, a = t.squeeze(dim), a.squeeze(dim) if a.shape[dim] == 1 else a
    same(t, a)
    same(t * 2, a * 2)
    same(t.sum(), a.sum())
    same(t.contiguous(), a)


@given(layouts(), st.data())
def test_basic_indexing(pair, data):
    t, a = pair
    index = data.draw(hnp.basic_indices(a.shape, allow_newaxis=True, max_dims=6))
    parts = index if isinstance(index, tuple) else (index,)
    assume(all(not isinstance(p, slice) or p.step is None or p.step > 0 for p in parts))
    same(t[index], np.asarray(a[index]))


@given(layouts(), st.data())
def test_integer_array_indexing(pair, data):
    t, a = pair
    assume(a.size)
    count = data.draw(st.integers(1, a.ndim))
    result = data.draw(hnp.mutually_broadcastable_shapes(num_shapes=count, max_dims=2, max_side=3, min_side=0))
    first = data.draw(st.integers(0, a.ndim - count))
    sizes = zip(result.input_shapes, a.shape[first : first + count], strict=True)
    arrays = [data.draw(hnp.arrays(np.int64, shape, elements=st.integers(-n, n - 1))) for shape, n in sizes]
    index = (*[slice(None)] * first, *arrays)
    same(t[tuple(tg.tensor(i) if isinstance(i, np.ndarray) else i for i in index)], a[index])


@given(layouts(), st.data())
def test_mask_indexing_and_assignment(pair, data):
    t, a = pair
    mask = data.draw(hnp.arrays(bool, a.shape[: data.draw(st.integers(1, a.ndim))]))
    same(t[tg.tensor(mask)], a[mask])
    t, a = t.clone(), a.copy()
    t[tg.tensor(mask)] = -1.0
    a[mask] = -1.0
    same(t, a)


@given(layouts(), st.data())
def test_basic_assignment(pair, data):
    t, a = pair
    index = data.draw(hnp.basic_indices(a.shape, allow_newaxis=False))
    parts = index if isinstance(index, tuple) else (index,)
    assume(all(not isinstance(p, slice) or p.step is None or p.step > 0 for p in parts))
    t, a = t.clone(), a.copy()
    value = numbers(np.asarray(a[index]).shape, start=100)
    t[index] = tg.tensor(value)
    a[index] = value
    same(t, a)


@given(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4), st.data())
def test_matmul(m, k, n, data):
    shapes = data.draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=2, max_side=3))
    (p, q) = shapes.input_shapes
    a, b = numbers((*p, m, k)), numbers((*q, k, n))
    x, y = tg.tensor(a), tg.tensor(b)
    same(x @ y, a @ b)
    same(tg.tensor(np.swapaxes(a, -1, -2).copy()).mT @ tg.tensor(np.swapaxes(b, -1, -2).copy()).mT, a @ b)


@given(st.lists(layouts(), min_size=1, max_size=4), st.data())
def test_cat_of_layouts(pairs, data):
    first = pairs[0][1]
    dim = data.draw(st.integers(0, first.ndim - 1))
    fitting = [(t, a) for t, a in pairs if a.ndim == first.ndim
               and all(m == n for d, (m, n) in enumerate(zip(a.shape, first.shape, strict=True)) if d != dim)]  # fmt: skip
    same(tg.cat([t for t, _ in fitting], dim), np.concatenate([a for _, a in fitting], dim))
