"""Binary arithmetic: broadcasting, Python scalars on either side, integers that stay integers."""

import numpy as np

import tilegrad as tg
from tilegrad.reference import elementwise
from tilegrad.testing.layouts import SPECIAL, binary_arrays, binary_samples, uniform
from tilegrad.testing.spec import ALL, FLOATS, INTEGERS, NUMBERS, OpError, OpSpec, op, sample


def samples(low=-2.0, high=2.0, low2=None, high2=None, special=True):
    return lambda rng: binary_samples(rng, low, high, low2, high2, special)


def apart(rng):
    """Pairs that are never close to each other: for maximum and minimum."""
    pairs = [(a, b + np.where(b < a.mean(), -2.0, 2.0) if a.size else b, n) for a, b, n in binary_arrays(rng, -1.0, 1.0)]
    x, y = (np.ascontiguousarray(m) for m in np.meshgrid(SPECIAL, SPECIAL))
    return [sample(a, b, note=n) for a, b, n in pairs] + [sample(x, y, gradient=False, dtypes=FLOATS, note="special values")]


def division_samples(rng):
    """Signs in all four combinations, exact multiples, a divisor of varying size; no zero divisor for integers."""
    signs = [(7.0, 3.0), (-7.0, 3.0), (7.0, -3.0), (-7.0, -3.0), (6.0, 3.0), (-6.0, 3.0), (6.0, -3.0), (0.0, 5.0)]
    x, y = (np.array(v) for v in zip(*signs, strict=True))
    result = [sample(a, b, note=n) for a, b, n in binary_arrays(rng, -50.0, 50.0, 1.0, 7.0)]
    return [*result, sample(x, y, gradient=False, note="all signs")]


def zero_divisors(rng):
    x, y = np.array([1.0, -1.0, 0.0, np.inf, np.nan, 3.0]), np.array([0.0, 0.0, 0.0, 2.0, 2.0, np.inf])
    return [*division_samples(rng), sample(x, y, gradient=False, dtypes=FLOATS, note="zero and infinite divisors")]


def steps(rng):
    """Quotients that stay away from whole numbers: floor_divide and remainder jump there."""
    quotient, y = rng.integers(-5, 6, (6, 7)) + uniform(rng, (6, 7), 0.2, 0.8), uniform(rng, (6, 7), 1.0, 3.0)
    smooth = sample(quotient * y, y, dtypes=FLOATS, note="away from the steps")
    return [smooth, *list(_without_gradient(division_samples(rng)))]


def _without_gradient(samples):
    return [sample(*s.args, gradient=False, dtypes=s.dtypes, note=s.note) for s in samples]


def power_samples(rng):
    """Positive bases with any exponent; whole exponents with any base; integers that do not overflow int8."""
    smooth = [sample(a, b, dtypes=FLOATS, note=n) for a, b, n in binary_arrays(rng, 0.5, 2.0, -2.0, 2.0)]
    special = np.array([0.0, 1.0, 2.0, np.inf, np.nan, -1.0, -2.0])
    x, y = (np.ascontiguousarray(m) for m in np.meshgrid(special, special))
    return [
        *smooth,
        sample(np.array([2.0, 3.0, -2.0, 0.0, 1.0]), np.array([3.0, 4.0, 3.0, 0.0, 7.0]), gradient=False, note="whole"),
        sample(x, y, gradient=False, dtypes=FLOATS, note="special values"),
    ]


def scalar_samples(*scalars, low=0.5, high=3.0):
    """A tensor with a Python number."""
    return lambda rng: [sample(uniform(rng, shape, low, high), s) for s in scalars for shape in ((), (3, 5), (0,), (1, 17))]


def binary(name, numpy, make, dtypes=NUMBERS, **options):
    options.setdefault("differentiable", (0, 1))
    return OpSpec(name, op(name), numpy, make, dtypes, **options)


# alpha * y is rounded to the storage type on its own
MULTIPLIED = {"float32": (2e-6, 1e-6), "float64": (1e-13, 1e-14), "bfloat16": (2.0**-7, 4e-2), "float16": (2.0**-9, 5e-3)}
SHAPES_DIFFER = r"shapes \(2, 3\) and \(2, 4\) cannot be broadcast together: sizes 3 and 4 differ at dim 1"


def broadcast_error(name, dtype="float32"):
    def call():
        return getattr(tg, name)(tg.ones(2, 3, dtype=getattr(tg, dtype)), tg.ones(2, 4, dtype=getattr(tg, dtype)))

    return OpError(call, RuntimeError, f"^{name.replace('logical_', '(logical|bitwise)_')}: {SHAPES_DIFFER}")


