"""The Transformer modules against the same written out in plain ops; names, masks, modes and errors as PyTorch's."""

import math

import pytest

import tilegrad as tg
from tilegrad import nn
from tilegrad.nn import functional as F
from tilegrad.testing import assert_close


def shaken(layer):
    """Every parameter drawn anew, so that biases and norms show; float64, dropout off."""
    layer = layer.double().eval()
    with tg.no_grad():
        for p in layer.parameters():
            p.copy_(tg.randn(*p.shape, dtype=tg.float64) * 0.3)
    return layer


def norm(x, layer):
    centred = x - x.mean(-1, keepdim=True)
    y = centred / ((centred * centred).mean(-1, keepdim=True) + layer.eps).sqrt() * layer.weight
    return y if layer.bias is None else y + layer.bias


def attend(layer, x, memory, allowed=None):
    """Multi-head attention head by head, (N, L, E)."""
    e, d = layer.embed_dim, layer.head_dim
    q, k, v = (
        y @ layer.in_proj_weight[i * e : (i + 1) * e].t()
        + (0.0 if layer.in_proj_bias is None else layer.in_proj_bias[i * e : (i + 1) * e])
        for i, y in enumerate((x, memory, memory))
    )
    heads = []
    for i in range(layer.num_heads):
        a, b, c = (y[..., i * d : (i + 1) * d] for y in (q, k, v))
        scores = a @ b.transpose(-1, -2) / math.sqrt(d)
        if allowed is not None:
            scores = tg.where(allowed, scores, -1e300)
        heads.append(tg.softmax(scores, -1) @ c)
    out = tg.cat(heads, -1) @ layer.out_proj.weight.t()
    return out if layer.out_proj.bias is None else out + layer.out_proj.bias


def feed_forward(layer, x):
    h = layer.activation(F.linear(x, layer.linear1.weight, layer.linear1.bias))
    return F.linear(h, layer.linear2.weight, layer.linear2.bias)


def around(layer, x, n, block):
    return x + block(norm(x, n)) if layer.norm_first else norm(x + block(x), n)


def encoder_layer(layer, x, allowed=None):
    x = around(layer, x, layer.norm1, lambda y: attend(layer.self_attn, y, y, allowed))
    return around(layer, x, layer.norm2, lambda y: feed_forward(layer, y))


def decoder_layer(layer, x, memory, allowed=None, memory_allowed=None):
    x = around(layer, x, layer.norm1, lambda y: attend(layer.self_attn, y, y, allowed))
    x = around(layer, x, layer.norm2, lambda y: attend(layer.multihead_attn, y, memory, memory_allowed))
    return around(layer, x, layer.norm3, lambda y: feed_forward(layer, y))


def first(x, batch_first):
    return x if batch_first else x.transpose(0, 1)


