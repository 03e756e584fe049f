"""Attention layers.

Source: https://pytorch.org/docs/stable/generated/torch.nn.MultiheadAttention.html
"""

from __future__ import annotations

from typing import Any

import tilegrad as tg

from ...ops.attention import safe_softmax
from ...tensor import Tensor
from .. import init
from ..functions.dropout import check_probability, dropout
from ..functions.multihead import multi_head_attention_forward
from ..module import Module
from ..parameter import Parameter
from .linear import Linear

__all__ = ["AdditiveAttention", "MultiheadAttention"]


class MultiheadAttention(Module):
    """Attention in `num_heads` subspaces of size embed_dim / num_heads each, projected together again.

    Shapes: query (L, N, embed_dim), key (S, N, kdim), value (S, N, vdim); (N, L, ...) with batch_first; N may be missing.
    Output as query; weights (N, L, S), or (N, num_heads, L, S) with average_attn_weights=False.

    Parameters: in_proj_weight (3 embed_dim, embed_dim), or q_proj_weight, k_proj_weight, v_proj_weight where kdim or vdim
    differ from embed_dim; in_proj_bias; bias_k and bias_v with add_bias_kv; out_proj.

    Args:
        dropout: the probability with which an attention weight is dropped in train().
        add_bias_kv: appends a learned key and value. add_zero_attn: appends a key and value of zeros.

    Without weights (need_weights=False) nothing of size L * S is made: the fused kernel of `scaled_dot_product_attention` runs.

    Raises:
        ValueError: sizes that are not positive, or a dropout outside [0, 1].
        AssertionError: embed_dim not divisible by num_heads.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.MultiheadAttention.html
    """

    in_proj_weight: Any
    in_proj_bias: Any
    q_proj_weight: Any
    k_proj_weight: Any
    v_proj_weight: Any
    bias_k: Any
    bias_v: Any
    out_proj: Linear

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if embed_dim <= 0 or num_heads <= 0:
            raise ValueError(
                f"embed_dim and num_heads must be greater than 0, got embed_dim={embed_dim} and num_heads={num_heads} instead"
            )
        if embed_dim % num_heads:
            raise AssertionError(f"embed_dim must be divisible by num_heads, got embed_dim={embed_dim}, num_heads={num_heads}")
        check_probability(dropout)
        self.embed_dim, self.num_heads, self.head_dim = embed_dim, num_heads, embed_dim // num_heads
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self.dropout, self.batch_first, self.add_zero_attn = dropout, batch_first, add_zero_attn
        self._qkv_same_embed_dim = self.kdim == embed_dim and self.vdim == embed_dim

        def parameter(*shape: int) -> Parameter:
            return Parameter(tg.empty(*shape, device=device, dtype=dtype))

        packed = self._qkv_same_embed_dim  # one weight projects query, key and value
        self.register_parameter("in_proj_weight", parameter(3 * embed_dim, embed_dim) if packed else None)
        for name, size in (("q", embed_dim), ("k", self.kdim), ("v", self.vdim)):
            self.register_parameter(f"{name}_proj_weight", None if packed else parameter(embed_dim, size))
        self.register_parameter("in_proj_bias", parameter(3 * embed_dim) if bias else None)
        self.out_proj = Linear(embed_dim, embed_dim, bias=bias, device=device, dtype=dtype)
        for name in ("bias_k", "bias_v"):
            self.register_parameter(name, parameter(1, 1, embed_dim) if add_bias_kv else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws fresh projections; biases become 0."""
        for weight in (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
            if weight is not None:
                init.xavier_uniform_(weight)
        if self.in_proj_bias is not None:
            init.zeros_(self.in_proj_bias)
            init.zeros_(self.out_proj.bias)
        for extra in (self.bias_k, self.bias_v):
            if extra is not None:
                init.xavier_normal_(extra)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """(output, weights or None). In both masks True means "not allowed"; floating masks are added to the scores.

        key_padding_mask: (N, S). attn_mask: (L, S) or (N * num_heads, L, S). is_causal: a hint that attn_mask is the causal
        mask.
        """
        return multi_head_attention_forward(
            query,
            key,
            value,
            self.embed_dim,
            self.num_heads,
            self.in_proj_weight,
            self.in_proj_bias,
            self.bias_k,
            self.bias_v,
            self.add_zero_attn,
            self.dropout,
            self.out_proj.weight,
            self.out_proj.bias,
            training=self.training,
            key_padding_mask=key_padding_mask,
            need_weights=need_weights,
            attn_mask=attn_mask,
            use_separate_proj_weight=not self._qkv_same_embed_dim,
            q_proj_weight=self.q_proj_weight,
            k_proj_weight=self.k_proj_weight,
            v_proj_weight=self.v_proj_weight,
            average_attn_weights=average_attn_weights,
            is_causal=is_causal,
            batch_first=self.batch_first,
        )

    def extra_repr(self) -> str:
        return f"embed_dim={self.embed_dim}, num_heads={self.num_heads}, batch_first={self.batch_first}"


class AdditiveAttention(Module):
    """Attention whose scores come from a small network: score(q, k) = wᵀ tanh(W_q q + W_k k). Not in PyTorch.

    Shapes: query (N, L, query_size), key (N, S, key_size), value (N, S, V) -> output (N, L, V), weights (N, L, S).

    Args:
        hidden_size: rows of W_q and W_k. dropout: the probability with which an attention weight is dropped in train().

    Source: Bahdanau et al. 2015, https://arxiv.org/abs/1409.0473
    """

    def __init__(self, query_size: int, key_size: int, hidden_size: int, dropout: float = 0.0) -> None:
        super().__init__()
        check_probability(dropout)
        self.W_q = Linear(query_size, hidden_size, bias=False)
        self.W_k = Linear(key_size, hidden_size, bias=False)
        self.w_v = Linear(hidden_size, 1, bias=False)
        self.dropout = dropout

    def forward(self, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(output, weights). attn_mask: boolean, broadcasts to (N, L, S), True means that the key takes part."""
        features = (self.W_q(query).unsqueeze(-2) + self.W_k(key).unsqueeze(-3)).tanh()  # (N, L, S, hidden)
        scores = self.w_v(features).squeeze(-1)
        if attn_mask is not None:
            scores = tg.where(attn_mask, scores, float("-inf"))
        weights = safe_softmax(scores)[0]
        if self.training and self.dropout > 0.0:
            return dropout(weights, self.dropout) @ value, weights
        return weights @ value, weights
