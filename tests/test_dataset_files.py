"""datasets from files: tiny files in the official formats round-trip, and damaged ones say which file and what is wrong."""

import gzip
import hashlib
import io
import pathlib
import pickle
import struct
import sys
import tarfile
import urllib.error
import urllib.request

import numpy as np
import pytest

import tilegrad as tg
from tilegrad import datasets
from tilegrad.datasets import (
    CIFAR10,
    CIFAR100,
    EMNIST,
    MNIST,
    DatasetFolder,
    FashionMNIST,
    ImageFolder,
    files,
    read_idx,
    write_idx,
)
from tilegrad.utils.data import DataLoader

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (20, 28, 28), dtype=np.uint8)
LABELS = RNG.integers(0, 10, 20, dtype=np.uint8)


def write_mnist(root, name="MNIST", suffix="", images=IMAGES, labels=LABELS, prefix="train-"):
    folder = root / name / "raw"
    folder.mkdir(parents=True, exist_ok=True)
    write_idx(folder / f"{prefix}images-idx3-ubyte{suffix}", images)
    write_idx(folder / f"{prefix}labels-idx1-ubyte{suffix}", labels)
    return folder


# ---- IDX


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "i4", "f4", "f8"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_round_trip(tmp_path, dtype, suffix):
    array = RNG.integers(0, 100, (3, 2, 5)).astype(dtype)
    write_idx(tmp_path / f"x{suffix}", array)
    back = read_idx(tmp_path / f"x{suffix}", 3)
    assert back.dtype == array.dtype and np.array_equal(back, array)


def test_idx_bytes_by_hand(tmp_path):
    path = tmp_path / "labels"
    path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 9]))
    assert read_idx(path).tolist() == [7, 2, 9]
    path.write_bytes(struct.pack(">HBB2I4h", 0, 0x0B, 2, 2, 2, 1, -2, 300, -400))
    assert read_idx(path).tolist() == [[1, -2], [300, -400]]
    path.write_bytes(bytes([0, 0, 8, 2, 0, 0, 0, 0, 0, 0, 0, 5]))
    assert read_idx(path).shape == (0, 5)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_mnist(tmp_path, suffix):
    write_mnist(tmp_path, suffix=suffix)
    write_mnist(tmp_path, suffix=suffix, images=IMAGES[:5], labels=LABELS[:5], prefix="t10k-")
    train, test = MNIST(tmp_path), MNIST(str(tmp_path), train=False, download=True)  # nothing to download
    assert len(train) == 20 and len(test) == 5
    assert train.data.shape == (20, 28, 28) and train.data.dtype == tg.uint8 and train.targets.dtype == tg.int64
    assert np.array_equal(train.data.numpy(), IMAGES) and train.targets.tolist() == LABELS.tolist()
    assert train.classes[3] == "3 - three" and train.class_to_idx["0 - zero"] == 0
    assert repr(test).startswith("MNIST(5 images of shape (28, 28), 10 classes, from ")
    image, label = train[7]
    assert type(label) is int and label == LABELS[7] and image.mode == "L"
    assert np.array_equal(np.asarray(image), IMAGES[7])
    doubled = MNIST(tmp_path, transform=lambda x: np.asarray(x) * 2, target_transform=lambda y: -y)[7]
    assert np.array_equal(doubled[0], IMAGES[7] * 2) and doubled[1] == -int(LABELS[7])
    (tmp_path / "flat").mkdir()
    for file in (tmp_path / "MNIST" / "raw").iterdir():
        (tmp_path / "flat" / file.name).write_bytes(file.read_bytes())
    assert len(MNIST(tmp_path / "flat")) == 20


def test_fashion_and_emnist(tmp_path):
    write_mnist(tmp_path, "FashionMNIST")
    assert FashionMNIST(tmp_path).classes[9] == "Ankle boot"
    write_mnist(tmp_path, "EMNIST", prefix="emnist-letters-train-", labels=LABELS + 1)
    letters = EMNIST(tmp_path, split="letters")
    assert np.array_equal(letters.data.numpy(), IMAGES.transpose(0, 2, 1)) and letters.classes[26] == "z"
    write_mnist(tmp_path, "EMNIST", prefix="emnist-balanced-test-")
    assert len(EMNIST(tmp_path, "balanced", train=False).classes) == 47
    with pytest.raises(ValueError, match=r"split must be one of byclass, .* got 'capitals'"):
        EMNIST(tmp_path, "capitals")
    with pytest.raises(RuntimeError, match=r"emnist-digits-train-images-idx3-ubyte\.gz[\s\S]*nist\.gov"):
        EMNIST(tmp_path, "digits")


