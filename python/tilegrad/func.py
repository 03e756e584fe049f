"""tilegrad.func: derivatives of functions as functions (PyTorch: torch.func), on top of autograd.

Arguments may be tensors, or dicts, tuples and lists of them. A result is differentiable again when an argument requires grad or
another of these functions is at work on it; otherwise it carries no graph.
Source: https://pytorch.org/docs/stable/func.api.html
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tilegrad as tg

from .autograd import enable_grad
from .autograd import functional as _functional
from .autograd import grad as _grad
from .tensor import Tensor


def _leaves(tree: Any) -> list[Tensor]:
    if isinstance(tree, Tensor):
        return [tree]
    if isinstance(tree, dict):
        return [leaf for value in tree.values() for leaf in _leaves(value)]
    if isinstance(tree, (tuple, list)):
        return [leaf for value in tree for leaf in _leaves(value)]
    raise TypeError(f"expected tensors, or dicts, tuples and lists of them, got {type(tree).__name__}")


def _rebuilt(tree: Any, leaves: Any) -> Any:
    """The tree with its tensors taken from the iterator `leaves`."""
    if isinstance(tree, Tensor):
        return next(leaves)
    if isinstance(tree, dict):
        return {key: _rebuilt(value, leaves) for key, value in tree.items()}
    parts = [_rebuilt(value, leaves) for value in tree]
    return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)


def _watched(tree: Any) -> tuple[Any, list[Tensor], bool]:
    """The tree with inputs of our own, those inputs, and whether the caller's graph goes on behind them."""
    outer = any(x.requires_grad for x in _leaves(tree))
    inputs = [x.view_as(x) if x.requires_grad else x.detach().requires_grad_() for x in _leaves(tree)]
    return _rebuilt(tree, iter(inputs)), inputs, outer


