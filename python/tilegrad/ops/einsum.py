"""einsum: sums of products over named dims, contracted pair by pair with batched matrix products."""

from __future__ import annotations

from .arguments import need_tensor
from .elementwise import mul
from .matmul import matmul
from .reduce import sum_op
from .shape import diagonal, permute_op, reshape_op

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def einsum(equation, *operands):
    """The sum of products that the equation names: ``einsum("bij,bjk->bik", x, y)``.

    A letter names a dim; letters that are not in the output are summed. A letter twice in one operand takes the diagonal,
    ``...`` stands for dims that broadcast. Without ``->`` the output has the letters that occur once, in alphabetical order.
    Also ``einsum(x, [0, 1], y, [1, 2], [0, 2])``. Operands are contracted from left to right, each pair by one batched matrix
    product over permuted views.

    Source: https://pytorch.org/docs/stable/generated/torch.einsum.html

    Raises:
        RuntimeError: an equation that is not valid, or that does not fit the operands.
    """
    if not isinstance(equation, str):
        equation, operands = _from_sublists((equation, *operands))
    elif len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    if not operands:
        raise RuntimeError("einsum(): must provide at least one operand")
    inputs, output = _parse(equation, operands)
    sizes = _sizes(equation, inputs, operands)
    terms = [_without_repeats(x, labels) for x, labels in zip(operands, inputs, strict=True)]
    x, labels = terms[0]
    for i, (y, other) in enumerate(terms[1:], 1):
        needed = set(output).union(*(later for _, later in terms[i + 1 :]))
        x, labels = _contract(x, labels, y, other, needed, sizes)
    x, labels = _summed(x, labels, set(output))
    return permute_op(x, tuple(labels.index(c) for c in output)) if tuple(labels) != tuple(output) else x


