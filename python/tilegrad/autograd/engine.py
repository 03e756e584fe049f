"""The engine: gradients of a recorded graph, newest step first.

Every step (Node) is younger than the steps it got its inputs from, so "the newest pending node first" is a topological
order: no depth-first search, no recursion. A gradient is dropped as soon as its node has used it. The first gradient that
reaches a place is borrowed, the second makes a new buffer, and later ones are added in place into that buffer. Gradients of
slices of one tensor go into a common buffer, each to its part. Where only some inputs are asked for, only rules on the way to
them run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

from .. import _core
from . import anomaly
from .hooks import run_leaf_hooks, run_node_hooks, run_post_accumulate_hooks

if TYPE_CHECKING:
    from ..tensor import Tensor

Node = _core.Node


class _Run:
    """One backward pass: what is pending, and which buffers the pass owns."""

    def __init__(self, create_graph: bool, needed: set | None) -> None:
        self.create_graph = create_graph
        self.needed = needed  # nodes that lead to a wanted input; None = all
        self.pending: dict[Any, Any] = {}  # Node -> gradient (a list of them for several outputs), leaf -> gradient
        self.heap: list[Node] = []
        self.owned: set = set()

    def add(self, edge: Any, slot: int, dx: Tensor, fresh: bool = False) -> None:
        """Adds a gradient to what is pending for output `slot` of an edge: the general way, outside of the hot loop.
        `fresh`: nobody else has this gradient."""
        if self.needed is not None and edge not in self.needed:
            return
        single = type(edge) is not Node or edge.n_outputs == 1
        if type(edge) is Node and edge not in self.pending:
            heappush(self.heap, edge)
        places: Any = self.pending if single else self.pending.setdefault(edge, [None] * edge.n_outputs)
        place, owner = (edge, edge) if single else (slot, (edge, slot))
        have = places.get(edge) if single else places[slot]
        if have is not None and owner in self.owned:
            _core.add_(have, dx)
            return
        places[place] = dx if have is None else have + dx
        if (fresh or have is not None) and not self.create_graph:
            self.owned.add(owner)

    def add_to_part(self, slice_: Node, edge: Any, slot: int, dy: Tensor) -> bool:
        """Adds the gradient of a slice to its place in a buffer that the pass owns already. Zeros around every one of n
        slices, added up, would take n times as long. False: there is no such buffer yet."""
        single = type(edge) is not Node or edge.n_outputs == 1
        if (edge if single else (edge, slot)) not in self.owned or self.create_graph:
            return False
        _core.add_(slice_.shown_part(self.pending[edge] if single else self.pending[edge][slot]), dy)
        return True

    def run(self, retain_graph: bool, capture: dict | None) -> None:
        pending, heap, needed, owned, create_graph = self.pending, self.heap, self.needed, self.owned, self.create_graph
        accumulate, watched = _core.add_, anomaly.enabled
        while heap:
            node = heappop(heap)
            dy = pending.pop(node)
            if node.hooks is not None:
                dy = run_node_hooks(node, dy)
            if capture is not None and node in capture:
                slots = capture[node]
                for slot in slots:
                    slots[slot] = dy if node.n_outputs == 1 else dy[slot]
                if needed is not None and not _leads_on(node, needed):
                    continue
            edges, slots = node.edges, node.slots
            if slots is not None and node.is_slice and not watched and self.add_to_part(node, edges[0], slots[0], dy):
                if not retain_graph:
                    node.free()
                continue
            # apply() checks the saved values and calls the rules
            if watched:
                with anomaly.during_backward():
                    dxs = node.apply(dy) if needed is None else node.apply(dy, _wanted(edges, needed))
                anomaly.check_gradients(node, dxs)
            elif needed is None:
                dxs = node.apply(dy)
            else:
                dxs = node.apply(dy, _wanted(edges, needed))
            if slots is not None:  # an input is one of several outputs of its node, or this is a slice
                for edge, slot, dx in zip(edges, slots, dxs, strict=True):
                    if dx is not None:
                        self.add(edge, slot, dx, node.is_slice)
                edges = ()
            if not retain_graph:
                node.free()
            for edge, dx in zip(edges, dxs):  # noqa: B905  (the keyword would cost more than the loop)
                if dx is None:
                    continue
                have = pending.get(edge)
                if have is None:
                    if needed is not None and edge not in needed:  # of a rule that answers for all inputs at once
                        continue
                    if type(edge) is Node:
                        heappush(heap, edge)
                    pending[edge] = dx
                elif edge in owned:
                    accumulate(have, dx)
                else:
                    pending[edge] = have + dx
                    if not create_graph:
                        owned.add(edge)


def _wanted(edges: tuple, needed: set) -> int:
    """Bit i: is the gradient of edge i on the way to a wanted input? (Only the first 64 edges can be left out.)"""
    bits = 0
    for i, edge in enumerate(edges[:64]):
        if edge is not None and edge in needed:
            bits |= 1 << i
    return bits


def _leads_on(node: Node, needed: set) -> bool:
    return any(edge in needed for edge in node.edges if edge is not None)


def _start(outputs: Sequence[Tensor], gradients: Sequence[Tensor | None] | None, run: _Run, name: str) -> None:
    given = gradients if gradients is not None else [None] * len(outputs)
    if len(given) != len(outputs):
        raise RuntimeError(f"{name}: {len(outputs)} outputs but {len(given)} gradients")
    for y, dy in zip(outputs, given, strict=True):
        if not y.requires_grad:
            raise RuntimeError(
                f"{name}: a tensor of shape {y.shape} does not require grad and was not computed from tensors that do; "
                "set requires_grad=True on the inputs, and compute outside of no_grad()"
            )
        if dy is None:
            if y.numel() != 1:
                raise RuntimeError(
                    f"{name}: a gradient can be created implicitly only for outputs of one element, "
                    f"this one has shape {y.shape}; reduce it with .sum() or .mean(), or pass the gradient"
                )
            dy = _core.full(y.shape, 1, y.dtype)
        elif dy.shape != y.shape:
            raise RuntimeError(f"{name}: a gradient of shape {dy.shape} does not fit an output of shape {y.shape}")
        elif dy.dtype is not y.dtype:
            dy = dy.to(y.dtype)
        node = y.grad_fn
        run.add(y if node is None else node, y.output_nr, dy)


def _accumulate(leaf: Tensor, dx: Tensor, create_graph: bool, owned: bool = False) -> None:
    """leaf.grad += dx, never sharing memory with another gradient: dx itself is taken only if nobody else owns it."""
    if leaf._hooks is not None:
        dx, owned = run_leaf_hooks(leaf, dx), False
    have = leaf.grad
    if have is None:
        leaf.grad = dx if create_graph or owned else dx.clone()
    elif create_graph:
        leaf.grad = have + dx
    else:
        _core.add_(have, dx)
    if leaf._hooks is not None:
        run_post_accumulate_hooks(leaf)


def backward(
    tensors: Tensor | Sequence[Tensor],
    grad_tensors: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensor | Sequence[Tensor] | None = None,
) -> None:
    """Adds to ``.grad`` of every leaf the gradient of `tensors` (PyTorch: torch.autograd.backward).

    Args:
        tensors: outputs to differentiate; those of more than one element need a gradient in `grad_tensors`.
        retain_graph: keep the graph for another pass; default: `create_graph`.
        create_graph: record the gradients themselves, for higher orders.
        inputs: accumulate only into these.

    Raises:
        RuntimeError: an output does not require grad, has several elements and no gradient, the graph was freed by an
            earlier pass, or a saved tensor was changed in place.
    """
    outputs = _as_list(tensors)
    gradients = None if grad_tensors is None else _as_list(grad_tensors)
    wanted = None if inputs is None else _as_list(inputs)
    if wanted is not None and not wanted:
        raise RuntimeError("backward: inputs is empty")
    retain = create_graph if retain_graph is None else retain_graph
    if wanted is not None:
        found = _gradients("backward", outputs, wanted, gradients, retain, create_graph)
        for x, dx in zip(wanted, found, strict=True):
            if dx is not None:
                previous = _core.set_grad_enabled(create_graph)
                try:
                    _accumulate(x, dx, create_graph)
                finally:
                    _core.set_grad_enabled(previous)
        return
    previous = _core.set_grad_enabled(create_graph)
    try:
        run = _Run(create_graph, None)
        _start(outputs, gradients, run, "backward")
        run.run(retain, None)
        leaves = run.pending
        run.owned.clear()
        for leaf in list(leaves):
            owned = _core.solely_owned_by(leaves, leaf)
            _accumulate(leaf, leaves.pop(leaf), create_graph, owned)
    finally:
        _core.set_grad_enabled(previous)


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of `outputs` with respect to `inputs`, without touching ``.grad`` (PyTorch: torch.autograd.grad).

    Only the part of the graph that leads to an input is walked.

    Raises:
        RuntimeError: as `backward`; also an input that is not part of the graph, unless `allow_unused` (then: None).
    """
    if not only_inputs:
        raise ValueError("grad: only_inputs=False is not supported; use backward() to accumulate into .grad")
    if is_grads_batched:
        raise ValueError("grad: is_grads_batched is not supported; call grad() once per row")
    wanted = _as_list(inputs)
    for x in wanted:
        if not x.requires_grad:
            raise RuntimeError(f"grad: an input of shape {x.shape} does not require grad")
    outs = _as_list(outputs)
    gradients = None if grad_outputs is None else _as_list(grad_outputs)
    found = _gradients("grad", outs, wanted, gradients, create_graph if retain_graph is None else retain_graph, create_graph)
    if materialize_grads:
        found = [_core.full(x.shape, 0, x.dtype) if dx is None else dx for x, dx in zip(wanted, found, strict=True)]
    elif not allow_unused:
        for i, dx in enumerate(found):
            if dx is None:
                raise RuntimeError(
                    f"grad: input {i} of shape {wanted[i].shape} was not used to compute the outputs; "
                    "pass allow_unused=True to get None for it"
                )
    return tuple(found)


