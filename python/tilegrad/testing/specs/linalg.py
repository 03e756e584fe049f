"""Linear algebra against NumPy; factorisations through functions that do not depend on the signs of their vectors."""

import numpy as np

import tilegrad as tg
from tilegrad.testing.layouts import transposed, uniform
from tilegrad.testing.spec import OpError, OpSpec, sample

BOTH = ("float32", "float64")
TOLERANCES = {"float32": (1e-3, 1e-4), "float64": (1e-9, 1e-10)}
LOOSE_GRADIENT = (1e-4, 1e-5)


def regular(rng, n=4, batch=()):
    """Matrices far from singular."""
    return uniform(rng, (*batch, n, n)) + 3.0 * np.eye(n)


def positive(rng, n=4, batch=()):
    x = uniform(rng, (*batch, n, n))
    return x @ np.swapaxes(x, -1, -2) + np.eye(n)


def squares(rng):
    return [sample(regular(rng)), sample(regular(rng, 3, (2,))), sample(transposed(regular(rng))), sample(regular(rng, 1))]


def apart(rng, rows=4, columns=4, batch=()):
    """Matrices with different singular values."""
    n = min(rows, columns)
    u, _ = np.linalg.qr(uniform(rng, (*batch, rows, n)))
    v, _ = np.linalg.qr(uniform(rng, (*batch, columns, n)))
    return (u * np.arange(1.0, n + 1.0)) @ np.swapaxes(v, -1, -2)


def linalg(name):
    return lambda *args, **kwargs: getattr(tg.linalg, name)(*args, **kwargs)


def spec(name, numpy, samples, fn=None, result="same", differentiable=(0,), errors=(), **options):
    errors = [
        *errors,
        OpError(lambda: (fn or linalg(name.partition("_of_")[0]))(tg.ones(3)), RuntimeError, r"at least 2 dim"),
    ] if options.pop("checked", True) else list(errors)  # fmt: skip
    return OpSpec(
        name,
        fn or linalg(name),
        numpy,
        samples,
        BOTH,
        result,
        tolerances=TOLERANCES,
        differentiable=differentiable,
        gradient_tolerance=LOOSE_GRADIENT,
        errors=errors,
        **options,
    )


def symmetric(a):
    return (a + a.transpose(-2, -1)) * 0.5 if isinstance(a, tg.Tensor) else (a + np.swapaxes(a, -1, -2)) * 0.5


def systems(rng):
    return [
        sample(regular(rng), uniform(rng, (4, 2))),
        sample(regular(rng), uniform(rng, (4,))),
        sample(regular(rng, 3, (2,)), uniform(rng, (2, 3, 5))),
        sample(regular(rng, 3), uniform(rng, (2, 3, 5))),
    ]


def tall_and_wide(rng):
    return [sample(apart(rng, 5, 3)), sample(apart(rng, 3, 5)), sample(apart(rng)), sample(apart(rng, 4, 3, (2,)))]


def tall(rng):
    return [sample(uniform(rng, (5, 3))), sample(regular(rng, 3)), sample(uniform(rng, (2, 4, 3)))]


def reconstructed_svd(a):
    """U f(S) Vh: a function that does not depend on the signs of the singular vectors."""
    if isinstance(a, tg.Tensor):
        u, s, vh = tg.linalg.svd(a, full_matrices=False)
        return (u * s.square().unsqueeze(-2)) @ vh
    u, s, vh = np.linalg.svd(a, full_matrices=False)
    return (u * (s**2)[..., None, :]) @ vh


def absolute_qr(a):
    """|R| and Q R^2: without the signs of the rows."""
    if isinstance(a, tg.Tensor):
        q, r = tg.linalg.qr(a)
        return (q @ r) + q @ (r.transpose(-2, -1).transpose(-2, -1) * r.abs()), r.abs()
    q, r = np.linalg.qr(a)
    return (q @ r) + q @ (r * np.abs(r)), np.abs(r)


def function_of_symmetric(a):
    """V e^w V^T of a symmetric matrix."""
    a = symmetric(a)
    if isinstance(a, tg.Tensor):
        w, v = tg.linalg.eigh(a)
        return (v * (w * 0.3).exp().unsqueeze(-2)) @ v.transpose(-2, -1), w
    w, v = np.linalg.eigh(a)
    return (v * np.exp(w * 0.3)[..., None, :]) @ np.swapaxes(v, -1, -2), w


