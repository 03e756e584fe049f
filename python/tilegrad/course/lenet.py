"""LeNet reads digits (rows H01 H07-H09 E22).

    image -> [convolution 5x5 -> ReLU -> max pooling 2x2] twice -> flatten -> 120 -> 84 -> 10 scores

A filter is a small pattern that is looked for everywhere in the image: 25 weights instead of one for each pixel and
neuron. Pooling has no weights; it keeps the strongest answer of 2 x 2 neighbours and halves the image (H07).

The digits of 8 x 8 pixels are shown as 32 x 32, each pixel four times four. ``--mnist DIR`` reads the official MNIST files
in DIR instead (train-images-idx3-ubyte.gz and its three companions); with ``--full`` they are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import tilegrad as tg
from tilegrad import nn, optim
from tilegrad.course.trainer import Check, Recipe, accuracy, mean_loss, option, predict, preset, recipe
from tilegrad.course.trainer.digits import MNIST_HELP, digits
from tilegrad.models import LeNet
from tilegrad.utils.data import DataLoader, TensorDataset


class Lenet(Recipe):
    name = "lenet"
    title = "LeNet reads digits"
    rows = "H01 H07-H09 E22"
    kind = "classification"
    data = "digits, 1797 images, shown as 32x32; MNIST with --mnist DIR"
    band = "test accuracy >= 0.975 (MNIST, --full: 0.985)"
    seconds = 10
    smoke = preset(epochs=2)
    full = preset(epochs=6, mnist="data", batch=64)
    best = ("dev loss", "min")
    next_commands = (
        "tilegrad train lenet --mnist DIR --full",
        "tilegrad train resnet-depth",
        "tilegrad train vit",
    )

    @dataclass
    class Options(recipe.Options):
        epochs: int = option(20, "passes over the training images")
        lr: float = option(2e-3, "step size of Adam, falling to 0 as a cosine")
        batch: int = option(32, "images per update")
        mnist: str = option("", MNIST_HELP)
        split: int = option(1, "seed of the train/test split of the digits; the band is stated for 1")

    options: Options

    def setup(self) -> None:
        o = self.options
        train, test = digits(o.mnist, o.split, enlarge=4)
        (x, y), (self.test_x, self.test_y) = (train.data, train.targets), (test.data, test.targets)
        order = np.random.default_rng(0).permutation(len(x))  # a tenth is kept aside to choose the best epoch
        dev, rest = (tg.tensor(part) for part in np.split(order, [len(x) // 10]))
        self.dev_x, self.dev_y = x[dev], y[dev]
        self.loader = DataLoader(TensorDataset(x[rest], y[rest]), batch_size=o.batch, shuffle=True)
        self.model = LeNet(size=x.shape[-1])
        self.criterion = nn.CrossEntropyLoss()
        self.optimizer = optim.Adam(self.model.parameters(), lr=o.lr)
        self.schedule = optim.lr_scheduler.CosineAnnealingLR(self.optimizer, len(self.loader) * self.epochs)

    def three_steps(self) -> tuple[str, str, str]:
        o = self.options
        return "conv 5-6, pool, conv 5-16, pool, 120-84-10", "cross entropy", f"Adam, lr {o.lr:g}, batches of {o.batch}"

    def loss(self, batch: Any) -> Any:
        x, y = batch
        return self.criterion(self.model(x), y)

    def optimize(self, batch: Any) -> Any:
        loss = super().optimize(batch)
        self.schedule.step()
        return loss

    def evaluate(self) -> dict[str, float]:
        return {
            "dev loss": mean_loss(self.model, self.criterion, self.dev_x, self.dev_y),
            "dev accuracy": accuracy(self.model, self.dev_x, self.dev_y),
        }

    def finish(self) -> dict[str, float]:
        parts = [accuracy(self.model, x, y) * len(x) for x, y in self.test_parts()]
        return {**self.evaluate(), "test accuracy": sum(parts) / len(self.test_x)}

    def test_parts(self) -> Any:
        """The test set in pieces, so that ten thousand images do not need the memory of their feature maps at once."""
        return ((self.test_x[i : i + 1000], self.test_y[i : i + 1000]) for i in range(0, len(self.test_x), 1000))

    def checks(self, metrics: dict[str, float]) -> list[Check]:
        logits = predict(self.model, self.test_x[:50])
        error = float(np.abs(logits.numpy() - self.by_hand(self.test_x[:50])).max()) / float(logits.abs().max())
        weights = sum(p.numel() for p in self.model.parameters())
        pooling = sum(p.numel() for layer in self.model if isinstance(layer, nn.MaxPool2d) for p in layer.parameters())
        low = 0.985 if self.options.mnist else 0.975
        return [
            Check.at_least("test accuracy", metrics["test accuracy"], low, "H09 E22"),
            Check.at_most("logits against NumPy's, relative", error, 1e-5, "H08"),
            Check.equal("weights", weights, 61706, "H09"),
            Check.equal("weights of pooling", pooling, 0, "H07"),
            Check.equal("a full layer of 1000 neurons on 3 x 100 x 100 would have weights", 3 * 100 * 100 * 1000, 3e7, "H01"),
        ]

    def by_hand(self, x: Any) -> np.ndarray:
        """The network in NumPy, in float64: every convolution as the sum over its 25 shifts."""
        a = x.double().numpy()
        for layer in self.model:
            if isinstance(layer, nn.Conv2d):
                w, b = (p.detach().double().numpy() for p in (layer.weight, layer.bias))
                pad = layer.padding[0]
                a = np.pad(a, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
                height, width = a.shape[2] - 4, a.shape[3] - 4
                shifted = (
                    np.einsum("nchw,oc->nohw", a[:, :, i : i + height, j : j + width], w[:, :, i, j])
                    for i in range(5)
                    for j in range(5)
                )
                a = sum(shifted) + b[:, None, None]
            elif isinstance(layer, nn.MaxPool2d):
                n, c, h, w_ = a.shape
                a = a.reshape(n, c, h // 2, 2, w_ // 2, 2).max((3, 5))
            elif isinstance(layer, nn.Flatten):
                a = a.reshape(len(a), -1)
            elif isinstance(layer, nn.Linear):
                a = a @ layer.weight.detach().double().numpy().T + layer.bias.detach().double().numpy()
            else:
                a = np.maximum(a, 0)
        return a

    def figures(self, folder: Any) -> None:
        from tilegrad.course.trainer.pictures import save_images

        filters = self.model[0].weight.detach().numpy()[:, 0]  # (6, 5, 5)
        with tg.no_grad():
            maps = self.model[:2](self.test_x[:5]).numpy()  # (5, 6, 28, 28)
        save_images((filters - filters.min()) / np.ptp(filters), folder / "filters.png", columns=6, scale=12)
        save_images(maps.reshape(-1, *maps.shape[2:]) / maps.max(), folder / "feature-maps.png", columns=6, scale=3)
