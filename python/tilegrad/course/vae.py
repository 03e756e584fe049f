"""A variational auto-encoder on handwritten digits (rows N37 N38 N40).

The encoder gives a Gaussian of codes instead of one code, the decoder a distribution of images; a code is drawn by

    c = m + exp(s / 2) e,   e ~ N(0, 1)                  m, s (log variance) from the encoder

    log p(x) >= ELBO = E log p(x | c) - KL(N(m, exp s) || N(0, 1)),   KL = 1/2 sum (exp s - 1 - s + m^2)

Reconstruction alone would shrink exp s to 0 and leave an ordinary auto-encoder; the KL term keeps the codes' clouds wide
and overlapping, so that the way between two codes decodes to digits too, and a draw from N(0, 1) is a new digit (N37).

A pixel of these digits counts how many of 4 x 4 finer pixels were inked, so p(x | c) is a product of binomials B(16, p) and
the ELBO is a true lower bound of the probability of an image, in nats. Averaging over k codes gives a tighter one (IWAE), so
ELBO <= IWAE-100 <= log p(x) (N38).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

import tilegrad as tg
from tilegrad import datasets, losses, nn, optim
from tilegrad.course.trainer import Check, Recipe, option, preset, recipe
from tilegrad.distributions import Normal, kl_divergence
from tilegrad.nn import functional as F
from tilegrad.utils.data import DataLoader, TensorDataset

INK = 16  # a pixel is a number of inked finer pixels, 0..16
# log of the binomial coefficients: how many ways there are to ink k of 16
LOG_WAYS = tg.tensor([math.log(math.comb(INK, k)) for k in range(INK + 1)])


class Vae(Recipe):
    name = "vae"
    title = "A variational auto-encoder: digits from noise"
    rows = "N37 N38 N40"
    kind = "generation"
    data = "digits, 1797 images of 8x8"
    band = "test ELBO >= -97 nats per image (independent pixels: -108); IWAE-100 above it"
    seconds = 20
    smoke = preset(epochs=2, extras=1)
    full = preset(epochs=600)
    next_commands = ("tilegrad train vae --set z=2", "tilegrad train vae --form lecture", "tilegrad train autoencoder")

    @dataclass
    class Options(recipe.Options):
        epochs: int = option(100, "passes over the training images")
        lr: float = option(2e-3, "step size of Adam, falling to 0 as a cosine")
        batch: int = option(64, "images per update")
        z: int = option(16, "numbers in the code")
        hidden: int = option(256, "neurons between image and code")
        form: Literal["gauss", "lecture"] = option("gauss", "the KL term: exact, or as on the slide (twice that)")
        extras: int = option(40, "epochs of the model without the KL term and of the classifier, for the comparisons")
        split: int = option(1, "seed of the train/test split; the band is stated for 1")

    options: Options

    def setup(self) -> None:
        o = self.options
        train, test = datasets.Digits(flatten=True).split(o.split)
        self.train, self.test = train.data, test.data  # (N, 64), 0..16
        self.train_labels, self.labels = train.targets, test.targets
        self.loader = DataLoader(TensorDataset(self.train), batch_size=o.batch, shuffle=True)
        self.model = Coder(o.hidden, o.z)
        self.optimizer = optim.Adam(self.model.parameters(), lr=o.lr)
        self.schedule = optim.lr_scheduler.CosineAnnealingLR(self.optimizer, len(self.loader) * self.epochs)

    def three_steps(self) -> tuple[str, str, str]:
        o = self.options
        return f"64-{o.hidden}-2x{o.z} and {o.z}-{o.hidden}-64", "-ELBO", f"Adam, lr {o.lr:g}, cosine"

    def loss(self, batch: Any) -> Any:
        (x,) = batch
        log_likelihood, mean, log_variance = self.model(x)
        return (losses.vae_kl(mean, log_variance, self.options.form) - log_likelihood).mean()

    def optimize(self, batch: Any) -> Any:
        loss = super().optimize(batch)
        self.schedule.step()
        return loss

    def evaluate(self) -> dict[str, float]:
        return {"test ELBO": self.elbo(self.test)}

    def elbo(self, x: Any) -> float:
        """Mean lower bound of log p(x), nats per image, one code per image."""
        with tg.no_grad():
            log_likelihood, mean, log_variance = self.model(x)
            return float((log_likelihood - losses.vae_kl(mean, log_variance)).mean())

    def iwae(self, x: Any, k: int = 100) -> float:
        """The importance-weighted bound: log of the mean of p(x, c) / q(c | x) over k codes (Burda et al. 2016)."""
        with tg.no_grad():
            mean, log_variance = self.model.encode(x)
            posterior, prior = Normal(mean, (0.5 * log_variance).exp()), Normal(0.0, 1.0)
            weights = []
            for _ in range(k):
                code = posterior.sample()
                likelihood = self.model.log_likelihood(x, self.model.decode(code))
                weights.append(likelihood + prior.log_prob(code).sum(1) - posterior.log_prob(code).sum(1))
            return float((tg.stack(weights).logsumexp(0) - math.log(k)).mean())

    # --- what the lecture claims --------------------------------------------------------------------------------------

    def finish(self) -> dict[str, float]:
        plain = self.without_kl()
        with tg.no_grad():
            width = float((0.5 * plain.encode(self.test)[1]).exp().mean())
            kept = float((0.5 * self.model.encode(self.test)[1]).exp().mean())
        classifier = self.classifier()
        return {
            **self.evaluate(),
            "IWAE-100": self.iwae(self.test),
            "independent pixels": self.independent_pixels(),
            "mean std of the codes": kept,
            "mean std without KL": width,
            "clear mid-points": clear_midpoints(self.model, classifier, self.test, self.labels),
            "clear mid-points without KL": clear_midpoints(plain, classifier, self.test, self.labels),
            "clear draws": clear_draws(self.model, classifier, self.options.z),
            "clear draws without KL": clear_draws(plain, classifier, self.options.z),
        }

    def without_kl(self) -> Coder:
        """The same model trained for the reconstruction alone: what remains is an auto-encoder."""
        model = Coder(self.options.hidden, self.options.z)
        optimizer = optim.Adam(model.parameters(), lr=self.options.lr)
        for _ in range(self.options.extras):
            for (x,) in self.loader:
                loss = -model(x)[0].mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return model

    def classifier(self) -> Any:
        """A judge of digits, trained on the real ones."""
        judge = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
        optimizer = optim.Adam(judge.parameters(), lr=2e-3)
        for _ in range(self.options.extras):
            for x, y in DataLoader(TensorDataset(self.train / INK, self.train_labels), batch_size=64, shuffle=True):
                loss = F.cross_entropy(judge(x), y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return judge

    def independent_pixels(self) -> float:
        """log p(x) of the test images under each pixel's own histogram (of the training images, plus one)."""
        train, test = self.train.numpy().astype(int), self.test.numpy().astype(int)
        counts = np.stack([np.bincount(column, minlength=INK + 1) for column in train.T]) + 1.0  # (64, 17)
        share = counts / counts.sum(1, keepdims=True)
        return float(np.log(share[np.arange(64), test]).sum(1).mean())

    def checks(self, metrics: dict[str, float]) -> list[Check]:
        gap = metrics["IWAE-100"] - metrics["test ELBO"]
        rise = metrics["test ELBO"] - next(row["test ELBO"] for row in self.history if "test ELBO" in row)
        checks = [
            Check.at_least("test ELBO, nats per image", metrics["test ELBO"], -97, "N37"),
            Check.at_least(
                "test ELBO above independent pixels by", metrics["test ELBO"] - metrics["independent pixels"], 0, "N37"
            ),
            Check.at_least("rise of the test ELBO", rise, 0, "N37"),
            Check.at_least("IWAE-100 - ELBO", gap, 0, "N38"),
            Check.at_most("KL formula against distributions.kl_divergence", kl_difference(), 1e-5, "N40"),
        ]
        if self.options.form == "gauss":
            middle = metrics["clear mid-points"] - metrics["clear mid-points without KL"]
            draws = metrics["clear draws"] - metrics["clear draws without KL"]
            checks += [
                Check.at_most("mean std of the codes without the KL term", metrics["mean std without KL"], 0.1, "N37"),
                Check.at_least("clear mid-points: more than without KL by", middle, 0, "N37"),
                Check.at_least("clear draws from N(0, 1): more than without KL by", draws, 0, "N37"),
            ]
        return checks

    def figures(self, folder: Any) -> None:
        from tilegrad.course.trainer.pictures import save_images

        with tg.no_grad():
            codes = tg.randn(64, self.options.z, generator=tg.Generator().manual_seed(0))
            samples = self.model.decode(codes).sigmoid()
            x = self.test[:16]
            again = self.model.decode(self.model.encode(x)[0]).sigmoid()
        save_images(samples.numpy().reshape(-1, 8, 8), folder / "samples.png", columns=8)
        pairs = np.concatenate([x.numpy() / INK, again.numpy()]).reshape(-1, 8, 8)
        save_images(pairs, folder / "reconstructions.png", columns=16)


