"""Recurrent layers over a sequence, and their gradients by hand (back-propagation through time)."""

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def steps_of(x, batch_sizes, reverse):
    """The rows of every step, as slices of the flattened sequence, in the order in which the layer sees them."""
    sizes = [x.shape[1]] * x.shape[0] if batch_sizes is None else [int(n) for n in batch_sizes]
    ends = np.cumsum(sizes)
    steps = [slice(int(end) - n, int(end)) for n, end in zip(sizes, ends, strict=True)]
    return steps[::-1] if reverse else steps


def affine(x, weight, bias):
    return x @ weight.T + (0 if bias is None else bias)


def flat(x):
    return x.reshape(int(np.prod(x.shape[:-1])), x.shape[-1])


# --- forward: y and the last states; the states before every step are kept for the way back
def lstm_trace(x, h0, c0, w_ih, w_hh, b_ih, b_hh, batch_sizes, reverse):
    h, c, rows = h0.copy(), c0.copy(), flat(x)
    y, trace = np.zeros((rows.shape[0], h0.shape[1])), []
    for at in steps_of(x, batch_sizes, reverse):
        n = at.stop - at.start
        i, f, g, o = np.split(affine(rows[at], w_ih, b_ih) + affine(h[:n], w_hh, b_hh), 4, axis=1)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        before = h[:n].copy(), c[:n].copy()
        c[:n] = f * c[:n] + i * g
        h[:n] = o * np.tanh(c[:n])
        y[at] = h[:n]
        trace.append((at, i, f, g, o, c[:n].copy(), *before))
    return y.reshape(*x.shape[:-1], y.shape[1]), h, c, trace


def lstm(x, h0, c0, w_ih, w_hh, b_ih=None, b_hh=None, batch_sizes=None, reverse=False):
    return lstm_trace(x, h0, c0, w_ih, w_hh, b_ih, b_hh, batch_sizes, reverse)[:3]


def gru_trace(x, h0, w_ih, w_hh, b_ih, b_hh, batch_sizes, reverse):
    h, rows = h0.copy(), flat(x)
    y, trace = np.zeros((rows.shape[0], h0.shape[1])), []
    for at in steps_of(x, batch_sizes, reverse):
        n = at.stop - at.start
        xr, xz, xn = np.split(affine(rows[at], w_ih, b_ih), 3, axis=1)
        hr, hz, p = np.split(affine(h[:n], w_hh, b_hh), 3, axis=1)
        r, z = sigmoid(xr + hr), sigmoid(xz + hz)
        new = np.tanh(xn + r * p)
        trace.append((at, r, z, new, p, h[:n].copy()))
        h[:n] = (1 - z) * new + z * h[:n]
        y[at] = h[:n]
    return y.reshape(*x.shape[:-1], y.shape[1]), h, trace


def gru(x, h0, w_ih, w_hh, b_ih=None, b_hh=None, batch_sizes=None, reverse=False):
    return gru_trace(x, h0, w_ih, w_hh, b_ih, b_hh, batch_sizes, reverse)[:2]


def rnn_trace(x, h0, w_ih, w_hh, b_ih, b_hh, batch_sizes, reverse, nonlinearity):
    h, rows = h0.copy(), flat(x)
    y, trace = np.zeros((rows.shape[0], h0.shape[1])), []
    for at in steps_of(x, batch_sizes, reverse):
        n = at.stop - at.start
        z = affine(rows[at], w_ih, b_ih) + affine(h[:n], w_hh, b_hh)
        trace.append((at, np.tanh(z) if nonlinearity == "tanh" else np.maximum(z, 0), h[:n].copy()))
        h[:n] = y[at] = trace[-1][1]
    return y.reshape(*x.shape[:-1], y.shape[1]), h, trace


def rnn(x, h0, w_ih, w_hh, b_ih=None, b_hh=None, batch_sizes=None, reverse=False, nonlinearity="tanh"):
    return rnn_trace(x, h0, w_ih, w_hh, b_ih, b_hh, batch_sizes, reverse, nonlinearity)[:2]


