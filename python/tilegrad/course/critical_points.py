"""Critical points (rows F01-F03): where the gradient is zero, the Hessian says whether one is stuck.

    L(theta' + d)  ~  L(theta') + g . d + 1/2 d^T H d          Taylor; at a critical point g = 0

    all eigenvalues of H positive: a local minimum       all negative: a local maximum       both signs: a saddle

1. The lecture's example: one datum (x, y) = (1, 1), the model y = w1 w2 x, the point w1 = w2 = 0. The gradient is zero
   there, H = [[0, -2], [-2, 0]], its eigenvalues are +2 and -2: a saddle, and H itself shows the way out (F02):
   along the eigenvector u of a negative eigenvalue the loss falls, since u^T H u < 0.
2. A small network, 4-5-3 with tanh (43 unknowns), is trained on iris from several starts. Each epoch is one start,
   stopped after 25, 100 or 400 updates; then the Hessian is computed and the minimum ratio, the share of its
   eigenvalues that are positive, compared with the loss. Where training stops is hardly ever a minimum (F03).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

import tilegrad as tg
from tilegrad import datasets, optim
from tilegrad.autograd.functional import hessian
from tilegrad.course.trainer import Check, Recipe, option, preset, recipe, standardise
from tilegrad.course.trainer.output import table
from tilegrad.nn import functional as F

SADDLE = (0.0, 0.0)
LOW_GRADIENT = 0.02  # "training has stopped": the gradient is shorter than this


class CriticalPoints(Recipe):
    name = "critical-points"
    title = "Critical points: minimum or saddle? Ask the Hessian"
    rows = "F01-F03"
    kind = "optimisation"
    data = "one datum; iris, 150 flowers"
    band = "eigenvalues +-2, saddle; escape from loss 1 to < 1e-3"
    seconds = 10
    smoke = preset(epochs=2)
    full = preset(epochs=60, updates=2000)
    next_commands = ("tilegrad train critical-points --full", "tilegrad train mlp")

    @dataclass
    class Options(recipe.Options):
        epochs: int = option(12, "starts of the iris network")
        updates: int = option(400, "most updates of one start; every third start makes 1/16, every third 1/4 of them")
        lr: float = option(0.1, "step size, with momentum 0.9")
        alpha: float = option(0.1, "length of the step along the negative eigenvector")

    options: Options

    def setup(self) -> None:
        flowers = datasets.Iris()
        self.x = standardise(flowers.data, flowers.data).double()  # (N, 4)
        self.target = F.one_hot(flowers.targets, 3).double()  # (N, 3)
        self.theta = tg.zeros(43, dtype=tg.float64, requires_grad=True)
        self.remember = ("theta",)
        self.begin_epoch(0)

    def three_steps(self) -> tuple[str, str, str]:
        o = self.options
        return "y = w1 w2 x; and a 4-5-3 network with tanh", "squared error", f"gradient descent, lr {o.lr:g}, momentum 0.9"

    def begin_epoch(self, epoch: int) -> None:
        """A new start: new unknowns, and an optimiser that remembers nothing."""
        self.theta.data.copy_(tg.from_numpy(self.rng.normal(0, 0.5, 43)))
        self.optimizer = optim.SGD([self.theta], lr=self.options.lr, momentum=0.9)

    def batches(self, epoch: int) -> Iterable[Any]:
        return range(self.options.updates // (16, 4, 1)[epoch % 3])

    def network_loss(self, theta: Any) -> Any:
        """Squared error of the 4-5-3 network whose 43 unknowns lie in one vector, so that H is a plain matrix."""
        w1, b1, w2, b2 = theta[:20].reshape(4, 5), theta[20:25], theta[25:40].reshape(5, 3), theta[40:43]
        output = tg.tanh(self.x @ w1 + b1) @ w2 + b2  # (N, 3)
        return ((output - self.target) ** 2).sum(1).mean()

    def loss(self, batch: Any) -> Any:
        return self.network_loss(self.theta)

    def evaluate(self) -> dict[str, float]:
        """Where this start came to rest: its loss, its slope, and how much of its Hessian is positive."""
        point = self.theta.detach()
        eigenvalues = np.linalg.eigvalsh(hessian(self.network_loss, point).numpy())
        return {
            "end loss": float(self.network_loss(point).item()),
            "gradient": float(np.linalg.norm(gradient(self.network_loss, point))),
            "minimum ratio": float((eigenvalues > 0).mean()),
        }

    # --- what the lecture claims --------------------------------------------------------------------------------------

    def remarks(self) -> list[str]:
        stops = sorted((row for row in self.history if "minimum ratio" in row), key=lambda row: row["end loss"])
        rows = [(f"{s['end loss']:.4f}", f"{s['gradient']:.1e}", f"{s['minimum ratio']:.3f}") for s in stops]
        return ["where the starts came to rest:", *table(("loss", "gradient", "minimum ratio"), rows, right=(0, 1, 2))]

    def checks(self, metrics: dict[str, float]) -> list[Check]:
        point = tg.tensor(SADDLE, dtype=tg.float64)
        curvature = hessian(product_loss, point).numpy()
        low, high = np.linalg.eigvalsh(curvature)
        stops = [row for row in self.history if "minimum ratio" in row and row["gradient"] < LOW_GRADIENT]
        not_minima = [row for row in stops if row["minimum ratio"] < 1]
        return [
            Check.true(
                "Hessian of (1 - w1 w2)^2 at (0, 0)", curvature.tolist() == [[0, -2], [-2, 0]], "[[0, -2], [-2, 0]]", "F01"
            ),
            Check.equal("its smaller eigenvalue", low, -2, "F01"),
            Check.equal("its larger eigenvalue", high, 2, "F01"),
            Check.true(f"so (0, 0) is a {kind_of_point(curvature)}", kind_of_point(curvature) == "saddle", "a saddle", "F01"),
            Check.equal("loss where plain descent stays", walk(np.array(SADDLE), product_loss), 1, "F02"),
            Check.at_most("loss after a step along u and descent", walk(self.escaped(curvature), product_loss), 1e-3, "F02"),
            Check.at_most("iris: |Hessian - finite differences|", self.hessian_error(), 1e-4, "F01"),
            Check.at_least("iris: stops of low gradient that are no minimum", len(not_minima) / max(len(stops), 1), 0.5, "F03"),
        ]

    def smoke_checks(self, metrics: dict[str, float]) -> list[Check]:
        return self.checks(metrics)[:-1]

    def escaped(self, curvature: np.ndarray) -> np.ndarray:
        """theta + alpha u, u the eigenvector of the most negative eigenvalue (row F02)."""
        return np.array(SADDLE) + self.options.alpha * np.linalg.eigh(curvature)[1][:, 0]

    def hessian_error(self, step: float = 1e-5) -> float:
        """Largest difference between the iris network's Hessian and central differences of its gradient."""
        point = self.theta.detach()
        exact, start = hessian(self.network_loss, point).numpy(), point.numpy()
        differences = np.empty_like(exact)
        for i, unit in enumerate(np.eye(len(start))):
            ahead, behind = (gradient(self.network_loss, tg.from_numpy(start + s * step * unit)) for s in (1, -1))
            differences[i] = (ahead - behind) / (2 * step)
        return float(np.abs(exact - differences).max())


