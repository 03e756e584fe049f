#!/usr/bin/env python3
"""Compares `import tilegrad` with `import numpy`, each in fresh interpreters, and fails when it costs over 30 ms more."""

import subprocess
import sys

BUDGET_MS = 30.0
ROUNDS = 15


def import_ms(module: str) -> float:
    code = f"import time; t = time.perf_counter(); import {module}; print((time.perf_counter() - t) * 1e3)"
    # -P (new in 3.11): the current folder must not shadow what is installed
    flags = ["-P"] if sys.version_info >= (3, 11) else []
    return float(subprocess.run([sys.executable, *flags, "-c", code], capture_output=True, text=True, check=True).stdout)


def main() -> int:
    best = {"numpy": float("inf"), "tilegrad": float("inf")}
    for _ in range(ROUNDS):  # taken in turns, so that a busy moment hits both
        for module in best:
            best[module] = min(best[module], import_ms(module))
    extra = best["tilegrad"] - best["numpy"]
    print(
        f"import numpy {best['numpy']:.1f} ms, import tilegrad {best['tilegrad']:.1f} ms: "
        f"{extra:+.1f} ms (budget {BUDGET_MS:+.0f}), ratio {best['tilegrad'] / best['numpy']:.2f}, best of {ROUNDS}"
    )
    return 1 if extra > BUDGET_MS else 0


if __name__ == "__main__":
    sys.exit(main())
