"""Gradients of every spec against finite differences in float64, orders 1 and 2; order 3 for a few; and the checker itself."""

import numpy as np
import pytest

import tilegrad as tg
from tilegrad.testing import GradcheckError, gradcheck, gradgradcheck
from tilegrad.testing.compare import dtype_name, to_numpy
from tilegrad.testing.spec import FLOATS, flat
from tilegrad.testing.specs import all_specs, spec

DIFFERENTIABLE = [s for s in all_specs() if s.differentiable]


def by_name(s):
    return s.name


def calls(s, limit=None):
    """(sample, function, inputs) of the samples that have a derivative."""
    chosen = [x for x in s.samples_for("float64") if x.gradient][:limit]
    for x in chosen:
        function, inputs = s.differentiable_call(x)
        if inputs:
            yield x, function, inputs


def check_all(check, s, limit=None, **options):
    rtol, atol = s.gradient_tolerance
    failures, count = [], 0
    for x, function, inputs in calls(s, limit):
        count += 1
        try:
            check(function, inputs, rtol=rtol, atol=atol, **options)
        except Exception as error:
            failures.append(f"{s.name}{x}: {type(error).__name__}: {error}")
    assert count, f"{s.name} has no sample with a gradient"
    if failures:
        pytest.fail("\n".join(failures[:5]) + f"\n{len(failures)} of {count} samples failed", pytrace=False)


@pytest.mark.parametrize("s", DIFFERENTIABLE, ids=by_name)
def test_first_order(s):
    check_all(gradcheck, s, fast_mode=True)


@pytest.mark.parametrize("s", [s for s in DIFFERENTIABLE if s.order >= 2], ids=by_name)
def test_second_order(s):
    check_all(gradgradcheck, s, fast_mode=True)


SMOOTH = [
    "exp",
    "tanh",
    "sigmoid",
    "sin",
    "mul",
    "div",
    "pow",
    "matmul",
    "softmax",
    "log_softmax",
    "cross_entropy",
    "gelu",
    "logsumexp",
    "getitem",
    "linear_gelu",
]


@pytest.mark.parametrize("name", SMOOTH)
def test_third_order(name):
    s = spec(name)
    for sample, function, inputs in list(calls(s))[3:7]:

        def gradient(*x, function=function):
            y = function(*x)[0]
            return tuple(g for g in tg.autograd.grad((y * y).sum(), x, create_graph=True) if g.requires_grad)

        assert gradgradcheck(gradient, inputs, fast_mode=True, rtol=1e-3, atol=1e-5), f"{name}{sample}"


@pytest.mark.parametrize(
    "name",
    [
        "add",
        "mul",
        "matmul",
        "softmax",
        "log_softmax",
        "cross_entropy",
        "sum",
        "var",
        "max",
        "where",
        "getitem",
        "cat",
        "linear_relu",
    ],
)
def test_whole_jacobian(name):
    """Every element of the Jacobian, not one direction: a wrong element cannot hide."""
    s = spec(name)
    small = [c for c in calls(s) if sum(int(np.prod(tuple(t.shape))) for t in c[2]) <= 60]
    assert small
    for sample, function, inputs in small[:8]:
        assert gradcheck(function, inputs, rtol=1e-4, atol=1e-6), f"{name}{sample}"


@pytest.mark.parametrize("s", DIFFERENTIABLE, ids=by_name)
def test_gradient_has_the_dtype_and_shape_of_its_input(s):
    sample = next(x for x in s.samples_for("float64") if x.gradient)
    for dtype in (d for d in s.dtypes if d in FLOATS):
        function, inputs = s.differentiable_call(sample)
        leaves = [t.detach().to(getattr(tg, dtype)).requires_grad_() for t in inputs]
        outputs = [y for y in function(*leaves) if y.requires_grad]
        gradients = tg.autograd.grad(outputs, leaves, [tg.ones_like(y) for y in outputs], allow_unused=True)
        for g, leaf in zip(gradients, leaves, strict=True):
            if g is not None:
                assert (dtype_name(g.dtype), tuple(g.shape)) == (dtype, tuple(leaf.shape))


