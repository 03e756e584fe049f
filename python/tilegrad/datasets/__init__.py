"""tilegrad.datasets: small classics that ship with the package, text that comes with Python, and readers of official files.

Digits, Iris, Wine, BreastCancer (classification) and Diabetes (regression) are part of the package; sources, licences and
citations are in ATTRIBUTION.md next to this file, and tools/make_datasets.py wrote data/*.npz. PydocText and CountryNames take
text from Python and pycountry. MNIST, FashionMNIST, KMNIST, EMNIST, CIFAR10, CIFAR100 and ImageFolder read files of yours.
"""

from __future__ import annotations

from .bundled import ArrayDataset, BreastCancer, Diabetes, Digits, Iris, Wine
from .cifar import CIFAR10, CIFAR100
from .files import read_idx, write_idx
from .folder import DatasetFolder, ImageFolder
from .images import ImageDataset
from .mnist import EMNIST, KMNIST, MNIST, FashionMNIST
from .text import CharText, CountryNames, PydocText, pydoc_topics

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "EMNIST",
    "KMNIST",
    "MNIST",
    "ArrayDataset",
    "BreastCancer",
    "CharText",
    "CountryNames",
    "DatasetFolder",
    "Diabetes",
    "Digits",
    "FashionMNIST",
    "ImageDataset",
    "ImageFolder",
    "Iris",
    "PydocText",
    "Wine",
    "pydoc_topics",
    "read_idx",
    "write_idx",
]
