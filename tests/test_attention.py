"""Attention: masks, dropout, memory, and the same bits whatever the blocks and threads."""

import numpy as np
import pytest

import tilegrad as tg
from tilegrad import nn
from tilegrad.nn import functional as F
from tilegrad.testing import assert_close

RNG = np.random.default_rng(0)


def tensor(*shape, dtype=tg.float64, requires_grad=False):
    return tg.tensor(RNG.standard_normal(shape), dtype=dtype, requires_grad=requires_grad)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


# --- the function ------------------------------------------------------------------------------------------------------


def test_a_case_by_hand():
    """Two keys with scores 0 and log 3: weights 1/4 and 3/4."""
    q, k = tg.tensor([[1.0]]), tg.tensor([[0.0], [float(np.log(3.0))]])
    v = tg.tensor([[4.0, 0.0], [0.0, 8.0]])
    assert_close(F.scaled_dot_product_attention(q, k, v), tg.tensor([[1.0, 6.0]]))


def test_a_row_without_a_key_gives_zeros_and_zero_gradients():
    q, k, v = (tensor(1, 2, 3, 4, requires_grad=True) for _ in range(3))
    mask = tg.tensor([[True, False, True], [False, False, False], [True, True, True]])
    for m in (mask, tg.where(mask, 0.0, float("-inf"))):
        out = F.scaled_dot_product_attention(q, k, v, m)
        assert out[:, :, 1].tolist() == tg.zeros(1, 2, 4).tolist()
        dq, dk, dv = tg.autograd.grad(out.sum(), (q, k, v))
        assert dq[:, :, 1].tolist() == tg.zeros(1, 2, 4).tolist()
        assert all(g.isfinite().all() for g in (dq, dk, dv))


def test_causality_is_counted_from_the_first_row_and_key():
    v = tg.eye(4)
    for rows, cols in ((3, 4), (4, 4), (6, 4)):
        out = F.scaled_dot_product_attention(
            tensor(rows, 2, dtype=tg.float32), tensor(cols, 2, dtype=tg.float32), v[:cols], is_causal=True
        )
        np.testing.assert_array_equal(out.numpy(force=True) > 0, np.tri(rows, cols, dtype=bool))


def test_nan_stays_in_its_row():
    mask = tg.zeros(3, 3)
    mask[0, 0] = float("nan")
    out = F.scaled_dot_product_attention(*(tensor(1, 1, 3, 4, dtype=tg.float32) for _ in range(3)), attn_mask=mask)
    assert out[0, 0, 0].isnan().all() and out[0, 0, 1:].isfinite().all()


@pytest.mark.parametrize("length", [5, 130, 300])
def test_a_change_of_the_future_leaves_the_past_bit_equal(length):
    q, k, v = (tensor(1, 2, length, 16, dtype=tg.float32) for _ in range(3))
    before = F.scaled_dot_product_attention(q, k, v, is_causal=True).numpy(force=True).copy()
    at = length // 2
    k[:, :, at:] = 100.0
    v[:, :, at:] = 1e30
    q[:, :, at:] = -1.0
    after = F.scaled_dot_product_attention(q, k, v, is_causal=True).numpy(force=True)
    np.testing.assert_array_equal(before[:, :, :at], after[:, :, :at])


# --- dropout -----------------------------------------------------------------------------------------------------------


def weights_seen(length, source, p, **kwargs):
    """The weights after dropout, read off with value = identity; without dropout they are all 1 / source."""
    q, k = tg.zeros(2, 3, length, 8), tensor(2, 3, source, 8, dtype=tg.float32)
    return F.scaled_dot_product_attention(q, k, tg.eye(source).expand(2, 3, source, source), dropout_p=p, **kwargs).numpy(
        force=True
    )


def test_dropout_zeroes_with_its_probability_and_keeps_the_expectation():
    tg.manual_seed(1)
    w = weights_seen(70, 90, 0.25)
    np.testing.assert_allclose(np.unique(np.round(w * 90, 4)), [0.0, 1.3333], atol=1e-3)
    assert abs((w == 0).mean() - 0.25) < 0.01
    again = weights_seen(70, 90, 0.25)
    assert (w != again).any()
    tg.manual_seed(1)
    np.testing.assert_array_equal(weights_seen(70, 90, 0.25), w)
    assert (weights_seen(5, 6, 1.0) == 0).all()


