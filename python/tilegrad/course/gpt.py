"""A small GPT writes help texts (rows M12 M13 K09 K20).

Every token looks at the tokens to its left, as many as it likes at once, and the network guesses the next one:

    x = x + attention(norm(x))          masked: token t sees 1..t
    x = x + mlp(norm(x))                each position by itself
    p(next) = softmax(E norm(x))        E is the table of token vectors

Nobody labels anything: the text is its own teacher. It is trained on windows of CPython's help topics and prints what it
would write after every epoch. With a cache of keys and values each further token costs one row of attention.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

import tilegrad as tg
from tilegrad import nn, optim
from tilegrad.course.trainer import Check, Recipe, option, preset, recipe
from tilegrad.course.trainer.text import bits_per_character, ngram_bits, show_text
from tilegrad.datasets import PydocText
from tilegrad.models import GPTMini
from tilegrad.nn import functional as F


class Gpt(Recipe):
    name = "gpt"
    title = "A small GPT writes help texts"
    rows = "M12 M13 K09 K20"
    kind = "generation"
    data = "CPython's help topics, 465,000 characters"
    band = "test bits/char <= 3.55 and below the bigram's"
    seconds = 30
    smoke = preset(epochs=2, updates=8, batch=4, length=16, width=32, heads=2, layers=1)
    full = preset(epochs=60, updates=100, width=192, heads=6, layers=6, length=128, dropout=0.1)
    best = ("valid bits/char", "min")
    next_commands = ("tilegrad train gpt --full", "tilegrad train char-lm", "tilegrad train vit")

    @dataclass
    class Options(recipe.Options):
        epochs: int = option(8, "evaluations; each after `updates` updates")
        updates: int = option(50, "updates between two evaluations")
        lr: float = option(3e-3, "step size of AdamW, after 20 updates of warm-up falling to 0 as a cosine")
        batch: int = option(32, "windows per update")
        length: int = option(64, "characters the model sees")
        width: int = option(128, "size of a token's vector")
        heads: int = option(4, "heads of attention")
        layers: int = option(3, "blocks")
        dropout: float = option(0.0, "share of activations dropped")

    options: Options

    def setup(self) -> None:
        o = self.options
        self.text = {part: PydocText(part, length=o.length) for part in ("train", "valid", "test")}
        train = self.text["train"]
        self.model = GPTMini(len(train.vocabulary), o.length, o.width, o.heads, o.layers, o.dropout)
        decayed = [p for p in self.model.parameters() if p.ndim == 2]
        others = [p for p in self.model.parameters() if p.ndim != 2]
        groups = [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = optim.AdamW(groups, lr=o.lr, betas=(0.9, 0.95))
        total = o.updates * self.epochs
        warm = min(20, max(1, total // 10))

        def factor(update: int) -> float:
            return (update + 1) / warm if update < warm else 0.5 + 0.5 * float(np.cos(np.pi * (update - warm) / (total - warm)))

        self.schedule = optim.lr_scheduler.LambdaLR(self.optimizer, factor)
        numbers = {part: windows.ids.numpy() for part, windows in self.text.items()}
        self.bigram = ngram_bits(numbers["train"], numbers["test"], len(train.vocabulary))

    def three_steps(self) -> tuple[str, str, str]:
        o = self.options
        model = f"{o.layers} blocks of width {o.width}, {o.heads} heads, context {o.length}"
        return model, "cross entropy of the next character", f"AdamW, lr {o.lr:g}, warm-up and cosine"

    def batches(self, epoch: int) -> Iterable[Any]:
        """Where the windows of each update begin, at random."""
        o, last = self.options, len(self.text["train"].ids) - self.options.length - 1
        return [self.rng.integers(0, last, o.batch) for _ in range(o.updates)]

    def loss(self, batch: Any) -> Any:
        ids = self.text["train"].ids.numpy()
        windows = ids[batch[:, None] + np.arange(self.options.length + 1)]  # (B, T + 1)
        x, y = tg.tensor(windows[:, :-1]), tg.tensor(windows[:, 1:])
        return F.cross_entropy(self.model(x).flatten(0, 1), y.flatten())

    def optimize(self, batch: Any) -> Any:
        loss = self.loss(batch)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.schedule.step()
        return loss

    def evaluate(self) -> dict[str, float]:
        return {"valid bits/char": bits_per_character(self.model, self.text["valid"])}

    def sample(self) -> list[str]:
        return self.write("The ", 160, temperature=0.8)

    def write(self, prompt: str, count: int, **how: Any) -> list[str]:
        text = self.text["train"]
        ids = self.model.generate(text.encode(prompt)[None], count, generator=tg.Generator().manual_seed(0), **how)
        return show_text(text.decode(ids[0]))

    def finish(self) -> dict[str, float]:
        return {
            **self.evaluate(),
            "test bits/char": bits_per_character(self.model, self.text["test"]),
            "bigram's": self.bigram,
        }

    def checks(self, metrics: dict[str, float]) -> list[Check]:
        bits = metrics["test bits/char"]
        return [
            Check.at_most("test bits/char", bits, 3.55, "M13"),
            Check.at_most("test bits/char / the bigram's", bits / self.bigram, 1, "M13"),
            Check.equal("change of past outputs by a future character", self.leak(), 0, "K09"),
            Check.at_most("logits with the cache against without", self.cache_difference(), 1e-4, "K08"),
            Check.true(
                "temperature 0 is greedy", self.write("def ", 40, temperature=0) == self.greedy("def ", 40), "equal", "K20"
            ),
        ]

    def leak(self) -> float:
        """Largest change of the outputs before the last place when the last character is another one."""
        (x, _), last = self.text["test"].get_batch([0]), self.options.length - 1  # type: ignore[misc]
        other = x.clone()
        other[0, last] = (x[0, last] + 1) % len(self.text["test"].vocabulary)
        with tg.no_grad():
            return float((self.model(x)[:, :last] - self.model(other)[:, :last]).abs().max())

    def cache_difference(self) -> float:
        x, _ = self.text["test"].get_batch([1])  # type: ignore[misc]
        with tg.no_grad():
            whole = self.model(x)
            cache: Any = []
            parts = [self.model(x[:, t : t + 1], cache) for t in range(x.shape[1])]
        return float((tg.cat(parts, dim=1) - whole).abs().max())

    def greedy(self, prompt: str, count: int) -> list[str]:
        """The most likely character each time, without cache or sampling."""
        text = self.text["train"]
        ids = text.encode(prompt)[None]
        with tg.no_grad():
            for _ in range(min(count, self.options.length - len(prompt))):
                ids = tg.cat([ids, self.model(ids)[:, -1].argmax(-1)[:, None]], dim=1)
        return show_text(text.decode(ids[0]))
