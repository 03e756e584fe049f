"""Text data sets and the large digits: CPython's help topics, names of countries, 32 x 32 pixels."""

import hashlib
import sys

import numpy as np
import pytest

import tilegrad as tg
from tilegrad.datasets import CharText, CountryNames, Digits, PydocText, pydoc_topics
from tilegrad.utils.data import DataLoader, default_collate


def test_digits_of_32_pixels():
    small, large = Digits(scale=True), Digits(scale=True, size=32)
    assert large.data.shape == (1797, 1, 32, 32)
    for i, j in ((0, 0), (1, 3), (2, 1), (3, 3)):
        assert large.data[:, :, i::4, j::4].equal(small.data)
    assert Digits(flatten=True, size=16).data.shape == (1797, 256)
    train, test = large.split(seed=1)
    assert len(train) == 1438 and train.data[:, :, ::4, ::4].equal(small.split(seed=1)[0].data) and len(test) == 359
    for size in (0, 12, -8):
        with pytest.raises(ValueError, match=f"size must be a multiple of 8, got {size}"):
            Digits(size=size)


def test_windows_of_text():
    text = CharText("abcabcabd", length=4)
    assert text.vocabulary == ["a", "b", "c", "d"] and len(text) == 2
    x, y = text[1]
    assert text.decode(x) == "bcab" and text.decode(y) == "cabd" and x.dtype == tg.int64
    assert text.decode(text[-1][1]) == "cabd" and len(CharText("abcabcabd", 4, stride=1)) == 5
    for workers in (0, 2):
        slow = list(DataLoader(text, batch_size=2, collate_fn=lambda items: default_collate(items), num_workers=workers))
        fast = list(DataLoader(text, batch_size=2, num_workers=workers))
        assert fast[0][0].equal(slow[0][0]) and fast[0][1].equal(slow[0][1]) and fast[0][1][0].tolist() == [1, 2, 0, 1]
    assert text.encode("dab").tolist() == [3, 0, 1] and text.encode("").shape == (0,)
    with pytest.raises(ValueError, match="the character 'x' is not in the vocabulary"):
        text.encode("axb")
    with pytest.raises(IndexError, match="index 2 is out of range for 2 windows"):
        text[2]
    with pytest.raises(ValueError, match="a text of 4 characters has no window of 4"):
        CharText("abcd", 4)
    with pytest.raises(ValueError, match="must be at least 1, got 4 and 0"):
        CharText("abcdef", 4, 0)


def test_pydoc_text(monkeypatch):
    parts = {part: PydocText(part) for part in ("train", "valid", "test", "all")}
    whole = parts["all"]
    topics = pydoc_topics()
    assert whole.text == "\n\n".join(topics.values()) and len(whole.text) > 300_000
    assert len({tuple(p.vocabulary) for p in parts.values()}) == 1
    assert whole.checksum == hashlib.sha256(whole.text.encode()).hexdigest() == parts["test"].checksum
    joins = 2 * (len(topics) - 1)
    assert sum(len(parts[p].text) - joins for p in ("train", "valid", "test")) == len(whole.text) - joins
    assert len(parts["train"].text) / len(whole.text) == pytest.approx(0.8, abs=0.01)
    first = next(iter(topics.values()))
    assert parts["train"].text.startswith(first[: round(0.8 * len(first))])
    assert parts["test"].text.startswith(first[round(0.9 * len(first)) :])
    assert "PydocText(test: " in repr(parts["test"])
    with pytest.raises(ValueError, match="part must be one of train, valid, test, all, got 'dev'"):
        PydocText("dev")
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(RuntimeError, match="came without pydoc_data"):
        PydocText()


def test_country_names():
    pytest.importorskip("pycountry")
    names = CountryNames("de")
    assert ("Germany", "Deutschland") in names.pairs and len(names) > 200 and names[0] == names.pairs[0]
    train, test = names.split(seed=1)
    assert len(train) + len(test) == len(names) and 0.15 < len(test) / len(names) < 0.25
    assert not {e for e, _ in train.pairs} & {e for e, _ in test.pairs}
    assert test.pairs == names.split(seed=1)[1].pairs != names.split(seed=2)[1].pairs
    assert max(len(n) for pair in CountryNames("fr", max_length=10).pairs for n in pair) <= 10
    more = CountryNames("fr", ("countries", "languages"))
    assert len(more) > len(CountryNames("fr")) and "en-fr, countries, languages" in repr(more)
    loader = DataLoader(train, batch_size=3)
    english, german = next(iter(loader))
    assert len(english) == len(german) == 3 and isinstance(english[0], str)
    with pytest.raises(ValueError, match=r"no translations of iso3166-1 into 'xx'"):
        CountryNames("xx")
    with pytest.raises(ValueError, match="kinds are countries, subdivisions, languages; got rivers"):
        CountryNames("de", "rivers")
    with pytest.raises(ValueError, match="between 0 and 1, got 0"):
        names.split(test_fraction=0)


def test_country_names_without_pycountry(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycountry", None)
    with pytest.raises(ImportError, match=r"needs pycountry: pip install 'tilegrad\[course\]'"):
        CountryNames("de")


def test_splits_are_the_same_everywhere():
    """The frozen split of the course: any change of it would move every threshold."""
    train, test = Digits().split(seed=1)
    digest = hashlib.sha256(np.concatenate([train.data.numpy().ravel(), test.data.numpy().ravel()]).tobytes()).hexdigest()
    assert digest == DIGEST


DIGEST = "27a6bc8ccf987ba8ed50f9740035403d2b33cd8d704aea6c6328fc3e6dc4a404"
