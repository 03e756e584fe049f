"""tilegrad.datasets: five small classics that ship with the package, so every recipe runs offline.

Digits, Iris, Wine, BreastCancer (classification) and Diabetes (regression). Sources, licences and citations are in
ATTRIBUTION.md next to this file; tools/make_datasets.py wrote data/*.npz.
"""

from __future__ import annotations

from .bundled import ArrayDataset, BreastCancer, Diabetes, Digits, Iris, Wine

__all__ = ["ArrayDataset", "BreastCancer", "Diabetes", "Digits", "Iris", "Wine"]
