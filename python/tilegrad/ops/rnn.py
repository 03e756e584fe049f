"""Recurrent layers over whole sequences: one layer, one direction. LSTM, GRU and the plain RNN.

A sequence is a tensor (T, B, I), or packed: the rows of step 0, of step 1, ... one after the other (N, I), where step t has
`batch_sizes[t]` rows, never more than the step before (PackedSequence). Row b of every step belongs to sequence b.

    RNN     h = act(W_ih x + b_ih + W_hh h + b_hh)
    LSTM    i, f, o = sigmoid(...), g = tanh(...) of W_ih x + b_ih + W_hh h + b_hh;  c = f c + i g;  h = o tanh(c)
    GRU     r, z = sigmoid(...);  n = tanh(W_in x + b_in + r (W_hn h + b_hn));  h = (1 - z) n + z h

Weights have PyTorch's layout: weight_ih (gates * H, I), weight_hh (gates * H, H), gates in the order i f g o and r z n.
"""

from __future__ import annotations

from .. import _core
from ..autograd.engine import grad
from ..autograd.modes import enable_grad
from ..autograd.op import op
from .elementwise import relu, sigmoid, tanh
from .index import narrow
from .matmul import linear
from .shape import cat, reshape_op

ACTIVATIONS = ("tanh", "relu")


def recur(z, batch_sizes, reverse, states, step):
    """Walks over time in plain ops. `step(z_t, *states)` gives the new states, of which the first is the output.

    Args:
        z: (T, B, G), or (N, G) with batch_sizes: what every step gets from x. states: each (B, ...).
        reverse: from the last step to the first. A sequence that is over keeps its state; one that is not begun has its first.

    Returns:
        y, shaped like z with the output's width; then the last states.
    """
    batch = states[0].shape[0]
    sizes = [batch] * z.shape[0] if batch_sizes is None else batch_sizes.tolist()
    starts = [0]
    for n in sizes:
        starts.append(starts[-1] + n)
    rows = reshape_op(z, (starts[-1], z.shape[-1]))
    outputs = [None] * len(sizes)
    for t in reversed(range(len(sizes))) if reverse else range(len(sizes)):
        n = sizes[t]
        z_t = narrow(rows, 0, starts[t], n)
        if n == batch:
            states = step(z_t, *states)
            outputs[t] = states[0]
        else:
            new = step(z_t, *(narrow(s, 0, 0, n) for s in states))
            outputs[t] = new[0]
            states = tuple(cat([a, narrow(s, 0, n, batch - n)]) for a, s in zip(new, states, strict=True))
    y = cat(outputs)
    return (reshape_op(y, (*z.shape[:-1], y.shape[-1])), *states)


def _gates(z, h, weight_hh, bias_hh, count):
    """z + W_hh h + b_hh, cut into the parts of `count` gates."""
    total = z + linear(h, weight_hh, bias_hh)
    hidden = total.shape[1] // count
    return [narrow(total, 1, k * hidden, hidden) for k in range(count)]


def lstm_composite(
    x,
    h0,
    c0,
    weight_ih,
    weight_hh,
    bias_ih,
    bias_hh,
    batch_sizes,
    reverse,
    weight_hr=None,
    peephole=None,
):
    """`lstm` in plain ops: y, h, c. With more than PyTorch's fused layer has: a projection and peepholes."""
    hidden = c0.shape[1]

    def step(z, h, c):
        i, f, g, o = _gates(z, h, weight_hh, bias_hh, 4)
        if peephole is not None:
            i, f = i + narrow(peephole, 0, 0, hidden) * c, f + narrow(peephole, 0, hidden, hidden) * c
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        if peephole is not None:
            o = o + narrow(peephole, 0, 2 * hidden, hidden) * c
        h = sigmoid(o) * tanh(c)
        return (h if weight_hr is None else linear(h, weight_hr)), c

    return recur(linear(x, weight_ih, bias_ih), batch_sizes, reverse, (h0, c0), step)


def gru_composite(x, h0, weight_ih, weight_hh, bias_ih, bias_hh, batch_sizes, reverse):
    """`gru` in plain ops: y and h."""
    hidden = h0.shape[1]

    def step(v, h):
        u = linear(h, weight_hh, bias_hh)
        r = sigmoid(narrow(v, 1, 0, hidden) + narrow(u, 1, 0, hidden))
        z = sigmoid(narrow(v, 1, hidden, hidden) + narrow(u, 1, hidden, hidden))
        n = tanh(narrow(v, 1, 2 * hidden, hidden) + r * narrow(u, 1, 2 * hidden, hidden))
        return (n + z * (h - n),)

    return recur(linear(x, weight_ih, bias_ih), batch_sizes, reverse, (h0,), step)


