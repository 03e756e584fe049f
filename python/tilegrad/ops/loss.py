"""Cross entropy and negative log likelihood."""

from __future__ import annotations

from .. import _core
from ..autograd.op import op
from .elementwise import cast, exp, where
from .index import gather, index_select_op
from .reduce import logsumexp, sum_op
from .shape import expand_op, movedim, reshape_op, unsqueeze
from .softmax import log_softmax

# (loss per row, log-sum-exp per row); the second is a hint for the backward pass and has no gradient
_cross_entropy = op(_core.cross_entropy).backward(
    logits=lambda dy, logits, target, weight, ignore_index, label_smoothing, out1: cross_entropy_backward(
        dy, logits, target, weight, out1.detach(), ignore_index, label_smoothing
    )
)
cross_entropy_backward = op(_core.cross_entropy_backward)
_cross_entropy.set_autocast(-1)


@_cross_entropy.composite
def cross_entropy_rows(logits, target, weight, ignore_index, label_smoothing):
    """(loss, log-sum-exp) per row in plain ops."""
    log_p = log_softmax(logits, 1)
    counted = target != ignore_index
    safe = where(counted, target, 0)
    row_weight = 1.0 if weight is None else index_select_op(weight, 0, safe)
    loss = -reshape_op(gather(log_p, 1, unsqueeze(safe, 1)), (-1,)) * row_weight
    if label_smoothing:
        classes = logits.shape[1]
        spread = -sum_op(log_p if weight is None else log_p * weight, 1, False)
        loss = loss * (1.0 - label_smoothing) + spread * (label_smoothing / classes)
    return where(counted, loss, 0.0), logsumexp(logits, 1)


@cross_entropy_backward.composite
def _(dloss, logits, target, weight, lse, ignore_index, label_smoothing):
    classes = logits.shape[1]
    counted = target != ignore_index
    safe = where(counted, target, 0)
    # lse comes from the logits again, so that order 2 sees how it depends on them
    p = exp(logits - logsumexp(logits, 1, True))
    from .creation import arange

    one_hot = cast(unsqueeze(safe, 1) == arange(classes), logits.dtype)
    row_weight = 1.0 if weight is None else unsqueeze(index_select_op(weight, 0, safe), 1)
    grad = (p - one_hot) * row_weight
    if label_smoothing:
        class_weight = 1.0 if weight is None else weight
        total = float(classes) if weight is None else sum_op(weight, None, False)
        grad = grad * (1.0 - label_smoothing) + (p * total - class_weight) * (label_smoothing / classes)
    return where(unsqueeze(counted, 1), grad, 0.0) * unsqueeze(dloss, 1)


def _reduced_forward(logits, target, weight, ignore_index, label_smoothing, mean, kept):
    """(loss, log-sum-exp per row). Into the list `kept`, if it is one, goes the gradient of the loss for the logits."""
    loss, lse, gradient = _core.cross_entropy_reduced(
        logits, target, weight, ignore_index, label_smoothing, mean, kept is not None
    )
    if kept is not None:
        kept.append(gradient)
    return loss, lse


def _reduced_backward(dy, logits, target, weight, ignore_index, label_smoothing, mean, kept, out1):
    """The gradient that the forward pass left, given away once; a further backward pass, or one that is recorded, makes it
    from the logits."""
    if kept and not _core.is_grad_enabled():
        gradient = kept.pop()
        if dy.item() != 1.0:
            _core.mul_(gradient, dy)
        return gradient
    if mean:
        counted = cast(target != ignore_index, logits.dtype)
        if weight is not None:
            counted = counted * index_select_op(weight.detach(), 0, where(target != ignore_index, target, 0))
        dy = dy / cast(counted, out1.dtype).sum()
    rows = expand_op(reshape_op(dy, (1,)), out1.shape)
    return cross_entropy_backward(rows, logits, target, weight, out1.detach(), ignore_index, label_smoothing)


# (mean or sum of the losses, log-sum-exp per row); the gradient is made by the forward pass, while a row is in the cache
cross_entropy_reduced = op(_reduced_forward, name="cross_entropy_reduced").backward(logits=_reduced_backward)
cross_entropy_reduced.set_autocast(-1)


@cross_entropy_reduced.composite
def _(logits, target, weight, ignore_index, label_smoothing, mean, kept):
    losses, lse = cross_entropy_rows(logits, target, weight, ignore_index, label_smoothing)
    return reduced(losses, "mean" if mean else "sum", "cross_entropy", _weight_sum(target, weight, ignore_index, losses)), lse


# cross entropy of probabilities: (loss per row, log-sum-exp per row)
soft_cross_entropy = op(_core.soft_cross_entropy).backward(
    logits=lambda dy, logits, target, weight, out1: soft_cross_entropy_backward(dy, logits, target, weight, out1.detach()),
    target=lambda dy, logits, weight: _weighted(logsumexp(logits, 1, True) - logits, weight) * unsqueeze(dy, 1),
)
soft_cross_entropy_backward = op(_core.soft_cross_entropy_backward)
soft_cross_entropy.set_autocast(-2)


def _weighted(x, weight):
    return x if weight is None else x * weight


@soft_cross_entropy.composite
def _(logits, target, weight):
    return -sum_op(_weighted(log_softmax(logits, 1) * target, weight), 1, False), logsumexp(logits, 1)


