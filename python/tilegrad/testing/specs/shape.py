"""Shape ops: views where PyTorch gives views, joined and repeated copies elsewhere."""

import numpy as np

import tilegrad as tg
from tilegrad.reference import shape
from tilegrad.testing.layouts import expanded, spaced, stepped, transposed
from tilegrad.testing.spec import ALL, OpError, OpSpec, functional, method, op, sample

OUT_OF_RANGE = r"Dimension out of range \(expected to be in range of \[-2, 1\], but got {}\)"


def spec(name, fn, numpy, calls, errors=(), **options):
    """A spec whose samples are `calls(rng)`: tuples (array, *other arguments)."""
    options.setdefault("differentiable", (0,))
    options.setdefault("dtypes", ALL)
    return OpSpec(name, fn, numpy, lambda rng: [sample(*call) for call in calls(rng)], errors=list(errors), **options)


def x(rng, *sizes):
    return spaced(rng, sizes, -9.0, 9.0)


def out_of_range(call, dim=2):
    return OpError(call, IndexError, OUT_OF_RANGE.format(dim))


def layouts(rng, *arguments):
    """The same call on a (4, 6) array in every layout."""
    return [
        (x(rng, 4, 6), *arguments),
        (transposed(x(rng, 4, 6)), *arguments),
        (stepped(x(rng, 4, 6)), *arguments),
        (expanded(x(rng, 4, 1), (4, 6)), *arguments),
    ]


def reshape_calls(rng):
    return [
        *layouts(rng, (3, 8)),
        *layouts(rng, (24,)),
        (x(rng, 2, 3, 4), (-1, 4)),
        (x(rng, 2, 3, 4), (2, -1, 2, 1)),
        (x(rng), (1, 1)),
        (x(rng, 1), ()),
        (np.zeros((0, 3)), (3, 0)),
        (np.zeros((2, 0)), (0, 5)),
    ]


def split_calls(rng):
    return [(x(rng, 7, 3), 3), (x(rng, 7, 3), [2, 4, 1]), (x(rng, 2, 9), 4, 1), (x(rng, 2, 9), [0, 9], -1), (x(rng, 6), 10)]


def triangle_calls(rng):
    return [
        (x(rng, 5, 7),),
        (x(rng, 7, 5), 1),
        (x(rng, 5, 5), -2),
        (x(rng, 2, 3, 4, 4), 0),
        (transposed(x(rng, 5, 6)), 9),
        (np.zeros((0, 4)), 0),
    ]


def cat_calls(rng):
    return [
        ([x(rng, 2, 3), x(rng, 4, 3)], 0),
        ([x(rng, 2, 3), x(rng, 2, 1), x(rng, 2, 5)], 1),
        ([x(rng, 2, 3), x(rng, 2, 3)], -1),
        ([x(rng, 5)], 0),
        ([transposed(x(rng, 3, 4)), x(rng, 3, 4), stepped(x(rng, 3, 4))], 0),
        ([np.zeros((0, 3)), x(rng, 2, 3)], 0),
        ([np.zeros((2, 0)), np.zeros((2, 0))], 1),
        ([x(rng, 1, 2, 3)] * 3, 1),
    ]


def stack_calls(rng):
    return [
        ([x(rng, 3), x(rng, 3)], 0),
        ([x(rng, 2, 3), x(rng, 2, 3), x(rng, 2, 3)], 1),
        ([x(rng, 2, 3), transposed(x(rng, 2, 3))], -1),
        ([x(rng), x(rng)], 0),
        ([np.zeros((0,)), np.zeros((0,))], 1),
    ]


def per_dim(*arguments):
    return lambda rng: [c for a in arguments for c in ((x(rng, 3, 4, 5), *a), (transposed(x(rng, 3, 4, 5)), *a))]


def expand_calls(rng):
    return [
        (x(rng, 3, 1), (3, 4)),
        (x(rng, 1, 3), (2, 4, 3)),
        (x(rng, 3, 1), (-1, 2)),
        (x(rng), (2, 3)),
        (x(rng, 1), (0,)),
        (x(rng, 2), (2,)),
    ]


