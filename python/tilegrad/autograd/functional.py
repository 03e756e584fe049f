"""Derivatives of functions: jacobian, hessian, and products with them (PyTorch: torch.autograd.functional)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .. import _core
from .engine import grad

if TYPE_CHECKING:
    from ..tensor import Tensor


def _inputs(inputs: Any, create_graph: bool) -> tuple[tuple, bool]:
    """Inputs that require grad and are apart from the caller's graph (connected to it under create_graph)."""
    many = isinstance(inputs, (tuple, list))
    tensors = tuple(inputs) if many else (inputs,)
    for x in tensors:
        if not isinstance(x, _core.TensorBase):
            raise TypeError(f"expected Tensors as inputs, got {type(x).__name__}")
    if create_graph:
        return tuple(x.view_as(x) if x.requires_grad else x.detach().requires_grad_() for x in tensors), many
    return tuple(x.detach().requires_grad_() for x in tensors), many


def _outputs(outputs: Any) -> tuple[tuple, bool]:
    many = isinstance(outputs, (tuple, list))
    tensors = tuple(outputs) if many else (outputs,)
    for y in tensors:
        if not isinstance(y, _core.TensorBase):
            raise TypeError(f"expected the function to return Tensors, got {type(y).__name__}")
    return tensors, many


def _zeros(x: Tensor) -> Tensor:
    return _core.full(x.shape, 0, x.dtype)


def _gradients(
    outputs: tuple, inputs: tuple, dys: tuple, create_graph: bool, retain_graph: bool = True, strict: bool = False
) -> tuple:
    used = [(y, dy) for y, dy in zip(outputs, dys, strict=True) if y.requires_grad]
    if not used:
        found: tuple = (None,) * len(inputs)
    else:
        found = grad(
            [y for y, _ in used],
            inputs,
            [dy for _, dy in used],
            retain_graph=retain_graph,
            create_graph=create_graph,
            allow_unused=True,
        )
    if strict and any(g is None for g in found):
        raise RuntimeError("an output does not depend on an input; pass strict=True to get zeros")
    return tuple(_zeros(x) if g is None else g for x, g in zip(inputs, found, strict=True))


def _like(vectors: Any, tensors: tuple, name: str) -> tuple:
    if vectors is None:
        if len(tensors) == 1 and tensors[0].numel() == 1:
            return (_core.full(tensors[0].shape, 1, tensors[0].dtype),)
        raise RuntimeError(f"{name}: the vector v can be left out only for one tensor of one element")
    given = tuple(vectors) if isinstance(vectors, (tuple, list)) else (vectors,)
    if len(given) != len(tensors):
        raise RuntimeError(f"{name}: {len(given)} vectors for {len(tensors)} tensors")
    for v, t in zip(given, tensors, strict=True):
        if v.shape != t.shape:
            raise RuntimeError(f"{name}: a vector of shape {v.shape} does not fit a tensor of shape {t.shape}")
    return given


def _finish(results: Any, create_graph: bool) -> Any:
    if isinstance(results, tuple):
        return tuple(_finish(r, create_graph) for r in results)
    return results if create_graph else results.detach()


def jacobian(func: Callable, inputs: Any, create_graph: bool = False, strict: bool = False, vectorize: bool = False) -> Any:
    """d outputs / d inputs; one entry has shape output.shape + input.shape. Tuples of inputs or outputs nest as in PyTorch."""
    xs, many_inputs = _inputs(inputs, create_graph)
    with _recording():
        ys, many_outputs = _outputs(func(*xs))
        table = []
        for y in ys:
            rows: list[list] = [[] for _ in xs]
            for j in range(y.numel()):
                one = _core.full((y.numel(),), 0, y.dtype)
                one[j] = 1
                for i, g in enumerate(_gradients((y,), xs, (one.reshape(y.shape),), create_graph, strict=strict)):
                    rows[i].append(g)
            table.append(tuple(_stacked(r, y, x) for r, x in zip(rows, xs, strict=True)))
    table = [_finish(row, create_graph) for row in table]
    picked = [row if many_inputs else row[0] for row in table]
    return tuple(picked) if many_outputs else picked[0]


def _stacked(rows: list, y: Tensor, x: Tensor) -> Tensor:
    from ..ops.shape import stack

    if not rows:
        return _core.full((*y.shape, *x.shape), 0, y.dtype)
    return stack(rows).reshape(*y.shape, *x.shape)


def hessian(func: Callable, inputs: Any, create_graph: bool = False, strict: bool = False, vectorize: bool = False) -> Any:
    """The matrix of second derivatives of a function with one output element; shape input.shape + input.shape."""
    many = isinstance(inputs, (tuple, list))

    def gradient(*xs: Tensor) -> Any:
        with _recording():
            y = func(*xs)
        if not isinstance(y, _core.TensorBase) or y.numel() != 1:
            raise RuntimeError("hessian: the function must return one tensor of one element")
        found = _gradients((y,), xs, (_core.full(y.shape, 1, y.dtype),), create_graph=True, strict=strict)
        return found if many else found[0]

    return jacobian(gradient, inputs, create_graph, strict)


def vjp(func: Callable, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple[Any, Any]:
    """(outputs, v^T J)."""
    xs, many = _inputs(inputs, create_graph)
    with _recording():
        ys, many_outputs = _outputs(func(*xs))
        found = _gradients(ys, xs, _like(v, ys, "vjp"), create_graph, strict=strict)
    ys, found = _finish(ys, create_graph), _finish(found, create_graph)
    return (ys if many_outputs else ys[0]), (found if many else found[0])


def jvp(func: Callable, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple[Any, Any]:
    """(outputs, J v), by differentiating v^T J with respect to v (the double-backward trick)."""
    xs, _ = _inputs(inputs, create_graph)
    vs = _like(v, xs, "jvp")
    with _recording():
        ys, many_outputs = _outputs(func(*xs))
        dummies = tuple(_zeros(y).requires_grad_() for y in ys)
        pulled = _gradients(ys, xs, dummies, create_graph=True, strict=strict)
        found = _gradients(pulled, dummies, vs, create_graph, strict=strict)
    ys, found = _finish(ys, create_graph), _finish(found, create_graph)
    return (ys if many_outputs else ys[0]), (found if many_outputs else found[0])


def vhp(func: Callable, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple[Any, Any]:
    """(output, v^T H) of a function with one output element."""
    return _hessian_product("vhp", func, inputs, v, create_graph, strict)


def hvp(func: Callable, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple[Any, Any]:
    """(output, H v) of a function with one output element; H is symmetric, so this is vhp."""
    return _hessian_product("hvp", func, inputs, v, create_graph, strict)


def _hessian_product(name: str, func: Callable, inputs: Any, v: Any, create_graph: bool, strict: bool) -> tuple[Any, Any]:
    xs, many = _inputs(inputs, create_graph)
    vs = _like(v, xs, name)
    with _recording():
        ys, _ = _outputs(func(*xs))
        if len(ys) != 1 or ys[0].numel() != 1:
            raise RuntimeError(f"{name}: the function must return one tensor of one element")
        first = _gradients(ys, xs, (_core.full(ys[0].shape, 1, ys[0].dtype),), create_graph=True, strict=strict)
        found = _gradients(first, xs, vs, create_graph, strict=strict)
    found = _finish(found, create_graph)
    return _finish(ys[0], create_graph), (found if many else found[0])


def _recording() -> Any:
    from .modes import enable_grad

    return enable_grad()
