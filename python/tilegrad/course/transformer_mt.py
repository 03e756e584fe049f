"""A Transformer translates names (rows K04-K09 K11 K12 K18 K29).

The encoder reads the English name of a country or language, character by character; the decoder writes the German one.

    encoder layer    self-attention over the source -> add & norm -> feed-forward -> add & norm
    decoder layer    masked self-attention -> add & norm -> cross attention: queries from the decoder,
                     keys and values from the encoder -> add & norm -> feed-forward -> add & norm

While training, the decoder is given the right beginning of the answer (teacher forcing) and asked for each next character,
END included; all places at once, since a mask hides what comes later. When it translates it is fed its own characters. Greedy
search takes the most likely character each time; beam search keeps several beginnings and finds likelier answers (K18).

A recurrent network reads in as many steps as there are characters, a convolution sees a window; attention reaches every place
in one step, for a price that grows with the square of the length (K29).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

import tilegrad as tg
from tilegrad import nn, optim
from tilegrad.course.trainer import Check, Recipe, option, preset, recipe
from tilegrad.course.trainer.text import bleu
from tilegrad.datasets import CountryNames
from tilegrad.models.translator import BOS, EOS, PAD, Translator
from tilegrad.nn import functional as F


class TransformerMt(Recipe):
    name = "transformer-mt"
    title = "A Transformer translates the names of countries and languages"
    rows = "K04-K09 K11 K12 K18 K29"
    kind = "sequence to sequence"
    data = "names from pycountry, English to German"
    band = "BLEU above copying the source; test loss below 60 % of the first; beam never less likely than greedy"
    seconds = 40
    needs = ("pycountry",)
    smoke = preset(epochs=2, pairs=128, width=32, layers=1, judged=20)
    full = preset(epochs=150, width=192, layers=3)
    best = ("dev loss", "min")
    next_commands = ("tilegrad train transformer-mt --language fr", "tilegrad train gpt", "tilegrad train self-attention")

    @dataclass
    class Options(recipe.Options):
        epochs: int = option(20, "passes over the training pairs")
        lr: float = option(2e-3, "step size of Adam, after a warm-up of 10 % falling to 0 as a cosine")
        batch: int = option(64, "pairs per update")
        width: int = option(96, "size of a token's vector")
        heads: int = option(4, "heads of attention")
        layers: int = option(2, "layers of the encoder and of the decoder")
        dropout: float = option(0.1, "share of activations dropped")
        smoothing: float = option(0.1, "label smoothing")
        norm_first: bool = option(True, "normalise before each part, not after it")
        language: str = option("de", "a locale that pycountry knows")
        longest: int = option(28, "leave out pairs with a longer name")
        pairs: int = option(0, "at most so many training pairs; 0 is all")
        beam: int = option(4, "beginnings that beam search keeps")
        judged: int = option(200, "test pairs that are translated at the end")

    options: Options

    def setup(self) -> None:
        o = self.options
        names = CountryNames(o.language, ("countries", "languages"), max_length=o.longest)
        names.pairs = [pair for pair in names.pairs if pair[0] != pair[1]]  # what has to be translated at all
        train, test = names.split(seed=1)
        self.symbols = sorted({c for pair in names.pairs for text in pair for c in text})
        self.number = {c: i + EOS + 1 for i, c in enumerate(self.symbols)}
        order = np.random.default_rng(0).permutation(len(train))
        held = len(train) // 10
        self.train_pairs = [train[int(i)] for i in order[held:]][: o.pairs or None]
        self.dev_pairs, self.test_pairs = [train[int(i)] for i in order[:held]], list(test.pairs)
        self.model = Translator(len(self.symbols) + EOS + 1, o.width, o.heads, o.layers, o.longest + 2, o.dropout, o.norm_first)
        self.optimizer = optim.Adam(self.model.parameters(), lr=o.lr, betas=(0.9, 0.98))
        total = -(-len(self.train_pairs) // o.batch) * self.epochs
        warm = max(1, total // 10)

        def factor(update: int) -> float:
            return (update + 1) / warm if update < warm else 0.5 + 0.5 * float(np.cos(np.pi * (update - warm) / (total - warm)))

        self.schedule = optim.lr_scheduler.LambdaLR(self.optimizer, factor)
        self.first_loss = self.dev_loss(self.test_pairs)

    def three_steps(self) -> tuple[str, str, str]:
        o = self.options
        model = f"encoder and decoder, {o.layers} layers of width {o.width} each, {o.heads} heads"
        return model, "cross entropy of the next character, END included", f"Adam, lr {o.lr:g}, {len(self.train_pairs)} pairs"

    # --- text and numbers ---------------------------------------------------------------------------------------------

    def numbers(self, texts: list[str], begin: bool = False) -> Any:
        """Token numbers (B, T) of texts, each with END, filled up with PAD; with BEGIN in front for the decoder."""
        rows = [[BOS] * begin + [self.number[c] for c in text] + [EOS] for text in texts]
        table = np.full((len(rows), max(map(len, rows))), PAD)
        for row, values in zip(table, rows, strict=True):
            row[: len(values)] = values
        return tg.tensor(table)

    def text(self, tokens: list[int]) -> str:
        return "".join(self.symbols[t - EOS - 1] for t in tokens)

    def pair_loss(self, pairs: list[tuple[str, str]], smoothing: float = 0.0) -> Any:
        source = self.numbers([english for english, _ in pairs])
        target = self.numbers([other for _, other in pairs], begin=True)
        logits = self.model(source, target[:, :-1])
        return F.cross_entropy(logits.flatten(0, 1), target[:, 1:].flatten(), ignore_index=PAD, label_smoothing=smoothing)

    # --- training -----------------------------------------------------------------------------------------------------

    def batches(self, epoch: int) -> Iterable[Any]:
        """Pairs of about the same length together, so that little is padding; the batches in random order."""
        o = self.options
        length = np.array([len(a) + len(b) for a, b in self.train_pairs]) + self.rng.random(len(self.train_pairs)) * 6
        order = np.argsort(length)
        chunks = [order[i : i + o.batch] for i in range(0, len(order), o.batch)]
        return [[self.train_pairs[i] for i in chunks[c]] for c in self.rng.permutation(len(chunks))]

    def loss(self, batch: Any) -> Any:
        return self.pair_loss(batch, self.options.smoothing)

    def optimize(self, batch: Any) -> Any:
        loss = self.loss(batch)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.schedule.step()
        return loss

    def dev_loss(self, pairs: list[tuple[str, str]]) -> float:
        was_training = self.model.training
        self.model.eval()
        with tg.no_grad():
            parts = [(float(self.pair_loss(pairs[i : i + 200])), len(pairs[i : i + 200])) for i in range(0, len(pairs), 200)]
        self.model.train(was_training)
        return sum(loss * n for loss, n in parts) / sum(n for _, n in parts)

    def evaluate(self) -> dict[str, float]:
        return {"dev loss": self.dev_loss(self.dev_pairs)}

    def sample(self) -> list[str]:
        pairs = self.dev_pairs[:3]
        answers, _ = self.model.greedy(self.numbers([english for english, _ in pairs]))
        return [f"{e} -> {self.text(a)}   ({o})" for (e, o), a in zip(pairs, answers, strict=True)]

    # --- how good is it -----------------------------------------------------------------------------------------------

    def finish(self) -> dict[str, float]:
        pairs = self.test_pairs[: self.options.judged]
        sources, references = [e for e, _ in pairs], [o for _, o in pairs]
        numbers = self.numbers(sources)
        greedy, self.greedy_scores = self.model.greedy(numbers)
        beam, self.beam_scores = self.model.beam(numbers, self.options.beam)
        self.translations = [self.text(tokens) for tokens in beam]
        written = [self.text(tokens) for tokens in greedy]
        return {
            **self.evaluate(),
            "test loss": self.dev_loss(self.test_pairs),
            "BLEU": bleu(self.translations, references),
            "greedy BLEU": bleu(written, references),
            "BLEU of copying": bleu(sources, references),
            "exact": float(np.mean([a == b for a, b in zip(self.translations, references, strict=True)])),
        }

    def remarks(self) -> list[str]:
        if not hasattr(self, "translations"):
            return []
        return [
            f"{english} -> {ours}" + ("" if ours == other else f"   ({other})")
            for (english, other), ours in list(zip(self.test_pairs, self.translations, strict=False))[:8]
        ]

    def checks(self, metrics: dict[str, float]) -> list[Check]:
        lowest = float((self.beam_scores - self.greedy_scores).min())
        return [
            Check.at_least("BLEU above copying the source by", metrics["BLEU"] - metrics["BLEU of copying"], 0, "K07"),
            Check.at_most("test loss / before training", metrics["test loss"] / self.first_loss, 0.6, "K07 K12"),
            Check.at_least("beam - greedy, log-probability, worst pair", lowest, 0, "K18"),
            Check.equal("change of earlier outputs by a later character", self.leak(), 0, "K09"),
            Check.at_most("change of an output by more padding", self.padding_difference(), 1e-4, "K11"),
        ]

    def leak(self) -> float:
        """Row K09: the last character of the decoder's input must not reach earlier outputs."""
        (english, other) = self.test_pairs[0]
        source, target = self.numbers([english]), self.numbers([other], begin=True)
        changed = target.clone()
        changed[0, -1] = BOS
        with tg.no_grad():
            self.model.eval()
            return float((self.model(source, target)[:, :-1] - self.model(source, changed)[:, :-1]).abs().max())

    def padding_difference(self) -> float:
        """The answer to a source must not depend on how far its batch was filled up."""
        (english, other) = self.test_pairs[0]
        source, target = self.numbers([english]), self.numbers([other], begin=True)
        wider = tg.cat([source, tg.full((1, 3), PAD, dtype=tg.int64)], dim=1)
        with tg.no_grad():
            self.model.eval()
            return float((self.model(source, target) - self.model(wider, target)).abs().max())
