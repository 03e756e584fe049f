"""Normalisation layers.

Source: https://pytorch.org/docs/stable/nn.html#normalization-layers
"""

from __future__ import annotations

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

__all__ = [
    "BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "GroupNorm", "InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d",
    "LayerNorm", "LocalResponseNorm", "RMSNorm",
]  # fmt: skip


def _parameter(module: Module, name: str, shape: Any, wanted: bool, device: Any, dtype: Any) -> None:
    module.register_parameter(name, Parameter(tg.empty(shape, device=device, dtype=dtype)) if wanted else None)


def _ones_and_zeros(module: Any) -> None:
    if module.weight is not None:
        init.ones_(module.weight)
    if getattr(module, "bias", None) is not None:
        init.zeros_(module.bias)


class _RowNorm(Module):
    """What LayerNorm and RMSNorm share."""

    eps: Any
    elementwise_affine: bool

    def __init__(self, normalized_shape: Any) -> None:
        super().__init__()
        shape = (normalized_shape,) if isinstance(normalized_shape, numbers.Integral) else tuple(normalized_shape)
        self.normalized_shape: tuple[int, ...] = tuple(int(s) for s in shape)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class LayerNorm(_RowNorm):
    """(x - mean) / sqrt(var + eps) * weight + bias over the last dims.

    Shapes: x (*, normalized_shape) -> the same; weight, bias of normalized_shape, starting at 1 and 0.
    Source: Ba et al. 2016; https://pytorch.org/docs/stable/generated/torch.nn.LayerNorm.html
    """

    def __init__(
        self,
        normalized_shape: Any,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        _parameter(self, "weight", self.normalized_shape, elementwise_affine, device, dtype)
        _parameter(self, "bias", self.normalized_shape, elementwise_affine and bias, device, dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """weight = 1, bias = 0."""
        _ones_and_zeros(self)

    def forward(self, input: Tensor) -> Tensor:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, bias={self.bias is not None}"


class RMSNorm(_RowNorm):
    """x / sqrt(mean(x²) + eps) * weight over the last dims; eps None is the machine epsilon of x's dtype.

    Source: Zhang & Sennrich 2019; https://pytorch.org/docs/stable/generated/torch.nn.RMSNorm.html
    """

    def __init__(
        self,
        normalized_shape: Any,
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        _parameter(self, "weight", self.normalized_shape, elementwise_affine, device, dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """weight = 1."""
        _ones_and_zeros(self)

    def forward(self, input: Tensor) -> Tensor:
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)


class GroupNorm(Module):
    """(x - mean) / sqrt(var + eps) * weight + bias over groups of channels of each sample.

    Shapes: x (N, num_channels, *) -> the same; weight, bias (num_channels).
    Raises ValueError when num_channels is not divisible by num_groups.
    Source: Wu & He 2018; https://pytorch.org/docs/stable/generated/torch.nn.GroupNorm.html
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_groups <= 0 or num_channels % num_groups != 0:
            raise ValueError(f"num_channels ({num_channels}) must be divisible by num_groups ({num_groups})")
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        _parameter(self, "weight", num_channels, affine, device, dtype)
        _parameter(self, "bias", num_channels, affine and bias, device, dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """weight = 1, bias = 0."""
        _ones_and_zeros(self)

    def forward(self, input: Tensor) -> Tensor:
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        bias = self.bias is not None
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, bias={bias}"


class _NormBase(Module):
    """What batch and instance normalisation share: scale and shift of each channel, and running statistics.

    The buffers are running_mean, running_var and num_batches_tracked; all None without track_running_stats.
    """

    _dims: tuple[int, ...]

    def __init__(
        self,
        num_features: int,
        eps: float,
        momentum: float | None,
        affine: bool,
        track_running_stats: bool,
        device: Any,
        dtype: Any,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self.running_mean: Tensor | None
        self.running_var: Tensor | None
        self.num_batches_tracked: Tensor | None
        _parameter(self, "weight", num_features, affine, device, dtype)
        _parameter(self, "bias", num_features, affine and bias, device, dtype)
        tracked = track_running_stats
        self.register_buffer("running_mean", tg.zeros(num_features, device=device, dtype=dtype) if tracked else None)
        self.register_buffer("running_var", tg.ones(num_features, device=device, dtype=dtype) if tracked else None)
        self.register_buffer("num_batches_tracked", tg.tensor(0, dtype=tg.int64, device=device) if tracked else None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Mean 0, variance 1, no batches seen."""
        if self.track_running_stats:
            self.running_mean.zero_()  # type: ignore[union-attr]
            self.running_var.fill_(1)  # type: ignore[union-attr]
            self.num_batches_tracked.zero_()  # type: ignore[union-attr]

    def reset_parameters(self) -> None:
        """weight = 1, bias = 0, and reset_running_stats()."""
        self.reset_running_stats()
        _ones_and_zeros(self)

    def _check_input_dim(self, input: Tensor) -> None:
        need_tensor(type(self).__name__, "input", input)
        if input.ndim not in self._dims:
            expected = " or ".join(f"{d}D" for d in self._dims)
            raise ValueError(f"expected {expected} input (got {input.ndim}D input)")

    def _load_from_state_dict(
        self,
        state_dict: dict,
        prefix: str,
        local_metadata: dict,
        strict: bool,
        missing_keys: list,
        unexpected_keys: list,
        error_msgs: list,
    ) -> None:
        key = f"{prefix}num_batches_tracked"
        if self.num_batches_tracked is not None and key not in state_dict and f"{prefix}running_mean" in state_dict:
            state_dict = {**state_dict, key: tg.tensor(0, dtype=tg.int64)}  # files of PyTorch before 0.4.1 have none
        super()._load_from_state_dict(state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_NormBase):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def forward(self, input: Tensor) -> Tensor:
        self._check_input_dim(input)
        factor = 0.0 if self.momentum is None else self.momentum
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:  # cumulative average
                factor = 1.0 / float(self.num_batches_tracked)
        tracked = not self.training or self.track_running_stats
        return F.batch_norm(
            input,
            self.running_mean if tracked else None,
            self.running_var if tracked else None,
            self.weight,
            self.bias,
            self.training or (self.running_mean is None and self.running_var is None),
            factor,
            self.eps,
        )


class BatchNorm1d(_BatchNorm):
    """Normalises each channel of (N, C) or (N, C, L) over the batch.

    In train() the statistics are the batch's and running_mean, running_var follow them with weight `momentum` (None: the
    average of all batches); in eval() the running ones are used. weight, bias (C) start at 1 and 0.

    Raises ValueError for another number of dims, or one value per channel in training.
    Source: Ioffe & Szegedy 2015; https://pytorch.org/docs/stable/generated/torch.nn.BatchNorm1d.html
    """

    _dims = (2, 3)


class BatchNorm2d(_BatchNorm):
    """BatchNorm1d for images (N, C, H, W)."""

    _dims = (4,)


class BatchNorm3d(_BatchNorm):
    """BatchNorm1d for volumes (N, C, D, H, W)."""

    _dims = (5,)


class _InstanceNorm(_NormBase):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def forward(self, input: Tensor) -> Tensor:
        self._check_input_dim(input)
        batched = max(self._dims)
        channels = input.shape[1 if input.ndim == batched else 0]
        if channels != self.num_features:
            place = 1 if input.ndim == batched else 0
            if self.affine:
                raise ValueError(
                    f"expected input's size at dim={place} to match num_features ({self.num_features}), but got: {channels}."
                )
            warnings.warn(
                f"input's size at dim={place} does not match num_features. You can silence this warning by not passing in "
                "num_features, which is not used because affine=False",
                stacklevel=3,
            )
        out = F.instance_norm(
            input if input.ndim == batched else input.unsqueeze(0),
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
        )
        return out if input.ndim == batched else out.squeeze(0)


class InstanceNorm1d(_InstanceNorm):
    """Normalises each channel of each sample of (N, C, L) or (C, L) by itself.

    affine adds weight and bias (C); with track_running_stats eval() uses running statistics.
    Raises ValueError for another number of dims.
    Source: Ulyanov et al. 2016; https://pytorch.org/docs/stable/generated/torch.nn.InstanceNorm1d.html
    """

    _dims = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """InstanceNorm1d for images (N, C, H, W) or (C, H, W)."""

    _dims = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """InstanceNorm1d for volumes (N, C, D, H, W) or (C, D, H, W)."""

    _dims = (4, 5)


class LocalResponseNorm(Module):
    """x / (k + alpha mean(x² of `size` neighbouring channels))^beta. Krizhevsky et al. 2012 (AlexNet)."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input: Tensor) -> Tensor:
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