def test_dropout_takes_its_bits_from_the_documented_place_of_the_stream():
    tg.manual_seed(3)
    w = weights_seen(6, 7, 0.5)
    tg.manual_seed(3)
    kept = tg.rand(2, 3, 6, 8)[..., :7].numpy(force=True) >= 0.5
    np.testing.assert_array_equal(w != 0, kept)


# --- other ways to weigh -----------------------------------------------------------------------------------------------


def test_attention_with_softmax_is_the_fused_one():
    q, k, v, mask = tensor(2, 5, 4), tensor(2, 6, 4), tensor(2, 6, 3), tg.tensor(RNG.uniform(size=(5, 6)) < 0.5)
    for m in (None, mask, tensor(5, 6)):
        out, weights = F.attention(q, k, v, m, is_causal=m is None)
        assert_close(out, F.scaled_dot_product_attention(q, k, v, m, is_causal=m is None))
        assert_close(weights @ v, out)


def test_attention_with_relu_and_with_a_function():
    q, k, v = tensor(5, 4), tensor(6, 4), tensor(6, 3)
    scores = q.numpy(force=True) @ k.numpy(force=True).T / 2
    np.testing.assert_allclose(
        F.attention(q, k, v, activation="relu")[1].numpy(force=True), np.maximum(scores, 0) / 6, atol=1e-12
    )
    w = F.attention(q, k, v, activation=tg.exp, is_causal=True)[1]
    np.testing.assert_allclose(w.numpy(force=True), np.exp(scores) * np.tri(5, 6), rtol=1e-12)
    with pytest.raises(ValueError, match="activation must be 'softmax', 'relu' or a function, got 'tanh'"):
        F.attention(q, k, v, activation="tanh")


def test_additive_attention_is_its_formula():
    layer = nn.AdditiveAttention(3, 4, 5).double()
    q, k, v = tensor(2, 3, 3), tensor(2, 6, 4), tensor(2, 6, 7)
    out, weights = layer(q, k, v)
    wq, wk, w = layer.W_q.weight.numpy(force=True), layer.W_k.weight.numpy(force=True), layer.w_v.weight.numpy(force=True)[0]
    expected = softmax(np.tanh((q.numpy(force=True) @ wq.T)[:, :, None] + (k.numpy(force=True) @ wk.T)[:, None]) @ w)
    np.testing.assert_allclose(weights.numpy(force=True), expected, rtol=1e-10)
    np.testing.assert_allclose(out.numpy(force=True), expected @ v.numpy(force=True), rtol=1e-10)
    mask = tg.tensor([True, False, True, True, True, False])
    assert (layer(q, k, v, mask)[1].numpy(force=True)[..., [1, 5]] == 0).all()
    assert tg.testing.gradcheck(lambda q, k, v: layer(q, k, v)[0], (q.requires_grad_(), k.requires_grad_(), v.requires_grad_()))


# --- many heads --------------------------------------------------------------------------------------------------------


def by_hand(layer, q, k, v, blocked=None):
    """Multi-head attention in NumPy, batch first: (output, weights per head)."""
    e, h = layer.embed_dim, layer.num_heads
    d = e // h
    ws = [
        w.numpy(force=True)
        for w in (
            layer.in_proj_weight.chunk(3)
            if layer.in_proj_weight is not None
            else (layer.q_proj_weight, layer.k_proj_weight, layer.v_proj_weight)
        )
    ]
    bs = layer.in_proj_bias.numpy(force=True).reshape(3, e) if layer.in_proj_bias is not None else np.zeros((3, e))
    q, k, v = (x.numpy(force=True) @ w.T + b for x, w, b in zip((q, k, v), ws, bs, strict=True))
    heads, weights = [], []
    for i in range(h):
        part = slice(i * d, (i + 1) * d)
        scores = q[..., part] @ np.swapaxes(k[..., part], -1, -2) / np.sqrt(d)
        if blocked is not None:
            scores = np.where(blocked, -np.inf, scores)
        weights.append(softmax(scores))
        heads.append(weights[-1] @ v[..., part])
    out = np.concatenate(heads, -1) @ layer.out_proj.weight.numpy(force=True).T
    if layer.out_proj.bias is not None:
        out = out + layer.out_proj.bias.numpy(force=True)
    return out, np.stack(weights, 1)