SPECS = [
    binary("add", elementwise.add, samples()),
    binary("sub", elementwise.sub, samples()),
    binary("mul", np.multiply, samples()),
    binary("div", elementwise.div, zero_divisors, result="float"),
    binary("floor_divide", elementwise.floor_divide, steps, differentiable=()),
    binary("remainder", elementwise.remainder, steps, tolerances={"float32": (1e-6, 1e-5), "float64": (1e-13, 1e-12)}),
    binary("pow", elementwise.pow, power_samples, tolerances={"float32": (2e-6, 1e-7), "float64": (1e-12, 1e-15)}),
    binary("maximum", elementwise.maximum, apart, ALL),
    binary("minimum", elementwise.minimum, apart, ALL),
    binary("atan2", np.arctan2, samples(0.5, 2.0), FLOATS, tolerances={"float32": (2e-6, 1e-6), "float64": (1e-12, 1e-14)}),
    binary("bitwise_and", np.bitwise_and, samples(-20, 20, special=False), (*INTEGERS, "bool"), differentiable=()),
    binary("bitwise_or", np.bitwise_or, samples(-20, 20, special=False), (*INTEGERS, "bool"), differentiable=()),
    binary("bitwise_xor", np.bitwise_xor, samples(-20, 20, special=False), (*INTEGERS, "bool"), differentiable=()),
    OpSpec(
        "add_alpha",
        fn=lambda x, y: tg.add(x, y, alpha=3),
        numpy=lambda x, y: elementwise.add(x, y, alpha=3),
        samples=samples(),
        dtypes=NUMBERS,
        tolerances=MULTIPLIED,
        differentiable=(0, 1),
        rows=("add",),
    ),
    OpSpec(
        "sub_alpha",
        fn=lambda x, y: tg.sub(x, y, alpha=2),
        numpy=lambda x, y: elementwise.sub(x, y, alpha=2),
        samples=samples(),
        dtypes=NUMBERS,
        tolerances=MULTIPLIED,
        differentiable=(0, 1),
        rows=("sub",),
    ),
    OpSpec(
        "div_floor",
        fn=lambda x, y: tg.div(x, y, rounding_mode="floor"),
        numpy=elementwise.floor_divide,
        samples=steps,
        dtypes=NUMBERS,
        rows=("floor_divide",),
    ),
    OpSpec(
        "div_trunc",
        fn=lambda x, y: tg.div(x, y, rounding_mode="trunc"),
        numpy=lambda x, y: elementwise.div(x, y, "trunc"),
        samples=steps,
        dtypes=FLOATS[:2] + INTEGERS,  # a 16-bit quotient may round up to the next whole number
        rows=("div", "trunc"),
    ),
]

SCALARS = {
    "add_scalar": (lambda x, s: x + s, (2, -3)),
    "radd_scalar": (lambda x, s: s + x, (2, -3)),
    "sub_scalar": (lambda x, s: x - s, (2, -3)),
    "rsub_scalar": (lambda x, s: s - x, (2, -3)),
    "mul_scalar": (lambda x, s: x * s, (2, -3)),
    "rmul_scalar": (lambda x, s: s * x, (2, -3)),
    "pow_scalar": (lambda x, s: x**s, (0, 1, 2, 3, 4)),
    "floor_divide_scalar": (lambda x, s: x // s, (2,)),
    "remainder_scalar": (lambda x, s: x % s, (2,)),
}
KERNELS = {"radd_scalar": "add", "rsub_scalar": "sub", "rmul_scalar": "mul"}
SPECS += [
    OpSpec(
        name,
        fn,
        fn,
        scalar_samples(*scalars),
        NUMBERS,
        differentiable=() if name == "floor_divide_scalar" else (0,),
        tolerances={"float32": (2e-6, 1e-6), "float64": (1e-12, 1e-14)},
        rows=(KERNELS.get(name, name.removesuffix("_scalar")),),
    )
    for name, (fn, scalars) in SCALARS.items()
]
SPECS += [
    OpSpec("div_scalar", lambda x, s: x / s, lambda x, s: x / s, scalar_samples(2, -3), NUMBERS, "float", differentiable=(0,)),
    OpSpec(
        "rdiv_scalar",
        lambda x, s: s / x,
        lambda x, s: s / x,
        scalar_samples(2, -3, low=1.0),
        NUMBERS,
        "float",
        differentiable=(0,),
    ),
    OpSpec(
        "rpow_scalar", lambda x, s: s**x, lambda x, s: np.power(float(s), x), scalar_samples(2, 3), FLOATS, differentiable=(0,)
    ),
    OpSpec(
        "pow_fraction",
        lambda x, s: x**s,
        lambda x, s: x**s,
        scalar_samples(0.5, -0.5, 1.5, -1, -2.0),
        FLOATS,
        differentiable=(0,),
        tolerances={"float32": (2e-6, 1e-6), "float64": (1e-12, 1e-14)},
    ),
]

for _spec in SPECS[:13]:
    _spec.errors.append(broadcast_error(_spec.name, "int64" if _spec.name.startswith("bitwise") else "float32"))
_by_name = {s.name: s for s in SPECS}
_by_name["add"].errors += [
    OpError(lambda: tg.ones(2) + "text", TypeError, r"unsupported operand type\(s\) for \+: 'Tensor' and 'str'"),
    OpError(lambda: tg.add(tg.ones(2), "text"), TypeError, r"add\(\): argument 'y' must be .*, not str"),
]
_by_name["sub"].errors.append(
    OpError(lambda: tg.tensor([True]) - tg.tensor([False]), TypeError, r"sub: bool tensors cannot be subtracted")
)
_by_name["bitwise_and"].errors.append(
    OpError(lambda: tg.ones(2) & tg.ones(2), TypeError, r"bitwise_and: expected integer or bool tensors, got float32")
)
_by_name["floor_divide"].errors.append(
    OpError(
        lambda: tg.tensor([1, 2]) // tg.tensor([1, 0]),
        (RuntimeError, ZeroDivisionError),
        r"floor_divide: integer division by zero",
    )
)
_by_name["pow"].errors.append(
    OpError(lambda: tg.tensor([2, 3]) ** -1, RuntimeError, r"pow: an integer tensor to the negative power -1"),
)
