"""Names of PyTorch that set or ask what has one value here."""

import pytest

import tilegrad as tg


def test_matmul_precision_is_kept():
    assert tg.get_float32_matmul_precision() == "highest"
    tg.set_float32_matmul_precision("high")
    assert tg.get_float32_matmul_precision() == "high"
    tg.set_float32_matmul_precision("highest")
    with pytest.raises(RuntimeError, match="low is not one of"):
        tg.set_float32_matmul_precision("low")


def test_compile_gives_the_model_back():
    layer = tg.nn.Linear(2, 2)
    assert tg.compile(layer) is layer

    @tg.compile(mode="max-autotune")
    def double(x):
        return x * 2

    assert double(3) == 6


def test_backends_take_settings():
    tg.backends.cudnn.deterministic, tg.backends.cudnn.benchmark = True, True
    assert not tg.backends.cudnn.is_available() and tg.backends.cpu.is_available()
    tg.backends.cudnn.benchmark = False


def test_old_constructors_and_formats():
    x = tg.zeros(2, 3, dtype=tg.float64)
    assert x.new(4).shape == (4,) and x.new([1, 2]).tolist() == [1.0, 2.0] and x.new(2, 2).dtype is tg.float64
    assert x.get_device() == -1
    assert tg.zeros_like(x, memory_format=tg.preserve_format).shape == (2, 3)
    assert x.contiguous(memory_format=tg.contiguous_format) is x
