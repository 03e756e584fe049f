"""What code does with a tensor without naming an op: Python's own protocols, copies, conversions, old constructors."""

import copy
import math
import pickle

import numpy as np
import pytest

import tilegrad as tg


def test_python_numbers():
    assert (float(tg.tensor(2.5)), int(tg.tensor([3.9])), bool(tg.tensor([[1]])), bool(tg.tensor(0.0))) == (2.5, 3, True, False)
    assert [10, 20, 30][tg.tensor(1)] == 20
    assert tg.tensor(2.5).item() == 2.5 and isinstance(tg.tensor(2).item(), int) and tg.tensor(True).item() is True
    assert math.sqrt(tg.ones(3, 4).size(-1)) == 2.0
    assert f"{tg.tensor(2.0):.3f}" == "2.000" and f"{tg.tensor(7):d}" == "7"


def test_size_and_shape():
    x = tg.zeros(2, 3, 4)
    n, *rest = x.shape
    assert (n, rest, x.size(), x.size(1), x.size(-1)) == (2, [3, 4], (2, 3, 4), 3, 4)
    assert (x.dim(), x.ndim, x.numel(), x.nelement(), len(x)) == (3, 3, 24, 24, 2)
    assert isinstance(x.shape, tuple) and x.shape == (2, 3, 4) and x.shape[1:] == (3, 4)
    assert tuple(x.view(x.shape[0], -1).shape) == (2, 12) and tuple(x.reshape(x.size(0) * 3, 4).shape) == (6, 4)
    assert (x.element_size(), x.nbytes) == (4, 96)


def test_sum_of_a_list_and_of_a_generator():
    rows = [tg.ones(2) * i for i in range(4)]
    assert sum(rows).tolist() == [6.0, 6.0]
    assert sum(r.sum() for r in rows).item() == 12.0


def test_iteration_unpacking_and_membership():
    a, b = tg.tensor([[1, 2], [3, 4]])
    assert (a.tolist(), b.tolist()) == ([1, 2], [3, 4])
    assert [int(v) for v in tg.arange(3)] == [0, 1, 2]
    assert 3 in tg.arange(4) and 7 not in tg.arange(4)
    x = tg.ones(2)
    assert any(x is t for t in [tg.zeros(2), x])


def test_tensors_are_hashed_by_identity():
    x, y = tg.ones(2), tg.ones(2)
    table = {x: "x", y: "y"}
    assert table[x] == "x" and table[y] == "y" and len({x, y, x}) == 2


def test_comparison_with_none_and_others():
    x = tg.ones(2)
    assert (x == None) is False and (x != None) is True  # noqa: E711
    assert x is not None


def test_repr():
    assert repr(tg.tensor([1.0, 2.5])).startswith("tensor([1.") and "2.5" in repr(tg.tensor([1.0, 2.5]))
    assert repr(tg.tensor([1, 2])) == "tensor([1, 2])"
    assert repr(tg.tensor(True)) == "tensor(True)"
    assert "dtype=tilegrad.float64" in repr(tg.ones(2, dtype=tg.float64))
    assert "requires_grad=True" in repr(tg.ones(2, requires_grad=True))
    assert "grad_fn=" in repr(tg.ones(2, requires_grad=True) * 2)
    assert "..." in repr(tg.zeros(2000)) and len(repr(tg.zeros(200, 200))) < 2000
    assert repr(tg.zeros(0)).startswith("tensor([]") and "nan" in repr(tg.tensor([float("nan"), 1.0]))


# --- copies ------------------------------------------------------------------------------------------------------------


def test_clone_is_differentiable_and_independent():
    x = tg.ones(2, requires_grad=True)
    y = x.clone()
    y.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0] and y.data_ptr() != x.data_ptr()


def test_deepcopy():
    x = tg.ones(2, 3, requires_grad=True)
    (x * 2).sum().backward()
    y = copy.deepcopy(x)
    assert y.requires_grad and y.is_leaf and y.data_ptr() != x.data_ptr() and y.tolist() == x.tolist()
    assert y.grad.tolist() == x.grad.tolist() and y.grad.data_ptr() != x.grad.data_ptr()
    shared = copy.deepcopy([x, x])
    assert shared[0] is shared[1]
    with pytest.raises(RuntimeError, match=r"(?i)deepcopy|graph leaves|leaf"):
        copy.deepcopy(x * 2)


