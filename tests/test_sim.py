"""The device sim: what its kernels compute, and that its checker finds what is wrong.

tests/sim/kernels.cu holds right kernels, tests/sim/faults.cu wrong ones. Both are compiled here with the simulator, plainly
and for the checker.
"""

import ctypes
import os
import pathlib
import re
import shutil
import subprocess

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
SIM = ROOT / "csrc" / "kernels" / "sim"
COMPILER = os.environ.get("CXX", "g++")

pytestmark = [
    pytest.mark.skipif(not SIM.is_dir(), reason="runs in a source checkout"),
    pytest.mark.skipif(shutil.which(COMPILER) is None, reason="needs a C++ compiler"),
    pytest.mark.xdist_group("sim"),  # one worker compiles
]
COMMON = ["-std=c++20", f"-I{ROOT / 'csrc'}", "-fPIC", "-fvisibility=hidden", "-ffp-contract=off", "-fopenmp", "-g1"]
CHECKED = ["-O1", "-fno-tree-sra", "-fsanitize=thread", "--param=tsan-instrument-func-entry-exit=0"]


def compile_library(folder, source, checked):
    """Compiles one .cu file with the simulator; the library's path."""
    macros = ["-DTILEGRAD_SIM_CHECK", "-DTG_DEVICE_NAMESPACE=simcheck"] if checked else ["-DTG_DEVICE_NAMESPACE=sim"]
    device = folder / f"{source.stem}.o"
    flags = CHECKED if checked else ["-O2"]
    subprocess.run([COMPILER, *COMMON, *macros, *flags, "-x", "c++", "-c", source, "-o", device], check=True)
    runtime = [f for f in sorted(SIM.glob("*.cpp")) if checked or f.stem not in ("check", "hooks")]
    library = folder / f"{source.stem}.so"
    subprocess.run([COMPILER, *COMMON, *macros, "-O2", "-shared", device, *runtime, "-o", library, "-ldl"], check=True)
    return library


class Library:
    """A library of kernels on the simulator, with arrays in device memory."""

    def __init__(self, path, checked):
        self.native, self.checked = ctypes.CDLL(str(path)), checked
        for name in ("report_kind", "report_text", "failure"):
            getattr(self.native, f"tilegrad_sim_{name}").restype = ctypes.c_char_p
        self.native.tilegrad_sim_allocate.restype = ctypes.c_void_p
        self.native.tilegrad_sim_allocate.argtypes = [ctypes.c_size_t]
        self.native.tilegrad_sim_free.argtypes = [ctypes.c_void_p]
        self.native.tilegrad_sim_host_write.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
        self.native.tilegrad_sim_report_count.restype = ctypes.c_int64
        assert self.native.tilegrad_sim_checks() == checked
        self.arrays = []

    def array(self, values):
        """A copy in device memory, as a NumPy array over it."""
        values = np.ascontiguousarray(values)
        out = self.empty(values.shape, values.dtype)
        out[...] = values
        self.native.tilegrad_sim_host_write(out.ctypes.data, out.nbytes)
        return out

    def empty(self, shape, dtype=np.float32):
        count = int(np.prod(shape))
        data = self.native.tilegrad_sim_allocate(count * np.dtype(dtype).itemsize)
        self.arrays.append(data)
        raw = (ctypes.c_char * max(1, count * np.dtype(dtype).itemsize)).from_address(data)
        return np.frombuffer(raw, dtype, count).reshape(shape)

    def call(self, name, *arguments):
        """The status of the launch: 0, or 3 where it was refused or abandoned."""
        given = [a.ctypes.data_as(ctypes.c_void_p) if isinstance(a, np.ndarray) else a for a in arguments]
        return getattr(self.native, name)(*given)

    def begin(self, seed):
        for data in self.arrays:
            self.native.tilegrad_sim_free(data)
        self.arrays = []
        self.native.tilegrad_sim_set_seed(ctypes.c_uint64(seed))
        self.native.tilegrad_sim_clear_reports()

    def reports(self):
        kind, text = self.native.tilegrad_sim_report_kind, self.native.tilegrad_sim_report_text
        numbers = map(ctypes.c_int64, range(self.native.tilegrad_sim_report_count()))
        return [(kind(i).decode(), text(i).decode()) for i in numbers]

    def failure(self):
        return self.native.tilegrad_sim_failure().decode()


