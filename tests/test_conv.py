"""Convolutions: random shapes against the definition, threads, single gradients, layers, padding modes, switches."""

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import tilegrad as tg
from tilegrad import nn
from tilegrad.autograd import gradcheck, gradgradcheck
from tilegrad.nn import functional as F
from tilegrad.reference import conv as reference
from tilegrad.testing.compare import to_numpy

TOLERANCE = {tg.float32: 2e-5, tg.float64: 1e-13}  # of the largest result


@pytest.fixture
def algorithm():
    before = tg.get_conv_algorithm()
    yield tg.set_conv_algorithm
    tg.set_conv_algorithm(before)


def pair(low, high):
    return st.tuples(st.integers(low, high), st.integers(low, high))


@st.composite
def problems(draw):
    """Any convolution of two dims: (x shape, weight shape, options)."""
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    in_channels, out_channels = draw(st.integers(1, 21)) * groups, draw(st.integers(1, 35)) * groups
    kernel, stride, dilation, padding = draw(pair(1, 7)), draw(pair(1, 3)), draw(pair(1, 3)), draw(pair(0, 8))
    size = draw(pair(1, 24))
    assume(all(s + 2 * p >= d * (k - 1) + 1 for s, p, d, k in zip(size, padding, dilation, kernel, strict=True)))
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return (draw(st.integers(1, 3)), in_channels, *size), (out_channels, in_channels // groups, *kernel), options


def all_products(shapes, dtype):
    """[(name, result, reference)] of a problem."""
    x_shape, w_shape, options = shapes
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal(x_shape), rng.standard_normal(w_shape)
    expected = reference.conv(x, w, **options)
    dy = rng.standard_normal(expected.shape)
    tx, tw, tdy = (tg.tensor(a, dtype=dtype) for a in (x, w, dy))
    ops = tg.ops.conv
    return [
        ("y", ops.conv(tx, tw, **options), expected),
        (
            "dx",
            ops.conv_backward_input(tdy, tw, x_shape[2:], **options),
            reference.conv_backward_input(dy, w, x_shape[2:], **options),
        ),
        (
            "dw",
            ops.conv_backward_weight(tdy, tx, w_shape[2:], **options),
            reference.conv_backward_weight(dy, x, w_shape[2:], **options),
        ),
    ]


@pytest.mark.parametrize("mode", ["auto", "precise", "direct"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(problem=problems(), dtype=st.sampled_from([tg.float32, tg.float64]))
def test_random_shapes(mode, algorithm, problem, dtype):
    algorithm(mode)
    for name, actual, expected in all_products(problem, dtype):
        error = np.abs(to_numpy(actual) - expected).max() / max(np.abs(expected).max(), 1e-30)
        assert error <= TOLERANCE[dtype], f"{name} of {problem}: {error:.1e}"


# shapes that are divided among threads, of every algorithm's kind
DIVIDED = [
    ((4, 32, 28, 28), (48, 32, 3, 3), {"padding": 1}),
    ((2, 16, 40, 40), (33, 16, 3, 3), {"stride": 2, "padding": 1}),
    ((3, 3, 50, 50), (16, 3, 7, 7), {"stride": 2, "padding": 3}),
    ((8, 1, 28, 28), (6, 1, 5, 5), {"padding": 2}),
    ((1, 64, 7, 7), (80, 64, 3, 3), {"padding": 2, "dilation": 2}),
    ((4, 64, 14, 14), (128, 64, 1, 1), {}),
    ((4, 32, 20, 20), (32, 1, 3, 3), {"padding": 1, "groups": 32}),
    ((2, 32, 20, 20), (64, 8, 3, 3), {"padding": 1, "groups": 4}),
]


@pytest.mark.xdist_group("serial")
@pytest.mark.parametrize("dtype", [tg.float32, tg.float64])
@pytest.mark.parametrize("problem", DIVIDED, ids=lambda p: f"{p[0]}-{p[1]}")
def test_the_same_bits_for_any_number_of_threads(problem, dtype):
    before = tg.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3, 4):
            tg.set_num_threads(threads)
            results.append([to_numpy(actual).tobytes() for _, actual, _ in all_products(problem, dtype)])
    finally:
        tg.set_num_threads(before)
    assert all(r == results[0] for r in results)


@pytest.mark.parametrize("channels", [3, 64, 700])
def test_error_of_the_direct_sum(channels, algorithm):
    """Sums of channels * 9 products, in blocks of 512: a few units in the last place of the sum of magnitudes."""
    algorithm("direct")
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(s).astype(np.float32) for s in ((2, channels, 9, 9), (17, channels, 3, 3)))
    exact = reference.conv(x.astype(np.float64), w.astype(np.float64), padding=1)
    magnitude = reference.conv(np.abs(x).astype(np.float64), np.abs(w).astype(np.float64), padding=1)
    error = np.abs(F.conv2d(tg.from_numpy(x), tg.from_numpy(w), padding=1).numpy() - exact)
    assert (error <= 24 * 2.0**-24 * magnitude).all()


def test_the_switch(algorithm):
    assert tg.get_conv_algorithm() == "auto"
    for name in ("precise", "direct", "auto"):
        algorithm(name)
        assert tg.get_conv_algorithm() == name
    with pytest.raises(ValueError, match="expected 'auto', 'precise' or 'direct', got 'fast'"):
        algorithm("fast")


# --- gradients ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("wanted", [(0,), (1,), (2,), (0, 2), (0, 1, 2)])
@pytest.mark.parametrize("activation", ["none", "relu"])
def test_gradients_of_some_arguments(wanted, activation):
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(s) for s in ((2, 3, 6, 5), (4, 3, 3, 3), (4,))]

    def gradients(which):
        tensors = [tg.tensor(a, requires_grad=i in which) for i, a in enumerate(arrays)]
        y = tg.ops.conv.conv2d(*tensors, stride=2, padding=1, activation=activation)
        (y * y).sum().backward()
        return [t.grad for t in tensors]

    every, some = gradients((0, 1, 2)), gradients(wanted)
    for i in range(3):
        if i in wanted:
            np.testing.assert_array_equal(some[i].numpy(), every[i].numpy())
        else:
            assert some[i] is None


