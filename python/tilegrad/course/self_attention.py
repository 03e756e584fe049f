"""Self-attention in numbers (rows I03-I07 I23): the same thing computed in every way the lecture shows.

Four vectors a1..a4 become queries, keys and values; each output is a mixture of all values:

    q = W_q a,  k = W_k a,  v = W_v a        alpha(i, j) = q_i . k_j        b_i = sum_j softmax_j(alpha(i, j)) v_j

Written out by loops, as matrices (A = Q K^T, A' = softmax(A), O = A' V), by the fused kernel that never stores A, and with
many heads side by side, all must agree. The lecture does not divide the scores by sqrt(d); PyTorch does. Both are checked.

What is learned are W_q, W_k and W_v alone: one attention layer is trained here to imitate another.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

import tilegrad as tg
from tilegrad import nn, optim
from tilegrad.course.trainer import Check, Recipe, option, preset, recipe
from tilegrad.nn import functional as F

N, D = 4, 6  # vectors, and their size
EXACT = 1e-12  # both sides in float64


class SelfAttention(Recipe):
    name = "self-attention"
    title = "Self-attention in numbers"
    rows = "I03-I07 I23"
    kind = "numeric"
    data = "four vectors of six numbers"
    band = "loops, matrices, fused kernel and heads agree to 1e-6"
    seconds = 3
    smoke = preset(epochs=1, updates=20)
    next_commands = ("tilegrad train vit", "tilegrad train gpt", "tilegrad train transformer-mt")

    @dataclass
    class Options(recipe.Options):
        epochs: int = option(10, "evaluations; each after `updates` updates")
        updates: int = option(50, "updates between two evaluations")
        lr: float = option(0.01, "step size of Adam")
        heads: int = option(2, "heads of the layer that is imitated")

    options: Options

    def setup(self) -> None:
        o = self.options
        self.teacher = nn.MultiheadAttention(D, o.heads, batch_first=True, bias=False)
        self.model = nn.MultiheadAttention(D, o.heads, batch_first=True, bias=False)
        for parameter in self.teacher.parameters():
            parameter.requires_grad_(False)
            nn.init.normal_(parameter, std=0.7)
        self.optimizer = optim.Adam(self.model.parameters(), lr=o.lr)
        self.test = tg.randn(64, N, D)

    def three_steps(self) -> tuple[str, str, str]:
        o = self.options
        return (
            f"attention with {o.heads} heads: W_q, W_k, W_v, W_o",
            "squared difference to another such layer",
            f"Adam, lr {o.lr:g}",
        )

    def batches(self, epoch: int) -> Iterable[Any]:
        return [32] * self.options.updates

    def loss(self, batch: Any) -> Any:
        a = tg.randn(batch, N, D)
        return F.mse_loss(attend(self.model, a), attend(self.teacher, a))

    def evaluate(self) -> dict[str, float]:
        with tg.no_grad():
            wanted = attend(self.teacher, self.test)
            error = F.mse_loss(attend(self.model, self.test), wanted) / (wanted**2).mean()
        return {"error, relative": float(error)}

    def checks(self, metrics: dict[str, float]) -> list[Check]:
        q, k, v = (tg.tensor(np.random.default_rng(i).normal(size=(N, D))) for i in range(3))
        return [
            dot_product(q, k, v),
            scaled(q, k, v),
            additive(q, k, v),
            other_activation(q, k, v),
            fused_kernel(),
            one_head(),
            many_heads(),
            fewer_queries(q, k, v),
            order_of_the_set(q, k, v),
            Check.at_most("imitating another layer: error, relative", metrics["error, relative"], 0.1, "I07"),
        ]


def attend(layer: Any, a: Any) -> Any:
    return layer(a, a, a, need_weights=False)[0]


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def by_loops(q: Any, k: Any, v: Any, score: Callable[[np.ndarray, np.ndarray], float], normalise: Any = softmax) -> np.ndarray:
    """b_i for one i after the other, as on the slide."""
    q, k, v = q.numpy(), k.numpy(), v.numpy()
    outputs = []
    for query in q:
        alpha = np.array([score(query, key) for key in k])
        outputs.append(sum(weight * value for weight, value in zip(normalise(alpha), v, strict=True)))
    return np.stack(outputs)


def difference(name: str, ours: Any, expected: Any, rows: str, most: float = EXACT) -> Check:
    ours, expected = (np.asarray(x.detach().numpy() if isinstance(x, tg.Tensor) else x) for x in (ours, expected))
    return Check.at_most(name, float(np.abs(ours - expected).max()), most, rows)


def dot_product(q: Any, k: Any, v: Any) -> Check:
    """Row I03: the lecture's form, no division."""
    return difference(
        "dot product, by loops against the op",
        F.scaled_dot_product_attention(q, k, v, scale=1.0),
        by_loops(q, k, v, np.dot),
        "I03",
    )