@pytest.fixture(scope="module", params=["plain", "checked"])
def library(request, tmp_path_factory):
    checked = request.param == "checked"
    return Library(compile_library(tmp_path_factory.mktemp("sim"), ROOT / "tests" / "sim" / "kernels.cu", checked), checked)


@pytest.fixture(params=[0, 1, 2, 3])
def run(request, library):
    """The library with a seed; afterwards the checker has nothing to say."""
    library.begin(request.param)
    yield library
    assert library.reports() == []


def test_threads_and_blocks(run):
    grid, block = (2, 3, 2), (5, 2, 3)
    out = run.empty((12, 30, 12), np.int32)
    assert run.call("run_identities", out, np.array(grid, np.uint32), np.array(block, np.uint32)) == 0
    for b in range(12):
        for t in range(30):
            place = [t % 5, t // 5 % 2, t // 10, b % 2, b // 2 % 3, b // 6]
            assert out[b, t].tolist() == [*place, *block, *grid]


@pytest.mark.parametrize("os_threads", [1, 2])
def test_row_squares(run, os_threads):
    x = np.random.default_rng(0).standard_normal((70, 300)).astype(np.float32)
    y = run.empty(70)
    assert run.call("run_row_squares", run.array(x), y, 70, 300, os_threads) == 0
    np.testing.assert_allclose(y, (x.astype(np.float64) ** 2).sum(1), rtol=1e-5)


@pytest.mark.parametrize("m, n, k", [(16, 16, 16), (33, 17, 40), (1, 50, 3)])
def test_matmul(run, m, n, k):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((m, k)).astype(np.float32), rng.standard_normal((k, n)).astype(np.float32)
    c = run.empty((m, n))
    assert run.call("run_matmul", run.array(a), run.array(b), c, m, n, k, 2) == 0
    np.testing.assert_allclose(c, a.astype(np.float64) @ b, rtol=1e-4, atol=1e-5)


def to_bf16(x):
    bits = x.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


@pytest.mark.parametrize("tiles", [1, 2, 5])
@pytest.mark.parametrize("kind", ["bf16", "f16"])
def test_asynchronous_copies_and_matrix_instructions(run, kind, tiles):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((tiles, 16, 16)).astype(np.float32), rng.standard_normal((tiles, 16, 8)).astype(np.float32)
    if kind == "bf16":
        given = to_bf16(a), to_bf16(b)
        a, b = ((x.astype(np.uint32) << 16).view(np.float32) for x in given)
    else:
        given = a.astype(np.float16), b.astype(np.float16)
        a, b = (x.astype(np.float32) for x in given)
    d = run.empty((16, 8))
    assert run.call(f"run_mma_{kind}", run.array(given[0]), run.array(given[1]), d, tiles) == 0
    np.testing.assert_allclose(d, (a.astype(np.float64) @ b).sum(0), rtol=1e-4, atol=1e-4)


def test_tf32(run):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((16, 8)).astype(np.float32), rng.standard_normal((8, 8)).astype(np.float32)
    d = run.empty((16, 8))
    assert run.call("run_mma_tf32", run.array(a), run.array(b), d) == 0
    exact = a.astype(np.float64) @ b
    assert 0 < np.abs(d - exact).max() < 5e-3  # ten bits of mantissa, and not more


def test_atomics(run):
    x = np.random.default_rng(0).integers(0, 32, 500)
    counts = run.array(np.zeros(32, np.int32))
    assert run.call("run_histogram", run.array(x.astype(np.float32)), counts, 500, 3) == 0
    assert counts.tolist() == (3 * np.bincount(x, minlength=32)).tolist()


def test_warp_operations(run):
    out = run.empty((32, 12), np.int32)
    assert run.call("run_warp_operations", out) == 0
    lane = np.arange(32)
    group, within = lane // 8 * 8, lane % 8
    votes = sum(1 << i for i in range(0, 32, 3))
    assert (out[:, 0].view(np.uint32) == votes).all()
    assert (out[:, 1] == 1).all() and (out[:, 2] == 1).all()
    assert (out[:, 3].view(np.uint32) == [sum(1 << j for j in range(32) if j % 4 == i % 4) for i in lane]).all()
    assert (out[:, 4] == lane.sum()).all() and (out[:, 5] == 31).all()
    assert (out[:, 6] == group + 3).all()
    assert (out[:, 7] == np.where(within >= 2, lane - 2, lane)).all()
    assert (out[:, 8] == np.where(within < 6, lane + 2, lane)).all()
    assert (out[:, 9] == lane ^ 5).all() and (out[:, 10] == 1).all()
    assert (out[:, 11] == np.where(lane % 2, lane ^ 2, -1)).all()


@pytest.mark.parametrize("threads", [1, 31, 32, 100, 1024])
def test_block_votes(run, threads):
    out = run.empty(threads, np.int32)
    assert run.call("run_block_votes", out, threads) == 0
    assert (out == -(-threads // 3) * 4 + 2 * (threads <= 1000) + (threads > 5)).all()


def test_halves(run):
    rng = np.random.default_rng(0)
    x = np.concatenate([
        rng.standard_normal(400) * 10.0 ** rng.integers(-9, 6, 400),
        [0, -0.0, np.inf, -np.inf, 65504, 65519, 65520, 1e30, 6e-8, 2.98e-8, 2.99e-8, 6.1e-5, 1 + 2**-11, 1 + 3 * 2**-11],
    ]).astype(np.float32)  # fmt: skip
    y = run.empty((len(x), 2))
    assert run.call("run_halves", run.array(x), y, len(x)) == 0
    with np.errstate(over="ignore"):
        assert (y[:, 0].view(np.uint32) == to_bf16(x).astype(np.uint32) << 16).all()
        assert (y[:, 1].view(np.uint32) == x.astype(np.float16).astype(np.float32).view(np.uint32)).all()
    nan = run.empty((1, 2))
    assert run.call("run_halves", run.array(np.float32([np.nan])), nan, 1) == 0
    assert np.isnan(nan).all()


# --- the checker ------------------------------------------------------------------------------------------------------
FAULTS = {  # the kernel: the kind of its report, and what the text says
    "missing_block_barrier": ("race", "write by thread .* read by thread .* shared memory"),
    "missing_barrier_before_reuse": ("race", "read by thread .* write by thread .* shared memory"),
    "missing_warp_barrier": ("race", "write by thread .* read by thread"),
    "shuffle_is_no_barrier": ("race", "write by thread .* read by thread"),
    "barrier_of_half_a_warp": ("race", "write by thread .* read by thread"),
    "neighbours_in_global_memory": ("race", "write by thread .* read by thread .* of a buffer of 512"),
    "blocks_share_a_sum": ("race", "by thread .* of block 0 at .* by thread .* of block .1, 0, 0. of blocks_share_a_sum"),
    "atomic_and_plain": ("race", "atomic change by thread .* read by thread 40|read by thread 40 .* atomic change by thread"),
    "uninitialised_shared": ("uninitialised", "shared memory is read before anything was written to it: thread 31"),
    "uninitialised_global": ("uninitialised", "global memory is read before anything was written to it: thread"),
    "past_the_end": ("out of bounds", "access of 4 bytes at 0 past the end of a buffer of 160 bytes.*: thread 40"),
    "past_dynamic_shared": ("out of bounds", "dynamic shared memory has 128 bytes, byte 128 is accessed: thread 31"),
    "freed_memory": ("out of bounds", "or in one that was freed"),
    "null_pointer": ("out of bounds", "access through a null pointer: thread 3"),
    "misaligned_vector": ("misaligned", "access of 16 bytes at an address that is no multiple of it: thread 0"),
    "different_barriers": ("divergent barrier", "threads of one block meet at different __syncthreads"),
    "half_warp_in_a_full_shuffle": ("deadlock", "16 threads at __syncthreads.*16 threads at a warp operation"),
    "different_warp_operations": ("warp divergence", "lanes of one mask are in different warp operations"),
    "mask_without_the_caller": ("warp mask", "a shuffle with a mask that does not name the calling lane"),
    "shuffle_from_outside": ("shuffle source", "a shuffle reads a lane that its mask does not name"),
    "copy_never_waited_for": ("race", "read of the destination of an asynchronous copy .* before the wait for it"),
    "one_group_too_few": ("race", "read of the destination of an asynchronous copy .* before the wait for it"),
    "copy_of_another_thread": ("race", "asynchronous copy by thread .* read by thread"),
    "copy_left_behind": ("unfinished copy", "an asynchronous copy is still under way when its thread ends"),
    "misaligned_copy": ("misaligned", "misaligned cp.async of 16 bytes"),
    "misaligned_matrix_row": ("misaligned", "ldmatrix: the address of a row must be a multiple of 16"),
    "half_a_warp_multiplies": ("warp mask", "mma.sync needs all 32 lanes of a warp"),
}
ABANDONED = ("out of bounds", "misaligned", "deadlock")


@pytest.fixture(scope="module")
def faults(tmp_path_factory):
    return Library(compile_library(tmp_path_factory.mktemp("faults"), ROOT / "tests" / "sim" / "faults.cu", True), True)


def lines_of(kernel):
    """The lines of faults.cu that the kernel marks."""
    text = (ROOT / "tests" / "sim" / "faults.cu").read_text().split("\n")
    start = next(i for i, line in enumerate(text) if f"void {kernel}(" in line)
    end = next(i for i in range(start, len(text)) if text[i] == "}")
    return [i + 1 for mark in ("FIRST", "SECOND") for i in range(start, end) if mark in text[i]]


@pytest.mark.parametrize("seed", [0, 1, 5])
@pytest.mark.parametrize("kernel", FAULTS)
def test_faults_are_found(faults, kernel, seed):
    faults.begin(seed)
    x, y = faults.array(np.ones(40 if kernel == "past_the_end" else 128, np.float32)), faults.empty(128)
    if kernel == "blocks_share_a_sum":
        y = faults.array(np.zeros(128, np.float32))
    address = x.ctypes.data_as(ctypes.c_void_p)
    if kernel == "freed_memory":
        faults.native.tilegrad_sim_free(address)
    status = getattr(faults.native, f"run_{kernel}")(address, y.ctypes.data_as(ctypes.c_void_p), 40)
    kind, text = FAULTS[kernel]
    said = [t for k, t in faults.reports() if k == kind and re.search(text, t, re.S)]
    assert said, faults.reports()
    assert any(kernel in t for t in said)
    for line in lines_of(kernel):
        assert any(f"faults.cu:{line}" in t for t in said), said
    if kind in ABANDONED:
        assert status == 3 and faults.failure()


def test_every_fault_is_expected():
    text = (ROOT / "tests" / "sim" / "faults.cu").read_text()
    assert set(re.findall(r"^FAULT\((\w+)", text, re.M)) == set(FAULTS)
    assert set(re.findall(r"__global__ void (\w+)", text)) == set(FAULTS)


# --- launches ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("sizes, text", [
    ((1, 1, 1025, 1, 0), r"a block of \(1025, 1, 1\) threads; a block has 1 to 1024 threads"),
    ((1, 1, 0, 1, 0), r"a block of \(0, 1, 1\) threads"),
    ((1, 1, 4, 65, 0), r"at most 64 of them along z"),
    ((0, 1, 32, 1, 0), r"a grid of \(0, 1, 1\) blocks"),
    ((1, 65536, 32, 1, 0), r"a grid has at least one block, at most 2\^31 - 1 along x and 65,535 along y and z"),
    ((1, 1, 32, 1, 300_000), r"300000 bytes of dynamic shared memory; a block has at most 232448"),
])  # fmt: skip
def test_refused_launches(library, sizes, text):
    library.begin(0)
    gx, gy, bx, bz, shared = sizes
    assert library.native.run_sizes(gx, gy, bx, bz, ctypes.c_ulong(shared)) == 3
    assert re.search(f"identities: .*{text}", library.failure())
