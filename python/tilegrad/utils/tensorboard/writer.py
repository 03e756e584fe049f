"""SummaryWriter: curves, images, histograms and texts for TensorBoard (PyTorch: torch.utils.tensorboard).

Events are written through the `tensorboard` package's own records and messages; neither TensorFlow nor a thread is involved.
Source: https://pytorch.org/docs/stable/tensorboard.html
"""

from __future__ import annotations

import datetime
import io
import itertools
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from ...tensor import Tensor
from .images import as_array, as_image, grid_of, png

_numbers = itertools.count()


def _messages() -> Any:
    """The classes of the tensorboard package. Raises ImportError naming the extra when it is missing."""
    try:
        from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, tensor_shape_pb2, types_pb2
        from tensorboard.summary.writer.record_writer import RecordWriter
    except ImportError as error:
        raise ImportError(f"SummaryWriter needs the package tensorboard ({error}): pip install 'tilegrad[course]'") from None
    return SimpleNamespace(
        Event=event_pb2.Event,
        Summary=summary_pb2.Summary,
        SummaryMetadata=summary_pb2.SummaryMetadata,
        HistogramProto=summary_pb2.HistogramProto,
        TensorProto=tensor_pb2.TensorProto,
        TensorShapeProto=tensor_shape_pb2.TensorShapeProto,
        DT_STRING=types_pb2.DT_STRING,
        RecordWriter=RecordWriter,
    )


