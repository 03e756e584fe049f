"""Bad input outside the ops: what is said when a tensor is made, converted, indexed or called wrongly.

The errors of each op are in its spec (tests/test_ops.py).
"""

import numpy as np
import pytest

import tilegrad as tg
from tilegrad.testing import assert_close

CASES = {
    # making tensors
    "ragged list": (lambda: tg.tensor([[1.0, 2.0], [3.0]]), ValueError, r"length"),
    "text": (lambda: tg.tensor("text"), (TypeError, ValueError), r"str"),
    "text in a list": (lambda: tg.tensor([1.0, "text"]), TypeError, r"tensor: data of type list .* cannot become a tensor"),
    "None in a list": (lambda: tg.tensor([1.0, None]), TypeError, r"tensor: data of type list .* cannot become a tensor"),
    "dtype of another kind": (lambda: tg.zeros(2, dtype="nothing"), TypeError, r"dtype.*nothing|nothing.*dtype|dtype.*str"),
    "unknown device": (lambda: tg.zeros(2, device="tpu"), RuntimeError, r"device.*tpu|tpu.*device"),
    "cuda without a GPU": (lambda: tg.zeros(2, device="cuda"), (RuntimeError, AssertionError), r"(?i)cuda"),
    "to an unknown device": (lambda: tg.zeros(2).to("moon"), RuntimeError, r"moon"),
    # one value
    "item of several": (lambda: tg.ones(2).item(), RuntimeError, r"2 elements"),
    "item of none": (lambda: tg.ones(0).item(), RuntimeError, r"0 elements"),
    "bool of several": (lambda: bool(tg.ones(2)), RuntimeError, r"truth value of a tensor of shape \(2,\) is ambiguous"),
    "bool of none": (lambda: bool(tg.ones(0)), RuntimeError, r"the truth value of a tensor of shape \(0,\) is ambiguous"),
    "float of several": (lambda: float(tg.ones(2)), (RuntimeError, TypeError, ValueError), r"2 elements|only one element"),
    "index of a float tensor": (lambda: [1, 2][tg.tensor(1.0)], TypeError, r"(?i)only integer|index"),
    "len of 0-d": (lambda: len(tg.tensor(1.0)), TypeError, r"len\(\) of a 0-d tensor"),
    "iteration of 0-d": (lambda: list(tg.tensor(1.0)), TypeError, r"iteration over a 0-d tensor"),
    # indexing
    "0-d with int": (lambda: tg.tensor(1.0)[0], IndexError, r"invalid index of a 0-dim tensor|too many indices"),
    "two ellipses": (lambda: tg.ones(2, 2)[..., ...], IndexError, r"ellipsis"),
    "slice with text": (lambda: tg.ones(3)["a":], TypeError, r"slice.*|ind(ex|ices).*"),
    "float tensor index": (lambda: tg.ones(3)[tg.ones(1)], IndexError, r"(int|long|byte|bool).*"),
    "mask of another size": (lambda: tg.ones(3)[tg.tensor([True, False])], IndexError, r"2.*3"),
    "index names the value": (lambda: tg.ones(3, 4)[1, 17], IndexError, r"17.*dim.*1.*4"),
    "index of an array names the value": (lambda: tg.ones(3, 4)[tg.tensor([0, -9])], IndexError, r"-9.*dim.*0.*3"),
    # arguments
    "unknown keyword": (lambda: tg.softmax(tg.ones(2, 2), axes=1), TypeError, r"softmax\(\).*'axes'"),
    "missing argument": (lambda: tg.matmul(tg.ones(2, 2)), TypeError, r"matmul\(\) missing argument 'y'"),
    "too many arguments": (lambda: tg.exp(tg.ones(2), 1, 2, 3), TypeError, r"exp\(\) takes 1 arguments?, 4 given"),
    "argument given twice": (lambda: tg.softmax(tg.ones(2, 2), 1, dim=0), TypeError, r"softmax\(\).*dim"),
    "array instead of a tensor": (lambda: tg.exp(np.ones(2)), TypeError, r"exp\(\).*(ndarray|Tensor)"),
    "None instead of a tensor": (lambda: tg.exp(None), TypeError, r"exp\(\).*NoneType"),
    "list instead of a tensor": (lambda: tg.matmul(tg.ones(2), [1.0, 2.0]), TypeError, r"matmul\(\).*list"),
    "attribute that is not there": (lambda: tg.ones(2).nonsense, AttributeError, r"nonsense"),
    "name that is not there": (lambda: tg.nonsense, AttributeError, r"nonsense"),
    "attribute cannot be set": (lambda: setattr(tg.ones(2), "shape", (1, 2)), AttributeError, r"shape|attribute"),
    # devices and dtypes that do not go together
    "int64 and float in cross_entropy": (
        lambda: tg.nn.functional.cross_entropy(tg.zeros(2, 3), tg.zeros(2)), ValueError, r"must have the input's shape"),
    "matmul of two dtypes": (lambda: tg.ones(2, 2) @ tg.ones(2, 2, dtype=tg.int64), RuntimeError, r"float32.*int64|dtype"),
    "in-place result of another dtype": (lambda: tg.tensor([1]).mul_(0.5), RuntimeError, r"float32.*int64|Float.*Long"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_error(case):
    call, exception, text = case
    with pytest.raises(exception, match=f"(?s){text}"):
        call()


F = tg.nn.functional
ONE = tg.ones(2, 4, 6)
NO_TENSOR = {
    "conv1d": lambda x: F.conv1d(x, tg.ones(2, 4, 3)),
    "conv1d weight": lambda x: F.conv1d(ONE, x),
    "conv_transpose2d": lambda x: F.conv_transpose2d(x, tg.ones(2, 4, 3, 3)),
    "max_pool1d": lambda x: F.max_pool1d(x, 2),
    "adaptive_avg_pool1d": lambda x: F.adaptive_avg_pool1d(x, 2),
    "max_unpool1d": lambda x: F.max_unpool1d(ONE, x, 2),
    "unfold": lambda x: F.unfold(x, 2),
    "fold": lambda x: F.fold(x, 2, 2),
    "pixel_shuffle": lambda x: F.pixel_shuffle(x, 2),
    "pad": lambda x: F.pad(x, (1, 1)),
    "interpolate": lambda x: F.interpolate(x, 3),
    "affine_grid": lambda x: F.affine_grid(x, (1, 1, 2, 2)),
    "grid_sample": lambda x: F.grid_sample(x, tg.ones(1, 2, 2, 2)),
    "scaled_dot_product_attention": lambda x: F.scaled_dot_product_attention(ONE, ONE, x),
    "attn_mask": lambda x: F.scaled_dot_product_attention(ONE, ONE, ONE, "x" if x is None else x),
    "batch_norm": lambda x: F.batch_norm(x, None, None, training=True),
    "batch_norm weight": lambda x: F.batch_norm(ONE, None, None, 3 if x is None else x, training=True),
    "layer_norm": lambda x: F.layer_norm(x, (6,)),
    "layer_norm bias": lambda x: F.layer_norm(ONE, (6,), None, 3 if x is None else x),
    "embedding": lambda x: F.embedding(x, tg.ones(3, 2)),
    "embedding weight": lambda x: F.embedding(tg.tensor([1]), x),
    "binary_cross_entropy": lambda x: F.binary_cross_entropy(x, tg.ones(2)),
    "nll_loss": lambda x: F.nll_loss(tg.ones(2, 3), x),
    "gather": lambda x: tg.gather(ONE, 0, x),
    "baddbmm": lambda x: tg.baddbmm(ONE, ONE, x),
    "einsum": lambda x: tg.einsum("i,i", tg.ones(2), x),
    "cumsum": lambda x: tg.cumsum(x, 0),
    "GRU state": lambda x: tg.nn.GRU(6, 3)(ONE, (tg.ones(1, 4, 3),) if x is None else x),
}


@pytest.mark.parametrize("value", [None, 3, "x", [1.0]])
@pytest.mark.parametrize("name", NO_TENSOR)
def test_something_else_than_a_tensor(name, value):
    with pytest.raises(TypeError, match=r"(?i)must be (a )?Tensor|expected a tensor"):
        NO_TENSOR[name](value)


@pytest.mark.parametrize("std", [-1.0, float("nan"), -1])
def test_a_standard_deviation_that_is_none(std):
    with pytest.raises(RuntimeError, match="std >= 0"):
        tg.normal(tg.zeros(2), tg.tensor([1.0, std]))
    with pytest.raises(RuntimeError, match="std >= 0"):
        tg.normal(tg.zeros(2), std)


@pytest.mark.parametrize("wrong", ["targets", "input_lengths", "target_lengths"])
def test_ctc_takes_whole_numbers(wrong):
    given = {"targets": tg.tensor([[1, 2]]), "input_lengths": tg.tensor([4]), "target_lengths": tg.tensor([2])}
    given[wrong] = given[wrong] + 0.5
    with pytest.raises(RuntimeError, match=f"ctc_loss: expected {wrong} of an integer dtype, got .*float32"):
        F.ctc_loss(tg.zeros(4, 1, 3), **given)


def test_more_sections_than_can_be_kept():
    with pytest.raises(RuntimeError, match="sections"):
        tg.tensor_split(tg.ones(7), 2**40)
    assert len(tg.tensor_split(tg.ones(2), 5)) == 5


@pytest.mark.parametrize("heads, rows, error", [(0, 24, ValueError), (-2, 24, ValueError), (2, 25, RuntimeError)])
def test_attention_heads_and_weights(heads, rows, error):
    x = tg.ones(5, 2, 8)
    with pytest.raises(error, match=f"num_heads must be positive|in_proj_weight of shape .*{rows}"):
        F.multi_head_attention_forward(
            x, x, x, 8, heads, tg.ones(rows, 8), tg.ones(24), None, None, False, 0.0, tg.ones(8, 8), tg.ones(8)
        )


def test_a_failed_assignment_changes_nothing():
    x = tg.zeros(3)
    with pytest.raises(IndexError):
        x[tg.tensor([0, 7])] = 1.0
    with pytest.raises(RuntimeError):
        x[:2] = tg.ones(3)
    assert x.tolist() == [0.0, 0.0, 0.0]


# --- promotion ---------------------------------------------------------------------------------------------------------

T = {n: (lambda n=n: tg.ones(2, dtype=getattr(tg, n))) for n in
     ("float32", "float64", "bfloat16", "float16", "int64", "int32", "int8", "uint8", "bool")}  # fmt: skip
Z = {n: (lambda n=n: tg.ones((), dtype=getattr(tg, n))) for n in T}


@pytest.mark.parametrize(
    "a, b, expected",
    [
        ("float32", "float64", "float64"), ("float32", "bfloat16", "float32"), ("bfloat16", "float16", "float32"),
        ("float16", "float32", "float32"), ("int64", "float16", "float16"), ("int64", "bfloat16", "bfloat16"),
        ("int64", "float32", "float32"), ("int32", "int64", "int64"), ("int8", "int32", "int32"), ("uint8", "int64", "int64"),
        ("bool", "uint8", "uint8"), ("bool", "float16", "float16"), ("uint8", "int32", "int32"), ("bool", "bool", "bool"),
    ],
)  # fmt: skip
def test_promotion_of_two_tensors(a, b, expected):
    assert (T[a]() * T[b]()).dtype == getattr(tg, expected)
    assert (T[b]() * T[a]()).dtype == getattr(tg, expected)
    assert tg.promote_types(getattr(tg, a), getattr(tg, b)) == getattr(tg, expected)


@pytest.mark.parametrize(
    "make, expected",
    [
        (lambda: T["int64"]() * 2, "int64"), (lambda: T["int64"]() * 2.0, "float32"), (lambda: T["float16"]() * 2.0, "float16"),
        (lambda: T["float64"]() * 2.0, "float64"), (lambda: T["bool"]() * 2, "int64"), (lambda: T["bool"]() * True, "bool"),
        (lambda: T["uint8"]() + 1, "uint8"), (lambda: T["int8"]() * 1.5, "float32"), (lambda: T["int64"]() / 2, "float32"),
        (lambda: T["int64"]() / T["int64"](), "float32"), (lambda: T["bool"]() + T["bool"](), "bool"),
        (lambda: T["float32"]() * Z["float64"](), "float32"), (lambda: T["int64"]() * Z["float64"](), "float64"),
        (lambda: T["float16"]() * Z["float32"](), "float16"), (lambda: T["int32"]() * Z["int64"](), "int32"),
        (lambda: T["bool"]() * Z["int8"](), "int8"), (lambda: Z["float32"]() * Z["float64"](), "float64"),
        (lambda: Z["int64"]() * 2.0, "float32"), (lambda: T["float32"]() * np.float64(2), "float32"),
        (lambda: tg.where(T["bool"](), T["float32"](), 0.0), "float32"),
        (lambda: tg.cat([T["int64"](), T["float32"]()]), "float32"),
        (lambda: T["int64"]().sum(), "int64"), (lambda: T["bool"]().sum(), "int64"), (lambda: T["uint8"]().sum(), "int64"),
        (lambda: T["int8"]().prod(), "int64"), (lambda: T["bool"]() == T["bool"](), "bool"), (lambda: tg.arange(3), "int64"),
        (lambda: tg.arange(3.0), "float32"), (lambda: tg.tensor(1), "int64"), (lambda: tg.tensor(True), "bool"),
        (lambda: tg.tensor([1, 2.5]), "float32"), (lambda: tg.tensor(np.ones(2)), "float64"),
        (lambda: tg.full((2,), 1), "int64"),
        (lambda: tg.full((2,), True), "bool"), (lambda: tg.full((2,), 1.0), "float32"), (lambda: 2 ** T["int64"](), "int64"),
    ],
)  # fmt: skip
def test_dtype_of_a_result(make, expected):
    assert make().dtype == getattr(tg, expected)


def test_default_dtype():
    assert tg.get_default_dtype() == tg.float32
    tg.set_default_dtype(tg.float64)
    try:
        assert tg.ones(2).dtype == tg.float64 and tg.tensor(1.0).dtype == tg.float64 and tg.rand(2).dtype == tg.float64
    finally:
        tg.set_default_dtype(tg.float32)


# --- assert_close itself -----------------------------------------------------------------------------------------------


def test_assert_close_accepts_what_is_close():
    assert_close(tg.ones(2), tg.ones(2) + 1e-7)
    assert_close([1.0, {"a": tg.ones(2)}], [1.0, {"a": tg.ones(2)}])
    assert_close(tg.tensor([float("nan")]), tg.tensor([float("nan")]), equal_nan=True)
    assert_close(np.ones(2), tg.ones(2, dtype=tg.float64))


@pytest.mark.parametrize(
    "actual, expected, text",
    [
        (lambda: tg.ones(2), lambda: tg.ones(2) + 1e-3, r"Tensor-likes are not close!.*Mismatched elements: 2 / 2 \(100.0%\)"),
        (lambda: tg.tensor([1.0, 2.0]), lambda: tg.tensor([1.0, 3.0]), r"Greatest absolute difference: 1.0 at index \(1,\)"),
        (lambda: tg.ones(2), lambda: tg.ones(3), r"'shape' do not match: \(2,\) != \(3,\)"),
        (lambda: tg.ones(2), lambda: tg.ones(2, dtype=tg.float64), r"'dtype' do not match: float32 != float64"),
        (lambda: tg.tensor([1, 2]), lambda: tg.tensor([1, 3]), r"Mismatched elements: 1 / 2"),
        (lambda: tg.tensor([float("nan")]), lambda: tg.tensor([float("nan")]), r"Mismatched elements: 1 / 1"),
        (lambda: tg.tensor([float("inf")]), lambda: tg.tensor([1.0]), r"inf at index \(0,\)"),
        (lambda: {"a": 1}, lambda: {"b": 1}, r"keys of the mappings"),
        (lambda: [1, 2], lambda: [1], r"length of the sequences"),
        (lambda: {"a": [tg.ones(1)]}, lambda: {"a": [tg.zeros(1)]}, r"at \['a'\]\[0\]"),
    ],
)  # fmt: skip
def test_assert_close_says_what_differs(actual, expected, text):
    with pytest.raises(AssertionError, match=f"(?s){text}"):
        assert_close(actual(), expected())


def test_assert_close_options():
    assert_close(tg.ones(2), tg.ones(2) + 0.05, rtol=0.1, atol=0.0)
    with pytest.raises(ValueError, match="both"):
        assert_close(1.0, 1.0, rtol=0.1)
    with pytest.raises(AssertionError, match=r"^mine$"):
        assert_close(1.0, 2.0, msg="mine")
