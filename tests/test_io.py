"""save and load: every dtype, every kind of tree, damaged files, atomic replacement."""

from __future__ import annotations

import enum
import io
import json
import math
import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest

import tilegrad as tg
from tilegrad import nn, optim

DTYPES = ["float32", "float64", "bfloat16", "float16", "int64", "int32", "int8", "uint8", "bool"]


def values(t):
    return t.detach().float().numpy() if t.dtype == tg.bfloat16 else t.detach().numpy()


@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("shape", [(), (0, 3), (5,), (2, 3, 4)])
def test_every_dtype_and_shape(tmp_path, name, shape):
    dtype = getattr(tg, name)
    t = tg.tensor(np.arange(math.prod(shape)).reshape(shape) % 2 * 1.5, dtype=tg.float32).to(dtype)
    tg.save(t, tmp_path / "t.safetensors")
    back = tg.load(tmp_path / "t.safetensors")
    assert back.dtype == dtype and tuple(back.shape) == shape
    np.testing.assert_array_equal(values(back), values(t))


def test_bfloat16_keeps_every_bit(tmp_path):
    wide = np.array([0.0, -0.0, 1.0, 3.14159, 1e38, -1e-38, np.inf, -np.inf, np.nan, 9.2e-41], dtype=np.float32)
    t = tg.from_numpy(wide).to(tg.bfloat16)
    tg.save({"t": t}, tmp_path / "t")
    back = tg.load(tmp_path / "t")["t"]
    np.testing.assert_array_equal(values(back), values(t))
    assert np.array_equal(np.signbit(values(back)), np.signbit(values(t)))


def test_views_and_transposes(tmp_path):
    base = tg.arange(12).reshape(3, 4).float()
    tg.save({"t": base.t(), "part": base[1:, ::2]}, tmp_path / "v")
    back = tg.load(tmp_path / "v")
    np.testing.assert_array_equal(back["t"].numpy(), base.numpy().T)
    np.testing.assert_array_equal(back["part"].numpy(), base.numpy()[1:, ::2])


def test_a_tree_comes_back_as_it_was(tmp_path):
    tree = {
        "model": OrderedDict(w=tg.ones(2), b=tg.zeros(1)),
        "list": [1, 2.5, "text", None, True, (tg.ones(1), ("nested",)), []],
        "numbers": {"inf": math.inf, "nan": math.nan, "big": 2**80, "neg": -0.0},
        3: {"int key": 1, None: 2, 1.5: 3, False: 4},
        "numpy": {"u16": np.arange(4, dtype=np.uint16), "f8": np.eye(2), "scalar": np.float32(2.5), "i2": np.int16([-3])},
        "unicode ö/.#": tg.ones(1),
        "": {},
        "__metadata__": tg.zeros(2),
    }
    tg.save(tree, tmp_path / "tree.tg")
    back = tg.load(tmp_path / "tree.tg")
    assert list(back) == list(tree)
    assert isinstance(back["model"], OrderedDict) and back["model"]["w"].tolist() == [1, 1]
    assert back["list"][:5] == [1, 2.5, "text", None, True] and back["list"][6] == []
    assert isinstance(back["list"][5], tuple) and back["list"][5][1] == ("nested",)
    assert back["numbers"]["inf"] == math.inf and math.isnan(back["numbers"]["nan"]) and back["numbers"]["big"] == 2**80
    assert math.copysign(1, back["numbers"]["neg"]) == -1
    assert back[3] == tree[3] and [type(k) for k in back[3]] == [str, type(None), float, bool]
    assert back["numpy"]["u16"].dtype == np.uint16 and np.array_equal(back["numpy"]["f8"], np.eye(2))
    assert isinstance(back["numpy"]["scalar"], np.float32) and back["numpy"]["i2"].tolist() == [-3]
    back["numpy"]["f8"][0, 0] = 5  # writable
    for plain in (None, 3, "x", [], {}, (1,), True, 2.5):
        tg.save(plain, tmp_path / "plain")
        assert tg.load(tmp_path / "plain") == plain and type(tg.load(tmp_path / "plain")) is type(plain)