class Coder(nn.Module):
    """Encoder and decoder; called with images (N, 64) of counts it gives (log p(x | c), m, s) for a code c drawn per image."""

    def __init__(self, hidden: int, z: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(64, hidden), nn.ReLU(), nn.Linear(hidden, 2 * z))
        self.decoder = nn.Sequential(nn.Linear(z, hidden), nn.ReLU(), nn.Linear(hidden, 64))

    def encode(self, x: Any) -> Any:
        """(m, s): mean and log variance of the code, each (N, Z)."""
        return self.encoder(x / INK).chunk(2, dim=1)

    def decode(self, code: Any) -> Any:
        """Logits (N, 64) of the pixels' probabilities of ink."""
        return self.decoder(code)

    def log_likelihood(self, x: Any, logits: Any) -> Any:
        """log p(x | c) (N): every pixel a binomial of 16 tries."""
        per_pixel = LOG_WAYS[x.long()] + x * F.logsigmoid(logits) + (INK - x) * F.logsigmoid(-logits)
        return per_pixel.sum(1)

    def forward(self, x: Any) -> Any:
        mean, log_variance = self.encode(x)
        code = Normal(mean, (0.5 * log_variance).exp()).rsample()
        return self.log_likelihood(x, self.decode(code)), mean, log_variance


