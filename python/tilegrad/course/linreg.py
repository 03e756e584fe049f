"""Linear regression (rows B03-B09, B23, B25): the smallest machine that learns, by search, by descent, one by one.

    model         y = w x + b                             unknowns w, b
    loss          cost = 1/N sum_n (y_n - target_n)^2     mean squared error
    optimisation  w <- w - alpha d cost / d w             gradient descent; alpha is the step size

The training loop fits the diabetes table (10 measurements of a patient -> disease a year later). The pocket-sized
examples of the lecture - y = 2x and J(W) = 0.1 (W - 5)^2 - are worked out beside it and checked.

    --method gd     every update uses all patients           (the default)
    --method sgd    every update uses one patient, drawn at random: cheaper, and noisier
    --method grid   no gradient at all: try every w for y = 2x and keep the cheapest (exhaustive search)
    --surface       also draw the cost over (w, b)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

import tilegrad as tg
from tilegrad import datasets, nn, optim
from tilegrad.course.trainer import Check, Recipe, option, predict, preset, r2_score, recipe, smooth, standardise
from tilegrad.utils.data import DataLoader, TensorDataset

LINE_X = np.array([1.0, 2.0, 3.0])  # the lecture's three points of y = 2 x
LINE_Y = 2 * LINE_X
GRID = np.linspace(0, 4, 41)  # candidates for w, 0.1 apart


class LinearRegression(Recipe):
    name = "linreg"
    title = "Linear regression: y = 2x, and the diabetes table"
    rows = "B03-B09 B23 B25"
    kind = "regression"
    data = "y = 2x; diabetes, 442 patients"
    band = "w within 1e-3 of 2; test R2 >= 0.40"
    seconds = 3
    smoke = preset(epochs=30)
    divergence = 1e3
    next_commands = ("tilegrad train linreg --method sgd", "tilegrad train linreg --set lr=11")  # the second diverges

    @dataclass
    class Options(recipe.Options):
        epochs: int | None = option(None, "passes over the patients; none: 300 for gd, 30 for sgd, 41 for grid")
        method: Literal["gd", "sgd", "grid"] = option("gd", "how the unknowns are found")
        lr: float | None = option(None, "step size alpha; none: 0.15 for gd, 0.001 for sgd")
        surface: bool = option(False, "draw the cost over (w, b) for y = 2x")

    options: Options

    @property
    def epochs(self) -> int:
        return self.options.epochs or {"gd": 300, "sgd": 30, "grid": len(GRID)}[self.options.method]

    def setup(self) -> None:
        o = self.options
        train, test = datasets.Diabetes().split(seed=1)
        self.x, self.test_x = standardise(train.data, train.data), standardise(test.data, train.data)  # (N, 10)
        self.y, self.test_y = train.targets[:, None], test.targets[:, None]  # (N, 1)
        self.model, self.criterion = nn.Linear(10, 1), nn.MSELoss()
        self.optimizer = optim.SGD(self.model.parameters(), lr=o.lr or {"gd": 0.15, "sgd": 0.001, "grid": 0.15}[o.method])
        one = DataLoader(TensorDataset(self.x, self.y), batch_size=1, shuffle=True)
        self.loader = one if o.method == "sgd" else [(self.x, self.y)]

    def three_steps(self) -> tuple[str, str, str]:
        how = {
            "gd": "gradient descent on all patients",
            "sgd": "gradient descent on one patient at a time",
            "grid": "exhaustive search over w",
        }
        return "y = w x + b", "mean squared error", how[self.options.method]

    def batches(self, epoch: int) -> Iterable[Any]:
        return [GRID[epoch % len(GRID)]] if self.options.method == "grid" else self.loader

    def loss(self, batch: Any) -> Any:
        x, y = batch
        return self.criterion(self.model(x), y)

    def optimize(self, batch: Any) -> Any:
        return line_cost(tg.tensor(batch, dtype=tg.float64)) if self.options.method == "grid" else super().optimize(batch)

    def evaluate(self) -> dict[str, float]:
        if self.options.method == "grid":
            return {}
        return {"train MSE": self.mse(self.x, self.y), "test R2": r2_score(predict(self.model, self.test_x), self.test_y)}

    def mse(self, x: Any, y: Any) -> float:
        return float(self.criterion(predict(self.model, x), y))

    # --- what the lecture claims --------------------------------------------------------------------------------------

    def checks(self, metrics: dict[str, float]) -> list[Check]:
        path = descend(line_cost, start=0.0, alpha=0.05, steps=100)
        checks = [Check.within("y = 2x: w by gradient descent", path[-1], 2, 1e-3, "B03")]
        if self.options.method == "grid":
            best = GRID[np.argmin([row["loss"] for row in self.history if "loss" in row][: len(GRID)])]
            checks.append(Check.within("y = 2x: w by grid search", best, path[-1], GRID[1] - GRID[0], "B05"))
        else:
            checks.append(Check.at_least("diabetes: R2 on the test patients", metrics["test R2"], 0.40, "B03"))
        if self.options.method == "sgd":
            checks += self.stochastic_claims(metrics)
        return [*checks, *parabola_claims(), *smoothing_claims(self.history), *taylor_claims(), surface_claim()]

    def stochastic_claims(self, metrics: dict[str, float]) -> list[Check]:
        """Row B09: one patient at a time gets as far as all at once, by a noisier way."""
        design = np.hstack([self.x.numpy(), np.ones((len(self.x), 1))])
        least_squares = float(np.mean((design @ np.linalg.lstsq(design, self.y.numpy(), rcond=None)[0] - self.y.numpy()) ** 2))
        losses = [row["loss"] for row in self.history if "loss" in row]
        full_batch = LinearRegression(self.Options(), self.seed)
        full_batch.setup()
        smooth_losses = [float(full_batch.optimize((self.x, self.y)).item()) for _ in range(100)]
        noise = float(np.std(np.diff(losses[len(losses) // 2 :])) / np.std(np.diff(smooth_losses[50:])))
        return [
            Check.at_most("SGD's train MSE / least squares", metrics["train MSE"] / least_squares, 1.05, "B09"),
            Check.at_least("SGD's noise / full batch's", noise, 1, "B09"),
        ]

    def figures(self, folder: Any) -> None:
        if self.options.surface:
            draw_surface(folder / "surface.png")


def descend(cost: Callable[[Any], Any], start: float, alpha: float, steps: int) -> list[float]:
    """Row B06, spelled out: w <- w - alpha d cost / d w, ``steps`` times. Returns every w on the way."""
    w = tg.tensor(start, dtype=tg.float64, requires_grad=True)
    path = [start]
    for _ in range(steps):
        w.grad = None
        cost(w).backward()
        with tg.no_grad():
            w -= alpha * w.grad
        path.append(float(w.item()))
    return path


def line_cost(w: Any) -> Any:
    """Mean squared error of y = w x on the points of y = 2 x."""
    return ((w * tg.tensor(LINE_X) - tg.tensor(LINE_Y)) ** 2).mean()


def parabola(w: Any) -> Any:
    """The lecture's J(W) = 0.1 (W - 5)^2."""
    return 0.1 * (w - 5) ** 2


