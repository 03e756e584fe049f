"""Pooling layers: properties over many shapes, special values, places, unpooling, errors, threads."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tilegrad as tg
from tilegrad import nn
from tilegrad.nn import functional as F
from tilegrad.reference import pool

RNG = np.random.default_rng(0)


@st.composite
def images_and_windows(draw):
    dims = draw(st.integers(1, 3))
    kernel = tuple(draw(st.integers(1, 4)) for _ in range(dims))
    stride = tuple(draw(st.integers(1, 4)) for _ in range(dims))
    dilation = tuple(draw(st.integers(1, 2)) for _ in range(dims))
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    sizes = [draw(st.integers(max(1, r - p), 12 if dims < 3 else 7)) for r, p in zip(reach, padding, strict=True)]
    sizes[-1] += draw(st.sampled_from([0, 0, 20, 45]))
    shape = (*draw(st.lists(st.integers(1, 3), min_size=1, max_size=2)), *sizes)
    return shape, kernel, stride, padding, dilation, draw(st.booleans())


@given(images_and_windows(), st.sampled_from(["distinct", "ties", "nan"]))
@settings(max_examples=120, deadline=None)
def test_max_pool(window, values):
    shape, *geometry = window
    x = RNG.standard_normal(shape) if values == "distinct" else np.floor(RNG.uniform(0, 3, shape))
    if values == "nan":
        x[RNG.random(shape) < 0.1] = np.nan
    function = getattr(F, f"max_pool{len(geometry[0])}d")
    expected, places = pool.maxima(x, *geometry)
    y, found = function(tg.tensor(x), *geometry, return_indices=True)
    np.testing.assert_array_equal(y.numpy(), expected)
    np.testing.assert_array_equal(found.numpy(), places)
    np.testing.assert_array_equal(function(tg.tensor(x), *geometry).numpy(), expected)
    t = tg.tensor(x, requires_grad=True)
    dy = RNG.standard_normal(expected.shape)
    function(t, *geometry).backward(tg.tensor(dy))
    np.testing.assert_allclose(t.grad.numpy(), pool.max_pool_backward(dy, x, *geometry), rtol=1e-12, atol=1e-12)


@given(images_and_windows(), st.booleans(), st.sampled_from([None, 3]))
@settings(max_examples=80, deadline=None)
def test_avg_pool(window, include, divisor):
    shape, kernel, stride, padding, _, ceil_mode = window
    if any(n + 2 * p < k for n, p, k in zip(shape[-len(kernel) :], padding, kernel, strict=True)):
        return
    x = RNG.standard_normal(shape)
    more = {} if len(kernel) == 1 else {"divisor_override": divisor}
    function = getattr(F, f"avg_pool{len(kernel)}d")
    t = tg.tensor(x, requires_grad=True)
    y = function(t, kernel, stride, padding, ceil_mode, include, **more)
    rest = (kernel, stride, padding, ceil_mode, include, more.get("divisor_override") or 0)
    np.testing.assert_allclose(y.detach().numpy(), pool.avg_pool(x, *rest), rtol=1e-12, atol=1e-12)
    dy = RNG.standard_normal(y.shape)
    y.backward(tg.tensor(dy))
    expected = pool.avg_pool_backward(dy, shape[-len(kernel) :], *rest)
    np.testing.assert_allclose(t.grad.numpy(), expected, rtol=1e-12, atol=1e-12)


@given(st.integers(1, 3), st.data())
@settings(max_examples=60, deadline=None)
def test_adaptive_pools(dims, data):
    sizes = [data.draw(st.integers(1, 9)) for _ in range(dims)]
    target = [data.draw(st.integers(1, 9)) for _ in range(dims)]
    x = RNG.standard_normal((2, *sizes))
    y, places = getattr(F, f"adaptive_max_pool{dims}d")(tg.tensor(x), target, return_indices=True)
    expected = pool.maxima(x, (), target, (), (), False)
    np.testing.assert_array_equal(y.numpy(), expected[0])
    np.testing.assert_array_equal(places.numpy(), expected[1])
    matrices = []
    for n, o in zip(sizes, target, strict=True):
        m = np.zeros((o, n))
        for row, window in zip(m, pool.adaptive(n, o), strict=True):
            row[window] = 1 / len(window)
        matrices.append(m)
    y = getattr(F, f"adaptive_avg_pool{dims}d")(tg.tensor(x), target)
    np.testing.assert_allclose(y.numpy(), pool.along_last_dims(x, matrices), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [tg.float32, tg.float64])
@pytest.mark.parametrize(("size", "target"), [((3, 56), (2, 5)), ((30, 224), (7, 7)), ((9, 500), (9, 16)), ((2, 130), (3, 40))])
def test_adaptive_averages_of_large_windows(size, target, dtype):
    """Windows longer than the registers that a permutation reaches; an infinite element stays within its own."""
    x = RNG.standard_normal((2, *size))
    matrices = []
    for n, o in zip(size, target, strict=True):
        m = np.zeros((o, n))
        for row, window in zip(m, pool.adaptive(n, o), strict=True):
            row[window] = 1 / len(window)
        matrices.append(m)
    t = tg.tensor(x, dtype=dtype, requires_grad=True)
    y = F.adaptive_avg_pool2d(t, target)
    tolerance = 1e-12 if dtype is tg.float64 else 2e-6
    np.testing.assert_allclose(y.detach().numpy(), pool.along_last_dims(x, matrices), atol=tolerance)
    dy = RNG.standard_normal(y.shape)
    y.backward(tg.tensor(dy, dtype=dtype))
    np.testing.assert_allclose(t.grad.numpy(), pool.along_last_dims(dy, [m.T for m in matrices]), atol=tolerance)
    x[0, 0, -1] = np.inf
    y = F.adaptive_avg_pool2d(tg.tensor(x, dtype=dtype), target).numpy()
    reached = pool.along_last_dims(np.where(np.isinf(x), 1.0, 0.0), matrices) > 0
    assert np.array_equal(np.isinf(y), reached) and not np.isnan(y).any()


def test_an_element_outside_a_window_has_no_influence():
    x = tg.ones(1, 1, 6, 40)
    x[0, 0, 2, 2] = float("inf")
    x[0, 0, 5, 39] = float("nan")
    for y in (F.avg_pool2d(x, 2), F.avg_pool2d(x, 3, 1, 1), F.max_pool2d(x, 2), F.adaptive_avg_pool2d(x, (4, 7))):
        assert np.isfinite(y[0, 0, 0, 3:].numpy()).all()
        assert not np.isfinite(y[0, 0, -1, -1].item())
    assert F.avg_pool2d(x, 2)[0, 0, 1, 1].item() == float("inf")


def test_averages_of_equal_numbers_are_exact():
    for kernel in (2, 3, 5, 7):
        assert (F.avg_pool2d(tg.full((1, 1, 35, 35), 7.0), kernel) == 7.0).all()


def test_adaptive_sizes_may_be_none_or_zero():
    x = tg.randn(2, 3, 5, 7)
    assert F.adaptive_avg_pool2d(x, (None, 2)).shape == (2, 3, 5, 2)
    assert F.adaptive_max_pool2d(x, (2, None)).shape == (2, 3, 2, 7)
    assert F.adaptive_avg_pool2d(x, 0).shape == (2, 3, 0, 0)
    assert F.adaptive_max_pool2d(x, 0).shape == (2, 3, 0, 0)
    np.testing.assert_allclose(F.adaptive_avg_pool2d(x, 1).numpy(), x.numpy().mean((2, 3), keepdims=True), rtol=1e-5)


@pytest.mark.parametrize("size", [2**31 - 1, 2**40, 2**62])
def test_a_result_that_does_not_fit_is_refused_at_once(size):
    with pytest.raises(MemoryError):
        F.adaptive_avg_pool1d(tg.ones(9000, 3, 9), size)
    with pytest.raises(MemoryError):
        F.adaptive_max_pool1d(tg.ones(9000, 3, 9), size, return_indices=True)
    with pytest.raises(MemoryError):
        F.interpolate(tg.ones(9000, 3, 9), size)
    assert F.adaptive_max_pool1d(tg.ones(0, 3, 9), size).shape == (0, 3, size)
    assert F.adaptive_avg_pool1d(tg.ones(0, 3, 9), size).shape == (0, 3, size)


def test_lp_pool():
    x = RNG.uniform(0.1, 2, (2, 3, 6, 8))
    blocks = x.reshape(2, 3, 3, 2, 4, 2)
    np.testing.assert_allclose(F.lp_pool2d(tg.tensor(x), 3, 2).numpy(), (blocks**3).sum((3, 5)) ** (1 / 3), rtol=1e-12)
    np.testing.assert_allclose(nn.LPPool1d(2, 2)(tg.tensor(x[0])).numpy(), np.sqrt((x[0] ** 2).reshape(3, 6, 4, 2).sum(3)))
    assert nn.LPPool3d(2, 2)(tg.tensor(x)).shape == (2, 1, 3, 4)


def test_unpooling_undoes_pooling():
    for dims in (1, 2, 3):
        x = tg.tensor(RNG.standard_normal((2, 3, 6, 4, 8)[: dims + 2]), requires_grad=True)
        y, places = getattr(nn, f"MaxPool{dims}d")(2, return_indices=True)(x)
        back = getattr(nn, f"MaxUnpool{dims}d")(2)(y, places)
        assert back.shape == x.shape
        kept = back != 0
        assert tg.equal(back[kept], x[kept]) and kept.sum().item() == y.numel()
        back.sum().backward()
        np.testing.assert_array_equal(x.grad.numpy(), kept.numpy())
    y, places = F.max_pool2d(tg.randn(1, 1, 5, 5), 2, return_indices=True)
    assert F.max_unpool2d(y, places, 2, output_size=(5, 5)).shape == (1, 1, 5, 5)


def test_unpooling_errors():
    x, places = tg.ones(1, 1, 1, 2), tg.tensor([[[[0, 9]]]])
    with pytest.raises(RuntimeError, match=r"invalid max index: 9 \(output volumes are of size \(2, 4\)"):
        F.max_unpool2d(x, places, 2)
    with pytest.raises(ValueError, match=r"invalid output_size .* \(dim 0 must be between 0 and 4\)"):
        F.max_unpool2d(x, places, 2, output_size=(9, 9))
    with pytest.raises(RuntimeError, match="same as that of the input tensor"):
        F.max_unpool2d(x, places[..., :1], 2)
    with pytest.raises(RuntimeError, match="should be type int64"):
        F.max_unpool2d(x, places.float(), 2)


@pytest.mark.parametrize(
    "call, text",
    [
        (lambda x: F.max_pool2d(x, 5), "too small"),
        (lambda x: F.max_pool2d(x, (2, 2, 2)), "kernel_size must either be a single int, or a tuple of two ints"),
        (lambda x: F.max_pool2d(x, 2, stride=(1, 2, 3)), "stride must either be a single int"),
        (lambda x: F.max_pool2d(x, 2, padding=2), "at most half of effective kernel size"),
        (lambda x: F.max_pool2d(x[0, 0], 2), r"max_pool2d: Expected 3D or 4D .* got: \[3, 3\]"),
        (lambda x: F.max_pool1d(x, 2), r"max_pool1d: Expected 2D or 3D"),
        (lambda x: F.avg_pool3d(x[0, 0], 2), r"avg_pool3d: Expected 4D or 5D"),
        (lambda x: F.avg_pool2d(x, 2, divisor_override=0), "divisor must be not zero"),
        (lambda x: F.max_pool2d(x[:, :0], 2), "non-zero dimensions"),
        (lambda x: F.adaptive_avg_pool2d(x, (1, 2, 3)), "output_size must be 2"),
        (lambda x: F.adaptive_avg_pool2d(x, (-1, 2)), "greater than or equal to 0"),
        (lambda x: F.adaptive_max_pool2d(x[0, 0], 2), r"Expected 3D or 4D tensor, but got \[3, 3\]"),
        (lambda x: F.adaptive_avg_pool2d(x[..., :0], 2), "dimension 3 being empty"),
    ],
)
def test_errors(call, text):
    with pytest.raises(RuntimeError, match=text):
        call(tg.ones(1, 1, 3, 3))


def test_modules_show_their_options():
    assert repr(nn.MaxPool2d(2)) == "MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)"
    assert repr(nn.AvgPool1d(2)) == "AvgPool1d(kernel_size=(2,), stride=(2,), padding=(0,))"
    assert repr(nn.AvgPool2d(2)) == "AvgPool2d(kernel_size=2, stride=2, padding=0)"
    assert repr(nn.AdaptiveAvgPool2d((1, None))) == "AdaptiveAvgPool2d(output_size=(1, None))"
    assert repr(nn.MaxUnpool2d(2)) == "MaxUnpool2d(kernel_size=(2, 2), stride=(2, 2), padding=(0, 0))"
    assert nn.AvgPool1d(3, 2, 1)(tg.ones(2, 1, 9)).shape == (2, 1, 5)
    assert nn.AvgPool3d(2, divisor_override=1)(tg.ones(1, 2, 2, 2)).item() == 8.0


@pytest.mark.xdist_group("serial")
def test_the_same_bits_for_any_number_of_threads():
    x = tg.tensor(RNG.standard_normal((3, 17, 61, 75)), dtype=tg.float32, requires_grad=True)
    before = tg.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            tg.set_num_threads(threads)
            found = []
            for y in (F.max_pool2d(x, 3, 2, 1), F.avg_pool2d(x, 3, 2, 1), F.adaptive_avg_pool2d(x, 5), F.avg_pool3d(x, 2)):
                (dx,) = tg.autograd.grad(y.square().sum(), x)
                found += [y.detach().numpy().tobytes(), dx.numpy().tobytes()]
            results.append(found)
    finally:
        tg.set_num_threads(before)
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize(
    ("shape", "kernel"),
    [
        ((3, 2, 6, 33), (2, 2)),
        ((2, 5, 7, 64), (3, 2)),
        ((1, 1, 4, 70), (1, 2)),
        ((4, 9, 95), (2,)),
        ((2, 3, 4, 6, 35), (2, 2, 2)),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_windows_side_by_side(shape, kernel, dtype):
    """Two columns wide and not overlapping: loops of their own. Ties go to the first, NaN to the last, as everywhere."""
    rng = np.random.default_rng(5)
    x = rng.integers(0, 3, shape).astype(dtype)
    x[rng.random(shape) < 0.1] = np.nan
    x[rng.random(shape) < 0.1] = -np.inf
    dims = len(kernel)
    pool = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}[dims]
    tx = tg.tensor(x, requires_grad=True)
    y, places = pool(tx, kernel, return_indices=True)  # finds the places by the general loop
    np.testing.assert_array_equal(pool(tg.tensor(x), kernel).numpy(), y.detach().numpy())
    dy = rng.standard_normal(y.shape).astype(dtype)
    expected = np.zeros((int(np.prod(shape[:-dims])), int(np.prod(shape[-dims:]))), dtype)
    flat = places.numpy().reshape(len(expected), -1)
    np.put_along_axis(expected, flat, dy.reshape(flat.shape), 1)
    pool(tx, kernel).backward(tg.tensor(dy))
    np.testing.assert_array_equal(tx.grad.numpy(), expected.reshape(shape))
