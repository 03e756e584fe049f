"""Auto-encoders on handwritten digits (rows N28-N32): through a bottleneck and back.

An encoder squeezes an image x into a few numbers, a decoder makes the image again; nobody needs labels:

    code = encoder(x),   y = decoder(code),   loss = |y - x|^2

It works because digits vary in few ways: of the 2^64 ways to ink 8 x 8 pixels, hardly any looks like a digit (N29).

* With linear layers alone the best code is that of principal components: the same subspace, found by descent.
* With non-linear layers it reconstructs better than PCA with as many components.
* ``--denoise`` feeds a noisy image and asks for the clean one (N30).
* ``--code onehot`` lets the code be one of ten symbols: a discrete code clusters the digits (N32). The choice is not
  differentiable; the backward pass uses the softmax instead (a straight-through estimate).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

import tilegrad as tg
from tilegrad import datasets, nn, optim
from tilegrad.course.trainer import Check, Recipe, option, predict, preset, recipe
from tilegrad.nn import functional as F
from tilegrad.utils.data import DataLoader, TensorDataset


class Autoencoder(Recipe):
    name = "autoencoder"
    title = "Auto-encoders: digits through a bottleneck"
    rows = "N28-N32"
    kind = "unsupervised"
    data = "digits, 1797 images of 8x8"
    band = "reconstruction MSE below PCA's with as many components; denoising gains >= 3 dB"
    seconds = 15
    smoke = preset(epochs=3)
    next_commands = ("tilegrad train autoencoder --denoise", "tilegrad train autoencoder --code onehot", "tilegrad train vae")

    @dataclass
    class Options(recipe.Options):
        epochs: int = option(120, "passes over the training images")
        lr: float = option(2e-3, "step size of Adam, falling to 0 as a cosine")
        batch: int = option(64, "images per update")
        components: int = option(10, "numbers in the code")
        hidden: int = option(256, "neurons between image and code")
        denoise: bool = option(False, "give a noisy image, ask for the clean one")
        noise: float = option(0.3, "standard deviation of the noise; pixels are 0..1")
        code: Literal["real", "onehot", "binary"] = option("real", "what the code is made of")
        split: int = option(1, "seed of the train/test split; the band is stated for 1")

    options: Options

    def setup(self) -> None:
        o = self.options
        train, test = datasets.Digits(scale=True, flatten=True).split(o.split)
        self.train, self.test = train.data, test.data  # (N, 64)
        self.train_labels, self.labels = train.targets.numpy(), test.targets.numpy()
        self.loader = DataLoader(TensorDataset(self.train), batch_size=o.batch, shuffle=True)
        self.encoder = nn.Sequential(nn.Linear(64, o.hidden), nn.ReLU(), nn.Linear(o.hidden, o.components))
        self.decoder = nn.Sequential(nn.Linear(o.components, o.hidden), nn.ReLU(), nn.Linear(o.hidden, 64))
        self.linear = nn.Sequential(nn.Linear(64, o.components, bias=False), nn.Linear(o.components, 64, bias=False))
        models = (self.encoder, self.decoder)
        self.optimizer = optim.Adam([p for m in models for p in m.parameters()], lr=o.lr)
        self.linear_steps = optim.Adam(self.linear.parameters(), lr=o.lr)
        total = len(self.loader) * self.epochs
        self.schedule = optim.lr_scheduler.CosineAnnealingLR(self.optimizer, total)
        self.linear_schedule = optim.lr_scheduler.CosineAnnealingLR(self.linear_steps, total)
        self.mean = self.train.mean(0)  # PCA is about deviations from the mean

    def three_steps(self) -> tuple[str, str, str]:
        o = self.options
        task = f"clean images from noisy ones (sigma {o.noise:g})" if o.denoise else "the image itself"
        kind = {"real": "numbers", "onehot": "symbols, one chosen", "binary": "bits"}[o.code]
        return f"64-{o.hidden}-{o.components} {kind} and back", f"squared error to {task}", f"Adam, lr {o.lr:g}, cosine"

    # --- the model ----------------------------------------------------------------------------------------------------

    def encode(self, x: Any) -> Any:
        """The code (N, K): real numbers, a one-hot vector, or zeros and ones."""
        code = self.encoder(x)
        if self.options.code == "real":
            return code
        soft = F.softmax(code, dim=1) if self.options.code == "onehot" else code.sigmoid()
        hard = (
            F.one_hot(soft.argmax(1), self.options.components).float()
            if self.options.code == "onehot"
            else (soft > 0.5).float()
        )
        return hard + (soft - soft.detach())  # forward: hard; backward: as if it were soft

    def corrupt(self, x: Any) -> Any:
        return x + self.options.noise * tg.randn(x.shape) if self.options.denoise else x

    def loss(self, batch: Any) -> Any:
        (x,) = batch
        return F.mse_loss(self.decoder(self.encode(self.corrupt(x))), x)

    def optimize(self, batch: Any) -> Any:
        """One update of the auto-encoder, and one of its linear sister, which is there to be compared with PCA."""
        loss = super().optimize(batch)
        x = batch[0] - self.mean
        linear_loss = F.mse_loss(self.linear(x), x)
        self.linear_steps.zero_grad()
        linear_loss.backward()
        self.linear_steps.step()
        self.schedule.step()
        self.linear_schedule.step()
        return loss

    def reconstruct(self, x: Any) -> Any:
        with tg.no_grad():
            return self.decoder(self.encode(x))

    # --- how good is it -----------------------------------------------------------------------------------------------

    def evaluate(self) -> dict[str, float]:
        return {"test MSE": float(F.mse_loss(self.reconstruct(self.test), self.test))}

    def finish(self) -> dict[str, float]:
        metrics = {**self.evaluate(), "PCA's MSE": self.pca_error()}
        if self.options.denoise:
            noisy = self.test + self.options.noise * tg.randn(self.test.shape, generator=tg.Generator().manual_seed(0))
            metrics["noisy PSNR"] = psnr(noisy.numpy(), self.test.numpy())
            metrics["denoised PSNR"] = psnr(self.reconstruct(noisy).numpy(), self.test.numpy())
        if self.options.code == "onehot":
            with tg.no_grad():
                metrics["purity of the symbols"] = purity(self.encode(self.test).argmax(1).numpy(), self.labels)
        return metrics

    def components(self) -> np.ndarray:
        """The first principal directions of the training images, (K, 64), orthonormal."""
        centred = (self.train - self.mean).double().numpy()
        return np.linalg.svd(centred, full_matrices=False)[2][: self.options.components]

    def pca_error(self) -> float:
        """Mean squared error of the test images put through as many principal components."""
        directions, centred = self.components(), (self.test - self.mean).double().numpy()
        return float(np.mean((centred - centred @ directions.T @ directions) ** 2))

    def subspace_angle(self) -> float:
        """Largest angle, in radians, between the linear auto-encoder's output space and PCA's."""
        output, _ = np.linalg.qr(self.linear[1].weight.detach().double().numpy())  # (64, K)
        cosines = np.linalg.svd(self.components() @ output)[1]
        return float(np.arccos(np.clip(cosines.min(), -1, 1)))

    def checks(self, metrics: dict[str, float]) -> list[Check]:
        o = self.options
        centred = self.test - self.mean
        linear = float(F.mse_loss(predict(self.linear, centred), centred))
        checks = [Check.within("linear auto-encoder's MSE / PCA's", linear / metrics["PCA's MSE"], 1, 0.05, "N28")]
        if o.denoise:
            gain = metrics["denoised PSNR"] - metrics["noisy PSNR"]
            checks.append(Check.at_least("decibels gained by denoising", gain, 3, "N30"))
        if o.code == "onehot":
            checks.append(Check.at_least("purity of the symbols", metrics["purity of the symbols"], 0.5, "N32"))
        if o.code == "real" and not o.denoise:
            checks.insert(0, Check.at_most("test MSE / PCA's", metrics["test MSE"] / metrics["PCA's MSE"], 1, "N28"))
            checks.append(Check.at_most("angle between the linear one's space and PCA's", self.subspace_angle(), 0.05, "N28"))
        return checks

    def figures(self, folder: Any) -> None:
        from tilegrad.course.trainer.pictures import save_images

        x = self.test[:16]
        given = (
            x + self.options.noise * tg.randn(x.shape, generator=tg.Generator().manual_seed(0)) if self.options.denoise else x
        )
        rows = [given, self.reconstruct(given), x] if self.options.denoise else [x, self.reconstruct(x)]
        images = np.concatenate([row.numpy().reshape(-1, 8, 8) for row in rows])
        save_images(images, folder / "reconstructions.png", columns=16)


def psnr(image: np.ndarray, clean: np.ndarray) -> float:
    """Peak signal to noise ratio in decibels; pixels are 0..1."""
    return float(-10 * math.log10(np.mean((image - clean) ** 2)))


def purity(symbols: np.ndarray, labels: np.ndarray) -> float:
    """Share of items whose label is the most frequent one of their symbol."""
    return sum(int(np.bincount(labels[symbols == s]).max()) for s in np.unique(symbols)) / len(labels)
