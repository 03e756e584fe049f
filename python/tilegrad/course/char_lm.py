"""A language model of characters with a recurrent network (rows J03 J06-J08 J10 J11 M12).

The network reads one character after another and guesses the next; what it has read is in its state h (and c):

    rnn    h = tanh(W x + U h + b)
    lstm   c = f c + i g,   h = o tanh(c)           three gates f, i, o and a candidate g, each from (x, h)
    gru    h = (1 - z) n + z h                      two gates, three quarters of the LSTM's weights

It is trained on sequences that go on from batch to batch: the state is carried over, the gradient is cut
(truncated backpropagation through time, J11). The text is CPython's own help topics. A model that knows only the previous
character, the bigram, is the baseline, computed at run time: the text differs between versions of Python.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import tilegrad as tg
from tilegrad import nn, optim
from tilegrad.course.trainer import Check, Recipe, option, preset, recipe
from tilegrad.course.trainer.text import bits_per_character, ngram_bits, show_text
from tilegrad.datasets import PydocText
from tilegrad.models import CharRnn
from tilegrad.nn import functional as F


class CharLm(Recipe):
    name = "char-lm"
    title = "A character language model: RNN, LSTM, GRU"
    rows = "J03 J06-J08 J10 J11 M12"
    kind = "generation"
    data = "CPython's help topics, 465,000 characters"
    band = "lstm: test bits/char <= 3.4 and below the bigram's (about 3.6)"
    seconds = 30
    smoke = preset(epochs=2, batch=8, width=16, length=16, updates=20)
    full = preset(epochs=60, width=384, layers=2, dropout=0.2)
    best = ("valid bits/char", "min")
    next_commands = ("tilegrad train char-lm --cell gru", "tilegrad train char-lm --cell rnn", "tilegrad train gpt")

    @dataclass
    class Options(recipe.Options):
        epochs: int = option(6, "passes over the training text")
        lr: float = option(4e-3, "step size of Adam, falling to 0 as a cosine")
        batch: int = option(32, "places of the text that are read side by side")
        length: int = option(64, "characters between two updates: how far the gradient reaches back")
        width: int = option(192, "size of embedding and state")
        layers: int = option(1, "cells on top of each other")
        cell: Literal["lstm", "gru", "rnn"] = option("lstm", "the cell")
        peephole: bool = option(False, "lstm: the gates see the cell, too")
        dropout: float = option(0.0, "between the layers and before the output")
        updates: int = option(0, "at most so many updates per epoch; 0 is all")

    options: Options

    def setup(self) -> None:
        o = self.options
        self.text = {part: PydocText(part, length=o.length) for part in ("train", "valid", "test")}
        train = self.text["train"]
        extra = {"peephole": True} if o.peephole else {}
        self.model = CharRnn(len(train.vocabulary), o.width, o.layers, o.cell, o.dropout, **extra)
        self.optimizer = optim.Adam(self.model.parameters(), lr=o.lr)
        per_place = len(train.ids) // o.batch
        self.places = train.ids[: per_place * o.batch].reshape(o.batch, per_place)  # (B, characters of one place)
        self.steps = (per_place - 1) // o.length
        self.steps = min(self.steps, o.updates) if o.updates else self.steps
        self.schedule = optim.lr_scheduler.CosineAnnealingLR(self.optimizer, self.steps * self.epochs)
        self.carried: list[Any] = []  # the state after the last batch; [] before the first
        self.remember = ("carried",)
        numbers = {part: windows.ids.numpy() for part, windows in self.text.items()}
        self.bigram = ngram_bits(numbers["train"], numbers["test"], len(train.vocabulary))

    def three_steps(self) -> tuple[str, str, str]:
        o = self.options
        return (
            f"{len(self.text['train'].vocabulary)} symbols, {o.layers} x {o.cell} of {o.width}",
            "cross entropy of the next character",
            f"Adam, lr {o.lr:g}, gradients cut after {o.length} characters",
        )

    def batches(self, epoch: int) -> Iterable[Any]:
        n = self.options.length
        return [(self.places[:, i * n : i * n + n], self.places[:, i * n + 1 : i * n + n + 1]) for i in range(self.steps)]

    def begin_epoch(self, epoch: int) -> None:
        self.carried = []

    def loss(self, batch: Any) -> Any:
        x, y = batch
        lstm = self.options.cell == "lstm"
        state = None if not self.carried else tuple(self.carried) if lstm else self.carried[0]
        logits, state = self.model(x, state)
        self.carried = [part.detach() for part in (state if lstm else [state])]  # here the gradient is cut
        return F.cross_entropy(logits.flatten(0, 1), y.flatten())

    def optimize(self, batch: Any) -> Any:
        loss = self.loss(batch)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)  # F18: without it a plain RNN meets a cliff now and then
        self.optimizer.step()
        self.schedule.step()
        return loss

    def bits(self, part: str) -> float:
        return bits_per_character(lambda x: self.model(x)[0], self.text[part])

    def evaluate(self) -> dict[str, float]:
        return {"valid bits/char": self.bits("valid")}

    def sample(self) -> list[str]:
        prompt = self.text["train"].encode("The ")[None]
        ids = self.model.generate(prompt, 160, temperature=0.7, generator=tg.Generator().manual_seed(0))
        return show_text(self.text["train"].decode(ids[0]))

    def finish(self) -> dict[str, float]:
        return {**self.evaluate(), "test bits/char": self.bits("test"), "bigram's": self.bigram}

    def checks(self, metrics: dict[str, float]) -> list[Check]:
        bits = metrics["test bits/char"]
        checks = [
            Check.at_most("test bits/char / the bigram's", bits / self.bigram, 1, "M12"),
            Check.at_most("carrying the state: stacked cells against the fused sequence", self.cells_difference(), 1e-5, "J06"),
            Check.at_most("uncut gradient: whole sequence against step by step", self.gradient_difference(), 1e-4, "J11"),
        ]
        if self.options.cell == "lstm":
            checks.insert(0, Check.at_most("test bits/char", bits, 3.4, "J07"))
        return checks

    def cells_difference(self) -> float:
        """Largest difference between the sequence in one call and character by character with the state handed on."""
        x, _ = self.text["test"].get_batch([0, 1])  # type: ignore[misc]
        with tg.no_grad():
            whole, _ = self.model(x)
            state, parts = None, []
            for t in range(x.shape[1]):
                logits, state = self.model(x[:, t : t + 1], state)
                parts.append(logits)
        return float((tg.cat(parts, dim=1) - whole).abs().max())

    def gradient_difference(self) -> float:
        """Row J11: backpropagation through the steps, one graph, gives the gradient of the sequence (relative)."""
        x, y = self.text["test"].get_batch([2])  # type: ignore[misc]
        weight = next(p for name, p in self.model.named_parameters() if "weight_hh" in name)
        loss = F.cross_entropy(self.model(x)[0].flatten(0, 1), y.flatten())
        (at_once,) = tg.autograd.grad(loss, weight)
        state, total = None, tg.zeros(())
        for t in range(x.shape[1]):
            logits, state = self.model(x[:, t : t + 1], state)
            total = total + F.cross_entropy(logits[:, 0], y[:, t]) / x.shape[1]
        (by_steps,) = tg.autograd.grad(total, weight)
        assert at_once is not None and by_steps is not None
        return float((at_once - by_steps).norm() / at_once.norm())
