"""Pooling and interpolation over the last 1 to 3 dims, as kernels with their gradients.

Average pooling and interpolation are linear, so the gradient of their gradient is themselves. The gradient of a maximum goes
to the place it came from, which follows from the input; that map is linear in the incoming gradient, and its transpose picks
elements at those places.
"""

from __future__ import annotations

from .. import _core
from ..autograd.op import op
from .index import index_select_op
from .shape import reshape_op

# --- averages and interpolation
avg_pool_op = op(_core.avg_pool).backward(
    x=lambda dy, x_shape, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override: avg_pool_backward(
        dy, x_shape[-len(kernel) :], kernel, stride, padding, ceil_mode, count_include_pad, divisor_override
    )
)
avg_pool_backward = op(_core.avg_pool_backward).backward(
    dy=lambda d, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override: avg_pool_op(
        d, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override
    )
)
interpolate_op = op(_core.interpolate).backward(
    x=lambda dy, x_shape, size, mode, align_corners, antialias, scale_depth, scale_rows, scale_cols: interpolate_backward(
        dy, x_shape[-len(size) :], mode, align_corners, antialias, scale_depth, scale_rows, scale_cols
    )
)
interpolate_backward = op(_core.interpolate_backward).backward(
    dy=lambda d, dy_shape, in_size, mode, align_corners, antialias, scale_depth, scale_rows, scale_cols: interpolate_op(
        d, dy_shape[-len(in_size) :], mode, align_corners, antialias, scale_depth, scale_rows, scale_cols
    )
)

# --- maxima
max_pool_op = op(_core.max_pool).backward(
    x=lambda dy, x, kernel, stride, padding, dilation, ceil_mode: max_pool_backward(
        dy, x, kernel, stride, padding, dilation, ceil_mode
    )
)
max_pool_with_indices_op = op(_core.max_pool_with_indices).backward(
    x=lambda dy, x, kernel, stride, padding, dilation, ceil_mode: max_pool_backward(
        dy, x, kernel, stride, padding, dilation, ceil_mode
    )
)
max_pool_backward = op(_core.max_pool_backward).backward(
    dy=lambda d, x, kernel, stride, padding, dilation, ceil_mode: _at_maxima(d, x, kernel, stride, padding, dilation, ceil_mode)
)


def _at_maxima(values, x, kernel, stride, padding, dilation, ceil_mode):
    """The elements of `values` at the places where the windows of x have their maxima."""
    _, places = _core.max_pool_with_indices(x.detach(), kernel, stride, padding, dilation, ceil_mode)
    return take_planes(values, places, len(stride))


def plane_positions(places, plane, dims):
    """Places within planes (their last `dims` dims hold `plane` elements) as places in the flattened tensor."""
    from .creation import arange

    lead = places.shape[: places.ndim - dims]
    planes = 1
    for size in lead:
        planes *= size
    return reshape_op(places + reshape_op(arange(planes) * plane, (*lead, *(1,) * dims)), (-1,))


def take_planes(x, places, dims):
    """Elements of x by their places within planes, the planes being the last `dims` dims."""
    plane = 1
    for size in x.shape[x.ndim - dims :]:
        plane *= size
    flat = index_select_op(reshape_op(x, (-1,)), 0, plane_positions(places, plane, dims))
    return reshape_op(flat, places.shape)
