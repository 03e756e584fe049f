"""Recurrent layers: layers, directions, packed sequences, cells, checks."""

import copy
import pickle

import numpy as np
import pytest

import tilegrad as tg
from tilegrad import nn
from tilegrad.nn.utils.rnn import (
    PackedSequence,
    pack_padded_sequence,
    pack_sequence,
    pad_packed_sequence,
)
from tilegrad.testing import assert_close, gradcheck

RNG = np.random.default_rng(0)
KINDS = {
    "rnn": lambda i, h, **kw: nn.RNN(i, h, **kw),
    "relu": lambda i, h, **kw: nn.RNN(i, h, nonlinearity="relu", **kw),
    "lstm": lambda i, h, **kw: nn.LSTM(i, h, **kw),
    "gru": lambda i, h, **kw: nn.GRU(i, h, **kw),
}
CELLS = {
    "rnn": lambda i, h, **kw: nn.RNNCell(i, h, **kw),
    "relu": lambda i, h, **kw: nn.RNNCell(i, h, nonlinearity="relu", **kw),
    "lstm": lambda i, h, **kw: nn.LSTMCell(i, h, **kw),
    "gru": lambda i, h, **kw: nn.GRUCell(i, h, **kw),
}
EVERY = pytest.mark.parametrize("kind", sorted(KINDS))


def make(kind, i=4, h=5, **kw):
    tg.manual_seed(1)
    return KINDS[kind](i, h, dtype=tg.float64, **kw)


def random(*shape):
    return tg.tensor(RNG.standard_normal(shape))


def tensors(result):
    """y, then the last states, of what a layer gives."""
    y, last = result
    return [y, *(last if isinstance(last, tuple) else (last,))]


def close(a, b):
    assert_close(a, b, rtol=1e-11, atol=1e-12)


def gradients(layer, result, others=()):
    """The gradients of a fixed function of y and the last states: of every parameter, then of `others`."""
    loss = sum((r * (0.1 * k + tg.cos(tg.arange(r.numel(), dtype=tg.float64).reshape(r.shape)))).sum()
               for k, r in enumerate(tensors(result)))  # fmt: skip
    return tg.autograd.grad(loss, [*layer.parameters(), *others])


def states_for(layer, batch, kind):
    count = layer.num_layers * (2 if layer.bidirectional else 1)
    h = random(count, batch, layer.proj_size or layer.hidden_size)
    return (h, random(count, batch, layer.hidden_size)) if kind == "lstm" else h


def state_slice(hx, key):
    return tuple(s[key] for s in hx) if isinstance(hx, tuple) else hx[key]


def one_direction(layer, kind, number, suffix=""):
    """A layer of one direction with the weights of layer `number` of another one."""
    features = getattr(layer, f"weight_ih_l{number}{suffix}").shape[1]
    single = make(kind, features, layer.hidden_size)
    single.load_state_dict({k: getattr(layer, k.replace("_l0", f"_l{number}{suffix}")).detach() for k in single.state_dict()})
    return single


@EVERY
def test_a_sequence_is_a_chain_of_cells(kind):
    layer, x = make(kind), random(6, 3, 4)
    hx = states_for(layer, 3, kind)
    cell = CELLS[kind](4, 5, dtype=tg.float64)
    cell.load_state_dict({k.removesuffix("_l0"): v for k, v in layer.state_dict().items()})
    state, outputs = state_slice(hx, 0), []
    for t in range(6):
        state = cell(x[t], state)
        outputs.append(state[0] if kind == "lstm" else state)
    y, last = layer(x, hx)
    close(y, tg.stack(outputs))
    for a, b in zip(tensors((y, last))[1:], state if kind == "lstm" else (state,), strict=True):
        close(a[0], b)


@EVERY
def test_stacked_layers_are_a_chain_of_layers(kind):
    layer, x = make(kind, num_layers=3), random(6, 3, 4)
    hx = states_for(layer, 3, kind)
    y, last = layer(x, hx)
    for number in range(3):
        x, state = one_direction(layer, kind, number)(x, state_slice(hx, slice(number, number + 1)))
        for a, b in zip(tensors((y, last))[1:], tensors((x, state))[1:], strict=True):
            close(a[number], b[0])
    close(y, x)