def rnn_composite(x, h0, weight_ih, weight_hh, bias_ih, bias_hh, batch_sizes, reverse, rectified):
    """`rnn` in plain ops: y and h."""
    activation = relu if rectified else tanh

    def step(v, h):
        return (activation(v + linear(h, weight_hh, bias_hh)),)

    return recur(linear(x, weight_ih, bias_ih), batch_sizes, reverse, (h0,), step)


# --- the fused ops: one call for all steps. Their last output (lstm, gru: the gates) is a hint for the backward pass.
def _gradients(function, inputs, dys):
    """The gradients of function(*inputs) in plain ops, themselves differentiable: the composite of the backward ops."""
    with enable_grad():
        # stand-ins, so that an input that was computed from another one does not hand its gradient on to it here
        seen = [x if x is None else (x.view_as(x) if x.requires_grad else x.detach().requires_grad_()) for x in inputs]
        outputs = function(*seen)
        pairs = [(y, dy) for y, dy in zip(outputs, dys, strict=True) if dy is not None]
        wanted = [x for x in seen if x is not None]
        found = iter(grad([y for y, _ in pairs], wanted, [dy for _, dy in pairs], create_graph=True, allow_unused=True))
        return tuple(_core.full((0,), 0, inputs[0].dtype) if x is None else _or_zeros(next(found), x) for x in seen)


def _or_zeros(dx, x):
    return _core.full(x.shape, 0, x.dtype) if dx is None else dx


lstm_op = op(_core.lstm)
lstm_backward = op(_core.lstm_backward)
gru_op = op(_core.gru)
gru_backward = op(_core.gru_backward)
rnn_op = op(_core.rnn)
rnn_backward = op(_core.rnn_backward)


def _wanted(x, h0, weights):
    """What a kernel is asked for, as a number."""
    return int(x) + 2 * int(h0) + 4 * int(weights)


def _answers(found, needs):
    """Gradients for the inputs that want one; the kernels leave out what is not wanted."""
    return (*(dx if need else None for dx, need in zip(found, needs, strict=False)), None, None)


@lstm_op.backward
def _(dy, x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh, batch_sizes, reverse, out, out3, dy1, dy2, needs):
    found = lstm_backward(
        dy, dy1, dy2, x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh, batch_sizes, reverse,
        out.detach(), out3.detach(), _wanted(needs[0], needs[1], any(needs[3:7])),
    )  # fmt: skip
    return _answers(found, needs)


@gru_op.backward
def _(dy, x, h0, weight_ih, weight_hh, bias_ih, bias_hh, batch_sizes, reverse, out, out2, dy1, needs):
    found = gru_backward(
        dy, dy1, x, h0, weight_ih, weight_hh, bias_ih, bias_hh, batch_sizes, reverse,
        out.detach(), out2.detach(), _wanted(needs[0], needs[1], any(needs[2:6])),
    )  # fmt: skip
    return _answers(found, needs)


@rnn_op.backward
def _(dy, x, h0, weight_ih, weight_hh, bias_ih, bias_hh, batch_sizes, reverse, relu, out, dy1, needs):
    found = rnn_backward(
        dy, dy1, x, h0, weight_ih, weight_hh, bias_ih, bias_hh, batch_sizes, reverse, relu,
        out.detach(), _wanted(needs[0], needs[1], any(needs[2:6])),
    )  # fmt: skip
    return (*_answers(found, needs), None)


@lstm_op.composite
def _(x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh, batch_sizes, reverse):
    y, h, c = lstm_composite(x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh, batch_sizes, reverse)
    return y, h, c, _core.full((0,), 0, x.dtype)


@gru_op.composite
def _(x, h0, weight_ih, weight_hh, bias_ih, bias_hh, batch_sizes, reverse):
    y, h = gru_composite(x, h0, weight_ih, weight_hh, bias_ih, bias_hh, batch_sizes, reverse)
    return y, h, _core.full((0,), 0, x.dtype)


rnn_op.composite(rnn_composite)


@lstm_backward.composite
def _(
    dy, dhn, dcn, x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh, batch_sizes, reverse, y, saved, wanted
):  # fmt: skip
    return _gradients(
        lambda *inputs: lstm_composite(*inputs, batch_sizes, reverse),
        (x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh),
        (dy, dhn, dcn),
    )


@gru_backward.composite
def _(dy, dhn, x, h0, weight_ih, weight_hh, bias_ih, bias_hh, batch_sizes, reverse, y, saved, wanted):
    return _gradients(
        lambda *inputs: gru_composite(*inputs, batch_sizes, reverse),
        (x, h0, weight_ih, weight_hh, bias_ih, bias_hh),
        (dy, dhn),
    )


