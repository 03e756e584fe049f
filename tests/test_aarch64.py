"""The NEON kernels, run: cross-compiled for aarch64 and executed by an emulated processor (tests/aarch64/emulator.py).

Here every operation of Vec<T> is held against its definition in NumPy; then the tests of the ops run once more with the
emulated kernels in the place of this processor's.
"""

import os
import pathlib
import re
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

for package in ("unicorn", "ziglang"):
    pytest.importorskip(package, reason=f"{package} is not installed: pip install 'tilegrad[aarch64]'")
if sys.platform != "linux" or os.uname().machine != "x86_64":
    pytest.skip("the emulated kernels read this process's views: x86-64 Linux only", allow_module_level=True)

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "aarch64"))
import emulator  # noqa: E402

COUNT = 4096
FLOATS = [np.float32, np.float64]


@pytest.fixture(scope="module")
def machine():
    return emulator.Machine()


def numbers(rng, dtype, count=COUNT):
    """Numbers of all sizes, with infinities, NaN, zeros of both signs, denormals, halves and ties among them."""
    info = np.finfo(dtype)
    x = rng.normal(size=count) * 2.0 ** rng.integers(-12, 12, count)
    x[::7] = np.round(x[::7]) + 0.5
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, info.tiny, -info.tiny / 4, info.max, -info.max, 1.0, -1.0]
    x[::5] = rng.choice(special, x[::5].size)
    return x.astype(dtype)


def same(got, expected):
    """Equal bit by bit, except that every NaN is as good as another."""
    assert got.dtype == expected.dtype and got.shape == expected.shape
    bits = f"u{got.dtype.itemsize}"
    wrong = (got.view(bits) != expected.view(bits)) & ~(np.isnan(got) & np.isnan(expected))
    assert not wrong.any(), f"{wrong.sum()} of {wrong.size}: {got[wrong][:5]} instead of {expected[wrong][:5]}"


def rounded_once(a, b, c):
    """a b + c with one rounding, to nearest."""
    info = np.finfo(a.dtype)

    def value(x):  # infinity stands for the number that would come after the largest
        return Fraction(float(x)) if np.isfinite(x) else Fraction(int(np.sign(x))) * 2 ** int(info.maxexp)

    def one(x, y, z):
        if not np.isfinite([x, y, z]).all():
            return z if np.isfinite([x, y]).all() else x * y + z
        exact = value(x) * value(y) + value(z)
        if exact == 0:
            return x * y + z  # for the sign of zero
        if abs(exact) > value(info.max):
            near = np.copysign(info.max, a.dtype.type(1 if exact > 0 else -1))
        else:
            near = a.dtype.type(float(exact))
        near = min((near, np.nextafter(near, -np.inf), np.nextafter(near, np.inf)), key=lambda v: abs(value(v) - exact))
        return near if near else np.copysign(near, a.dtype.type(1 if exact > 0 else -1))

    return np.array([one(*numbers) for numbers in zip(a, b, c, strict=True)], a.dtype)


def lanes(width, f, *arrays):
    """f of each register's lanes, a row for each register."""
    return np.concatenate([np.ravel(f(*rows)) for rows in zip(*(a.reshape(-1, width) for a in arrays), strict=True)])


def tree(values, f):
    """The lanes folded in halves, as simd.h fixes the order."""
    while values.size > 1:
        half = values.size // 2
        values = f(values[:half], values[half:])
    return np.full(1, values[0])


def parts(a, fill, out):
    width = 16 // a.itemsize
    expected, n = out.copy(), 0
    for i in range(0, a.size, width):
        v = np.full(width, fill, a.dtype)
        v[:n] = a[i : i + n]
        expected[i : i + width - n] = (v + v)[: width - n]
        n = (n + 1) % (width + 1)
    return expected


def interleaved(a, b, half):
    return np.stack([np.split(a, 2)[half], np.split(b, 2)[half]], axis=1)


def definitions(dtype):
    """What each operation of Vec<dtype> means, on whole arrays a, b, c."""
    w = 16 // np.dtype(dtype).itemsize

    def filled(f):
        return lambda a, b, c: lanes(w, lambda v: np.full(w, f(v)), a)

    def nan_first(f):
        return lambda v: np.nan if np.isnan(v).any() else f(v)

    return {
        "add": lambda a, b, c: a + b,
        "subtract": lambda a, b, c: a - b,
        "multiply": lambda a, b, c: a * b,
        "divide": lambda a, b, c: a / b,
        "negate": lambda a, b, c: -a,
        "less": lambda a, b, c: a < b,
        "less_equal": lambda a, b, c: a <= b,
        "greater": lambda a, b, c: a > b,
        "greater_equal": lambda a, b, c: a >= b,
        "equal": lambda a, b, c: a == b,
        "not_equal": lambda a, b, c: a != b,
        "mask_and": lambda a, b, c: (a < b) & (b < c),
        "mask_or": lambda a, b, c: (a < b) | (b < c),
        "mask_not": lambda a, b, c: ~(a < b),
        "fma": rounded_once,
        "select": lambda a, b, c: np.where(a < b, b, c),
        "max_or_second": lambda a, b, c: np.where(a > b, a, b),
        "min_or_second": lambda a, b, c: np.where(a < b, a, b),
        "max": lambda a, b, c: np.where(np.isnan(a), a, np.where(a > b, a, b)),
        "min": lambda a, b, c: np.where(np.isnan(a), a, np.where(a < b, a, b)),
        "sqrt": lambda a, b, c: np.sqrt(a),
        "floor": lambda a, b, c: np.floor(a),
        "ceil": lambda a, b, c: np.ceil(a),
        "trunc": lambda a, b, c: np.trunc(a),
        "round": lambda a, b, c: np.rint(a),
        "abs": lambda a, b, c: np.abs(a),
        "copysign": lambda a, b, c: np.copysign(a, b),
        "interleave_low": lambda a, b, c: lanes(w, lambda x, y: interleaved(x, y, 0), a, b),
        "interleave_high": lambda a, b, c: lanes(w, lambda x, y: interleaved(x, y, 1), a, b),
        "even_lanes": lambda a, b, c: lanes(w, lambda x, y: np.append(x, y)[::2], a, b),
        "odd_lanes": lambda a, b, c: lanes(w, lambda x, y: np.append(x, y)[1::2], a, b),
        "shuffled": lambda a, b, c: lanes(w, lambda x, y: np.append(x, y)[::-2], a, b),
        "reduce_add": filled(lambda v: tree(v, np.add)[0]),
        "reduce_max": filled(nan_first(lambda v: tree(v, lambda x, y: np.where(x > y, x, y))[0])),
        "reduce_min": filled(nan_first(lambda v: tree(v, lambda x, y: np.where(x < y, x, y))[0])),
        "bits": filled(lambda v: sum(1 << i for i, x in enumerate(v) if x < 0)),
        "any": filled(lambda v: (v < 0).any()),
        "all": filled(lambda v: (v < 0).all()),
        "transpose": lambda a, b, c: a.reshape(-1, w, w).swapaxes(1, 2).copy().ravel(),
    }


