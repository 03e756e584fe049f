"""Autocast and GradScaler."""

import threading

import pytest

import tilegrad as tg
import tilegrad.nn.functional as F
from tilegrad import nn

CPU = {"device_type": "cpu", "dtype": tg.bfloat16}
x, image = tg.randn(4, 8), tg.randn(2, 3, 6, 6)
heads = tg.randn(2, 2, 4, 8)

NARROW = {
    "operator": lambda: x @ x.T,
    "matmul": lambda: tg.matmul(x, x.T),
    "mm": lambda: tg.mm(x, x.T),
    "bmm": lambda: tg.bmm(x[None], x.T[None]),
    "linear": lambda: nn.Linear(8, 3)(x),
    "conv2d": lambda: nn.Conv2d(3, 4, 3)(image),
    "conv_transpose2d": lambda: nn.ConvTranspose2d(3, 4, 3)(image),
    "attention": lambda: F.scaled_dot_product_attention(heads, heads.bfloat16(), heads, is_causal=True),
    "float16": lambda: tg.matmul(x.half(), x.T),
}
WIDE = {
    "cross_entropy": lambda: F.cross_entropy(x.bfloat16(), tg.tensor([0, 1, 2, 3])),
    "mse_loss": lambda: F.mse_loss(x.bfloat16(), x),
    "bce": lambda: F.binary_cross_entropy_with_logits(x.bfloat16(), tg.ones(4, 8)),
    "elementwise": lambda: x + 1,
    "softmax": lambda: F.softmax(x, -1),
}


@pytest.mark.parametrize("name", NARROW)
def test_what_is_narrow(name):
    with tg.autocast(**CPU):
        y = NARROW[name]()
    assert y.dtype is tg.bfloat16


@pytest.mark.parametrize("name", WIDE)
def test_what_is_not(name):
    with tg.autocast(**CPU):
        assert WIDE[name]().dtype is tg.float32


def test_float64_and_integers_stay():
    with tg.autocast(**CPU):
        assert (x.double() @ x.double().T).dtype is tg.float64
        assert (tg.ones(2, 2, dtype=tg.int64) @ tg.ones(2, 2, dtype=tg.int64)).dtype is tg.int64


def test_values_and_gradients():
    """The result is that of converted arguments; gradients reach float32 parameters in float32."""
    layer = nn.Linear(8, 3)
    with tg.autocast(**CPU):
        y = layer(x)
        loss = F.mse_loss(y, tg.zeros(4, 3))
    assert tg.equal(y, F.linear(x.bfloat16(), layer.weight.bfloat16(), layer.bias.bfloat16()))
    loss.backward()
    wide = nn.Linear(8, 3)
    wide.load_state_dict(layer.state_dict())
    F.mse_loss(wide(x), tg.zeros(4, 3)).backward()
    for p, q in zip(layer.parameters(), wide.parameters(), strict=True):
        assert p.grad.dtype is tg.float32 and tg.allclose(p.grad, q.grad, rtol=0.05, atol=0.01)


def test_regions_nest_decorate_and_end():
    assert not tg.is_autocast_enabled() and tg.get_autocast_dtype("cpu") is tg.bfloat16
    with tg.autocast("cpu", dtype=tg.float16):
        assert tg.is_autocast_enabled() and (x @ x.T).dtype is tg.float16 and tg.get_autocast_dtype() is tg.float16
        with tg.autocast("cpu", enabled=False):
            assert (x @ x.T).dtype is tg.float32
        assert (x @ x.T).dtype is tg.float16

    @tg.autocast("cpu")
    def f():
        return x @ x.T

    assert f().dtype is tg.bfloat16 and (x @ x.T).dtype is tg.float32
    with pytest.raises(RuntimeError, match="matmul"), tg.autocast("cpu"):
        x @ x
    assert (x @ x.T).dtype is tg.float32 and not tg.is_autocast_enabled()


def test_other_threads_are_not_touched():
    seen = []
    with tg.autocast("cpu"):
        thread = threading.Thread(target=lambda: seen.append((x @ x.T).dtype))
        thread.start()
        thread.join()
    assert seen == [tg.float32]


def test_devices_and_dtypes_that_switch_it_off():
    with pytest.warns(UserWarning, match="CUDA is not available"), tg.amp.autocast("cuda"):
        assert (x @ x.T).dtype is tg.float32
    with pytest.warns(UserWarning, match="CUDA is not available"), tg.cuda.amp.autocast():
        assert (x @ x.T).dtype is tg.float32
    with pytest.warns(UserWarning, match="float64 is not supported"), tg.autocast("cpu", dtype=tg.float64):
        assert (x @ x.T).dtype is tg.float32
    with pytest.raises(ValueError, match="device_type"):
        tg.autocast(tg.float16)


def test_a_disabled_scaler_passes_through():
    with pytest.warns(UserWarning, match="CUDA is not available"):
        scaler = tg.cuda.amp.GradScaler()
    p = nn.Parameter(tg.ones(1))
    optimizer = tg.optim.SGD([p], lr=0.5)
    loss = (p * 2).sum()
    assert scaler.scale(loss) is loss and scaler.get_scale() == 1.0 and scaler.state_dict() == {}
    loss.backward()
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    assert p.item() == 0.0


def test_a_scaler_skips_overflows_and_adapts():
    scaler = tg.amp.GradScaler("cpu", init_scale=4.0, growth_interval=2)
    p = nn.Parameter(tg.ones(1))
    optimizer = tg.optim.SGD([p], lr=0.5)

    def step(factor):
        optimizer.zero_grad()
        scaler.scale((p * factor).sum()).backward()
        scaler.step(optimizer)
        scaler.update()

    step(float("inf"))
    assert p.item() == 1.0 and scaler.get_scale() == 2.0
    step(1.0)
    assert p.item() == 0.5 and p.grad.item() == 1.0 and scaler.get_scale() == 2.0
    step(1.0)
    assert p.item() == 0.0 and scaler.get_scale() == 4.0
    other = tg.amp.GradScaler("cpu")
    other.load_state_dict(scaler.state_dict())
    assert other.state_dict() == scaler.state_dict()
    scaler.scale((p * 1.0).sum()).backward()
    scaler.unscale_(optimizer)
    with pytest.raises(RuntimeError, match="already been called"):
        scaler.unscale_(optimizer)
