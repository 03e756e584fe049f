"""Making tensors: from data, filled, counted, random."""

from __future__ import annotations

import numpy as np

from .. import _core, dtypes
from ..device import require_cpu
from ..random import fill_integers, fill_normal, fill_uniform
from .arguments import need_tensor
from .shape import sizes_of

_DEFAULT = dtypes.float32
_FROM_NUMPY = {np.dtype(d.numpy_name): d for d in dtypes.ALL if d.numpy_name}


def get_default_dtype():
    """The dtype of tensors made from Python floats."""
    return _DEFAULT


def set_default_dtype(dtype):
    """Sets the dtype of tensors made from Python floats, and of zeros(), randn() and the like."""
    global _DEFAULT
    if not isinstance(dtype, dtypes.dtype) or not dtype.is_floating_point:
        raise TypeError(f"set_default_dtype: expected a floating dtype, got {dtype!r}")
    _DEFAULT = dtype


def _dtype(dtype, default=None):
    if dtype is None:
        return default or _DEFAULT
    if isinstance(dtype, dtypes.dtype):
        return dtype
    if dtype is float:
        return _DEFAULT
    if dtype is int:
        return dtypes.int64
    if dtype is bool:
        return dtypes.bool
    try:
        return _FROM_NUMPY[np.dtype(dtype)]
    except (TypeError, KeyError):
        raise TypeError(f"expected a tilegrad dtype such as tilegrad.float32, got {dtype!r}") from None


def _finished(x, requires_grad, pin_memory=False):
    if requires_grad:
        x.requires_grad = True
    return x