NOT_DIFFERENTIABLE = [s for s in all_specs() if not s.differentiable and "float64" in s.dtypes and not s.takes_dtype]


@pytest.mark.parametrize("s", [s for s in NOT_DIFFERENTIABLE if s.result in ("bool", "int64")], ids=by_name)
def test_integer_and_bool_results_have_no_gradient(s):
    for sample in s.samples_for("float64")[:3]:
        args, kwargs = s.tensors(sample)
        for t in args:
            if isinstance(t, tg.Tensor) and t.dtype == tg.float64:
                t.requires_grad_()
        assert not any(y.requires_grad for y in flat(s.fn(*args, **kwargs)))


# --- special places ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, x, expected",
    [("relu", [-1.0, 0.0, 1.0], [0.0, 0.0, 1.0]), ("abs", [-1.0, 0.0, 1.0], [-1.0, 0.0, 1.0]),
     ("sign", [-1.0, 0.0], [0.0, 0.0]),
     ("floor", [0.5, 1.0], [0.0, 0.0]), ("round", [0.5, 1.0], [0.0, 0.0])],
)  # fmt: skip
def test_subgradients_are_pytorchs(name, x, expected):
    x = tg.tensor(x, requires_grad=True)
    getattr(tg, name)(x).sum().backward()
    assert x.grad.tolist() == expected


def test_maximum_shares_a_tie():
    x, y = tg.tensor([1.0, 2.0], requires_grad=True), tg.tensor([1.0, 3.0], requires_grad=True)
    tg.maximum(x, y).sum().backward()
    assert (x.grad.tolist(), y.grad.tolist()) == ([0.5, 0.0], [0.5, 1.0])


def test_amax_shares_a_tie_and_max_picks_one():
    x = tg.tensor([1.0, 3.0, 3.0], requires_grad=True)
    tg.amax(x).backward()
    assert x.grad.tolist() == [0.0, 0.5, 0.5]
    x.grad = None
    x.max(0).values.backward()
    assert x.grad.tolist() == [0.0, 1.0, 0.0]


def test_clamp_lets_the_gradient_through_at_its_bounds():
    x = tg.tensor([-2.0, -1.0, 0.0, 1.0, 2.0], requires_grad=True)
    tg.clamp(x, -1.0, 1.0).sum().backward()
    assert x.grad.tolist() == [0.0, 1.0, 1.0, 1.0, 0.0]


def test_pow_at_zero():
    x = tg.tensor([0.0, 0.0], dtype=tg.float64, requires_grad=True)
    (x**2).sum().backward()
    assert x.grad.tolist() == [0.0, 0.0]
    y = tg.tensor([0.0, 2.0], dtype=tg.float64, requires_grad=True)
    (tg.zeros(2, dtype=tg.float64) ** y).sum().backward()
    assert y.grad.tolist() == [-np.inf, 0.0] or y.grad.tolist() == [0.0, 0.0]


def test_where_keeps_nan_out_of_the_chosen_branch_only_by_its_mask():
    x = tg.tensor([0.0, 4.0], requires_grad=True)
    tg.where(x > 1, x, tg.zeros(2)).sum().backward()
    assert x.grad.tolist() == [0.0, 1.0]


def test_norm_at_zero_has_gradient_zero():
    x = tg.zeros(3, requires_grad=True)
    tg.norm(x).backward()
    assert x.grad.tolist() == [0.0, 0.0, 0.0]


# --- the checker itself ------------------------------------------------------------------------------------------------


class WrongSquare(tg.autograd.Function):
    """x * x whose gradient is off by a thousandth."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        return dy * x * 2.002


class WrongSecondOrder(tg.autograd.Function):
    """A right gradient made of detached data: order 2 is silently zero."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        return dy * (3 * x.detach() ** 2)


def leaf(*values, dtype=tg.float64):
    return tg.tensor(values, dtype=dtype, requires_grad=True)


