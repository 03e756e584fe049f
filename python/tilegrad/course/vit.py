"""A Vision Transformer reads digits (row I10): an image is a set of patches.

Self-attention takes a set of vectors. Here the vectors are the 16 patches of 2 x 2 pixels of an 8 x 8 image, each with a
learned vector for its place, and one more token that gathers the answer:

    h = [class, patch_1 .. patch_16] + positions,    h = encoder(h),    scores = W h_class

A convolution decides by its kernel size what belongs together; attention learns it, and knows nothing of order but what the
position vectors tell it: swap two patches together with their positions and the answer is the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import tilegrad as tg
from tilegrad import datasets, nn, optim
from tilegrad.course.trainer import Check, Recipe, accuracy, mean_loss, option, predict, preset, recipe
from tilegrad.models import ViTMini
from tilegrad.nn import functional as F
from tilegrad.utils.data import DataLoader, TensorDataset


class Vit(Recipe):
    name = "vit"
    title = "A Vision Transformer reads digits"
    rows = "I10"
    kind = "classification"
    data = "digits, 1797 images of 8x8"
    band = "test accuracy >= 0.95"
    seconds = 40
    smoke = preset(epochs=2, width=32, layers=1)
    full = preset(epochs=150)
    best = ("dev loss", "min")
    next_commands = ("tilegrad train vit --patch 1", "tilegrad train self-attention", "tilegrad train lenet")

    @dataclass
    class Options(recipe.Options):
        epochs: int = option(40, "passes over the training images")
        lr: float = option(2e-3, "step size of AdamW, after a warm-up of 5 % falling to 0 as a cosine")
        batch: int = option(32, "images per update")
        patch: int = option(2, "pixels of a patch's side: 1, 2, 4 or 8")
        width: int = option(64, "size of a token's vector")
        heads: int = option(4, "heads of attention")
        layers: int = option(3, "layers of the encoder")
        dropout: float = option(0.2, "share of activations dropped")
        shift: int = option(0, "images are moved by up to so many pixels while training")
        split: int = option(1, "seed of the train/test split; the band is stated for 1")

    options: Options

    def setup(self) -> None:
        o = self.options
        rest, self.test = datasets.Digits(scale=True).split(o.split)
        order = np.random.default_rng(0).permutation(len(rest))
        self.dev, train = rest.select(order[: len(rest) // 10]), rest.select(order[len(rest) // 10 :])
        self.loader = DataLoader(TensorDataset(train.data, train.targets), batch_size=o.batch, shuffle=True)
        self.model = ViTMini(8, o.patch, o.width, o.heads, o.layers, dropout=o.dropout)
        self.criterion = nn.CrossEntropyLoss()
        self.optimizer = optim.AdamW(self.model.parameters(), lr=o.lr, weight_decay=0.05)
        total = len(self.loader) * self.epochs
        warm = max(1, total // 20)

        def factor(update: int) -> float:
            return (update + 1) / warm if update < warm else 0.5 + 0.5 * float(np.cos(np.pi * (update - warm) / (total - warm)))

        self.schedule = optim.lr_scheduler.LambdaLR(self.optimizer, factor)

    def three_steps(self) -> tuple[str, str, str]:
        o = self.options
        count = (8 // o.patch) ** 2
        model = f"{count} patches + 1 token of {o.width} numbers, {o.layers} layers, {o.heads} heads"
        return model, "cross entropy", f"AdamW, lr {o.lr:g}, warm-up and cosine"

    def loss(self, batch: Any) -> Any:
        x, y = batch
        return self.criterion(self.model(self.shifted(x)), y)

    def shifted(self, x: Any) -> Any:
        """The batch, moved by a random step; what comes in from outside is black."""
        n = self.options.shift
        if not n:
            return x
        down, right = (int(step) for step in self.rng.integers(0, 2 * n + 1, 2))
        return F.pad(x, (n, n, n, n))[:, :, down : down + 8, right : right + 8]

    def optimize(self, batch: Any) -> Any:
        loss = super().optimize(batch)
        self.schedule.step()
        return loss

    def evaluate(self) -> dict[str, float]:
        return {
            "dev loss": mean_loss(self.model, self.criterion, self.dev.data, self.dev.targets),
            "dev accuracy": accuracy(self.model, self.dev.data, self.dev.targets),
        }

    def finish(self) -> dict[str, float]:
        return {**self.evaluate(), "test accuracy": accuracy(self.model, self.test.data, self.test.targets)}

    def checks(self, metrics: dict[str, float]) -> list[Check]:
        return [
            Check.at_least("test accuracy", metrics["test accuracy"], 0.95, "I10"),
            Check.at_most(
                "patches swapped together with their places: change of the scores", self.swap_difference(), 1e-4, "I10"
            ),
            Check.at_least(
                "patches swapped without their places: change of the scores", self.swap_difference(False), 1e-2, "I10"
            ),
        ]

    def swap_difference(self, with_places: bool = True) -> float:
        """Largest change of the scores when the patches come in another order: attention knows order by position only."""
        x = self.test.data[:20]
        with tg.no_grad():
            before = predict(self.model, x)
            order = tg.tensor(np.random.default_rng(0).permutation((8 // self.options.patch) ** 2))
            h = self.model.embed(self.model.patches(x)[:, order])
            places = self.model.position[:, 1:][:, order] if with_places else self.model.position[:, 1:]
            first = (self.model.class_token + self.model.position[:, :1]).expand(len(h), -1, -1)
            after = self.model.head(self.model.encoder(tg.cat([first, h + places], dim=1))[:, 0])
        return float((after - before).abs().max())
