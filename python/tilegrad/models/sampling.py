"""How a language model's next token is chosen."""

from __future__ import annotations

from typing import Any

import tilegrad as tg

from ..nn import functional as F


def next_token(
    logits: Any,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: tg.Generator | None = None,
) -> Any:
    """Token numbers (B) drawn from softmax(logits / temperature), logits (B, V).

    Args:
        temperature: below 1 prefers likely tokens more; 0 takes the most likely one (greedy).
        top_k: only the k most likely tokens take part.
        top_p: only the smallest set of most likely tokens whose probabilities reach p takes part (nucleus sampling).
        generator: where the random numbers come from.

    Raises ValueError for a negative temperature, k < 1 or p outside (0, 1].
    Source: Holtzman et al. 2020 for top_p.
    """
    if temperature < 0:
        raise ValueError(f"temperature must be 0 (greedy) or more, got {temperature}")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k must be at least 1, got {top_k}")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p must be in (0, 1], got {top_p}")
    with tg.no_grad():
        if temperature == 0:
            return logits.argmax(-1)
        probabilities = F.softmax(logits / temperature, dim=-1)
        if top_k is not None or top_p is not None:
            probabilities = _head(probabilities, top_k, top_p)
        return tg.multinomial(probabilities, 1, generator=generator)[:, 0]


def _head(probabilities: Any, top_k: int | None, top_p: float | None) -> Any:
    """The probabilities with the unlikely tail set to zero."""
    ordered, _ = probabilities.sort(dim=-1, descending=True)  # (B, V)
    keep = tg.ones_like(ordered, dtype=tg.bool)
    if top_k is not None:
        keep[:, top_k:] = False
    if top_p is not None:
        keep = keep & (ordered.cumsum(-1) - ordered < top_p)  # the token that crosses p is kept
    smallest = ordered.masked_fill(~keep, 2.0).amin(-1, keepdim=True)
    return probabilities.masked_fill(probabilities < smallest, 0.0)