def scaled(q: Any, k: Any, v: Any) -> Check:
    """Row I06: all b at once, A = Q K^T / sqrt(d)."""
    weights = softmax(q.numpy() @ k.numpy().T / math.sqrt(D))
    return difference("scaled, as matrices against the op", F.scaled_dot_product_attention(q, k, v), weights @ v.numpy(), "I06")


def additive(q: Any, k: Any, v: Any) -> Check:
    """Row I04: alpha = w . tanh(W_q q + W_k k)."""
    layer = nn.AdditiveAttention(D, D, 5).double()
    w_q, w_k, w = (p.detach().numpy() for p in (layer.W_q.weight, layer.W_k.weight, layer.w_v.weight[0]))
    expected = by_loops(q, k, v, lambda query, key: float(w @ np.tanh(w_q @ query + w_k @ key)))
    return difference("additive scores", layer(q[None], k[None], v[None])[0][0], expected, "I04")


def other_activation(q: Any, k: Any, v: Any) -> Check:
    """Row I05: softmax is a choice; here ReLU, divided by how many there are."""
    ours, _ = F.attention(q, k, v, scale=1.0, activation="relu")
    return difference(
        "ReLU instead of softmax", ours, by_loops(q, k, v, np.dot, lambda alpha: np.maximum(alpha, 0) / len(alpha)), "I05"
    )


def fused_kernel() -> Check:
    """Row I06: long sequences in float32, where the kernel works in blocks and never stores the N x N matrix."""
    rng = np.random.default_rng(7)
    q, k, v = (rng.normal(size=(2, 3, 300, 32)).astype(np.float32) for _ in range(3))
    ours = F.scaled_dot_product_attention(*(tg.tensor(x) for x in (q, k, v)))
    weights = softmax(q.astype(np.float64) @ k.astype(np.float64).swapaxes(-1, -2) / math.sqrt(32))
    return difference("300 tokens, fused against matrices", ours, weights @ v.astype(np.float64), "I06", 1e-6)


def one_head() -> Check:
    """Row I07: with one head it is single attention between two linear layers."""
    layer = nn.MultiheadAttention(D, 1, batch_first=True).double()
    a = tg.tensor(np.random.default_rng(3).normal(size=(1, N, D)))
    q, k, v = F.linear(a, layer.in_proj_weight, layer.in_proj_bias).chunk(3, dim=-1)
    return difference("one head", attend(layer, a), layer.out_proj(F.scaled_dot_product_attention(q, k, v)), "I07")


def many_heads() -> Check:
    """Row I07: each head with its part of q, k and v; then side by side; then W_o."""
    layer = nn.MultiheadAttention(D, 3, batch_first=True).double()
    a = np.random.default_rng(4).normal(size=(N, D))
    weight, bias = layer.in_proj_weight.detach().numpy(), layer.in_proj_bias.detach().numpy()
    q, k, v = np.split(a @ weight.T + bias, 3, axis=1)  # each (N, D)
    size = D // 3
    heads = []
    for h in range(3):
        part = slice(h * size, (h + 1) * size)
        heads.append(softmax(q[:, part] @ k[:, part].T / math.sqrt(size)) @ v[:, part])
    out = np.concatenate(heads, axis=1) @ layer.out_proj.weight.detach().numpy().T + layer.out_proj.bias.detach().numpy()
    return difference("three heads, by hand", attend(layer, tg.tensor(a)[None])[0], out, "I07")


def fewer_queries(q: Any, k: Any, v: Any) -> Check:
    """Row I23: the number of queries is the number of outputs; fewer queries only answer fewer questions."""
    shape = tuple(F.scaled_dot_product_attention(q[:1], k, v).shape)
    return Check.true("one query over four keys gives one output", shape == (1, D), "(1, 6)", "I23")


def order_of_the_set(q: Any, k: Any, v: Any) -> Check:
    """Attention takes a set: another order of keys and values changes nothing."""
    order = tg.tensor([2, 0, 3, 1])
    here, there = F.scaled_dot_product_attention(q, k, v), F.scaled_dot_product_attention(q, k[order], v[order])
    return difference("keys and values in another order", here, there, "I03")
