"""Normalisation: the functions and layers against NumPy, running statistics, state_dict, errors."""

from __future__ import annotations

import numpy as np
import pytest

import tilegrad as tg
import tilegrad.nn.functional as F
from tilegrad import nn

RNG = np.random.default_rng(0)


def t(values, grad=False):
    tensor = tg.tensor(np.asarray(values, dtype=np.float64))
    return tensor.requires_grad_() if grad else tensor


def normalised(x, axes, eps=1e-5):
    """(x - mean) / sqrt(var + eps) over axes."""
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)


def along_channels(v, ndim):
    return v.reshape(1, -1, *[1] * (ndim - 2))


# --- layer_norm and rms_norm -------------------------------------------------------------------------------------------


def test_layer_norm_of_the_last_two_dims():
    x, w, b = RNG.standard_normal((3, 4, 5)), RNG.standard_normal((4, 5)), RNG.standard_normal((4, 5))
    y = F.layer_norm(t(x), (4, 5), t(w), t(b), 1e-3)
    np.testing.assert_allclose(y.numpy(), normalised(x, (1, 2), 1e-3) * w + b, rtol=1e-12)


def test_layer_norm_module():
    x = RNG.standard_normal((2, 3, 6))
    layer = nn.LayerNorm(6, dtype=tg.float64)
    assert list(layer.state_dict()) == ["weight", "bias"]
    np.testing.assert_allclose(layer(t(x)).detach().numpy(), normalised(x, 2), rtol=1e-12)
    assert repr(layer) == "LayerNorm((6,), eps=1e-05, elementwise_affine=True, bias=True)"
    assert list(nn.LayerNorm(6, bias=False).state_dict()) == ["weight"]
    assert list(nn.LayerNorm((2, 6), elementwise_affine=False).state_dict()) == []


def test_rms_norm():
    x, w = RNG.standard_normal((4, 7)), RNG.standard_normal(7)
    expected = x / np.sqrt((x * x).mean(1, keepdims=True) + 1e-2) * w
    np.testing.assert_allclose(F.rms_norm(t(x), (7,), t(w), 1e-2).numpy(), expected, rtol=1e-12)
    layer = nn.RMSNorm(7, dtype=tg.float64)
    assert repr(layer) == "RMSNorm((7,), eps=None, elementwise_affine=True)"
    expected = x / np.sqrt((x * x).mean(1, keepdims=True) + np.finfo(np.float64).eps)
    np.testing.assert_allclose(layer(t(x)).detach().numpy(), expected, rtol=1e-12)


def test_rms_norm_of_16_bit_numbers_takes_the_epsilon_of_float32():
    y = F.rms_norm(tg.full((2, 4), 2.0**-10, dtype=tg.bfloat16), (4,))
    np.testing.assert_allclose(y.to(tg.float64).numpy(), 2.0**-10 / np.sqrt(2.0**-20 + 2.0**-23), rtol=2.0**-8)


def test_rows_that_are_far_from_zero_keep_their_digits():
    x = (RNG.standard_normal((3, 1000)) + 1e4).astype(np.float32)
    y = F.layer_norm(tg.tensor(x), (1000,)).numpy()
    np.testing.assert_allclose(y, normalised(x.astype(np.float64), 1), atol=2e-3)


# --- batch_norm --------------------------------------------------------------------------------------------------------

BATCHES = [
    (nn.BatchNorm1d, (6, 3)),
    (nn.BatchNorm1d, (6, 3, 5)),
    (nn.BatchNorm2d, (2, 3, 4, 5)),
    (nn.BatchNorm3d, (2, 3, 2, 3, 2)),
]


