"""Padding and packing of sequences, and what recurrent layers refuse."""

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
    pad_sequence,
    unpack_sequence,
    unpad_sequence,
)
from tilegrad.testing import assert_close

RNG = np.random.default_rng(0)


def random(*shape):
    return tg.tensor(RNG.standard_normal(shape))


def close(a, b):
    assert_close(a, b, rtol=1e-11, atol=1e-12)


# --- padding
def test_padding_and_packing():
    sequences = [random(n, 3) for n in (2, 4, 1)]
    padded = pad_sequence(sequences, batch_first=True, padding_value=7.0)
    assert padded.shape == (3, 4, 3)
    assert (padded[2, 1:] == 7).all()
    left = pad_sequence(sequences, padding_side="left")
    assert left.shape == (4, 3, 3)
    assert not left[:3, 2].any()
    for a, b in zip(unpad_sequence(padded, tg.tensor([2, 4, 1]), batch_first=True), sequences, strict=True):
        close(a, b)
    packed = pack_sequence(sequences, enforce_sorted=False)
    assert packed.batch_sizes.tolist() == [3, 2, 1, 1]
    assert packed.sorted_indices.tolist() == [1, 0, 2]
    assert packed.unsorted_indices.tolist() == [1, 0, 2]
    assert repr(packed).startswith("PackedSequence(data=")
    for a, b in zip(unpack_sequence(packed), sequences, strict=True):
        close(a, b)
    again, lengths = pad_packed_sequence(packed, batch_first=True, padding_value=7.0, total_length=6)
    assert again.shape == (3, 6, 3)
    assert lengths.tolist() == [2, 4, 1]
    close(again[:, :4], padded)
    assert packed.float().data.dtype == tg.float32
    assert packed.to(tg.float64) is packed
    assert pickle.loads(pickle.dumps(packed)).batch_sizes.tolist() == [3, 2, 1, 1]
    assert pack_padded_sequence(padded, [4, 4, 1], batch_first=True).sorted_indices is None


# --- errors, with PyTorch's words
def test_errors_of_layers():
    x = tg.zeros(5, 3, 4)
    lstm, gru, rnn = nn.LSTM(4, 6), nn.GRU(4, 6), nn.RNN(4, 6)
    h = tg.zeros(1, 3, 6)
    packed = pack_padded_sequence(x, [5, 3, 1])
    for error, match, call in (
        (ValueError, "LSTM: Expected input to be 2D or 3D, got 1D instead", lambda: lstm(x[0, 0])),
        (RuntimeError, r"must be equal to input_size. Expected 4, got 3", lambda: lstm(x[:, :, :3])),
        (RuntimeError, "larger than 0 in RNN", lambda: lstm(x[:0])),
        (RuntimeError, r"Expected hidden\[0\] size \(1, 3, 6\), got \[1, 2, 6\]", lambda: lstm(x, (h[:, :2], h))),
        (RuntimeError, r"Expected hidden\[1\] size \(1, 3, 6\), got \[1, 3, 5\]", lambda: lstm(x, (h, h[:, :, :5]))),
        (RuntimeError, r"Expected hidden size \(1, 3, 6\), got \[1, 3, 5\]", lambda: gru(x, h[:, :, :5])),
        (RuntimeError, r"batched 3-D input, hx should also be 3-D but got 2-D tensor", lambda: gru(x, h[0])),
        (RuntimeError, r"unbatched 2-D input, hx should also be 2-D but got 3-D", lambda: rnn(x[:, 0], h)),
        (RuntimeError, r"hx and cx should also be 3-D but got \(2-D, 3-D\)", lambda: lstm(x, (h[0], h))),
        (RuntimeError, r"Expected hidden size \(1, 3, 6\), got \[1, 2, 6\]", lambda: gru(packed, h[:, :2])),
        (TypeError, r"expected hx to be a tuple \(h_0, c_0\), got Tensor", lambda: lstm(x, h)),
        (RuntimeError, "dtype", lambda: lstm(x.double())),
        (ValueError, "hidden_size must be greater than zero, got 0", lambda: nn.LSTM(4, 0)),
        (ValueError, "LSTM: num_layers must be at most 65536, got 2147483648", lambda: nn.LSTM(4, 3, 1 << 31)),
        (ValueError, "GRU: hidden_size=2305843009213693952 is more than can be counted", lambda: nn.GRU(4, 1 << 61)),
        (ValueError, "num_layers must be greater than zero, got 0", lambda: nn.LSTM(4, 6, 0)),
        (TypeError, "hidden_size should be of type int, got: float", lambda: nn.GRU(4, 6.0)),
        (ValueError, r"dropout should be a number in range \[0, 1\]", lambda: nn.GRU(4, 6, 2, dropout=1.5)),
        (ValueError, "proj_size has to be smaller than hidden_size, got 6", lambda: nn.LSTM(4, 6, proj_size=6)),
        (ValueError, "proj_size should be a positive integer or zero", lambda: nn.LSTM(4, 6, proj_size=-1)),
        (ValueError, "Unknown nonlinearity 'gelu'. Select from 'tanh' or 'relu'", lambda: nn.RNN(4, 6, nonlinearity="gelu")),
        (ValueError, "variant must be 'torch', 'ng' or 'simplified', got 'x'", lambda: nn.GRU(4, 6, variant="x")),
        (ValueError, "forget_bias=1.0 needs bias=True", lambda: nn.LSTM(4, 6, bias=False, forget_bias=1.0)),
    ):
        with pytest.raises(error, match=match):
            call()
    with pytest.warns(UserWarning, match="expects num_layers greater than 1, but got dropout=0.5 and num_layers=1"):
        nn.LSTM(4, 6, dropout=0.5)


