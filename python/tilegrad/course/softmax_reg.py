"""Softmax regression on handwritten digits (rows D14-D16): one linear layer, and a softmax that turns it into chances.

    y_i = exp(z_i) / sum_j exp(z_j),  z = W x + b        the outputs are in (0, 1) and sum to 1
    loss = - log y[label]                                cross entropy with a one-hot target; its gradient is y - target

One-hot targets say that no digit is "nearer" to another: a 1 is not more like a 2 than like a 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tilegrad as tg
from tilegrad import nn, optim
from tilegrad.course.trainer import Check, Recipe, accuracy, mean_loss, option, preset, recipe
from tilegrad.course.trainer.digits import MNIST_HELP, digits
from tilegrad.nn import functional as F
from tilegrad.utils.data import DataLoader


class SoftmaxRegression(Recipe):
    name = "softmax-reg"
    title = "Softmax regression on handwritten digits"
    rows = "D14-D16"
    kind = "classification"
    data = "digits, 1797 images of 8x8; MNIST with --mnist DIR"
    band = "test accuracy >= 0.955 (MNIST: 0.91)"
    seconds = 3
    full = preset(epochs=10, mnist="data", lr=1e-3)
    next_commands = ("tilegrad train mlp", "tilegrad train softmax-reg --set lr=0.1")

    @dataclass
    class Options(recipe.Options):
        epochs: int = option(60, "passes over the training images")
        lr: float = option(5e-3, "step size of Adam")
        batch: int = option(64, "images per update")
        mnist: str = option("", MNIST_HELP)
        split: int = option(1, "seed of the train/test split; the band is stated for 1")

    options: Options

    def setup(self) -> None:
        o = self.options
        self.train, self.test = digits(o.mnist, o.split, flatten=True)
        self.loader = DataLoader(self.train, batch_size=o.batch, shuffle=True)
        self.model = nn.Linear(self.train.data.shape[1], 10)
        self.criterion = nn.CrossEntropyLoss()
        self.optimizer = optim.Adam(self.model.parameters(), lr=o.lr)

    def three_steps(self) -> tuple[str, str, str]:
        o = self.options
        return "y = softmax(W x + b), 10 classes", "cross entropy -log y[label]", f"Adam, lr {o.lr:g}, batches of {o.batch}"

    def loss(self, batch: Any) -> Any:
        x, y = batch
        return self.criterion(self.model(x), y)

    def evaluate(self) -> dict[str, float]:
        return {
            "train accuracy": accuracy(self.model, self.train.data, self.train.targets),
            "test loss": mean_loss(self.model, self.criterion, self.test.data, self.test.targets),
            "test accuracy": accuracy(self.model, self.test.data, self.test.targets),
        }

    def checks(self, metrics: dict[str, float]) -> list[Check]:
        low = 0.91 if self.options.mnist else 0.955
        return [Check.at_least("test accuracy", metrics["test accuracy"], low, "D16"), *softmax_claims(), gradient_claim()]


def softmax_claims() -> list[Check]:
    """Row D14: a softmax sums to 1, survives large inputs, and strengthens the largest one."""
    strong = F.softmax(tg.tensor([3.0, 1.0, -3.0]), dim=0)
    huge = F.softmax(tg.tensor([1e4, 0.0, -1e4]), dim=0)
    return [
        Check.within("softmax sums to", float(strong.sum()), 1, 1e-6, "D14"),
        Check.within("softmax(3, 1, -3)[0]", float(strong[0]), 0.88, 0.005, "D14"),
        Check.equal("softmax(1e4, 0, -1e4)[0]", float(huge[0]), 1, "D14"),
    ]


def gradient_claim() -> Check:
    """Row D15: the gradient of cross entropy with respect to the logits is (softmax - one-hot)."""
    z = tg.tensor([[3.0, 1.0, -3.0], [0.5, -0.5, 2.0]], requires_grad=True)
    label = tg.tensor([1, 2])
    F.cross_entropy(z, label, reduction="sum").backward()
    difference = z.grad - (F.softmax(z.detach(), dim=1) - F.one_hot(label, 3))
    return Check.at_most("|gradient - (y - target)|", float(difference.abs().max()), 1e-6, "D15")
