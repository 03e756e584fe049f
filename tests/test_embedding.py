"""Embedding: values, the gradient's options, errors."""

import numpy as np
import pytest

import tilegrad as tg
import tilegrad.nn.functional as F
from tilegrad import nn
from tilegrad.testing import assert_close, gradcheck

RNG = np.random.default_rng(0)


def table(rows=7, columns=5, **kwargs):
    return tg.tensor(RNG.standard_normal((rows, columns)), **kwargs)


@pytest.mark.parametrize("shape", [(), (0,), (1,), (6,), (3, 4), (2, 0, 3), (2, 3, 4)])
@pytest.mark.parametrize("kind", [tg.int64, tg.int32])
def test_rows_by_number(shape, kind):
    weight, index = table(), RNG.integers(0, 7, shape)
    out = F.embedding(tg.tensor(index, dtype=kind), weight)
    assert out.shape == (*shape, 5)
    assert np.array_equal(out.numpy(), weight.numpy()[index])


def expected_gradient(index, dy, rows, padding=None, by_frequency=False):
    out = np.zeros((rows, dy.shape[-1]))
    for i, d in zip(index.ravel(), dy.reshape(-1, dy.shape[-1]), strict=True):
        if i != padding:
            out[i] += d / (np.sum(index == i) if by_frequency else 1)
    return out


@pytest.mark.parametrize("padding", [None, 2, -1])
@pytest.mark.parametrize("by_frequency", [False, True])
def test_gradient(padding, by_frequency):
    weight, index = table(requires_grad=True), RNG.integers(0, 7, (4, 9))
    dy = RNG.standard_normal((4, 9, 5))
    F.embedding(tg.tensor(index), weight, padding_idx=padding, scale_grad_by_freq=by_frequency).backward(tg.tensor(dy))
    at = None if padding is None else padding % 7
    assert_close(weight.grad, tg.tensor(expected_gradient(index, dy, 7, at, by_frequency)), rtol=1e-12, atol=1e-12)


def test_gradient_of_order_2():
    weight, index = table(requires_grad=True), tg.tensor([[1, 1], [2, 6]])
    assert gradcheck(lambda w: F.embedding(index, w) ** 2, [weight])
    (first,) = tg.autograd.grad((F.embedding(index, weight) ** 3).sum(), weight, create_graph=True)
    (second,) = tg.autograd.grad(first.sum(), weight)
    count = np.bincount([1, 1, 2, 6], minlength=7)[:, None]
    assert_close(second, tg.tensor(6 * weight.detach().numpy() * count), rtol=1e-12, atol=1e-12)


def test_max_norm_scales_the_picked_rows_in_place():
    weight = tg.tensor([[3.0, 4.0], [0.3, 0.4], [6.0, 8.0]])
    out = F.embedding(tg.tensor([0, 0, 1]), weight, max_norm=1.0)
    assert_close(out, tg.tensor([[0.6, 0.8], [0.6, 0.8], [0.3, 0.4]]), rtol=1e-6, atol=1e-6)
    assert_close(weight, tg.tensor([[0.6, 0.8], [0.3, 0.4], [6.0, 8.0]]), rtol=1e-6, atol=1e-6)
    layer = nn.Embedding(3, 2, max_norm=0.5, norm_type=1.0)
    layer(tg.tensor([0, 2])).sum().backward()
    assert float(layer.weight.detach().abs().sum(1)[0]) <= 0.5 + 1e-6
    assert layer.weight.grad.tolist() == [[1, 1], [0, 0], [1, 1]]