@pytest.mark.parametrize("fast_mode", [False, True])
def test_gradcheck_finds_a_wrong_gradient(fast_mode):
    with pytest.raises(GradcheckError, match="Jacobian mismatch for output 0 with respect to input 1") as caught:
        gradcheck(lambda x, y: x + WrongSquare.apply(y), (leaf(1.0), leaf(1.0, 2.0)), rtol=1e-4, fast_mode=fast_mode)
    assert "numerical" in str(caught.value) and "analytical" in str(caught.value)
    assert gradcheck(WrongSquare.apply, leaf(1.0, 2.0), rtol=1e-4, raise_exception=False, fast_mode=fast_mode) is False
    assert gradcheck(WrongSquare.apply, leaf(1.0, 2.0), rtol=1e-2, fast_mode=fast_mode)


@pytest.mark.parametrize("fast_mode", [False, True])
def test_gradgradcheck_finds_a_wrong_second_derivative(fast_mode):
    assert gradcheck(WrongSecondOrder.apply, leaf(1.0, 2.0), fast_mode=fast_mode)
    with pytest.raises(GradcheckError, match="Jacobian mismatch"):
        gradgradcheck(WrongSecondOrder.apply, leaf(1.0, 2.0), fast_mode=fast_mode)
    assert gradgradcheck(lambda x: x * x * x, leaf(1.0, 2.0), fast_mode=fast_mode)


def test_gradcheck_names_the_output():
    with pytest.raises(GradcheckError, match="Jacobian mismatch for output 1 with respect to input 0"):
        gradcheck(lambda x: (x * 2, WrongSquare.apply(x)), leaf(3.0), rtol=1e-4)


def test_gradcheck_needs_float64():
    with pytest.raises(ValueError, match="input 0 requires grad and is float32; numerical differentiation needs float64"):
        gradcheck(lambda x: x * x, leaf(1.0, dtype=tg.float32))
    with pytest.raises(GradcheckError, match="output 0 is float32"):
        gradcheck(lambda x: (x * x).to(tg.float32), leaf(1.0))


def test_gradcheck_needs_an_input_that_requires_grad():
    with pytest.raises(ValueError, match="expects at least one input tensor to require gradient"):
        gradcheck(lambda x: x * x, tg.ones(2, dtype=tg.float64))


def test_gradcheck_finds_noise():
    state = {"calls": 0}

    class Noisy(tg.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1.0

        @staticmethod
        def backward(ctx, dy):
            state["calls"] += 1
            return dy * (1.0 + 1e-9 * state["calls"])

    with pytest.raises(GradcheckError, match="not reentrant"):
        gradcheck(Noisy.apply, leaf(1.0))
    assert gradcheck(Noisy.apply, leaf(1.0), nondet_tol=1e-6)


def test_gradcheck_ignores_inputs_without_gradient():
    assert gradcheck(lambda x, scale, n: x * scale * n, (leaf(1.0, 2.0), tg.ones(2, dtype=tg.float64), 3))


def test_gradcheck_handles_an_unused_input_and_empty_tensors():
    assert gradcheck(lambda x, y: x * 2, (leaf(1.0), leaf(2.0)))
    assert gradcheck(lambda x: x * 2, tg.zeros(0, dtype=tg.float64, requires_grad=True))


def test_reduced_precision_gradient_is_near_the_float64_one(rng):
    x = rng.standard_normal((5, 7))
    gradients = {}
    for dtype in ("float64", "float32", "bfloat16", "float16"):
        t = tg.tensor(x, dtype=getattr(tg, dtype), requires_grad=True)
        (tg.softmax(t, 1) * tg.tanh(t)).sum().backward()
        gradients[dtype] = to_numpy(t.grad).astype(np.float64)
    for dtype, tolerance in (("float32", 1e-5), ("float16", 1e-2), ("bfloat16", 5e-2)):
        np.testing.assert_allclose(gradients[dtype], gradients["float64"], atol=tolerance)