def test_a_gradient_through_a_gradient():
    """The gradient penalty of a critic: order 2 through a small convolutional network."""
    rng = np.random.default_rng(0)
    w1, w2 = (tg.tensor(rng.standard_normal(s) * 0.3, requires_grad=True) for s in ((4, 2, 3, 3), (1, 4, 2, 2)))

    def penalty(a, b):
        x = tg.tensor(np.linspace(-1, 1, 72).reshape(1, 2, 6, 6), requires_grad=True)
        score = F.conv2d(tg.tanh(F.conv2d(x, a, stride=2, padding=1)), b).sum()
        (g,) = tg.autograd.grad(score, x, create_graph=True)
        return g.square().sum()

    assert gradcheck(penalty, [w1, w2])
    assert gradgradcheck(penalty, [w1, w2])


def test_weight_norms_and_inputs_that_are_views():
    rng = np.random.default_rng(0)
    base, w = rng.standard_normal((2, 7, 9, 4)), rng.standard_normal((3, 4, 3, 3))
    x = tg.tensor(base, requires_grad=True)
    y = F.conv2d(x.permute(0, 3, 1, 2)[:, :, ::2], tg.tensor(w).transpose(2, 3))
    expected = reference.conv(base.transpose(0, 3, 1, 2)[:, :, ::2], w.swapaxes(2, 3))
    np.testing.assert_allclose(y.detach().numpy(), expected, rtol=1e-12, atol=1e-12)
    y.sum().backward()
    assert x.grad.shape == x.shape
    assert (x.grad[:, 1::2] == 0).all()


def test_special_values_stay_where_they_are(algorithm):
    algorithm("direct")
    x = tg.zeros(1, 1, 6, 6)
    x[0, 0, 2, 2] = float("nan")
    y = F.conv2d(x, tg.ones(1, 1, 3, 3))
    assert int(y.isnan().sum()) == 9


# --- layers ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "make, text",
    [
        (lambda: nn.Conv2d(3, 8, 3), "Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1))"),
        (
            lambda: nn.Conv2d(4, 8, (3, 5), 2, (1, 2), 3, 2, False, "reflect"),
            "Conv2d(4, 8, kernel_size=(3, 5), stride=(2, 2), padding=(1, 2), dilation=(3, 3), groups=2, bias=False, "
            "padding_mode=reflect)",
        ),
        (lambda: nn.Conv1d(2, 3, 3, padding="same"), "Conv1d(2, 3, kernel_size=(3,), stride=(1,), padding=same)"),
        (lambda: nn.Conv3d(1, 2, 2), "Conv3d(1, 2, kernel_size=(2, 2, 2), stride=(1, 1, 1))"),
        (
            lambda: nn.ConvTranspose2d(3, 4, 3, 2, 1, 1),
            "ConvTranspose2d(3, 4, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), output_padding=(1, 1))",
        ),
    ],
)
def test_repr(make, text):
    assert repr(make()) == text


def test_parameters():
    layer = nn.Conv2d(6, 4, (3, 2), groups=2)
    assert {k: tuple(v.shape) for k, v in layer.state_dict().items()} == {"weight": (4, 3, 3, 2), "bias": (4,)}
    bound = 1 / np.sqrt(3 * 3 * 2)
    assert (layer.weight.abs() <= bound).all() and (layer.bias.abs() <= bound).all()
    transposed = nn.ConvTranspose1d(6, 4, 5, groups=2, bias=False)
    assert {k: tuple(v.shape) for k, v in transposed.state_dict().items()} == {"weight": (6, 2, 5)}
    assert nn.Conv2d(1, 1, 1, dtype=tg.float64).weight.dtype == tg.float64


