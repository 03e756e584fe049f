"""The ``op`` decorator: a kernel call becomes an op that autograd knows.

    mul = op(_core.mul).backward(x=lambda dy, y: dy * y, y=lambda dy, x: dy * x)

One rule per input: only the rules that are needed run, and a node saves only what those rules name. A rule's first
parameter is the gradient of the output; after it, it may ask for

    an argument by name   the saved argument
    out, out1, ...        an output (saved as an alias, so there is no cycle)
    x_shape               the shape of argument x; saves nothing
    dy1, dy2, ...         the gradients of further outputs (None where nothing flows)
    needs                 for a joint rule: which inputs want a gradient

A joint rule, given as a decorator, answers for all inputs at once:

    @op
    def square(x): return _core.mul(x, x)

    @square.backward
    def _(dy, x): return dy * x * 2.0

Rules are made of ops, so every op can be differentiated to any order. A fused op may have a ``composite``: the same
function written in plain ops. It is what runs when a gradient of an op without rules is recorded (order 2 and up), the
reference in tests, and the stand-in where a device lacks the kernel.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from .. import _core

_CONSTANTS = {"None": None, "True": True, "False": False}
# What a rule may ask for, by number (python.h): a saved argument or output below 64, then these.
_SHAPE, _DY, _NEEDS, ALL_DY = 100, 200, 300, 400


def _parameters(function: Callable) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    """Names and defaults (``...`` where there is none) of a Python function or a native kernel."""
    code = getattr(function, "__code__", None)
    if code is not None:
        names = code.co_varnames[: code.co_argcount]
        given = function.__defaults__ or ()
        defaults = (...,) * (len(names) - len(given)) + given
    else:
        items = [part.partition("=") for part in function.__text_signature__[1:-1].split(", ")]  # type: ignore[attr-defined]
        names = tuple(name for name, _, _ in items)
        defaults = tuple(_constant(value) if equals else ... for _, equals, value in items)
    return tuple(map(sys.intern, names)), defaults


def _constant(text: str) -> Any:
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    return text[1:-1] if text[0] in "\"'" else int(text)


class op(_core.Op):
    """An op: call it with tensors. ``view=True`` marks results that share the first argument's memory; ``many=True``
    an op whose first argument is a list of tensors (its rule is joint and answers for every item)."""

    def __new__(cls, kernel: Callable, **_: Any) -> op:
        return _core.Op.__new__(cls)

    def __init__(
        self,
        kernel: Callable,
        *,
        name: str = "",
        params: str = "",
        defaults: tuple | None = None,
        view: bool = False,
        many: bool = False,
    ) -> None:
        names, own = _parameters(kernel)
        if params:
            names = tuple(sys.intern(p) for p in params.split(", "))
        super().__init__(name or kernel.__name__, kernel, names, own if defaults is None else defaults)
        self.__doc__ = kernel.__doc__
        self.set_flags(view, False, many, False)
        self._flags = (view, many)

    def backward(self, rule: Callable | None = None, **rules: Callable) -> op:
        """Sets the gradient rules: one per input by keyword, or one joint rule as a decorator."""
        unknown = set(rules) - set(self.params)
        if unknown:
            raise TypeError(f"{self.name}: no parameters named {', '.join(sorted(unknown))}; it has {', '.join(self.params)}")
        if rule is not None:
            picks = self._picks(rule)
            if _SHAPE in picks and self._flags[1]:
                self.set_flags(*self._flags[:1], False, True, True)
            self.set_rules((rule,), (picks,), True)
            return self
        ordered = tuple(rules.get(name) for name in self.params)
        self.set_rules(ordered, tuple(self._picks(r) if r else () for r in ordered), False)
        return self

    def _picks(self, rule: Callable) -> tuple[int, ...]:
        params = self.params
        names = _parameters(rule)[0][1:]
        positions = {"needs": _NEEDS, "all_dy": ALL_DY}
        for i, name in enumerate(params):
            positions[f"{name}_shape"] = _SHAPE + i
            positions[name] = i
        for k in range(4):
            positions[f"out{k or ''}"] = len(params) + k
            positions[f"dy{k or ''}"] = positions.get(f"dy{k or ''}", _DY + k)
        try:
            return tuple(positions[name] for name in names)
        except KeyError as missing:
            raise TypeError(
                f"{self.name}: a rule takes the output's gradient, then any of {', '.join(positions)}; got {missing}"
            ) from None

    def composite(self, function: Callable) -> Callable:
        """Sets the same function written in plain ops. Its parameters are this op's, in order."""
        self.set_composite(function, (1 << len(self.params)) - 1)
        return function

    def in_place(self, kernel: Callable, name: str = "") -> op:
        """The op that writes its result over its first argument, with this op's gradient rules."""
        other = op(kernel, name=name or f"{self.name}_", params=", ".join(self.params), defaults=self.defaults)
        other.set_flags(False, True, False, False)
        self._copy_rules(other)
        other.in_place_of = self
        return other

    def _copy_rules(self, other: op) -> None:
        if self.rules is None:
            return
        joint = len(self.rules) == 1 and len(self.params) != 1
        if joint:
            other.backward(self.rules[0])
        else:
            other.backward(**{n: r for n, r in zip(self.params, self.rules, strict=True) if r is not None})
