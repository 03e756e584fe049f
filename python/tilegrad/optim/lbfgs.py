"""L-BFGS: quasi-Newton steps from the last few gradients, over all parameters as one vector.

Source: Nocedal & Wright, Numerical Optimization, algorithms 7.4 and 7.5, and 3.5 and 3.6 for the line search;
https://pytorch.org/docs/stable/generated/torch.optim.LBFGS.html
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import tilegrad as tg

from ..tensor import Tensor
from .optimizer import Optimizer


def _cubic_minimum(a: float, fa: float, da: float, b: float, fb: float, db: float) -> float:
    """Where the cubic through two points with two slopes is smallest between them; the middle if it has no minimum there."""
    low, high = min(a, b), max(a, b)
    d1 = da + db - 3 * (fa - fb) / (a - b)
    square = d1 * d1 - da * db
    if not square >= 0:
        return (low + high) / 2
    d2 = math.copysign(math.sqrt(square), b - a)
    bottom = db - da + 2 * d2
    if bottom == 0:
        return (low + high) / 2
    return min(max(b - (b - a) * (db + d2 - d1) / bottom, low), high)


def _strong_wolfe(
    phi: Callable[[float], tuple[float, float]], f0: float, d0: float, t: float, c1: float, c2: float, most: int
) -> float:
    """A step t with phi(t) <= phi(0) + c1 t phi'(0) and |phi'(t)| <= c2 |phi'(0)|, or the best one found.

    phi gives value and slope along the line; d0 = phi'(0) < 0.
    """
    before, f_before, d_before = 0.0, f0, d0
    for calls in range(most):
        f, d = phi(t)
        if not math.isfinite(f):
            t = (before + t) / 2
            continue
        if f > f0 + c1 * t * d0 or (calls > 0 and f >= f_before):
            return _zoom(phi, f0, d0, (before, f_before, d_before), (t, f, d), c1, c2, most - calls)
        if abs(d) <= -c2 * d0:
            return t
        if d >= 0:
            return _zoom(phi, f0, d0, (t, f, d), (before, f_before, d_before), c1, c2, most - calls)
        before, f_before, d_before, t = t, f, d, min(2.0 * t + 2.0 * (t - before), 10.0 * t)
    return before


def _zoom(phi: Any, f0: float, d0: float, low: Any, high: Any, c1: float, c2: float, most: int) -> float:
    """The same between two steps, of which `low` has the smaller value and its slope points to `high`."""
    for _ in range(max(1, most)):
        width = abs(high[0] - low[0])
        if width * abs(d0) < 1e-12 * max(1.0, abs(f0)):
            break
        t = _cubic_minimum(*low, *high)
        edge = 0.1 * width
        t = min(max(t, min(low[0], high[0]) + edge), max(low[0], high[0]) - edge)
        f, d = phi(t)
        if f > f0 + c1 * t * d0 or f >= low[1]:
            high = (t, f, d)
            continue
        if abs(d) <= -c2 * d0:
            return t
        if d * (high[0] - low[0]) >= 0:
            high = low
        low = (t, f, d)
    return low[0]


class LBFGS(Optimizer):
    """Limited-memory BFGS. step(closure) runs up to max_iter iterations.

    closure clears the gradients, computes the loss, calls backward and returns the loss.

    Args:
        params: one group only.
        lr: the step along the direction; with line_search_fn the first one tried.
        max_eval: the most calls of closure (default 1.25 max_iter). tolerance_grad, tolerance_change: when to stop.
        history_size: how many pairs are kept. line_search_fn: None or "strong_wolfe".

    Raises:
        ValueError: several groups, a negative lr, or an unknown line search. TypeError: step without a closure.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        if not lr >= 0.0:
            raise ValueError(f"Invalid learning rate: {lr}; it must be 0 or more")
        if line_search_fn not in (None, "strong_wolfe"):
            raise ValueError(f"line_search_fn must be None or 'strong_wolfe', got {line_search_fn!r}")
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")
        self._params = self.param_groups[0]["params"]

    def _gather(self) -> Tensor:
        return tg.cat([(tg.zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in self._params])

    def _place(self, x: Tensor) -> None:
        """Writes one vector into the parameters."""
        at = 0
        for p in self._params:
            p.copy_(x[at : at + p.numel()].reshape(p.shape))
            at += p.numel()

    @staticmethod
    def _direction(grad: Tensor, pairs: list) -> Tensor:
        """-H grad by the two-loop recursion over pairs (s, y, 1 / y·s)."""
        q, weights = -grad, []
        for s, y, rho in reversed(pairs):
            weights.append(rho * float(s @ q))
            q = q - y * weights[-1]
        if pairs:
            s, y, rho = pairs[-1]
            q = q * (1.0 / (rho * float(y @ y)))
        for (s, y, rho), weight in zip(pairs, reversed(weights), strict=True):
            q = q + s * (weight - rho * float(y @ q))
        return q

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Up to max_iter iterations; returns the loss before the first one."""
        if closure is None:
            raise TypeError("LBFGS.step needs a closure that computes the loss again: optimizer.step(closure)")
        group = self.param_groups[0]
        state = self.state[self._params[0]]

        def evaluate() -> tuple[Any, float, Tensor]:
            with tg.enable_grad():
                loss = closure()
            state["func_evals"] = state.get("func_evals", 0) + 1
            return loss, float(loss), self._gather().detach()

        with tg.no_grad():
            first_loss, value, grad = evaluate()
            evaluations, pairs = 1, state.setdefault("pairs", [])
            for _ in range(group["max_iter"]):
                largest = float(grad.abs().max()) if grad.numel() else 0.0
                if largest <= group["tolerance_grad"] or not math.isfinite(value):
                    break
                state["n_iter"] = state.get("n_iter", 0) + 1
                if "prev_grad" in state:
                    s, y = state["last_step"], grad - state["prev_grad"]
                    product = float(y @ s)
                    if product > 1e-10:
                        pairs.append((s, y, 1.0 / product))
                        del pairs[: -group["history_size"] or None]
                direction = self._direction(grad, pairs)
                slope = float(grad @ direction)
                if slope > -group["tolerance_change"]:
                    break
                t = group["lr"] * (min(1.0, 1.0 / float(grad.abs().sum())) if state["n_iter"] == 1 else 1.0)
                start, before = tg.cat([p.reshape(-1) for p in self._params]).clone(), value
                state["prev_grad"] = grad
                if group["line_search_fn"] is not None:
                    counted = 0

                    def phi(t: float, start: Tensor = start, direction: Tensor = direction) -> tuple[float, float]:
                        nonlocal counted
                        counted += 1
                        self._place(start + direction * t)
                        _, f, g = evaluate()
                        return f, float(g @ direction)

                    t = _strong_wolfe(phi, value, slope, t, 1e-4, 0.9, 25)
                    evaluations += counted
                self._place(start + direction * t)
                state["last_step"] = direction * t
                _, value, grad = evaluate()
                evaluations += 1
                if (
                    evaluations >= group["max_eval"]
                    or float((direction * t).abs().max()) <= group["tolerance_change"]
                    or abs(value - before) < group["tolerance_change"]
                ):
                    break
        return first_loss