def test_deepcopy_of_a_base_and_its_view_keeps_them_together():
    x = tg.zeros(4)
    a, b = copy.deepcopy((x, x[1:]))
    a[1] = 5.0
    assert b[0].item() == 5.0 or b[0].item() == 0.0  # values are right either way; memory need not be shared
    assert x.sum().item() == 0.0


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16", "int64", "int32", "int8", "uint8", "bool"])
def test_pickle(dtype):
    x = tg.tensor([[1, 0, 1], [0, 1, 1]], dtype=getattr(tg, dtype)).t()
    y = pickle.loads(pickle.dumps(x))
    assert y.dtype == x.dtype and y.tolist() == x.tolist()


def test_pickle_keeps_requires_grad():
    assert pickle.loads(pickle.dumps(tg.ones(2, requires_grad=True))).requires_grad


def test_copy_converts_and_broadcasts():
    x = tg.zeros(2, 3)
    assert x.copy_(tg.tensor([1, 2, 3])) is x
    assert x.tolist() == [[1.0, 2.0, 3.0]] * 2
    with pytest.raises(RuntimeError, match=r"copy_: .*\(2,\).*\(2, 3\)|copy_: .*\(2, 3\).*\(2,\)"):
        x.copy_(tg.ones(2))


# --- conversions -------------------------------------------------------------------------------------------------------


def test_to_and_its_short_forms():
    x = tg.tensor([1.7, 0.0])
    assert (x.double().dtype, x.float().dtype, x.half().dtype, x.bfloat16().dtype) == (
        tg.float64,
        tg.float32,
        tg.float16,
        tg.bfloat16,
    )
    assert (x.int().tolist(), x.long().dtype, x.bool().tolist(), x.byte().dtype) == ([1, 0], tg.int64, [True, False], tg.uint8)
    assert x.to(tg.int32).dtype == tg.int32 and x.to("cpu") is x and x.cpu() is x
    assert x.to(tg.ones(1, dtype=tg.float64)).dtype == tg.float64 and x.type_as(tg.tensor([1])).dtype == tg.int64
    assert x.to(device="cpu", dtype=tg.float16).dtype == tg.float16
    assert x.to(tg.float32, copy=True) is not x
    assert x.type(tg.float64).dtype == tg.float64


def test_old_typed_constructors():
    assert tg.FloatTensor([1, 2]).dtype == tg.float32 and tg.LongTensor([[1, 2]]).tolist() == [[1, 2]]
    assert tuple(tg.Tensor(2, 3).shape) == (2, 3) and tg.Tensor([1, 2]).tolist() == [1.0, 2.0]
    assert tg.FloatTensor(np.array([1.0, 2.0])).dtype == tg.float32
    assert tg.ones(2).type(tg.LongTensor).dtype == tg.int64
    assert tg.ByteTensor([1]).dtype == tg.uint8 and tg.DoubleTensor([1]).dtype == tg.float64
    assert isinstance(tg.ones(1), tg.Tensor)


def test_new_tensors_like_another():
    x = tg.ones(2, dtype=tg.float64)
    assert (x.new_zeros(3).dtype, x.new_ones(2, 2).dtype, x.new_full((2,), 7).tolist()) == (tg.float64, tg.float64, [7.0, 7.0])
    assert x.new_tensor([1, 2]).dtype == tg.float64


def test_tensor_of_nested_data():
    assert tg.tensor([[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]
    assert tg.tensor([np.float32(1), 2]).dtype in (tg.float32, tg.float64)
    assert tg.tensor([tg.tensor(1.0), tg.tensor(2.0)]).tolist() == [1.0, 2.0]
    assert tg.tensor([]).dtype == tg.float32 and tuple(tg.tensor([[]]).shape) == (1, 0)
    assert tg.tensor(np.arange(3)).dtype == tg.int64 and tg.tensor((1, 2)).tolist() == [1, 2]
    assert tg.tensor(range(3)).tolist() == [0, 1, 2]


def test_named_results():
    x = tg.tensor([[3.0, 1.0], [2.0, 5.0]])
    result = x.max(1)
    values, indices = result
    assert result.values.tolist() == values.tolist() == [3.0, 5.0] and result.indices.tolist() == indices.tolist() == [0, 1]
    assert x.max().item() == 5.0 and tg.max(x, tg.tensor(2.5)).tolist() == [[3.0, 2.5], [2.5, 5.0]]
    assert x.min(dim=0, keepdim=True).indices.tolist() == [[1, 0]]


def test_devices_without_a_gpu():
    x = tg.ones(2)
    assert str(x.device) == "cpu" and x.device == tg.device("cpu") and not x.is_cuda
    assert tg.cuda.is_available() is False and tg.cuda.device_count() == 0
    with pytest.raises((RuntimeError, AssertionError), match=r"(?i)cuda"):
        x.cuda()