def _from_sublists(arguments):
    """einsum(x, [0, 1], y, [1, 2], [0, 2]) as an equation."""

    def text(labels):
        parts = []
        for label in labels:
            if label is Ellipsis:
                parts.append("...")
            elif isinstance(label, int) and 0 <= label < len(_LETTERS):
                parts.append(_LETTERS[label])
            else:
                raise RuntimeError(f"einsum(): expected subscripts within range [0, {len(_LETTERS)}), got {label!r}")
        return "".join(parts)

    operands, lists = arguments[0 : len(arguments) // 2 * 2 : 2], arguments[1::2]
    equation = ",".join(text(labels) for labels in lists)
    if len(arguments) % 2:
        equation += "->" + text(arguments[-1])
    return equation, operands


def _parse(equation, operands):
    """(labels of each operand, labels of the output): one label per dim. The dims of ``...`` are numbered from the right."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(operands):
        raise RuntimeError(f"einsum(): the equation {equation!r} has {len(terms)} operands, but {len(operands)} were given")
    inputs, widest = [], 0
    for i, (term, x) in enumerate(zip(terms, operands, strict=True)):
        before, dots, after = term.partition("...")
        _check_letters(equation, before + after)
        need_tensor("einsum", f"operand {i}", x)
        n = x.ndim - len(before) - len(after)
        if n < 0 or (n > 0 and not dots):
            raise RuntimeError(
                f"einsum(): the number of subscripts in the equation ({len(before) + len(after)}) does not match the number "
                f"of dimensions ({x.ndim}) for operand {i}{'' if dots else ' and no ellipsis was given'}"
            )
        widest = max(widest, n)
        inputs.append((*before, *(-k for k in range(n, 0, -1)), *after))
    broadcast = tuple(-k for k in range(widest, 0, -1))
    if not arrow:
        letters = sorted(c for c in set(left) if c.isalpha() and left.count(c) == 1)
        return inputs, (*broadcast, *letters)
    before, dots, after = right.partition("...")
    _check_letters(equation, before + after)
    for c in before + after:
        if (before + after).count(c) > 1:
            raise RuntimeError(f"einsum(): output subscript {c} appears more than once in the output")
        if c not in left:
            raise RuntimeError(f"einsum(): output subscript {c} does not appear in the equation for any input operand")
    return inputs, (*before, *(broadcast if dots else ()), *after)


def _check_letters(equation, letters):
    for c in letters:
        if not (c.isascii() and c.isalpha()):
            raise RuntimeError(f"einsum(): invalid subscript {c!r} in {equation!r}, subscripts must be in [a-zA-Z]")


def _sizes(equation, inputs, operands):
    sizes: dict = {}
    for i, (labels, x) in enumerate(zip(inputs, operands, strict=True)):
        for c, size in zip(labels, x.shape, strict=True):
            known = sizes.setdefault(c, size)
            if known == 1:
                sizes[c] = size
            elif size not in (1, known):
                name = "..." if isinstance(c, int) else c
                raise RuntimeError(
                    f"einsum(): subscript {name} has size {size} for operand {i} which does not broadcast with previously "
                    f"seen size {known} in {equation!r}"
                )
    return sizes


def _without_repeats(x, labels):
    """A letter that occurs twice becomes its diagonal."""
    labels = list(labels)
    for c in dict.fromkeys(labels):
        while labels.count(c) > 1:
            first = labels.index(c)
            second = labels.index(c, first + 1)
            x = diagonal(x, 0, first, second)
            del labels[second], labels[first]
            labels.append(c)
    return x, labels


def _summed(x, labels, needed):
    """x summed over the labels that nobody needs."""
    away = tuple(d for d, c in enumerate(labels) if c not in needed)
    if not away:
        return x, labels
    return sum_op(x, away, False), [c for c in labels if c in needed]


def _contract(x, x_labels, y, y_labels, needed, sizes):
    """One product of two operands: labels of both that are not needed later are summed by the matrix product."""
    x, x_labels = _summed(x, x_labels, needed | set(y_labels))
    y, y_labels = _summed(y, y_labels, needed | set(x_labels))
    size_x, size_y = dict(zip(x_labels, x.shape, strict=True)), dict(zip(y_labels, y.shape, strict=True))
    both = [c for c in x_labels if c in size_y]
    # a dim of size 1 that broadcasts against the other operand belongs to that operand
    stretched = [c for c in both if size_x[c] != size_y[c]]
    for c in stretched:
        if size_x[c] == 1:
            x, x_labels = x.squeeze(x_labels.index(c)), [k for k in x_labels if k != c]
        else:
            y, y_labels = y.squeeze(y_labels.index(c)), [k for k in y_labels if k != c]
    if stretched:
        return _contract(x, x_labels, y, y_labels, needed, sizes)
    batch = [c for c in both if c in needed]
    inner = [c for c in both if c not in needed]
    left = [c for c in x_labels if c not in size_y]
    right = [c for c in y_labels if c not in size_x]
    labels = [*batch, *left, *right]
    if not inner:  # nothing to sum: a broadcast product
        a = _arranged(x, x_labels, [*batch, *left]).reshape(tuple(size_x[c] for c in (*batch, *left)) + (1,) * len(right))
        b = _arranged(y, y_labels, [*batch, *right])
        b = b.reshape(tuple(size_y[c] for c in batch) + (1,) * len(left) + tuple(size_y[c] for c in right))
        return mul(a, b), labels
    a = _grouped(x, x_labels, size_x, batch, left, inner)
    b = _grouped(y, y_labels, size_y, batch, inner, right)
    product = matmul(a, b)
    shape = tuple(size_x[c] for c in (*batch, *left)) + tuple(size_y[c] for c in right)
    return reshape_op(product, shape), labels


def _arranged(x, labels, order):
    return x if list(labels) == list(order) else permute_op(x, tuple(labels.index(c) for c in order))


def _grouped(x, labels, sizes, *groups):
    """x as (batch, rows, columns), each a group of labels; a view where the strides allow it. No batch: a matrix."""
    x = _arranged(x, labels, [c for group in groups for c in group])
    shape = tuple(_product(sizes[c] for c in group) for group in groups)
    return reshape_op(x, shape if groups[0] else shape[1:])


def _product(sizes):
    n = 1
    for s in sizes:
        n *= s
    return n
