"""Padding, resizing and the other layers that move pixels: properties over many shapes, modules, threads."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tilegrad as tg
from tilegrad import nn
from tilegrad.nn import functional as F
from tilegrad.reference import interpolate, pad, spatial

RNG = np.random.default_rng(0)


@pytest.fixture
def threads():
    """Restores the number of kernel threads."""
    before = tg.get_num_threads()
    yield tg.set_num_threads
    tg.set_num_threads(before)


# --- padding


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_pad_is_numpys(data):
    mode = data.draw(st.sampled_from(["constant", "reflect", "replicate", "circular"]))
    dims = data.draw(st.integers(1, 3))
    shape = data.draw(st.lists(st.integers(1, 6), min_size=dims + 1, max_size=dims + 2))
    pads = []
    for size in shape[: -dims - 1 : -1]:
        most = {"constant": 9, "reflect": size - 1, "replicate": 9, "circular": size}[mode]
        pads += [data.draw(st.integers(0, most)), data.draw(st.integers(0, most))]
    x = RNG.standard_normal(shape)
    if data.draw(st.booleans()):
        x = np.ascontiguousarray(x.T).T
    np.testing.assert_array_equal(F.pad(tg.tensor(x), pads, mode).numpy(), pad.pad(x, pads, mode))
    # the gradient is the transpose: <pad(x), y> = <x, pad_backward(y)>
    t = tg.tensor(x, requires_grad=True)
    y = tg.tensor(RNG.standard_normal(F.pad(t, pads, mode).shape))
    F.pad(t, pads, mode).backward(y)
    np.testing.assert_allclose((pad.pad(x, pads, mode) * y.numpy()).sum(), (x * t.grad.numpy()).sum(), rtol=1e-9, atol=1e-9)


PADS = {
    nn.ZeroPad1d: ("constant", 1), nn.ZeroPad2d: ("constant", 2), nn.ZeroPad3d: ("constant", 3),
    nn.ReflectionPad1d: ("reflect", 1), nn.ReflectionPad2d: ("reflect", 2), nn.ReflectionPad3d: ("reflect", 3),
    nn.ReplicationPad1d: ("replicate", 1), nn.ReplicationPad2d: ("replicate", 2), nn.ReplicationPad3d: ("replicate", 3),
    nn.CircularPad1d: ("circular", 1), nn.CircularPad2d: ("circular", 2), nn.CircularPad3d: ("circular", 3),
}  # fmt: skip


@pytest.mark.parametrize("layer", PADS, ids=lambda c: c.__name__)
def test_pad_modules(layer):
    mode, dims = PADS[layer]
    x = tg.tensor(RNG.standard_normal((2, 3, 4, 5)[: dims + 1]))
    widths = (1, 2, 2, 0, 1, 1)[: 2 * dims]
    assert layer(widths)(x).tolist() == F.pad(x, widths, mode).tolist()
    assert layer(1)(x).tolist() == F.pad(x, (1,) * (2 * dims), mode).tolist()
    assert repr(layer(1)) == f"{layer.__name__}({(1,) * (2 * dims)})"
    with pytest.raises(ValueError, match=f"padding must be an int or {2 * dims} ints"):
        layer((1, 2, 3))


def test_constant_pad_modules():
    for dims, layer in enumerate((nn.ConstantPad1d, nn.ConstantPad2d, nn.ConstantPad3d), 1):
        x = tg.ones(*(2,) * (dims + 1))
        y = layer(1, 3.5)(x)
        assert y.shape == (2, *(4,) * dims)
        assert y.sum().item() == 2 ** (dims + 1) + 3.5 * (2 * 4**dims - 2 ** (dims + 1))
    assert repr(nn.ConstantPad1d((1, 2), 3.5)) == "ConstantPad1d(padding=(1, 2), value=3.5)"


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
def test_pad_has_the_same_bits_for_any_number_of_threads(mode, threads):
    x = tg.tensor(RNG.standard_normal((6, 5, 70, 90)), dtype=tg.float32, requires_grad=True)
    weight = tg.tensor(RNG.standard_normal((6, 5, 77, 99)), dtype=tg.float32)
    results = []
    for count in (1, 2, 3):
        threads(count)
        y = F.pad(x, (4, 5, 3, 4), mode)
        (dx,) = tg.autograd.grad((y * weight).sum(), x)
        results.append((y.detach().numpy().tobytes(), dx.numpy().tobytes()))
    assert results[0] == results[1] == results[2]


def test_pad_of_integers_and_bools():
    assert F.pad(tg.tensor([1, 2]), (1, 0), value=7.9).tolist() == [7, 1, 2]
    assert F.pad(tg.tensor([True]), (1, 1), value=1).tolist() == [True, True, True]
    assert F.pad(tg.tensor([[1, 2, 3]]), (2, 1), "reflect").tolist() == [[3, 2, 1, 2, 3, 2]]


def test_circular_pad_cuts_first():
    assert F.pad(tg.tensor([[1.0, 2.0, 3.0]]), (2, -1), "circular").tolist() == [[1.0, 2.0, 1.0, 2.0]]


# --- interpolation


@given(st.data())
@settings(max_examples=120, deadline=None)
def test_interpolate(data):
    dims = data.draw(st.integers(1, 3))
    names = {1: ["linear"], 2: ["bilinear", "bicubic"], 3: ["trilinear"]}[dims] + ["nearest", "nearest-exact", "area"]
    mode = data.draw(st.sampled_from(names))
    smooth = mode in ("linear", "bilinear", "trilinear", "bicubic")
    corners = data.draw(st.booleans()) if smooth else None
    antialias = mode in ("bilinear", "bicubic") and data.draw(st.booleans())
    sizes = [data.draw(st.integers(1, 40 if dims == 1 else 9)) for _ in range(dims)]
    target = [data.draw(st.integers(1, 70 if dims == 1 else 9)) for _ in range(dims)]
    x = RNG.standard_normal((2, 2, *sizes))
    t = tg.tensor(x, requires_grad=True)
    y = F.interpolate(t, target, mode=mode, align_corners=corners, antialias=antialias)
    number = {"nearest": 0, "nearest-exact": 1, "bicubic": 3, "area": 4}.get(mode, 2)
    rest = (number, bool(corners), antialias, 0.0, 0.0, 0.0)
    np.testing.assert_allclose(y.detach().numpy(), interpolate.interpolate(x, target, *rest), rtol=1e-9, atol=1e-9)
    dy = RNG.standard_normal(y.shape)
    y.backward(tg.tensor(dy))
    np.testing.assert_allclose(t.grad.numpy(), interpolate.interpolate_backward(dy, sizes, *rest), rtol=1e-9, atol=1e-9)


def test_scale_factors():
    x = tg.tensor(RNG.standard_normal((1, 2, 5, 7)))
    assert F.interpolate(x, scale_factor=1.7).shape == (1, 2, 8, 11)
    assert F.interpolate(x, scale_factor=(2, 0.5)).shape == (1, 2, 10, 3)
    given_scale = F.interpolate(x, scale_factor=1.7, mode="bilinear")
    from_sizes = F.interpolate(x, scale_factor=1.7, mode="bilinear", recompute_scale_factor=True)
    by_reference = [interpolate.interpolate(x.numpy(), (8, 11), 2, False, False, 0.0, s, s) for s in (1.7, 0.0)]
    np.testing.assert_allclose(given_scale.numpy(), by_reference[0])
    np.testing.assert_allclose(from_sizes.numpy(), by_reference[1])
    assert tg.equal(nn.Upsample(scale_factor=1.7, mode="bilinear")(x), given_scale)
    assert tg.equal(nn.Upsample(scale_factor=1.7, mode="bilinear", recompute_scale_factor=True)(x), from_sizes)


def test_upsampling_modules():
    x = tg.tensor(RNG.standard_normal((1, 2, 4, 5)))
    twice = x.numpy().repeat(2, 2).repeat(2, 3)
    for y in (nn.Upsample(scale_factor=2)(x), nn.UpsamplingNearest2d(scale_factor=2)(x), F.upsample_nearest(x, (8, 10))):
        np.testing.assert_array_equal(y.numpy(), twice)
    corners = F.interpolate(x, (7, 9), mode="bilinear", align_corners=True)
    for y in (
        nn.UpsamplingBilinear2d((7, 9))(x),
        F.upsample_bilinear(x, (7, 9)),
        F.upsample(x, (7, 9), None, "bilinear", True),
    ):
        assert tg.equal(y, corners)
    assert repr(nn.Upsample(scale_factor=2)) == "Upsample(scale_factor=2.0, mode='nearest')"
    assert repr(nn.Upsample(3, mode="bilinear")) == "Upsample(size=3, mode='bilinear')"


@pytest.mark.parametrize(
    "options, error, text",
    [
        ({}, ValueError, "either size or scale_factor should be defined"),
        ({"size": 2, "scale_factor": 2}, ValueError, "only one of size or scale_factor"),
        ({"size": (1, 2, 3)}, ValueError, "same number of spatial dimensions"),
        ({"scale_factor": (1, 2, 3)}, ValueError, "same number of spatial dimensions"),
        ({"size": 2, "mode": "linear"}, NotImplementedError, "Got 4D input, but linear mode needs 3D input"),
        ({"size": 2, "mode": "foo"}, NotImplementedError, r"\(got foo\)"),
        ({"size": 2, "align_corners": True}, ValueError, "align_corners option can only be set"),
        ({"size": 2, "antialias": True}, ValueError, "Anti-alias option is restricted"),
        ({"size": 2, "recompute_scale_factor": True}, ValueError, "not meaningful with an explicit size"),
        ({"size": 0}, RuntimeError, "should be greater than 0"),
        ({"scale_factor": 0.1}, RuntimeError, r"should be greater than 0, .*output \(0, 0\)"),
        ({"scale_factor": float("inf")}, ValueError, "finite scale factors"),
        ({"size": 2.5}, TypeError, "expected size to be ints"),
    ],
)
def test_interpolate_errors(options, error, text):
    with pytest.raises(error, match=text):
        F.interpolate(tg.ones(1, 2, 3, 4), **options)


# --- columns and shuffles


def test_fold_and_unfold_modules():
    x = tg.tensor(RNG.standard_normal((2, 3, 6, 8)), requires_grad=True)
    columns = nn.Unfold(3, padding=1)(x)
    np.testing.assert_array_equal(columns.detach().numpy(), spatial.unfold(x.detach().numpy(), (3, 3), (1, 1), (1, 1), (1, 1)))
    back = nn.Fold((6, 8), 3, padding=1)(columns)
    times = nn.Fold((6, 8), 3, padding=1)(nn.Unfold(3, padding=1)(tg.ones(2, 3, 6, 8, dtype=tg.float64)))
    np.testing.assert_allclose(back.detach().numpy(), (x * times).detach().numpy())
    assert tg.equal(F.unfold(x[0], 3, padding=1), columns[0])
    assert tg.equal(F.fold(columns[0], (6, 8), 3, padding=1), back[0])
    back.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), times.numpy())
    assert repr(nn.Unfold(2)) == "Unfold(kernel_size=2, dilation=1, padding=0, stride=1)"
    assert repr(nn.Fold(3, 2)) == "Fold(output_size=3, kernel_size=2, dilation=1, padding=0, stride=1)"


def test_shuffles():
    x = tg.tensor(RNG.standard_normal((2, 12, 3, 4)))
    y = nn.PixelShuffle(2)(x)
    assert y.shape == (2, 3, 6, 8)
    assert y[1, 2, 3, 5].item() == x[1, 2 * 4 + 1 * 2 + 1, 1, 2].item()
    assert tg.equal(nn.PixelUnshuffle(2)(y), x)
    z = nn.ChannelShuffle(3)(x)
    assert tg.equal(z[:, 1], x[:, 4])
    assert tg.equal(F.channel_shuffle(z, 4), x)
    assert F.pixel_shuffle(x[0], 2).shape == (3, 6, 8)
    assert repr(nn.Sequential(nn.PixelShuffle(2), nn.PixelUnshuffle(2), nn.ChannelShuffle(2))).count("factor") == 2
    for call, text in (
        (lambda: F.pixel_shuffle(x, 5), "divisible by the square of upscale_factor"),
        (lambda: F.pixel_shuffle(x, 0), "positive upscale_factor"),
        (lambda: F.pixel_shuffle(x[0, 0], 2), "at least 3 dimensions"),
        (lambda: F.pixel_unshuffle(x, 2), "expects height to be divisible"),
        (lambda: F.pixel_unshuffle(x, 3), "expects width to be divisible"),
        (lambda: F.channel_shuffle(x, 5), "12 channels and 5 groups"),
        (lambda: F.channel_shuffle(x, 0), "must be positive"),
    ):
        with pytest.raises(RuntimeError, match=text):
            call()


# --- grids


def test_fixed_matrices_shift_zoom_and_turn():
    x = tg.tensor(RNG.standard_normal((1, 1, 5, 5)))
    for matrix, expected in (
        ([[1, 0, 0], [0, 1, 0]], x.numpy()),
        ([[-1, 0, 0], [0, 1, 0]], x.numpy()[..., ::-1]),
        ([[0, 1, 0], [1, 0, 0]], x.numpy().swapaxes(2, 3)),
        ([[1, 0, 0.4], [0, 1, 0]], np.concatenate([x.numpy()[..., 1:], np.zeros((1, 1, 5, 1))], 3)),
    ):
        grid = F.affine_grid(tg.tensor([matrix], dtype=tg.float64), (1, 1, 5, 5), align_corners=False)
        np.testing.assert_allclose(F.grid_sample(x, grid, align_corners=False).numpy(), expected, atol=1e-12)


def test_nearest_places_have_no_gradient_and_bilinear_ones_do():
    x = tg.tensor(RNG.standard_normal((1, 2, 4, 4)), requires_grad=True)
    grid = tg.tensor(RNG.uniform(-0.9, 0.9, (1, 3, 3, 2)), requires_grad=True)
    for mode in ("nearest", "bilinear"):
        dx, dgrid = tg.autograd.grad(F.grid_sample(x, grid, mode).sum(), (x, grid))
        assert (dgrid != 0).any().item() == (mode == "bilinear")
        assert (dx != 0).any()


def test_places_far_away():
    x = tg.ones(1, 1, 3, 3)
    grid = tg.tensor([[[[1e30, 0.0], [-1e30, -1e30], [float("inf"), 0.0]]]])
    assert F.grid_sample(x, grid, "nearest", "zeros").tolist() == [[[[0.0, 0.0, 0.0]]]]
    assert F.grid_sample(x, grid, "nearest", "border").tolist() == [[[[1.0, 1.0, 1.0]]]]


@pytest.mark.xdist_group("serial")
def test_the_same_bits_for_any_number_of_threads(threads):
    x = tg.tensor(RNG.standard_normal((3, 5, 61, 75)), dtype=tg.float32, requires_grad=True)
    grid = tg.tensor(RNG.uniform(-1.2, 1.2, (3, 70, 50, 2)), dtype=tg.float32, requires_grad=True)
    results = []
    for count in (1, 2, 3):
        threads(count)
        found = []
        for y in (
            F.interpolate(x, (100, 33), mode="bilinear"),
            F.interpolate(x, scale_factor=2),
            F.fold(F.unfold(x, 3, padding=1), (61, 75), 3, padding=1),
            F.grid_sample(x, grid),
        ):
            dx, dgrid = tg.autograd.grad(y.square().sum(), (x, grid), allow_unused=True)
            found += [y.detach().numpy().tobytes(), dx.numpy().tobytes(), b"" if dgrid is None else dgrid.numpy().tobytes()]
        results.append(found)
    assert results[0] == results[1] == results[2]
