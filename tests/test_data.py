"""utils.data: datasets, samplers, splits, collate and the DataLoader (course rows A04, A06)."""

from __future__ import annotations

import collections
import threading
import time

import numpy as np
import pytest

import tilegrad as tg
from tilegrad.utils.data import (
    BatchSampler,
    ChainDataset,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    KFold,
    RandomSampler,
    SequentialSampler,
    StackDataset,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    default_convert,
    get_worker_info,
    random_split,
    stratified_split,
)

X = tg.arange(20).reshape(10, 2).float()
Y = tg.arange(10)


class Squares(Dataset):
    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        if not 0 <= i < self.n:
            raise IndexError(i)
        return i * i


class Stream(IterableDataset):
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        info = get_worker_info()
        step, start = (info.num_workers, info.id) if info else (1, 0)
        return iter(range(start, self.n, step))


def seed(n):
    return tg.Generator().manual_seed(n)


def batches(loader):
    return [b.tolist() if isinstance(b, tg.Tensor) else [f.tolist() for f in b] for b in loader]


def flat(lists):
    return sorted(i for part in lists for i in part)


# ---- datasets


def test_datasets():
    data = TensorDataset(X, Y)
    assert len(data) == 10 and data[3][0].tolist() == [6, 7] and data[-1][1].item() == 9
    assert [i for i in Squares(4)] == [0, 1, 4, 9]  # noqa: C416 - iteration by index
    joined = Squares(3) + Squares(2)
    assert isinstance(joined, ConcatDataset) and [joined[i] for i in range(5)] == [0, 1, 4, 0, 1] and joined[-1] == 1
    assert joined.cumulative_sizes == [3, 5]
    part = Subset(Squares(10), [7, 2])
    assert len(part) == 2 and part[0] == 49 and Subset(part, [1])[0] == 4
    assert list(Stream(2) + Stream(3)) == [0, 1, 0, 1, 2] and isinstance(Stream(2) + Stream(3), ChainDataset)
    stacked = StackDataset(Squares(3), [5, 6, 7])
    assert len(stacked) == 3 and stacked[2] == (4, 7)
    assert StackDataset(image=Squares(3), label=[5, 6, 7])[1] == {"image": 1, "label": 6}


