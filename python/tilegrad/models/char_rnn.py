"""A recurrent language model: embedding, LSTM (or GRU, or plain RNN), and a guess at the next token."""

from __future__ import annotations

from typing import Any

import tilegrad as tg

from .. import nn
from .sampling import next_token

CELLS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


class CharRnn(nn.Module):
    """h_t = cell(embedding(x_t), h_{t-1}); logits of x_{t+1} = W h_t + b.

    Args:
        tokens: size of the vocabulary.
        width: size of the embedding and of the hidden state.
        layers: cells on top of each other.
        cell: 'lstm', 'gru' or 'rnn'.
        dropout: between the layers and before the output.
        options: further options of the cell, such as peephole=True.

    Raises ValueError for another cell.
    """

    def __init__(
        self, tokens: int, width: int = 128, layers: int = 1, cell: str = "lstm", dropout: float = 0.0, **options: Any
    ) -> None:
        super().__init__()
        if cell not in CELLS:
            raise ValueError(f"cell must be one of {', '.join(CELLS)}, got {cell!r}")
        self.embedding = nn.Embedding(tokens, width)
        inside = dropout if layers > 1 else 0.0
        self.cells = CELLS[cell](width, width, num_layers=layers, batch_first=True, dropout=inside, **options)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(width, tokens)

    def forward(self, x: Any, state: Any = None) -> tuple[Any, Any]:
        """(logits (B, T, V), state) of tokens x (B, T); `state` is what the cell returned for the tokens before."""
        h, state = self.cells(self.embedding(x), state)  # (B, T, width)
        return self.output(self.dropout(h)), state

    def generate(
        self,
        prompt: Any,
        count: int,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        generator: tg.Generator | None = None,
    ) -> Any:
        """`prompt` (B, T) with `count` more tokens, (B, T + count); see next_token for how they are chosen."""
        was_training = self.training
        self.eval()
        tokens = [prompt]
        with tg.no_grad():
            logits, state = self(prompt)
            for _ in range(count):
                token = next_token(logits[:, -1], temperature, top_k, top_p, generator)[:, None]  # (B, 1)
                tokens.append(token)
                logits, state = self(token, state)
        self.train(was_training)
        return tg.cat(tokens, dim=1)
