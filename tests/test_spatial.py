"""Padding, resizing and the other layers that move pixels: properties over many shapes, modules, threads."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tilegrad as tg
from tilegrad import nn
from tilegrad.nn import functional as F
from tilegrad.reference import pad

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
