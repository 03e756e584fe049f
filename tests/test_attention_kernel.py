"""The fused attention kernel: random shapes against float64, threads, layouts, gradients of order 2, memory."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tilegrad as tg
from tilegrad.nn import functional as F
from tilegrad.ops.attention import attention, attention_composite
from tilegrad.reference import attention as reference

LENGTHS = st.one_of(st.integers(1, 20), st.sampled_from([47, 48, 49, 63, 64, 65, 127, 130, 191, 192, 193, 260, 400]))
SIZES = st.one_of(st.integers(1, 20), st.sampled_from([31, 32, 33, 48, 64, 65, 80, 128, 130]))


@st.composite
def calls(draw):
    groups, shared, batch = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 2))
    return {
        "shape": (batch, groups * shared, groups, draw(LENGTHS), draw(LENGTHS), draw(SIZES), draw(SIZES)),
        "mask": draw(st.sampled_from([None, "bool", "padding", "float", "heads", "rows"])),
        "is_causal": draw(st.booleans()),
        "heads_inside_rows": draw(st.booleans()),
        "seed": draw(st.integers(0, 1 << 30)),
    }


def make(shape, mask, heads_inside_rows, seed):
    """Query, key, value, mask and output gradient as arrays; rows and whole heads without a key occur."""
    rng = np.random.default_rng(seed)
    batch, heads, groups, length, source, size, value_size = shape

    def tensor(h, n, d):
        if heads_inside_rows:
            return rng.standard_normal((batch, n, h, d)).transpose(0, 2, 1, 3)
        return rng.standard_normal((batch, h, n, d))

    q, k, v = tensor(heads, length, size), tensor(groups, source, size), tensor(groups, source, value_size)
    made = {
        None: lambda: None,
        "bool": lambda: rng.uniform(size=(batch, heads, length, source)) < rng.uniform(),
        "padding": lambda: np.arange(source) < rng.integers(0, source + 1, (batch, 1, 1, 1)),
        "float": lambda: rng.standard_normal((length, source))[None, None],
        "heads": lambda: np.where(
            rng.uniform(size=(1, heads, 1, source)) < 0.3, -np.inf, rng.standard_normal((1, heads, 1, 1))
        ),
        "rows": lambda: rng.uniform(size=(batch, 1, length, 1)) < 0.7,
    }[mask]()
    return q, k, v, made, rng.standard_normal((batch, heads, length, value_size))


def tensors(arrays, dtype, heads_inside_rows=False):
    def convert(a):
        if a is None or a.dtype == bool:
            return None if a is None else tg.tensor(a)
        if heads_inside_rows and not a.flags.c_contiguous:  # keep the layout
            return tg.tensor(np.ascontiguousarray(a.transpose(0, 2, 1, 3)), dtype=dtype).transpose(1, 2)
        return tg.tensor(a, dtype=dtype)

    return [convert(a) for a in arrays]


@given(calls())
def test_output_and_gradients_are_the_references(call):
    arrays = make(call["shape"], call["mask"], call["heads_inside_rows"], call["seed"])
    q, k, v, mask, dy = arrays
    scale = 1 / np.sqrt(q.shape[-1])
    expected = [reference.attention(q, k, v, mask, scale, call["is_causal"])[0]]
    expected += reference.attention_backward(dy, q, k, v, mask, scale, call["is_causal"])
    for dtype, tolerance in ((tg.float64, 1e-12), (tg.float32, 2e-5)):
        q, k, v, mask, dy = tensors(arrays, dtype, call["heads_inside_rows"])
        inputs = [x.detach().requires_grad_() for x in (q, k, v)]
        out = attention(*inputs, mask, scale, call["is_causal"], 0.0, 0, 0)[0]
        results = [out, *tg.autograd.grad(out, inputs, dy)]
        for r, e, like in zip(results, expected, (q, q, k, v), strict=True):
            np.testing.assert_allclose(
                r.numpy(force=True), e, rtol=tolerance, atol=tolerance * max(1.0, np.abs(e).max(initial=0))
            )
            if call["heads_inside_rows"] and min(like.shape) > 1:  # laid out like what it belongs to
                assert r.transpose(1, 2).is_contiguous()


CASES = [
    ((2, 4, 4, 130, 260, 24, 40), None, False),
    ((1, 6, 2, 200, 200, 64, 64), None, True),
    ((1, 1, 1, 300, 700, 16, 16), "bool", True),
    ((1, 2, 1, 1, 500, 64, 64), "float", False),
    ((2, 8, 8, 65, 65, 64, 64), "padding", True),
]


@pytest.mark.xdist_group("threads")
@pytest.mark.parametrize("shape, mask, is_causal", CASES, ids=str)
def test_the_same_bits_for_any_number_of_threads(shape, mask, is_causal):
    arrays = make(shape, mask, True, 1)
    before, seen = tg.get_num_threads(), []
    try:
        for threads in (1, 2, 3, 4):
            tg.set_num_threads(threads)
            *inputs, m, dy = tensors(arrays, tg.float32)
            for x in inputs:
                x.requires_grad_()
            out, lse = attention(*inputs, m, 0.1, is_causal, 0.2, 5, 1000)
            grads = tg.autograd.grad(out, inputs, dy)
            seen.append([x.numpy(force=True).tobytes() for x in (out, lse, *grads)])
    finally:
        tg.set_num_threads(before)
    assert all(s == seen[0] for s in seen)


def test_layouts_give_the_same_bits():
    arrays = make((2, 3, 3, 70, 90, 20, 20), None, True, 2)
    strided = tensors(arrays[:3], tg.float32, heads_inside_rows=True)
    dense = [x.contiguous() for x in strided]
    wide = [tg.stack([x, x], -1).flatten(-2)[..., ::2] for x in dense]
    results = [attention(*x, None, 0.2, True, 0.0, 0, 0)[0].contiguous().numpy().tobytes() for x in (strided, dense, wide)]
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("mask", [None, "bool"])
@pytest.mark.parametrize("p", [0.0, 0.4])
def test_second_order(mask, p):
    arrays = make((1, 4, 2, 5, 7, 3, 4), mask, False, 3)
    *inputs, m, _ = tensors(arrays, tg.float64)

    def f(q, k, v):
        return attention(q, k, v, m, 0.5, True, p, 7, 11)[0]

    inputs = [x.requires_grad_() for x in inputs]
    assert tg.testing.gradcheck(f, inputs) and tg.testing.gradgradcheck(f, inputs)


@pytest.mark.parametrize("shape", [(2, 4, 2, 70, 210, 24, 40), (2, 2, 2, 1, 210, 24, 40)], ids=str)
def test_dropout_is_the_composites_in_value_and_gradient(shape):
    arrays = make(shape, "float", False, 4)
    *inputs, mask, dy = tensors(arrays, tg.float64)
    for x in inputs:
        x.requires_grad_()
    results = []
    for f in (attention, attention_composite):
        out = f(*inputs, mask, 0.2, False, 0.3, -5, 1 << 40)[0]
        results.append([out, *tg.autograd.grad(out, inputs, dy)])
    for a, b in zip(*results, strict=True):
        tg.testing.assert_close(a, b, rtol=1e-11, atol=1e-12)


def test_a_mask_that_learns_gets_its_gradient():
    q, k, v = (tg.randn(2, 2, 5, 4, dtype=tg.float64) for _ in range(3))
    mask = tg.randn(2, 5, 5, dtype=tg.float64, requires_grad=True)
    assert tg.testing.gradcheck(lambda m: F.scaled_dot_product_attention(q, k, v, m), mask)


@pytest.mark.parametrize("backward", [False, True])
def test_nothing_of_the_size_of_the_scores_is_made(backward):
    """8 heads of 1024 x 1024 scores are 32 MB; the tensors are 2 MB each."""
    q, k, v, dy = (tg.randn(1, 8, 1024, 64) for _ in range(4))
    for x in (q, k, v):
        x.requires_grad_(backward)
    tg.reset_peak_memory_stats()
    before = tg.memory_stats()["peak_bytes"]
    out = F.scaled_dot_product_attention(q, k, v, dropout_p=0.1)
    if backward:
        tg.autograd.grad(out, (q, k, v), dy)
    assert tg.memory_stats()["peak_bytes"] - before < (24 << 20 if backward else 8 << 20)


def test_float16_results_are_those_of_float32_rounded_once():
    arrays = make((1, 2, 2, 70, 200, 32, 32), None, False, 6)
    half = [x.requires_grad_() for x in tensors(arrays[:3], tg.float16)]
    full = [x.detach().float() for x in half]
    out = attention(*half, None, 0.2, True, 0.0, 0, 0)[0]
    assert (out == attention(*full, None, 0.2, True, 0.0, 0, 0)[0].to(tg.float16)).all()
    assert all(g.dtype == tg.float16 for g in tg.autograd.grad(out.sum(), half))


# Shapes that meet every edge of the products in pairs: odd sizes and lengths, odd strips, blocks that end in the middle.
PAIRS = [
    ((2, 2, 2, 17, 17, 64, 64), None, False, 0.125),
    ((1, 4, 2, 63, 65, 33, 31), None, True, 0.2),
    ((1, 2, 1, 130, 401, 20, 7), "padding", False, 0.3),
    ((1, 2, 2, 193, 191, 80, 96), "bool", True, 0.1),
    ((1, 2, 2, 70, 90, 64, 64), "float", True, 0.125),
    ((1, 1, 1, 9, 50, 1, 1), "rows", False, 1.0),
    ((1, 2, 2, 40, 70, 16, 16), None, True, -0.25),
    ((1, 2, 2, 40, 70, 16, 16), None, False, 0.0),
    ((1, 1, 1, 7, 5, 1100, 3), None, False, 0.02),
]


def bfloat16_call(shape, mask, is_causal, scale, dropout=0.0, seed=6):
    """(out, lse, dq, dk, dv) in bfloat16, the same in float64 of the same numbers."""
    *arrays, m, dy = make(shape, mask, True, seed)
    rounded = [tg.tensor(a).to(tg.bfloat16) for a in (*arrays, dy)]
    found = []
    for dtype in (tg.bfloat16, tg.float64):
        q, k, v, dout = (x.to(dtype).requires_grad_() for x in rounded)
        wide = None if m is None else tg.tensor(m) if m.dtype == bool else tg.tensor(m, dtype=tg.float32).to(dtype)
        if wide is not None and wide.dtype == tg.bfloat16:
            wide = tg.tensor(m, dtype=tg.float32)
        out, lse = attention(q, k, v, wide, scale, is_causal, dropout, 3, 7)
        found.append([x.detach().double().numpy() for x in (out, lse, *tg.autograd.grad(out, (q, k, v), dout.detach()))])
    return found


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("call", PAIRS, ids=str)
def test_bfloat16_is_float64_within_its_rounding(call, dropout):
    for name, r, e in zip(("out", "lse", "dq", "dk", "dv"), *bfloat16_call(*call, dropout), strict=True):
        seen = np.isfinite(e)
        np.testing.assert_array_equal(np.isfinite(r), seen)
        error = np.abs(r[seen] - e[seen]).max(initial=0)
        # a sum of products of numbers with 8 bits: the largest entry's last bit or two; lse is float32 throughout
        assert error <= (2e-5 if name == "lse" else 2.0**-6) * max(1.0, np.abs(e[seen]).max(initial=0)), (name, error)


@pytest.mark.xdist_group("threads")
def test_bfloat16_gives_the_same_bits_for_any_number_of_threads():
    before, seen = tg.get_num_threads(), []
    try:
        for threads in (1, 2, 3, 4):
            tg.set_num_threads(threads)
            seen.append([x.tobytes() for call in PAIRS for x in bfloat16_call(*call, 0.2)[0]])
    finally:
        tg.set_num_threads(before)
    assert all(s == seen[0] for s in seen)


def test_later_tokens_do_not_change_earlier_bits_of_bfloat16():
    q, k, v = (tg.randn(1, 2, 150, 40).to(tg.bfloat16) for _ in range(3))
    before = attention(q, k, v, None, 0.2, True, 0.0, 0, 0)[0]
    for x in (q, k, v):
        x[:, :, 101:] = 3.0
    after = attention(q, k, v, None, 0.2, True, 0.0, 0, 0)[0]
    assert (before[:, :, :101] == after[:, :, :101]).all() and not (before[:, :, 101:] == after[:, :, 101:]).all()


ERRORS = [
    (lambda x: attention(x[0], x, x, None, 1.0, False, 0.0, 0, 0), r"expected query \(B, H, L, D\)"),
    (lambda x: attention(x, x[:1], x[:1], None, 1.0, False, 0.0, 0, 0), "do not fit"),
    (lambda x: attention(x, x[:, :2], x[:, :2], None, 1.0, False, 0.0, 0, 0), "3 heads of query must be a multiple of the 2"),
    (lambda x: attention(x, x.double(), x, None, 1.0, False, 0.0, 0, 0), "of one dtype, got float32, float64"),
    (lambda x: attention(x, x, x, tg.ones(4, 4), 1.0, False, 0.0, 0, 0), "expected a 4-d mask"),
    (lambda x: attention(x, x, x, tg.ones(1, 1, 4, 3), 1.0, False, 0.0, 0, 0), r"shape \(1, 1, 4, 3\) does not broadcast"),
    (lambda x: attention(x, x, x, tg.ones(1, 1, 4, 4).double(), 1.0, False, 0.0, 0, 0), "expected a mask of bool or float32"),
    (lambda x: attention(x, x, x, None, 1.0, False, 1.5, 0, 0), r"dropout_p must lie in \[0, 1\], got 1.5"),
    (lambda x: tg._core.attention_backward(x[:1], x, x, x, None, x, x[..., 0], 1.0, False, 0.0, 0, 0), "expected dy and out"),
    (lambda x: tg._core.attention_backward(x, x, x, x, None, x, x, 1.0, False, 0.0, 0, 0), "expected lse of dtype float32"),
]  # fmt: skip


@pytest.mark.parametrize("call, text", ERRORS, ids=range(len(ERRORS)))
def test_errors(call, text):
    with pytest.raises((RuntimeError, ValueError), match=text):
        call(tg.ones(2, 3, 4, 5))