@EVERY
def test_both_directions_are_two_runs(kind):
    layer, x = make(kind, bidirectional=True, num_layers=2), random(6, 3, 4)
    hx = states_for(layer, 3, kind)
    y, last = layer(x, hx)
    for number in range(2):
        ahead, end = one_direction(layer, kind, number)(x, state_slice(hx, slice(2 * number, 2 * number + 1)))
        back, begin = one_direction(layer, kind, number, "_reverse")(
            x.flip([0]), state_slice(hx, slice(2 * number + 1, 2 * number + 2))
        )
        x = tg.cat([ahead, back.flip([0])], -1)
        for a, b, c in zip(tensors((y, last))[1:], tensors((x, end))[1:], tensors((x, begin))[1:], strict=True):
            close(a[2 * number], b[0])
            close(a[2 * number + 1], c[0])
    close(y, x)


LENGTHS = [[5, 5, 3, 1], [3, 1, 6, 3], [4, 4], [1], [2, 7, 1, 1, 6]]


@EVERY
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_packed_sequences_are_separate_runs(kind, lengths, bidirectional):
    layer = make(kind, num_layers=2, bidirectional=bidirectional)
    sequences = [random(n, 4).requires_grad_() for n in lengths]
    hx = states_for(layer, len(lengths), kind)
    packed, last = layer(pack_sequence(sequences, enforce_sorted=False), hx)
    assert isinstance(packed, PackedSequence)
    padded, counted = pad_packed_sequence(packed)
    assert counted.tolist() == lengths
    expected, total = [], None
    for b, x in enumerate(sequences):
        y, state = layer(x.unsqueeze(1), state_slice(hx, (slice(None), slice(b, b + 1))))
        expected.append(y[:, 0])
        close(padded[: lengths[b], b], y[:, 0])
        assert not padded[lengths[b] :, b].any()
        for a, s in zip(tensors((packed, last))[1:], tensors((y, state))[1:], strict=True):
            close(a[:, b], s[:, 0])
    loss = (padded * tg.cos(tg.arange(padded.numel(), dtype=tg.float64)).reshape(padded.shape)).sum()
    weight = tg.cos(tg.arange(padded.numel(), dtype=tg.float64)).reshape(padded.shape)
    total = sum((e * weight[: e.shape[0], b]).sum() for b, e in enumerate(expected))
    inputs = [*layer.parameters(), *sequences]
    for a, b in zip(tg.autograd.grad(loss, inputs), tg.autograd.grad(total, inputs), strict=True):
        close(a, b)


@EVERY
def test_batch_first_and_unbatched(kind):
    layer, x = make(kind, num_layers=2, bidirectional=True), random(6, 3, 4)
    first = make(kind, num_layers=2, bidirectional=True, batch_first=True)
    first.load_state_dict(layer.state_dict())
    y, last = layer(x)
    other, other_last = first(x.transpose(0, 1))
    close(other.transpose(0, 1), y)
    for a, b in zip(tensors((y, last))[1:], tensors((other, other_last))[1:], strict=True):
        close(a, b)
    hx = states_for(layer, 3, kind)
    y, last = layer(x, hx)
    single, single_last = layer(x[:, 1], state_slice(hx, (slice(None), 1)))
    close(single, y[:, 1])
    for a, b in zip(tensors((y, last))[1:], tensors((single, single_last))[1:], strict=True):
        close(a[:, 1], b)
    packed, _ = first(pack_padded_sequence(x.transpose(0, 1), [6, 4, 4], batch_first=True), hx)
    close(pad_packed_sequence(packed, batch_first=True)[0][0], y[:, 0])


