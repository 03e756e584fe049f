"""Philox 4x32-10 (Salmon, Moraes, Dror, Shaw 2011): the random bits of tilegrad are a function of (seed, counter)."""

import numpy as np

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)


def philox(seed, counters):
    """Four uint32 for every 64-bit counter: array (len(counters), 4). The key is `seed`, the counter's upper half is 0."""
    counters = np.asarray(counters, dtype=np.uint64)
    c = [counters & _LOW, counters >> np.uint64(32), np.zeros_like(counters), np.zeros_like(counters)]
    key = [seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF]
    for _ in range(10):
        p0, p1 = _MULTIPLIERS[0] * c[0], _MULTIPLIERS[1] * c[2]
        c = [
            (p1 >> np.uint64(32)) ^ c[1] ^ np.uint64(key[0]),
            p1 & _LOW,
            (p0 >> np.uint64(32)) ^ c[3] ^ np.uint64(key[1]),
            p0 & _LOW,
        ]
        key = [(k + step) & 0xFFFFFFFF for k, step in zip(key, _KEY_STEPS, strict=True)]
    return np.stack(c, axis=-1).astype(np.uint32)


def bits(seed, offset, n):
    """n consecutive uint32 of the stream: element i is word i % 4 of block offset + i // 4."""
    return philox(seed, np.uint64(offset) + np.arange(-(-n // 4), dtype=np.uint64)).reshape(-1)[:n]