def test_errors():
    weight = tg.zeros(4, 3)
    for bad in (4, -1):
        with pytest.raises(IndexError, match=rf"embedding: index out of range in self: {bad} in a table of 4 rows"):
            F.embedding(tg.tensor([0, bad]), weight)
    with pytest.raises(RuntimeError, match=r"scalar types: Long, Int; but got tilegrad.float32"):
        F.embedding(tg.zeros(2), weight)
    with pytest.raises(RuntimeError, match=r"'weight' must be 2-D .* got shape \(4,\)"):
        F.embedding(tg.tensor([0]), tg.zeros(4))
    with pytest.raises(ValueError, match="Padding_idx must be within num_embeddings, got 4 for 4 rows"):
        nn.Embedding(4, 3, padding_idx=4)
    with pytest.raises(ValueError, match="Padding_idx must be within num_embeddings, got -5 for 4 rows"):
        F.embedding(tg.tensor([0]), weight, padding_idx=-5)
    with pytest.raises(NotImplementedError, match="sparse gradients are not supported"):
        nn.Embedding(4, 3, sparse=True)
    with pytest.raises(ValueError, match=r"Shape of weight does not match .* got \(2, 3\), expected \(4, 3\)"):
        nn.Embedding(4, 3, _weight=tg.zeros(2, 3))
    with pytest.raises(ValueError, match="expected to be 2-dimensional, got 1-d"):
        nn.Embedding.from_pretrained(tg.zeros(3))
    with pytest.raises(ValueError, match="must not be negative, got -1 and 3"):
        nn.Embedding(-1, 3)


def test_layer():
    tg.manual_seed(0)
    layer = nn.Embedding(1000, 30, padding_idx=-1)
    assert repr(layer) == "Embedding(1000, 30, padding_idx=999)"
    assert repr(nn.Embedding(3, 2, max_norm=1.0, norm_type=1.0, scale_grad_by_freq=True)) == (
        "Embedding(3, 2, max_norm=1.0, norm_type=1.0, scale_grad_by_freq=True)"
    )
    values = layer.weight.detach().numpy()
    assert not values[999].any()
    assert abs(values.std() - 1) < 0.02
    assert list(layer.state_dict()) == ["weight"]
    assert layer(tg.tensor([[1, 999]])).shape == (1, 2, 30)
    other = nn.Embedding(1000, 30)
    other.load_state_dict(layer.state_dict())
    assert np.array_equal(other.weight.detach().numpy(), values)


def test_from_pretrained():
    given = table(4, 2)
    frozen, free = nn.Embedding.from_pretrained(given), nn.Embedding.from_pretrained(given, freeze=False, padding_idx=1)
    assert not frozen.weight.requires_grad
    assert free.weight.requires_grad
    assert free.padding_idx == 1
    assert frozen(tg.tensor([3]))[0].tolist() == given[3].tolist()
    assert free.weight[1].tolist() == given[1].tolist()  # a given row stays, as in PyTorch


# --- bags
REDUCE = {"sum": np.sum, "mean": np.mean, "max": np.max}


def bags_by_hand(weight, bags, mode, padding=None, factors=None):
    out = np.zeros((len(bags), weight.shape[1]))
    for b, numbers in enumerate(bags):
        kept = [k for k, n in enumerate(numbers) if n != padding]
        if kept:
            rows = weight[[numbers[k] for k in kept]]
            out[b] = REDUCE[mode](rows * (1 if factors is None else factors[b][kept][:, None]), axis=0)
    return out


@pytest.mark.parametrize("mode", REDUCE)
@pytest.mark.parametrize("padding", [None, 3])
def test_bags(mode, padding):
    weight = table(requires_grad=True)
    bags = [[1, 3, 1, 6], [], [3], [0, 5], []]
    numbers, starts = [n for bag in bags for n in bag], np.cumsum([0] + [len(b) for b in bags])
    expected = bags_by_hand(weight.detach().numpy(), bags, mode, padding)
    flat = tg.tensor(numbers)
    out = F.embedding_bag(flat, weight, tg.tensor(starts[:-1]), mode=mode, padding_idx=padding)
    assert_close(out, tg.tensor(expected), rtol=1e-12, atol=1e-12)
    same = F.embedding_bag(flat, weight, tg.tensor(starts), mode=mode, padding_idx=padding, include_last_offset=True)
    assert np.array_equal(same.detach().numpy(), out.detach().numpy())
    square = [[1, 3, 1], [6, 0, 5]]
    assert_close(
        F.embedding_bag(tg.tensor(square), weight, mode=mode, padding_idx=padding),
        tg.tensor(bags_by_hand(weight.detach().numpy(), square, mode, padding)), rtol=1e-12, atol=1e-12,
    )  # fmt: skip
    if padding is None:
        assert gradcheck(lambda w: F.embedding_bag(flat, w, tg.tensor(starts[:-1]), mode=mode) ** 2, [weight])