def test_checkpoint_of_model_and_optimizer(tmp_path):
    """A19: a reloaded model gives identical logits, and training goes on as if it had not stopped."""

    def make():
        tg.manual_seed(0)
        net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
        return net, optim.AdamW(net.parameters(), lr=0.01, amsgrad=True)

    x = tg.randn(16, 4)

    def train(net, optimizer, steps):
        for _ in range(steps):
            optimizer.zero_grad()
            net(x).square().mean().backward()
            optimizer.step()

    net, optimizer = make()
    train(net, optimizer, 3)
    path = tmp_path / "checkpoint.safetensors"
    tg.save({"epoch": 3, "model": net.state_dict(), "optimizer": optimizer.state_dict()}, path)
    other, other_optimizer = make()
    checkpoint = tg.load(path, map_location="cpu", weights_only=True)
    other.load_state_dict(checkpoint["model"])
    other_optimizer.load_state_dict(checkpoint["optimizer"])
    assert checkpoint["epoch"] == 3 and np.array_equal(other(x).detach().numpy(), net(x).detach().numpy())
    train(net, optimizer, 2)
    train(other, other_optimizer, 2)
    assert np.array_equal(other(x).detach().numpy(), net(x).detach().numpy())
    assert other_optimizer.param_groups[0]["betas"] == (0.9, 0.999)


def test_shared_tensors_are_written_once_and_stay_shared(tmp_path):
    big = tg.ones(1000)
    tg.save({"a": big, "b": big, "c": big.detach()}, tmp_path / "s")
    assert (tmp_path / "s").stat().st_size < 6000
    back = tg.load(tmp_path / "s")
    back["a"].zero_()
    assert float(back["b"].sum()) == 0 and float(back["c"].sum()) == 0


def test_equal_trees_give_equal_bytes(tmp_path):
    for name in ("one", "two"):
        tg.manual_seed(0)
        net = nn.Linear(3, 3)
        tg.save({"model": net.state_dict(), "more": [tg.ones(2, dtype=tg.int64), 1.5]}, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_requires_grad_is_kept(tmp_path):
    tg.save([tg.ones(1, requires_grad=True), nn.Parameter(tg.ones(1)), tg.ones(1, requires_grad=True) * 2], tmp_path / "g")
    back = tg.load(tmp_path / "g")
    assert [t.requires_grad for t in back] == [True, True, False] and type(back[1]) is tg.Tensor


def test_names_in_the_file_are_readable_by_others(tmp_path):
    from safetensors.numpy import load_file, save_file

    net = nn.Linear(2, 3)
    tg.save(net.state_dict(), tmp_path / "m.safetensors")
    flat = load_file(tmp_path / "m.safetensors")
    assert sorted(flat) == ["bias", "weight"] and np.array_equal(flat["weight"], net.weight.detach().numpy())
    save_file(
        {"x.y": np.arange(3, dtype=np.int64), "z": np.float32([[1.5]]), "w": np.uint16([7])}, tmp_path / "other.safetensors"
    )
    back = tg.load(tmp_path / "other.safetensors")
    assert set(back) == {"x.y", "z", "w"} and back["x.y"].tolist() == [0, 1, 2] and back["z"].dtype == tg.float32
    assert back["w"].dtype == tg.int32 and back["w"].tolist() == [7]


def test_file_objects_and_map_location(tmp_path):
    buffer = io.BytesIO()
    tg.save({"a": tg.ones(2)}, buffer)
    buffer.seek(0)
    assert tg.load(buffer)["a"].tolist() == [1, 1]
    tg.save({"a": tg.ones(2)}, str(tmp_path / "a"))
    for location in ("cpu", tg.device("cpu"), {"cpu": "cpu"}, {"cuda:0": "cpu"}, lambda t, where: t, lambda t, where: None):
        assert tg.load(str(tmp_path / "a"), map_location=location)["a"].tolist() == [1, 1]


class Colour(enum.Enum):
    RED = 1


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        (nn.Linear(1, 1), r"cannot save the object itself of type Linear; save it.state_dict\(\) instead"),
        ({"net": nn.Linear(1, 1)}, r"cannot save 'net' of type Linear; save net.state_dict\(\) instead"),
        ({"a": [1, {"b": {1, 2}}]}, r"cannot save 'a.1.b' of type set; convert it to dicts, lists"),
        ({"f": len}, "cannot save 'f' of type builtin_function_or_method"),
        ({"c": 1j}, "cannot save 'c' of type complex"),
        ({"e": Colour.RED}, "cannot save 'e' of type Colour"),
        ({"d": b"bytes"}, "cannot save 'd' of type bytes"),
        ({"x": {(1, 2): 3}}, r"'x' has a key of type tuple; keys must be str, int, float, bool or None"),
        ({"n": np.array(["text"])}, "'n' is a NumPy array of dtype <U4; supported: bool, float16"),
        ({"n": np.array([object()])}, "'n' is a NumPy array of dtype object"),
    ],
)
def test_what_cannot_be_saved_names_its_place(tmp_path, tree, message):
    path = tmp_path / "x"
    path.write_bytes(b"old")
    with pytest.raises(TypeError, match=message):
        tg.save(tree, path)
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["x"]