def product_loss(w: Any) -> Any:
    """(y - w1 w2 x)^2 for the one datum x = y = 1."""
    return (1 - w[0] * w[1]) ** 2


def gradient(cost: Callable[[Any], Any], point: Any) -> np.ndarray:
    """The gradient of ``cost`` at ``point`` as an array."""
    theta = point.detach().clone().requires_grad_()
    (slope,) = tg.autograd.grad(cost(theta), theta)
    assert slope is not None
    return slope.numpy()


def kind_of_point(curvature: np.ndarray) -> str:
    """Row F01: what a point of zero gradient is, by the signs of its Hessian's eigenvalues."""
    eigenvalues = np.linalg.eigvalsh(curvature)
    if (eigenvalues > 0).all():
        return "local minimum"
    if (eigenvalues < 0).all():
        return "local maximum"
    return "saddle" if eigenvalues[0] < 0 < eigenvalues[-1] else "flat point the Hessian cannot judge"


def walk(start: np.ndarray, cost: Callable[[Any], Any], alpha: float = 0.1, steps: int = 200) -> float:
    """The loss after plain gradient descent from ``start``."""
    point = start.copy()
    for _ in range(steps):
        point -= alpha * gradient(cost, tg.from_numpy(point))
    return float(cost(tg.from_numpy(point)).item())
