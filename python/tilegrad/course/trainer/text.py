"""What the recipes about text share: bits per character, and the n-gram baselines they must beat."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np

import tilegrad as tg
from tilegrad.nn import functional as F


def bits_per_character(logits_of: Any, windows: Any, batch: int = 64) -> float:
    """Mean -log2 p(next character) over all windows of a CharText; `logits_of(x)` gives (B, T, V)."""
    total = count = 0.0
    with tg.no_grad():
        for start in range(0, len(windows), batch):
            x, y = windows.get_batch(range(start, min(start + batch, len(windows))))
            total += float(F.cross_entropy(logits_of(x).flatten(0, 1), y.flatten(), reduction="sum"))
            count += y.numel()
    return total / count / math.log(2)


def ngram_bits(train: np.ndarray, test: np.ndarray, symbols: int, n: int = 2, pseudo: float = 0.1) -> float:
    """Bits per character of the test text under counts of the training text; n = 1 or 2, `pseudo` counts added to each."""
    if n == 1:
        counts = np.bincount(train, minlength=symbols)[None] + pseudo  # (1, V)
        before = np.zeros(len(test) - 1, dtype=np.int64)
    else:
        counts = np.bincount(train[:-1] * symbols + train[1:], minlength=symbols * symbols).reshape(symbols, symbols) + pseudo
        before = test[:-1]
    bits = -np.log2(counts / counts.sum(1, keepdims=True))
    return float(bits[before, test[1:]].mean())


def show_text(text: str, width: int = 100) -> list[str]:
    """Lines of generated text, with what cannot be shown as a dot."""
    visible = "".join(c if c.isprintable() or c == "\n" else "." for c in text)
    return [line[i : i + width] for line in visible.splitlines() for i in range(0, max(len(line), 1), width)]


def bleu(candidates: list[str], references: list[str], longest: int = 4) -> float:
    """BLEU over characters, one reference each: the geometric mean of n-gram precisions times the brevity penalty.

    Counts are added up over all pairs before dividing, as in the paper (Papineni et al. 2002). 0..1.
    """
    matched, total = np.zeros(longest), np.zeros(longest)
    for candidate, reference in zip(candidates, references, strict=True):
        for n in range(1, longest + 1):
            ours, theirs = (Counter(text[i : i + n] for i in range(len(text) - n + 1)) for text in (candidate, reference))
            matched[n - 1] += sum((ours & theirs).values())
            total[n - 1] += sum(ours.values())
    if not matched.all():
        return 0.0
    length, wanted = sum(map(len, candidates)), sum(map(len, references))
    penalty = 1.0 if length >= wanted else math.exp(1 - wanted / length)
    return penalty * float(np.exp(np.log(matched / total).mean()))