@pytest.mark.parametrize(("layer", "shape"), BATCHES)
def test_batch_norm_layers(layer, shape):
    axes = (0, *range(2, len(shape)))
    norm = layer(3, momentum=0.25, dtype=tg.float64)
    w, b = RNG.standard_normal(3), RNG.standard_normal(3)
    norm.load_state_dict({"weight": t(w), "bias": t(b)}, strict=False)
    mean, var = np.zeros(3), np.ones(3)
    for step in range(3):
        x = RNG.standard_normal(shape) * 2 + step
        y = norm(t(x))
        expected = normalised(x, axes) * along_channels(w, len(shape)) + along_channels(b, len(shape))
        np.testing.assert_allclose(y.detach().numpy(), expected, rtol=1e-10, atol=1e-12)
        mean = 0.75 * mean + 0.25 * x.mean(axes)
        var = 0.75 * var + 0.25 * x.var(axes, ddof=1)
    np.testing.assert_allclose(norm.running_mean.numpy(), mean, rtol=1e-12)
    np.testing.assert_allclose(norm.running_var.numpy(), var, rtol=1e-12)
    assert int(norm.num_batches_tracked) == 3
    norm.eval()
    expected = (x - along_channels(mean, x.ndim)) / np.sqrt(along_channels(var, x.ndim) + 1e-5)
    expected = expected * along_channels(w, x.ndim) + along_channels(b, x.ndim)
    np.testing.assert_allclose(norm(t(x)).detach().numpy(), expected, rtol=1e-10, atol=1e-12)
    assert int(norm.num_batches_tracked) == 3


def test_momentum_none_is_the_average_of_all_batches():
    norm = nn.BatchNorm1d(2, momentum=None, dtype=tg.float64)
    batches = [RNG.standard_normal((5, 2)) for _ in range(4)]
    for x in batches:
        norm(t(x))
    np.testing.assert_allclose(norm.running_mean.numpy(), np.mean([x.mean(0) for x in batches], 0), rtol=1e-12)
    np.testing.assert_allclose(norm.running_var.numpy(), np.mean([x.var(0, ddof=1) for x in batches], 0), rtol=1e-12)


def test_batch_norm_without_running_statistics_uses_the_batch_in_eval_too():
    norm = nn.BatchNorm2d(3, affine=False, track_running_stats=False, dtype=tg.float64).eval()
    assert list(norm.state_dict()) == []
    x = RNG.standard_normal((2, 3, 4, 4))
    np.testing.assert_allclose(norm(t(x)).numpy(), normalised(x, (0, 2, 3)), rtol=1e-10, atol=1e-12)


def test_batch_norm_state_dict_names_and_old_files():
    norm = nn.BatchNorm2d(3)
    assert list(norm.state_dict()) == ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    assert list(dict(norm.named_parameters())) == ["weight", "bias"]
    old = {k: v for k, v in norm.state_dict().items() if k != "num_batches_tracked"}
    nn.BatchNorm2d(3).load_state_dict(old)
    norm(tg.randn(2, 3, 4, 4))
    assert int(norm.num_batches_tracked) == 1
    norm.reset_running_stats()
    assert int(norm.num_batches_tracked) == 0
    assert norm.running_var.tolist() == [1.0, 1.0, 1.0]
    assert repr(norm) == ("BatchNorm2d(3, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)")


def test_eval_mode_gradients():
    mean, var, w, b = (t(v) for v in (RNG.standard_normal(3), RNG.uniform(0.5, 2, 3), RNG.standard_normal(3), np.zeros(3)))
    x = t(RNG.standard_normal((2, 3, 4)), grad=True)
    w.requires_grad_()
    b.requires_grad_()
    assert tg.autograd.gradcheck(lambda *a: F.batch_norm(a[0], mean, var, a[1], a[2]), [x, w, b])
    assert tg.autograd.gradgradcheck(lambda *a: F.batch_norm(a[0], mean, var, a[1], a[2]), [x, w, b])


# --- group_norm, instance_norm, local_response_norm --------------------------------------------------------------------


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_group_norm(groups):
    x, w, b = RNG.standard_normal((2, 6, 3, 4)), RNG.standard_normal(6), RNG.standard_normal(6)
    expected = normalised(x.reshape(2, groups, -1), 2).reshape(x.shape) * along_channels(w, 4) + along_channels(b, 4)
    np.testing.assert_allclose(F.group_norm(t(x), groups, t(w), t(b)).numpy(), expected, rtol=1e-10, atol=1e-12)
    layer = nn.GroupNorm(groups, 6, dtype=tg.float64)
    layer.load_state_dict({"weight": t(w), "bias": t(b)})
    np.testing.assert_allclose(layer(t(x)).detach().numpy(), expected, rtol=1e-10, atol=1e-12)


