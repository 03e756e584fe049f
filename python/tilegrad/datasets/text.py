"""Text that is there without a download: CPython's own help topics, and the names of countries in many languages."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

import tilegrad as tg

from ..tensor import Tensor
from ..utils.data.dataset import Dataset


class CharText(Dataset[tuple]):
    """Windows of a text for a character model: item i is (x, y), both int64 (length), y one character ahead of x.

    Args:
        text: the text.
        length: characters in a window.
        stride: from the start of a window to the next; `length` by default, so windows do not overlap.
        vocabulary: the characters in order of their numbers; those of the text, sorted, by default.

    Attributes: text, vocabulary, ids (int64 tensor of the whole text).

    Raises ValueError for a length or stride below 1, a text of at most `length` characters, or a character that the
    vocabulary lacks.
    """

    def __init__(self, text: str, length: int = 64, stride: int | None = None, vocabulary: Sequence[str] | None = None) -> None:
        stride = length if stride is None else stride
        if length < 1 or stride < 1:
            raise ValueError(f"CharText: length and stride must be at least 1, got {length} and {stride}")
        if len(text) <= length:
            raise ValueError(f"CharText: a text of {len(text)} characters has no window of {length} and a next character")
        self.text, self.length, self.stride = text, length, stride
        self.vocabulary = sorted(set(text)) if vocabulary is None else list(vocabulary)
        self._number = {c: i for i, c in enumerate(self.vocabulary)}
        self.ids = self.encode(text)

    def encode(self, text: str) -> Tensor:
        """Numbers of the characters, int64. Raises ValueError naming a character that is not in the vocabulary."""
        try:
            return tg.tensor(np.fromiter((self._number[c] for c in text), np.int64, len(text)))
        except KeyError as missing:
            raise ValueError(f"CharText: the character {missing} is not in the vocabulary") from None

    def decode(self, ids: Any) -> str:
        """The text of numbers."""
        numbers = ids.tolist() if isinstance(ids, Tensor) else ids
        return "".join(self.vocabulary[i] for i in numbers)

    def __len__(self) -> int:
        return (len(self.text) - 1 - self.length) // self.stride + 1

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index} is out of range for {len(self)} windows")
        start = index % len(self) * self.stride
        return self.ids[start : start + self.length], self.ids[start + 1 : start + 1 + self.length]

    def get_batch(self, indices: Sequence[int]) -> list[Tensor] | None:
        """[x (B, length), y (B, length)] in one step."""
        if not len(indices) or type(self).__getitem__ is not CharText.__getitem__:
            return None
        starts = np.asarray([int(i) % len(self) for i in indices])[:, None] * self.stride
        windows = self.ids.numpy()[starts + np.arange(self.length + 1)]  # (B, length + 1)
        return [tg.from_numpy(windows[:, :-1].copy()), tg.from_numpy(windows[:, 1:].copy())]


class PydocText(CharText):
    """The help topics of CPython (`pydoc_data.topics`), about 465 000 characters of English with code.

    Args:
        part: 'train' (the first 80 % of every topic), 'valid' (the next 10 %), 'test' (the last 10 %) or 'all'.
        length, stride: as CharText.

    The vocabulary is that of the whole text, the same for every part. The text belongs to the Python version:
    ``checksum`` is its SHA-256, and figures measured on one version are close to those of another, not equal.

    Attributes: topics (name -> text), checksum. Licence: PSF-2.0, as CPython.

    Raises ValueError for another part, RuntimeError when this Python came without its help topics.
    """

    def __init__(self, part: str = "train", length: int = 64, stride: int | None = None) -> None:
        cuts = {"train": (0.0, 0.8), "valid": (0.8, 0.9), "test": (0.9, 1.0), "all": (0.0, 1.0)}
        if part not in cuts:
            raise ValueError(f"PydocText: part must be one of {', '.join(cuts)}, got {part!r}")
        self.part, self.topics = part, pydoc_topics()
        everything = "\n\n".join(self.topics.values())
        self.checksum = hashlib.sha256(everything.encode()).hexdigest()
        low, high = cuts[part]
        pieces = (text[round(low * len(text)) : round(high * len(text))] for text in self.topics.values())
        super().__init__("\n\n".join(pieces), length, stride, sorted(set(everything)))

    def __repr__(self) -> str:
        return f"PydocText({self.part}: {len(self.text)} characters, {len(self.vocabulary)} symbols, {len(self)} windows)"


def pydoc_topics() -> dict[str, str]:
    """CPython's help topics by name, sorted. Raises RuntimeError when this Python came without them."""
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise RuntimeError(
            "this Python came without pydoc_data (some distributions leave it out); install Python's full standard library"
        ) from None
    return {name: topics[name] for name in sorted(topics)}


