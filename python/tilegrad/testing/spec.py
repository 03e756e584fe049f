"""OpSpec: what an op is expected to do, as data that tests, `tilegrad verify` and benchmarks share.

    OpSpec("softmax", fn=lambda x, dim: tg.softmax(x, dim), numpy=reference.softmax, samples=softmax_samples,
           dtypes=FLOATS, differentiable=(0,))

A sample holds NumPy arrays. float64 arrays are data: they are rounded to the dtype under test before either side sees
them, so that a comparison measures the op and not the rounding of its inputs. Integer and bool arrays (indexes, masks)
keep their type. The memory layout of an array (transposed, every second element, expanded) is carried over.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

import tilegrad as tg
from tilegrad.testing.compare import dtype_name, to_numpy

FLOATS = ("float32", "float64", "bfloat16", "float16")
INTEGERS = ("int64", "int32", "int8", "uint8")
NUMBERS = FLOATS + INTEGERS
ALL = (*NUMBERS, "bool")

# rtol, atol of an op that rounds once or a few times: a few units in the last place
TOLERANCES = {
    "float64": (1e-13, 1e-15),
    "float32": (1e-6, 1e-7),
    "bfloat16": (2.0**-7, 1e-6),
    "float16": (2.0**-9, 1e-6),
}

# how the result's dtype follows from the inputs' dtype
RESULT_DTYPES = {
    "same": lambda dtype: dtype,
    "float": lambda dtype: dtype if dtype in FLOATS else "float32",
    "sum": lambda dtype: dtype if dtype in FLOATS else "int64",
    "bool": lambda dtype: "bool",
    "int64": lambda dtype: "int64",
}


@dataclass(frozen=True)
class Sample:
    """One call: `fn(*args, **kwargs)`. gradient=False marks values where numerical differentiation makes no sense
    (kinks, infinities); dtypes restricts a sample to some element types."""

    args: tuple = ()
    kwargs: dict = field(default_factory=dict)
    gradient: bool = True
    dtypes: tuple | None = None
    note: str = ""

    def __repr__(self):
        parts = [_describe(a) for a in self.args] + [f"{k}={_describe(v)}" for k, v in self.kwargs.items()]
        return f"({', '.join(parts)})" + (f"  # {self.note}" if self.note else "")


@dataclass(frozen=True)
class OpError:
    """A call that must fail: `call()` raises `exception` and the text matches the regular expression `text` (a dot also
    stands for a line break)."""

    call: Callable
    exception: type | tuple[type, ...]
    text: str


@dataclass
class OpSpec:
    name: str
    fn: Callable  # takes tensors where a sample has arrays
    numpy: Callable  # the same call on NumPy arrays: float64 for data, so it is the yardstick for every dtype
    samples: Callable  # rng -> list of Sample
    dtypes: tuple = FLOATS
    result: object = "same"  # a key of RESULT_DTYPES or a function of the dtype's name; a tuple of them for several results
    tolerances: dict = field(default_factory=dict)  # dtype -> (rtol, atol), where TOLERANCES do not fit
    differentiable: tuple = ()  # which arguments: position or keyword
    order: int = 2  # the highest order of derivative that tests check
    gradient_tolerance: tuple = (1e-4, 1e-6)
    takes_dtype: bool = False  # creation ops: the dtype is passed as a keyword
    rows: tuple = ()  # the names in the kernel table that this spec exercises, where they differ from `name`
    errors: list = field(default_factory=list)  # OpError

    def inputs(self, sample, dtype="float64"):
        """args and kwargs of `sample` with the data rounded to `dtype`, as NumPy arrays."""
        return _map_arrays(sample, lambda a: quantize(a, dtype) if is_data(a) else a)

    def tensors(self, sample, dtype="float64", device="cpu"):
        """args and kwargs of `sample` as tensors."""
        args, kwargs = _map_arrays(sample, lambda a: tensor_like(a, dtype if is_data(a) else None, device))
        if self.takes_dtype:
            kwargs = {**kwargs, "dtype": getattr(tg, dtype), "device": device}
        return args, kwargs

    def run(self, sample, dtype="float64", device="cpu"):
        """The op's results on `sample`: a list of tensors."""
        args, kwargs = self.tensors(sample, dtype, device)
        return flat(self.fn(*args, **kwargs))

    def reference(self, sample, dtype="float64"):
        """The NumPy results on `sample`: a list of arrays in float64, int64 or bool."""
        args, kwargs = self.inputs(sample, dtype)
        if dtype == "bool" and self.result == "float":  # NumPy would give float16
            args, kwargs = _map_arrays(Sample(args, kwargs), lambda a: a.astype(np.int64))
        with np.errstate(all="ignore"):
            return [np.asarray(r) for r in flat(self.numpy(*args, **kwargs))]

    def differentiable_call(self, sample, device="cpu"):
        """(function, inputs): the op as a function of its differentiable arguments alone, which are float64 leaves."""
        args, kwargs = self.tensors(sample, "float64", device)
        named = dict(enumerate(args)) | kwargs
        chosen = {k: v for k, v in named.items() if k in self.differentiable}
        inputs = [t.requires_grad_() for v in chosen.values() for t in flat(v) if _is_float(t)]

        def function(*tensors):
            rest = iter(tensors)
            filled = dict(named)
            for k, v in chosen.items():
                new = [next(rest) if _is_float(t) else t for t in flat(v)]
                filled[k] = new if isinstance(v, (list, tuple)) else new[0]
            results = flat(self.fn(*[filled[i] for i in range(len(args))], **{k: filled[k] for k in kwargs}))
            return tuple(r for r in results if _is_float(r))

        return function, inputs

    def result_dtype(self, dtype, i=0):
        """The dtype that result number i must have."""
        rule = self.result[i] if isinstance(self.result, tuple) else self.result
        return RESULT_DTYPES[rule](dtype) if isinstance(rule, str) else rule(dtype)

    def tolerance(self, dtype):
        """(rtol, atol) for results of this dtype; integers and bools are exact."""
        if dtype not in FLOATS:
            return (0.0, 0.0)
        return self.tolerances.get(dtype, TOLERANCES[dtype])

    def samples_for(self, dtype, rng=None):
        """The samples that apply to `dtype`."""
        rng = np.random.default_rng(0) if rng is None else rng
        return [s for s in self.samples(rng) if s.dtypes is None or dtype in s.dtypes]

    def compare(self, sample, dtype, device="cpu"):
        """Raises AssertionError unless the op agrees with its reference on `sample`; returns the largest error, measured
        in tolerances (1.0 is just acceptable), which is what `tilegrad verify` shows."""
        actual, expected = self.run(sample, dtype, device), self.reference(sample, dtype)
        if len(actual) != len(expected):
            raise AssertionError(f"{self.name}{sample}: {len(actual)} results, expected {len(expected)}")
        worst = 0.0
        for i, (a, e) in enumerate(zip(actual, expected, strict=True)):
            place = f"{self.name}{sample}, {dtype}" + (f", result {i}" if len(actual) > 1 else "")
            got = dtype_name(a.dtype)
            if got != self.result_dtype(dtype, i):
                raise AssertionError(f"{place}: result is {got}, expected {self.result_dtype(dtype, i)}")
            if tuple(a.shape) != e.shape:
                raise AssertionError(f"{place}: shape {tuple(a.shape)}, expected {e.shape}")
            worst = max(worst, error_in_tolerances(to_numpy(a), quantize(e, got), self.tolerance(got), place))
        return worst