@soft_cross_entropy_backward.composite
def _(dloss, logits, target, weight, lse):
    shares = _weighted(target, weight)
    p = exp(logits - logsumexp(logits, 1, True))
    return (p * sum_op(shares, 1, True) - shares) * unsqueeze(dloss, 1)


def reduced(losses, reduction, name, divisor=None):
    """Losses per element as mean, sum or themselves; the mean divides by `divisor` where one is given."""
    if reduction == "mean":
        return losses.mean() if divisor is None else losses.sum() / divisor
    if reduction == "sum":
        return losses.sum()
    if reduction == "none":
        return losses
    raise ValueError(f"{name}: reduction must be 'mean', 'sum' or 'none', got {reduction!r}")


def _rows(name, input, target):
    """(N, C, d1, ...) and (N, d1, ...) as (rows, C) and (rows,)."""
    if input.ndim == 1:
        return reshape_op(input, (1, -1)), reshape_op(target, (-1,))
    expected = (input.shape[0], *input.shape[2:])
    if target.shape != expected:
        raise ValueError(
            f"{name}: an input of shape {input.shape} needs a target of shape {expected} (class numbers), got {target.shape}"
        )
    if input.ndim > 2:
        input = reshape_op(movedim(input, 1, -1), (-1, input.shape[1]))
    return input, reshape_op(target, (-1,))


def _weight_sum(target, weight, ignore_index, input):
    """What the mean divides by: the weights of the counted targets. None when that is simply their number."""
    if weight is None and ignore_index < 0 and not (target == ignore_index).any():
        return None
    counted = target != ignore_index
    if weight is None:
        return cast(counted, input.dtype).sum()
    return (index_select_op(weight, 0, where(counted, target, 0)) * cast(counted, input.dtype)).sum()


def cross_entropy(
    input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean", label_smoothing=0.0
):
    """Cross entropy of logits against class numbers or class probabilities (PyTorch: F.cross_entropy).

    Args:
        input: logits (C,), (N, C) or (N, C, d1, ...), floating.
        target: class numbers (int64), shape () / (N,) / (N, d1, ...); or probabilities in the shape of `input`.
        weight: (C,) class weights. ignore_index: a class number that does not count. label_smoothing: in [0, 1].
        reduction: mean (weighted, over the counted targets), sum or none.

    Raises:
        IndexError: a target outside 0..C-1, named in the text. ValueError: shapes that do not fit, unknown reduction.
    """
    if target.dtype.is_floating_point:
        return _soft_cross_entropy(input, target, weight, reduction, label_smoothing)
    from ..dtypes import int64

    if target.dtype is not int64:
        raise RuntimeError(
            f"cross_entropy: expected int64 class numbers or floating probabilities as target, got {target.dtype}"
        )
    logits, rows = _rows("cross_entropy", input, target)
    if reduction == "none":
        losses, _ = _cross_entropy(logits, rows, weight, ignore_index, label_smoothing)
        result = reshape_op(losses, target.shape)
    elif reduction in ("mean", "sum"):
        kept = [] if logits.requires_grad and _core.is_grad_enabled() else None
        result, _ = cross_entropy_reduced(logits, rows, weight, ignore_index, label_smoothing, reduction == "mean", kept)
    else:
        raise ValueError(f"cross_entropy: reduction must be 'mean', 'sum' or 'none', got {reduction!r}")
    # 16-bit logits: the sum runs in float32
    return cast(result, input.dtype) if result.dtype is not input.dtype and _core.get_autocast() is None else result


def _soft_cross_entropy(input, target, weight, reduction, label_smoothing):
    if target.shape != input.shape:
        raise ValueError(f"cross_entropy: probabilities of shape {target.shape} must have the input's shape {input.shape}")
    dim = 0 if input.ndim == 1 else 1
    classes = input.shape[dim]
    if label_smoothing:
        target = target * (1.0 - label_smoothing) + label_smoothing / classes
    if target.dtype is not input.dtype:
        target = cast(target, input.dtype)
    shape = input.shape[:dim] + input.shape[dim + 1 :]
    rows = max(1, input.numel() // max(1, classes))
    logits, target = (reshape_op(movedim(t, dim, -1), (-1, classes) if t.numel() else (0, classes)) for t in (input, target))
    losses = soft_cross_entropy(logits, target, weight)[0]
    if reduction == "none":
        losses = reshape_op(losses, shape)
    result = reduced(losses, reduction, "cross_entropy", float(rows))
    return result if result.dtype is input.dtype else cast(result, input.dtype)


def nll_loss(input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean"):
    """Negative log likelihood of class numbers, from log-probabilities (PyTorch: F.nll_loss)."""
    log_p, rows = _rows("nll_loss", input, target)
    counted = rows != ignore_index
    safe = where(counted, rows, 0)
    losses = -reshape_op(gather(log_p, 1, unsqueeze(safe, 1)), (-1,))
    if weight is not None:
        losses = losses * index_select_op(weight, 0, safe)
    losses = where(counted, losses, 0.0)
    if reduction == "none":
        return reshape_op(losses, target.shape)
    return reduced(
        losses, reduction, "nll_loss", _weight_sum(rows, weight, ignore_index, losses) if reduction == "mean" else None
    )