def shaken(layer):
    """Every parameter drawn anew, biases included, in float64."""
    layer = layer.double()
    with tg.no_grad():
        for p in layer.parameters():
            p.copy_(tensor(*p.shape) * 0.3)
    return layer


OPTIONS = [{}, {"bias": False}, {"kdim": 5, "vdim": 7}, {"kdim": 5, "vdim": 7, "bias": False}]


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_multihead_attention_is_the_numpy_one(options, batch_first):
    layer = shaken(nn.MultiheadAttention(6, 3, batch_first=batch_first, **options))
    q, k, v = tensor(2, 4, 6), tensor(2, 5, options.get("kdim", 6)), tensor(2, 5, options.get("vdim", 6))
    blocked = RNG.uniform(size=(4, 5)) < 0.4
    blocked[:, 0] = False
    expected, weights = by_hand(layer, q, k, v, blocked)
    given = [x if batch_first else x.transpose(0, 1) for x in (q, k, v)]
    for need_weights in (False, True):
        out, w = layer(*given, attn_mask=tg.tensor(blocked), need_weights=need_weights, average_attn_weights=False)
        out = out if batch_first else out.transpose(0, 1)
        np.testing.assert_allclose(out.numpy(force=True), expected, rtol=1e-9, atol=1e-12)
        if need_weights:
            np.testing.assert_allclose(w.numpy(force=True), weights, rtol=1e-9, atol=1e-12)
    average = layer(*given, attn_mask=tg.tensor(blocked))[1]
    np.testing.assert_allclose(average.numpy(force=True), weights.mean(1), rtol=1e-9, atol=1e-12)


def test_self_attention_and_shared_key_and_value_are_the_general_case():
    layer = shaken(nn.MultiheadAttention(6, 2, batch_first=True))
    x, y = tensor(2, 4, 6), tensor(2, 5, 6)
    assert_close(layer(x, x, x)[0], layer(x, x.clone(), x.clone())[0])
    assert_close(layer(x, y, y)[0], layer(x, y, y.clone())[0])
    assert_close(layer(x, y, y, need_weights=False)[0], layer(x, y, y.clone())[0])
    assert_close(layer(x[0], y[0], y[0])[0], layer(x[:1], y[:1], y[:1])[0][0])
    assert tg.testing.gradcheck(lambda x: layer(x, x, x, need_weights=False)[0], x.requires_grad_(), fast_mode=True)
    assert tg.testing.gradgradcheck(lambda x: layer(x, x, x, need_weights=False)[0], x, fast_mode=True)


