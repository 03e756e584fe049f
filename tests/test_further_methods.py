"""Methods of old or rare PyTorch code, and the settings at the top that have one value here."""

import math

import numpy as np
import pytest

import tilegrad as tg

PLACES = {
    "tril": (), "triu": (1,), "cumsum": (1,), "cumprod": (0,), "eq": (2.0,), "ne": (2.0,), "lt": (2.0,), "le": (2.0,),
    "gt": (2.0,),
    "ge": (2.0,), "logical_not": (), "erf": (), "log1p": (), "log2": (), "clamp_min": (2.0,), "clamp_max": (2.0,), "sgn": (),
}  # fmt: skip


@pytest.mark.parametrize("name", PLACES)
def test_in_place_is_the_plain_form_written_over(name):
    x = tg.arange(1.0, 10.0).reshape(3, 3)
    expected = getattr(x, name)(*PLACES[name]).float()
    assert getattr(x, f"{name}_")(*PLACES[name]) is x and tg.equal(x, expected)


def test_in_place_is_differentiable_and_seen_by_views():
    x = tg.ones(2, 2, requires_grad=True)
    y = x * 3
    view = y[0]
    y.addmm_(tg.eye(2), tg.full((2, 2), 2.0), beta=1, alpha=2)
    y.cumsum_(0)
    assert view.tolist() == [7.0, 7.0] and y[1].tolist() == [14.0, 14.0]
    y.sum().backward()
    assert x.grad.tolist() == [[6.0, 6.0], [3.0, 3.0]]


def test_shapes_in_place():
    x = tg.arange(6).reshape(1, 2, 3)
    assert x.squeeze_(0) is x and x.shape == (2, 3)
    assert (
        x.t_().shape == (3, 2) and x[2, 1] == 5 and x.unsqueeze_(1).shape == (3, 1, 2) and x.transpose_(0, 2).shape == (2, 1, 3)
    )
    with pytest.raises(RuntimeError, match="x = x"):
        (tg.ones(2, 2, requires_grad=True) * 2).t_()


def test_resize():
    x = tg.arange(6.0)
    assert x.resize_(2, 2).tolist() == [[0.0, 1.0], [2.0, 3.0]]
    y = x.resize_as_(tg.zeros(3, 3))
    assert y is x and x.shape == (3, 3) and x.view(-1)[:4].tolist() == [0.0, 1.0, 2.0, 3.0]
    assert x.resize_((0,)).shape == (0,)
    for bad, size in ((tg.ones(2, requires_grad=True), (3,)), (tg.ones(2), (-1,))):
        with pytest.raises(RuntimeError, match="resize_"):
            bad.resize_(*size)


@pytest.mark.parametrize("shape", [(3, 3), (2, 4), (7, 3), (2, 2, 2)])
@pytest.mark.parametrize("wrap", [False, True])
def test_fill_diagonal(shape, wrap):
    expected = np.zeros(shape, np.float32)
    np.fill_diagonal(expected, 5.0, wrap=wrap)
    assert np.array_equal(tg.zeros(*shape).fill_diagonal_(5.0, wrap).numpy(), expected)


def test_fill_diagonal_errors():
    for shape in ((3,), (2, 2, 3)):
        with pytest.raises(RuntimeError, match="dimensions"):
            tg.zeros(*shape).fill_diagonal_(1.0)


def test_random_numbers_in_place():
    n = 100_000
    x = tg.empty(n, dtype=tg.float64)
    assert abs(x.exponential_(2.0).mean() - 0.5) < 0.01 and x.min() >= 0
    assert abs(x.geometric_(0.25).mean() - 4) < 0.1 and x.min() == 1 and tg.equal(x, x.round())
    assert abs(x.cauchy_(1.0, 2.0).median() - 1) < 0.1 and abs((x.abs() < 1e9).double().mean() - 1) < 1e-3
    assert abs(x.log_normal_(0.5, 0.25).log().mean() - 0.5) < 0.01
    a, b = (tg.empty(5).exponential_(generator=tg.Generator().manual_seed(3)) for _ in range(2))
    assert tg.equal(a, b)
    p = tg.full((n,), 0.3)
    assert abs(p.bernoulli().mean() - 0.3) < 0.01 and tg.tensor([0.0, 1.0]).multinomial(3, replacement=True).tolist() == [
        1,
        1,
        1,
    ]
    for call in (lambda: x.exponential_(0.0), lambda: x.geometric_(1.0)):
        with pytest.raises(RuntimeError, match="expects"):
            call()