def test_pickle_module_is_refused(tmp_path):
    with pytest.raises(TypeError, match="does not write pickles"):
        tg.save({}, tmp_path / "x", pickle_module=pickle)


def good_file(tmp_path):
    path = tmp_path / "good"
    tg.save({"a": tg.ones(100), "b": [1, 2]}, path)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: b"", "is empty; was the program that wrote it stopped"),
        (lambda d: d[:5], "is not a complete safetensors file .*header too small"),
        (lambda d: d[:-1], "is not a complete safetensors file"),
        (lambda d: d[: len(d) // 2], "is not a complete safetensors file"),
        (lambda d: d + b"junk", "is not a complete safetensors file"),
        (lambda d: b"\xff" * 8 + d[8:], "is not a complete safetensors file"),
        (lambda d: d[:8] + b"}" + d[9:], "is not a complete safetensors file"),
        (lambda d: pickle.dumps({"a": 1}), r"is a PyTorch \(pickle\) checkpoint, which tilegrad does not read"),
        (lambda d: b"PK\x03\x04" + bytes(100), r"is a PyTorch \(pickle\) checkpoint.*safetensors.torch.save_file"),
        (
            lambda d: d.replace(b'kind\\":\\"dict', b'kind\\":\\"duck'),
            r"is damaged: its description of the saved tree is not valid",
        ),
        (lambda d: d.replace(b'name\\":\\"a', b'name\\":\\"q'), r"is damaged: its description of the saved tree is not valid"),
    ],
)
def test_damaged_files(tmp_path, damage, message):
    path = tmp_path / "bad.tg"
    data = damage(good_file(tmp_path))
    path.write_bytes(data)
    with pytest.raises(ValueError, match=message) as caught:
        tg.load(path)
    assert "bad.tg" in str(caught.value)
    with pytest.raises(ValueError, match="the file object"):
        tg.load(io.BytesIO(data))


def test_any_truncation_is_a_clear_error(tmp_path):
    data = good_file(tmp_path)
    for length in range(0, len(data), 7):
        with pytest.raises(ValueError, match="load: "):
            tg.load(io.BytesIO(data[:length]))


def test_foreign_dtype_names_the_tensor(tmp_path):
    header = json.dumps({"c": {"dtype": "C64", "shape": [1], "data_offsets": [0, 8]}}).encode()
    (tmp_path / "c").write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    with pytest.raises(ValueError, match=r"'c' in .* has dtype C64, which tilegrad does not have"):
        tg.load(tmp_path / "c")


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"load: there is no file .*nope"):
        tg.load(tmp_path / "nope")
    with pytest.raises(FileNotFoundError, match=r"save: the folder .*missing' does not exist; create it first"):
        tg.save({}, tmp_path / "missing" / "x")
    with pytest.raises(IsADirectoryError, match="is a folder; give the name of a file in it"):
        tg.save({}, tmp_path)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "m"
    tg.save({"a": tg.ones(1)}, path)

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        tg.save({"a": tg.zeros(1)}, path)
    monkeypatch.undo()
    assert tg.load(path)["a"].item() == 1.0 and os.listdir(tmp_path) == ["m"]


def test_replacing_keeps_links_and_ordinary_permissions(tmp_path):
    real, link = tmp_path / "real", tmp_path / "link"
    tg.save({"v": 1}, real)
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    assert real.stat().st_mode == plain.stat().st_mode
    link.symlink_to(real)
    tg.save({"v": 2}, link)
    assert link.is_symlink() and tg.load(real) == {"v": 2}
