"""Matrix products: every combination of shapes, layouts, and the fused linear layer."""

import numpy as np

import tilegrad as tg
from tilegrad.reference import matmul
from tilegrad.testing.layouts import expanded, stepped, transposed, uniform
from tilegrad.testing.spec import FLOATS, INTEGERS, OpError, OpSpec, functional, op, sample

# products of up to a few hundred terms of size one
TOLERANCES = {"float32": (1e-5, 2e-5), "float64": (1e-13, 1e-13), "bfloat16": (2.0**-7, 1e-4), "float16": (2.0**-9, 1e-4)}

# (M, K, N): one, odd, just beside the sizes of tiles and of the K block of 512
SIZES = [
    (1, 1, 1),
    (2, 3, 4),
    (7, 5, 3),
    (1, 17, 9),
    (33, 1, 2),
    (16, 16, 16),
    (17, 31, 33),
    (64, 48, 65),
    (5, 513, 7),
    (129, 70, 100),
]


def matrices(rng, m, k, n):
    return uniform(rng, (m, k)), uniform(rng, (k, n))


def product_samples(rng):
    """Two matrices: sizes, and all layouts of both operands."""
    result = [sample(*matrices(rng, *size)) for size in SIZES]
    for m, k, n in ((7, 9, 5), (40, 33, 50)):
        a, b = matrices(rng, m, k, n)
        result += [
            sample(transposed(a), b, note="a transposed"),
            sample(a, transposed(b), note="b transposed"),
            sample(transposed(a), transposed(b), note="both transposed"),
            sample(stepped(a), stepped(b), note="every second element"),
        ]
    # whole tiles of every instruction set in the rows, whole registers in the columns, an odd depth: operands copied in
    # groups of tiles, and 16-bit results that leave their tile without a detour
    for m, k, n in ((48, 37, 80), (96, 131, 48)):
        a, b = matrices(rng, m, k, n)
        pairs = ((a, b), (transposed(a), b), (a, transposed(b)), (transposed(a), transposed(b)))
        result += [sample(*pair, gradient=False, note="whole tiles") for pair in pairs]
    result += [sample(expanded(uniform(rng, (1, 6)), (4, 6)), uniform(rng, (6, 3)), note="expanded")]
    zero = [sample(np.zeros((m, k)), np.zeros((k, n)), note="empty") for m, k, n in ((0, 3, 4), (3, 0, 4), (3, 4, 0))]
    special = np.array([[np.inf, 1.0], [0.0, np.nan]])
    return result + zero + [sample(special, np.eye(2), gradient=False, dtypes=FLOATS, note="special values")]


def vector_samples(rng):
    return [
        sample(uniform(rng, (5,)), uniform(rng, (5,)), note="vector @ vector"),
        sample(uniform(rng, (5,)), uniform(rng, (5, 3)), note="vector @ matrix"),
        sample(uniform(rng, (4, 5)), uniform(rng, (5,)), note="matrix @ vector"),
        sample(uniform(rng, (5,)), uniform(rng, (2, 5, 3)), note="vector @ batch"),
        sample(uniform(rng, (2, 4, 5)), uniform(rng, (5,)), note="batch @ vector"),
        sample(np.zeros((0,)), np.zeros((0,)), note="empty vectors"),
        sample(stepped(uniform(rng, (1300,))), uniform(rng, (1300,)), note="long strided vector"),
    ]


def batch_samples(rng):
    a, b = uniform(rng, (6, 4, 5)), uniform(rng, (6, 5, 3))
    swapped = np.ascontiguousarray(a.transpose(1, 0, 2)).transpose(1, 0, 2)
    return [
        sample(a, b),
        sample(swapped, b, note="batch dim not outermost in memory"),
        sample(np.ascontiguousarray(a.transpose(0, 2, 1)).transpose(0, 2, 1), b, note="a transposed in its batch"),
        sample(expanded(a[:1], (6, 4, 5)), b, note="expanded batch"),
        sample(np.zeros((0, 4, 5)), np.zeros((0, 5, 3)), note="empty batch"),
        sample(np.zeros((2, 4, 0)), np.zeros((2, 0, 3)), note="K = 0"),
        sample(uniform(rng, (3, 33, 40)), uniform(rng, (3, 40, 35))),
    ]


def broadcast_batch_samples(rng):
    return [
        sample(uniform(rng, (2, 3, 4, 5)), uniform(rng, (3, 5, 2)), note="more batch dims on the left"),
        sample(uniform(rng, (2, 1, 4, 5)), uniform(rng, (3, 5, 2)), note="both broadcast"),
        sample(uniform(rng, (4, 5)), uniform(rng, (2, 5, 3)), note="matrix @ batch"),
        sample(uniform(rng, (2, 4, 5)), uniform(rng, (5, 3)), note="batch @ matrix"),
        sample(uniform(rng, (2, 3, 4, 5)), uniform(rng, (5, 3)), note="two batch dims @ matrix"),
        sample(uniform(rng, (1, 4, 5)), uniform(rng, (7, 5, 1)), note="batch of one"),
    ]


