"""Arrays for samples: the shapes and memory layouts every op should meet."""

import numpy as np

from tilegrad.testing.spec import sample

SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-30, -1e-30, 1e30, -1e30, 0.5, -0.5, 1.5, 2.5, -2.5])


def uniform(rng, shape, low=-2.0, high=2.0):
    return np.asarray(rng.uniform(low, high, shape))


def spaced(rng, shape, low=-2.0, high=2.0):
    """Distinct values, far from each other for their number, in random order: for max, sort and other kinks."""
    n = int(np.prod(shape))
    return rng.permutation(np.linspace(low, high, n) + 1e-3).reshape(shape)


def transposed(a):
    """The values of `a`, stored with the dimensions in reverse order."""
    return np.ascontiguousarray(a.T).T


def stepped(a):
    """The values of `a`, stored in every second element."""
    return np.repeat(a, 2, axis=-1)[..., ::2]


def expanded(a, shape):
    """`a` broadcast to `shape` with strides of 0."""
    return np.broadcast_to(a, shape)


def unary_arrays(rng, low=-2.0, high=2.0, make=uniform):
    """(array, note): contiguous, strided, empty, size-1, 0-d and odd sizes."""
    return [
        (make(rng, (), low, high), "0-d"),
        (make(rng, (1,), low, high), "one element"),
        (make(rng, (1, 1, 1), low, high), "one element, 3-d"),
        (make(rng, (7, 13), low, high), "odd sizes"),
        (make(rng, (3, 1, 5), low, high), "a dim of one"),
        (make(rng, (1037,), low, high), "longer than any vector"),
        (np.zeros((0,)), "empty"),
        (np.zeros((2, 0, 3)), "empty, 3-d"),
        (transposed(make(rng, (5, 9), low, high)), "transposed"),
        (np.ascontiguousarray(make(rng, (2, 3, 4), low, high).transpose(1, 0, 2)).transpose(1, 0, 2), "permuted"),
        (stepped(make(rng, (3, 17), low, high)), "every second element"),
        (expanded(make(rng, (4, 1), low, high), (4, 6)), "expanded"),
    ]


def unary_samples(rng, low=-2.0, high=2.0, make=uniform, special=True, args=(), **kwargs):
    """unary_arrays as samples, and one of special values (for floating dtypes, without gradient)."""
    samples = [sample(a, *args, note=note, **kwargs) for a, note in unary_arrays(rng, low, high, make)]
    if special:
        floats = ("float32", "float64", "bfloat16", "float16")
        samples.append(sample(SPECIAL, *args, gradient=False, dtypes=floats, note="special values", **kwargs))
    return samples


def binary_arrays(rng, low=-2.0, high=2.0, low2=None, high2=None):
    """(x, y, note): equal shapes, every kind of broadcasting, mixed layouts."""
    low2, high2 = low if low2 is None else low2, high if high2 is None else high2

    def x(*shape):
        return uniform(rng, shape, low, high)

    def y(*shape):
        return uniform(rng, shape, low2, high2)

    return [
        (x(), y(), "0-d"),
        (x(1), y(1), "one element"),
        (x(7, 13), y(7, 13), "odd sizes"),
        (x(1037), y(1037), "longer than any vector"),
        (x(3, 5), y(5), "row"),
        (x(3, 5), y(3, 1), "column"),
        (x(4, 1), y(1, 6), "outer"),
        (x(2, 3, 4), y(), "0-d on the right"),
        (x(), y(2, 3), "0-d on the left"),
        (x(3), y(2, 1, 3), "more dims on the right"),
        (np.zeros((0, 3)), y(3), "empty"),
        (np.zeros((2, 0)), y(2, 1), "empty, broadcast"),
        (transposed(x(5, 9)), y(5, 9), "transposed and contiguous"),
        (transposed(x(5, 9)), transposed(y(5, 9)), "both transposed"),
        (stepped(x(3, 17)), y(3, 17), "every second element"),
        (expanded(x(1, 6), (4, 6)), y(4, 6), "expanded"),
    ]


def binary_samples(rng, low=-2.0, high=2.0, low2=None, high2=None, special=True):
    samples = [sample(a, b, note=note) for a, b, note in binary_arrays(rng, low, high, low2, high2)]
    if special:
        floats = ("float32", "float64", "bfloat16", "float16")
        x, y = (np.ascontiguousarray(m) for m in np.meshgrid(SPECIAL, SPECIAL))
        samples.append(sample(x, y, gradient=False, dtypes=floats, note="special values"))
    return samples
