"""Generative adversarial networks in the plane (rows N08-N13 N17): eight Gaussians, and six ways to train.

A generator turns noise z into points G(z); a second network compares them with the data. What it is told to do is the method:

    gan       D = P(real):  max  E ln D(x) + E ln(1 - D(G(z)))          measures the Jensen-Shannon divergence
    lsgan     D regresses 1 (real) and 0 (generated)                    never saturates
    wgan      max  E D(x) - E D(G(z)),  weights clipped to [-c, c]      measures how far mass must be moved
    wgan-gp   the same, with  lambda E (|grad D(x~)| - 1)^2             x~ between data and generated points
    sn        the same, every weight divided by its largest singular value
    ebgan     D is an auto-encoder, small error = real;  max(0, margin - err(G(z)))

The gradient penalty differentiates a gradient: its update needs second derivatives of the critic.
From GAN to WGAN (N11): no sigmoid, no logarithm, RMSprop instead of Adam, and the clipping.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

import tilegrad as tg
from tilegrad import losses, nn, optim
from tilegrad.course.trainer import Check, Recipe, option, preset, recipe
from tilegrad.nn.utils import spectral_norm

SAMPLES = 4000  # points the finished generator is judged by
ANGLES = np.arange(8) * np.pi / 4
CENTRES = np.stack([2 * np.cos(ANGLES), 2 * np.sin(ANGLES)], 1).astype(np.float32)  # (8, 2)
STD = 0.1  # of each Gaussian
COVERED = 0.02  # a mode counts as covered when at least this share of the points is near it; 1/8 would be fair


class Gan2d(Recipe):
    name = "gan-2d"
    title = "GAN, WGAN, WGAN-GP, ... on eight Gaussians in the plane"
    rows = "N08-N13 N17"
    kind = "generation"
    data = "eight Gaussians on a circle, generated"
    band = "wgan-gp covers 8 of 8 modes, 90 % of the points within 4 sigma"
    seconds = 25
    smoke = preset(epochs=3, updates=10)
    full = preset(epochs=150)
    divergence = 1e9  # losses of a game may grow while it goes well
    next_commands = ("tilegrad train gan-2d --loss gan", "tilegrad train gan-2d --loss wgan", "tilegrad train gan-2d --full")

    @dataclass
    class Options(recipe.Options):
        epochs: int = option(30, "evaluations; each after `updates` updates of the generator")
        updates: int = option(100, "updates of the generator between two evaluations")
        loss: Literal["wgan-gp", "wgan", "sn", "lsgan", "gan", "ebgan"] = option("wgan-gp", "the method")
        critic: int = option(5, "updates of the critic for each of the generator")
        batch: int = option(256, "points per update")
        width: int = option(64, "neurons of each hidden layer")
        noise: int = option(4, "dimensions of z")
        lr: float = option(2e-3, "step size, falling linearly to 0")
        penalty: float = option(1.0, "lambda of the gradient penalty")
        one_sided: bool = option(False, "penalise only gradients longer than 1")
        clip: float = option(0.1, "c of WGAN's weight clipping")
        margin: float = option(1.0, "margin of EBGAN")

    options: Options

    def setup(self) -> None:
        o = self.options
        h = o.width
        self.generator = nn.Sequential(nn.Linear(o.noise, h), nn.ReLU(), nn.Linear(h, h), nn.ReLU(), nn.Linear(h, 2))
        outputs = 2 if o.loss == "ebgan" else 1  # EBGAN's critic gives the point back
        layers = [nn.Linear(2, h), nn.LeakyReLU(0.2), nn.Linear(h, h), nn.LeakyReLU(0.2), nn.Linear(h, outputs)]
        if o.loss == "sn":
            layers = [spectral_norm(layer) if isinstance(layer, nn.Linear) else layer for layer in layers]
        self.critic = nn.Sequential(*layers)
        self.generator_steps = self.optimizer_for(self.generator)
        self.critic_steps = self.optimizer_for(self.critic)
        total = self.epochs * o.updates
        self.schedules = [
            optim.lr_scheduler.LambdaLR(steps, lambda update: 1 - update / total)
            for steps in (self.generator_steps, self.critic_steps)
        ]
        self.generator_schedule, self.critic_schedule = self.schedules
        self.slope = float("nan")

    def optimizer_for(self, model: Any) -> Any:
        """RMSprop for weight clipping, as its paper says; Adam with little momentum for the others."""
        if self.options.loss == "wgan":
            return optim.RMSprop(model.parameters(), lr=self.options.lr / 4)
        return optim.Adam(model.parameters(), lr=self.options.lr, betas=(0.5, 0.9))

    def three_steps(self) -> tuple[str, str, str]:
        o = self.options
        how = {
            "gan": "-E ln D(x) - E ln(1 - D(G(z))) against -E ln D(G(z))",
            "lsgan": "squared distance to 1 and 0",
            "wgan": f"E D(G(z)) - E D(x), weights clipped to {o.clip:g}",
            "wgan-gp": f"E D(G(z)) - E D(x) + {o.penalty:g} E (|grad D| - 1)^2",
            "sn": "E D(G(z)) - E D(x), spectrally normalised weights",
            "ebgan": f"err(x) + max(0, {o.margin:g} - err(G(z)))",
        }[o.loss]
        step = "RMSprop" if o.loss == "wgan" else "Adam"
        return "generator and critic, two hidden layers each", how, f"{step}, {o.critic} critic updates per generator update"

    def batches(self, epoch: int) -> Iterable[Any]:
        return range(self.options.updates)

    # --- the game -----------------------------------------------------------------------------------------------------

    def optimize(self, batch: Any) -> dict[str, Any]:
        for _ in range(self.options.critic):
            critic_loss = self.critic_loss()
            self.critic_steps.zero_grad()
            critic_loss.backward()
            self.critic_steps.step()
            if self.options.loss == "wgan":
                losses.clip_weights_(self.critic.parameters(), self.options.clip)
        generator_loss = self.generator_loss()
        self.generator_steps.zero_grad()
        generator_loss.backward()
        self.generator_steps.step()
        for schedule in self.schedules:
            schedule.step()
        return {"loss": critic_loss, "generator loss": generator_loss}

    def generate(self, count: int) -> Any:
        return self.generator(tg.randn(count, self.options.noise))  # (count, 2)

    def critic_loss(self) -> Any:
        o = self.options
        real = real_points(o.batch)  # (B, 2)
        with tg.no_grad():
            fake = self.generate(o.batch)
        score_real, score_fake = self.score(real), self.score(fake)
        if o.loss == "gan":
            return losses.gan_d(score_real, score_fake)
        if o.loss == "lsgan":
            return losses.lsgan_d(score_real, score_fake)
        if o.loss == "ebgan":
            return losses.ebgan(score_real, score_fake, o.margin)
        loss = losses.wgan_d(score_real, score_fake)
        if o.loss == "wgan-gp":
            loss = loss + o.penalty * losses.gradient_penalty(self.critic, real, fake, two_sided=not o.one_sided)
        return loss

    def generator_loss(self) -> Any:
        score = self.score(self.generate(self.options.batch))
        loss = {"gan": losses.gan_g, "lsgan": losses.lsgan_g, "ebgan": tg.mean}.get(self.options.loss, losses.wgan_g)
        return loss(score)

    def score(self, x: Any) -> Any:
        """The critic's opinion of points (B, 2): a score (B, 1), or EBGAN's reconstruction error (B)."""
        y = self.critic(x)
        return ((y - x) ** 2).sum(1) if self.options.loss == "ebgan" else y

    # --- how good is it -----------------------------------------------------------------------------------------------

    def evaluate(self) -> dict[str, float]:
        with tg.no_grad():
            points = self.generate(SAMPLES).numpy()
        modes, near = coverage(points, CENTRES, STD)
        return {"modes": float(modes), "within 4 sigma": near}

    def finish(self) -> dict[str, float]:
        return {**self.evaluate(), "gradient norm": self.gradient_norm()}

    def gradient_norm(self) -> float:
        """Mean |grad D| at points between real and generated ones: what the penalty holds at 1."""
        real = real_points(SAMPLES)
        with tg.no_grad():
            fake = self.generate(SAMPLES)
        share = tg.rand(SAMPLES, 1)
        x = (share * real + (1 - share) * fake).requires_grad_()
        (slope,) = tg.autograd.grad(self.score(x).sum(), x)
        assert slope is not None
        return float(slope.norm(dim=1).mean())

    def checks(self, metrics: dict[str, float]) -> list[Check]:
        """The band is WGAN-GP's; what the others reach is reported and, where the lecture claims something, judged."""
        method = self.options.loss
        checks = [detector_claim(CENTRES, STD)]
        if method == "wgan-gp":
            return [
                Check.equal("modes covered", metrics["modes"], 8, "N09"),
                Check.at_least("points within 4 sigma of a mode", metrics["within 4 sigma"], 0.9, "N09"),
                Check.within("mean |grad D| between data and generated", metrics["gradient norm"], 1, 0.2, "N09"),
                *checks,
            ]
        if method in ("wgan", "sn"):
            checks.insert(0, Check.at_least("modes covered", metrics["modes"], 7, "N08 N10"))
        if method == "sn":
            largest = max(float(np.linalg.svd(layer.weight.detach().numpy())[1][0]) for layer in self.linear_layers())
            checks.append(Check.within("largest singular value of the critic's weights", largest, 1, 0.02, "N10"))
        if method == "lsgan":
            checks.insert(0, Check.at_least("modes covered", metrics["modes"], 6, "N12"))
        return checks

    def linear_layers(self) -> list[Any]:
        return [layer for layer in self.critic if isinstance(layer, nn.Linear)]

    def smoke_checks(self, metrics: dict[str, float]) -> list[Check]:
        finite = all(np.isfinite(value) for value in metrics.values())
        moved = metrics["within 4 sigma"]
        return [
            Check.true("every metric is finite", finite, "finite"),
            Check.at_least("points within 4 sigma of a mode", moved, 0.01),
        ]

    def figures(self, folder: Any) -> None:
        from tilegrad.course.trainer.pictures import new_figure

        with tg.no_grad():
            points = self.generate(SAMPLES).numpy()
        real = real_points(SAMPLES).numpy()
        figure, axes = new_figure(5, 5)
        axes.plot(*real.T, ".", markersize=2, alpha=0.4, label="data")
        axes.plot(*points.T, ".", markersize=2, alpha=0.4, label="generated")
        axes.set(title=f"{self.options.loss} after {self.epochs * self.options.updates} updates", aspect="equal")
        axes.legend(markerscale=5)
        figure.savefig(folder / "samples.png", dpi=120, metadata={"Software": None})