@pytest.mark.parametrize("size, step", [(1, 1), (2, 1), (3, 2), (5, 3)])
def test_unfold(size, step):
    x = tg.arange(15.0, dtype=tg.float64).reshape(3, 5)
    expected = np.lib.stride_tricks.sliding_window_view(x.numpy(), size, 1)[:, ::step]
    assert np.array_equal(x.unfold(1, size, step).numpy(), expected)
    assert np.array_equal(x.t().unfold(-2, size, step).numpy(), expected.transpose(1, 0, 2))
    assert tg.autograd.gradcheck(lambda v: v.unfold(1, size, step), (x.clone().requires_grad_(),))


def test_unfold_errors():
    for arguments, kind in (((1, 6, 1), RuntimeError), ((1, 2, 0), RuntimeError), ((2, 1, 1), IndexError)):
        with pytest.raises(kind):
            tg.ones(3, 5).unfold(*arguments)


def test_questions_and_aliases():
    x = tg.tensor([[2.0, 1.0], [0.0, 4.0]])
    assert tg.allclose(x.inverse() @ x, tg.eye(2)) and tg.allclose(x.pinverse(), x.inverse(), atol=1e-5)
    assert tg.equal(x.H, x.T) and tg.equal(x.mH, x.mT) and x.real is x and x.itemsize == 4 and x.is_cpu and not x.is_sparse
    assert x.is_signed() and not x.byte().is_signed() and x.share_memory_() is x and not x.is_pinned() and not x.is_shared()
    assert (
        x.isclose(x + 1e-9).all() and x.sum_to_size(1, 2).tolist() == [[2.0, 5.0]] and x.sum_to_size(2).tolist() == [2.0, 5.0]
    )
    with pytest.raises(RuntimeError, match="not expandable"):
        x.sum_to_size(3, 2)


def test_the_top_of_pytorch():
    assert tg.is_floating_point(tg.ones(1)) and not tg.is_floating_point(tg.ones(1, dtype=tg.int64))
    assert tg.is_nonzero(tg.tensor([2])) and tg.is_same_size(tg.ones(2), tg.zeros(2)) and tg.typename(1) == "int"
    with pytest.raises(RuntimeError, match="ambiguous"):
        tg.is_nonzero(tg.ones(2))
    assert np.allclose(tg.logspace(0, 2, 3).tolist(), [1, 10, 100]) and tg.logspace(0, 1, 2, base=2.0).dtype is tg.float32
    assert tg.scalar_tensor(2).dtype is tg.float32 and tg.e == math.e and tg.inf > 0 and math.isnan(tg.nan)
    tg.use_deterministic_algorithms(True)
    assert tg.are_deterministic_algorithms_enabled() and tg.get_default_device() == tg.device("cpu")
    tg.set_default_device("cpu")
    with pytest.raises(RuntimeError, match="not available"):
        tg.set_default_device("cuda")
    try:
        tg.set_default_tensor_type("torch.DoubleTensor")
        assert tg.ones(1).dtype is tg.float64
        tg.set_default_tensor_type(tg.FloatTensor)
        assert tg.ones(1).dtype is tg.float32
    finally:
        tg.set_default_dtype(tg.float32)
    with pytest.raises(TypeError, match="FloatTensor"):
        tg.set_default_tensor_type("torch.StrangeTensor")


def test_cuda_without_a_gpu():
    assert not tg.cuda.is_available() and tg.cuda.device_count() == 0 and tg.cuda.memory_allocated() == 0
    assert not isinstance(tg.ones(1), tg.cuda.FloatTensor) and isinstance(tg.ones(1), tg.FloatTensor)
    for call in (lambda: tg.cuda.FloatTensor(2), lambda: tg.ones(1).type(tg.cuda.LongTensor)):
        with pytest.raises(TypeError, match="Tensor not available"):
            call()
    with pytest.raises(RuntimeError, match="no CUDA kernels"):
        tg.cuda.get_device_name(0)
    with pytest.raises(AttributeError, match="nothing"):
        tg.cuda.nothing  # noqa: B018
