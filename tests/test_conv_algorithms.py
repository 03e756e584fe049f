"""The fast algorithms behind conv2d, each against float64, over shapes that cross the edges of tiles, registers and blocks."""

import contextlib
import pathlib

import numpy as np
import pytest

import tilegrad as tg
from tilegrad import _core
from tilegrad.reference import conv as reference

PASSES = ("forward", "backward_input", "backward_weight")
HERE = str(pathlib.Path(__file__).parent)

# The largest error, relative to the largest value of the result. Winograd's 4x4 tiles multiply values that are combinations of
# 36 pixels and cancel again: its bound is a multiple of that of a plain sum, which 2x2 tiles reach.
BOUNDS = {
    "winograd_4x4": 1e-5, "winograd_5x5": 1e-5, "winograd_strided": 1e-5, "winograd_2x2": 2e-6,
    "pointwise": 2e-6, "depthwise": 2e-6, "direct": 3e-6,
}  # fmt: skip


@contextlib.contextmanager
def setting(algorithm="auto", threads=None):
    before = tg.get_conv_algorithm(), tg.get_num_threads()
    tg.set_conv_algorithm(algorithm)
    if threads:
        tg.set_num_threads(threads)
    try:
        yield
    finally:
        tg.set_conv_algorithm(before[0])
        tg.set_num_threads(before[1])


def chosen(x, w, pass_, **options):
    dtype = tg.float32 if x.dtype == np.float32 else tg.float64
    return _core.conv2d_algorithm(x.shape, w.shape, pass_=pass_, dtype=dtype, **options)


