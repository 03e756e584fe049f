"""The bundled datasets: contents, splits, loaders, and that the course's models learn them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tilegrad as tg
from tilegrad import datasets, nn, optim
from tilegrad.utils.data import DataLoader, default_collate

FOLDER = Path(datasets.__file__).parent


@pytest.mark.parametrize(
    ("make", "shape", "classes", "low", "high"),
    [
        (datasets.Digits, (1797, 1, 8, 8), 10, 0, 16),
        (lambda: datasets.Digits(scale=True), (1797, 1, 8, 8), 10, 0, 1),
        (lambda: datasets.Digits(flatten=True), (1797, 64), 10, 0, 16),
        (datasets.Iris, (150, 4), 3, 0.1, 7.9),
        (datasets.Wine, (178, 13), 3, 0.13, 1680),
        (datasets.BreastCancer, (569, 30), 2, 0, 4254),
        (datasets.Diabetes, (442, 10), 0, None, None),
        (lambda: datasets.Diabetes(scaled=False), (442, 10), 0, 1, 301),
    ],
)
def test_contents(make, shape, classes, low, high):
    data = make()
    assert tuple(data.data.shape) == shape and data.data.dtype == tg.float32 and len(data) == shape[0]
    assert data.targets.shape == shape[:1] and len(data.classes) == classes
    if classes:
        assert data.targets.dtype == tg.int64 and sorted(set(data.targets.tolist())) == list(range(classes))
        assert isinstance(data[0][1], int)
    else:
        assert data.targets.dtype == tg.float32 and (data.targets.min().item(), data.targets.max().item()) == (25, 346)
    if low is not None:
        assert data.data.min().item() == pytest.approx(low) and data.data.max().item() == pytest.approx(high)
    assert len(data.feature_names) == (0 if len(shape) > 2 or shape[-1] == 64 else shape[1])
    assert type(data).__name__ in repr(data) and str(shape[0]) in repr(data)


def test_values_equal_scikit_learn():
    source = pytest.importorskip("sklearn.datasets")
    pairs = [
        (datasets.Digits(flatten=True), source.load_digits()),
        (datasets.Iris(), source.load_iris()),
        (datasets.Wine(), source.load_wine()),
        (datasets.BreastCancer(), source.load_breast_cancer()),
        (datasets.Diabetes(), source.load_diabetes()),
    ]
    for ours, theirs in pairs:
        np.testing.assert_allclose(ours.data.numpy(), theirs.data, rtol=1e-6, atol=1e-7)
        assert np.array_equal(ours.targets.numpy(), theirs.target)
        if ours.classes:
            assert ours.classes == [str(c) for c in theirs.target_names]


def test_files_are_small_and_attributed():
    files = sorted((FOLDER / "data").glob("*.npz"))
    assert len(files) == 5 and sum(f.stat().st_size for f in files) < 300_000
    text = (FOLDER / "ATTRIBUTION.md").read_text()
    assert all(f.name in text for f in files)
    assert np.load(files[0], allow_pickle=False)["data"].ndim >= 2


def test_split():
    data = datasets.Digits()
    train, test = data.split(seed=1)
    assert (len(train), len(test)) == (1438, 359) and isinstance(test, datasets.Digits)
    share = np.bincount(test.targets.numpy()) / np.bincount(data.targets.numpy())
    assert np.allclose(share, 0.2, atol=0.005)

    sums = np.concatenate([train.data.numpy(), test.data.numpy()]).sum((1, 2, 3))
    assert np.array_equal(np.sort(sums), np.sort(data.data.numpy().sum((1, 2, 3))))
    assert np.array_equal(test.data.numpy(), data.split()[1].data.numpy())
    assert not np.array_equal(test.data.numpy(), data.split(seed=2)[1].data.numpy())
    a, b = datasets.Diabetes().split(test_fraction=0.25)
    assert (len(a), len(b)) == (332, 110)
    with pytest.raises(ValueError, match="test_fraction must be between 0 and 1, got 0"):
        data.split(test_fraction=0)


def test_transforms_and_batches():
    plain = datasets.Iris()
    fast = list(DataLoader(plain, batch_size=40))
    slow = list(DataLoader(plain, batch_size=40, collate_fn=default_collate))
    for (x, y), (p, q) in zip(fast, slow, strict=True):
        assert np.array_equal(x.numpy(), p.numpy()) and np.array_equal(y.numpy(), q.numpy()) and y.dtype == q.dtype
    regression = next(iter(DataLoader(datasets.Diabetes(), batch_size=3, collate_fn=default_collate)))[1]
    assert regression.dtype == tg.float32 and regression.shape == (3,)
    changed = datasets.Iris(transform=lambda x: x * 10, target_transform=lambda y: y + 1)
    x, y = next(iter(DataLoader(changed, batch_size=2)))
    np.testing.assert_allclose(x.numpy(), plain.data[:2].numpy() * 10)
    assert y.tolist() == [1, 1] and changed[0][1] == 1
    assert changed.select([149])[0][1] == 3
    with pytest.raises(ValueError, match=r"need the same N, got \(2,\) and \(3,\)"):
        datasets.ArrayDataset(tg.ones(2), tg.ones(3))


def test_missing_file_says_so(monkeypatch):
    monkeypatch.setattr(datasets.Iris, "_file", "nope")
    with pytest.raises(FileNotFoundError, match=r"nope\.npz is missing: the installation is damaged"):
        datasets.Iris()


def accuracy(net, data):
    with tg.no_grad():
        return (net(data.data).argmax(1) == data.targets).float().mean().item()


def train(net, data, optimizer, epochs):
    loss_fn = nn.CrossEntropyLoss()
    loader = DataLoader(data, batch_size=64, shuffle=True, generator=tg.Generator().manual_seed(0))
    for _ in range(epochs):
        for x, y in loader:
            optimizer.zero_grad()
            loss_fn(net(x), y).backward()
            optimizer.step()


def test_softmax_regression_learns_the_frozen_split():
    tg.manual_seed(0)
    train_part, test_part = datasets.Digits(scale=True, flatten=True).split(seed=1)
    net = nn.Linear(64, 10)
    train(net, train_part, optim.SGD(net.parameters(), lr=0.5, momentum=0.5), epochs=25)
    assert accuracy(net, test_part) >= 0.955


def test_mlp_learns_the_frozen_split():
    tg.manual_seed(0)
    train_part, test_part = datasets.Digits(scale=True).split(seed=1)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))
    train(net, train_part, optim.Adam(net.parameters(), lr=2e-3), epochs=30)
    assert accuracy(net, test_part) >= 0.96


def test_linear_regression_on_diabetes():
    train_part, test_part = datasets.Diabetes().split(seed=1)
    net = nn.Linear(10, 1)
    x, y = train_part.data * 21, (train_part.targets - 150) / 77
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    for _ in range(300):
        optimizer.zero_grad()
        nn.functional.mse_loss(net(x).squeeze(1), y).backward()
        optimizer.step()
    with tg.no_grad():
        residual = net(test_part.data * 21).squeeze(1) - (test_part.targets - 150) / 77
    target = ((test_part.targets - 150) / 77).numpy()
    assert 1 - float((residual**2).mean()) / target.var() >= 0.40