def test_missing_files_are_named(tmp_path, monkeypatch):
    with pytest.raises(RuntimeError) as caught:
        MNIST(tmp_path)
    text = str(caught.value)
    assert "Dataset not found" in text and str(tmp_path / "MNIST" / "raw") in text
    for name, md5 in MNIST.md5.items():
        assert f"{name}  (MD5 {md5})" in text and MNIST.mirrors[0] + name in text

    def refused(url, timeout):
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(urllib.request, "urlopen", refused)
    for make in (lambda: MNIST(tmp_path, download=True), lambda: CIFAR10(tmp_path, download=True)):
        with pytest.raises(RuntimeError, match=r"(?s)downloading .* failed \(http.*no route.*by hand"):
            make()
    assert list(tmp_path.rglob("*.gz")) == []


def test_download(tmp_path, monkeypatch):
    content = {}
    for name, array in (("images-idx3", IMAGES), ("labels-idx1", LABELS)):
        for part in ("train", "t10k"):
            write_idx(tmp_path / "x.gz", array)
            content[f"{part}-{name}-ubyte.gz"] = (tmp_path / "x.gz").read_bytes()
    fetched = []

    def served(url, timeout):
        fetched.append(url)
        if "ossci" in url:
            raise urllib.error.URLError("down")
        return io.BytesIO(content[url.rpartition("/")[2]])

    monkeypatch.setattr(urllib.request, "urlopen", served)
    with pytest.raises(RuntimeError, match=r"MD5 is .*, expected f68b3c2dcbeaaa9fbdd348bbdeb94873"):
        MNIST(tmp_path / "a", download=True)  # another file than the official one is not kept
    assert not list((tmp_path / "a").rglob("*.*"))
    monkeypatch.setattr(MNIST, "md5", {name: hashlib.md5(data).hexdigest() for name, data in content.items()})
    assert len(MNIST(tmp_path / "a", download=True)) == 20
    count = len(fetched)
    assert len(MNIST(tmp_path / "a", download=True)) == 20 and len(fetched) == count


def damaged(name, data):
    def write(root):
        folder = write_mnist(root)
        (folder / f"train-{name}").unlink(missing_ok=True)
        target = folder / f"train-{name.removesuffix('.gz')}"
        target.unlink(missing_ok=True)
        (folder / f"train-{name}").write_bytes(data)

    return write


GOOD = struct.pack(">HBB3I", 0, 8, 3, 20, 28, 28) + IMAGES.tobytes()


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("images-idx3-ubyte", b"PK\x03\x04" + GOOD, r"images-idx3-ubyte: not an IDX file; its first bytes are 50 4b 03 04"),
        (
            "images-idx3-ubyte",
            GOOD[:-1],
            r"images-idx3-ubyte: 15695 bytes, but its header \(shape \(20, 28, 28\), uint8\) needs 15696",
        ),
        ("images-idx3-ubyte", GOOD + b"x", "15697 bytes, but its header"),
        ("images-idx3-ubyte", GOOD[:9], r"the IDX header ends early \(9 bytes, 16 expected\)"),
        ("images-idx3-ubyte", b"", "too short for an IDX file"),
        ("images-idx3-ubyte", struct.pack(">HBB3I", 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1), "needs 79228162"),
        ("labels-idx1-ubyte", GOOD, "an IDX file of 3 dims where 1 are expected; are images and labels exchanged"),
        ("labels-idx1-ubyte", struct.pack(">HBBI", 0, 8, 1, 19) + bytes(19), "20 images, but there are 19 labels"),
        ("labels-idx1-ubyte", struct.pack(">HBBI", 0, 8, 1, 20) + bytes([10] * 20), "a label is 10, but MNIST has 10 classes"),
        ("labels-idx1-ubyte", struct.pack(">HBBI", 0, 13, 1, 20) + bytes(80), "elements of type float32, expected uint8"),
        ("images-idx3-ubyte.gz", gzip.compress(GOOD)[:500], r"images-idx3-ubyte\.gz: the gzip file ends early \(500 bytes\)"),
        ("images-idx3-ubyte.gz", GOOD, "not a valid gzip file"),
        ("images-idx3-ubyte.gz", gzip.compress(GOOD)[:-8] + bytes(8), "not a valid gzip file .*CRC"),
    ],
    ids=range(13),
)
def test_damaged_idx_files(tmp_path, name, data, message):
    damaged(name, data)(tmp_path)
    with pytest.raises(ValueError, match=message):
        MNIST(tmp_path)


def test_checksum_of_a_file_of_the_official_size(tmp_path, monkeypatch):
    write_mnist(tmp_path, suffix=".gz")
    monkeypatch.setattr(MNIST, "_sizes", (20, 5))
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte\.gz: damaged: its MD5 .* official file's is f68b"):
        MNIST(tmp_path)
    assert len(MNIST(tmp_path, checksum=False)) == 20