def test_instance_norm():
    x = RNG.standard_normal((2, 3, 4, 5))
    expected = normalised(x, (2, 3))
    np.testing.assert_allclose(nn.InstanceNorm2d(3)(t(x)).numpy(), expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(nn.InstanceNorm2d(3)(t(x[0])).numpy(), expected[0], rtol=1e-10, atol=1e-12)
    affine = nn.InstanceNorm2d(3, affine=True, dtype=tg.float64)
    assert list(affine.state_dict()) == ["weight", "bias"]
    np.testing.assert_allclose(affine(t(x)).detach().numpy(), expected, rtol=1e-10, atol=1e-12)


def test_instance_norm_with_running_statistics():
    norm = nn.InstanceNorm1d(3, track_running_stats=True, momentum=0.5, dtype=tg.float64)
    x = RNG.standard_normal((2, 3, 7))
    norm(t(x))
    mean, var = 0.5 * x.mean(2).mean(0), 0.5 + 0.5 * x.var(2, ddof=1).mean(0)
    np.testing.assert_allclose(norm.running_mean.numpy(), mean, rtol=1e-12)
    np.testing.assert_allclose(norm.running_var.numpy(), var, rtol=1e-12)
    expected = (x - along_channels(mean, 3)) / np.sqrt(along_channels(var, 3) + 1e-5)
    np.testing.assert_allclose(norm.eval()(t(x)).numpy(), expected, rtol=1e-10)
    assert int(norm.num_batches_tracked) == 0  # as in PyTorch: only batch norm counts


@pytest.mark.parametrize("size", [1, 2, 3, 5, 20])
def test_local_response_norm(size):
    x = RNG.standard_normal((2, 6, 3))
    expected = np.empty_like(x)
    for c in range(6):
        low, high = max(0, c - size // 2), min(6, c + (size - 1) // 2 + 1)
        expected[:, c] = x[:, c] / (2.0 + 0.3 * (x[:, low:high] ** 2).sum(1) / size) ** 0.75
    y = nn.LocalResponseNorm(size, alpha=0.3, k=2.0)(t(x))
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-10)


def test_local_response_norm_of_more_channels_than_there_are():
    x = tg.randn(2, 3, 4)
    huge = 2**40
    expected = x / (x.square().sum(1, keepdim=True) * (huge / huge) + 1) ** 0.75
    tg.testing.assert_close(F.local_response_norm(x, huge, alpha=float(huge)), expected)


# --- threads -----------------------------------------------------------------------------------------------------------


def everything(seed):
    """Every kernel and its gradients, on shapes that are cut into many pieces."""
    rng = np.random.default_rng(seed)
    found = {}
    for name, shape, call in (
        ("layer_norm", (1500, 320), lambda x, w, b: F.layer_norm(x, (320,), w, b)),
        ("rms_norm", (1500, 320), lambda x, w, b: F.rms_norm(x, (320,), w, 1e-5) + b),
        ("batch_norm", (9, 20, 70, 50), lambda x, w, b: F.batch_norm(x, None, None, w, b, True)),
        ("batch_norm, slabs", (40, 3, 50, 50), lambda x, w, b: F.batch_norm(x, None, None, w, b, True)),
        ("batch_norm, columns", (3000, 130), lambda x, w, b: F.batch_norm(x, None, None, w, b, True)),
        ("batch_norm, eval", (9, 20, 70, 50), lambda x, w, b: F.batch_norm(x, b.detach(), w.detach() ** 2, w, b)),
        ("group_norm", (9, 20, 70, 50), lambda x, w, b: F.group_norm(x, 5, w, b)),
    ):
        size = shape[1]
        x, w, b = (tg.tensor(rng.standard_normal(s), dtype=tg.float32, requires_grad=True) for s in (shape, size, size))
        y = call(x, w, b)
        y.backward(tg.tensor(rng.standard_normal(shape), dtype=tg.float32))
        parts = {"y": y, "dx": x.grad, "dw": w.grad, "db": b.grad}
        found |= {f"{name} {k}": v.detach().numpy().tobytes() for k, v in parts.items()}
    return found


@pytest.mark.xdist_group("serial")
def test_the_same_bits_for_any_number_of_threads():
    before = tg.get_num_threads()
    try:
        results = []
        for count in (1, 2, 3):
            tg.set_num_threads(count)
            results.append(everything(0))
    finally:
        tg.set_num_threads(before)
    for other in results[1:]:
        assert [k for k in results[0] if results[0][k] != other[k]] == []


# --- errors ------------------------------------------------------------------------------------------------------------

X = tg.ones(2, 4, 3)
ERRORS = [
    (lambda: F.layer_norm(X, (5,)), RuntimeError, r"normalized_shape=\[5\].*\[\*, 5\].*\[2, 4, 3\]"),
    (lambda: F.layer_norm(X, (3,), tg.ones(4)), RuntimeError, r"weight.*\[4\].*\[3\]"),
    (lambda: F.layer_norm(X, ()), RuntimeError, r"at least 1-dimensional"),
    (lambda: F.rms_norm(X, (4,)), RuntimeError, r"normalized_shape=\[4\]"),
    (lambda: F.group_norm(X, 3), RuntimeError, r"divisible by num_groups.*\[2, 4, 3\].*num_groups=3"),
    (lambda: F.group_norm(X, 0), RuntimeError, r"greater than 0, got 0"),
    (lambda: nn.GroupNorm(3, 4), ValueError, r"num_channels \(4\) must be divisible by num_groups \(3\)"),
    (lambda: F.batch_norm(X, tg.ones(3), tg.ones(4)), RuntimeError, r"running_mean should contain 4 elements not 3"),
    (lambda: F.batch_norm(X, None, None), RuntimeError, r"must be defined in evaluation mode"),
    (lambda: F.batch_norm(X, None, None, tg.ones(3), training=True), RuntimeError, r"weight should contain 4 elements"),
    (lambda: F.batch_norm(tg.ones(1, 3), None, None, training=True), ValueError, r"more than 1 value per channel.*\(1, 3\)"),
    (lambda: F.batch_norm(tg.ones(3), None, None, training=True), RuntimeError, r"\(N, C, ...\), got \(3,\)"),
    (lambda: F.instance_norm(tg.ones(1, 3, 1)), ValueError, r"more than 1 spatial element.*\(1, 3, 1\)"),
    (lambda: nn.BatchNorm1d(3)(tg.ones(1, 3, 2, 2)), ValueError, r"expected 2D or 3D input \(got 4D input\)"),
    (lambda: nn.BatchNorm2d(3)(tg.ones(1, 3)), ValueError, r"expected 4D input \(got 2D input\)"),
    (lambda: nn.InstanceNorm2d(3, affine=True)(X), ValueError, r"dim=0 to match num_features \(3\), but got: 2"),
    (lambda: F.local_response_norm(tg.ones(2, 3), 2), ValueError, r"got 2 dimensions"),
]


@pytest.mark.parametrize("i", range(len(ERRORS)))
def test_errors(i):
    call, exception, text = ERRORS[i]
    with pytest.raises(exception, match=text):
        call()


@pytest.mark.parametrize("channels", [1, 15, 16, 17, 47, 48, 49, 63, 64, 65, 257])
@pytest.mark.parametrize("length", [1, 3])
def test_batch_norm_of_short_planes(channels, length):
    """Four registers of columns go together: every number of registers left over, blocks of 256 columns, slabs of samples."""
    rng = np.random.default_rng(channels)
    for batch in (5, 130):
        x = rng.standard_normal((batch, channels, length)) * 3 + 2
        t = tg.tensor(x, dtype=tg.float32).requires_grad_()
        dy = rng.standard_normal(x.shape)
        y = tg.nn.functional.batch_norm(t, None, None, training=True)
        mean, var = x.mean((0, 2), keepdims=True), x.var((0, 2), keepdims=True)
        xhat, n = (x - mean) / np.sqrt(var + 1e-5), batch * length
        np.testing.assert_allclose(y.detach().numpy(), xhat, rtol=1e-4, atol=1e-5)
        y.backward(tg.tensor(dy, dtype=tg.float32))
        sums = dy.sum((0, 2), keepdims=True), (dy * xhat).sum((0, 2), keepdims=True)
        dx = (dy - sums[0] / n - xhat * sums[1] / n) / np.sqrt(var + 1e-5)
        np.testing.assert_allclose(t.grad.numpy(), dx, rtol=1e-3, atol=1e-5)