def rank_deficient(rng):
    x = apart(rng, 5, 3)
    deficient = uniform(rng, (5, 2)) @ uniform(rng, (2, 4))  # its rank is lost when it is rounded to float32
    return [
        sample(x),
        sample(deficient, gradient=False, dtypes=("float64",), note="rank 2"),
        sample(np.zeros((3, 2)), gradient=False),
    ]


SINGULAR = OpError(lambda: tg.linalg.inv(tg.zeros(2, 2)), RuntimeError, r"linalg.inv: Singular matrix")
NOT_SQUARE = OpError(
    lambda: tg.linalg.inv(tg.ones(2, 3)), RuntimeError, r"linalg.inv: A must be batches of square matrices, but they are 2 by 3"
)
INTEGERS = OpError(
    lambda: tg.linalg.inv(tg.ones(2, 2, dtype=tg.int64)), RuntimeError, r"Expected a float32 or float64 tensor, got .*int64"
)

SPECS = [
    spec("inv", np.linalg.inv, squares, errors=[SINGULAR, NOT_SQUARE, INTEGERS]),
    spec("det", np.linalg.det, squares),
    spec(
        "slogdet",
        lambda a: tuple(np.linalg.slogdet(a)),
        squares,
        fn=lambda a: tuple(tg.linalg.slogdet(a)),
        result=("same", "same"),
    ),
    spec(
        "solve",
        lambda a, b: np.linalg.solve(a, b if b.ndim > 1 else b[:, None]).reshape(
            np.broadcast_shapes(a.shape[:-1], b.shape[:1])
            if b.ndim == 1
            else np.broadcast_shapes((*a.shape[:-2], 1, 1), b.shape)
        ),
        systems,
        differentiable=(0, 1),
        checked=False,
        errors=[OpError(lambda: tg.linalg.solve(tg.eye(3), tg.ones(2, 2)), RuntimeError, r"Incompatible shapes of A and B")],
    ),
    spec(
        "cholesky",
        np.linalg.cholesky,
        lambda rng: [sample(positive(rng)), sample(positive(rng, 3, (2,)))],
        fn=lambda a: tg.linalg.cholesky(symmetric(a) if a.ndim > 1 else a),
        errors=[
            OpError(lambda: tg.linalg.cholesky(-tg.eye(2)), RuntimeError, r"linalg.cholesky: Matrix is not positive definite")
        ],
    ),
    spec("svdvals", lambda a: np.linalg.svd(a, compute_uv=False), tall_and_wide),
    spec("svd", reconstructed_svd, tall_and_wide, fn=reconstructed_svd),
    spec("qr", absolute_qr, tall, fn=absolute_qr, result=("same", "same")),
    spec(
        "eigh",
        function_of_symmetric,
        lambda rng: [sample(regular(rng)), sample(regular(rng, 3, (2,)))],
        fn=function_of_symmetric,
        result=("same", "same"),
        checked=False,
    ),
    spec(
        "eigvalsh",
        lambda a: np.linalg.eigvalsh(symmetric(a)),
        squares,
        fn=lambda a: tg.linalg.eigvalsh(symmetric(a)),
        checked=False,
    ),
    spec("pinv", np.linalg.pinv, rank_deficient),
    spec(
        "matrix_rank",
        lambda a: np.asarray(np.linalg.matrix_rank(a)),
        lambda rng: [*rank_deficient(rng), sample(np.stack([np.eye(3), np.zeros((3, 3))]))],
        result="int64",
        differentiable=(),
    ),
    spec(
        "matrix_power", np.linalg.matrix_power, lambda rng: [sample(regular(rng), n) for n in (0, 1, 2, 5, -2)], checked=False
    ),
    spec(
        "lstsq",
        lambda a, b: np.linalg.lstsq(a, b, rcond=None)[0],
        lambda rng: [sample(apart(rng, 5, 3), uniform(rng, (5, 2))), sample(apart(rng, 3, 3), uniform(rng, (3, 1)))],
        fn=lambda a, b: tg.linalg.lstsq(a, b).solution,
        differentiable=(0, 1),
        checked=False,
    ),
    spec("cond", np.linalg.cond, lambda rng: [sample(apart(rng)), sample(regular(rng), 1)], checked=False),
]
