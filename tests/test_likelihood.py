"""CTC by enumeration of all paths, likelihoods and multi-label margins by their formulas, and the fused pointwise losses."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import tilegrad as tg
import tilegrad.nn.functional as F
from tilegrad import nn

RNG = np.random.default_rng(0)


def t(values, grad=False):
    tensor = tg.tensor(np.asarray(values, dtype=np.float64))
    return tensor.requires_grad_() if grad else tensor


def log_softmax(x):
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


# --- ctc_loss ----------------------------------------------------------------------------------------------------------


def collapsed(path, blank=0):
    """A path without repetitions and blanks: the labels it stands for."""
    return tuple(k for k, _ in itertools.groupby(path) if k != blank)


def by_enumeration(log_p, labels, blank=0):
    """-log of the summed probability of all paths that stand for `labels`; log_p (T, C)."""
    total = 0.0
    for path in itertools.product(range(log_p.shape[1]), repeat=len(log_p)):
        if collapsed(path, blank) == tuple(labels):
            total += math.exp(sum(log_p[i, c] for i, c in enumerate(path)))
    return -math.log(total) if total else math.inf


@pytest.mark.parametrize("labels", [(), (1,), (1, 2), (1, 1), (2, 1, 2), (2, 2, 2), (1, 1, 2, 2)])
def test_ctc_is_the_sum_over_all_paths(labels):
    log_p = log_softmax(RNG.standard_normal((5, 3)))
    sizes = tg.tensor([len(labels)])
    targets = tg.tensor(labels, dtype=tg.int64) if labels else tg.zeros(0, dtype=tg.int64)
    loss = F.ctc_loss(t(log_p[:, None]), targets, [5], sizes, reduction="none")
    np.testing.assert_allclose(loss.numpy(), [by_enumeration(log_p, labels)], rtol=1e-10)


def test_ctc_without_a_batch_and_the_module():
    log_p = log_softmax(RNG.standard_normal((5, 3)))
    loss = F.ctc_loss(t(log_p), tg.tensor([1, 2]), tg.tensor(5), tg.tensor(2), reduction="none")
    assert loss.shape == ()
    assert loss.item() == pytest.approx(by_enumeration(log_p, (1, 2)))
    mean = nn.CTCLoss(blank=2)(t(log_p[:, None]), tg.tensor([[1, 0]]), (5,), (2,))
    assert mean.item() == pytest.approx(by_enumeration(log_p, (1, 0), 2) / 2)


def test_ctc_gradient_through_log_softmax():
    x = t(RNG.standard_normal((6, 2, 4)), grad=True)
    targets, sizes = tg.tensor([[1, 1, 3], [2, 3, 0]]), tg.tensor([3, 2])
    for reduction in ("mean", "sum"):
        assert tg.autograd.gradcheck(lambda x, r=reduction: F.ctc_loss(tg.log_softmax(x, 2), targets, [6, 5], sizes, 0, r), [x])
    F.ctc_loss(tg.log_softmax(x, 2), targets, [6, 5], sizes).backward()
    np.testing.assert_allclose(x.grad.numpy().sum(2), 0, atol=1e-12)
    assert not x.grad.numpy()[5, 1].any()  # beyond the second sample's length


@pytest.mark.parametrize("zero_infinity", [False, True])
def test_ctc_gradients_by_the_kernel_and_by_differentiable_ops_agree(zero_infinity):
    x = t(log_softmax(RNG.standard_normal((7, 4, 5))), grad=True)
    targets = tg.tensor([[1, 1, 3], [2, 3, 0], [0, 0, 0], [4, 4, 4]])
    loss = F.ctc_loss(x, targets, [7, 5, 0, 3], [3, 2, 0, 3], zero_infinity=zero_infinity, reduction="none")
    (by_kernel,) = tg.autograd.grad(loss, x, tg.ones(4, dtype=tg.float64), retain_graph=True)
    (by_ops,) = tg.autograd.grad(loss, x, tg.ones(4, dtype=tg.float64), create_graph=True)
    np.testing.assert_allclose(by_ops.detach().numpy(), by_kernel.numpy(), rtol=1e-12, atol=1e-14)
    assert by_ops.requires_grad
    assert not by_kernel.requires_grad


def test_ctc_has_gradients_of_order_two_through_log_softmax():
    x = t(RNG.standard_normal((6, 2, 4)), grad=True)
    targets = tg.tensor([1, 1, 3, 2, 3])
    assert tg.autograd.gradgradcheck(lambda x: F.ctc_loss(tg.log_softmax(x, 2), targets, [6, 5], [3, 2]), [x])


def test_ctc_of_a_target_that_does_not_fit():
    x = t(log_softmax(RNG.standard_normal((2, 2, 3))), grad=True)
    arguments = (tg.tensor([[1, 1], [1, 2]]), [2, 2], [2, 2])  # 1 1 needs a blank between
    assert F.ctc_loss(x, *arguments, reduction="none")[0].item() == math.inf
    F.ctc_loss(x, *arguments, zero_infinity=True, reduction="sum").backward()
    assert not x.grad.numpy()[:, 0].any()
    assert np.isfinite(x.grad.numpy()).all()
    assert x.grad.numpy()[:, 1].any()


def test_ctc_of_impossible_labels_makes_no_nan():
    log_p = log_softmax(RNG.standard_normal((4, 3)))
    log_p[1, 2] = -np.inf
    x = t(log_p[:, None], grad=True)
    loss = F.ctc_loss(x, tg.tensor([[1, 2]]), [4], [2], reduction="sum")
    loss.backward()
    assert loss.item() == pytest.approx(by_enumeration(log_p, (1, 2)))
    assert np.isfinite(x.grad.numpy()).all()


# --- likelihoods -------------------------------------------------------------------------------------------------------


def test_poisson():
    x, y = RNG.uniform(0.1, 2, (3, 4)), RNG.integers(0, 5, (3, 4)).astype(float)
    np.testing.assert_allclose(F.poisson_nll_loss(t(x), t(y), reduction="none").numpy(), np.exp(x) - y * x)
    expected = x - y * np.log(x + 1e-3)
    np.testing.assert_allclose(F.poisson_nll_loss(t(x), t(y), False, eps=1e-3).item(), expected.mean())
    big = np.where(y > 1, y, 1)
    stirling = np.where(y > 1, y * np.log(big) - y + 0.5 * np.log(2 * np.pi * big), 0)
    np.testing.assert_allclose(nn.PoissonNLLLoss(full=True)(t(x), t(y)).item(), (np.exp(x) - y * x + stirling).mean())


def test_gaussian():
    x, y, v = RNG.standard_normal((3, 4)), RNG.standard_normal((3, 4)), RNG.uniform(0.5, 2, (3, 4))
    expected = 0.5 * (np.log(v) + (x - y) ** 2 / v)
    np.testing.assert_allclose(F.gaussian_nll_loss(t(x), t(y), t(v), reduction="none").numpy(), expected)
    row = 0.5 * (np.log(v[:, :1]) + (x - y) ** 2 / v[:, :1])
    np.testing.assert_allclose(F.gaussian_nll_loss(t(x), t(y), t(v[:, 0])).item(), row.mean())
    np.testing.assert_allclose(F.gaussian_nll_loss(t(x), t(y), t(v[:, :1])).item(), row.mean())
    full = nn.GaussianNLLLoss(full=True, reduction="sum")(t(x), t(y), t(v))
    np.testing.assert_allclose(full.item(), (expected + 0.5 * np.log(2 * np.pi)).sum())
    limited = F.gaussian_nll_loss(t(x), t(y), tg.zeros(3, 4, dtype=tg.float64), eps=0.25, reduction="none")
    np.testing.assert_allclose(limited.numpy(), 0.5 * (np.log(0.25) + (x - y) ** 2 / 0.25))
    with pytest.raises(ValueError, match="negative"):
        F.gaussian_nll_loss(t(x), t(y), -t(v))
    with pytest.raises(ValueError, match="incorrect size"):
        F.gaussian_nll_loss(t(x), t(y), t(v[:2]))


# --- several labels, distances -----------------------------------------------------------------------------------------


def test_multilabel_margin():
    x = RNG.standard_normal((2, 4))
    target = np.array([[3, 0, -1, 1], [2, -1, 0, 3]])
    expected = []
    for row, labels in zip(x, ([3, 0], [2]), strict=True):
        expected.append(sum(max(0, 1 - (row[j] - row[i])) for j in labels for i in range(4) if i not in labels) / 4)
    actual = F.multilabel_margin_loss(t(x), tg.tensor(target), reduction="none")
    np.testing.assert_allclose(actual.numpy(), expected)
    assert nn.MultiLabelMarginLoss()(t(x[0]), tg.tensor(target[0])).item() == pytest.approx(expected[0])
    with pytest.raises(IndexError, match="label 4"):
        F.multilabel_margin_loss(t(x), tg.tensor(target + 1))
    with pytest.raises(RuntimeError, match="target size"):
        F.multilabel_margin_loss(t(x), tg.tensor(target[0]))


def test_multilabel_soft_margin():
    x, y, w = RNG.standard_normal((3, 4)), RNG.integers(0, 2, (3, 4)).astype(float), RNG.uniform(0.5, 2, 4)
    each = np.logaddexp(0, x) - x * y
    np.testing.assert_allclose(F.multilabel_soft_margin_loss(t(x), t(y), reduction="none").numpy(), each.mean(1))
    np.testing.assert_allclose(nn.MultiLabelSoftMarginLoss(t(w))(t(x), t(y)).item(), (each * w).mean())


def test_triplet_with_a_distance():
    a, p, n = (RNG.standard_normal((5, 3)) for _ in range(3))

    def manhattan(x, y):
        return abs(x - y).sum(1)

    for swap in (False, True):
        far = np.minimum(manhattan(a, n), manhattan(p, n)) if swap else manhattan(a, n)
        expected = np.maximum(0, manhattan(a, p) - far + 0.5)
        layer = nn.TripletMarginWithDistanceLoss(
            distance_function=lambda x, y: (x - y).abs().sum(1), margin=0.5, swap=swap, reduction="none"
        )
        np.testing.assert_allclose(layer(t(a), t(p), t(n)).numpy(), expected)
    default = F.triplet_margin_with_distance_loss(t(a), t(p), t(n))
    assert default.item() == pytest.approx(F.triplet_margin_loss(t(a), t(p), t(n)).item())


# --- the fused losses --------------------------------------------------------------------------------------------------


def test_binary_cross_entropy_at_0_and_1_is_finite():
    x = t([0.0, 0.0, 1.0, 1.0], grad=True)
    y = t([0.0, 1.0, 0.0, 1.0])
    loss = F.binary_cross_entropy(x, y, reduction="none")
    np.testing.assert_allclose(loss.detach().numpy(), [0, 100, 100, 0])
    loss.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [0, -1e12, 1e12, 0])  # (x - y) / max(x (1 - x), 1e-12), as in PyTorch


def test_a_target_of_another_dtype_is_converted():
    x = tg.tensor([0.2, 0.7], requires_grad=True)
    loss = F.mse_loss(x, tg.tensor([0, 1]))
    loss.backward()
    assert loss.dtype == tg.float32
    np.testing.assert_allclose(x.grad.numpy(), [0.2, -0.3], rtol=1e-6)


def test_probabilities_as_targets_for_images():
    x, y = RNG.standard_normal((2, 3, 4)), RNG.dirichlet(np.ones(3), (2, 4)).transpose(0, 2, 1)
    log_p = x - np.log(np.exp(x).sum(1, keepdims=True))
    expected = -(y * log_p).sum(1)
    np.testing.assert_allclose(F.cross_entropy(t(x), t(y), reduction="none").numpy(), expected)
    np.testing.assert_allclose(F.cross_entropy(t(x), t(y)).item(), expected.mean())
    impossible = t([[0.0, -math.inf]], grad=True)
    F.cross_entropy(impossible, t([[1.0, 0.0]])).backward()
    np.testing.assert_allclose(impossible.grad.numpy(), [[0, 0]])


@pytest.mark.xdist_group("serial")
def test_the_same_bits_for_any_number_of_threads():
    x, y = (tg.tensor(RNG.uniform(0.1, 0.9, (700, 90)), dtype=tg.float32) for _ in range(2))
    log_p = tg.log_softmax(tg.tensor(RNG.standard_normal((30, 8, 20)), dtype=tg.float32), 2)
    targets = tg.tensor(RNG.integers(1, 20, (8, 12)))
    before, results = tg.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            tg.set_num_threads(count)
            found = []
            for call in (F.mse_loss, F.binary_cross_entropy, F.smooth_l1_loss, F.cross_entropy):
                leaf = x.clone().requires_grad_()
                loss = call(leaf, y)
                loss.backward()
                found += [loss.item(), leaf.grad.numpy().tobytes()]
            leaf = log_p.detach().clone().requires_grad_()
            F.ctc_loss(leaf, targets, [30] * 8, [12] * 8).backward()
            results.append([*found, leaf.grad.numpy().tobytes()])
    finally:
        tg.set_num_threads(before)
    assert results[0] == results[1] == results[2]
