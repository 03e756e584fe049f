"""int8 linear layers and quantize_dynamic."""

from __future__ import annotations

import io
import pickle

import numpy as np
import pytest

import tilegrad as tg
from tilegrad import nn
from tilegrad.ao.nn.quantized.dynamic import Linear
from tilegrad.ao.quantization import QConfig, default_dynamic_qconfig, quantize_dynamic
from tilegrad.ops.quantized import pack_weight, quantize_weight, quantized_linear
from tilegrad.reference import quantized as reference
from tilegrad.testing import assert_close


def network():
    tg.manual_seed(0)
    return nn.Sequential(nn.Linear(40, 64), nn.ReLU(), nn.Sequential(nn.Linear(64, 32), nn.GELU()), nn.Linear(32, 5))


def bound(x, w, weight, scale):
    """The stated error: s sum |w| + t / 2 sum (|x| + s), and a few roundings in float32."""
    x, w = x.numpy().astype(np.float64), w.numpy().astype(np.float64)
    s = (np.maximum(x.max(1), 0) - np.minimum(x.min(1), 0))[:, None] / 255
    t = scale.numpy().astype(np.float64)
    return s * np.abs(w).sum(1) + t / 2 * (np.abs(x) + s).sum(1, keepdims=True) + 1e-5 * (np.abs(x) @ np.abs(w).T)


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("rows, inputs, outputs", [(1, 7, 5), (17, 300, 65), (64, 1000, 100)])
def test_the_error_stays_under_the_stated_bound(rows, inputs, outputs, per_channel):
    tg.manual_seed(1)
    x, w = tg.randn(rows, inputs) * 2 + 0.5, tg.randn(outputs, inputs) * tg.rand(outputs, 1)
    weight, scale = quantize_weight(w, per_channel)
    y = quantized_linear(x, pack_weight(weight, scale))
    exact = x.numpy().astype(np.float64) @ w.numpy().astype(np.float64).T
    limit = bound(x, w, weight, scale)
    error = np.abs(y.numpy() - exact)
    assert (error <= limit).all()
    assert error.max() > 0.002 * limit.max()  # the bound says something
    if per_channel:
        assert np.linalg.norm(error) / np.linalg.norm(exact) < 0.02  # and typically far less


def test_weights_are_quantised_as_the_reference_says():
    w = tg.randn(9, 30)
    for per_channel in (True, False):
        weight, scale = quantize_weight(w, per_channel)
        expected, expected_scale = reference.quantize_weight(w.numpy(), per_channel)
        assert np.array_equal(weight.numpy(), expected) and np.array_equal(scale.numpy(), expected_scale)
        assert weight.dtype is tg.qint8
    assert (quantize_weight(tg.zeros(3, 4))[0] == 0).all()
    with pytest.raises(ValueError, match="NaN or infinity"):
        quantize_weight(tg.full((2, 2), float("nan")))


def test_the_largest_sums_do_not_overflow():
    for inputs in (65536, 65533):
        x = tg.ones(2, inputs)
        x[1] = -1.0
        w = tg.full((3, inputs), 127, dtype=tg.int8)
        w[1] = -127
        y = quantized_linear(x, pack_weight(w, tg.ones(3)))
        expected = np.array([[1.0, -1, 1], [-1, 1, -1]]) * inputs * 127
        assert np.allclose(y.numpy(), expected, rtol=1e-6, atol=0)


def test_bits_do_not_depend_on_threads_or_on_the_other_rows():
    x, layer = tg.randn(203, 517), Linear.from_float(nn.Linear(517, 301))
    before = tg.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3, 4):
            tg.set_num_threads(threads)
            results.append(layer(x))
    finally:
        tg.set_num_threads(before)
    assert all(tg.equal(results[0], y) for y in results[1:])
    for i in (0, 100, 202):
        assert tg.equal(layer(x[i]), results[0][i])
    assert tg.equal(layer(x[5:14]), results[0][5:14])


# --- the layer --------------------------------------------------------------------------------------------------------


def test_a_layer_from_a_float_one():
    for bias in (True, False):
        layer = nn.Linear(30, 20, bias=bias)
        small = Linear.from_float(layer)
        x = tg.randn(4, 30)
        assert_close(small(x), layer(x), rtol=0, atol=0.03)
        assert_close(small(x), small.dequantize()(x), rtol=0, atol=0.03)
        assert repr(small) == f"Linear(in_features=30, out_features=20, bias={bias}, dtype=tilegrad.qint8)"
        assert small.weight.dtype is tg.int8 and not list(small.parameters())
        assert not small(x.requires_grad_()).requires_grad


