"""Deeper and worse, until there are short cuts (rows E18 H11).

More layers can do all that fewer can: the added ones need only pass on what they get. Yet a deep plain network has a higher
loss on its own *training* data than a shallow one. That is not over-fitting, and not a model too small: the optimisation
fails (E18). A residual block learns what to add to its input,

    y = relu(x + F(x))        instead of        y = relu(F(x))

so that "pass it on" is where it starts, and depth stops hurting (H11). Three networks see the same batches here: plain
shallow, plain deep, residual deep.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tilegrad as tg
from tilegrad import datasets, nn, optim
from tilegrad.course.trainer import Check, Recipe, accuracy, option, predict, preset, recipe
from tilegrad.models import PlainMini, ResNetMini
from tilegrad.nn import functional as F
from tilegrad.utils.data import DataLoader, TensorDataset


class ResnetDepth(Recipe):
    name = "resnet-depth"
    title = "Deeper and worse, until there are short cuts"
    rows = "E18 H11"
    kind = "classification"
    data = "digits, 1797 images of 8x8"
    band = "training loss: plain deep at least twice plain shallow; residual deep below both"
    seconds = 20
    smoke = preset(epochs=1, deep=2, shallow=1, width=4)
    full = preset(epochs=40, deep=27)
    next_commands = ("tilegrad train resnet-depth --full", "tilegrad train lenet")

    @dataclass
    class Options(recipe.Options):
        epochs: int = option(6, "passes over the training images")
        lr: float = option(0.1, "step size of SGD with momentum 0.9, falling to 0 as a cosine")
        batch: int = option(64, "images per update")
        width: int = option(16, "channels")
        shallow: int = option(3, "blocks of two convolutions in the shallow network: 2 n + 2 layers")
        deep: int = option(18, "blocks in the deep ones")
        split: int = option(1, "seed of the train/test split")

    options: Options

    def setup(self) -> None:
        o = self.options
        train, self.test = datasets.Digits(scale=True).split(o.split)
        self.train_x, self.train_y = train.data, train.targets
        self.loader = DataLoader(TensorDataset(train.data, train.targets), batch_size=o.batch, shuffle=True, drop_last=True)
        self.plain_shallow = PlainMini(o.shallow, o.width)
        self.plain_deep = PlainMini(o.deep, o.width)
        self.residual_deep = ResNetMini(o.deep, o.width)
        for model in self.networks().values():
            for module in model.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        self.optimizer = optim.SGD(
            [p for model in self.networks().values() for p in model.parameters()], lr=o.lr, momentum=0.9, weight_decay=1e-4
        )
        self.schedule = optim.lr_scheduler.CosineAnnealingLR(self.optimizer, len(self.loader) * self.epochs)

    def networks(self) -> dict[str, Any]:
        return {"plain shallow": self.plain_shallow, "plain deep": self.plain_deep, "residual deep": self.residual_deep}

    def three_steps(self) -> tuple[str, str, str]:
        o = self.options
        model = f"{2 * o.shallow + 2} plain, {2 * o.deep + 2} plain and {2 * o.deep + 2} residual layers"
        return model, "cross entropy, each its own", f"SGD with momentum, lr {o.lr:g}, the same batches for all"

    def optimize(self, batch: Any) -> dict[str, Any]:
        x, y = batch
        losses = {name: F.cross_entropy(model(x), y) for name, model in self.networks().items()}
        total: Any = sum(losses.values())  # the networks share nothing, so each gets its own gradient
        self.optimizer.zero_grad()
        total.backward()
        for model in self.networks().values():
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        self.optimizer.step()
        self.schedule.step()
        return {"loss": total / len(losses), **{f"{name} batch": loss for name, loss in losses.items()}}

    def evaluate(self) -> dict[str, float]:
        """The loss of each network on the training images, in evaluation mode."""
        return {f"{name} train loss": self.train_loss(model) for name, model in self.networks().items()}

    def train_loss(self, model: Any) -> float:
        with tg.no_grad():
            return float(F.cross_entropy(predict(model, self.train_x), self.train_y))

    def finish(self) -> dict[str, float]:
        tests = {
            f"{name} test accuracy": accuracy(model, self.test.data, self.test.targets)
            for name, model in self.networks().items()
        }
        return {**self.evaluate(), **tests}

    def checks(self, metrics: dict[str, float]) -> list[Check]:
        shallow, deep, residual = (metrics[f"{name} train loss"] for name in self.networks())
        return [
            Check.at_least("train loss, plain deep / plain shallow", deep / shallow, 2, "E18"),
            Check.at_most("train loss, residual deep / plain deep", residual / deep, 1, "H11"),
            Check.at_most("train loss, residual deep / plain shallow", residual / shallow, 1, "H11"),
            Check.equal("an unlearned residual block passes its input on", identity_error(), 0, "H11"),
        ]

    def figures(self, folder: Any) -> None:
        from tilegrad.course.trainer.measures import smooth
        from tilegrad.course.trainer.pictures import column, new_figure

        figure, axes = new_figure()
        for name in self.networks():
            updates, values = column(self.history, f"{name} batch")
            axes.semilogy(updates, smooth(values, 0.1), label=name)
        axes.set(xlabel="update", ylabel="training loss, smoothed", title="depth with and without short cuts")
        axes.legend()
        axes.grid(alpha=0.3)
        figure.savefig(folder / "depth.png", dpi=120, metadata={"Software": None})


def identity_error() -> float:
    """|block(x) - x| for x >= 0 when F's last normalisation has weight 0: the block is the identity."""
    from tilegrad.models.resnet import ConvBlock

    block = ConvBlock(3, 3).eval()
    nn.init.zeros_(block.norm2.weight)
    x = tg.rand(2, 3, 5, 5)
    with tg.no_grad():
        return float((block(x) - x).abs().max())