def clear_midpoints(model: Coder, classifier: Any, x: Any, labels: Any) -> float:
    """Share of mid-points between codes of different digits that the classifier is sure about (>= 0.7)."""
    found = []
    with tg.no_grad():
        code = model.encode(x)[0]
        for shift in range(1, 21):  # each image with 20 others
            image = model.decode((code + code.roll(shift, 0)) / 2).sigmoid()
            found.append(sure(classifier, image)[labels != labels.roll(shift, 0)])
    return float(tg.cat(found).float().mean())


def clear_draws(model: Coder, classifier: Any, z: int) -> float:
    """Share of images decoded from N(0, 1) that the classifier is sure about."""
    with tg.no_grad():
        return float(sure(classifier, model.decode(tg.randn(2000, z)).sigmoid()).float().mean())


def sure(classifier: Any, images: Any) -> Any:
    return F.softmax(classifier(images), dim=1).amax(1) >= 0.7


def kl_difference() -> float:
    """Row N40: the closed form of losses.vae_kl against the distributions' own."""
    rng = np.random.default_rng(0)
    mean, log_variance = (tg.tensor(rng.normal(size=(64, 5))) for _ in range(2))
    general = kl_divergence(Normal(mean, (0.5 * log_variance).exp()), Normal(tg.zeros(5).double(), tg.ones(5).double())).sum(1)
    return float((losses.vae_kl(mean, log_variance) - general).abs().max())