def test_one_head_is_a_single_attention():
    layer = shaken(nn.MultiheadAttention(6, 1, batch_first=True))
    x = tensor(2, 4, 6)
    q, k, v = (x @ w.T + b for w, b in zip(layer.in_proj_weight.chunk(3), layer.in_proj_bias.chunk(3), strict=True))
    expected = layer.out_proj(F.scaled_dot_product_attention(q, k, v))
    assert_close(layer(x, x, x)[0], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("need_weights", [False, True])
def test_padding_takes_keys_away(need_weights):
    layer = shaken(nn.MultiheadAttention(6, 2, batch_first=True))
    x = tensor(3, 5, 6)
    padding = np.zeros((3, 5), bool)
    padding[1, 3:] = padding[2, 1:] = True
    floating = np.where(padding, -np.inf, 0.0)
    causal = nn.Transformer.generate_square_subsequent_mask(5, dtype=tg.float64)
    for mask in (None, causal):
        whole = layer(x, x, x, tg.tensor(padding), need_weights, mask, is_causal=mask is not None)[0]
        for i, length in enumerate((5, 3, 1)):
            short = x[i : i + 1, :length]
            own = None if mask is None else mask[:length, :length]
            assert_close(whole[i : i + 1, :length], layer(short, short, short, attn_mask=own)[0], rtol=1e-9, atol=1e-12)
        assert_close(layer(x, x, x, tg.tensor(floating), need_weights, mask)[0], whole, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("need_weights", [False, True])
def test_added_keys_are_seen_by_everybody(need_weights):
    layer = shaken(nn.MultiheadAttention(4, 2, add_bias_kv=True, add_zero_attn=True, batch_first=True))
    x = tensor(2, 3, 4)
    causal = nn.Transformer.generate_square_subsequent_mask(3, dtype=tg.float64)
    out, weights = layer(x, x, x, attn_mask=causal, is_causal=True, average_attn_weights=False)
    assert weights.shape == (2, 2, 3, 5) and (weights[..., 3:] > 0).all()
    q, k, v = (x @ w.T + b for w, b in zip(layer.in_proj_weight.chunk(3), layer.in_proj_bias.chunk(3), strict=True))
    k, v = (
        tg.cat([y, b.expand(2, 1, 4), tg.zeros(2, 1, 4, dtype=tg.float64)], 1)
        for y, b in ((k, layer.bias_k), (v, layer.bias_v))
    )
    q, k, v = (y.unflatten(-1, (2, 2)).transpose(1, 2) for y in (q, k, v))
    mask = tg.tensor(np.concatenate([np.tri(3, dtype=bool), np.ones((3, 2), bool)], 1))
    expected = layer.out_proj(F.scaled_dot_product_attention(q, k, v, mask).transpose(1, 2).flatten(2))
    assert_close(out, expected, rtol=1e-10, atol=1e-12)
    assert_close(
        layer(x, x, x, need_weights=need_weights, attn_mask=causal, is_causal=True)[0], expected, rtol=1e-10, atol=1e-12
    )


def test_dropout_of_weights_is_off_in_eval():
    layer = nn.MultiheadAttention(4, 2, dropout=0.5)
    x = tensor(5, 2, 4, dtype=tg.float32)
    assert (layer(x, x, x)[0] != layer(x, x, x)[0]).any() and (layer(x, x, x, need_weights=False)[0] != layer(x, x, x)[0]).any()
    layer.eval()
    assert_close(layer(x, x, x)[0], layer(x, x, x, need_weights=False)[0])


MHA_ERRORS = [
    (lambda: nn.MultiheadAttention(5, 2), AssertionError, "embed_dim must be divisible by num_heads"),
    (lambda: nn.MultiheadAttention(0, 2), ValueError, "must be greater than 0, got embed_dim=0"),
    (lambda: nn.MultiheadAttention(4, 2, dropout=2.0), ValueError, "dropout probability"),
    (lambda: mha(tg.ones(1, 1, 3, 4)), RuntimeError, "query should be unbatched 2D or batched 3D, got a 4-d tensor"),
    (lambda: mha(tg.ones(3, 1, 6)), AssertionError, "was expecting embedding dimension of 4, but got 6"),
    (lambda: mha(X, tg.ones(3, 4)), RuntimeError, "expected key and value to be 3-d, got 2-d and 2-d"),
    (lambda: mha(X, tg.ones(5, 1, 4)), RuntimeError, "need the same batch size, got 2 and 1"),
    (lambda: mha(X, X, tg.ones(4, 2, 4)), RuntimeError, "do not match value's"),
    (lambda: mha(X, is_causal=True), RuntimeError, "Need attn_mask if specifying the is_causal hint"),
    (lambda: mha(X, attn_mask=tg.ones(2, 2)), RuntimeError, r"2D attn_mask is \(2, 2\), but should be \(3, 3\)"),
    (lambda: mha(X, attn_mask=tg.ones(3, 3, 3)), RuntimeError, r"but should be \(4, 3, 3\)"),
    (lambda: mha(X, attn_mask=tg.ones(3)), RuntimeError, "attn_mask's dimension 1 is not supported"),
    (lambda: mha(X, attn_mask=tg.ones(3, 3, dtype=tg.int64)), AssertionError, "only bool and floating types of attn_mask"),
    (lambda: mha(X, key_padding_mask=tg.ones(3, 2)), RuntimeError, r"key_padding_mask is \(3, 2\), but should be \(2, 3\)"),
    (lambda: mha(X, key_padding_mask=tg.ones(3)), RuntimeError, "expected a 2-d key_padding_mask, got 1-d"),
]  # fmt: skip
X = tg.ones(3, 2, 4)


def mha(query, key=None, value=None, **kwargs):
    key = query if key is None else key
    return nn.MultiheadAttention(4, 2)(query, key, key if value is None else value, **kwargs)


@pytest.mark.parametrize("call, exception, text", MHA_ERRORS, ids=range(len(MHA_ERRORS)))
def test_multihead_errors(call, exception, text):
    with pytest.raises(exception, match=text):
        call()