@pytest.mark.parametrize("mode, numpy_mode", [("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap")])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_padding_modes(mode, numpy_mode, dims):
    padding = (2, 1, 2)[:dims]
    layer = getattr(nn, f"Conv{dims}d")(2, 3, 3, padding=padding, padding_mode=mode, dtype=tg.float64)
    x = np.random.default_rng(0).standard_normal((2, 2, *(5, 4, 6)[:dims]))
    padded = np.pad(x, [(0, 0), (0, 0), *[(p, p) for p in padding]], mode=numpy_mode)
    expected = reference.conv(padded, layer.weight.detach().numpy(), layer.bias.detach().numpy())
    np.testing.assert_allclose(layer(tg.tensor(x)).detach().numpy(), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kernel, dilation", [(1, 1), (2, 1), (4, 1), (3, 2), (4, 3)])
def test_same_padding(kernel, dilation):
    x = tg.randn(2, 3, 9, 8)
    layer = nn.Conv2d(3, 4, kernel, padding="same", dilation=dilation)
    assert layer(x).shape == (2, 4, 9, 8)
    before, after = dilation * (kernel - 1) // 2, dilation * (kernel - 1) - dilation * (kernel - 1) // 2
    by_hand = F.conv2d(F.pad(x, (before, after, before, after)), layer.weight, layer.bias, dilation=dilation)
    np.testing.assert_allclose(layer(x).detach().numpy(), by_hand.detach().numpy(), rtol=1e-4, atol=1e-5)
    circular = nn.Conv2d(3, 4, kernel, padding="same", dilation=dilation, padding_mode="circular")
    assert circular(x).shape == (2, 4, 9, 8)


def test_transposed_layers():
    x = tg.randn(2, 3, 5, 4)
    layer = nn.ConvTranspose2d(3, 6, 3, stride=2, padding=1, groups=3)
    assert layer(x).shape == (2, 6, 9, 7)
    assert layer(x, output_size=(10, 8)).shape == (2, 6, 10, 8)
    assert layer(x, output_size=(2, 6, 9, 8)).shape == (2, 6, 9, 8)
    with pytest.raises(ValueError, match=r"size of \[11, 8\], but valid sizes range from \[9, 7\] to \[10, 8\]"):
        layer(x, output_size=(11, 8))
    with pytest.raises(ValueError, match="output_size must have 2 or 4 elements"):
        layer(x, output_size=(9,))
    down = nn.Conv2d(6, 3, 3, stride=2, padding=1, groups=3)  # the two undo each other's sizes
    assert down(layer(x)).shape == x.shape
    assert nn.ConvTranspose3d(2, 3, 2, 2)(tg.randn(2, 2, 2, 2)).shape == (3, 4, 4, 4)


@pytest.mark.parametrize(
    "make, text",
    [
        (lambda: nn.Conv2d(3, 4, 3, groups=2), "in_channels must be divisible by groups, got 3 and groups=2"),
        (lambda: nn.Conv2d(4, 3, 3, groups=2), "out_channels must be divisible by groups, got 3 and groups=2"),
        (lambda: nn.Conv2d(4, 4, 3, groups=0), "groups must be a positive integer, got 0"),
        (lambda: nn.Conv2d(4, 4, 3, padding="some"), "Invalid padding string 'some'"),
        (lambda: nn.Conv2d(4, 4, 3, stride=2, padding="same"), "padding='same' is not supported for strided convolutions"),
        (lambda: nn.Conv2d(4, 4, 3, padding_mode="mirror"), "padding_mode must be one of zeros, reflect, replicate, circular"),
        (lambda: nn.ConvTranspose2d(4, 4, 3, padding_mode="reflect"), 'Only "zeros" padding mode is supported'),
    ],
)
def test_layer_errors(make, text):
    with pytest.raises(ValueError, match=text):
        make()


@pytest.mark.parametrize("kernel, options", [(1, {"padding": 2**29}), (3, {"padding": 2**30, "dilation": 2**30})])
def test_sizes_that_no_memory_could_hold(kernel, options):
    with pytest.raises(MemoryError):
        F.conv2d(tg.ones(1, 1, 1, 1), tg.ones(1, 1, kernel, kernel), **options)


def test_taps_that_all_lie_in_the_padding():
    y = F.conv2d(tg.ones(1, 2, 3, 3), tg.ones(1, 2, 3, 3), padding=100, dilation=50)
    assert y.shape == (1, 1, 103, 103)
    expected = reference.conv(np.ones((1, 2, 3, 3)), np.ones((1, 2, 3, 3)), padding=100, dilation=50)
    np.testing.assert_array_equal(y.numpy(), expected)


def test_padding_has_one_number_a_dim():
    with pytest.raises(RuntimeError, match="padding"):
        F.conv2d(tg.zeros(1, 1, 4, 4), tg.zeros(1, 1, 3, 3), padding=(1, 1, 1, 1))
