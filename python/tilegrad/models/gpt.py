"""A small GPT: token and position embeddings, blocks of masked self-attention and a feed-forward network, and a guess."""

from __future__ import annotations

from typing import Any

import tilegrad as tg

from .. import nn
from ..nn import functional as F
from .sampling import next_token

Cache = list[tuple[Any, Any]]  # keys and values of every layer, each (B, H, T, D)


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)): a pre-norm Transformer block that looks to the left only."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout_p = heads, dropout
        self.attention_norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Any, past: tuple[Any, Any] | None = None) -> tuple[Any, tuple[Any, Any]]:
        """(y, (keys, values)) of x (B, T, width); with `past` the T tokens come after those."""
        qkv = self.qkv(self.attention_norm(x)).unflatten(-1, (3, self.heads, -1))  # (B, T, 3, H, D)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each (B, H, T, D)
        mask = None
        if past is not None:
            before = past[0].shape[2]
            k, v = tg.cat([past[0], k], dim=2), tg.cat([past[1], v], dim=2)
            if q.shape[2] > 1:
                mask = tg.ones(q.shape[2], k.shape[2], dtype=tg.bool).tril(before)
        drop = self.dropout_p if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=drop, is_causal=past is None)
        x = x + self.dropout(self.mix(y.transpose(1, 2).flatten(2)))  # (B, T, width)
        return x + self.dropout(self.mlp(self.mlp_norm(x))), (k, v)


class GPTMini(nn.Module):
    """A decoder-only Transformer language model.

    Args:
        tokens: size of the vocabulary.
        context: the longest sequence it can see.
        width: size of a token's vector; a multiple of `heads`.
        heads, layers: of attention; number of blocks.
        dropout: everywhere the paper has it.

    The output layer shares its weight with the token embedding. Weights start as N(0, 0.02), those that write into the
    residual stream smaller by sqrt(2 layers). Source: Radford et al. 2019.

    Raises ValueError when width is not a multiple of heads.
    """

    def __init__(
        self, tokens: int, context: int = 128, width: int = 128, heads: int = 4, layers: int = 4, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width must be a multiple of heads, got {width} and {heads}")
        self.context = context
        self.token = nn.Embedding(tokens, width)
        self.position = nn.Embedding(context, width)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList([Block(width, heads, dropout) for _ in range(layers)])
        self.norm = nn.LayerNorm(width)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                small = name.endswith(("mix.weight", "mlp.2.weight"))
                nn.init.normal_(parameter, std=0.02 / (2 * layers) ** 0.5 if small else 0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, x: Any, cache: Cache | None = None) -> Any:
        """Logits (B, T, V) of the token after each of x (B, T).

        cache: keys and values of the tokens before x; extended in place, so that a token costs one row of attention.
        Raises ValueError when there are more tokens than `context`.
        """
        before = cache[0][0].shape[2] if cache else 0
        length = x.shape[1]
        if before + length > self.context:
            raise ValueError(
                f"{before + length} tokens, but this model sees {self.context}; shorten the input or make context larger"
            )
        h = self.dropout(self.token(x) + self.position.weight[before : before + length])  # (B, T, width)
        for i, block in enumerate(self.blocks):
            h, seen = block(h, cache[i] if cache is not None and before else None)
            if cache is not None:
                if before:
                    cache[i] = seen
                else:
                    cache.append(seen)
        return F.linear(self.norm(h), self.token.weight)

    def generate(
        self,
        prompt: Any,
        count: int,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        generator: tg.Generator | None = None,
    ) -> Any:
        """`prompt` (B, T) with `count` more tokens, (B, T + count); see next_token for how they are chosen.

        Beyond the context it goes on from the last half of what it can see.
        """
        was_training = self.training
        self.eval()
        tokens = prompt
        cache: Cache = []
        with tg.no_grad():
            logits = self(tokens[:, -self.context :], cache)
            for i in range(count):
                token = next_token(logits[:, -1], temperature, top_k, top_p, generator)[:, None]  # (B, 1)
                tokens = tg.cat([tokens, token], dim=1)
                if i + 1 == count:
                    break
                if cache[0][0].shape[2] == self.context:
                    cache, token = [], tokens[:, -(self.context // 2) :]
                logits = self(token, cache)
        self.train(was_training)
        return tokens