@EVERY
def test_gradients_of_order_1_and_2(kind):
    layer = make(kind, 2, 3)
    x, hx = random(3, 2, 2).requires_grad_(), states_for(layer, 2, kind)
    leaves = [x, *(s.requires_grad_() for s in (hx if isinstance(hx, tuple) else (hx,))), *layer.parameters()]
    names = list(layer.state_dict())

    def run(x, *rest):
        states = rest[: len(rest) - len(names)]
        weights = dict(zip(names, rest[len(states) :], strict=True))
        return tuple(tensors(nn.utils.functional_call(layer, weights, (x, states if kind == "lstm" else states[0]))))

    assert gradcheck(run, leaves)
    if kind != "relu":
        (dx,) = tg.autograd.grad(sum((r**2).sum() for r in run(*leaves)), x, create_graph=True)
        assert dx.requires_grad
        assert gradcheck(
            lambda *inputs: tg.autograd.grad(sum((r**2).sum() for r in run(*inputs)), inputs, create_graph=True),
            leaves, fast_mode=True,
        )  # fmt: skip


@EVERY
def test_dropout_is_between_layers(kind):
    x = tg.ones(3, 2, 4, dtype=tg.float64)
    layer = make(kind, num_layers=2, dropout=1.0)
    zeros, _ = one_direction(layer, kind, 1)(tg.zeros(3, 2, 5, dtype=tg.float64))
    close(layer(x)[0], zeros)  # all of layer 0's output is dropped, nothing of layer 1's
    layer.eval()
    plain = make(kind, num_layers=2)
    plain.load_state_dict(layer.state_dict())
    close(layer(x)[0], plain(x)[0])
    half = make(kind, num_layers=2, dropout=0.5)
    assert not np.array_equal(half(x)[0].detach().numpy(), half(x)[0].detach().numpy())


@EVERY
def test_parameters_and_state_dict(kind):
    tg.manual_seed(0)
    layer = KINDS[kind](10, 30, num_layers=2, bidirectional=True)
    gates = {"lstm": 4, "gru": 3}.get(kind, 1)
    names = [f"{w}_l{n}{d}" for n in (0, 1) for d in ("", "_reverse") for w in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    assert list(layer.state_dict()) == names == layer._flat_weights_names
    assert layer.weight_ih_l0.shape == (gates * 30, 10)
    assert layer.weight_ih_l1_reverse.shape == (gates * 30, 60)
    assert layer.bias_hh_l1.shape == (gates * 30,)
    values = np.concatenate([p.detach().numpy().ravel() for p in layer.parameters()])
    assert 0.98 / 30**0.5 < np.abs(values).max() <= 1 / 30**0.5
    assert [len(w) for w in layer.all_weights] == [4] * 4
    assert layer.flatten_parameters() is None
    other = KINDS[kind](10, 30, num_layers=2, bidirectional=True)
    other.load_state_dict(layer.state_dict())
    x = tg.randn(3, 2, 10)
    for again in (other, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert np.array_equal(again(x)[0].detach().numpy(), layer(x)[0].detach().numpy())
    assert len(KINDS[kind](4, 3, bias=False).state_dict()) == 2


def test_repr():
    assert repr(nn.LSTM(10, 20, 2, dropout=0.5, batch_first=True, bidirectional=True, proj_size=3)) == (
        "LSTM(10, 20, proj_size=3, num_layers=2, batch_first=True, dropout=0.5, bidirectional=True)"
    )
    assert repr(nn.GRU(1, 2, bias=False)) == "GRU(1, 2, bias=False)"
    assert repr(nn.RNN(1, 2)) == "RNN(1, 2)"
    assert repr(nn.LSTM(1, 2, forget_bias=1.0, peephole=True)) == "LSTM(1, 2, forget_bias=1.0, peephole=True)"
    assert repr(nn.GRU(1, 2, variant="ng")) == "GRU(1, 2, variant='ng')"
    assert repr(nn.RNNCell(1, 2, nonlinearity="relu")) == "RNNCell(1, 2, nonlinearity=relu)"
    assert repr(nn.LSTMCell(1, 2, bias=False)) == "LSTMCell(1, 2, bias=False)"
