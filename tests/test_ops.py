"""Every op spec against its NumPy reference, on every dtype; inputs stay as they are; bad input gives the stated error."""

import re

import numpy as np
import pytest

import tilegrad as tg
from tilegrad.testing.compare import to_numpy
from tilegrad.testing.spec import flat
from tilegrad.testing.specs import all_specs

SPECS = all_specs()
BY_DTYPE = [pytest.param(s, d, id=f"{s.name}-{d}") for s in SPECS for d in s.dtypes]
ERRORS = [pytest.param(e, id=f"{s.name}-{i}") for s in SPECS for i, e in enumerate(s.errors)]


@pytest.mark.parametrize("spec, dtype", BY_DTYPE)
def test_values(spec, dtype):
    failures = []
    for sample in spec.samples_for(dtype):
        try:
            spec.compare(sample, dtype)
        except Exception as error:
            failures.append(error if isinstance(error, AssertionError) else f"{spec.name}{sample}, {dtype}: {error!r}")
    if failures:
        pytest.fail("\n".join(f"{f}" for f in failures[:8]) + f"\n{len(failures)} samples failed", pytrace=False)


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: s.name)
def test_inputs_unchanged(spec):
    for sample in spec.samples_for(spec.dtypes[0]):
        args, kwargs = spec.tensors(sample, spec.dtypes[0])
        tensors = [t for a in [*args, *kwargs.values()] for t in flat(a) if isinstance(t, tg.Tensor)]
        before = [(to_numpy(t).copy(), t.shape, t.stride(), t.dtype) for t in tensors]
        spec.fn(*args, **kwargs)
        for t, (values, *rest) in zip(tensors, before, strict=True):
            assert [t.shape, t.stride(), t.dtype] == rest, f"{spec.name}{sample}"
            np.testing.assert_array_equal(to_numpy(t), values, err_msg=f"{spec.name}{sample} changed an input")


@pytest.mark.parametrize("error", ERRORS)
def test_errors(error):
    with pytest.raises(error.exception) as caught:
        error.call()
    if not re.search(error.text, str(caught.value), re.S):
        pytest.fail(f"expected {error.text!r}, the message is {str(caught.value)!r}", pytrace=False)


# --- the same op by its other names ------------------------------------------------------------------------------------

METHODS = [
    "abs",
    "neg",
    "sign",
    "square",
    "sqrt",
    "rsqrt",
    "reciprocal",
    "exp",
    "expm1",
    "log",
    "log1p",
    "log2",
    "sin",
    "cos",
    "tanh",
    "sigmoid",
    "relu",
    "erf",
    "floor",
    "ceil",
    "round",
    "trunc",
    "isnan",
    "isinf",
    "isfinite",
    "logical_not",
    "sum",
    "mean",
    "prod",
    "amax",
    "amin",
    "argmax",
    "argmin",
    "var",
    "std",
    "any",
    "all",
    "max",
    "min",
    "flatten",
    "squeeze",
    "t",
    "contiguous",
    "clone",
    "tril",
    "triu",
    "norm",
    "nonzero",
]


@pytest.mark.parametrize("name", METHODS)
def test_method_is_the_function(name):
    x = tg.tensor(np.random.default_rng(0).uniform(0.1, 0.9, (3, 4)), dtype=tg.float32)
    by_method = getattr(x, name)()
    if hasattr(tg, name):
        np.testing.assert_array_equal(to_numpy(by_method), to_numpy(getattr(tg, name)(x)))


@pytest.mark.parametrize(
    "name",
    ["sum", "mean", "prod", "amax", "amin", "argmax", "argmin", "var", "std", "any", "all", "max", "min", "norm", "logsumexp"],
)
def test_axis_and_keepdims_are_accepted(name):
    x = tg.tensor(np.random.default_rng(0).uniform(0.1, 0.9, (3, 4)), dtype=tg.float32)
    for by_axis, by_dim in ((getattr(tg, name)(x, axis=1), getattr(tg, name)(x, dim=1)),
                            (getattr(x, name)(axis=1, keepdims=True), getattr(x, name)(dim=1, keepdim=True))):  # fmt: skip
        for a, b in zip(flat(by_axis), flat(by_dim), strict=True):
            assert a.shape == b.shape
            np.testing.assert_array_equal(to_numpy(a), to_numpy(b))


OPERATORS = {
    "+": (lambda a, b: a + b, "add"), "-": (lambda a, b: a - b, "sub"), "*": (lambda a, b: a * b, "mul"),
    "/": (lambda a, b: a / b, "div"), "//": (lambda a, b: a // b, "floor_divide"), "%": (lambda a, b: a % b, "remainder"),
    "**": (lambda a, b: a**b, "pow"), "@": (lambda a, b: a @ b, "matmul"), "==": (lambda a, b: a == b, "eq"),
    "!=": (lambda a, b: a != b, "ne"), "<": (lambda a, b: a < b, "lt"), "<=": (lambda a, b: a <= b, "le"),
    ">": (lambda a, b: a > b, "gt"), ">=": (lambda a, b: a >= b, "ge"),
}  # fmt: skip


@pytest.mark.parametrize("sign", OPERATORS)
def test_operators(sign):
    a, b = tg.tensor([[1.0, 2.0], [3.0, 4.0]]), tg.tensor([[2.0, 2.0], [1.0, 5.0]])
    operator, name = OPERATORS[sign]
    assert operator(a, b).tolist() == getattr(tg, name)(a, b).tolist()


@pytest.mark.parametrize("sign", ["&", "|", "^"])
def test_bit_operators(sign):
    operators = {"&": lambda a, b: a & b, "|": lambda a, b: a | b, "^": lambda a, b: a ^ b}
    a, b = np.array([12, 10, -1]), np.array([10, 3, 7])
    assert operators[sign](tg.tensor(a), tg.tensor(b)).tolist() == operators[sign](a, b).tolist()
    assert operators[sign](tg.tensor(a > 0), tg.tensor(b > 5)).tolist() == operators[sign](a > 0, b > 5).tolist()


@pytest.mark.parametrize(
    "name, operand, expected",
    [("add_", 2.0, [3.0, 6.0]), ("sub_", 1.0, [0.0, 3.0]), ("mul_", 3.0, [3.0, 12.0]), ("div_", 2.0, [0.5, 2.0]),
     ("fill_", 7.0, [7.0, 7.0]), ("clamp_", 2.0, [2.0, 4.0]), ("pow_", 2, [1.0, 16.0])],
)  # fmt: skip
def test_in_place_methods(name, operand, expected):
    x = tg.tensor([1.0, 4.0])
    assert getattr(x, name)(operand) is x
    assert x.tolist() == expected


@pytest.mark.parametrize("name", ["zero_", "abs_", "neg_", "exp_", "sqrt_", "relu_", "tanh_", "sigmoid_"])
def test_unary_in_place_methods(name):
    x = tg.tensor([1.0, 4.0])
    expected = x * 0 if name == "zero_" else getattr(tg, name[:-1])(x)
    assert getattr(x, name)() is x
    assert x.tolist() == expected.tolist()
