"""Matmul."""

from __future__ import annotations

from .case import Case, tensors


def matmul(m: int, k: int, n: int, why: str) -> Case:
    name = f"matmul-{m}" if m == k == n else f"matmul-{m}x{k}x{n}"
    return Case(name, why, tensors(x=(m, k), y=(k, n)), "x @ y", "x @ y", 2.0 * m * k * n, 4.0 * (m * k + k * n + m * n))


CASES = [
    matmul(64, 64, 64, "fits L1: packing and call overhead show"),
    matmul(128, 128, 128, "fits L2, one thread's worth"),
    matmul(256, 256, 256, "where a second thread starts to pay"),
    matmul(512, 512, 512, "panels leave L1, B stays in L2"),
    matmul(1024, 1024, 1024, "the usual yardstick; B leaves L2"),
    matmul(2048, 2048, 2048, "nothing fits: blocking is all"),
    matmul(128, 784, 256, "first layer of the MNIST MLP"),
    matmul(32, 512, 2048, "few rows: transformer block, small batch"),
    matmul(8192, 64, 64, "tall and thin: many rows, no reuse"),
    matmul(1, 4096, 4096, "one row: bound by memory"),
]