class CountryNames(Dataset[tuple]):
    """Names in English and another language, pairs of str, from the translations that pycountry brings.

    Args:
        language: a locale of pycountry, such as 'de', 'fr', 'es', 'zh_CN'.
        kinds: any of 'countries' (about 420 short and official names), 'subdivisions' and 'languages' (thousands each).
        max_length: leave out pairs in which a name is longer; 0 keeps all.

    Pairs are unique and sorted. ``split(seed)`` gives (train, test) without a common English name.

    Raises ImportError naming the extra without pycountry, ValueError for a language or kind that it lacks.
    """

    _domains = {"countries": "iso3166-1", "subdivisions": "iso3166-2", "languages": "iso639-3"}  # noqa: RUF012

    def __init__(self, language: str = "de", kinds: Sequence[str] = ("countries",), max_length: int = 0) -> None:
        kinds = (kinds,) if isinstance(kinds, str) else tuple(kinds)
        unknown = [kind for kind in kinds if kind not in self._domains]
        if unknown or not kinds:
            raise ValueError(f"CountryNames: kinds are {', '.join(self._domains)}; got {', '.join(unknown) or 'none'}")
        self.language, self.kinds = language, kinds
        pairs = {pair for kind in kinds for pair in _translations(language, self._domains[kind])}
        self.pairs = sorted(p for p in pairs if not max_length or max(map(len, p)) <= max_length)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[str, str]:
        return self.pairs[index]

    def split(self, seed: int = 1, test_fraction: float = 0.2) -> tuple[CountryNames, CountryNames]:
        """(train, test): English names are shuffled by `seed`, and the last test_fraction of them are for the test.

        Raises ValueError when test_fraction is not between 0 and 1.
        """
        if not 0.0 < test_fraction < 1.0:
            raise ValueError(f"test_fraction must be between 0 and 1, got {test_fraction}")
        names = sorted({english for english, _ in self.pairs})
        order = np.random.default_rng(seed).permutation(len(names))
        held_out = {names[i] for i in order[len(names) - round(test_fraction * len(names)) :]}
        parts = []
        for wanted in (False, True):
            part = object.__new__(type(self))
            part.__dict__.update(self.__dict__, pairs=[p for p in self.pairs if (p[0] in held_out) is wanted])
            parts.append(part)
        return parts[0], parts[1]

    def __repr__(self) -> str:
        return f"CountryNames({len(self)} pairs, en-{self.language}, {', '.join(self.kinds)})"


def _translations(language: str, domain: str) -> list[tuple[str, str]]:
    import gettext

    try:
        import pycountry
    except ImportError:
        raise ImportError("CountryNames needs pycountry: pip install 'tilegrad[course]'") from None
    try:
        catalog = gettext.translation(domain, pycountry.LOCALES_DIR, languages=[language])
    except OSError:
        raise ValueError(f"CountryNames: pycountry has no translations of {domain} into {language!r}") from None
    entries: Any = catalog._catalog  # type: ignore[attr-defined]
    return [(english, other) for english, other in entries.items() if isinstance(english, str) and english and other]
