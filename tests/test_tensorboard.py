"""SummaryWriter (rows A13, A14): what it writes is read back from the bytes of the event file, checksums included."""

import io
import itertools
import pathlib
import struct
import sys
import zlib

import numpy as np
import pytest

import tilegrad as tg
from tilegrad import nn
from tilegrad.utils.tensorboard.images import grid_of, png

pytest.importorskip("tensorboard")
from tensorboard.compat.proto.event_pb2 import Event

from tilegrad.utils.tensorboard import SummaryWriter


def crc32c(data):
    """CRC-32C, bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def read(folder):
    """The events of all files in a folder; TFRecord: length, its masked CRC, data, its masked CRC."""
    events = []
    for path in sorted(pathlib.Path(folder).glob("events.out.tfevents.*")):
        data, at = path.read_bytes(), 0
        while at < len(data):
            (length,) = struct.unpack_from("<Q", data, at)
            body = data[at + 12 : at + 12 + length]
            assert struct.unpack_from("<I", data, at + 8)[0] == masked(data[at : at + 8])
            assert struct.unpack_from("<I", data, at + 12 + length)[0] == masked(body)
            events.append(Event.FromString(body))
            at += 16 + length
    return events


def values(folder):
    return [(e.step, v) for e in read(folder) for v in e.summary.value]


def test_line_of_the_course(tmp_path):
    """A13: one hundred points of y = 2x."""
    writer = SummaryWriter(tmp_path / "logs")
    for i in range(100):
        writer.add_scalar("y=2x", 2 * i, i)
    writer.close()
    events = read(tmp_path / "logs")
    assert events[0].file_version == "brain.Event:2" and len(list((tmp_path / "logs").iterdir())) == 1
    points = [(e.step, e.summary.value[0].simple_value, e.summary.value[0].tag) for e in events[1:]]
    assert points == [(i, 2.0 * i, "y=2x") for i in range(100)]
    assert all(a.wall_time <= b.wall_time for a, b in itertools.pairwise(events))


def test_scalars_of_all_kinds(tmp_path):
    with SummaryWriter(str(tmp_path), filename_suffix=".mine") as writer:
        for step, value in enumerate(
            [1, 2.5, tg.tensor(3.0, requires_grad=True), np.float32(4), tg.tensor([5], dtype=tg.bfloat16)]
        ):
            writer.add_scalar("v", value, tg.tensor(step), walltime=7.0)
        writer.add_scalar("no step", 1)
        writer.add_scalars("run/losses", {"train": 0.5, "test": 0.75}, 3)
        with pytest.raises(ValueError, match=r"'v' should be one number, got shape \(2,\)"):
            writer.add_scalar("v", tg.ones(2))
        writer.flush()
        got = values(tmp_path)
        assert writer.get_logdir() == str(tmp_path)
    assert [(s, v.simple_value) for s, v in got] == [(0, 1), (1, 2.5), (2, 3), (3, 4), (4, 5), (0, 1)]
    assert read(tmp_path)[1].wall_time == 7.0 and next(tmp_path.glob("events*")).name.endswith(".mine")
    ((step, value),) = values(tmp_path / "run_losses_test")
    assert (step, value.tag, value.simple_value) == (3, "run/losses", 0.75)
    writer.add_scalar("after close", 1, 0)  # opens another file
    writer.close()
    assert [v.tag for _, v in values(tmp_path)][-1] == "after close"


def decoded(value):
    Image = pytest.importorskip("PIL.Image")
    image = Image.open(io.BytesIO(value.image.encoded_image_string))
    pixels = np.asarray(image)
    assert (value.image.height, value.image.width) == pixels.shape[:2]
    return pixels


def test_images_come_back_equal(tmp_path):
    rng = np.random.default_rng(0)
    color = rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    with SummaryWriter(tmp_path) as writer:
        writer.add_image("hwc", color, 1, dataformats="HWC")
        writer.add_image("chw", tg.tensor(color.transpose(2, 0, 1).copy()), 2)
        writer.add_image("hw", tg.tensor(color[:, :, 0].copy()), 3, dataformats="HW")
        writer.add_image("float", color.transpose(2, 0, 1) / 255.0 + 1e-6, 4)
        writer.add_image("rgba", np.concatenate([color, color[:, :, :1]], 2), 5, dataformats="HWC")
        writer.add_images("batch", np.stack([color] * 3).transpose(0, 3, 1, 2), 6)
        writer.add_image("range", tg.tensor([[[-1.0, 2.0, float("nan")]]]), 7)
        for name, array, layout in (
            ("add_image", color, "CHW"), ("add_image", color, "XYZ"), ("add_image", color, "HW"), ("add_image", color, "NHW"),
            ("add_images", color, "HWC"),
        ):  # fmt: skip
            with pytest.raises(ValueError, match=name):
                getattr(writer, name)("bad", array, dataformats=layout)
    got = [decoded(v) for _, v in values(tmp_path)]
    for pixels in (got[0], got[1], got[3]):
        assert np.array_equal(pixels, color)
    assert np.array_equal(got[2], color[:, :, 0]) and got[4].shape == (5, 7, 4)
    assert got[5].shape == (10, 14, 3) and np.array_equal(got[5][5:, :7], color) and not got[5][5:, 7:].any()
    assert got[6].tolist() == [[0, 255, 0]]


def test_png_by_hand():
    data = png(np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8))
    assert (
        data[:8] == b"\x89PNG\r\n\x1a\n"
        and data[12:16] == b"IHDR"
        and struct.unpack(">2I5B", data[16:29]) == (2, 1, 8, 2, 0, 0, 0)
    )
    assert struct.unpack(">I", data[29:33])[0] == zlib.crc32(data[12:29])
    size = struct.unpack(">I", data[33:37])[0]
    assert zlib.decompress(data[41 : 41 + size]) == bytes([0, 1, 2, 3, 4, 5, 6]) and data.endswith(b"IEND\xaeB`\x82")
    assert grid_of(np.zeros((5, 2, 3, 1), np.uint8)).shape == (4, 9, 1)


def test_histogram(tmp_path):
    data = tg.randn(1000)
    with SummaryWriter(tmp_path) as writer:
        writer.add_histogram("weights", data, 2)
        writer.add_histogram("ten", data, 3, bins=10)
        writer.add_histogram("few", data, 4, max_bins=8)
        writer.add_histogram("zeros", tg.zeros(4), 5)
        for bad, message in ((tg.ones(0), "has no values"), (tg.tensor([1.0, float("nan")]), "NaN or Inf")):
            with pytest.raises(ValueError, match=message):
                writer.add_histogram("bad", bad)
    for (_, value), name in zip(values(tmp_path), ("weights", "ten", "few"), strict=False):
        h = value.histo
        assert value.tag == name and h.num == 1000 == sum(h.bucket) and len(h.bucket) == len(h.bucket_limit)
        assert h.min == float(data.min()) and h.max == float(data.max()) <= h.bucket_limit[-1]
        assert h.sum == pytest.approx(float(data.double().sum())) and h.sum_squares == pytest.approx(
            float((data.double() ** 2).sum())
        )
        below = sum(n for n, limit in zip(h.bucket, h.bucket_limit, strict=True) if limit <= h.bucket_limit[len(h.bucket) // 2])
        assert below == int((data.double() < h.bucket_limit[len(h.bucket) // 2]).sum())
    assert sum(values(tmp_path)[3][1].histo.bucket) == 4


def test_text_graph_hparams_and_figure(tmp_path):
    with SummaryWriter(tmp_path) as writer:
        writer.add_text("note", "**bold** 粗", 1)
        writer.add_graph(nn.Linear(2, 3), tg.ones(1, 2))
        writer.add_hparams({"lr": 0.1, "layers": tg.tensor(3), "act": "relu", "bias": True}, {"accuracy": 0.9}, run_name="run")
        with pytest.raises(TypeError, match="'bad' should be a number, bool or str, got list"):
            writer.add_hparams({"bad": []}, {})
    text, graph = (v for _, v in values(tmp_path))
    assert text.tag == "note/text_summary" and text.tensor.string_val[0].decode() == "**bold** 粗"
    assert text.metadata.plugin_data.plugin_name == "text" and "Linear" in graph.tensor.string_val[0].decode()
    got = [v for _, v in values(tmp_path / "run")]
    assert [v.tag.rpartition("/")[2] for v in got] == ["experiment", "session_start_info", "session_end_info", "accuracy"]
    assert got[3].simple_value == pytest.approx(0.9) and b"relu" in got[1].metadata.plugin_data.content
    plt = pytest.importorskip("matplotlib.pyplot")
    figure = plt.figure(figsize=(2, 1), dpi=50)
    with SummaryWriter(tmp_path / "figure") as writer:
        writer.add_figure("plot", figure, 1)
        writer.add_figure("two", [plt.figure(figsize=(1, 1), dpi=30), plt.figure(figsize=(1, 1), dpi=30)], 2)
    plots = [decoded(v) for _, v in values(tmp_path / "figure")]
    assert plots[0].shape == (50, 100, 4) and plots[1].shape == (30, 60, 4) and not plt.get_fignums()


def test_the_tensorboard_package_reads_it(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with SummaryWriter(tmp_path) as writer:
        for i in range(5):
            writer.add_scalar("loss", 1 / (i + 1), i)
    reader = accumulator.EventAccumulator(str(tmp_path))
    reader.Reload()
    assert [(s.step, s.value) for s in reader.Scalars("loss")] == [(i, pytest.approx(1 / (i + 1))) for i in range(5)]


def test_default_folder_purge_and_missing_package(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with SummaryWriter(comment="_try", purge_step=3) as writer:
        assert writer.log_dir.startswith("runs/") and writer.log_dir.endswith("_try")
    events = read(writer.log_dir)
    assert events[1].session_log.status == 1 and events[1].step == 3
    monkeypatch.setitem(sys.modules, "tensorboard.summary.writer.record_writer", None)
    with pytest.raises(ImportError, match=r"needs the package tensorboard .*pip install 'tilegrad\[course\]'"):
        SummaryWriter(tmp_path)


def test_no_tensorflow_no_thread(run_python):
    run_python(
        """
        import sys, threading, tempfile
        from tilegrad.utils.tensorboard import SummaryWriter
        with SummaryWriter(tempfile.mkdtemp()) as writer:
            writer.add_scalar("x", 1.0, 0)
        assert "tensorflow" not in sys.modules and threading.active_count() == 1
        """
    )
