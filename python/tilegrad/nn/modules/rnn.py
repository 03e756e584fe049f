"""Recurrent layers over whole sequences: RNN, LSTM, GRU.

Source: https://pytorch.org/docs/stable/nn.html#recurrent-layers
"""

from __future__ import annotations

from typing import Any

import tilegrad as tg

from ...ops import rnn as ops
from ...tensor import Tensor
from .rnn_base import RNNBase

__all__ = ["GRU", "LSTM", "RNN", "RNNBase"]


class RNN(RNNBase):
    """h = act(W_ih x + b_ih + W_hh h + b_hh), act = tanh or relu, over a sequence.

    Args:
        input_size, hidden_size: features of x and of h. num_layers: layers on top of each other.
        nonlinearity: 'tanh' or 'relu'. bias: False leaves the biases out. batch_first: x and y are (B, T, ...).
        dropout: applied to the output of every layer but the last. bidirectional: a second set of weights runs backwards; the
            outputs are put side by side.

    Shapes: x (T, B, input_size), (T, input_size) without a batch, or a PackedSequence; hx (layers * directions, B, hidden_size)
    or None for zeros -> y (T, B, directions * hidden_size), and the last h of every layer and direction.

    Raises:
        ValueError, TypeError: sizes and options. RuntimeError: an input or hx of another shape.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.RNN.html
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if nonlinearity not in ops.ACTIVATIONS:
            raise ValueError(f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'.")
        self_mode = f"RNN_{nonlinearity.upper()}"
        super().__init__(
            self_mode, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype
        )
        self.nonlinearity = nonlinearity

    def _run(
        self, x: Tensor, states: tuple[Tensor, ...], suffix: str, batch_sizes: Tensor | None, reverse: bool
    ) -> tuple[Tensor, ...]:
        w_ih, w_hh, b_ih, b_hh = self._weights(suffix)
        return ops.rnn(x, states[0], w_ih, w_hh, b_ih, b_hh, batch_sizes, reverse, self.nonlinearity)


class LSTM(RNNBase):
    """Long short-term memory over a sequence: i, f, o = sigmoid(...), g = tanh(...); c = f c + i g; h = o tanh(c).

    Args:
        input_size ... bidirectional: as for RNN. proj_size: h becomes W_hr (o tanh(c)) with that many features.
        forget_bias: the forget gates' bias at the start (0 leaves it random as PyTorch does; 1 or more keeps the memory open,
            Jozefowicz et al. 2015). peephole: i and f also see the old c and o the new one, through a weight per unit
            (weight_pc_l0, (3 * hidden_size,); Gers & Schmidhuber 2000). Both are not in PyTorch.

    Shapes: as for RNN; hx is (h_0, c_0), and the second result (h_n, c_n).
    Source: https://pytorch.org/docs/stable/generated/torch.nn.LSTM.html
    """

    gates = 4
    has_cell = True

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
        *,
        forget_bias: float = 0.0,
        peephole: bool = False,
    ) -> None:
        if forget_bias and not bias:
            raise ValueError(f"LSTM: forget_bias={forget_bias} needs bias=True")
        self.forget_bias, self.peephole = forget_bias, peephole
        super().__init__(
            "LSTM",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            device,
            dtype,
        )

    def _add_weights(self, suffix: str, features: int, out: int, device: Any, dtype: Any) -> None:
        super()._add_weights(suffix, features, out, device, dtype)
        if self.peephole:
            self._add(f"weight_pc{suffix}", (3 * self.hidden_size,), device, dtype)

    def reset_parameters(self) -> None:
        """Draws fresh weights; the forget gates' biases become forget_bias where one is given."""
        super().reset_parameters()
        if self.forget_bias:
            forget = slice(self.hidden_size, 2 * self.hidden_size)
            with tg.no_grad():
                for name in self._flat_weights_names:
                    if name.startswith("bias_"):
                        getattr(self, name)[forget].fill_(self.forget_bias if name.startswith("bias_ih") else 0.0)

    def _run(
        self, x: Tensor, states: tuple[Tensor, ...], suffix: str, batch_sizes: Tensor | None, reverse: bool
    ) -> tuple[Tensor, ...]:
        w_ih, w_hh, b_ih, b_hh = self._weights(suffix)
        h0, c0 = states
        w_hr, w_pc = self._parameters.get(f"weight_hr{suffix}"), self._parameters.get(f"weight_pc{suffix}")
        return ops.lstm(x, h0, c0, w_ih, w_hh, b_ih, b_hh, batch_sizes, reverse, w_hr, w_pc)

    def extra_repr(self) -> str:
        text = super().extra_repr()
        if self.forget_bias:
            text += f", forget_bias={self.forget_bias}"
        return f"{text}, peephole=True" if self.peephole else text


class GRU(RNNBase):
    """Gated recurrent unit over a sequence: r, z = sigmoid(...); n = tanh(W_in x + b_in + r (W_hn h + b_hn));
    h = (1 - z) n + z h.

    Args:
        input_size ... bidirectional: as for RNN.
        variant: 'torch' as above. 'ng': the reset gate acts on h before the product, and the update gate u = 1 - z says how
            much of n is taken in: n = tanh(W_n [x, r h] + b_n), h = u n + (1 - u) h (Cho et al. 2014, Ng's course).
            'simplified': the same without reset gate. These two have one bias (bias_ih), and are not in PyTorch.

    Shapes: as for RNN. Source: https://pytorch.org/docs/stable/generated/torch.nn.GRU.html
    """

    gates = 3

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        variant: str = "torch",
    ) -> None:
        if variant not in ("torch", "ng", "simplified"):
            raise ValueError(f"GRU: variant must be 'torch', 'ng' or 'simplified', got {variant!r}")
        self.variant, self.gates = variant, 2 if variant == "simplified" else 3
        super().__init__(
            "GRU", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype
        )

    def _add_weights(self, suffix: str, features: int, out: int, device: Any, dtype: Any) -> None:
        if self.variant == "torch":
            super()._add_weights(suffix, features, out, device, dtype)
            return
        rows = self.gates * self.hidden_size
        self._add(f"weight_ih{suffix}", (rows, features), device, dtype)
        self._add(f"weight_hh{suffix}", (rows, out), device, dtype)
        if self.bias:
            self._add(f"bias_ih{suffix}", (rows,), device, dtype)

    def _run(
        self, x: Tensor, states: tuple[Tensor, ...], suffix: str, batch_sizes: Tensor | None, reverse: bool
    ) -> tuple[Tensor, ...]:
        w_ih, w_hh, b_ih, b_hh = self._weights(suffix)
        if self.variant == "torch":
            return ops.gru(x, states[0], w_ih, w_hh, b_ih, b_hh, batch_sizes, reverse)
        return ops.gru_reset_first(x, states[0], w_ih, w_hh, b_ih, batch_sizes, reverse)

    def extra_repr(self) -> str:
        text = super().extra_repr()
        return text if self.variant == "torch" else f"{text}, variant={self.variant!r}"