SQUARE = nn.Transformer.generate_square_subsequent_mask
OPTIONS = [
    {},
    {"norm_first": True},
    {"activation": "gelu"},
    {"activation": tg.tanh, "layer_norm_eps": 0.1},
    {"bias": False, "norm_first": True},
]


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_encoder_layer(options, batch_first):
    layer = shaken(nn.TransformerEncoderLayer(8, 2, 16, batch_first=batch_first, **options))
    x = tg.randn(3, 5, 8, dtype=tg.float64)
    given, causal = first(x, batch_first), tg.ones(5, 5, dtype=tg.bool).tril()
    padding = tg.arange(5) >= tg.tensor([[5], [3], [1]])
    assert_close(first(layer(given), batch_first), encoder_layer(layer, x), rtol=1e-9, atol=1e-10)
    for hint in (False, True):
        out = layer(given, SQUARE(5, dtype=tg.float64), padding, is_causal=hint)
        expected = encoder_layer(layer, x, causal & ~padding.unsqueeze(1))
        assert_close(first(out, batch_first), expected, rtol=1e-9, atol=1e-10)
        assert_close(layer(given, ~causal, is_causal=hint), layer(given, SQUARE(5, dtype=tg.float64)), rtol=1e-9, atol=1e-10)
    assert_close(layer(x[0]), encoder_layer(layer, x[:1])[0], rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_decoder_layer(options, batch_first):
    layer = shaken(nn.TransformerDecoderLayer(8, 2, 16, batch_first=batch_first, **options))
    x, memory = tg.randn(3, 5, 8, dtype=tg.float64), tg.randn(3, 6, 8, dtype=tg.float64)
    given, source = first(x, batch_first), first(memory, batch_first)
    causal, padding = tg.ones(5, 5, dtype=tg.bool).tril(), tg.arange(6) >= tg.tensor([[6], [3], [1]])
    assert_close(first(layer(given, source), batch_first), decoder_layer(layer, x, memory), rtol=1e-9, atol=1e-10)
    for hint in (False, True):
        out = layer(given, source, SQUARE(5, dtype=tg.float64), memory_key_padding_mask=padding, tgt_is_causal=hint)
        expected = decoder_layer(layer, x, memory, causal, ~padding.unsqueeze(1))
        assert_close(first(out, batch_first), expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("batch_first", [False, True])
def test_transformer_is_its_layers_one_after_the_other(batch_first):
    model = shaken(nn.Transformer(8, 2, 2, 3, 16, batch_first=batch_first))
    x, y = tg.randn(3, 6, 8, dtype=tg.float64), tg.randn(3, 5, 8, dtype=tg.float64)
    causal = tg.ones(5, 5, dtype=tg.bool).tril()
    memory = x
    for layer in model.encoder.layers:
        memory = encoder_layer(layer, memory)
    memory = norm(memory, model.encoder.norm)
    expected = y
    for layer in model.decoder.layers:
        expected = decoder_layer(layer, expected, memory, causal)
    expected = norm(expected, model.decoder.norm)
    given = (first(x, batch_first), first(y, batch_first))
    for mask in (SQUARE(5, dtype=tg.float64), ~causal):
        for hint in (None, True, False):
            out = model(*given, tgt_mask=mask, tgt_is_causal=hint)
            assert_close(first(out, batch_first), expected, rtol=1e-8, atol=1e-9)


def test_gradients_of_a_layer():
    layer = shaken(nn.TransformerDecoderLayer(4, 2, 6, batch_first=True, activation="gelu"))
    x, memory = (tg.randn(2, 3, 4, dtype=tg.float64, requires_grad=True) for _ in range(2))

    def f(x, memory, *parameters):
        return nn.utils.stateless.functional_call(layer, dict(zip(names, parameters, strict=True)), (x, memory))

    names, parameters = zip(*layer.named_parameters(), strict=True)
    assert tg.testing.gradcheck(f, (x, memory, *parameters), fast_mode=True)


def test_positions_are_treated_alike():
    """Without positions, a permutation of the input permutes the output; the feed-forward part acts on each position alone."""
    layer = shaken(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True))
    x, order = tg.randn(1, 6, 8, dtype=tg.float64), [3, 0, 5, 1, 4, 2]
    assert_close(layer(x[:, order]), layer(x)[:, order], rtol=1e-9, atol=1e-10)


def test_the_future_does_not_reach_the_past():
    model = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), 2).eval()
    x = tg.randn(1, 40, 16)
    before = model(x, SQUARE(40))
    x[:, 25:] = 7.0
    assert (model(x, SQUARE(40))[:, :25] == before[:, :25]).all()
    assert (model(x, SQUARE(40))[:, 25:] != before[:, 25:]).any()


def test_copies_start_equal_and_are_apart():
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8), 2)
    a, b = (dict(layer.named_parameters()) for layer in encoder.layers)
    assert all((a[n] == b[n]).all() and a[n] is not b[n] for n in a)


