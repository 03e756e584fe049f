"""Handwritten digits with a multi-layer perceptron (rows A19 E01 E09 E10 E22).

A neuron is a = f(w . x + b); a layer of them is one matrix product; a network is a chain of layers:

    y = W3 f(W2 f(W1 x + b1) + b2) + b3,   f = ReLU, f(z) = max(0, z)

A tenth of the training images is kept aside (the "dev" set): the model of the epoch with the lowest dev loss is the one
that is tested, once, at the end.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import tilegrad as tg
from tilegrad import nn, optim
from tilegrad.course.trainer import Check, Recipe, accuracy, mean_loss, option, predict, preset, recipe
from tilegrad.course.trainer.digits import MNIST_HELP, digits
from tilegrad.utils.data import DataLoader, random_split


class Mlp(Recipe):
    name = "mlp"
    title = "Handwritten digits with a multi-layer perceptron"
    rows = "A19 E01 E09 E10 E22"
    kind = "classification"
    data = "digits, 1797 images of 8x8; MNIST with --mnist DIR"
    band = "test accuracy >= 0.96 (MNIST: 0.97)"
    seconds = 5
    full = preset(epochs=10, mnist="data")
    best = ("dev loss", "min")
    next_commands = ("tilegrad train mlp --set hidden=32", "tilegrad train softmax-reg", "tilegrad train critical-points")

    @dataclass
    class Options(recipe.Options):
        epochs: int = option(30, "passes over the training images")
        lr: float = option(2e-3, "step size of Adam")
        batch: int = option(64, "images per update")
        mnist: str = option("", MNIST_HELP)
        hidden: tuple[int, ...] = option((128, 64), "neurons of each hidden layer")
        split: int = option(1, "seed of the train/test split; the band is stated for 1")

    options: Options

    def setup(self) -> None:
        o = self.options
        rest, self.test = digits(o.mnist, o.split, flatten=True)
        train, dev = random_split(rest, [0.9, 0.1])
        self.dev = rest.select(dev.indices)
        self.loader = DataLoader(train, batch_size=o.batch, shuffle=True)
        sizes = (rest.data.shape[1], *o.hidden)
        layers: list[Any] = []
        for i, outputs in enumerate(o.hidden):
            layers += [nn.Linear(sizes[i], outputs), nn.ReLU()]
        self.model = nn.Sequential(*layers, nn.Linear(sizes[-1], 10))
        self.criterion = nn.CrossEntropyLoss()
        self.optimizer = optim.Adam(self.model.parameters(), lr=o.lr)

    def three_steps(self) -> tuple[str, str, str]:
        o = self.options
        chain = "-".join(map(str, (self.test.data.shape[1], *o.hidden, 10)))
        return f"{chain} neurons with ReLU between", "cross entropy", f"Adam, lr {o.lr:g}, batches of {o.batch}"

    def loss(self, batch: Any) -> Any:
        x, y = batch
        return self.criterion(self.model(x), y)

    def evaluate(self) -> dict[str, float]:
        return {
            "dev loss": mean_loss(self.model, self.criterion, self.dev.data, self.dev.targets),
            "dev accuracy": accuracy(self.model, self.dev.data, self.dev.targets),
        }

    def finish(self) -> dict[str, float]:
        return {**self.evaluate(), "test accuracy": accuracy(self.model, self.test.data, self.test.targets)}

    def checks(self, metrics: dict[str, float]) -> list[Check]:
        logits = predict(self.model, self.test.data)
        error = np.abs(logits.numpy() - self.by_hand()).max() / np.abs(logits.numpy()).max()
        return [
            Check.at_least("test accuracy", metrics["test accuracy"], 0.97 if self.options.mnist else 0.96, "E09 E22"),
            Check.at_most("logits against NumPy's, relative", error, 1e-5, "E10"),
            Check.true(
                "a saved model gives the same logits", bool((self.saved_and_loaded() == logits).all()), "bit for bit", "A19"
            ),
        ]

    def by_hand(self) -> np.ndarray:
        """The network as matrix products in NumPy, in float64 (row E10)."""
        a = self.test.data.double().numpy()  # (N, 64)
        linear = [layer for layer in self.model if isinstance(layer, nn.Linear)]
        for i, layer in enumerate(linear):
            a = a @ layer.weight.detach().double().numpy().T + layer.bias.detach().double().numpy()
            if i < len(linear) - 1:
                a = np.maximum(a, 0)
        return a  # (N, 10)

    def saved_and_loaded(self) -> Any:
        """The logits after a round trip through a file (row A19)."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "model.safetensors"
            tg.io.save(self.model.state_dict(), file)
            for parameter in self.model.parameters():
                parameter.data.fill_(0.0)
            self.model.load_state_dict(tg.io.load(file))
        return predict(self.model, self.test.data)