def linear_samples(activation=None):
    def make(rng):
        def options(**others):
            return others if activation is None else {**others, "activation": activation}

        x, w, b = uniform(rng, (6, 5)), uniform(rng, (4, 5)), uniform(rng, (4,))
        if activation == "relu":  # away from the kink at zero
            x, w, b = np.abs(x), np.abs(w) * np.array([1, -1, 1, -1])[:, None], np.array([0.1, -0.1, 0.5, -0.5])
        return [
            sample(x, w, b, **options()),
            sample(x, w, **options()),
            sample(transposed(x), transposed(w), b, note="transposed", **options()),
            sample(x[0], w, b, note="one row", **options()),
            sample(x.reshape(2, 3, 5), w, b, note="3-d", **options()),
            sample(x.reshape(1, 2, 3, 5)[:, :1], w, b, note="4-d, strided", **options()),
            sample(np.zeros((0, 5)), w, b, note="empty", **options()),
            sample(
                uniform(rng, (33, 70)),
                uniform(rng, (50, 70)),
                uniform(rng, (50,)),
                note="larger",
                gradient=activation != "relu",
                **options(),
            ),
        ]

    return make


def fused_linear(x, w, b=None, activation=None):
    return tg.ops.matmul.linear(x, w, b, activation or "none")


SHAPES = r"matmul: shapes \(2, 3\) and \(4, 5\) do not fit: 3 columns against 4 rows"

SPECS = [
    OpSpec(
        "matmul",
        op("matmul"),
        matmul.matmul,
        lambda rng: product_samples(rng) + vector_samples(rng) + batch_samples(rng) + broadcast_batch_samples(rng),
        FLOATS + INTEGERS,
        tolerances=TOLERANCES,
        differentiable=(0, 1),
        errors=[
            OpError(lambda: tg.matmul(tg.ones(2, 3), tg.ones(4, 5)), RuntimeError, SHAPES),
            OpError(
                lambda: tg.matmul(tg.ones(()), tg.ones(4, 5)),
                RuntimeError,
                r"matmul: both arguments need at least 1 dim, got 0-d and 2-d",
            ),
            OpError(
                lambda: tg.ones(2, 2, 3) @ tg.ones(3, 3, 4),
                RuntimeError,
                r"matmul: shapes \(2,\) and \(3,\) cannot be broadcast together|matmul: .*\(2, 2, 3\).*\(3, 3, 4\)",
            ),
            OpError(
                lambda: tg.ones(2, 3) @ tg.ones(3, 2, dtype=tg.float64),
                RuntimeError,
                r"matmul: expected two tensors of one dtype, got float32 and float64",
            ),
            OpError(lambda: tg.ones(2, 3) @ "text", TypeError, r"unsupported operand type\(s\) for @: 'Tensor' and 'str'"),
        ],
    ),
    OpSpec(
        "mm",
        op("mm"),
        matmul.matmul,
        product_samples,
        FLOATS + INTEGERS,
        tolerances=TOLERANCES,
        differentiable=(0, 1),
        rows=("matmul",),
        errors=[
            OpError(lambda: tg.mm(tg.ones(2, 3), tg.ones(4, 5)), RuntimeError, SHAPES),
            OpError(
                lambda: tg.mm(tg.ones(2, 3, 4), tg.ones(4, 5)),
                RuntimeError,
                r"mm: expected two matrices, got shapes \(2, 3, 4\) and \(4, 5\)",
            ),
        ],
    ),
    OpSpec(
        "bmm",
        op("bmm"),
        matmul.matmul,
        batch_samples,
        FLOATS,
        tolerances=TOLERANCES,
        differentiable=(0, 1),
        rows=("matmul",),
        errors=[
            OpError(
                lambda: tg.bmm(tg.ones(2, 2, 3), tg.ones(3, 3, 4)),
                RuntimeError,
                r"bmm: expected shapes \(B, M, K\) and \(B, K, N\), got \(2, 2, 3\) and \(3, 3, 4\)",
            )
        ],
    ),
    OpSpec(
        "linear",
        functional("linear"),
        matmul.linear,
        linear_samples(),
        FLOATS,
        tolerances=TOLERANCES,
        differentiable=(0, 1, 2),
        rows=("matmul",),
        errors=[
            OpError(
                lambda: tg.nn.functional.linear(tg.ones(2, 3), tg.ones(4, 5)),
                RuntimeError,
                r"linear: an input of shape \(2, 3\) has 3 features, the weight of shape \(4, 5\) expects 5",
            ),
            OpError(
                lambda: tg.nn.functional.linear(tg.ones(2, 3), tg.ones(4, 3), tg.ones(5)),
                RuntimeError,
                r"linear: expected a bias of shape \(4,\), got \(5,\)",
            ),
        ],
    ),
    *[
        OpSpec(
            f"linear_{activation}",
            fused_linear,
            matmul.linear,
            linear_samples(activation),
            FLOATS,
            tolerances={**TOLERANCES, "bfloat16": (2.0**-6, 1e-3), "float16": (2.0**-8, 1e-3)},
            differentiable=(0, 1, 2),
            rows=("matmul", f"{activation}_backward"),
        )
        for activation in ("relu", "gelu", "gelu_tanh", "tanh", "sigmoid")
    ],
]