def error_in_tolerances(actual, expected, tolerance, place):
    """max |actual - expected| / (atol + rtol * |expected|); AssertionError above 1. NaN and infinities must agree exactly."""
    rtol, atol = tolerance
    if rtol == 0 and atol == 0:
        if np.array_equal(actual, expected, equal_nan=expected.dtype.kind == "f"):
            return 0.0
        error = np.not_equal(actual, expected).astype(np.float64) * np.inf
    else:
        a, e = actual.astype(np.float64), expected.astype(np.float64)
        with np.errstate(all="ignore"):
            error = np.abs(a - e) / (atol + rtol * np.abs(e))
        same = (a == e) | (np.isnan(a) & np.isnan(e))
        error = np.where(same, 0.0, np.where(np.isfinite(error), error, np.inf))
    if error.size == 0 or np.nanmax(error) <= 1.0:
        return float(np.nanmax(error, initial=0.0))
    index = tuple(int(i) for i in np.unravel_index(np.nanargmax(error), error.shape))
    raise AssertionError(
        f"{place}: {actual[index]!r}, expected {expected[index]!r} at index {index}; {np.sum(error > 1)} of {error.size} "
        f"elements are off (rtol {rtol}, atol {atol})"
    )


# --- helpers ---------------------------------------------------------------------------------------------------------


