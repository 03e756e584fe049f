"""What a DataLoader worker knows about itself."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class WorkerInfo:
    """Which worker this is: id of num_workers, its seed (base seed + id) and its copy of the dataset."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


_local = threading.local()  # worker threads
_process: WorkerInfo | None = None  # worker processes: all of their threads


def get_worker_info() -> WorkerInfo | None:
    """The WorkerInfo inside a DataLoader worker, None elsewhere."""
    return getattr(_local, "info", None) or _process


def set_thread_info(info: WorkerInfo) -> None:
    _local.info = info


def set_process_info(info: WorkerInfo) -> None:
    global _process
    _process = info
