"""Scaled dot product attention."""

import numpy as np

import tilegrad as tg
from tilegrad.reference import attention
from tilegrad.testing.layouts import expanded, stepped, uniform
from tilegrad.testing.spec import FLOATS, OpError, OpSpec, functional, sample

TOLERANCES = {"float32": (1e-5, 3e-6), "float64": (1e-12, 1e-13), "bfloat16": (2.0**-6, 2e-2), "float16": (2.0**-8, 2e-3)}


def projected(rng, length, size, heads=2, batch=2):
    """(B, H, length, size) as it comes out of a projection: heads lie side by side in every row."""
    return np.ascontiguousarray(uniform(rng, (batch, length, heads, size))).transpose(0, 2, 1, 3)


def masked_rows(rng, *shape):
    """A boolean mask some of whose rows are False throughout."""
    mask = rng.uniform(size=shape) < 0.6
    mask[..., 1::3, :] = False
    return mask


def samples(rng):
    def qkv(length, source, size, value_size=None, lead=(2, 2)):
        value_size = size if value_size is None else value_size
        return (uniform(rng, (*lead, n, d)) for n, d in ((length, size), (source, size), (source, value_size)))

    blocked = np.where(masked_rows(rng, 5, 6), uniform(rng, (5, 6)), -np.inf)
    long = {"gradient": False, "note": "longer than any block"}
    return [
        sample(*qkv(5, 5, 4)),
        sample(*qkv(5, 5, 4), is_causal=True),
        sample(*qkv(3, 7, 5, 2), is_causal=True, note="more keys than queries"),
        sample(*qkv(7, 3, 5, 3), is_causal=True, note="more queries than keys"),
        sample(*qkv(1, 9, 8), note="one query"),
        sample(*qkv(9, 1, 8), note="one key"),
        sample(*qkv(17, 33, 1, 17)),
        sample(*qkv(4, 5, 3, lead=()), note="2-d"),
        sample(*qkv(4, 5, 3, lead=(3,)), note="3-d"),
        sample(*qkv(4, 5, 3, lead=(2, 1, 3)), note="5-d"),
        sample(*qkv(4, 5, 3), scale=0.3),
        sample(*(projected(rng, n, 4) for n in (5, 6, 6)), note="from a projection"),
        sample(*(stepped(uniform(rng, (2, 2, n, 4))) for n in (5, 6, 6)), note="every second element"),
        sample(uniform(rng, (2, 2, 5, 4)), *(expanded(uniform(rng, (1, 2, 6, 4)), (2, 2, 6, 4)) for _ in range(2))),
        sample(uniform(rng, (2, 3, 5, 4)), uniform(rng, (3, 6, 4)), uniform(rng, (2, 1, 6, 4)), note="broadcast"),
        sample(uniform(rng, (2, 6, 5, 4)), *(uniform(rng, (2, 2, 6, 4)) for _ in range(2)), enable_gqa=True),
        sample(uniform(rng, (2, 4, 5, 4)), uniform(rng, (2, 1, 6, 4)), uniform(rng, (2, 2, 6, 4)), enable_gqa=True),
        sample(*qkv(5, 6, 4), attn_mask=masked_rows(rng, 5, 6), note="rows without a key"),
        sample(*qkv(5, 6, 4), attn_mask=masked_rows(rng, 5, 6), is_causal=True),
        sample(*qkv(5, 6, 4), attn_mask=masked_rows(rng, 2, 1, 1, 6), note="padding"),
        sample(*qkv(5, 6, 4), attn_mask=masked_rows(rng, 2, 2, 5, 6)),
        sample(*qkv(5, 6, 4), attn_mask=masked_rows(rng, 5, 1)),
        sample(*qkv(5, 6, 4), attn_mask=uniform(rng, (5, 6))),
        sample(*qkv(5, 6, 4), attn_mask=uniform(rng, (2, 5, 6)), is_causal=True, gradient=False),
        sample(*qkv(5, 6, 4, lead=(2, 1, 3)), attn_mask=uniform(rng, (1, 3, 5, 6))),
        sample(*qkv(5, 6, 4), attn_mask=blocked, gradient=False, note="-inf in a float mask"),
        sample(*qkv(0, 6, 4), note="no query"),
        sample(*qkv(5, 0, 4), note="no key"),
        sample(*qkv(5, 6, 4, 0), note="no value"),
        sample(*qkv(5, 6, 0, 4), scale=1.0, note="no feature"),
        sample(*qkv(5, 6, 4, lead=(0, 2)), note="no batch"),
        sample(*qkv(200, 300, 20, 36, lead=(1, 2)), **long),
        sample(*qkv(300, 200, 20, lead=(1, 2)), is_causal=True, **long),
        sample(*qkv(150, 333, 65, lead=(1, 1)), attn_mask=masked_rows(rng, 150, 333), **long),
        sample(*qkv(130, 260, 128, 16, lead=(1, 1)), attn_mask=uniform(rng, (1, 260)), is_causal=True, **long),
    ]


