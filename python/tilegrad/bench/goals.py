"""What is wanted of the kernels, class by class, and whether a measured run has it.

A goal is a ratio (the peer's time over ours, 2 threads, stock torch), a share of the arithmetic limit measured in the same run,
or a time. It is reached when every case of its class reaches it. Beyond the goals one rule holds for all cases: none is slower
than the peer by more than the peer's own spread.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import geometric_mean
from typing import Any

Sizes = Callable[[tuple[int, ...]], bool]
Record = dict[str, Any]  # a result as report.record() writes it


@dataclass(frozen=True)
class Goal:
    """One row of the table: which cases, and what is wanted of them.

    Args:
        name: the class, as a person calls it.
        cases: a regular expression that the whole name of a case must match.
        ratio: the peer's time over ours, at least.
        peak: share of the arithmetic limit, at least.
        seconds: time of a call, at most.
        sizes: a condition on the numbers in the case's name, (256, 256, 256) for matmul-256.
    """

    name: str
    cases: str
    ratio: float | None = None
    peak: float | None = None
    seconds: float | None = None
    sizes: Sizes | None = None

    def has(self, case: str) -> bool:
        """Is the case of this class?"""
        return re.fullmatch(self.cases, case) is not None and (self.sizes is None or self.sizes(sizes_of(case)))

    def wanted(self) -> str:
        """The goal as text."""
        return ", ".join(
            text
            for text in (
                f">= {self.ratio:g}x" if self.ratio else "",
                f">= {self.peak:.0%} of peak" if self.peak else "",
                f"<= {self.seconds * 1e6:g} us" if self.seconds else "",
            )
            if text
        )


def sizes_of(case: str) -> tuple[int, ...]:
    """The sizes in a case's name: matmul-64 and matmul-64x32x[16x8x4] -> (64, 64, 64) and (16, 8, 4); () without any."""
    stack = re.search(r"\[([\dx]+)\]", case)
    found = stack[1] if stack else next((w for w in case.split("-") if re.fullmatch(r"\d+(x\d+)*", w)), "")
    sizes = tuple(map(int, found.split("x"))) if found else ()
    return sizes * 3 if len(sizes) == 1 else sizes


def between(low: int, high: float = float("inf")) -> Sizes:
    """The smallest size is at least ``low`` and below ``high``."""
    return lambda sizes: bool(sizes) and low <= min(sizes) < high


def rows(low: int, high: float = float("inf")) -> Sizes:
    """The first size is at least ``low`` and below ``high``, the others are large."""
    return lambda sizes: len(sizes) == 3 and low <= sizes[0] < high and min(sizes[1:]) >= 64


def large(sizes: tuple[int, ...]) -> bool:
    """The output takes 32 MB or more: every page of it is new to the system's allocator."""
    return _megabytes(sizes) >= 32


def cached(sizes: tuple[int, ...]) -> bool:
    """More than overhead, less than ``large``."""
    return 0.25 <= _megabytes(sizes) < 32


def _megabytes(sizes: tuple[int, ...]) -> float:
    count = 4
    for size in sizes[:2] if len(set(sizes)) > 1 or len(sizes) == 2 else sizes[:1]:
        count *= size
    return count / 2**20


PRODUCT = r"matmul-[\dx]+(-nt|-tn|-tt)?"
STACK = r"matmul-[\dx]+x\[[\dx]+\](-broadcast|-shared)?"
FIRST = r"conv2d-(3x3-cifar|3x3-1-to-32|7x7-stem|16x16-patches|5x5-lenet1)"
ATTENTION = r"attention-(views-)?[\dx]+"
OTHERS = (
    r"(?!.*pool)(sort|topk|kthvalue|cum\w+|cat|stack|gather|scatter\w*|index|transpose|permute|flip|roll|amax|argmax|max|sum|mean|prod|"
    r"var|norm|median|logsumexp|nonzero|searchsorted|masked_\w+|unique|where|clone|repeat|tril)-.*"
)