@pytest.mark.parametrize("dtype", FLOATS, ids=lambda d: d.__name__)
@pytest.mark.parametrize("name", [*definitions(np.float32), "parts"])
def test_operations_of_registers(machine, rng, name, dtype):
    a, b, c = (numbers(rng, dtype) for _ in range(3))
    b[::11] = a[::11]
    with np.errstate(all="ignore"):
        if name == "parts":
            before = numbers(rng, dtype)
            same(machine.run(np.dtype(dtype).name, name, before.copy(), a, b), parts(a, b[0], before))
        else:
            expected = definitions(dtype)[name](a, b, c).astype(dtype)
            same(machine.run(np.dtype(dtype).name, name, np.empty_like(a), a, b, c), expected)


def test_every_operation_has_a_definition(machine):
    for dtype in FLOATS:
        assert set(machine.operations[np.dtype(dtype).name]) == {*definitions(dtype), "parts"}
    assert set(machine.operations["conversions"]) == {*CONVERSIONS, "next_lanes"}


CONVERSIONS = [f"{a} {b}" for a in ("float64", "bfloat16", "float16") for b in ("float32",)]
CONVERSIONS += [" ".join(reversed(names.split())) for names in CONVERSIONS]


@pytest.mark.parametrize("names", CONVERSIONS)
def test_conversions(machine, rng, names):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    source, target = (np.dtype(getattr(ml_dtypes, n) if n == "bfloat16" else n) for n in names.split())
    if source.itemsize == 2:  # all there are
        x = np.arange(1 << 16, dtype=np.uint16).view(source)
    elif target.itemsize == 2:  # all sizes, and what lies next to a tie between two numbers of the target
        x = rng.integers(0, 1 << 32, 1 << 17, dtype=np.uint32).view(np.float32)
        ties = (rng.integers(0, 1 << 16, 1 << 12) << 16) + 0x8000
        halves = np.arange(1 << 15, dtype=np.uint16).view(np.float16).astype(np.float32).view(np.uint32).astype(np.int64) + (
            1 << 12
        )
        near = [t + d for t in (ties, halves) for d in (-1, 0, 1)]
        x = np.concatenate([x, *(n.astype(np.uint32).view(np.float32) for n in near)])
        x = x[: x.size // 4 * 4]
    else:
        x = numbers(rng, source)
    with np.errstate(all="ignore"):
        expected = x.astype(target)
        got = machine.run("conversions", names, np.empty(x.size, target), x)
    wide = np.float64 if target == np.float64 else np.float32
    same(got.astype(wide), expected.astype(wide))


def test_next_lanes(machine, rng):
    x = numbers(rng, np.float32)
    got = machine.run("conversions", "next_lanes", np.empty_like(x), x).reshape(-1, 4)
    same(got[:, :3].copy(), x.reshape(-1, 4)[:, 1:].copy())


# --- the library's own tests on the emulated kernels --------------------------------------------------------------------
# A part of each, where the whole would take minutes; any test can be run by hand as emulator.py says.
SUITES = {
    "ops": "",
    "accuracy": "not the_bounds_hold_for and not 512 and not direct and not 2x2",
    "attention_kernel": "not size_of_the_scores and not second_order and not same_bits and not output_and_gradients",
    "conv": "not same_bits",
    "embedding": "",
    "norm": "",
    "quantization": "",
    "random": "",
    "rnn": "",
    "scan": "",
    "select": "",
    "sort": "",
}


@pytest.mark.slow
@pytest.mark.parametrize("suite", SUITES)
def test_suite_on_neon(suite):
    path = [str(HERE / "aarch64"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    environment.update(PYTHONPATH=os.pathsep.join(path), TILEGRAD_NUM_THREADS="1")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "emulator", "-p", "no:cacheprovider", "-m", "not slow"]
    command += ["-k", SUITES[suite], f"tests/test_{suite}.py"]
    done = subprocess.run(command, cwd=HERE.parent, env=environment, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    calls = int(re.search(r"(\d+) calls of NEON kernels", done.stdout)[1])
    assert calls >= 50, "the tests did not reach the emulated kernels"