def _gradients(
    name: str, outputs: list, inputs: list, gradients: list | None, retain_graph: bool, create_graph: bool
) -> list[Tensor | None]:
    places = [(x.grad_fn, x.output_nr) if x.grad_fn is not None else (x, 0) for x in inputs]
    capture: dict[Any, dict[int, Any]] = {}
    for edge, slot in places:
        if type(edge) is Node:
            capture.setdefault(edge, {})[slot] = None
    needed = _nodes_towards([place for place, _ in places], outputs)
    previous = _core.set_grad_enabled(create_graph)
    try:
        run = _Run(create_graph, needed)
        _start(outputs, gradients, run, name)
        run.run(retain_graph, capture)
        leaves = run.pending
        found = []
        for edge, slot in places:
            dx = capture[edge][slot] if type(edge) is Node else leaves.get(edge)
            if dx is not None and type(edge) is not Node and edge._hooks is not None:
                dx = run_leaf_hooks(edge, dx)
            found.append(dx)
        return found
    finally:
        _core.set_grad_enabled(previous)


def _nodes_towards(targets: Iterable[Any], outputs: Iterable[Tensor]) -> set:
    """The nodes from which a target can be reached, and the targets."""
    needed = set(targets)
    seen: set = set()
    stack = [y.grad_fn for y in outputs if y.grad_fn is not None]
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        stack.extend(edge for edge in node.edges if type(edge) is Node and edge not in seen)
    for node in sorted(seen, key=lambda n: n.seq):  # oldest first: a node is needed if one of its inputs is
        if any(edge in needed for edge in node.edges if edge is not None):
            needed.add(node)
    return needed


def _as_list(value: Any) -> list:
    return [value] if isinstance(value, _core.TensorBase) else list(value)