GOALS = (
    Goal("matmul, M N K from 128", PRODUCT, 2.2, 0.72, sizes=between(128, 256)),
    Goal("matmul, M N K from 256", PRODUCT, 2.2, 0.84, sizes=between(256, 512)),
    Goal("matmul, M N K from 512", PRODUCT, 2.2, 0.88, sizes=between(512)),
    Goal("matmul, batched", STACK, 2.2, sizes=between(64)),
    Goal("matmul, M N K 64 to 96", PRODUCT, 2.0, sizes=lambda s: between(64, 97)(s) and max(s) <= 96),
    Goal("matmul, M from 2 to 32", PRODUCT, 2.8, sizes=rows(2, 33)),
    Goal("matmul, M = 1", PRODUCT, 2.5, sizes=rows(1, 2)),
    Goal("matmul fwd+bwd, 64 to 128", rf"{PRODUCT}-backward", 3.0, sizes=lambda s: between(64, 129)(s) and max(s) <= 128),
    Goal("matmul fwd+bwd, from 256", rf"{PRODUCT}-backward", 2.1, sizes=between(256)),
    Goal("linear with ReLU or GELU fwd+bwd", r"linear-.*-(relu|gelu)(-modules)?-backward", 2.1),
    Goal("matmul bfloat16, from 256", r"matmul-[\dx]+-bf16", 1.05, sizes=between(256)),
    Goal("matmul bfloat16, 128", r"matmul-128-bf16", 2.0),
    Goal("matmul bfloat16, 64", r"matmul-64-bf16", 4.0),
    Goal("linear int8", r".*(int8|quantized).*", 1.2),
    *[
        Goal(f"conv2d 3x3, {channels} channels, {words}", rf"conv2d-3x3-({names}){suffix}", ratio)
        for channels, names, ratios in (
            ("64 to 128", r"(64|128)(-last|-batch1)?|63-65", (2.3, 2.3, 2.0)),
            ("256", r"256(-batch1)?", (2.0, 2.0, 1.5)),
            ("512", r"512(-\d+|-batch1)?", (1.4, 1.4, 1.4)),
            ("16 to 32", r"16|17|32", (1.8, 1.8, 1.3)),
        )
        for words, suffix, ratio in zip(("forward", "dx", "dw"), ("", "-dx", "-dw"), ratios, strict=True)
    ],
    *[
        Goal(f"conv2d {kind}, fwd and fwd+bwd", rf"conv2d-{names}(-backward)?", ratio)
        for kind, names, ratio in (
            ("1x1", r"1x1-(64|up|down|odd)", 1.1),
            ("strided", r"(3x3|1x1|4x4)-stride2(-deep)?", 1.25),
            ("5x5", r"5x5-(64|lenet2)", 1.2),
            ("dilated", r"3x3-dilation\d", 1.1),
            ("grouped", r"3x3-groups\d+", 1.1),
        )
    ],
    Goal("conv2d first layers, forward", FIRST, 2.5),
    Goal("conv2d first layers, fwd+bwd", f"{FIRST}-backward", 2.0),
    Goal("depthwise, forward", r"conv2d-\dx\d-depthwise(-\w+)?(?<!-dx)(?<!-dw)(?<!-backward)", 3.0),
    Goal("depthwise, fwd+bwd", r"conv2d-\dx\d-depthwise(-\w+)?-backward", 3.5),
    Goal("max_pool2d, forward", r"max-pool-[^d]*", 12.0),
    Goal("avg_pool2d", r"avg-pool-.*", 3.0),
    Goal("batch_norm, training fwd+bwd", r"batch-norm-\d.*-backward", 2.5),
    Goal("softmax, log_softmax forward, in cache", r"(log-)?softmax-[\dx]+", 1.8, sizes=cached),
    Goal("softmax, log_softmax fwd+bwd, in cache", r"(log-)?softmax-[\dx]+-backward", 1.6, sizes=cached),
    Goal("layer_norm forward, in cache", r"layer-norm-[\dx]+", 1.2, sizes=cached),
    Goal("layer_norm fwd+bwd, in cache", r"layer-norm-[\dx]+-backward", 1.3, sizes=cached),
    Goal("rms_norm", r"rms-norm-[\dx]+(-backward)?", 1.5),
    Goal("softmax, layer_norm, outputs of 32 MB", r"((log-)?softmax|layer-norm)-[\dx]+(-backward)?", 5.0, sizes=large),
    Goal("cross entropy fwd+bwd, 8192x1000", r"cross-entropy-8192x1000-backward", 4.0),
    Goal("cross entropy fwd+bwd, 2048x32000", r"cross-entropy-2048x32000-backward", 12.0),
    *[
        Goal(f"{name}, in L3", rf"{name}-1M", ratio)
        for name, ratio in (("gelu", 1.2), ("gelu-tanh", 5.0), ("tanh", 6.0), ("exp", 2.5), ("sigmoid", 1.5), ("silu", 1.5))
    ],
    Goal("add, relu, copy", r"(add|relu|clone)-(1M|16M)", 1.0),
    Goal("attention forward", ATTENTION, 2.1),
    Goal("attention forward, causal", rf"{ATTENTION}-causal", 2.6),
    Goal("attention fwd+bwd", rf"{ATTENTION}-backward", 2.2),
    Goal("attention fwd+bwd, causal", rf"{ATTENTION}-causal-backward", 2.6),
    Goal("attention with a mask", rf"{ATTENTION}-(float|bool|padding)(-backward)?", 1.8),
    Goal("attention with dropout", rf"{ATTENTION}-dropout(-backward)?", 2.5),
    Goal("attention bfloat16, forward", rf"{ATTENTION}-bf16(-causal)?", 3.5),
    Goal("attention bfloat16, fwd+bwd", rf"{ATTENTION}-bf16(-causal)?-backward", 3.0),
    Goal("LSTM fwd+bwd, H to 256", r"lstm-[\dx]+-backward", 1.12, sizes=lambda s: s[-1] <= 256),
    Goal("LSTM fwd+bwd, H = 512", r"lstm-[\dx]+-backward", 1.0, sizes=lambda s: s[-1] == 512),
    Goal("GRU fwd+bwd", r"gru-[\dx]+-backward", 2.3),
    Goal("cells fwd+bwd", r"(lstm|gru|rnn)-cell-[\dx]+-backward", 2.2),
    Goal("embedding, dense gradient", r"embedding-.*-backward", 2.5),
    Goal("order, places, reductions, copies of layouts", OTHERS, 1.0),
    Goal("optimisers, default settings", r"(optimizer-(sgd|adam|adamw)|(adam|adamw|sgd)-10M)", 3.0),
    Goal("optimisers against fused", r"(adam|adamw|sgd)-10M-fused", 1.0),
    Goal("add of 10 elements", r"add-10", seconds=0.25e-6),
    Goal("add of 10 elements, recorded", r"add-10-graph", seconds=0.30e-6),
    Goal("20 mul, sum, backward", r"mul-chain", seconds=30e-6),
    *[
        Goal(f"training step, {name}", rf"{name}-step", ratio)
        for name, ratio in (("mlp", 2.0), ("lenet", 3.5), ("gpt", 2.0), ("lstm-lm", 1.7), ("resnet18", 1.8))
    ],
)  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """A goal and what was measured: the worst case of the class and the middle of all."""

    goal: Goal
    cases: int
    worst_ratio: float | None
    worst_case: str
    mean_ratio: float | None
    worst_peak: float | None
    longest: float
    slower: tuple[str, ...]  # cases slower than the peer beyond its spread

    @property
    def reached(self) -> bool:
        """Every case of the class has what is wanted."""
        goal = self.goal
        return (
            not self.slower
            and (goal.ratio is None or (self.worst_ratio is not None and self.worst_ratio >= goal.ratio))
            and (goal.peak is None or (self.worst_peak is not None and self.worst_peak >= goal.peak))
            and (goal.seconds is None or self.longest <= goal.seconds)
        )


def judge(goal: Goal, results: Iterable[Record], peer: str = "torch") -> Verdict | None:
    """What was measured of a goal's class; None when no case of it was."""
    found = [result for result in results if goal.has(result["case"])]
    if not found:
        return None
    ratios = sorted((result["ratio"][peer], result["case"]) for result in found if peer in result["ratio"])
    peaks = [result["share_of_peak"] for result in found if result["share_of_peak"]]
    return Verdict(
        goal,
        len(found),
        ratios[0][0] if ratios else None,
        ratios[0][1] if ratios else "",
        geometric_mean([ratio for ratio, _ in ratios]) if ratios else None,
        min(peaks, default=None),
        max(result["seconds"]["tilegrad"] for result in found),
        tuple(result["case"] for result in found if peer in result["slower"]),
    )


def judge_all(results: Sequence[Record], peer: str = "torch") -> list[Verdict]:
    """A verdict for every goal whose class was measured."""
    return [verdict for goal in GOALS if (verdict := judge(goal, results, peer))]