# --- back: gradients of x, h0, (c0,) weight_ih, weight_hh, bias_ih, bias_hh
def lstm_backward(dy, dhn, dcn, x, h0, c0, w_ih, w_hh, b_ih=None, b_hh=None, batch_sizes=None, reverse=False):
    trace = lstm_trace(x, h0, c0, w_ih, w_hh, b_ih, b_hh, batch_sizes, reverse)[3]
    dh, dc, rows = dhn.copy(), dcn.copy(), flat(x)
    dx, dw_ih, dw_hh, db = np.zeros_like(rows), np.zeros_like(w_ih), np.zeros_like(w_hh), np.zeros(w_ih.shape[0])
    for at, i, f, g, o, c, h_before, c_before in reversed(trace):
        n = at.stop - at.start
        d = dh[:n] + flat(dy)[at]
        dc_now = dc[:n] + d * o * (1 - np.tanh(c) ** 2)
        dz = np.concatenate(
            [
                dc_now * g * i * (1 - i),
                dc_now * c_before * f * (1 - f),
                dc_now * i * (1 - g**2),
                d * np.tanh(c) * o * (1 - o),
            ],
            axis=1,
        )
        dx[at] = dz @ w_ih
        dw_ih += dz.T @ rows[at]
        dw_hh += dz.T @ h_before
        db += dz.sum(0)
        dh[:n], dc[:n] = dz @ w_hh, dc_now * f
    return dx.reshape(x.shape), dh, dc, dw_ih, dw_hh, db, db


def gru_backward(dy, dhn, x, h0, w_ih, w_hh, b_ih=None, b_hh=None, batch_sizes=None, reverse=False):
    trace = gru_trace(x, h0, w_ih, w_hh, b_ih, b_hh, batch_sizes, reverse)[2]
    dh, rows = dhn.copy(), flat(x)
    dx, dw_ih, dw_hh = np.zeros_like(rows), np.zeros_like(w_ih), np.zeros_like(w_hh)
    db_ih, db_hh = np.zeros(w_ih.shape[0]), np.zeros(w_ih.shape[0])
    for at, r, z, new, p, h_before in reversed(trace):
        n = at.stop - at.start
        d = dh[:n] + flat(dy)[at]
        dn = d * (1 - z) * (1 - new**2)
        dr, dz = dn * p * r * (1 - r), d * (h_before - new) * z * (1 - z)
        by_x, by_h = np.concatenate([dr, dz, dn], axis=1), np.concatenate([dr, dz, dn * r], axis=1)
        dx[at] = by_x @ w_ih
        dw_ih += by_x.T @ rows[at]
        dw_hh += by_h.T @ h_before
        db_ih += by_x.sum(0)
        db_hh += by_h.sum(0)
        dh[:n] = d * z + by_h @ w_hh
    return dx.reshape(x.shape), dh, dw_ih, dw_hh, db_ih, db_hh


def rnn_backward(dy, dhn, x, h0, w_ih, w_hh, b_ih=None, b_hh=None, batch_sizes=None, reverse=False, nonlinearity="tanh"):
    trace = rnn_trace(x, h0, w_ih, w_hh, b_ih, b_hh, batch_sizes, reverse, nonlinearity)[2]
    dh, rows = dhn.copy(), flat(x)
    dx, dw_ih, dw_hh, db = np.zeros_like(rows), np.zeros_like(w_ih), np.zeros_like(w_hh), np.zeros(w_ih.shape[0])
    for at, h, h_before in reversed(trace):
        n = at.stop - at.start
        d = dh[:n] + flat(dy)[at]
        dz = d * (1 - h**2) if nonlinearity == "tanh" else d * (h > 0)
        dx[at] = dz @ w_ih
        dw_ih += dz.T @ rows[at]
        dw_hh += dz.T @ h_before
        db += dz.sum(0)
        dh[:n] = dz @ w_hh
    return dx.reshape(x.shape), dh, dw_ih, dw_hh, db, db