def test_errors_of_cells():
    x, h = tg.zeros(3, 4), tg.zeros(3, 6)
    lstm, gru, rnn = nn.LSTMCell(4, 6), nn.GRUCell(4, 6), nn.RNNCell(4, 6)
    for error, match, call in (
        (ValueError, "GRUCell: Expected input to be 1D or 2D, got 3D instead", lambda: gru(x.unsqueeze(0))),
        (ValueError, r"LSTMCell: Expected hx\[1\] to be 1D or 2D, got 3D instead", lambda: lstm(x, (h, h.unsqueeze(0)))),
        (ValueError, "RNNCell: Expected hidden to be 1D or 2D, got 3D instead", lambda: rnn(x, h.unsqueeze(0))),
        (RuntimeError, "input has inconsistent input_size: got 3 expected 4", lambda: gru(x[:, :3])),
        (RuntimeError, "hidden has inconsistent hidden_size: got 5, expected 6", lambda: gru(x, h[:, :5])),
        (RuntimeError, "Input batch size 3 doesn't match hidden batch size 2", lambda: gru(x, h[:2])),
        (RuntimeError, "Expected hidden to be 2D as the input is, got 1D", lambda: gru(x, h[0])),
        (ValueError, r"expected hx to be a pair \(h, c\), got 3 tensors", lambda: lstm(x, (h, h, h))),
        (ValueError, "hidden_size must be greater than zero, got 4 and 0", lambda: nn.GRUCell(4, 0)),
        (ValueError, "LSTMCell: input_size=1152921504606846976 is more than can be counted", lambda: nn.LSTMCell(1 << 60, 3)),
        (ValueError, "Unknown nonlinearity: gelu", lambda: nn.RNNCell(4, 6, nonlinearity="gelu")),
    ):
        with pytest.raises(error, match=match):
            call()
    assert gru(x[0], h[0]).shape == (6,)
    assert [s.shape for s in lstm(x[0])] == [(6,), (6,)]


def test_errors_of_packing():
    x = tg.zeros(5, 3, 4)
    for error, match, call in (
        (RuntimeError, r"`len\(lengths\)` to be equal to batch_size, but got 2 \(batch_size=3\)",
         lambda: pack_padded_sequence(x, [5, 3])),
        (RuntimeError, "must be sorted in decreasing order when `enforce_sorted` is True",
         lambda: pack_padded_sequence(x, [3, 5, 1])),
        (RuntimeError, "has to be greater than 0, but found an element in 'lengths' that is <= 0",
         lambda: pack_padded_sequence(x, tg.tensor([5, 3, 0]))),
        (RuntimeError, "a length of 6 is more than the 5 steps", lambda: pack_padded_sequence(x, [6, 3, 1])),
        (RuntimeError, "at least 2 dims", lambda: pack_padded_sequence(x[0, 0], [4])),
        (ValueError, "got total_length=4 and max sequence length being 5",
         lambda: pad_packed_sequence(pack_padded_sequence(x, [5, 3, 1]), total_length=4)),
        (RuntimeError, "received an empty list", lambda: pad_sequence([])),
        (RuntimeError, r"expected sequences of shape \(L, 4\), got \(3, 3\)",
         lambda: pad_sequence([tg.zeros(2, 4), tg.zeros(3, 3)])),
        (ValueError, "padding_side must be 'left' or 'right'", lambda: pad_sequence([x], padding_side="up")),
        (TypeError, "batch_sizes must be given", lambda: PackedSequence(x)),
        (RuntimeError, "2 lengths for 3 sequences", lambda: unpad_sequence(x, [1, 2])),
    ):  # fmt: skip
        with pytest.raises(error, match=match):
            call()