@rnn_backward.composite
def _(dy, dhn, x, h0, weight_ih, weight_hh, bias_ih, bias_hh, batch_sizes, reverse, relu, y, wanted):
    return _gradients(
        lambda *inputs: rnn_composite(*inputs, batch_sizes, reverse, relu),
        (x, h0, weight_ih, weight_hh, bias_ih, bias_hh),
        (dy, dhn),
    )


# --- the functions
def lstm(
    x,
    h0,
    c0,
    weight_ih,
    weight_hh,
    bias_ih=None,
    bias_hh=None,
    batch_sizes=None,
    reverse=False,
    weight_hr=None,
    peephole=None,
):
    """An LSTM layer over a sequence, in one direction.

    Args:
        x: (T, B, I), or packed (N, I). h0: (B, H), with a projection (B, P). c0: (B, H).
        weight_ih: (4H, I). weight_hh: (4H, H). bias_ih, bias_hh: (4H,) or None. Gates in the order i, f, g, o.
        batch_sizes: (T,) int64, the rows of every step of a packed x. reverse: run from the last step to the first.
        weight_hr: (P, H), the projection h = W_hr (o tanh(c)) of Sak et al. 2014, or None.
        peephole: (3H,), weights with which i and f see the old c and o the new one (Gers & Schmidhuber 2000), or None.

    Returns:
        y like x with H (or P) columns, the last h and the last c.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.LSTM.html
    """
    if weight_hr is None and peephole is None:
        y, h, c, _gates_kept = lstm_op(x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh, batch_sizes, reverse)
        return y, h, c
    return lstm_composite(x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh, batch_sizes, reverse, weight_hr, peephole)


def gru(x, h0, weight_ih, weight_hh, bias_ih=None, bias_hh=None, batch_sizes=None, reverse=False):
    """A GRU layer over a sequence, in one direction, with PyTorch's gates (reset after the product).

    Args:
        x: (T, B, I), or packed (N, I). h0: (B, H).
        weight_ih: (3H, I). weight_hh: (3H, H). bias_ih, bias_hh: (3H,) or None. Gates in the order r, z, n.
        batch_sizes, reverse: as for `lstm`.

    Returns:
        y like x with H columns, and the last h.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.GRU.html
    """
    y, h, _gates_kept = gru_op(x, h0, weight_ih, weight_hh, bias_ih, bias_hh, batch_sizes, reverse)
    return y, h


def gru_reset_first(x, h0, weight_ih, weight_hh, bias=None, batch_sizes=None, reverse=False):
    """The GRU as first published and as Ng's course has it: the reset gate acts on h before the product.

        r = sigmoid(W_r [x, h] + b_r)   u = sigmoid(W_u [x, h] + b_u)   n = tanh(W_n [x, r h] + b_n)   h = u n + (1 - u) h

    With weights of two gates (2H rows) it is Ng's simplified unit: u and n alone, r = 1. Note that u is 1 - z of `gru`.
    Shapes as for `gru`; gates in the order r, u, n. Source: Cho et al. 2014, https://arxiv.org/abs/1406.1078
    """
    hidden = h0.shape[1]
    full = weight_ih.shape[0] == 3 * hidden
    first = (2 if full else 1) * hidden
    gate_weight, n_weight = narrow(weight_hh, 0, 0, first), narrow(weight_hh, 0, first, hidden)

    def step(v, h):
        gates = sigmoid(narrow(v, 1, 0, first) + linear(h, gate_weight))
        u = narrow(gates, 1, first - hidden, hidden)
        seen = narrow(gates, 1, 0, hidden) * h if full else h
        n = tanh(narrow(v, 1, first, hidden) + linear(seen, n_weight))
        return (h + u * (n - h),)

    return recur(linear(x, weight_ih, bias), batch_sizes, reverse, (h0,), step)


def rnn(x, h0, weight_ih, weight_hh, bias_ih=None, bias_hh=None, batch_sizes=None, reverse=False, nonlinearity="tanh"):
    """A plain (Elman) recurrent layer over a sequence, in one direction.

    Args:
        x: (T, B, I), or packed (N, I). h0: (B, H). weight_ih: (H, I). weight_hh: (H, H). bias_ih, bias_hh: (H,) or None.
        batch_sizes, reverse: as for `lstm`. nonlinearity: tanh or relu.

    Returns:
        y like x with H columns, and the last h.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.RNN.html
    """
    return rnn_op(x, h0, weight_ih, weight_hh, bias_ih, bias_hh, batch_sizes, reverse, nonlinearity == "relu")
