"""What RNN, LSTM and GRU share: layers, directions, sequences of several lengths, states.

Source: https://pytorch.org/docs/stable/nn.html#recurrent-layers
"""

from __future__ import annotations

import math
import numbers
import warnings
from typing import Any

import tilegrad as tg

from ...ops.arguments import need_tensor
from ...tensor import Tensor
from .. import functional as F
from .. import init
from ..module import Module
from ..parameter import Parameter
from ..utils.rnn import PackedSequence

__all__ = ["RNNBase"]

MOST_LAYERS = 1 << 16  # far beyond any use; as many Python objects as more of them take would fill the memory one by one


def check_countable(name: str, **sizes: int) -> None:
    """ValueError for a size of which the gates' rows can no longer be counted in 64 bits."""
    for what, value in sizes.items():
        if value >= 1 << 60:
            raise ValueError(f"{name}: {what}={value} is more than can be counted: it must be below 2**60")


class RNNBase(Module):
    """What RNN, LSTM and GRU share: parameters, layers, directions, packed sequences, checks.

    Parameters are named as in PyTorch: weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0 of layer 0, with the suffix
    _reverse for the other direction; all start in U(-1/√hidden_size, 1/√hidden_size).
    """

    gates = 1
    has_cell = False

    def __init__(
        self,
        mode: str,
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
    ) -> None:
        super().__init__()
        self.mode = mode
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout = bias, batch_first, float(dropout)
        self.bidirectional, self.proj_size = bidirectional, proj_size
        self._check_sizes(dropout)
        self._flat_weights_names: list[str] = []
        out = proj_size or hidden_size
        for layer in range(num_layers):
            features = input_size if layer == 0 else out * self._directions
            for direction in range(self._directions):
                self._add_weights(self._suffix(layer, direction), features, out, device, dtype)
        self.reset_parameters()

    def _check_sizes(self, dropout: float) -> None:
        name = type(self).__name__
        if not isinstance(dropout, numbers.Number) or not 0 <= dropout <= 1 or isinstance(dropout, bool):
            raise ValueError(
                "dropout should be a number in range [0, 1] representing the probability of an element being zeroed, "
                f"got {dropout!r}"
            )
        if dropout > 0 and self.num_layers == 1:
            warnings.warn(
                "dropout option adds dropout after all but last recurrent layer, so non-zero dropout expects num_layers "
                f"greater than 1, but got dropout={dropout} and num_layers={self.num_layers}",
                stacklevel=4,
            )
        for what, value in (("input_size", self.input_size), ("hidden_size", self.hidden_size)):
            if not isinstance(value, int):
                raise TypeError(f"{name}: {what} should be of type int, got: {type(value).__name__}")
        if self.input_size < 0:
            raise ValueError(f"{name}: input_size must not be negative, got {self.input_size}")
        if self.hidden_size <= 0:
            raise ValueError(f"{name}: hidden_size must be greater than zero, got {self.hidden_size}")
        if self.num_layers <= 0:
            raise ValueError(f"{name}: num_layers must be greater than zero, got {self.num_layers}")
        if self.num_layers > MOST_LAYERS:
            raise ValueError(f"{name}: num_layers must be at most {MOST_LAYERS}, got {self.num_layers}")
        check_countable(name, input_size=self.input_size, hidden_size=self.hidden_size)
        if self.proj_size < 0:
            raise ValueError(
                f"{name}: proj_size should be a positive integer or zero to disable projections, got {self.proj_size}"
            )
        if self.proj_size >= self.hidden_size:
            raise ValueError(f"{name}: proj_size has to be smaller than hidden_size, got {self.proj_size}")

    def _add_weights(self, suffix: str, features: int, out: int, device: Any, dtype: Any) -> None:
        rows = self.gates * self.hidden_size
        self._add(f"weight_ih{suffix}", (rows, features), device, dtype)
        self._add(f"weight_hh{suffix}", (rows, out), device, dtype)
        if self.bias:
            self._add(f"bias_ih{suffix}", (rows,), device, dtype)
            self._add(f"bias_hh{suffix}", (rows,), device, dtype)
        if self.proj_size:
            self._add(f"weight_hr{suffix}", (self.proj_size, self.hidden_size), device, dtype)

    def _add(self, name: str, shape: tuple[int, ...], device: Any, dtype: Any) -> None:
        setattr(self, name, Parameter(tg.empty(*shape, device=device, dtype=dtype)))
        self._flat_weights_names.append(name)

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def _flat_weights(self) -> list[Tensor]:
        return [getattr(self, name) for name in self._flat_weights_names]

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters of every layer and direction, one list each."""
        each = len(self._flat_weights_names) // (self.num_layers * self._directions)
        flat = self._flat_weights
        return [flat[i : i + each] for i in range(0, len(flat), each)]  # type: ignore[misc]

    @staticmethod
    def _suffix(layer: int, direction: int) -> str:
        return f"_l{layer}_reverse" if direction else f"_l{layer}"

    def reset_parameters(self) -> None:
        """Draws fresh weights: U(-1/√hidden_size, 1/√hidden_size)."""
        bound = 1 / math.sqrt(self.hidden_size)
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def flatten_parameters(self) -> None:
        """Does nothing: the kernels take every weight where it lies. Here for PyTorch's programs."""

    # ---- one layer in one direction; subclasses answer with y and the last states

    def _run(
        self, x: Tensor, states: tuple[Tensor, ...], suffix: str, batch_sizes: Tensor | None, reverse: bool
    ) -> tuple[Tensor, ...]:
        raise NotImplementedError

    def _weights(self, suffix: str) -> tuple[Any, Any, Any, Any]:
        """weight_ih, weight_hh, bias_ih, bias_hh, the last two None without bias."""
        own = self._parameters
        return own[f"weight_ih{suffix}"], own[f"weight_hh{suffix}"], own.get(f"bias_ih{suffix}"), own.get(f"bias_hh{suffix}")

    # ---- checks, with PyTorch's words

    def _state_sizes(self, batch: int) -> list[tuple[int, int, int]]:
        count = self.num_layers * self._directions
        sizes = [(count, batch, self.proj_size or self.hidden_size)]
        return [*sizes, (count, batch, self.hidden_size)] if self.has_cell else sizes

    def _check_states(self, states: tuple[Tensor, ...], batch: int) -> None:
        for k, (state, expected) in enumerate(zip(states, self._state_sizes(batch), strict=True)):
            if tuple(state.shape) != expected:
                what = f"hidden[{k}]" if self.has_cell else "hidden"
                raise RuntimeError(f"{self.mode}: Expected {what} size {expected}, got {list(state.shape)}")

    def _given_states(self, hx: Any, batched: bool, packed: bool) -> tuple[Tensor, ...]:
        """The states as a tuple of 3-d tensors."""
        if self.has_cell:
            if not isinstance(hx, (tuple, list)) or len(hx) != 2:
                raise TypeError(f"{self.mode}: expected hx to be a tuple (h_0, c_0), got {type(hx).__name__}")
            states = tuple(hx)
        else:
            states = (hx,)
        for state in states:
            need_tensor(self.mode, "hx", state)
        if packed:
            return states
        wanted = 3 if batched else 2
        if any(s.ndim != wanted for s in states):
            kind = "batched 3-D" if batched else "unbatched 2-D"
            dims = ", ".join(f"{s.ndim}-D" for s in states)
            raise RuntimeError(
                f"{self.mode}: For {kind} input, hx and cx should also be {wanted}-D but got ({dims}) tensors"
                if self.has_cell
                else f"{self.mode}: For {kind} input, hx should also be {wanted}-D but got {dims} tensor"
            )
        return states if batched else tuple(s.unsqueeze(1) for s in states)

    # ---- forward

    def _layers(self, x: Tensor, states: tuple[Tensor, ...], batch_sizes: Tensor | None) -> tuple[Tensor, tuple[Tensor, ...]]:
        """All layers of x, (T, B, I) or packed (N, I); the states are (layers * directions, B, H)."""
        last: list[tuple[Tensor, ...]] = []
        for layer in range(self.num_layers):
            outputs = []
            for direction in range(self._directions):
                at = layer * self._directions + direction
                first = tuple(s[at] for s in states)
                y, *ends = self._run(x, first, self._suffix(layer, direction), batch_sizes, direction == 1)
                outputs.append(y)
                last.append(tuple(ends))
            x = outputs[0] if len(outputs) == 1 else tg.cat(outputs, -1)
            if self.dropout and layer + 1 < self.num_layers:
                x = F.dropout(x, self.dropout, self.training)
        return x, tuple(tg.stack(ends) for ends in zip(*last, strict=True))

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        packed = isinstance(input, PackedSequence)
        if packed:
            x, batch_sizes = input.data, input.batch_sizes
            batched, batch = True, int(batch_sizes[0])
            if x.ndim != 2:
                raise RuntimeError(f"{self.mode}: input must have 2 dimensions, got {x.ndim}")
        else:
            x, batch_sizes = input, None
            need_tensor(self.mode, "input", x)
            if x.ndim not in (2, 3):
                raise ValueError(f"{self.mode}: Expected input to be 2D or 3D, got {x.ndim}D instead")
            batched = x.ndim == 3
            if not batched:
                x = x.unsqueeze(1)
            elif self.batch_first:
                x = x.transpose(0, 1)
            batch = x.shape[1]
        if x.shape[-1] != self.input_size:
            raise RuntimeError(
                f"{self.mode}: input.size(-1) must be equal to input_size. Expected {self.input_size}, got {x.shape[-1]}"
            )
        if x.shape[0] == 0:
            raise RuntimeError(f"{self.mode}: Expected sequence length to be larger than 0 in RNN")
        if hx is None:
            states = tuple(tg.zeros(*size, dtype=x.dtype, device=x.device) for size in self._state_sizes(batch))
        else:
            states = self._given_states(hx, batched, packed)
            self._check_states(states, batch)
            if packed and input.sorted_indices is not None:
                states = tuple(s.index_select(1, input.sorted_indices) for s in states)

        y, last = self._layers(x, states, batch_sizes)
        if packed:
            if input.unsorted_indices is not None:
                last = tuple(s.index_select(1, input.unsorted_indices) for s in last)
        elif not batched:
            y, last = y.squeeze(1), tuple(s.squeeze(1) for s in last)
        elif self.batch_first:
            y = y.transpose(0, 1)
        output = PackedSequence(y, batch_sizes, input.sorted_indices, input.unsorted_indices) if packed else y
        return output, (last if self.has_cell else last[0])

    def extra_repr(self) -> str:
        parts = [f"{self.input_size}, {self.hidden_size}"]
        if self.proj_size:
            parts.append(f"proj_size={self.proj_size}")
        if self.num_layers != 1:
            parts.append(f"num_layers={self.num_layers}")
        if not self.bias:
            parts.append("bias=False")
        if self.batch_first:
            parts.append("batch_first=True")
        if self.dropout:
            parts.append(f"dropout={self.dropout}")
        if self.bidirectional:
            parts.append("bidirectional=True")
        return ", ".join(parts)