# ---- CIFAR

PIXELS = RNG.integers(0, 256, (20, 3072), dtype=np.uint8)
COARSE = RNG.integers(0, 20, 20).tolist()


def python2_pickle(entry):
    """Protocol 2 with the module name that NumPy had when the official files were written."""
    data = pickle.dumps(entry, 2)
    return data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def cifar10_entry(part):
    return {"data": PIXELS, "labels": LABELS.tolist(), "batch_label": f"part {part}", "filenames": ["a.png"] * 20}


def write_cifar10(root):
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for name in [*CIFAR10.train_list, *CIFAR10.test_list]:
        (folder / name).write_bytes(python2_pickle(cifar10_entry(name)))
    (folder / "batches.meta").write_bytes(python2_pickle({"label_names": [f"name{i}" for i in range(10)]}))
    return folder


def test_cifar10_python_version(tmp_path):
    folder = write_cifar10(tmp_path)
    train, test = CIFAR10(tmp_path), CIFAR10(tmp_path, train=False)
    assert len(train) == 100 and len(test) == 20 and train.classes[9] == "name9"
    assert train.data.shape == (100, 32, 32, 3) and train.targets[:20] == LABELS.tolist()
    assert np.array_equal(test.data[4], PIXELS[4].reshape(3, 32, 32).transpose(1, 2, 0))
    image, label = test[4]
    assert image.size == (32, 32) and image.mode == "RGB" and label == LABELS[4]
    archive = tmp_path / "elsewhere"
    archive.mkdir()
    with tarfile.open(archive / "cifar-10-python.tar.gz", "w:gz") as tar:
        tar.add(folder, "cifar-10-batches-py")
    assert np.array_equal(CIFAR10(archive).data, train.data) and sorted(p.name for p in archive.iterdir()) == [
        "cifar-10-python.tar.gz"
    ]


def test_cifar_binary_and_cifar100(tmp_path):
    binary = tmp_path / "cifar-10-batches-bin"
    binary.mkdir()
    rows = np.concatenate([LABELS[:, None], PIXELS], 1)
    (binary / "test_batch.bin").write_bytes(rows.tobytes())
    test = CIFAR10(tmp_path, train=False)
    assert test.targets == LABELS.tolist() and np.array_equal(test.data.transpose(0, 3, 1, 2).reshape(20, -1), PIXELS)
    hundred = tmp_path / "cifar-100-binary"
    hundred.mkdir()
    (hundred / "train.bin").write_bytes(np.concatenate([np.uint8(COARSE)[:, None], LABELS[:, None] + 90, PIXELS], 1).tobytes())
    assert CIFAR100(tmp_path).targets == (LABELS + 90).tolist()
    fine = tmp_path / "cifar-100-python"
    fine.mkdir()
    (fine / "test").write_bytes(python2_pickle({"data": PIXELS, "fine_labels": [99] * 20, "coarse_labels": COARSE}))
    (fine / "meta").write_bytes(python2_pickle({"fine_label_names": [f"f{i}" for i in range(100)]}))
    got = CIFAR100(tmp_path, train=False)
    assert got.targets == [99] * 20 and got.classes[99] == "f99" and len(CIFAR100.classes) == 100


class Evil:
    def __reduce__(self):
        return print, ("this must not run",)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (pickle.dumps(Evil()), r"test_batch: not a readable pickle of arrays: it refers to .*\.print, which a file of arrays"),
        (pickle.dumps([1, 2]), "the pickle holds a list, expected a dict"),
        (python2_pickle({"data": PIXELS})[:300], "test_batch: not a readable pickle of arrays"),
        (b"", "not a readable pickle"),
        (python2_pickle({"data": PIXELS}), r"no 'data' or no 'labels' in it; it has \['data'\]"),
        (
            python2_pickle({"data": PIXELS[:, :100], "labels": [0] * 20}),
            r"uint8 of shape \(20, 100\), expected uint8 of shape \(N, 3072\)",
        ),
        (python2_pickle({"data": PIXELS, "labels": [0] * 19}), "20 images, but 19 labels"),
        (python2_pickle({"data": PIXELS, "labels": [10] * 20}), "labels from 10 to 10; is it another data set"),
    ],
    ids=range(8),
)
def test_damaged_cifar_pickles(tmp_path, capsys, data, message):
    folder = write_cifar10(tmp_path)
    (folder / "test_batch").write_bytes(data)
    with pytest.raises(ValueError, match=message):
        CIFAR10(tmp_path, train=False)
    assert capsys.readouterr().out == ""


