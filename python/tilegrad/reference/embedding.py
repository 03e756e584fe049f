"""Embedding and its gradient."""

import numpy as np


def embedding(weight, index):
    return weight[index]


def embedding_backward(dy, index, rows, padding_idx, by_frequency):
    out = np.zeros((rows, dy.shape[-1]))
    for i, d in zip(index.ravel(), dy.reshape(index.size, dy.shape[-1]), strict=True):
        if i != padding_idx:
            out[i] += d / (np.sum(index == i) if by_frequency else 1)
    return out