def test_state_dict_pickle_and_save(tmp_path):
    small, x = Linear.from_float(nn.Linear(30, 20)), tg.randn(4, 30)
    expected = small(x)
    assert list(small.state_dict()) == ["weight", "scale", "bias"]
    other = Linear(30, 20)
    assert (other(x) == 0).all()  # packs zeros, which loading must replace
    other.load_state_dict(small.state_dict())
    assert tg.equal(other(x), expected)
    assert tg.equal(pickle.loads(pickle.dumps(small))(x), expected)
    file = tmp_path / "small.pt"
    tg.save(small.state_dict(), file)
    third = Linear(30, 20)
    third.load_state_dict(tg.load(file))
    assert tg.equal(third(x), expected)


def test_changed_weights_are_seen():
    small, x = Linear.from_float(nn.Linear(8, 3, bias=False)), tg.randn(2, 8)
    y = small(x)
    small.scale.mul_(2)
    assert_close(small(x), y * 2)
    small.weight.zero_()
    assert (small(x) == 0).all()
    small.weight = tg.ones(3, 8, dtype=tg.int8)
    assert not (small(x) == 0).all()


def test_layers_that_cannot_be():
    with pytest.raises(ValueError, match="must not be negative"):
        Linear(-1, 3)
    with pytest.raises(ValueError, match="at most 65536 in_features"):
        Linear(70000, 3)
    with pytest.raises(ValueError, match="dtype must be qint8"):
        Linear(3, 3, dtype=tg.float16)


# --- quantize_dynamic -------------------------------------------------------------------------------------------------


def test_a_network():
    net = network()
    small = tg.ao.quantization.quantize_dynamic(net, {nn.Linear}, dtype=tg.qint8)
    assert isinstance(net[0], nn.Linear) and net.training and not small.training
    assert [type(m) for m in small.modules()].count(Linear) == 3 and isinstance(small[2][1], nn.GELU)
    x = tg.randn(16, 40)
    assert_close(small(x), net(x), rtol=0, atol=0.02)
    size = [sum(t.numel() * t.element_size() for t in n.state_dict().values()) for n in (net, small)]
    assert size[1] < 0.32 * size[0]
    loaded = quantize_dynamic(network())
    loaded.load_state_dict(small.state_dict())
    assert tg.equal(loaded(x), small(x))
    assert tg.quantization.quantize_dynamic is quantize_dynamic is tg.ao.quantize_dynamic


def kinds(net):
    return [type(net[0]) is Linear, type(net[2][0]) is Linear, type(net[3]) is Linear]


def test_which_layers():
    assert kinds(quantize_dynamic(network())) == [True, True, True]
    assert kinds(quantize_dynamic(network(), {"0"})) == [True, False, False]
    assert kinds(quantize_dynamic(network(), {"2"})) == [False, True, False]
    assert kinds(quantize_dynamic(network(), {nn.Linear: QConfig(), "2.0": None})) == [True, False, True]
    one = quantize_dynamic(network(), {nn.Linear: default_dynamic_qconfig})
    assert one[0].scale.unique().numel() == 1 and quantize_dynamic(network())[0].scale.unique().numel() > 1
    net = network()
    assert quantize_dynamic(net, inplace=True) is net and kinds(net) == [True, True, True]
    assert type(quantize_dynamic(nn.Linear(3, 3))) is Linear


class Special(nn.Linear):
    pass


def test_what_stays_as_it_is():
    net = nn.Sequential(Special(4, 4), nn.Linear(65540, 1), nn.Conv1d(1, 1, 1))
    assert [type(m) for m in quantize_dynamic(net)] == [Special, nn.Linear, nn.Conv1d]
    encoder = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, dropout=0.0).eval()
    small, x = quantize_dynamic(encoder), tg.randn(2, 5, 16)
    assert type(small.linear1) is Linear and type(small.self_attn.out_proj) is nn.Linear
    assert_close(small(x), encoder(x), rtol=0, atol=0.05)


def test_hooks_move_along():
    net, seen = network(), []
    net[0].register_forward_hook(lambda module, args, output: seen.append(type(module)))
    quantize_dynamic(net)(tg.randn(2, 40))
    assert seen == [Linear]


def test_what_quantize_dynamic_refuses():
    with pytest.raises(ValueError, match=r"dtype must be qint8, got tilegrad\.float16"):
        quantize_dynamic(network(), dtype=tg.float16)
    with pytest.raises(ValueError, match="no int8 version of LSTM; there is one of Linear"):
        quantize_dynamic(network(), {nn.LSTM})
    with pytest.raises(ValueError, match="no submodule 'head'"):
        quantize_dynamic(network(), {"head"})
    with pytest.raises(ValueError, match="expected a QConfig or None"):
        quantize_dynamic(network(), {nn.Linear: 8})


def test_it_can_be_saved_whole():
    small = quantize_dynamic(network())
    file = io.BytesIO()
    pickle.dump(small, file)
    file.seek(0)
    x = tg.randn(3, 40)
    assert tg.equal(pickle.load(file)(x), small(x))