@pytest.mark.parametrize(
    ("action", "error", "message"),
    [
        (lambda: TensorDataset(), ValueError, "needs at least one tensor"),
        (
            lambda: TensorDataset(X, tg.ones(3)),
            ValueError,
            r"Size mismatch between tensors: the first dimensions are \[10, 3\]",
        ),
        (lambda: TensorDataset([1, 2]), TypeError, "takes Tensors, got list; convert it with"),
        (lambda: TensorDataset(tg.tensor(1.0)), ValueError, "at least 1 dimension"),
        (lambda: ConcatDataset([]), ValueError, "datasets should not be an empty iterable"),
        (lambda: ConcatDataset([Stream(1)]), TypeError, "does not support IterableDataset"),
        (lambda: ConcatDataset([Squares(2)])[2], IndexError, "index 2 is out of range for a dataset of 2 items"),
        (lambda: StackDataset(), ValueError, "by position or by keyword, at least one; got 0 and 0"),
        (lambda: StackDataset([1], [1, 2]), ValueError, r"Size mismatch between datasets: their lengths are \[1, 2\]"),
        (lambda: list(ChainDataset([[1]])), TypeError, "only supports IterableDataset, got list"),
        (lambda: DataLoader([1], worker_type="fiber"), ValueError, "'process' or 'thread', got 'fiber'"),
        (lambda: DataLoader([1], multiprocessing_context="spawn"), ValueError, "only be used with multi-process loading"),
        (
            lambda: DataLoader([1], num_workers=1, multiprocessing_context="teleport"),
            ValueError,
            r"valid start method in \[.*'spawn'.*\], but got multiprocessing_context='teleport'",
        ),
        (lambda: DataLoader([1], num_workers=1, multiprocessing_context=3), TypeError, "valid context object or a string"),
        (lambda: DataLoader([1], persistent_workers=True), ValueError, "persistent_workers option needs num_workers > 0"),
        (lambda: Dataset()[0], NotImplementedError, "Dataset must define __getitem__"),
        (
            lambda: RandomSampler(Squares(0)),
            ValueError,
            "num_samples should be a positive integer value, but got num_samples=0",
        ),
        (lambda: RandomSampler([1], replacement=1), TypeError, "replacement should be a boolean value, but got replacement=1"),
        (lambda: WeightedRandomSampler([[1.0]], 1), ValueError, r"1d sequence but given weights have shape \(1, 1\)"),
        (lambda: WeightedRandomSampler([1.0, -1.0], 1), ValueError, "finite numbers >= 0 with a positive sum"),
        (lambda: WeightedRandomSampler([1.0, 0.0], 2, False), ValueError, "cannot draw 2 samples without replacement from 1"),
        (
            lambda: BatchSampler([1], 0, False),
            ValueError,
            "batch_size should be a positive integer value, but got batch_size=0",
        ),
        (lambda: BatchSampler([1], 2, 1), ValueError, "drop_last should be a boolean value, but got drop_last=1"),
        (lambda: random_split(Squares(5), [2, 2]), ValueError, r"lengths \[2, 2\] sum to 4, the dataset has 5 items"),
        (lambda: random_split(Squares(5), [1.5, -0.5]), ValueError, "Fraction at index 0 is not between 0 and 1"),
        (lambda: stratified_split([0, 1], 1.0), ValueError, "test_fraction must be between 0 and 1, got 1.0"),
        (lambda: KFold(1), ValueError, "n_splits must be at least 2, got 1"),
        (lambda: list(KFold(5).split(3)), ValueError, "n_splits=5 greater than the number of items, 3"),
        (lambda: DataLoader(Squares(2), num_workers=-1), ValueError, "num_workers option should be non-negative, got -1"),
        (lambda: DataLoader(Squares(2), timeout=-1), ValueError, "timeout option should be non-negative"),
        (
            lambda: DataLoader(Squares(2), prefetch_factor=2),
            ValueError,
            "prefetch_factor option could only be specified with workers",
        ),
        (
            lambda: DataLoader(Squares(2), shuffle=True, sampler=[0]),
            ValueError,
            "sampler option is mutually exclusive with shuffle",
        ),
        (
            lambda: DataLoader(Squares(2), batch_size=3, batch_sampler=[[0]]),
            ValueError,
            "batch_sampler option is mutually exclusive",
        ),
        (
            lambda: DataLoader(Squares(2), batch_size=None, drop_last=True),
            ValueError,
            "batch_size=None option disables auto-batching",
        ),
        (lambda: DataLoader(Squares(2), batch_size=0), ValueError, "batch_size should be a positive integer value"),
        (lambda: DataLoader(Stream(2), shuffle=True), ValueError, "expected unspecified shuffle option, but got shuffle=True"),
        (lambda: DataLoader(Squares(0), shuffle=True), ValueError, "num_samples should be a positive integer"),
        (
            lambda: default_collate([object()]),
            TypeError,
            "batch must contain tensors, numpy arrays, numbers, dicts or lists; found object",
        ),
        (
            lambda: default_collate([tg.ones(2), tg.ones(3)]),
            RuntimeError,
            r"got \(2,\) at entry 0 and \(3,\) at entry 1; pass a collate_fn",
        ),
        (lambda: default_collate([[1, 2], [1]]), RuntimeError, r"should be of equal size, got lengths \[1, 2\]"),
        (lambda: default_collate([]), ValueError, "got an empty batch"),
    ],
)
def test_errors(action, error, message):
    with pytest.raises(error, match=message):
        action()


# ---- samplers and splits


