"""assert_close: are two tensors (or arrays, numbers, sequences, mappings of them) equal up to rounding?"""

from collections.abc import Mapping, Sequence

import numpy as np

import tilegrad as tg

# |actual - expected| <= atol + rtol * |expected|; the same defaults as torch.testing.assert_close
DEFAULT_TOLERANCES = {
    "float64": (1e-7, 1e-7),
    "float32": (1.3e-6, 1e-5),
    "float16": (1e-3, 1e-5),
    "bfloat16": (1.6e-2, 1e-5),
}


def dtype_name(dtype):
    """ "float32" for tg.float32, for np.dtype("float32") and for the string itself."""
    return str(dtype).removeprefix("tilegrad.").removeprefix("torch.")


def to_numpy(x):
    """The values of a tensor as a NumPy array; bfloat16, which NumPy lacks, comes back as float32."""
    if isinstance(x, tg.Tensor):
        x = x.detach()
        if dtype_name(x.dtype) == "bfloat16":
            x = x.to(tg.float32)
        return np.array(x.numpy())
    return np.asarray(x)


def assert_close(actual, expected, *, rtol=None, atol=None, equal_nan=False, check_device=True, check_dtype=True, msg=None):
    """Raises AssertionError unless actual and expected agree in structure, shape, dtype, device and values.

    Without rtol and atol the tolerance follows the (less precise) dtype of the two. Integers and bools must be equal.
    `msg` replaces the message; a callable gets the generated message and returns the new one.
    """
    if (rtol is None) != (atol is None):
        raise ValueError(f"assert_close: rtol and atol must both be given or both be left out, got rtol={rtol}, atol={atol}")
    try:
        _compare(actual, expected, "", rtol, atol, equal_nan, check_device, check_dtype)
    except AssertionError as error:
        if msg is None:
            raise
        raise AssertionError(msg(str(error)) if callable(msg) else msg) from None


def _compare(actual, expected, path, rtol, atol, equal_nan, check_device, check_dtype):
    where = f" at {path}" if path else ""
    options = (rtol, atol, equal_nan, check_device, check_dtype)
    if isinstance(actual, Mapping) and isinstance(expected, Mapping):
        if set(actual) != set(expected):
            raise AssertionError(f"The keys of the mappings do not match{where}: {sorted(actual)} != {sorted(expected)}")
        for key in actual:
            _compare(actual[key], expected[key], f"{path}[{key!r}]", *options)
        return
    if _is_sequence(actual) and _is_sequence(expected):
        if len(actual) != len(expected):
            raise AssertionError(f"The length of the sequences do not match{where}: {len(actual)} != {len(expected)}")
        for i, (a, e) in enumerate(zip(actual, expected, strict=True)):
            _compare(a, e, f"{path}[{i}]", *options)
        return
    devices = [getattr(t, "device", None) for t in (actual, expected)]
    if check_device and None not in devices and str(devices[0]) != str(devices[1]):
        raise AssertionError(f"The values for attribute 'device' do not match{where}: {devices[0]} != {devices[1]}")
    a, e = to_numpy(actual), to_numpy(expected)
    if a.shape != e.shape:
        raise AssertionError(f"The values for attribute 'shape' do not match{where}: {a.shape} != {e.shape}")
    names = [dtype_name(x.dtype) if hasattr(x, "dtype") else dtype_name(y.dtype) for x, y in ((actual, a), (expected, e))]
    numbers = not hasattr(actual, "dtype") or not hasattr(expected, "dtype")
    if check_dtype and not numbers and names[0] != names[1]:
        raise AssertionError(f"The values for attribute 'dtype' do not match{where}: {names[0]} != {names[1]}")
    if rtol is None:
        tolerances = [DEFAULT_TOLERANCES.get(name, (0.0, 0.0)) for name in names]
        rtol, atol = (max(t[i] for t in tolerances) for i in (0, 1))
    _compare_values(a, e, rtol, atol, equal_nan, where)


def _is_sequence(x):
    return isinstance(x, Sequence) and not isinstance(x, str)


def _compare_values(actual, expected, rtol, atol, equal_nan, where):
    if rtol == 0 and atol == 0 and actual.dtype.kind in "iub" and expected.dtype.kind in "iub":
        close = actual == expected  # exact also where float64 would round large integers
        a, e = actual.astype(object), expected.astype(object)
    else:
        a, e = actual.astype(np.float64), expected.astype(np.float64)
        close = np.isclose(a, e, rtol=rtol, atol=atol, equal_nan=equal_nan)
    if np.all(close):
        return
    bad = ~np.atleast_1d(close)
    a, e = np.atleast_1d(a).astype(np.float64), np.atleast_1d(e).astype(np.float64)
    with np.errstate(all="ignore"):
        absolute = np.where(bad, np.abs(a - e), 0.0)
        relative = absolute / np.abs(e)
    lines = [
        f"Tensor-likes are not close!{where}",
        "",
        f"Mismatched elements: {bad.sum()} / {bad.size} ({bad.mean():.1%})",
        f"Greatest absolute difference: {_greatest(absolute, bad)} (up to {atol} allowed)",
        f"Greatest relative difference: {_greatest(relative, bad)} (up to {rtol} allowed)",
    ]
    raise AssertionError("\n".join(lines))


def _greatest(difference, bad):
    """The largest difference among the mismatched elements, NaN counting as the largest, and where it is."""
    ranked = np.where(bad, np.where(np.isnan(difference), np.inf, difference), -1.0)
    index = tuple(int(i) for i in np.unravel_index(np.argmax(ranked), ranked.shape))
    return f"{difference[index]} at index {index}"
