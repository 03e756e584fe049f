"""softmax and log_softmax over one dim."""

import numpy as np


def softmax(x, dim):
    if x.size == 0:
        return x
    e = np.exp(x - np.max(x, axis=dim, keepdims=True))
    return e / np.sum(e, axis=dim, keepdims=True)


def log_softmax(x, dim):
    if x.size == 0:
        return x
    shifted = x - np.max(x, axis=dim, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), axis=dim, keepdims=True))


def softmax_backward(y, dy, dim):
    return y * (dy - np.sum(y * dy, axis=dim, keepdims=True))


def log_softmax_backward(y, dy, dim):
    return dy - np.exp(y) * np.sum(dy, axis=dim, keepdims=True)