def test_hooks_of_the_first_linear_layer_are_called():
    layer, seen = nn.TransformerEncoderLayer(4, 2, 8).eval(), []
    x = tg.randn(3, 1, 4)
    before = layer(x)
    layer.linear1.register_forward_hook(lambda module, args, output: seen.append(output.shape))
    assert_close(layer(x), before)
    assert seen == [(3, 1, 8)]


def test_dropout_is_on_in_training_only():
    layer, x = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.5), tg.randn(3, 2, 8)
    assert (layer(x) != layer(x)).any()
    layer.eval()
    assert (layer(x) == layer(x)).all()


ATTENTION = {"in_proj_weight": (12, 4), "in_proj_bias": (12,), "out_proj.weight": (4, 4), "out_proj.bias": (4,)}
FEED_FORWARD = {"linear1.weight": (8, 4), "linear1.bias": (8,), "linear2.weight": (4, 8), "linear2.bias": (4,)}


def norms(*numbers):
    return {f"norm{i}.{n}": (4,) for i in numbers for n in ("weight", "bias")}


def under(prefix, names):
    return {f"{prefix}.{n}": s for n, s in names.items()}


ENCODER = {**under("self_attn", ATTENTION), **FEED_FORWARD, **norms(1, 2)}
DECODER = {**under("self_attn", ATTENTION), **under("multihead_attn", ATTENTION), **FEED_FORWARD, **norms(1, 2, 3)}
OUT = {"out_proj.weight": (4, 4), "out_proj.bias": (4,)}
NAMES = [
    (lambda: nn.MultiheadAttention(4, 2), ATTENTION),
    (lambda: nn.MultiheadAttention(4, 2, bias=False), {"in_proj_weight": (12, 4), "out_proj.weight": (4, 4)}),
    (lambda: nn.MultiheadAttention(4, 2, add_bias_kv=True),
     {"in_proj_weight": (12, 4), "in_proj_bias": (12,), "bias_k": (1, 1, 4), "bias_v": (1, 1, 4), **OUT}),
    (lambda: nn.MultiheadAttention(4, 2, kdim=3, vdim=2),
     {"q_proj_weight": (4, 4), "k_proj_weight": (4, 3), "v_proj_weight": (4, 2), "in_proj_bias": (12,), **OUT}),
    (lambda: nn.TransformerEncoderLayer(4, 2, 8), ENCODER),
    (lambda: nn.TransformerDecoderLayer(4, 2, 8), DECODER),
    (lambda: nn.Transformer(4, 2, 1, 1, 8),
     {**under("encoder.layers.0", ENCODER), "encoder.norm.weight": (4,), "encoder.norm.bias": (4,),
      **under("decoder.layers.0", DECODER), "decoder.norm.weight": (4,), "decoder.norm.bias": (4,)}),
]  # fmt: skip


@pytest.mark.parametrize("make, names", NAMES, ids=range(len(NAMES)))
def test_state_dict_has_pytorchs_names_shapes_and_order(make, names):
    assert [(n, tuple(t.shape)) for n, t in make().state_dict().items()] == list(names.items())


def test_the_causal_mask():
    mask = SQUARE(3)
    assert mask.tolist() == [[0, -math.inf, -math.inf], [0, 0, -math.inf], [0, 0, 0]] and mask.dtype == tg.float32


def test_errors():
    model, x = nn.Transformer(4, 2, 1, 1, 8), tg.ones(3, 2, 4)
    with pytest.raises(RuntimeError, match="the batch number of src and tgt must be equal, got 2 and 1"):
        model(x, x[:, :1])
    with pytest.raises(RuntimeError, match=r"the feature number of src and tgt must be equal to d_model=4"):
        model(x, tg.ones(3, 2, 5))
    with pytest.raises(RuntimeError, match="activation should be relu/gelu, not tanh"):
        nn.TransformerEncoderLayer(4, 2, activation="tanh")