SPECS = [
    spec(
        "reshape",
        op("reshape"),
        shape.reshape,
        reshape_calls,
        [
            OpError(
                lambda: tg.ones(2, 3).reshape(4, 2),
                RuntimeError,
                r"shape \(4, 2\) has 8 elements, the tensor of shape \(2, 3\) has 6",
            ),
            OpError(
                lambda: tg.ones(2, 3).reshape(4, -1),
                RuntimeError,
                r"shape \(4, -1\) does not fit a tensor of shape \(2, 3\) with 6 elements",
            ),
            OpError(lambda: tg.ones(2, 3).reshape(-1, -1), RuntimeError, r"only one size can be -1, got \(-1, -1\)"),
            OpError(
                lambda: tg.ones(2, 0).reshape(0, -1),
                RuntimeError,
                r"the size -1 in \(0, -1\) cannot be worked out for a tensor without elements",
            ),
            OpError(lambda: tg.ones(2, 3).reshape(-2, 3), RuntimeError, r"negative size -2 in shape \(-2, 3\)"),
        ],
    ),
    spec(
        "view",
        lambda t, s: t.view(*s),
        shape.reshape,
        lambda rng: [
            (x(rng, 4, 6), (3, 8)),
            (x(rng, 2, 3, 4), (-1, 4)),
            (transposed(x(rng, 4, 6)), (2, 2, 6)),
            (x(rng), (1, 1)),
        ],
        [OpError(lambda: tg.ones(3, 2).t().view(6), RuntimeError, r"view.*\.reshape|view.*reshape")],
    ),
    spec(
        "flatten",
        op("flatten"),
        shape.flatten,
        per_dim((), (1,), (0, 1), (-2, -1)),
        [out_of_range(lambda: tg.ones(2, 3).flatten(0, 2))],
    ),
    spec(
        "transpose",
        op("transpose"),
        shape.transpose,
        per_dim((0, 1), (-1, 0), (2, 2)),
        [out_of_range(lambda: tg.ones(2, 3).transpose(0, 2))],
    ),
    spec(
        "t",
        method("t"),
        lambda a: a.T,
        lambda rng: [(x(rng, 3, 4),), (x(rng, 5),), (x(rng),)],
        [OpError(lambda: tg.ones(2, 3, 4).t(), RuntimeError, r"t: expected at most 2 dims, got shape \(2, 3, 4\)")],
    ),
    spec("T", lambda t: t.T, lambda a: a.T, layouts),
    spec("mT", lambda t: t.mT, lambda a: np.swapaxes(a, -1, -2), per_dim(())),
    spec(
        "permute",
        op("permute"),
        shape.permute,
        per_dim(((2, 0, 1),), ((0, 1, 2),), ((-1, -2, -3),)),
        [
            OpError(lambda: tg.ones(2, 3).permute(0, 0), RuntimeError, r"permute: dim 0 occurs twice in \(0, 0\)"),
            OpError(lambda: tg.ones(2, 3).permute(0), RuntimeError, r"permute: got 1 dims \(0,\) for a 2-d tensor"),
            out_of_range(lambda: tg.ones(2, 3).permute(0, 2)),
        ],
    ),
    spec(
        "squeeze",
        op("squeeze"),
        shape.squeeze,
        lambda rng: [
            (x(rng, 1, 3, 1),),
            (x(rng, 1, 3, 1), 0),
            (x(rng, 1, 3, 1), 1),
            (x(rng, 1, 3, 1), (0, 2)),
            (x(rng, 3, 4), -1),
            (x(rng),),
        ],
        [out_of_range(lambda: tg.ones(2, 3).squeeze(2))],
    ),
    spec(
        "unsqueeze",
        op("unsqueeze"),
        shape.unsqueeze,
        lambda rng: [(x(rng, 2, 3), d) for d in (0, 1, 2, -1, -3)] + [(x(rng), 0), (transposed(x(rng, 2, 3)), 1)],
        [
            OpError(
                lambda: tg.ones(2, 3).unsqueeze(4),
                IndexError,
                r"Dimension out of range \(expected to be in range of \[-3, 2\], but got 4\)",
            )
        ],
    ),
    spec(
        "expand",
        lambda t, s: t.expand(*s),
        shape.expand,
        expand_calls,
        [
            OpError(
                lambda: tg.ones(2, 3).expand(2, 4), RuntimeError, r"expand: .*\(2, 3\).*\(2, 4\)|expand: .*\(2, 4\).*\(2, 3\)"
            ),
            OpError(
                lambda: tg.ones(2, 3).expand(3),
                RuntimeError,
                r"expand: shape \(3,\) has fewer dims than the tensor of shape \(2, 3\)",
            ),
        ],
    ),
    spec(
        "broadcast_to", op("broadcast_to"), np.broadcast_to, lambda rng: [(a, s) for a, s in expand_calls(rng) if -1 not in s]
    ),
    spec("movedim", op("movedim"), shape.movedim, per_dim((0, 2), (-1, 0), ((0, 1), (1, 2)))),
    spec("flip", op("flip"), shape.flip, per_dim(((0,),), ((-1, 0),), ((),))),
    spec(
        "narrow",
        op("narrow"),
        shape.narrow,
        per_dim((0, 1, 2), (-1, 0, 5), (1, 2, 0)),
        [
            OpError(
                lambda: tg.ones(2, 3).narrow(1, 2, 2),
                RuntimeError,
                r"narrow: start 2 and length 2 reach outside dim 1 of size 3",
            )
        ],
    ),
    spec(
        "select",
        op("select"),
        shape.select,
        per_dim((0, 1), (-1, -5), (1, 3)),
        [
            OpError(
                lambda: tg.ones(2, 3).select(1, 3), IndexError, r"select: index 3 is out of bounds for dimension 1 with size 3"
            )
        ],
    ),
    spec(
        "split",
        op("split"),
        shape.split,
        split_calls,
        [
            OpError(lambda: tg.ones(7).split([3, 3]), RuntimeError, r"split: sections \[3, 3\] add up to 6, dim 0 has size 7"),
            OpError(lambda: tg.ones(7).split(-1), RuntimeError, r"split: expected a positive split size, got -1"),
        ],
    ),
    spec(
        "chunk",
        op("chunk"),
        shape.chunk,
        lambda rng: [(x(rng, 7, 2), 3), (x(rng, 2, 7), 3, 1), (x(rng, 6), 4), (x(rng, 2), 5)],
        [OpError(lambda: tg.ones(7).chunk(0), RuntimeError, r"chunk: expected a positive number of chunks, got 0")],
    ),
    spec("unbind", op("unbind"), shape.unbind, lambda rng: [(x(rng, 3, 4),), (x(rng, 3, 4), 1), (x(rng, 2), -1)]),
    spec(
        "cat",
        op("cat"),
        shape.cat,
        cat_calls,
        [
            OpError(lambda: tg.cat([]), (RuntimeError, ValueError), r"cat: expected at least one tensor, got none"),
            OpError(
                lambda: tg.cat([tg.ones(2, 3), tg.ones(2, 4)]),
                RuntimeError,
                r"cat: tensor 1 has shape \(2, 4\), which differs from \(2, 3\) in a dim other than 0",
            ),
            out_of_range(lambda: tg.cat([tg.ones(2, 3), tg.ones(2, 3)], dim=2)),
        ],
    ),
    spec(
        "stack",
        op("stack"),
        shape.stack,
        stack_calls,
        [
            OpError(
                lambda: tg.stack([tg.ones(2), tg.ones(3)]),
                RuntimeError,
                r"stack: tensor 1 has shape \(3,\), tensor 0 has \(2,\)",
            ),
            OpError(lambda: tg.stack([]), (RuntimeError, ValueError), r"stack: expected at least one tensor, got none"),
        ],
    ),
    spec(
        "repeat",
        method("repeat"),
        lambda a, *n: shape.repeat(a, n),
        lambda rng: [(x(rng, 2, 3), 2, 1), (x(rng, 3), 2, 3), (x(rng, 2, 3), 1, 0), (transposed(x(rng, 2, 3)), 2, 2)],
        [OpError(lambda: tg.ones(2, 3).repeat(2), RuntimeError, r"repeat: 1 repeats for a 2-d tensor")],
    ),
    spec(
        "tril",
        op("tril"),
        shape.tril,
        triangle_calls,
        [OpError(lambda: tg.ones(3).tril(), RuntimeError, r"tril: expected at least 2 dims, got shape \(3,\)")],
        rows=("triangle",),
    ),
    spec("triu", op("triu"), shape.triu, triangle_calls),
    spec("diagonal", op("diagonal"), shape.diagonal, per_dim((), (1,), (-1, 0, 2))),
    spec("contiguous", method("contiguous"), np.copy, lambda rng: layouts(rng)),
    spec("clone", method("clone"), np.copy, lambda rng: [*layouts(rng), (x(rng),), (np.zeros((0, 2)),)]),
    spec(
        "one_hot",
        functional("one_hot"),
        lambda i, n: np.eye(n, dtype=np.int64)[i],
        lambda rng: [(rng.integers(0, 4, (3,)), 4), (rng.integers(0, 4, (2, 3)), 6)],
        dtypes=("int64",),
        differentiable=(),
    ),
]