def test_samplers():
    assert list(SequentialSampler(Squares(3))) == [0, 1, 2]
    order = list(RandomSampler(Squares(100), generator=seed(0)))
    assert sorted(order) == list(range(100)) and order != sorted(order)
    assert order == list(RandomSampler(Squares(100), generator=seed(0)))
    assert order != list(RandomSampler(Squares(100), generator=seed(1)))
    assert len(list(RandomSampler(Squares(4), num_samples=10))) == 10
    draws = list(RandomSampler(Squares(4), replacement=True, num_samples=200, generator=seed(0)))
    assert set(draws) == {0, 1, 2, 3} and len(draws) == 200
    assert sorted(SubsetRandomSampler([5, 7, 9])) == [5, 7, 9]
    assert list(BatchSampler(range(7), 3, False)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(BatchSampler(range(7), 3, True)) == [[0, 1, 2], [3, 4, 5]]
    assert len(BatchSampler(range(7), 3, False)) == 3 and len(BatchSampler(range(7), 3, True)) == 2


def test_weighted_sampler():
    counts = collections.Counter(WeightedRandomSampler([1.0, 0.0, 3.0], 8000, generator=seed(0)))
    assert counts[1] == 0 and counts[2] / counts[0] == pytest.approx(3, rel=0.1)
    picks = [tuple(WeightedRandomSampler(tg.tensor([1.0, 1.0, 8.0]), 2, False, generator=seed(s))) for s in range(400)]
    assert all(len(set(p)) == 2 for p in picks)
    assert sum(p[0] == 2 for p in picks) / 400 == pytest.approx(0.8, abs=0.07)


def test_shuffle_differs_per_epoch_and_repeats_under_seed():
    loader = DataLoader(Squares(50), batch_size=7, shuffle=True)
    tg.manual_seed(3)
    first, second = batches(loader), batches(loader)
    assert first != second and flat(first) == flat(second)
    tg.manual_seed(3)
    assert batches(loader) == first and batches(loader) == second
    g = seed(9)
    a = batches(DataLoader(Squares(50), batch_size=7, shuffle=True, generator=g))
    assert a == batches(DataLoader(Squares(50), batch_size=7, shuffle=True, generator=seed(9)))


def test_random_split():
    parts = random_split(Squares(10), [6, 4], generator=seed(0))
    assert [len(p) for p in parts] == [6, 4]
    assert sorted(parts[0].indices + parts[1].indices) == list(range(10))
    again = random_split(Squares(10), [6, 4], generator=seed(0))
    assert parts[0].indices == again[0].indices
    assert [len(p) for p in random_split(Squares(10), [0.35, 0.35, 0.3])] == [4, 3, 3]
    with pytest.warns(UserWarning, match="Length of split at index 1 is 0"):
        random_split(Squares(3), [3, 0])


def test_stratified_split_and_kfold():
    targets = np.array([0] * 50 + [1] * 10 + [2] * 5)
    train, test = stratified_split(targets, 0.2, seed=1)
    assert np.bincount(targets[test]).tolist() == [10, 2, 1] and sorted([*train, *test]) == list(range(65))
    assert np.array_equal(test, stratified_split(targets, 0.2, seed=1)[1])
    assert not np.array_equal(test, stratified_split(targets, 0.2, seed=2)[1])
    folds = list(KFold(3, shuffle=True, seed=4).split(10))
    assert [len(v) for _, v in folds] == [4, 3, 3]
    assert sorted(np.concatenate([v for _, v in folds])) == list(range(10))
    assert all(sorted([*t, *v]) == list(range(10)) for t, v in folds)


# ---- collate


def test_default_collate():
    point = collections.namedtuple("point", "x y")
    out = default_collate([(tg.ones(2), 1, 2.5, "a", {"k": np.float32(1)}), (tg.zeros(2), 2, 3.5, "b", {"k": np.float32(2)})])
    assert isinstance(out, list) and out[0].tolist() == [[1, 1], [0, 0]]
    assert out[1].tolist() == [1, 2] and out[1].dtype == tg.int64
    assert out[2].tolist() == [2.5, 3.5] and out[2].dtype == tg.float64
    assert out[3] == ["a", "b"] and out[4]["k"].tolist() == [1, 2] and out[4]["k"].dtype == tg.float32
    named = default_collate([point(1, 2), point(3, 4)])
    assert isinstance(named, point) and named.y.tolist() == [2, 4]
    assert default_collate([True, False]).dtype == tg.bool
    arrays = default_collate([np.arange(3, dtype=np.uint8)] * 2)
    assert arrays.shape == (2, 3) and arrays.dtype == tg.uint8
    assert isinstance(default_collate([collections.OrderedDict(a=1)] * 2), collections.OrderedDict)


def test_default_convert():
    point = collections.namedtuple("point", "x y")
    out = default_convert({"a": (np.ones(2), "s", 3), "b": point(np.float32(1), [np.arange(2)])})
    assert out["a"][0].dtype == tg.float64 and out["a"][1:] == ("s", 3)
    assert isinstance(out["b"], point) and out["b"].x.item() == 1 and out["b"].y[0].tolist() == [0, 1]


# ---- DataLoader


def test_loader_shapes_and_drop_last():
    loader = DataLoader(TensorDataset(X, Y), batch_size=4)
    sizes = [(tuple(x.shape), tuple(y.shape)) for x, y in loader]
    assert sizes == [((4, 2), (4,)), ((4, 2), (4,)), ((2, 2), (2,))] and len(loader) == 3
    short = DataLoader(TensorDataset(X, Y), batch_size=4, drop_last=True)
    assert len(short) == 2 and len(list(short)) == 2
    images = TensorDataset(tg.zeros(6, 3, 32, 32), tg.zeros(6, dtype=tg.int64))
    x, y = next(iter(DataLoader(images, batch_size=4)))
    assert x.shape == (4, 3, 32, 32) and y.shape == (4,)


def test_fast_path_gives_the_same_batches():
    data = TensorDataset(X, Y, tg.arange(10).double())
    nested = Subset(Subset(data, list(range(9, -1, -1))), [0, 3, 5, 7, 2])
    for dataset in (data, nested):
        fast = list(DataLoader(dataset, batch_size=3, shuffle=True, generator=seed(1)))
        slow = list(DataLoader(dataset, batch_size=3, shuffle=True, generator=seed(1), collate_fn=default_collate))
        for a, b in zip(fast, slow, strict=True):
            assert type(a) is type(b) is list
            for p, q in zip(a, b, strict=True):
                assert p.dtype == q.dtype and p.shape == q.shape and np.array_equal(p.numpy(), q.numpy())

    class Doubled(TensorDataset):  # changes its items: must not take the fast path
        def __getitem__(self, i):
            return (super().__getitem__(i)[0] * 2,)

    assert next(iter(DataLoader(Doubled(X), batch_size=2)))[0].tolist() == [[0, 2], [4, 6]]
    assert batches(DataLoader(TensorDataset(Y), sampler=[-1, 0], batch_size=2)) == [[[9, 0]]]


def test_samplers_batch_samplers_and_no_batching():
    assert batches(DataLoader(Squares(5), sampler=[4, 0, 2], batch_size=2)) == [[16, 0], [4]]
    loader = DataLoader(Squares(5), batch_sampler=[[4], [0, 1]])
    assert batches(loader) == [[16], [0, 1]] and len(loader) == 2 and loader.batch_size is None
    assert list(DataLoader(Squares(3), batch_size=None)) == [0, 1, 4]
    single = list(DataLoader([np.ones(2, dtype=np.float32)], batch_size=None))
    assert single[0].dtype == tg.float32 and single[0].shape == (2,)
    assert list(DataLoader(Squares(4), batch_size=2, collate_fn=sum)) == [1, 13]
    assert batches(DataLoader([5, 6, 7], batch_size=2, pin_memory=True)) == [[5, 6], [7]]

    class Many(Squares):
        def __getitems__(self, indices):
            return [-i for i in indices]

    assert batches(DataLoader(Many(4), batch_size=2)) == [[0, -1], [-2, -3]]


def test_streams():
    loader = DataLoader(Stream(7), batch_size=3)
    assert batches(loader) == [[0, 1, 2], [3, 4, 5], [6]]
    assert batches(DataLoader(Stream(7), batch_size=3, drop_last=True)) == [[0, 1, 2], [3, 4, 5]]
    assert list(DataLoader(Stream(3), batch_size=None)) == [0, 1, 2]
    with pytest.raises(TypeError):
        len(loader)

    class Liar(Stream):
        def __len__(self):
            return 2

    with pytest.warns(UserWarning, match="was reported to be 1 batches, but 2 batches have been fetched"):
        list(DataLoader(Liar(4), batch_size=2))


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_workers_keep_the_order(workers):
    class Slow(Squares):
        def __getitem__(self, i):
            time.sleep(0.002 * (i % 3))
            return i

    plain = batches(DataLoader(Slow(23), batch_size=4, shuffle=True, generator=seed(2)))
    for kind in ("process", "thread"):
        options = {"num_workers": workers, "worker_type": kind}
        assert batches(DataLoader(Slow(23), batch_size=4, shuffle=True, generator=seed(2), **options)) == plain
        assert flat(batches(DataLoader(Stream(9), batch_size=2, **options))) == list(range(9))


def test_worker_threads():
    seen = []
    before = threading.active_count()

    class Who(Squares):
        def __getitem__(self, i):
            info = get_worker_info()
            return info.id * 100 + info.num_workers

    loader = DataLoader(
        Who(4), batch_size=1, num_workers=2, worker_init_fn=seen.append, prefetch_factor=1, worker_type="thread"
    )
    assert batches(loader) == [[2], [102], [2], [102]] and sorted(seen) == [0, 1]
    assert get_worker_info() is None

    class Broken(Squares):
        def __getitem__(self, i):
            if i == 3:
                raise KeyError("item three")
            return i

    with pytest.raises(KeyError, match="item three") as caught:
        list(DataLoader(Broken(8), num_workers=2, worker_type="thread"))
    assert any("DataLoader worker 1" in note for note in getattr(caught.value, "__notes__", ["DataLoader worker 1"]))
    for _ in DataLoader(Squares(1000), num_workers=2, worker_type="thread"):  # leaving early ends the threads
        break
    deadline = time.time() + 5
    while threading.active_count() > before and time.time() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before

    class Stuck(Squares):
        def __getitem__(self, i):
            time.sleep(0.3)

    with pytest.raises(RuntimeError, match=r"DataLoader timed out after 0\.01 seconds"):
        list(DataLoader(Stuck(1), num_workers=1, timeout=0.01, worker_type="thread"))


def test_seed_class_of_the_course(tmp_path):
    """A04: the lecture's image-folder class with os.listdir runs as written."""
    import os

    for name in ("0013035.jpg", "1030023514.jpg", "5650366.jpg"):
        (tmp_path / "train" / "ants").mkdir(parents=True, exist_ok=True)
        (tmp_path / "train" / "ants" / name).write_bytes(b"x")

    class MyData(Dataset):
        def __init__(self, root_dir, label_dir):
            self.root_dir = root_dir
            self.label_dir = label_dir
            self.path = os.path.join(self.root_dir, self.label_dir)
            self.img_path = os.listdir(self.path)

        def __getitem__(self, idx):
            img_name = self.img_path[idx]
            return os.path.join(self.root_dir, self.label_dir, img_name), self.label_dir

        def __len__(self):
            return len(self.img_path)

    ants = MyData(str(tmp_path / "train"), "ants")
    assert len(ants) == 3 and len(ants + ants) == 6 and (ants + ants)[5][1] == "ants"
    paths, labels = next(iter(DataLoader(ants, batch_size=2)))
    assert len(paths) == 2 and labels == ["ants", "ants"]