class SummaryWriter:
    """Writes one event file into a folder; `tensorboard --logdir FOLDER` shows it.

    Args:
        log_dir: the folder; default runs/DATE_TIME_HOST with `comment` appended.
        comment: see log_dir.
        purge_step: steps from here on, of an earlier run in this folder, are not shown any more.
        max_queue: accepted; events are written at once. flush_secs: seconds after which they are surely on disk.
        filename_suffix: end of the file's name.

    Use it as a context manager, or call close(). Tensors, NumPy arrays and numbers are accepted everywhere.

    Raises ImportError naming the extra when the package tensorboard is missing.
    """

    def __init__(
        self,
        log_dir: str | os.PathLike | None = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 10,
        flush_secs: float = 120,
        filename_suffix: str = "",
    ) -> None:
        self._m = _messages()
        if not log_dir:
            now = datetime.datetime.now().strftime("%b%d_%H-%M-%S")
            log_dir = os.path.join("runs", f"{now}_{socket.gethostname()}{comment}")
        self.log_dir, self.flush_secs, self._suffix = str(log_dir), flush_secs, filename_suffix
        self._file: Any = None
        self._children: dict[str, SummaryWriter] = {}
        self._open()
        if purge_step is not None:
            start = self._m.Event(wall_time=time.time(), step=int(purge_step))
            start.session_log.status = 1  # SessionLog.START
            self._write(start)

    # --- the file
    def _open(self) -> None:
        folder = Path(self.log_dir)
        folder.mkdir(parents=True, exist_ok=True)
        name = (
            f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.{next(_numbers)}{self._suffix}"
        )
        self._file = open(folder / name, "ab")  # noqa: SIM115  (closed by close)
        self._records = self._m.RecordWriter(self._file)
        self._flushed = time.monotonic()
        self._write(self._m.Event(wall_time=time.time(), file_version="brain.Event:2"))

    def _write(self, event: Any) -> None:
        if self._file is None:  # PyTorch opens a new file after close()
            self._open()
        self._records.write(event.SerializeToString())
        if time.monotonic() - self._flushed > self.flush_secs:
            self.flush()

    def _add(self, value: Any, step: Any, wall_time: float | None) -> None:
        event = self._m.Event(wall_time=time.time() if wall_time is None else wall_time, summary=self._m.Summary(value=[value]))
        if step is not None:
            event.step = int(step)
        self._write(event)

    def get_logdir(self) -> str:
        """The folder."""
        return self.log_dir

    def flush(self) -> None:
        """Everything so far is on disk after this."""
        for writer in (self, *self._children.values()):
            if writer._file is not None:
                writer._file.flush()
                writer._flushed = time.monotonic()

    def close(self) -> None:
        """Flushes and closes the files."""
        for writer in (*self._children.values(), self):
            if writer._file is not None:
                writer._file.close()
                writer._file = None

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()

    # --- what can be added
    def add_scalar(
        self, tag: str, scalar_value: Any, global_step: Any = None, walltime: float | None = None, new_style: bool = False,
        double_precision: bool = False,
    ) -> None:  # fmt: skip
        """One point of a curve. Raises ValueError unless the value is one number."""
        array = as_array(scalar_value)
        if array.size != 1:
            raise ValueError(f"add_scalar: {tag!r} should be one number, got shape {array.shape}; reduce it first")
        self._add(self._m.Summary.Value(tag=tag, simple_value=float(array.reshape(()))), global_step, walltime)

    def add_scalars(
        self, main_tag: str, tag_scalar_dict: Mapping[str, Any], global_step: Any = None, walltime: float | None = None
    ) -> None:
        """Several curves in one picture: each goes into a folder of its own, log_dir/main_tag_name."""
        for name, value in tag_scalar_dict.items():
            folder = os.path.join(self.log_dir, f"{main_tag.replace('/', '_')}_{name}")
            if folder not in self._children:
                self._children[folder] = SummaryWriter(folder, flush_secs=self.flush_secs)
            self._children[folder].add_scalar(main_tag, value, global_step, walltime)

    def add_image(
        self, tag: str, img_tensor: Any, global_step: Any = None, walltime: float | None = None, dataformats: str = "CHW"
    ) -> None:
        """An image: bytes, or floats in [0, 1], of 1, 3 or 4 channels; dataformats 'CHW', 'HWC' or 'HW'.

        Raises ValueError when dataformats does not fit the array.
        """
        self._add_pixels(tag, as_image("add_image", img_tensor, dataformats), global_step, walltime)

    def add_images(
        self, tag: str, img_tensor: Any, global_step: Any = None, walltime: float | None = None, dataformats: str = "NCHW"
    ) -> None:
        """A batch of images as one square grid; dataformats 'NCHW', 'NHWC', ... Raises ValueError as add_image."""
        pixels = as_image("add_images", img_tensor, dataformats)  # (N, H, W, C)
        self._add_pixels(tag, grid_of(pixels), global_step, walltime)

    def _add_pixels(self, tag: str, pixels: np.ndarray, step: Any, wall_time: float | None) -> None:
        height, width, channels = pixels.shape
        image = self._m.Summary.Image(height=height, width=width, colorspace=channels, encoded_image_string=png(pixels))
        self._add(self._m.Summary.Value(tag=tag, image=image), step, wall_time)

    def add_figure(
        self, tag: str, figure: Any, global_step: Any = None, close: bool = True, walltime: float | None = None
    ) -> None:
        """A matplotlib figure (or a list of them, as a grid); closed afterwards unless close=False."""
        figures = figure if isinstance(figure, (list, tuple)) else [figure]
        drawn = []
        for one in figures:
            stream = io.BytesIO()
            one.savefig(stream, format="rgba", dpi=one.dpi)
            width, height = (int(v) for v in one.canvas.get_width_height())
            drawn.append(np.frombuffer(stream.getvalue(), np.uint8).reshape(height, width, 4))
            if close:
                import matplotlib.pyplot as plt

                plt.close(one)
        pixels = drawn[0] if not isinstance(figure, (list, tuple)) else grid_of(np.stack(drawn))
        self._add_pixels(tag, pixels, global_step, walltime)

    def add_histogram(
        self, tag: str, values: Any, global_step: Any = None, bins: Any = "tensorflow", walltime: float | None = None,
        max_bins: int | None = None,
    ) -> None:  # fmt: skip
        """How values are distributed. bins: 'tensorflow' (exponential edges) or what numpy.histogram takes.

        Raises ValueError for no values, or values that are not finite.
        """
        data = as_array(values).astype(np.float64).ravel()
        if data.size == 0:
            raise ValueError(f"add_histogram: {tag!r} has no values")
        if not np.isfinite(data).all():
            raise ValueError(f"add_histogram: {tag!r} holds NaN or Inf")
        counts, edges = np.histogram(data, bins=_EDGES if isinstance(bins, str) and bins == "tensorflow" else bins)
        if max_bins is not None and len(counts) > max_bins:
            factor = -(-len(counts) // max_bins)
            counts = np.add.reduceat(counts, np.arange(0, len(counts), factor))
            edges = np.append(edges[:-1:factor], edges[-1])
        used = np.flatnonzero(counts)
        first, last = (max(used[0] - 1, 0), used[-1] + 1) if len(used) else (0, len(counts))
        histogram = self._m.HistogramProto(
            min=data.min(),
            max=data.max(),
            num=data.size,
            sum=data.sum(),
            sum_squares=data @ data,
            bucket_limit=edges[first + 1 : last + 1].tolist(),
            bucket=counts[first:last].tolist(),
        )
        self._add(self._m.Summary.Value(tag=tag, histo=histogram), global_step, walltime)

    def add_text(self, tag: str, text_string: str, global_step: Any = None, walltime: float | None = None) -> None:
        """A text in Markdown."""
        m = self._m
        tensor = m.TensorProto(
            dtype=m.DT_STRING,
            string_val=[text_string.encode()],
            tensor_shape=m.TensorShapeProto(dim=[m.TensorShapeProto.Dim(size=1)]),
        )
        metadata = m.SummaryMetadata(plugin_data=m.SummaryMetadata.PluginData(plugin_name="text"))
        self._add(m.Summary.Value(tag=f"{tag}/text_summary", metadata=metadata, tensor=tensor), global_step, walltime)

    def add_graph(self, model: Any, input_to_model: Any = None, verbose: bool = False, use_strict_trace: bool = True) -> None:
        """Writes the module's structure as a text: there is no traced graph to draw."""
        self.add_text("graph", "    " + repr(model).replace("\n", "\n    "))

    def add_hparams(
        self, hparam_dict: Mapping[str, Any], metric_dict: Mapping[str, Any], hparam_domain_discrete: Any = None,
        run_name: str | None = None, global_step: Any = None,
    ) -> None:  # fmt: skip
        """A run's settings and what came of them, for the HPARAMS page; written to log_dir/run_name (the time by default).

        Raises TypeError for a setting that is not a number, bool or str.
        """
        from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2

        start, infos = plugin_data_pb2.SessionStartInfo(), []
        for name, value in hparam_dict.items():
            value = value.item() if isinstance(value, (Tensor, np.generic)) else value
            if isinstance(value, bool):
                start.hparams[name].bool_value, kind = value, api_pb2.DATA_TYPE_BOOL
            elif isinstance(value, (int, float)):
                start.hparams[name].number_value, kind = value, api_pb2.DATA_TYPE_FLOAT64
            elif isinstance(value, str):
                start.hparams[name].string_value, kind = value, api_pb2.DATA_TYPE_STRING
            else:
                raise TypeError(f"add_hparams: {name!r} should be a number, bool or str, got {type(value).__name__}")
            infos.append(api_pb2.HParamInfo(name=name, type=kind))
        metrics = [api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag)) for tag in metric_dict]
        parts = {
            "_hparams_/experiment": {"experiment": api_pb2.Experiment(hparam_infos=infos, metric_infos=metrics)},
            "_hparams_/session_start_info": {"session_start_info": start},
            "_hparams_/session_end_info": {"session_end_info": plugin_data_pb2.SessionEndInfo(status=api_pb2.STATUS_SUCCESS)},
        }
        with SummaryWriter(os.path.join(self.log_dir, run_name or str(time.time()))) as writer:
            for tag, content in parts.items():
                data = plugin_data_pb2.HParamsPluginData(version=0, **content).SerializeToString()
                plugin = self._m.SummaryMetadata.PluginData(plugin_name="hparams", content=data)
                value = self._m.Summary.Value(tag=tag, metadata=self._m.SummaryMetadata(plugin_data=plugin))
                writer._add(value, None, None)
            for tag, metric in metric_dict.items():
                writer.add_scalar(tag, metric, global_step)


def _edges() -> np.ndarray:
    """TensorBoard's histogram edges: 1e-12 and up by factors of 1.1, mirrored, with 0 between."""
    positive = 1e-12 * 1.1 ** np.arange(int(np.log(1e20 / 1e-12) / np.log(1.1)) + 1)
    return np.concatenate([-positive[::-1], [0.0], positive])


_EDGES = _edges()
