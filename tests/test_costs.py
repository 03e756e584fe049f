"""What ops need at least: FLOPs and bytes from shapes, the machine's limits, and the profiler's columns made of them."""

import pytest

import tilegrad as tg
from tilegrad import _limits, nn
from tilegrad._costs import FLOPS, Spec, cost
from tilegrad.nn import functional as F


def profiled(function, **options):
    """(op, phase) -> row."""
    with tg.profile(**options) as prof:
        function()
    return {(row.name, row.phase): row for row in prof.rows(limits=True)}


def leaf(*shape):
    return tg.randn(*shape, requires_grad=True)


def test_products():
    rows = profiled(lambda: (leaf(5, 3, 7) @ leaf(7, 4)).sum().backward())
    assert rows["matmul", "forward"].flops == 2 * 5 * 3 * 7 * 4
    assert rows["matmul", "backward"].flops == 2 * rows["matmul", "forward"].flops
    assert rows["matmul", "forward"].bytes == 4 * (5 * 3 * 7 + 7 * 4 + 5 * 3 * 4)
    rows = profiled(lambda: F.linear(tg.randn(6, 10), tg.randn(3, 10), tg.randn(3)))
    assert sum(row.flops for row in rows.values()) == 2 * 6 * 10 * 3


@pytest.mark.parametrize("groups", [1, 2])
def test_convolutions_count_every_pass_alike(groups):
    x, w = leaf(2, 4, 9, 8), leaf(6, 4 // groups, 3, 3)
    rows = profiled(lambda: F.conv2d(x, w, stride=2, padding=1, groups=groups).sum().backward())
    flops = 2 * (2 * 6 * 5 * 4) * (4 // groups) * 9
    for key in (("conv", "forward"), ("conv_backward_input", "backward"), ("conv_backward_weight", "backward")):
        assert rows[key].flops == flops and rows[key].kernel, key
    assert profiled(lambda: F.conv1d(tg.randn(1, 2, 8), tg.randn(3, 2, 3)))["conv", "forward"].flops == 2 * 18 * 6


def test_the_algorithm_of_a_convolution_is_named():
    x, w = leaf(1, 64, 32, 32), leaf(64, 64, 3, 3)
    with tg.profile() as prof:
        F.conv2d(x, w, padding=1)
    assert prof.rows()[0].kernel == tg._core.conv2d_algorithm(x.shape, w.shape, padding=1)
    lines = prof.table().splitlines()
    assert lines[2].split()[0] == "conv" and lines[2].endswith(prof.rows()[0].kernel)


def test_attention():
    q, k, v = leaf(2, 4, 10, 8), leaf(2, 2, 10, 8), leaf(2, 2, 10, 6)
    rows = profiled(lambda: F.scaled_dot_product_attention(q, k, v, enable_gqa=True).sum().backward())
    pairs = 2 * 4 * 10 * 10
    assert rows["attention", "forward"].flops == 2 * pairs * (8 + 6)
    assert rows["attention_backward", "backward"].flops == 2 * pairs * (3 * 8 + 2 * 6)
    causal = profiled(lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True))
    assert causal["attention", "forward"].flops == 2 * (2 * 4 * 55) * (8 + 6)


@pytest.mark.parametrize(("kind", "gates"), [("LSTM", 4), ("GRU", 3), ("RNN", 1)])
def test_recurrent_layers(kind, gates):
    layer, x = getattr(nn, kind)(5, 7), leaf(11, 3, 5)
    rows = profiled(lambda: layer(x)[0].sum().backward())
    name, flops = kind.lower(), 2 * 11 * 3 * gates * 7 * (5 + 7)
    assert rows[name, "forward"].flops == flops and rows[f"{name}_backward", "backward"].flops == 2 * flops


def test_views_and_ops_without_a_formula():
    rows = profiled(lambda: tg.randn(4, 6).transpose(0, 1).exp())
    assert rows["transpose", "forward"].bytes == 0 and rows["transpose", "forward"].bound == ""
    assert rows["exp", "forward"].flops == 0 and rows["exp", "forward"].bytes == 2 * 4 * 24
    x, out = Spec((5, 8), tg.float32), Spec((5, 3), tg.float32)
    assert cost("quantized_linear", (x, Spec((3, 8), tg.int8)), (out,)).flops == 2 * 5 * 3 * 8
    assert cost("quantized_linear", (x,), (out,)).dtype == "int8" and cost("linear", (x,), (out,)).dtype == "float32"
    odd = cost("matmul", (1.0,), (Spec((2,), tg.float32),))  # not what the formula expects
    assert odd.flops is None and odd.bytes == 8


def test_formulas_are_about_ops_that_exist():
    from tilegrad.autograd import op as module

    assert all(hasattr(tg._core, name) for name in FLOPS), module


def test_recording_keeps_no_tensor_alive():
    before = tg.memory_stats()["live_bytes"]
    with tg.profile() as prof:
        for _ in range(3):
            tg.cat([tg.ones(1000, 1000), tg.ones(1, 1000)]).exp()
    assert tg.memory_stats()["live_bytes"] == before
    assert next(e.inputs for e in prof.events if e.name == "cat")[0][1] == Spec((1, 1000), tg.float32)


def test_limits_of_the_machine():
    levels = _limits.levels()
    assert levels[-1].name == "memory" and [level.bytes for level in levels] == sorted(level.bytes for level in levels)
    assert _limits.level_of(1000, 1).name == "L1" and _limits.level_of(1e12, 1).name == "memory"
    assert _limits.arithmetic(1, "float64") > 0
    assert _limits.arithmetic(1, "int64") == _limits.arithmetic(1, "float32")
    rates = _limits.bandwidth(1, "L2")
    assert rates["read"] > 0 and rates["copy"] > 0 and _limits.bandwidth(1, "L2") is rates  # measured once
    with pytest.raises(ValueError, match="expected one of L1"):
        _limits.bandwidth(1, "L9")
    few, many = _limits.limit(10, 4e6, 1), _limits.limit(1e12, 4e6, 1)
    assert few.bound in ("L3", "L2") and few.seconds == pytest.approx(4e6 / max(_limits.bandwidth(1, few.bound).values()))
    assert many.bound == "compute" and many.seconds == pytest.approx(1e12 / _limits.arithmetic(1, "float32"))
    assert _limits.limit(0, 1000, 1, working_set=1e12).bound == "memory"
    assert _limits.limit(0, 0, 1).seconds == 0
    facts = _limits.measured(1)
    assert facts["gflops"]["float32"] > 0 and facts["levels"][-1]["bytes"] is None


def test_the_columns_of_a_profile():
    x = leaf(64, 64)
    with tg.profile() as prof:
        for _ in range(5):
            x @ x
    row = prof.rows(limits=True)[0]
    assert row.limit > 0 and row.bound
    text = prof.table(sort_by="flops")
    assert "2.621 M" in text and "%  " in text and f"instruction set {tg._core.isa_name()}" in text
    assert "of limit" not in prof.table(limits=False)
