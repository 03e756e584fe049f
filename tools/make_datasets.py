"""Writes the small bundled datasets from scikit-learn's copies: python tools/make_datasets.py

Needs scikit-learn; the result is committed, so users do not. Arrays are stored in the smallest dtype that keeps every
value, and the same inputs give the same bytes. Sources and licences: python/tilegrad/datasets/ATTRIBUTION.md
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn import datasets

FOLDER = Path(__file__).resolve().parents[1] / "python" / "tilegrad" / "datasets" / "data"


def compact(values: np.ndarray) -> np.ndarray:
    """The same numbers as uint8 when they are, else float32 when the decimals survive, else float64."""
    if np.array_equal(values, values.astype(np.uint8)):
        return values.astype(np.uint8)
    narrow = values.astype(np.float32)
    printed = [f"{v:.7g}" for v in values.ravel()]
    if printed == [f"{v:.7g}" for v in narrow.ravel()]:
        return narrow
    return values.astype(np.float64)


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, loaded in {
        "digits": datasets.load_digits(),
        "iris": datasets.load_iris(),
        "wine": datasets.load_wine(),
        "breast_cancer": datasets.load_breast_cancer(),
        "diabetes": datasets.load_diabetes(scaled=False),
    }.items():
        arrays = {
            "data": compact(loaded.images if name == "digits" else loaded.data),
            "targets": compact(loaded.target) if name != "diabetes" else loaded.target.astype(np.float32),
            "feature_names": np.array([] if name == "digits" else list(loaded.feature_names), dtype=np.str_),
            "classes": np.array([] if name == "diabetes" else [str(c) for c in loaded.target_names], dtype=np.str_),
        }
        path = FOLDER / f"{name}.npz"
        np.savez_compressed(path, **arrays)
        print(f"{path.name}: {path.stat().st_size} bytes,", {k: (v.dtype.str, v.shape) for k, v in arrays.items()})


if __name__ == "__main__":
    main()