def sample(*args, gradient=True, dtypes=None, note="", **kwargs):
    """Sample(args, kwargs), written like the call itself."""
    return Sample(args, kwargs, gradient, dtypes, note)


def functional(name):
    """tg.nn.functional.<name>, looked up when called."""
    return lambda *args, **kwargs: getattr(tg.nn.functional, name)(*args, **kwargs)


def op(name):
    """tg.<name>, looked up when called."""
    return lambda *args, **kwargs: getattr(tg, name)(*args, **kwargs)


def method(name):
    """x.<name>(...), looked up when called."""
    return lambda x, *args, **kwargs: getattr(x, name)(*args, **kwargs)


def is_data(a):
    return a.dtype == np.float64


def _is_float(t):
    return isinstance(t, tg.Tensor) and dtype_name(t.dtype) in FLOATS


def flat(results):
    return list(results) if isinstance(results, (tuple, list)) else [results]


def quantize(a, dtype):
    """a rounded to `dtype`, held in float64 (floats), int64 (integers, wrapping around) or bool. NaNs stay NaN."""
    a = np.asarray(a)
    with np.errstate(all="ignore"):
        if dtype in ("float64", "float32", "float16"):
            return a.astype(dtype).astype(np.float64)
        if dtype == "bfloat16":
            return round_to_bfloat16(a)
        if dtype == "bool":
            return np.asarray(a != 0)
        if a.dtype.kind == "f":
            a = np.rint(np.abs(a) if dtype == "uint8" else a)
        return a.astype(np.int64).astype(dtype).astype(np.int64)


def round_to_bfloat16(a):
    """Nearest bfloat16 value, ties to even, as float64."""
    bits = np.asarray(a, dtype=np.float64).astype(np.float32).view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) & np.uint32(0xFFFF0000)
    return np.where(np.isnan(a), np.nan, rounded.view(np.float32)).astype(np.float64)


def tensor_like(a, dtype=None, device="cpu"):
    """A tensor with the values of `a` in `dtype` and, for the layouts that specs use, the memory layout of `a`."""
    a = np.asarray(a)
    kind = getattr(tg, dtype or dtype_name(a.dtype))
    values = quantize(a, dtype) if dtype else a
    if a.size > 1 and 0 in a.strides:
        once = tuple(slice(0, 1) if s == 0 else slice(None) for s in a.strides)
        return tg.tensor(values[once].copy(), dtype=kind, device=device).expand(a.shape)
    if a.size > 1 and min(abs(s) for s, n in zip(a.strides, a.shape, strict=True) if n > 1) >= 2 * a.itemsize:
        return tg.tensor(np.repeat(values, 2, axis=-1), dtype=kind, device=device)[..., ::2]
    order = sorted(range(a.ndim), key=lambda d: -abs(a.strides[d]))
    back = [order.index(d) for d in range(a.ndim)]
    t = tg.tensor(np.array(values.transpose(order), order="C"), dtype=kind, device=device)
    return t if order == sorted(order) else t.permute(*back)


def _map_arrays(sample, f):
    def walk(x):
        if isinstance(x, (np.ndarray, np.generic)):
            return f(np.asarray(x))
        if isinstance(x, (list, tuple)):
            return type(x)(walk(v) for v in x)
        return x

    return tuple(walk(a) for a in sample.args), {k: walk(v) for k, v in sample.kwargs.items()}


def _describe(x):
    if isinstance(x, np.ndarray):
        layout = "" if x.flags.c_contiguous else " strided"
        return f"{x.dtype.kind}{list(x.shape)}{layout}"
    if isinstance(x, (list, tuple)):
        return f"[{', '.join(_describe(v) for v in x)}]"
    return repr(x)
