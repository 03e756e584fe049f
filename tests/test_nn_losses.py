"""Losses, distances and one_hot against NumPy."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

import tilegrad as tg
import tilegrad.nn.functional as F
from tilegrad import nn


def t(values, grad=False):
    tensor = tg.tensor(np.asarray(values, dtype=np.float64))
    return tensor.requires_grad_() if grad else tensor


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softplus(x):
    return np.logaddexp(0, x)


A = np.array([[0.2, -1.0, 3.0], [0.7, 0.1, -2.0]])
B = np.array([[1.0, 0.5, 2.5], [-0.3, 0.1, 2.0]])
P = np.array([[0.1, 0.9, 0.5], [0.0, 1.0, 0.3]])
Y = np.array([[0.0, 1.0, 1.0], [0.0, 1.0, 0.2]])
D = np.abs(A - B)


def bce(p, y):
    with np.errstate(divide="ignore"):
        return -(y * np.maximum(np.log(p), -100) + (1 - y) * np.maximum(np.log(1 - p), -100))


LOSSES = {
    "MSELoss": (nn.MSELoss, {}, A, B, (A - B) ** 2),
    "L1Loss": (nn.L1Loss, {}, A, B, D),
    "SmoothL1Loss": (nn.SmoothL1Loss, {"beta": 0.6}, A, B, np.where(D < 0.6, D**2 / 1.2, D - 0.3)),
    "HuberLoss": (nn.HuberLoss, {"delta": 0.6}, A, B, np.where(D <= 0.6, D**2 / 2, 0.6 * (D - 0.3))),
    "BCELoss": (nn.BCELoss, {}, P, Y, bce(P, Y)),
    "BCEWithLogitsLoss": (nn.BCEWithLogitsLoss, {}, A, Y, bce(sigmoid(A), Y)),
    "SoftMarginLoss": (nn.SoftMarginLoss, {}, A, np.sign(B), np.log1p(np.exp(-np.sign(B) * A))),
    "HingeEmbeddingLoss": (nn.HingeEmbeddingLoss, {}, A, np.sign(B), np.where(B > 0, A, np.maximum(0, 1 - A))),
}


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("name", LOSSES)
def test_elementwise_losses(name, reduction):
    make, options, x, y, expected = LOSSES[name]
    x = t(x, grad=True)
    loss = make(reduction=reduction, **options)(x, t(y))
    expected = {"none": expected, "mean": expected.mean(), "sum": expected.sum()}[reduction]
    np.testing.assert_allclose(loss.detach().numpy(), expected, rtol=1e-6)
    loss.sum().backward()
    assert np.isfinite(x.grad.numpy()).all()


def test_nll_and_cross_entropy():
    logits = np.random.default_rng(0).normal(size=(5, 3))
    target = np.array([0, 2, 1, -100, 2])
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    w = np.array([1.0, 2.0, 0.5])
    kept = target >= 0
    each = np.where(kept, -w[np.where(kept, target, 0)] * log_p[np.arange(5), np.where(kept, target, 0)], 0)
    weight, labels = t(w), tg.tensor(target)
    for reduction, expected in (("none", each), ("sum", each.sum()), ("mean", each.sum() / w[target[kept]].sum())):
        nll = nn.NLLLoss(weight, reduction=reduction)(t(log_p), labels)
        ce = nn.CrossEntropyLoss(weight, reduction=reduction)(t(logits), labels)
        np.testing.assert_allclose(nll.numpy(), expected, rtol=1e-9)
        np.testing.assert_allclose(ce.numpy(), expected, rtol=1e-9)
    np.testing.assert_allclose(F.nll_loss(t(log_p[0]), tg.tensor(1)).item(), -log_p[0, 1])
    deep = t(np.moveaxis(log_p.reshape(5, 1, 3), 2, 1))  # (5, 3, 1)
    np.testing.assert_allclose(F.nll_loss(deep, labels.reshape(5, 1), weight).item(), each.sum() / w[target[kept]].sum())
    x = t(logits[:1], grad=True)
    F.cross_entropy(x, tg.tensor([2])).backward()  # the gradient is p - y (D15)
    np.testing.assert_allclose(x.grad.numpy()[0], np.exp(log_p[0]) - np.array([0, 0, 1]), rtol=1e-6)
    assert list(nn.CrossEntropyLoss(weight).state_dict()) == ["weight"] and nn.CrossEntropyLoss().state_dict() == {}


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: F.mse_loss(tg.ones(1), tg.ones(1), reduction="avg"), ValueError, "avg is not a valid value for reduction"),
        (lambda: F.nll_loss(tg.ones(2, 3), tg.tensor([0, 3])), IndexError, "Target 3 is out of bounds for 3 classes"),
        (lambda: F.nll_loss(tg.ones(2, 3), tg.tensor([0])), ValueError, r"Expected target size \(2,\), got \(1,\)"),
        (
            lambda: F.nll_loss(tg.ones(2, 3), tg.ones(2)),
            RuntimeError,
            "expected an int64 target of class indexes, got tilegrad.float32",
        ),
        (lambda: F.nll_loss(tg.ones(2, 3), tg.tensor([0, 1]), tg.ones(2)), RuntimeError, "for all 3 classes or no classes"),
        (
            lambda: F.binary_cross_entropy(tg.ones(2) * 2, tg.ones(2)),
            RuntimeError,
            "should be between 0 and 1; apply a sigmoid",
        ),
        (lambda: F.binary_cross_entropy(tg.ones(2), tg.ones(3)), ValueError, r"target size \(\(3,\)\) that is different"),
        (lambda: F.binary_cross_entropy_with_logits(tg.ones(2), tg.ones(3)), ValueError, "must be the same as input size"),
        (
            lambda: F.smooth_l1_loss(tg.ones(1), tg.ones(1), beta=-1.0),
            RuntimeError,
            "does not support negative values for beta",
        ),
        (lambda: F.huber_loss(tg.ones(1), tg.ones(1), delta=0.0), RuntimeError, "non-positive values for delta"),
        (lambda: nn.MultiMarginLoss(p=3), ValueError, "only p == 1 and p == 2 supported, got 3"),
        (lambda: nn.TripletMarginLoss(margin=0), ValueError, "margin to be greater than 0, got 0"),
        (lambda: F.one_hot(tg.ones(2)), RuntimeError, "one_hot is only applicable to index tensor of type int64"),
        (lambda: F.one_hot(tg.tensor([3]), 2), RuntimeError, "Class values must be smaller than num_classes, got 3"),
        (lambda: F.one_hot(tg.tensor([-1])), RuntimeError, "Class values must be non-negative, got -1"),
    ],
)
def test_functional_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_warnings_of_losses():
    with pytest.warns(UserWarning, match=r"Using a target size \(\(2,\)\) that is different to the input size \(\(2, 1\)\)"):
        assert F.mse_loss(tg.ones(2, 1), tg.zeros(2)).item() == 1.0
    with pytest.warns(UserWarning, match="size_average and reduce args will be deprecated, please use reduction='sum'"):
        assert F.mse_loss(tg.ones(2), tg.zeros(2), size_average=False).item() == 2.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        F.mse_loss(tg.ones(2), tg.zeros(2))


def test_bce_extremes_and_zero_logits():
    p = tg.tensor([0.0, 1.0, 0.0, 1.0], requires_grad=True)
    loss = F.binary_cross_entropy(p, tg.tensor([0.0, 1.0, 1.0, 0.0]), reduction="none")
    np.testing.assert_allclose(loss.detach().numpy(), [0, 0, 100, 100], atol=1e-5)
    loss.sum().backward()
    assert np.isfinite(p.grad.numpy()).all()
    z = tg.tensor([0.0, 200.0, -200.0], requires_grad=True)
    loss = F.binary_cross_entropy_with_logits(z, tg.tensor([1.0, 0.0, 1.0]), reduction="none")
    np.testing.assert_allclose(loss.detach().numpy(), [math.log(2), 200, 200], rtol=1e-6)
    loss.sum().backward()
    np.testing.assert_allclose(z.grad.numpy(), [-0.5, 1, -1], rtol=1e-6)  # sigmoid(z) - y, also at 0
    weighted = F.binary_cross_entropy_with_logits(t(A), t(Y), pos_weight=t([2.0, 1.0, 3.0]), reduction="none")
    pos = np.array([2.0, 1.0, 3.0])
    np.testing.assert_allclose(weighted.numpy(), -(pos * Y * np.log(sigmoid(A)) + (1 - Y) * np.log(1 - sigmoid(A))), rtol=1e-6)


def test_kl_div():
    q, p = np.array([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]]), np.array([[0.0, 0.5, 0.5], [0.3, 0.3, 0.4]])
    each = np.where(p > 0, p * (np.log(np.where(p > 0, p, 1)) - np.log(q)), 0)
    np.testing.assert_allclose(F.kl_div(t(np.log(q)), t(p), reduction="batchmean").item(), each.sum() / 2)
    np.testing.assert_allclose(nn.KLDivLoss(reduction="none")(t(np.log(q)), t(p)).numpy(), each, atol=1e-12)
    with pytest.warns(UserWarning, match="'batchmean' divides"):
        F.kl_div(t(np.log(q)), t(p))


def test_margin_losses_and_distances():
    rng = np.random.default_rng(0)
    a, b, c = (rng.normal(size=(4, 3)) for _ in range(3))
    cos = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    np.testing.assert_allclose(nn.CosineSimilarity()(t(a), t(b)).numpy(), cos)
    assert F.cosine_similarity(tg.zeros(1, 3), tg.ones(1, 3)).item() == 0.0
    np.testing.assert_allclose(nn.PairwiseDistance()(t(a), t(b)).numpy(), np.linalg.norm(a - b + 1e-6, axis=1))
    np.testing.assert_allclose(F.normalize(t(a)).numpy(), a / np.linalg.norm(a, axis=1, keepdims=True))
    assert float(F.normalize(tg.zeros(1, 3)).abs().sum()) == 0.0
    y = np.array([1.0, -1.0, 1.0, -1.0])
    np.testing.assert_allclose(
        nn.CosineEmbeddingLoss(reduction="none")(t(a), t(b), t(y)).numpy(), np.where(y > 0, 1 - cos, np.maximum(0, cos))
    )
    np.testing.assert_allclose(
        nn.MarginRankingLoss(0.5)(t(a[:, 0]), t(b[:, 0]), t(y)).item(), np.maximum(0, -y * (a[:, 0] - b[:, 0]) + 0.5).mean()
    )
    near, far = np.linalg.norm(a - b + 1e-6, axis=1), np.linalg.norm(a - c + 1e-6, axis=1)
    np.testing.assert_allclose(nn.TripletMarginLoss()(t(a), t(b), t(c)).item(), np.maximum(0, near - far + 1).mean())
    labels = np.array([0, 2, 1, 1])
    hinge = np.maximum(0, 1 - a[np.arange(4), labels][:, None] + a)
    hinge[np.arange(4), labels] = 0
    np.testing.assert_allclose(nn.MultiMarginLoss()(t(a), tg.tensor(labels)).item(), hinge.sum(1).mean() / 3)


def test_one_hot():
    assert F.one_hot(tg.tensor([[0, 2], [1, 1]])).tolist() == [[[1, 0, 0], [0, 0, 1]], [[0, 1, 0], [0, 1, 0]]]
    out = F.one_hot(tg.tensor([1]), num_classes=4)
    assert out.tolist() == [[0, 1, 0, 0]] and out.dtype == tg.int64
    assert F.one_hot(tg.zeros(0, dtype=tg.int64), 3).shape == (0, 3)


SMOOTH = [
    lambda x: F.cross_entropy(x, tg.tensor([0, 2])),
    lambda x: F.binary_cross_entropy_with_logits(x, t(np.full((2, 3), 0.3))),
    lambda x: F.binary_cross_entropy(x.sigmoid(), t(np.full((2, 3), 0.3))),
    lambda x: F.mse_loss(x, t(np.ones((2, 3)))),
    lambda x: F.kl_div(F.log_softmax(x, 1), t(np.full((2, 3), 1 / 3)), reduction="sum"),
    lambda x: F.cosine_similarity(x, t(B)).sum(),
    lambda x: F.normalize(x).sum(),
    lambda x: F.nll_loss(F.log_softmax(x, 1), tg.tensor([1, 1]), t([1.0, 2.0, 3.0])),
    lambda x: F.mish(x).sum() + F.elu(x).sum() + F.gelu(x).sum() + F.silu(x).sum() + F.softplus(x, 2.0, 5.0).sum(),
]


@pytest.mark.parametrize("function", SMOOTH)
def test_gradients_of_order_one_and_two(function):
    x = t(A, grad=True)
    assert tg.autograd.gradcheck(function, (x,)) and tg.autograd.gradgradcheck(function, (x,))


@pytest.mark.parametrize("loss", ["mse_loss", "l1_loss", "binary_cross_entropy_with_logits", "smooth_l1_loss", "huber_loss"])
def test_an_empty_batch_has_gradients_for_both_sides(loss):
    x, target = tg.ones(0, 3, requires_grad=True), tg.ones(0, 3, requires_grad=True)
    y = getattr(F, loss)(x, target)
    y.backward()
    assert np.isnan(y.item())
    assert x.grad.shape == target.grad.shape == (0, 3)


def smoothed_gradient(x, target, weight, smoothing, ignore, mean):
    """The gradient of cross_entropy by its definition."""
    p = np.exp(x - x.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    n, classes = x.shape
    w = np.ones(classes) if weight is None else weight
    counted = target != ignore
    safe = np.where(counted, target, 0)
    shares = np.full((n, classes), smoothing / classes) * w
    shares[np.arange(n), safe] += (1 - smoothing) * w[safe]
    gradient = (p * shares.sum(1, keepdims=True) - shares) * counted[:, None]
    return gradient / w[target[counted]].sum() if mean else gradient


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("classes", [1, 5, 17, 63, 1000, 5000])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_cross_entropy_leaves_its_gradient(dtype, classes, reduction):
    """The forward pass makes it: rows longer and shorter than a register, weights, smoothing, ignored rows, any upstream."""
    rng = np.random.default_rng(classes)
    kind = getattr(tg, dtype)
    tolerance = {"float32": 1e-5, "float64": 1e-12, "bfloat16": 2e-2}[dtype]
    target = rng.integers(0, classes, 9)
    target[[2, 8]] = -100
    for weight, smoothing in ((None, 0.0), (rng.uniform(0.5, 2, classes), 0.0), (rng.uniform(0.5, 2, classes), 0.2)):
        x = tg.tensor(rng.standard_normal((9, classes)) * 3).to(kind).requires_grad_()
        w = None if weight is None else tg.tensor(weight).to(kind)
        plain = None if w is None else w.to(tg.float64).numpy()
        loss = F.cross_entropy(x, tg.tensor(target), w, reduction=reduction, label_smoothing=smoothing)
        silent = F.cross_entropy(x.detach(), tg.tensor(target), w, reduction=reduction, label_smoothing=smoothing)
        assert loss.item() == silent.item(), "the value does not depend on whether a graph is recorded"
        (loss * 0.5).backward()
        expected = 0.5 * smoothed_gradient(
            x.detach().to(tg.float64).numpy(), target, plain, smoothing, -100, reduction == "mean"
        )
        scale = np.abs(expected).max() or 1.0
        np.testing.assert_allclose(x.grad.to(tg.float64).numpy(), expected, rtol=tolerance, atol=tolerance * scale)


def test_cross_entropy_gives_its_gradient_as_often_as_it_is_asked():
    x, target = t(np.random.default_rng(0).standard_normal((4, 7)), True), tg.tensor([1, 0, 6, 3])
    loss = F.cross_entropy(x, target)
    loss.backward(retain_graph=True)
    first = x.grad.clone()
    x.grad *= 3.0  # what was given away is the caller's
    x.grad = None
    loss.backward(retain_graph=True)
    np.testing.assert_allclose(x.grad.numpy(), first.numpy(), rtol=1e-12)
    (again,) = tg.autograd.grad(loss, x, create_graph=True)
    np.testing.assert_allclose(again.detach().numpy(), first.numpy(), rtol=1e-12)
    again.square().sum().backward()
    assert tg.isfinite(x.grad).all().item()
    weights = tg.tensor(np.arange(1.0, 8.0))

    def weighted(x):
        return F.cross_entropy(x, target, weights, label_smoothing=0.1, ignore_index=6)

    assert tg.autograd.gradcheck(weighted, [x.detach().requires_grad_()])
    assert tg.autograd.gradgradcheck(weighted, [x.detach().requires_grad_()])


def test_cross_entropy_of_ignored_rows_only():
    x = t(np.zeros((2, 3)), True)
    loss = F.cross_entropy(x, tg.tensor([-100, -100]))
    loss.backward()
    assert math.isnan(loss.item()) and np.array_equal(x.grad.numpy(), np.zeros((2, 3)))