def test_other_damage_of_cifar(tmp_path, monkeypatch):
    with pytest.raises(RuntimeError, match=r"(?s)CIFAR10: Dataset not found.*cifar-10-python\.tar\.gz.*c58f3010.*toronto"):
        CIFAR10(tmp_path)
    folder = write_cifar10(tmp_path / "a")
    (folder / "data_batch_3").unlink()
    with pytest.raises(ValueError, match="data_batch_3: missing, while other files of CIFAR10 are there"):
        CIFAR10(tmp_path / "a")
    monkeypatch.setattr(CIFAR10, "_official_rows", 20)
    with pytest.raises(ValueError, match="test_batch: damaged: its MD5 sum is"):
        CIFAR10(tmp_path / "a", train=False)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "cifar-10-python.tar.gz").write_bytes(gzip.compress(b"x" * 5000)[:40])
    with pytest.raises(ValueError, match=r"cifar-10-python\.tar\.gz: not a readable archive"):
        CIFAR10(tmp_path / "b")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "test_batch.bin").write_bytes(bytes(3073 * 2 + 5))
    with pytest.raises(ValueError, match=r"test_batch\.bin: 6151 bytes are not a whole number of rows of 3073"):
        CIFAR10(tmp_path / "c", train=False)


# ---- folders


@pytest.fixture
def tree(tmp_path):
    Image = pytest.importorskip("PIL.Image")
    for i, name in enumerate(("bees", "ants")):
        (tmp_path / name / "deep").mkdir(parents=True)
        Image.fromarray(np.full((6, 4, 3), 50 * i, np.uint8)).save(tmp_path / name / "b.png")
        Image.fromarray(np.full((6, 4), 7, np.uint8)).save(tmp_path / name / "deep" / "a.PNG")
        (tmp_path / name / "notes.txt").write_text("no image")
    (tmp_path / "README").write_text("not a class")
    return tmp_path


def test_image_folder(tree):
    data = ImageFolder(tree)
    assert data.classes == ["ants", "bees"] and data.class_to_idx == {"ants": 0, "bees": 1}
    assert [p[len(str(tree)) + 1 :] for p, _ in data.imgs] == ["ants/b.png", "ants/deep/a.PNG", "bees/b.png", "bees/deep/a.PNG"]
    assert data.targets == [0, 0, 1, 1] and len(data) == 4
    image, label = data[0]
    assert image.mode == "RGB" and image.size == (4, 6) and label == 0 and np.asarray(image)[0, 0].tolist() == [50, 50, 50]
    assert data[3][0].mode == "RGB"  # a grey file too
    with_functions = ImageFolder(
        tree, transform=np.asarray, target_transform=lambda y: y + 10, is_valid_file=lambda p: p.endswith("b.png")
    )
    assert len(with_functions) == 2 and with_functions[1][0].shape == (6, 4, 3) and with_functions[1][1] == 11
    texts = DatasetFolder(tree, lambda path: pathlib.Path(path).read_text(), extensions=".txt")
    assert texts[0] == ("no image", 0)


def test_damaged_images_and_folders(tree):
    good = (tree / "ants" / "b.png").read_bytes()
    for content in (b"", b"not an image", good[:40], good[: len(good) // 2]):
        (tree / "ants" / "b.png").write_bytes(content)
        with pytest.raises(ValueError, match=r"ants/b\.png: cannot be read as an image"):
            ImageFolder(tree)[0]
        with pytest.raises(ValueError, match=r"(?s)DataLoader worker process 0.*ants/b\.png: cannot be read as an image"):
            next(iter(DataLoader(ImageFolder(tree), num_workers=1)))
    (tree / "wasps").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no valid file for the classes wasps\. Supported extensions are: \.jpg"):
        ImageFolder(tree)
    assert len(ImageFolder(tree, allow_empty=True).classes) == 3
    with pytest.raises(FileNotFoundError, match="Couldn't find any class folder in"):
        ImageFolder(tree / "wasps")
    with pytest.raises(FileNotFoundError, match="nowhere is not a folder"):
        ImageFolder(tree / "nowhere")
    with pytest.raises(ValueError, match="Both extensions and is_valid_file"):
        DatasetFolder(tree, open)


def test_without_pillow(tmp_path, monkeypatch):
    write_mnist(tmp_path)
    monkeypatch.setitem(sys.modules, "PIL", None)
    data = MNIST(tmp_path)
    with pytest.raises(ImportError, match=r"pip install 'tilegrad\[course\]'"):
        data[0]
    with pytest.raises(ImportError, match="needs Pillow"):
        datasets.folder.default_loader("x.png")


def test_writing_other_dtypes_is_refused(tmp_path):
    with pytest.raises(ValueError, match="IDX has no dtype int64"):
        write_idx(tmp_path / "x", np.zeros(3, np.int64))
    assert files.md5_of(b"") == "d41d8cd98f00b204e9800998ecf8427e"