def from_numpy(array):
    """A tensor on the memory of a NumPy array: changes show on both sides.

    Raises:
        TypeError: not an array, or an element type tilegrad lacks. ValueError: negative or unaligned strides.
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy: expected a numpy.ndarray, got {type(array).__name__}")
    if array.dtype not in _FROM_NUMPY or not array.dtype.isnative:
        raise TypeError(
            f"from_numpy: arrays of dtype {array.dtype} ({array.dtype.str}) cannot be shared; "
            f"supported are {_supported()} in native byte order; use array.astype() first"
        )
    return _core.from_buffer(array)


def _supported():
    return ", ".join(d.numpy_name for d in dtypes.ALL if d.numpy_name)


def frombuffer(buffer, *, dtype, count=-1, offset=0):
    """A 1-d tensor on the memory of bytes, a bytearray or another buffer."""
    return from_numpy(np.frombuffer(buffer, dtype=_dtype(dtype).numpy_name, count=count, offset=offset))


def from_dlpack(source):
    """A tensor on the memory of an object with ``__dlpack__``."""
    if hasattr(source, "__dlpack__"):
        try:
            capsule = source.__dlpack__(max_version=(1, 0))
        except TypeError:
            capsule = source.__dlpack__()
    else:
        capsule = source
    return _core.from_dlpack(capsule)


def _array_of(data):
    """The NumPy array that nested lists, numbers or an array-like stand for; Python floats get the default dtype."""
    if isinstance(data, np.ndarray | np.generic):
        array = np.asarray(data)
    else:
        if isinstance(data, (list, tuple)) and _holds_tensors(data):
            data = _without_tensors(data)
        try:
            array = np.asarray(data)
        except ValueError as e:
            raise ValueError(f"tensor: nested sequences of different lengths cannot become a tensor ({e})") from None
        if array.dtype == np.float64 and not hasattr(data, "dtype"):
            return array, _DEFAULT
    if array.dtype == object or array.dtype.kind in "USVMmc":
        raise TypeError(
            f"tensor: data of type {type(data).__name__} (NumPy dtype {array.dtype}) cannot become a tensor; "
            "expected numbers or bools"
        )
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if array.dtype not in _FROM_NUMPY:
        wider = {"i": np.int64, "u": np.int64, "f": np.float64}.get(array.dtype.kind)
        if array.dtype == np.uint64 and array.size and array.max() > np.iinfo(np.int64).max:
            raise TypeError("tensor: uint64 values beyond int64 cannot become a tensor")
        if array.dtype == np.int16:
            wider = np.int32
        array = array.astype(wider)
    return array, _FROM_NUMPY[array.dtype]


def _holds_tensors(data):
    return any(isinstance(d, _core.TensorBase) or (isinstance(d, (list, tuple)) and _holds_tensors(d)) for d in data)


def _without_tensors(data):
    return [
        d.tolist() if isinstance(d, _core.TensorBase) else _without_tensors(d) if isinstance(d, (list, tuple)) else d
        for d in data
    ]


def tensor(data, *, dtype=None, device=None, requires_grad=False, pin_memory=False):
    """A new tensor with a copy of `data`: numbers, nested lists, a NumPy array or a tensor.

    Python floats become the default dtype, ints int64, bools bool; NumPy arrays keep their dtype.

    Raises:
        ValueError: ragged lists. TypeError: data that are not numbers, or a dtype tilegrad lacks.
    """
    require_cpu(device)
    if isinstance(data, _core.TensorBase):
        return _finished(_core.cast(data, data.dtype if dtype is None else _dtype(dtype)), requires_grad)
    array, inferred = _array_of(data)
    array = np.array(array, order="C", copy=None if array.flags.c_contiguous and array.flags.aligned else True)
    return _finished(_core.cast(_core.from_buffer(array), inferred if dtype is None else _dtype(dtype)), requires_grad)


def as_tensor(data, dtype=None, device=None):
    """`data` as a tensor, sharing memory with a tensor or NumPy array where possible."""
    require_cpu(device)
    if isinstance(data, _core.TensorBase):
        return data if dtype is None or data.dtype is dtype else data.to(_dtype(dtype))
    if isinstance(data, np.ndarray) and data.dtype in _FROM_NUMPY and data.dtype.isnative and all(s >= 0 for s in data.strides):
        shared = from_numpy(data)
        return shared if dtype is None or shared.dtype is dtype else shared.to(_dtype(dtype))
    return tensor(data, dtype=dtype)


asarray = as_tensor
_core.set_callback("as_tensor", as_tensor)


# --- filled
def full(size, fill_value, *, dtype=None, device=None, requires_grad=False):
    """A tensor of one value; the dtype follows the value (int64, bool or the default float)."""
    require_cpu(device)
    if dtype is None:
        dtype = dtypes.bool if isinstance(fill_value, bool) else dtypes.int64 if isinstance(fill_value, int) else _DEFAULT
    if isinstance(fill_value, _core.TensorBase):
        fill_value = fill_value.item()
    return _finished(_core.full(sizes_of((size,)), fill_value, _dtype(dtype)), requires_grad)


def zeros(*size, dtype=None, device=None, requires_grad=False, **named):
    """A tensor of zeros."""
    require_cpu(device)
    return _finished(_core.full(_sizes(size, named), 0, _dtype(dtype)), requires_grad)


def ones(*size, dtype=None, device=None, requires_grad=False, **named):
    """A tensor of ones."""
    require_cpu(device)
    return _finished(_core.full(_sizes(size, named), 1, _dtype(dtype)), requires_grad)


def empty(*size, dtype=None, device=None, requires_grad=False, pin_memory=False, memory_format=None, **named):
    """A tensor whose values are not set."""
    require_cpu(device)
    return _finished(_core.empty(_sizes(size, named), _dtype(dtype)), requires_grad)


def _sizes(size, named):
    if named:
        if set(named) != {"size"} or size:
            raise TypeError(f"unexpected arguments {', '.join(sorted(set(named) - {'size'}))}")
        return sizes_of((named["size"],))
    return sizes_of(size)


def zeros_like(x, *, dtype=None, device=None, requires_grad=False, memory_format=None):
    """Zeros in the shape and dtype of x."""
    need_tensor("zeros_like", "x", x)
    return zeros(x.shape, dtype=dtype or x.dtype, device=device, requires_grad=requires_grad)


def ones_like(x, *, dtype=None, device=None, requires_grad=False, memory_format=None):
    """Ones in the shape and dtype of x."""
    need_tensor("ones_like", "x", x)
    return ones(x.shape, dtype=dtype or x.dtype, device=device, requires_grad=requires_grad)


def full_like(x, fill_value, *, dtype=None, device=None, requires_grad=False, memory_format=None):
    """One value in the shape and dtype of x."""
    need_tensor("full_like", "x", x)
    return full(x.shape, fill_value, dtype=dtype or x.dtype, device=device, requires_grad=requires_grad)


def empty_like(x, *, dtype=None, device=None, requires_grad=False, memory_format=None):
    """A tensor in the shape and dtype of x, values not set."""
    need_tensor("empty_like", "x", x)
    return empty(x.shape, dtype=dtype or x.dtype, device=device, requires_grad=requires_grad)


# --- counted; made by NumPy on the host and converted
def _from_host(array, dtype):
    return _core.cast(_core.from_buffer(np.ascontiguousarray(array)), dtype)


def arange(start, end=None, step=1, *, dtype=None, device=None, requires_grad=False):
    """start, start + step, ... up to but without `end`. Ints give int64, floats the default dtype."""
    require_cpu(device)
    if end is None:
        start, end = 0, start
    start, end, step = (v.item() if isinstance(v, _core.TensorBase) else v for v in (start, end, step))
    if step == 0:
        raise RuntimeError("arange: step must not be zero")
    if (end - start) * step < 0:
        raise RuntimeError(f"arange: step {step} leads away from end {end} (start {start})")
    floats = any(isinstance(v, float) for v in (start, end, step))
    values = np.arange(start, end, step, dtype=np.float64 if floats else np.int64)
    return _finished(_from_host(values, _dtype(dtype, _DEFAULT if floats else dtypes.int64)), requires_grad)


def linspace(start, end, steps, *, dtype=None, device=None, requires_grad=False):
    """`steps` values from start to end, both included, evenly spaced."""
    require_cpu(device)
    if steps < 0:
        raise RuntimeError(f"linspace: steps must not be negative, got {steps}")
    return _finished(_from_host(np.linspace(start, end, steps), _dtype(dtype)), requires_grad)


def eye(n, m=None, *, dtype=None, device=None, requires_grad=False):
    """Ones on the diagonal of an (n, m) matrix."""
    require_cpu(device)
    if n < 0 or (m is not None and m < 0):
        raise RuntimeError(f"eye: sizes must not be negative, got {n} and {m}")
    return _finished(_from_host(np.eye(n, m, dtype=np.float32), _dtype(dtype)), requires_grad)


def nonzero(x, *, as_tuple=False):
    """The places of the elements that are not zero, in order: (count, ndim) int64, or with as_tuple one vector per dim."""
    found = _core.nonzero(x)
    if not as_tuple:
        return found
    if x.ndim == 0:
        return (_core.nonzero(x.reshape(1))[:, 0],)
    return tuple(_core.contiguous(found[:, d]) for d in range(x.ndim))


def meshgrid(*tensors, indexing="ij"):
    """Coordinate grids of vectors; indexing 'ij' (rows first) or 'xy'."""
    if indexing not in ("ij", "xy"):
        raise RuntimeError(f"meshgrid: indexing must be 'ij' or 'xy', got {indexing!r}")
    vectors = list(tensors[0]) if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else list(tensors)
    swap = indexing == "xy" and len(vectors) > 1
    if swap:
        vectors[:2] = vectors[1::-1]
    shape = tuple(v.numel() for v in vectors)
    grids = [v.reshape((1,) * i + (-1,) + (1,) * (len(vectors) - i - 1)).expand(shape) for i, v in enumerate(vectors)]
    if swap:
        grids = [g.transpose(0, 1) for g in grids]
        grids[:2] = grids[1::-1]
    return tuple(grids)


# --- random
def rand(*size, generator=None, dtype=None, device=None, requires_grad=False, **named):
    """Uniform numbers in [0, 1)."""
    x = empty(*size, dtype=dtype, device=device, **named)
    return _finished(fill_uniform(x, 0.0, 1.0, generator), requires_grad)


def randn(*size, generator=None, dtype=None, device=None, requires_grad=False, **named):
    """Normal numbers with mean 0 and standard deviation 1."""
    x = empty(*size, dtype=dtype, device=device, **named)
    return _finished(fill_normal(x, 0.0, 1.0, generator), requires_grad)


def randint(*args, generator=None, dtype=None, device=None, requires_grad=False, **named):
    """randint(high, size) or randint(low, high, size): integers in [low, high)."""
    low = named.pop("low", None)
    high = named.pop("high", None)
    size = named.pop("size", None)
    if named:
        raise TypeError(f"randint: unexpected arguments {', '.join(sorted(named))}")
    rest = list(args)
    if size is None:
        if not rest or not isinstance(rest[-1], (tuple, list)):
            raise TypeError("randint: expected randint(high, size) or randint(low, high, size) with size a tuple")
        size = rest.pop()
    if len(rest) == 2:
        low, high = rest
    elif len(rest) == 1:
        if high is None:
            high = rest[0]
        else:
            low = rest[0]
    x = empty(size, dtype=_dtype(dtype, dtypes.int64), device=device)
    return _finished(fill_integers(x, low or 0, high, generator), requires_grad)


def rand_like(x, *, dtype=None, device=None, requires_grad=False, generator=None, memory_format=None):
    """Uniform numbers in the shape and dtype of x."""
    need_tensor("rand_like", "x", x)
    return rand(x.shape, dtype=dtype or x.dtype, device=device, requires_grad=requires_grad, generator=generator)


def randn_like(x, *, dtype=None, device=None, requires_grad=False, generator=None, memory_format=None):
    """Normal numbers in the shape and dtype of x."""
    need_tensor("randn_like", "x", x)
    return randn(x.shape, dtype=dtype or x.dtype, device=device, requires_grad=requires_grad, generator=generator)


def normal(mean, std=1.0, size=None, *, generator=None, dtype=None, device=None, requires_grad=False):
    """Normal numbers; mean and std are numbers (then `size` is needed) or tensors. Raises RuntimeError for a negative std."""
    if isinstance(mean, _core.TensorBase) or isinstance(std, _core.TensorBase):
        shape = (mean + std).shape
        if not (bool((std.detach() >= 0).all()) if isinstance(std, _core.TensorBase) else std >= 0):
            raise RuntimeError("normal: expected all elements of std >= 0")
        return randn(shape, generator=generator, dtype=dtype, device=device) * std + mean
    if size is None:
        raise TypeError("normal: size is needed when mean and std are numbers")
    x = empty(size, dtype=dtype, device=device)
    return _finished(fill_normal(x, float(mean), float(std), generator), requires_grad)


def randperm(n, *, generator=None, dtype=None, device=None, requires_grad=False):
    """The numbers 0..n-1 in random order: the order of n random 62-bit keys, the same on every device.

    The keys are sorted on the host with NumPy.
    """
    if n < 0:
        raise RuntimeError(f"randperm: n must not be negative, got {n}")
    keys = fill_integers(empty(n, dtype=dtypes.int64, device=device), 0, 1 << 62, generator)
    return _from_host(np.argsort(keys.numpy(), kind="stable"), _dtype(dtype, dtypes.int64))


def bernoulli(p, *, generator=None):
    """0 or 1 with probability p elementwise, in p's dtype.

    Raises:
        RuntimeError: a probability outside [0, 1].
    """
    need_tensor("bernoulli", "p", p)
    if p.numel() and not bool(((p.detach() >= 0) & (p.detach() <= 1)).all()):
        raise RuntimeError(
            f"bernoulli: probabilities must lie in [0, 1], got values from {p.min().item():g} to {p.max().item():g}"
        )
    return _core.cast(rand(p.shape, generator=generator, dtype=dtypes.float32) < p.detach(), p.dtype)


def multinomial(weights, num_samples, replacement=False, *, generator=None):
    """Draws positions with probability proportional to the weights of each row; (num_samples,) or (rows, num_samples).

    The choice is worked out on the host with NumPy.

    Raises:
        RuntimeError: negative, infinite or all-zero weights; more samples than non-zero weights without replacement.
    """
    need_tensor("multinomial", "weights", weights)
    w = weights.detach().to(dtypes.float64).numpy()
    if w.ndim not in (1, 2):
        raise RuntimeError(f"multinomial: expected weights with 1 or 2 dims, got shape {weights.shape}")
    rows = np.atleast_2d(w)
    if num_samples <= 0:
        raise RuntimeError(f"multinomial: num_samples must be positive, got {num_samples}")
    if not np.isfinite(rows).all() or (rows < 0).any() or (rows.sum(1) <= 0).any():
        raise RuntimeError("multinomial: weights must be finite, not negative, and not all zero in a row")
    if replacement:
        u = rand(rows.shape[0], num_samples, generator=generator, dtype=dtypes.float64).numpy()
        cumulative = np.cumsum(rows, axis=1)
        out = np.stack([np.searchsorted(c, v * c[-1], side="right") for c, v in zip(cumulative, u, strict=True)])
        out = np.minimum(out, rows.shape[1] - 1)
    else:
        if (np.count_nonzero(rows, axis=1) < num_samples).any():
            raise RuntimeError(f"multinomial: {num_samples} samples without replacement need as many non-zero weights per row")
        u = rand(*rows.shape, generator=generator, dtype=dtypes.float64).numpy()
        with np.errstate(divide="ignore"):  # the exponential race: the smallest -log(u) / w wins
            out = np.argsort(np.where(rows > 0, -np.log1p(-u) / rows, np.inf), axis=1, kind="stable")[:, :num_samples]
    return _from_host((out if w.ndim == 2 else out[0]).astype(np.int64), dtypes.int64)
