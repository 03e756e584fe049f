"""One step of a recurrent layer: RNNCell, LSTMCell, GRUCell.

Source: https://pytorch.org/docs/stable/nn.html#recurrent-layers
"""

from __future__ import annotations

import math
from typing import Any

import tilegrad as tg

from ...ops import rnn as ops
from ...ops.arguments import need_tensor
from ...tensor import Tensor
from .. import init
from ..module import Module
from ..parameter import Parameter
from .rnn_base import check_countable

__all__ = ["GRUCell", "LSTMCell", "RNNCell", "RNNCellBase"]


class RNNCellBase(Module):
    """What the cells share: weight_ih (gates * H, I), weight_hh (gates * H, H), bias_ih and bias_hh (gates * H,)."""

    weight_ih: Parameter
    weight_hh: Parameter
    bias_ih: Any  # a Parameter, or None with bias=False
    bias_hh: Any

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool, num_chunks: int, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        if input_size < 0 or hidden_size <= 0:
            raise ValueError(
                f"{type(self).__name__}: input_size must not be negative and hidden_size must be greater than zero, "
                f"got {input_size} and {hidden_size}"
            )
        check_countable(type(self).__name__, input_size=input_size, hidden_size=hidden_size)
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        rows = num_chunks * hidden_size
        self.weight_ih = Parameter(tg.empty(rows, input_size, device=device, dtype=dtype))
        self.weight_hh = Parameter(tg.empty(rows, hidden_size, device=device, dtype=dtype))
        if bias:
            self.bias_ih = Parameter(tg.empty(rows, device=device, dtype=dtype))
            self.bias_hh = Parameter(tg.empty(rows, device=device, dtype=dtype))
        else:
            self.register_parameter("bias_ih", None)
            self.register_parameter("bias_hh", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws fresh weights: U(-1/√hidden_size, 1/√hidden_size)."""
        bound = 1 / math.sqrt(self.hidden_size)
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def _step(self, input: Tensor, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The op on a sequence of one step: y (1, B, H), then the new states."""
        raise NotImplementedError

    def _new_states(self, input: Tensor, states: tuple[Tensor, ...] | None, count: int) -> tuple[Tensor, ...]:
        name = type(self).__name__
        need_tensor(name, "input", input)
        if input.ndim not in (1, 2):
            raise ValueError(f"{name}: Expected input to be 1D or 2D, got {input.ndim}D instead")
        x = input if input.ndim == 2 else input.unsqueeze(0)
        if x.shape[1] != self.input_size:
            raise RuntimeError(f"{name}: input has inconsistent input_size: got {x.shape[1]} expected {self.input_size}")
        if states is None:
            full = (tg.zeros(x.shape[0], self.hidden_size, dtype=x.dtype, device=x.device),) * count
        else:
            for k, s in enumerate(states):
                what = f"hx[{k}]" if count > 1 else "hidden"
                if s.ndim not in (1, 2):
                    raise ValueError(f"{name}: Expected {what} to be 1D or 2D, got {s.ndim}D instead")
                if s.ndim != input.ndim:
                    raise RuntimeError(f"{name}: Expected {what} to be {input.ndim}D as the input is, got {s.ndim}D instead")
                if s.shape[-1] != self.hidden_size:
                    raise RuntimeError(
                        f"{name}: {what} has inconsistent hidden_size: got {s.shape[-1]}, expected {self.hidden_size}"
                    )
                if s.ndim == 2 and s.shape[0] != x.shape[0]:
                    raise RuntimeError(f"{name}: Input batch size {x.shape[0]} doesn't match {what} batch size {s.shape[0]}")
            full = tuple(s if s.ndim == 2 else s.unsqueeze(0) for s in states)
        new = self._step(x.unsqueeze(0), full)[1:]
        return new if input.ndim == 2 else tuple(s.squeeze(0) for s in new)

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        return text if self.bias else f"{text}, bias=False"


class RNNCell(RNNCellBase):
    """h' = act(W_ih x + b_ih + W_hh h + b_hh), act = tanh or relu.

    Shapes: x (B, input_size) or (input_size), hx (B, hidden_size) or (hidden_size), None for zeros -> h' like hx.
    Raises ValueError and RuntimeError for other shapes.
    Source: https://pytorch.org/docs/stable/generated/torch.nn.RNNCell.html
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if nonlinearity not in ops.ACTIVATIONS:
            raise ValueError(f"Unknown nonlinearity: {nonlinearity}; select from 'tanh' or 'relu'")
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def _step(self, input: Tensor, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return ops.rnn(
            input, states[0], self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh, nonlinearity=self.nonlinearity
        )

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return self._new_states(input, None if hx is None else (hx,), 1)[0]

    def extra_repr(self) -> str:
        text = super().extra_repr()
        return text if self.nonlinearity == "tanh" else f"{text}, nonlinearity={self.nonlinearity}"


class LSTMCell(RNNCellBase):
    """i, f, o = sigmoid(...), g = tanh(...) of W_ih x + b_ih + W_hh h + b_hh; c' = f c + i g; h' = o tanh(c').

    Shapes: x as for RNNCell, hx = (h, c) or None for zeros -> (h', c').
    Source: https://pytorch.org/docs/stable/generated/torch.nn.LSTMCell.html
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def _step(self, input: Tensor, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return ops.lstm(input, states[0], states[1], self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        if hx is not None and len(hx) != 2:
            raise ValueError(f"LSTMCell: expected hx to be a pair (h, c), got {len(hx)} tensors")
        h, c = self._new_states(input, None if hx is None else tuple(hx), 2)
        return h, c


class GRUCell(RNNCellBase):
    """r, z = sigmoid(...); n = tanh(W_in x + b_in + r (W_hn h + b_hn)); h' = (1 - z) n + z h.

    Shapes: as for RNNCell. Source: https://pytorch.org/docs/stable/generated/torch.nn.GRUCell.html
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def _step(self, input: Tensor, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return ops.gru(input, states[0], self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return self._new_states(input, None if hx is None else (hx,), 1)[0]