def test_weighted_bags():
    weight, factors = table(requires_grad=True), tg.tensor(RNG.standard_normal((2, 3)), requires_grad=True)
    square = [[1, 3, 1], [6, 0, 5]]

    def run(w, f):
        return F.embedding_bag(tg.tensor(square), w, mode="sum", per_sample_weights=f)

    expected = bags_by_hand(weight.detach().numpy(), square, "sum", factors=factors.detach().numpy())
    assert_close(run(weight, factors), tg.tensor(expected), rtol=1e-12, atol=1e-12)
    assert gradcheck(run, [weight, factors])


def test_bag_layer_and_errors():
    layer = nn.EmbeddingBag(10, 3, mode="sum", padding_idx=2, include_last_offset=True)
    assert repr(layer) == "EmbeddingBag(10, 3, padding_idx=2, mode='sum', include_last_offset=True)"
    assert layer(tg.tensor([1, 2, 4]), tg.tensor([0, 2, 3])).shape == (2, 3)
    given = nn.EmbeddingBag.from_pretrained(tg.ones(4, 2), mode="max")
    assert given(tg.tensor([[0, 1]])).tolist() == [[1.0, 1.0]]
    assert not given.weight.requires_grad
    weight, flat = tg.zeros(4, 2), tg.tensor([0, 1])
    for match, call in {
        "offsets has to be a 1D Tensor but got None": lambda: F.embedding_bag(flat, weight),
        "if input is 2D, then offsets has to be None": lambda: F.embedding_bag(flat.reshape(1, 2), weight, flat),
        "input has to be 1D or 2D Tensor": lambda: F.embedding_bag(flat.reshape(1, 1, 2), weight),
        r"offsets\[0\] has to be 0": lambda: F.embedding_bag(flat, weight, tg.tensor([1])),
        "must not exceed the input's length 2": lambda: F.embedding_bag(flat, weight, tg.tensor([0, 3])),
        "must not fall": lambda: F.embedding_bag(flat, weight, tg.tensor([0, 2, 1])),
        "mode has to be one of sum, mean or max": lambda: nn.EmbeddingBag(4, 2, mode="min"),
        "must have the same shape as the input": lambda: F.embedding_bag(
            flat, weight, tg.tensor([0]), mode="sum", per_sample_weights=tg.ones(3)
        ),
    }.items():
        with pytest.raises(ValueError, match=match):
            call()
    with pytest.raises(NotImplementedError, match="only supported for mode='sum'"):
        F.embedding_bag(flat, weight, tg.tensor([0]), per_sample_weights=tg.ones(2))
    with pytest.raises(IndexError, match="out of range in self: 4"):
        F.embedding_bag(tg.tensor([[4]]), weight)


def test_gradient_has_the_same_bits_for_any_number_of_threads():
    index, dy = tg.tensor(RNG.integers(0, 300, 5000)), tg.tensor(RNG.standard_normal((5000, 37)), dtype=tg.float32)
    before, found = tg.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            tg.set_num_threads(threads)
            found.append(tg.ops.embedding.embedding_backward(dy, index, 400, 5, True).numpy())
    finally:
        tg.set_num_threads(before)
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])


@pytest.mark.parametrize("padding_idx, by_frequency", [(2, False), (-1, True), (2, True)])
def test_the_composite_has_the_value_of_the_rows_whatever_its_gradient_counts(padding_idx, by_frequency):
    composite = tg._core.Op.__dict__["composite"].__get__(tg.ops.embedding.embedding_op)
    table, index = tg.arange(8, dtype=tg.float64).reshape(4, 2), tg.tensor([2, 2, 1])
    assert composite(table, index, padding_idx, by_frequency).tolist() == [[4, 5], [4, 5], [2, 3]]


@pytest.mark.parametrize("rows", [0, 2**40, 2**62])
def test_a_table_without_columns(rows):
    weight = tg.ones(rows, 0, requires_grad=True)
    index = tg.tensor([0, 1]) if rows else tg.zeros(0, dtype=tg.int64)
    F.embedding(index, weight).sum().backward()
    assert weight.grad.shape == (rows, 0)