def fused_samples(rng):
    """(query, key, value, mask, scale, is_causal) in the layouts that the kernel takes, and sizes around its blocks."""

    def make(length, source, size, value_size, heads=2, groups=2, mask=None, is_causal=False, note="", batch=2, scale=0.4):
        q = projected(rng, length, size, heads, batch)
        k, v = projected(rng, source, size, groups, batch), projected(rng, source, value_size, groups, batch)
        return sample(q, k, v, mask, scale, is_causal, gradient=length * source < 300, note=note)

    return [
        make(5, 6, 4, 3),
        make(5, 6, 4, 3, heads=6, is_causal=True, note="shared keys"),
        make(7, 9, 3, 5, mask=masked_rows(rng, 1, 2, 7, 9)),
        make(7, 9, 3, 5, mask=uniform(rng, (2, 1, 1, 9)), is_causal=True),
        make(1, 40, 20, 70, heads=4, note="one query"),
        make(2, 17, 8, 8, mask=masked_rows(rng, 2, 1, 1, 17), is_causal=True, note="few queries"),
        make(65, 193, 16, 48, batch=1, note="one more than a block"),
        make(63, 191, 33, 31, batch=1, mask=masked_rows(rng, 1, 1, 63, 191), is_causal=True, note="one less than a block"),
        make(129, 50, 64, 64, batch=1, is_causal=True),
        make(70, 400, 8, 8, heads=10, groups=10, batch=1, mask=uniform(rng, (1, 1, 70, 400))),
        make(5, 6, 600, 7, batch=1, scale=0.04, note="more features than a chain of sums"),
    ]


def backward_samples(rng):
    made = []
    for s in fused_samples(rng):
        out, _ = attention.attention(*s.args)
        made.append(sample(uniform(rng, out.shape), *s.args, gradient=s.gradient, note=s.note))
    return made


def backward(dy, query, key, value, mask, scale, is_causal):
    mask = computed(mask, query)
    out, lse = fused(query.detach(), key.detach(), value.detach(), mask, scale, is_causal)
    return tg.ops.attention.attention_backward(dy, query, key, value, mask, out, lse, scale, is_causal, 0.0, 0, 0)


def computed(mask, query):
    """A float mask in the type that the kernel computes with."""
    if mask is None or mask.dtype == tg.bool:
        return mask
    return mask.to(tg.float64 if query.dtype == tg.float64 else tg.float32)


def fused(query, key, value, mask, scale, is_causal):
    return tg.ops.attention.attention(query, key, value, computed(mask, query), scale, is_causal, 0.0, 0, 0)


def compute_type(dtype):
    return "float64" if dtype == "float64" else "float32"


f = functional("scaled_dot_product_attention")


def error(text, *args, exception=RuntimeError, **kwargs):
    return OpError(lambda: f(*args, **kwargs), exception, f"scaled_dot_product_attention: {text}")


X = tg.ones(2, 2, 3, 4)
SPECS = [
    OpSpec(
        "scaled_dot_product_attention",
        f,
        attention.scaled_dot_product_attention,
        samples,
        FLOATS,
        tolerances=TOLERANCES,
        differentiable=(0, 1, 2, "attn_mask"),
        order=2,
        errors=[
            error("Expected query, key, and value to all be at least 2 dimensional", tg.ones(4), X, X),
            error("Expected query, key, and value to have the same dtype", X, X.double(), X),
            error("expected floating tensors, got tilegrad.int64", X.long(), X.long(), X.long()),
            error("query and key need the same size in their last dim", X, X[..., :3], X),
            error(r"key and value need the same length \(dim -2\)", X, X, X[..., :2, :]),
            error("leading dimensions .* do not broadcast", tg.ones(2, 3, 3, 4), X, X),
            error("Expected attn_mask dtype to be bool or float", X, X, X, tg.ones(3, 3, dtype=tg.int64)),
            error(r"attn_mask of shape \(4, 3\) does not broadcast", X, X, X, tg.ones(4, 3)),
            error(r"attn_mask of shape \(1, 2, 2, 3, 3\) does not broadcast", X, X, X, tg.ones(1, 2, 2, 3, 3)),
            error("Explicit attn_mask should not be set when is_causal=True", X, X, X, tg.ones(3, 3), 0.1, is_causal=True),
            error("Number of heads in key and value must divide", tg.ones(2, 3, 3, 4), X, X, enable_gqa=True),
            error("enable_gqa=True needs tensors with a dimension of heads", X[0, 0], X[0, 0], X[0, 0], enable_gqa=True),
            OpError(
                lambda: f(X, X, X, dropout_p=1.5), ValueError, "dropout probability has to be between 0 and 1, but got 1.5"
            ),
        ],
    ),
    OpSpec(
        "attention",
        lambda *args: fused(*args)[0],
        lambda *args: attention.attention(*args)[0],
        fused_samples,
        FLOATS,
        tolerances=TOLERANCES,
        differentiable=(0, 1, 2),
    ),
    OpSpec(
        "attention_lse",
        lambda *args: fused(*args)[1].detach(),
        lambda *args: attention.attention(*args)[1],
        fused_samples,
        FLOATS,
        result=compute_type,
        tolerances={"float32": (1e-5, 3e-6), "float64": (1e-12, 1e-13)},
        rows=("attention",),
    ),
    OpSpec(
        "attention_backward",
        backward,
        attention.attention_backward,
        backward_samples,
        FLOATS,
        result=("same", "same", "same"),
        tolerances={
            "float32": (2e-5, 1e-5),
            "float64": (1e-11, 1e-12),
            "bfloat16": (2.0**-6, 5e-2),
            "float16": (2.0**-8, 5e-3),
        },
        differentiable=(0, 1, 2, 3),
    ),
]