def parabola_claims() -> list[Check]:
    """Rows B06, B07: the gradient at 10 is 1; descent ends at 5; it converges exactly when alpha < 10."""
    w = tg.tensor(10.0, dtype=tg.float64, requires_grad=True)
    parabola(w).backward()
    growing = descend(parabola, start=10.0, alpha=11.0, steps=60)
    return [
        Check.equal("J = 0.1 (W - 5)^2: gradient at W = 10", float(w.grad.item()), 1, "B06"),
        Check.within("J: descent from 10 ends at", descend(parabola, start=10.0, alpha=1.0, steps=100)[-1], 5, 1e-3, "B06"),
        Check.at_least("J: step size 11 diverges, |W - 5| grows by", abs(growing[-1] - 5) / 5, 1e3, "B07"),
    ]


def smoothing_claims(history: list[dict[str, float]]) -> list[Check]:
    """Row B08: smoothing keeps the curve and takes its jitter away."""
    noisy = [row["loss"] for row in history if "loss" in row]
    jitter = np.var(np.diff(smooth(noisy, 0.1))) / max(np.var(np.diff(noisy)), 1e-300)
    by_hand = 0.1 * noisy[1] + 0.9 * noisy[0]
    return [
        Check.within("smoothed cost 1 / (0.1 C1 + 0.9 C0)", smooth(noisy, 0.1)[1] / by_hand, 1, 1e-12, "B08"),
        Check.at_most("jitter of the smoothed curve / of the curve", float(jitter), 1, "B08"),
    ]


def taylor_claims() -> list[Check]:
    """Row B25: inside a small circle the cost is its tangent, so one step changes it by -alpha |gradient|^2."""
    w, alpha = tg.tensor(0.0, dtype=tg.float64, requires_grad=True), 1e-4
    before = line_cost(w)
    before.backward()
    after = line_cost(w.detach() - alpha * w.grad)
    ratio = float((after - before).item()) / float((-alpha * w.grad**2).item())
    return [Check.within("change of the cost / (-alpha |g|^2)", ratio, 1, 0.01, "B25")]


def error_surface(size: int = 41) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row B23: (w, b, cost[w, b]) of y = w x + b on a grid."""
    w, b = np.linspace(0, 4, size), np.linspace(-2, 2, size)
    residual = w[:, None, None] * LINE_X + b[None, :, None] - LINE_Y  # (w, b, N)
    return w, b, (residual**2).mean(2)


def surface_claim() -> Check:
    w, b, cost = error_surface()
    i, j = np.unravel_index(cost.argmin(), cost.shape)
    slope, intercept = np.polyfit(LINE_X, LINE_Y, 1)
    distance = float(np.hypot(w[i] - slope, b[j] - intercept))
    return Check.at_most("lowest point of the error surface to least squares", distance, 0.05, "B23")


def draw_surface(file: Any) -> None:
    """Contours of the cost over (w, b); the valley is long because w and b can make up for each other."""
    from tilegrad.course.trainer.pictures import new_figure

    w, b, cost = error_surface()
    figure, axes = new_figure()
    axes.contour(w, b, cost.T, levels=np.geomspace(0.01, cost.max(), 20))
    axes.plot(2, 0, "r*")
    axes.set(xlabel="w", ylabel="b", title="cost of y = w x + b on y = 2 x")
    figure.savefig(file, dpi=120)