def grad_and_value(func: Callable, argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Callable:
    """The function (gradients, value) of `func`, which returns one number; with has_aux: (gradients, (value, aux)).

    Args:
        argnums: which positional arguments to differentiate; a tuple of them gives a tuple of gradients.
        has_aux: func returns (value, anything else).

    Raises RuntimeError when func does not return a tensor of one element, IndexError for an argument that is not there.
    """

    def derived(*args: Any, **kwargs: Any) -> Any:
        many = not isinstance(argnums, int)
        numbers: tuple[int, ...] = (argnums,) if isinstance(argnums, int) else tuple(argnums)
        for i in numbers:
            if not -len(args) <= i < len(args):
                raise IndexError(f"grad: argnums={i}, but the function was called with {len(args)} positional arguments")
        with enable_grad():
            wanted, inputs, outer = _watched([args[i] for i in numbers])
            given = list(args)
            for i, value in zip(numbers, wanted, strict=True):
                given[i] = value
            result = func(*given, **kwargs)
            value, aux = result if has_aux else (result, None)
            if not isinstance(value, Tensor) or value.numel() != 1:
                shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
                raise RuntimeError(f"grad: the function must return one tensor of one element, got {shape}")
            found = _gradients([value], inputs, None, outer)
        trees = _rebuilt(wanted, iter(found))
        value = value if outer else value.detach()
        return (tuple(trees) if many else trees[0]), ((value, aux) if has_aux else value)

    return derived


def _gradients(outputs: list[Tensor], inputs: list[Tensor], vectors: list[Tensor] | None, outer: bool) -> list[Tensor]:
    if not any(y.requires_grad for y in outputs):
        return [tg.zeros_like(x) for x in inputs]
    pairs = [(y, None if vectors is None else vectors[i]) for i, y in enumerate(outputs) if y.requires_grad]
    found = _grad(
        [y for y, _ in pairs], inputs, [v for _, v in pairs], retain_graph=True, create_graph=outer, allow_unused=True
    )
    return [tg.zeros_like(x) if g is None else g for x, g in zip(inputs, found, strict=True)]


def grad(func: Callable, argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Callable:
    """The gradient of `func` as a function; with has_aux: (gradient, aux). Arguments and errors as grad_and_value."""
    both = grad_and_value(func, argnums, has_aux)

    def derived(*args: Any, **kwargs: Any) -> Any:
        gradients, value = both(*args, **kwargs)
        return (gradients, value[1]) if has_aux else gradients

    return derived


def vjp(func: Callable, *primals: Any, has_aux: bool = False) -> Any:
    """(output, f) with f(v) = v^T J, a tuple of one entry per primal; with has_aux: (output, f, aux)."""
    with enable_grad():
        watched, inputs, outer = _watched(list(primals))
        result = func(*watched)
    output, aux = result if has_aux else (result, None)
    outputs = _leaves(output)

    def pull(*vectors: Any) -> Any:
        tree = vectors[0] if len(vectors) == 1 else vectors
        given = _leaves(tree)
        if [tuple(v.shape) for v in given] != [tuple(y.shape) for y in outputs]:
            shapes = [tuple(v.shape) for v in given], [tuple(y.shape) for y in outputs]
            raise RuntimeError(f"vjp: vectors of shapes {shapes[0]} do not fit outputs of shapes {shapes[1]}")
        later = outer or any(v.requires_grad for v in given)
        return tuple(_rebuilt(watched, iter(_gradients(outputs, inputs, given, later))))

    shown = output if outer else _rebuilt(output, iter([y.detach() for y in outputs]))
    return (shown, pull, aux) if has_aux else (shown, pull)


def jvp(func: Callable, primals: tuple, tangents: tuple) -> tuple[Any, Any]:
    """(output, J v) for tensors as primals and tangents of the same shapes (by two backward passes)."""
    if not isinstance(primals, tuple) or not isinstance(tangents, tuple):
        raise RuntimeError("jvp: primals and tangents must be tuples")
    create = any(x.requires_grad for x in (*_leaves(primals), *_leaves(tangents)))
    return _functional.jvp(func, primals, tangents, create_graph=create)


def jacrev(func: Callable, argnums: int = 0) -> Callable:
    """The Jacobian of `func` for one tensor argument, as a function; shape output.shape + input.shape."""

    def derived(*args: Any, **kwargs: Any) -> Any:
        def of_one(x: Tensor) -> Any:
            given = list(args)
            given[argnums] = x
            return func(*given, **kwargs)

        return _functional.jacobian(of_one, args[argnums], create_graph=args[argnums].requires_grad)

    return derived


jacfwd = jacrev


def hessian(func: Callable, argnums: int = 0) -> Callable:
    """The Hessian of `func` (one number) for one tensor argument; shape input.shape + input.shape."""

    def derived(*args: Any, **kwargs: Any) -> Any:
        def of_one(x: Tensor) -> Any:
            given = list(args)
            given[argnums] = x
            return func(*given, **kwargs)

        return _functional.hessian(of_one, args[argnums], create_graph=args[argnums].requires_grad)

    return derived


def vmap(func: Callable, in_dims: Any = 0, out_dims: int = 0, randomness: str = "error", *, chunk_size: Any = None) -> Callable:
    """`func` for every entry along a dim, results stacked. It is a loop: convenient, not faster. `chunk_size` is ignored.

    Args:
        in_dims: the dim of each argument, None for one that is passed whole; one number stands for all.
        out_dims: where the new dim goes.

    Raises ValueError when no argument has a dim to go over, or the sizes differ.
    """

    def mapped(*args: Any, **kwargs: Any) -> Any:
        dims = in_dims if isinstance(in_dims, (tuple, list)) else [in_dims] * len(args)
        if len(dims) != len(args):
            raise ValueError(f"vmap: in_dims has {len(dims)} entries for {len(args)} arguments")
        sizes = {t.shape[d] for arg, d in zip(args, dims, strict=True) if d is not None for t in _leaves(arg)}
        if len(sizes) != 1:
            raise ValueError(f"vmap: expected all mapped dims to have one size, got {sorted(sizes) or 'no mapped argument'}")
        results = []
        for i in range(sizes.pop()):
            one = [
                arg if d is None else _rebuilt(arg, iter([tg.select(t, d, i) for t in _leaves(arg)]))
                for arg, d in zip(args, dims, strict=True)
            ]
            results.append(func(*one, **kwargs))
        stacked = [tg.stack(list(column), out_dims) for column in zip(*map(_leaves, results), strict=True)]
        return _rebuilt(results[0], iter(stacked))

    return mapped


def functional_call(
    module: Any,
    parameter_and_buffer_dicts: Any,
    args: Any = None,
    kwargs: dict | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """module(*args, **kwargs) with other tensors in place of its parameters and buffers, which stay as they are.

    Args:
        parameter_and_buffer_dicts: names as in state_dict -> tensors, or a sequence of such dicts.
        args: one argument, or a tuple of them.
        tie_weights: a parameter that the module has under two names is replaced under both.
        strict: every parameter and buffer must be given.

    Raises ValueError for a name given twice, RuntimeError for names that the module lacks, or missing ones under strict.
    """
    dicts = [parameter_and_buffer_dicts] if isinstance(parameter_and_buffer_dicts, dict) else list(parameter_and_buffer_dicts)
    given: dict[str, Any] = {}
    for d in dicts:
        double = given.keys() & d.keys()
        if double:
            raise ValueError(f"functional_call: {sorted(double)} appear in multiple dictionaries")
        given.update(d)
    places = {}
    for prefix, part in module.named_modules(remove_duplicate=False):
        for store in (part._parameters, part._buffers):
            for name in (n for n, value in store.items() if value is not None):
                places[f"{prefix}.{name}" if prefix else name] = (store, name)
    unknown, missing = sorted(given.keys() - places.keys()), sorted(places.keys() - given.keys())
    if unknown:
        raise RuntimeError(f"functional_call: {type(module).__name__} has no {', '.join(unknown)}")
    if strict and missing:
        raise RuntimeError(f"functional_call: missing with strict=True: {', '.join(missing)}")
    replaced = dict(given)
    if tie_weights:
        owners = {id(places[name][0][places[name][1]]): value for name, value in given.items()}
        for name in missing:
            store, key = places[name]
            if id(store[key]) in owners:
                replaced[name] = owners[id(store[key])]
    before = {name: places[name][0][places[name][1]] for name in replaced}
    try:
        for name, value in replaced.items():
            places[name][0][places[name][1]] = value
        positional = () if args is None else args if isinstance(args, tuple) else (args,)
        return module(*positional, **(kwargs or {}))
    finally:
        for name, value in before.items():
            places[name][0][places[name][1]] = value


__all__ = ["functional_call", "grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp", "vjp", "vmap"]