def example(rng, size, out_channels, kernel, groups=1, dtype=np.float32, **options):
    """x, w and dy that are given to kernels, with options."""
    options = {"groups": groups, **options}
    x = rng.standard_normal(size).astype(dtype)
    w = rng.standard_normal((out_channels, size[1] // groups, *kernel)).astype(dtype)
    out = reference._windows(
        2, size[2:], kernel, options.get("stride", 1), options.get("padding", 0), options.get("dilation", 1)
    )
    return x, w, rng.standard_normal((size[0], out_channels, *out)).astype(dtype), options


def geometry(stride=1, padding=0, dilation=1, groups=1):
    return stride, padding, dilation, groups


def convolve(x, w, bias=None, activation="none", **options):
    return _core.conv(x, w, bias, None, *geometry(**options), activation).numpy()


def backward(x, w, dy, **options):
    """dx and dw by the kernels."""
    dx = _core.conv_backward_input(dy, w, tuple(x.shape[2:]), *geometry(**options))
    dw = _core.conv_backward_weight(dy, x, tuple(w.shape[2:]), *geometry(**options))
    return [dx.numpy(), dw.numpy()]


def products(x, w, dy, options):
    """y, dx and dw by the kernels."""
    x, w, dy = tg.tensor(x), tg.tensor(w), tg.tensor(dy)
    return [convolve(x, w, **options), *backward(x, w, dy, **options)]


def exact(x, w, dy, options):
    x, w, dy = (a.astype(np.float64) for a in (x, w, dy))
    return (
        reference.conv(x, w, **options),
        reference.conv_backward_input(dy, w, x.shape[2:], **options),
        reference.conv_backward_weight(dy, x, w.shape[2:], **options),
    )


def check(rng, *args, terms=1.0, **options):
    """Compares all three products with float64; returns the algorithms taken. `terms` scales the bound for long sums."""
    x, w, dy, options = example(rng, *args, **options)
    taken = [chosen(x, w, p, **options) for p in PASSES]
    unit = 1 if x.dtype == np.float32 else 2.0**-29
    for name, got, expected, algorithm in zip(
        PASSES, products(x, w, dy, options), exact(x, w, dy, options), taken, strict=True
    ):
        assert got.shape == expected.shape and got.dtype == x.dtype
        error = np.abs(got - expected).max() / np.abs(expected).max()
        assert error <= BOUNDS[algorithm] * unit * terms, (name, algorithm, args, options, error)
    return taken


def winograd_shapes(rng, count):
    """Odd sizes and channels, any padding that Winograd takes, with 16 tiles at least."""
    for _ in range(count):
        channels, outputs = (int(v) for v in rng.integers(16, 70, 2))
        groups = int(rng.choice([1, 1, 1, 2]))
        size = (int(rng.integers(1, 5)), channels * groups, int(rng.integers(14, 35)), int(rng.integers(14, 71)))
        yield size, outputs * groups, groups, tuple(int(v) for v in rng.integers(0, 3, 2))


def check_winograd(count=12):
    rng = np.random.default_rng(1)
    taken = set()
    for i, (size, outputs, groups, padding) in enumerate(winograd_shapes(rng, count)):
        dilation = (1, 1) if i % 2 else tuple(int(v) for v in rng.integers(1, 5, 2))
        options = {"groups": groups, "padding": padding, "dilation": dilation}
        for mode in ("auto", "precise"):
            with setting(mode):
                taken |= set(check(rng, size, outputs, (3, 3), **options))
        reach = max(4 * d + 1 - 2 * p for d, p in zip(dilation, padding, strict=True))
        if min(size[2:]) > reach:
            taken |= set(check(rng, size, outputs, (5, 5), **options))
    assert {"winograd_4x4", "winograd_2x2", "winograd_5x5"} <= taken


def check_much_weight(count=4):
    """So many channels that weights are transformed where they are used, in several groups of tiles."""
    rng = np.random.default_rng(12)
    sizes = [(1, 200, 8, 9), (3, 260, 9, 31), (2, 220, 33, 60), (1, 600, 16, 16)]
    taken = set()
    for size in sizes[:count]:
        for kernel in (3, 5):
            for mode in ("auto", "precise"):
                with setting(mode):
                    taken |= set(check(rng, size, 210, (kernel, kernel), padding=1, dilation=1 + (kernel == 3)))
    assert {"winograd_4x4", "winograd_2x2", "winograd_5x5"} <= taken


def check_strided(count=10):
    """Stride 2, forward and for the input: channels in several blocks, sizes that leave parts of tiles and phases empty."""
    rng = np.random.default_rng(13)
    channels = [16, 17, 33, 65, 140, 64, 30, 129, 20, 48]
    for i in range(count):
        kernel, groups = 3 + i % 2, 1 + (i == 4)
        size = (int(rng.integers(2, 5)), channels[i] * groups, *(int(v) for v in rng.integers(28, 47, 2)))
        outputs, padding = int(rng.integers(16, 50)) * groups, tuple(int(v) for v in rng.integers(0, 3, 2))
        taken = check(rng, size, outputs, (kernel, kernel), stride=2, padding=padding, groups=groups)
        assert taken == ["winograd_strided", "winograd_strided", "direct"]


def check_shallow(count=20):
    """Few input channels, forward with any stride of 1 or 2, and for the input where the outputs are few."""
    rng = np.random.default_rng(14)
    kernels = [(3, 1), (7, 2), (3, 2), (3, 1), (5, 2), (8, 2), (3, 1), (4, 2), (6, 2)]
    taken = []
    for i in range(count):
        kernel, stride = kernels[i % len(kernels)]
        channels, groups = int(rng.integers(2, 6 if stride > 1 else 16)), 1 + (i % 7 == 4)
        outputs = int(rng.choice([4, 5, 7, 16, 30, 65]))
        size = (int(rng.integers(2, 5)), channels * groups, *(int(v) for v in rng.integers(29, 47, 2) * stride))
        padding = tuple(int(v) for v in rng.integers(0, kernel // 2 + 1, 2))
        dilation = (1, 1) if i % 4 or stride > 1 else tuple(int(v) for v in rng.integers(1, 3, 2))
        options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        taken += check(rng, size, outputs * groups, (kernel, kernel), **options)[:2]
    assert taken.count("winograd_4x4") >= count // 4
    assert taken.count("winograd_strided") >= count // 4


def check_volumes(count=12):
    """Taps along the depth count as channels: edges of the volume, strides of the depth, few and many channels."""
    rng = np.random.default_rng(15)
    for i in range(count):
        channels, outputs = [(16, 17), (3, 20), (33, 30), (200, 195), (20, 5), (1, 16)][i % 6]
        kernel = (1 + int(rng.integers(0, 3)), *((3, 3) if i % 3 else (5, 5)))
        depth = int(rng.integers(kernel[0], 6))
        size = (int(rng.integers(1, 3)), channels, depth, *(int(v) for v in rng.integers(13, 32, 2)))
        options = {
            "stride": (1 + i % 2, 1, 1),
            "padding": (int(rng.integers(0, kernel[0])), 1, int(rng.integers(0, 3))),
            "dilation": (1 + (i == 4 and depth > 2 * kernel[0]), 1, 1),
        }
        x = rng.standard_normal(size).astype(np.float32)
        w = rng.standard_normal((outputs, channels, *kernel)).astype(np.float32)
        out = reference._windows(3, size[2:], kernel, *options.values())
        dy = rng.standard_normal((size[0], outputs, *out)).astype(np.float32)
        expected = exact(x, w, dy, options)
        with setting("direct"):
            sums = products(x, w, dy, options)
        got = products(x, w, dy, options)
        for name, a, b, e in zip(PASSES, got, sums, expected, strict=True):
            assert np.abs(a - e).max() <= 1e-5 * np.abs(e).max(), (name, size, w.shape, options)
            assert np.abs(b - e).max() <= 3e-6 * np.abs(e).max(), (name, size, w.shape, options)
        if min(channels, outputs) >= 16:
            assert (got[0] != sums[0]).any() and (got[2] != sums[2]).any()  # Winograd's bits are not the sums'


def check_pointwise(count=24):
    rng = np.random.default_rng(2)
    for i in range(count):
        groups = int(rng.choice([1, 1, 2, 3]))
        channels = int(rng.choice([2, 3, 8, 16, 17, 48, 64, 100])) * groups
        outputs = int(rng.choice([1, 2, 7, 8, 16, 33, 50, 97])) * groups
        size = (int(rng.integers(1, 9)), channels, *(int(v) for v in rng.integers(1, 24, 2)))
        dtype = np.float64 if i % 4 == 0 else np.float32
        assert set(check(rng, size, outputs, (1, 1), groups=groups, dtype=dtype)) == {"pointwise"}


def check_depthwise(count=40):
    rng = np.random.default_rng(3)
    kernels = [(3, 3), (3, 3), (5, 5), (7, 7), (1, 1), (3, 5), (2, 4), (4, 1)]
    for i in range(count):
        kernel = kernels[i % len(kernels)]
        channels, multiplier = int(rng.integers(2, 9)), int(rng.choice([1, 1, 2]))
        dilation = int(rng.choice([1, 1, 2])) if kernel != (1, 1) else 1
        reach = [dilation * (k - 1) + 1 for k in kernel]
        size = (int(rng.integers(1, 4)), channels, *(int(rng.integers(max(r, 2), 45)) for r in reach))
        padding = tuple(int(rng.integers(0, r)) for r in reach)
        options = {"stride": int(rng.choice([1, 2])), "dilation": dilation, "padding": padding}
        dtype = np.float64 if i % 5 == 0 else np.float32
        taken = check(rng, size, channels * multiplier, kernel, groups=channels, dtype=dtype, **options)
        assert set(taken) == {"depthwise"}


CHECKS = [
    check_winograd, check_much_weight, check_strided, check_shallow, check_volumes, check_pointwise, check_depthwise,
]  # fmt: skip


@pytest.mark.parametrize("checked", CHECKS, ids=lambda f: f.__name__)
def test_against_float64(checked):
    checked()


@pytest.mark.slow
@pytest.mark.parametrize("isa", ["baseline", "avx2", "avx512"])
def test_against_float64_under(isa, run_python):
    if not any(i["name"] == isa and i["compiled"] and i["supported"] for i in _core.isa_list()):
        pytest.skip(f"{isa} is not compiled in or not supported by this processor")
    code = f"""
        import sys
        sys.path.insert(0, {HERE!r})
        import tilegrad as tg
        import test_conv_algorithms as t
        assert tg._core.isa_name() == {isa!r}
        t.check_winograd(4); t.check_much_weight(2); t.check_strided(4); t.check_shallow(10); t.check_volumes(6)
        t.check_pointwise(8); t.check_depthwise(16)
    """
    run_python(code, TILEGRAD_ISA=isa, timeout=600)


def test_sums_beyond_one_block():
    """More than 512 channels: several chains, added in order."""
    rng = np.random.default_rng(4)
    assert set(check(rng, (3, 530, 9, 12), 20, (3, 3), padding=1)) == {"winograd_2x2"}
    assert "winograd_4x4" in check(rng, (6, 530, 9, 12), 20, (3, 3), padding=1)
    assert set(check(rng, (3, 1100, 5, 7), 530, (1, 1))) == {"pointwise"}
    assert set(check(rng, (1, 530, 5, 7), 1100, (1, 1))) == {"pointwise"}


@pytest.mark.parametrize(("channels", "outputs"), [(63, 65), (65, 63), (140, 145), (145, 140), (600, 17)])
def test_channels_that_are_no_whole_registers(channels, outputs):
    """Blocks and scratch memory are chosen for the channels there are, not for the next multiple of a register."""
    rng = np.random.default_rng(11)
    for threads in (1, 2):
        with setting(threads=threads):
            assert set(check(rng, (2, channels, 29, 30), outputs, (3, 3), padding=1)) == {"winograd_4x4"}


def test_typical_errors():
    """Root mean squares over a layer of 64 channels, as docs/kernels/conv2d.md states them."""
    rng = np.random.default_rng(5)
    x, w, dy, options = example(rng, (4, 64, 28, 28), 64, (3, 3), padding=1)
    expected = exact(x, w, dy, options)
    bounds = {"auto": (1.2e-6, 1.2e-6, 1.6e-6), "precise": (5e-7, 5e-7, 8e-7), "direct": (6e-7, 6e-7, 8e-7)}
    for mode, limits in bounds.items():
        with setting(mode):
            for got, value, limit in zip(products(x, w, dy, options), expected, limits, strict=True):
                assert np.sqrt(np.mean((got - value) ** 2) / np.mean(value**2)) < limit, mode


CHOICES = [
    # input, weight, options, (auto, precise, direct) forward
    ((32, 64, 56, 56), (64, 64, 3, 3), {"padding": 1}, ("winograd_4x4", "winograd_2x2", "direct")),
    ((1, 128, 14, 14), (128, 128, 3, 3), {"padding": 1}, ("winograd_2x2", "winograd_2x2", "direct")),
    ((1, 256, 14, 14), (256, 256, 3, 3), {"padding": 1}, ("winograd_4x4", "winograd_2x2", "direct")),
    ((1, 512, 7, 7), (512, 512, 3, 3), {"padding": 1}, ("winograd_2x2", "winograd_2x2", "direct")),
    ((1, 512, 4, 4), (512, 512, 3, 3), {"padding": 1}, ("direct", "direct", "direct")),
    ((32, 15, 32, 32), (64, 15, 3, 3), {"padding": 1}, ("winograd_4x4", "direct", "direct")),
    ((1, 3, 12, 12), (64, 3, 3, 3), {"padding": 1}, ("direct", "direct", "direct")),
    ((4, 3, 224, 224), (64, 3, 7, 7), {"padding": 3, "stride": 2}, ("winograd_strided", "direct", "direct")),
    ((32, 64, 56, 56), (64, 64, 3, 3), {"padding": 1, "stride": 2}, ("winograd_strided", "direct", "direct")),
    ((32, 64, 56, 56), (64, 64, 4, 4), {"padding": 1, "stride": 2}, ("winograd_strided", "direct", "direct")),
    ((1, 64, 14, 14), (64, 64, 3, 3), {"padding": 1, "stride": 2}, ("direct", "direct", "direct")),
    ((32, 64, 56, 56), (64, 64, 3, 3), {"padding": 1, "stride": (2, 1)}, ("direct", "direct", "direct")),
    ((32, 64, 56, 56), (64, 64, 3, 3), {"padding": 2, "dilation": 2}, ("winograd_4x4", "winograd_2x2", "direct")),
    ((1, 64, 9, 9), (64, 64, 3, 3), {"padding": 4, "dilation": 4}, ("winograd_2x2", "winograd_2x2", "direct")),
    ((32, 64, 56, 56), (64, 32, 3, 3), {"padding": 1, "groups": 2}, ("winograd_4x4", "winograd_2x2", "direct")),
    ((32, 64, 56, 56), (64, 64, 5, 5), {"padding": 2}, ("winograd_5x5", "direct", "direct")),
    ((1, 64, 9, 9), (64, 64, 5, 5), {"padding": 2}, ("direct", "direct", "direct")),
    ((32, 64, 56, 56), (256, 64, 1, 1), {}, ("pointwise",) * 3),
    ((32, 64, 56, 56), (256, 64, 1, 1), {"stride": 2}, ("direct",) * 3),
    ((32, 64, 56, 56), (64, 1, 3, 3), {"padding": 1, "groups": 64}, ("depthwise",) * 3),
    ((32, 64, 56, 56), (128, 1, 5, 5), {"stride": 2, "groups": 64}, ("depthwise",) * 3),
    ((64, 1, 28, 28), (6, 1, 5, 5), {"padding": 2}, ("direct",) * 3),
]


@pytest.mark.parametrize(("x", "w", "options", "expected"), CHOICES)
def test_choice(x, w, options, expected):
    for mode, name in zip(("auto", "precise", "direct"), expected, strict=True):
        with setting(mode):
            assert _core.conv2d_algorithm(x, w, **options) == name
    if "winograd_4x4" in expected:  # float64 is summed
        assert _core.conv2d_algorithm(x, w, dtype=tg.float64, **options) == "direct"


def test_choice_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="expected 'forward', 'backward_input' or 'backward_weight', got 'back'"):
        _core.conv2d_algorithm((1, 2, 5, 5), (2, 2, 3, 3), pass_="back")
    with pytest.raises(ValueError, match="do not fit an input of size"):
        _core.conv2d_algorithm((1, 3, 5, 5), (2, 2, 3, 3))
    with pytest.raises(ValueError, match=r"expected sizes \(N, C, H, W\)"):
        _core.conv2d_algorithm((1, 3, 5), (2, 2, 3, 3))
    with pytest.raises(RuntimeError, match="Kernel size can't be greater than"):
        _core.conv2d_algorithm((1, 2, 2, 2), (2, 2, 3, 3))


def test_the_mode_changes_what_is_computed():
    x, w, dy, options = example(np.random.default_rng(6), (4, 32, 16, 18), 24, (3, 3), padding=1)
    results = {}
    for mode in ("auto", "precise", "direct"):
        with setting(mode):
            results[mode] = products(x, w, dy, options)
    for i in range(3):
        assert len({r[i].tobytes() for r in results.values()}) == 3
    errors = {
        mode: [np.abs(got - e).max() for got, e in zip(r, exact(x, w, dy, options), strict=True)] for mode, r in results.items()
    }
    assert all(p < a for p, a in zip(errors["precise"], errors["auto"], strict=True))


SPLIT = [
    ((5, 40, 19, 23), 50, (3, 3), {"padding": 1}),  # few tiles: the threads share a block
    ((8, 17, 60, 61), 20, (3, 3), {"padding": 2}),  # many: each has blocks of its own
    ((2, 600, 12, 12), 40, (3, 3), {"padding": 1}),
    ((2, 230, 30, 31), 250, (3, 3), {"padding": 1}),  # many channels: two groups of tiles
    ((2, 40, 30, 31), 50, (5, 5), {"padding": 2}),
    ((3, 70, 57, 50), 40, (3, 3), {"padding": 1, "stride": 2}),
    ((3, 70, 57, 50), 40, (4, 4), {"padding": 1, "stride": 2}),
    ((3, 40, 30, 31), 50, (3, 3), {"padding": 2, "dilation": 2}),
    ((9, 3, 30, 33), 18, (3, 3), {"padding": 1}),
    ((3, 3, 61, 64), 9, (7, 7), {"padding": 3, "stride": 2}),
    ((2, 8, 60, 61), 16, (3, 3), {"padding": 1, "groups": 2}),
    ((9, 16, 64, 63), 33, (3, 3), {"padding": 1}),  # few channels: slabs of blocks for the gradient of the weights
    ((7, 70, 9, 11), 90, (1, 1), {}),
    ((1, 600, 3, 5), 300, (1, 1), {}),
    ((3, 30, 17, 19), 30, (3, 3), {"groups": 30, "padding": 1}),
    ((3, 30, 17, 19), 60, (5, 5), {"groups": 30, "stride": 2, "padding": 2}),
]


@pytest.mark.xdist_group("serial")
@pytest.mark.parametrize(("size", "outputs", "kernel", "options"), SPLIT)
def test_same_bits_for_any_number_of_threads(size, outputs, kernel, options):
    x, w, dy, options = example(np.random.default_rng(7), size, outputs, kernel, **options)
    for mode in ("auto", "precise"):
        results = []
        for threads in (1, 2, 3, 4):
            with setting(mode, threads):
                results.append([r.tobytes() for r in products(x, w, dy, options)])
        assert all(r == results[0] for r in results)


@pytest.mark.xdist_group("serial")
def test_same_bits_of_volumes_for_any_number_of_threads():
    rng = np.random.default_rng(16)
    x, w = (rng.standard_normal(s).astype(np.float32) for s in [(2, 18, 5, 30, 31), (20, 18, 3, 3, 3)])
    dy, options = rng.standard_normal((2, 20, 5, 30, 31)).astype(np.float32), {"padding": 1}
    results = []
    for threads in (1, 2, 3, 4):
        with setting("auto", threads):
            results.append([r.tobytes() for r in products(x, w, dy, options)])
    assert all(r == results[0] for r in results)


@pytest.mark.parametrize("activation", ["none", "relu", "gelu", "gelu_tanh", "tanh", "sigmoid"])
@pytest.mark.parametrize(
    ("size", "outputs", "kernel", "options"),
    [
        ((4, 20, 15, 17), 19, (3, 3), {"padding": 1}),
        ((4, 3, 15, 33), 19, (3, 3), {"padding": 1}),
        ((3, 20, 7, 7), 19, (1, 1), {}),
        ((2, 6, 13, 19), 12, (3, 3), {"groups": 6, "padding": 1}),
        ((2, 6, 13, 19), 6, (3, 2), {"groups": 6, "stride": 2}),
    ],
)
def test_bias_and_activation(size, outputs, kernel, options, activation):
    rng = np.random.default_rng(8)
    x, w, _, options = example(rng, size, outputs, kernel, **options)
    bias = rng.standard_normal(outputs).astype(np.float32)
    got = convolve(tg.tensor(x), tg.tensor(w), tg.tensor(bias), activation, **options)
    plain = tg.tensor(exact(x, w, np.zeros_like(got), options)[0] + bias[:, None, None].astype(np.float64))
    F = tg.nn.functional
    functions = {
        "none": lambda t: t,
        "relu": F.relu,
        "gelu": F.gelu,
        "gelu_tanh": lambda t: F.gelu(t, approximate="tanh"),
        "tanh": tg.tanh,
        "sigmoid": tg.sigmoid,
    }
    expected = functions[activation](plain).numpy()
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5 * max(1, np.abs(plain.numpy()).max()))


@pytest.mark.parametrize(
    ("channels", "outputs", "kernel", "options"),
    [
        (20, 18, (3, 3), {"padding": 1}),
        (3, 18, (3, 3), {"padding": 1}),
        (6, 18, (1, 1), {}),
        (6, 6, (3, 3), {"groups": 6, "padding": 1}),
    ],
)
def test_views_are_read_where_they_lie(channels, outputs, kernel, options):
    """Parts of larger images: lines, channels and images with gaps between them; NaN lies in the gaps."""
    rng = np.random.default_rng(9)
    x, w, dy, options = example(rng, (3, channels, 17, 19), outputs, kernel, **options)

    def with_gaps(a):
        n, c, h, v = a.shape
        big = np.full((n + 1, c + 2, h + 3, v + 5), np.nan, np.float32)
        big[:n, 1:-1, 2:-1, 3:-2] = a
        return tg.tensor(big)[:n, 1:-1, 2:-1, 3:-2]

    vx, vdy, tw = with_gaps(x), with_gaps(dy), tg.tensor(w)
    expected = products(x, w, dy, options)
    got = [convolve(vx, tw, **options), *backward(vx, tw, vdy, **options)]
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_special_values_spread_over_winograds_tiles_only(value):
    """A pixel that is NaN or infinite spoils every output of the tiles that read it; a sum, only the 9 outputs over it."""
    rng = np.random.default_rng(10)
    x, w, _, options = example(rng, (2, 16, 24, 24), 16, (3, 3), padding=1)
    x[1, 3, 10, 13] = value
    tiles = (slice(8, 12), slice(12, 16))
    around = {"direct": (slice(9, 12), slice(12, 15)), "precise": tiles, "auto": tiles}
    for mode, (rows, cols) in around.items():
        with setting(mode):
            y = convolve(tg.tensor(x), tg.tensor(w), **options)
        outside = np.ones((24, 24), bool)
        outside[rows, cols] = False
        assert np.isfinite(y[0]).all() and np.isfinite(y[1][:, outside]).all(), mode
        hit = y[1][:, 9:12, 12:15]
        assert not np.isfinite(hit).any()
        if mode == "direct" and value == np.inf:
            assert (np.abs(hit) == np.inf).all()  # Winograd's differences make NaN of infinity
