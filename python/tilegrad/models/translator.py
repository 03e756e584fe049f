"""A Transformer that turns one sequence of tokens into another, and the ways to write its answer down."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import tilegrad as tg

from .. import nn
from ..nn import functional as F

PAD, BOS, EOS = 0, 1, 2  # token numbers with a meaning: filling, begin, end


class Translator(nn.Module):
    """Vaswani's encoder and decoder over tokens, with shared embeddings and an output that reuses them.

    Args:
        tokens: size of the vocabulary; numbers 0, 1, 2 are PAD, BOS and EOS.
        width, heads, layers: of both halves; the feed-forward part is 4 * width wide.
        length: the longest sequence, with BOS and EOS.
        dropout: everywhere the paper has it.
        norm_first: normalise before each part (True) or after it, as in the paper (False).
    """

    def __init__(
        self,
        tokens: int,
        width: int = 96,
        heads: int = 4,
        layers: int = 2,
        length: int = 40,
        dropout: float = 0.1,
        norm_first: bool = True,
    ) -> None:
        super().__init__()
        self.width, self.length = width, length
        self.token = nn.Embedding(tokens, width, padding_idx=PAD)
        self.position = nn.Embedding(length, width)
        nn.init.normal_(self.token.weight, std=width**-0.5)
        nn.init.normal_(self.position.weight, std=width**-0.5)
        self.dropout = nn.Dropout(dropout)
        self.transformer = nn.Transformer(
            width, heads, layers, layers, 4 * width, dropout, batch_first=True, norm_first=norm_first
        )

    def embed(self, x: Any) -> Any:
        if x.shape[1] > self.length:
            raise ValueError(f"{x.shape[1]} tokens, but this model reads {self.length}")
        return self.dropout((self.token(x) + self.position.weight[: x.shape[1]]) * math.sqrt(self.width))

    def encode(self, source: Any) -> tuple[Any, Any]:
        """(memory (B, S, width), where it is padding (B, S)) of source tokens (B, S)."""
        padding = source == PAD
        return self.transformer.encoder(self.embed(source), src_key_padding_mask=padding), padding

    def decode(self, target: Any, memory: Any, padding: Any) -> Any:
        """Logits (B, T, V) of the token after each of target (B, T), which begins with BOS."""
        mask = nn.Transformer.generate_square_subsequent_mask(target.shape[1])
        h = self.transformer.decoder(
            self.embed(target), memory, tgt_mask=mask, memory_key_padding_mask=padding, tgt_is_causal=True
        )
        return F.linear(h, self.token.weight)

    def forward(self, source: Any, target: Any) -> Any:
        return self.decode(target, *self.encode(source))

    def greedy(self, source: Any, most: int = 0) -> tuple[list[list[int]], np.ndarray]:
        """(answers without BOS and EOS, their log-probabilities (B)): always the most likely next token."""
        return self.beam(source, 1, most)

    def beam(self, source: Any, width: int = 4, most: int = 0) -> tuple[list[list[int]], np.ndarray]:
        """(answers, log-probabilities (B)): of `width` beginnings kept at each step, the best finished one.

        Greedy search's answer stays in the race, so the answer is never less likely than that one.
        Raises ValueError for a width below 1.
        """
        if width < 1:
            raise ValueError(f"beam width must be at least 1, got {width}")
        was_training = self.training
        self.eval()
        with tg.no_grad():
            found = self._beam(source, 1, most or self.length)
            if width > 1:
                wide = self._beam(source, width, most or self.length)
                found = [max(pair, key=lambda answer: answer[1]) for pair in zip(found, wide, strict=True)]
        self.train(was_training)
        return [tokens for tokens, _ in found], np.array([score for _, score in found])

    def _beam(self, source: Any, width: int, most: int) -> list[tuple[list[int], float]]:
        batch = len(source)
        memory, padding = self.encode(source)
        memory = memory[:, None].expand(-1, width, -1, -1).flatten(0, 1)  # (B * width, S, width of the model)
        padding = padding[:, None].expand(-1, width, -1).flatten(0, 1)
        tokens = np.full((batch, width, 1), BOS)
        scores = np.full((batch, width), -np.inf)  # of the beginnings
        scores[:, 0] = 0.0
        finished = np.zeros((batch, width), dtype=bool)
        for step in range(1, most):
            logits = self.decode(tg.tensor(tokens.reshape(batch * width, -1)), memory, padding)[:, -1]
            steps = F.log_softmax(logits, dim=-1).numpy().astype(np.float64).reshape(batch, width, -1)  # (B, width, V)
            steps[..., [PAD, BOS]] = -np.inf
            if step == most - 1:  # no room left: only the end may follow
                steps[..., :EOS] = steps[..., EOS + 1 :] = -np.inf
            steps[finished] = -np.inf
            steps[finished, PAD] = 0.0  # a finished answer goes on as it is
            total = (scores[..., None] + steps).reshape(batch, -1)
            best = np.argsort(-total, axis=1, kind="stable")[:, :width]  # (B, width)
            scores = np.take_along_axis(total, best, 1)
            origin, token = np.divmod(best, steps.shape[-1])
            tokens = np.concatenate([np.take_along_axis(tokens, origin[..., None], 1), token[..., None]], axis=2)
            finished = np.take_along_axis(finished, origin, 1) | (token == EOS)
            if finished[:, 0].all() and (width == 1 or finished.all()):
                break
        scores = np.where(finished, scores, -np.inf)
        best = scores.argmax(1)
        answers = [[int(t) for t in tokens[i, best[i]] if t > EOS] for i in range(batch)]
        return list(zip(answers, scores[np.arange(batch), best].tolist(), strict=True))
