"""How objects travel between the DataLoader and its worker processes.

A message is a pickle whose arrays stay outside of it (protocol 5). Small messages fit into one packet of a Unix socket. Larger
ones are written into a memory file without a name, whose descriptor is the packet: the receiver maps it, and the arrays of
the batch lie there without another copy, until the last of them is dropped. Nothing has a name, so nothing can be left
behind when a process is killed, and the size of /dev/shm does not matter. No descriptor stays open either: any number of
batches may be kept.

    segment: [sizes of the parts, int64 each] [pickle] [array 0] [array 1] ...     arrays start at multiples of 64
"""

from __future__ import annotations

import ctypes
import io
import mmap
import os
import pickle
import socket
import struct
import tempfile
from typing import Any

import numpy as np

import tilegrad as tg

from ... import dtypes
from ...tensor import Tensor

# Packets stay small, so that as many as may be under way (process_workers.MOST_AHEAD) fit into the socket's buffer: neither
# side ever waits for the other with a message in its hand.
_INLINE = 1024
# Below this a copy is cheaper than a mapping (and a process may have only some 65000 mappings).
_COPY = 1 << 16
_ALIGNMENT = 64
_HEADER = struct.Struct("<BqI")  # in a segment?, bytes, number of parts


class _Pickler(pickle.Pickler):
    """Pickles tensors as raw memory, so that they need no copy on the other side."""

    def reducer_override(self, value: Any) -> Any:
        if type(value) is Tensor and value.dtype is not dtypes.bfloat16:
            flat = value.detach().contiguous()
            memory = pickle.PickleBuffer(memoryview(flat.reshape(-1)).cast("B") if flat.numel() else b"")
            return _tensor, (memory, value.dtype.name, tuple(value.shape), value.requires_grad)
        return NotImplemented


def _tensor(memory: Any, dtype: str, shape: tuple[int, ...], requires_grad: bool) -> Tensor:
    kind = getattr(dtypes, dtype)
    if 0 in shape:
        return tg.empty(shape, dtype=kind, requires_grad=requires_grad)
    x = tg.frombuffer(memory, dtype=kind).reshape(shape)
    return x.requires_grad_() if requires_grad else x


def send(sock: socket.socket, value: Any) -> None:
    """Sends one object. Raises OSError when the other side is gone, or what pickling raises."""
    stream = io.BytesIO()
    buffers: list[pickle.PickleBuffer] = []
    _Pickler(stream, 5, buffer_callback=buffers.append).dump(value)
    parts: list[memoryview] = [stream.getbuffer(), *(b.raw() for b in buffers)]
    sizes = [p.nbytes for p in parts]
    starts, total = _layout(sizes)
    table = memoryview(struct.pack(f"<{len(sizes)}q", *sizes))
    if total <= _INLINE:
        packet = bytearray(_HEADER.size + total)
        _HEADER.pack_into(packet, 0, 0, total, len(sizes))
        body = memoryview(packet)[_HEADER.size :]
        for start, part in ((0, table), *zip(starts, parts, strict=True)):
            body[start : start + part.nbytes] = part.cast("B")
        sock.send(packet)
        return
    fd = _memory_file()
    try:
        os.ftruncate(fd, total)
        for start, part in ((0, table), *zip(starts, parts, strict=True)):
            _write(fd, part, start)
        socket.send_fds(sock, [_HEADER.pack(1, total, len(sizes))], [fd])
    finally:
        os.close(fd)


def receive(sock: socket.socket) -> Any:
    """The next object. Raises EOFError when the other side is gone."""
    packet, fds, _, _ = socket.recv_fds(sock, _HEADER.size + _INLINE, 1)
    if not packet:
        raise EOFError
    in_segment, total, count = _HEADER.unpack_from(packet)
    if not in_segment:
        whole = memoryview(bytearray(packet[_HEADER.size :]))
    else:
        try:
            whole = _read(fds[0], total) if total < _COPY else _map(fds[0], total)
        finally:
            os.close(fds[0])
    sizes = struct.unpack_from(f"<{count}q", whole)
    starts, _ = _layout(list(sizes))
    parts = [whole[start : start + size] for start, size in zip(starts, sizes, strict=True)]
    return pickle.loads(parts[0], buffers=parts[1:])


def _layout(sizes: list[int]) -> tuple[list[int], int]:
    """Where the parts start behind the table of sizes, and the size of it all."""
    at = 8 * len(sizes)
    starts = []
    for i, size in enumerate(sizes):
        if i:
            at = -(-at // _ALIGNMENT) * _ALIGNMENT
        starts.append(at)
        at += size
    return starts, at


def _memory_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("tilegrad-batch")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _write(fd: int, data: memoryview, start: int) -> None:
    data = data.cast("B")
    while len(data):  # one call writes at most 2 GiB
        written = os.pwrite(fd, data, start)
        start, data = start + written, data[written:]


def _read(fd: int, size: int) -> memoryview:
    memory = bytearray(size)
    os.preadv(fd, [memory], 0)
    return memoryview(memory)


class _Mapping:
    """A mapped segment, unmapped when the last array on it is gone. (Python's mmap would keep the descriptor open.)"""

    _libc = ctypes.CDLL(None, use_errno=True)
    _libc.mmap.restype = ctypes.c_void_p
    _libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
    _libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)

    def __init__(self, fd: int, size: int) -> None:
        populate = getattr(mmap, "MAP_POPULATE", 0)
        flags = mmap.MAP_SHARED | populate
        self.size, self.address = size, self._libc.mmap(None, size, mmap.PROT_READ | mmap.PROT_WRITE, flags, fd, 0)
        if self.address in (None, ctypes.c_void_p(-1).value):
            self.address = None
            error = ctypes.get_errno()
            raise OSError(error, f"DataLoader: mapping a batch of {size} bytes failed: {os.strerror(error)}")
        self.__array_interface__ = {"data": (self.address, False), "shape": (size,), "typestr": "|u1", "version": 3}

    def __del__(self, unmap: Any = _libc.munmap) -> None:
        if self.address is not None:
            unmap(self.address, self.size)


def _map(fd: int, size: int) -> memoryview:
    return memoryview(np.asarray(_Mapping(fd, size)))  # type: ignore[arg-type]