def real_points(count: int) -> Any:
    """(count, 2) points of the data: a centre at random, and noise around it."""
    return tg.tensor(CENTRES)[tg.randint(0, 8, (count,))] + STD * tg.randn(count, 2)


def coverage(points: np.ndarray, centres: np.ndarray, std: float) -> tuple[int, float]:
    """(modes covered, share of points within 4 sigma of some mode) of points (N, 2)."""
    distance = np.linalg.norm(points[:, None] - centres, axis=2)  # (N, 8)
    nearest, near = distance.argmin(1), distance.min(1) < 4 * std
    shares = [np.mean(near & (nearest == mode)) for mode in range(len(centres))]
    return sum(share >= COVERED for share in shares), float(near.mean())


def detector_claim(centres: np.ndarray, std: float) -> Check:
    """Row N17: the detector flags a generator that gives one point, and one that knows four modes."""
    rng = np.random.default_rng(0)
    one = np.repeat(centres[:1], 1000, axis=0)
    four = centres[rng.integers(0, 4, 1000)] + std * rng.normal(size=(1000, 2))
    found = coverage(one, centres, std)[0], coverage(four, centres, std)[0]
    return Check.true("mode collapse is noticed (1 and 4 modes)", found == (1, 4), "counted 1 and 4", "N17")
