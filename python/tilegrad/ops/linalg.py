"""Linear algebra. The factorisations run on the host with NumPy's LAPACK (``numpy.linalg``), for float32 and float64, batched
over the leading dims; their gradients are formulas in ops, so they can be differentiated again.

Source of the gradient formulas: M. Giles, Collected matrix derivative results for forward and reverse mode algorithmic
differentiation (2008).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .. import _core, dtypes
from ..autograd.op import op
from .arguments import need_tensor, need_tensors
from .elementwise import where
from .matmul import matmul
from .matrices import diag_embed
from .shape import diagonal, tril, triu, unsqueeze


class LinAlgError(RuntimeError):
    """A matrix that cannot be factorised: singular, or not positive definite."""


def _checked(name, a, square=True):
    if not isinstance(a, _core.TensorBase):
        raise TypeError(f"linalg.{name}: expected a tensor, got {type(a).__name__}")
    if a.dtype not in (dtypes.float32, dtypes.float64):
        raise RuntimeError(f"linalg.{name}: Expected a float32 or float64 tensor, got {a.dtype}")
    if a.ndim < 2:
        raise RuntimeError(f"linalg.{name}: The input tensor A must have at least 2 dimensions.")
    if square and a.shape[-1] != a.shape[-2]:
        raise RuntimeError(
            f"linalg.{name}: A must be batches of square matrices, but they are {a.shape[-2]} by {a.shape[-1]} matrices"
        )


def _host(name, function, *tensors):
    """NumPy's function on the tensors' values; its results as tensors of the same dtype."""
    from .creation import from_numpy

    try:
        result = function(*(t.detach().contiguous().numpy() for t in tensors))
    except np.linalg.LinAlgError as error:
        raise LinAlgError(f"linalg.{name}: {error}") from None
    wanted = tensors[0].dtype

    def tensor(a):
        return from_numpy(np.array(a, order="C")).to(wanted) if np.asarray(a).dtype.kind == "f" else from_numpy(np.array(a))

    return tuple(map(tensor, result)) if isinstance(result, tuple) else tensor(result)


def _mt(x):
    return x.transpose(-2, -1)


def _half_diagonal(x, part):
    """The lower (upper) triangle with half of the diagonal."""
    return part(x) - diag_embed(diagonal(x, 0, -2, -1)) * 0.5


# --- inverse and systems of equations
inv_op = op(lambda a: _host("inv", np.linalg.inv, a), name="inv")
inv_op.backward(a=lambda dy, out: -matmul(matmul(_mt(out), dy), _mt(out)))


def inv(a):
    """The inverses of square matrices. Raises LinAlgError for a singular one."""
    _checked("inv", a)
    return inv_op(a)


solve_op = op(lambda a, b: _host("solve", np.linalg.solve, a, b), name="solve")


@solve_op.backward
def _(dy, a, out, needs):
    db = solve_op(_mt(a), dy)
    return -matmul(db, _mt(out)) if needs[0] else None, db if needs[1] else None


def solve(a, b, *, left=True):
    """x with a @ x = b (x @ a = b with left=False). b is (..., N, K), or (N,) or (..., N) beside a batch of matrices."""
    need_tensor("solve", "b", b)
    _checked("solve", a)
    if not left:
        return _mt(solve(_mt(a), _mt(b)))
    vector = b.ndim == 1 or (b.ndim == a.ndim - 1 and b.shape == a.shape[:-1])
    right = unsqueeze(b, -1) if vector else b
    if right.shape[-2] != a.shape[-1]:
        raise RuntimeError(f"linalg.solve: Incompatible shapes of A and B for the equation AX = B: {a.shape} and {b.shape}")
    batch = np.broadcast_shapes(a.shape[:-2], right.shape[:-2])
    out = solve_op(a.expand((*batch, *a.shape[-2:])), right.expand((*batch, *right.shape[-2:])))
    return out.squeeze(-1) if vector else out


def solve_triangular(a, b, *, upper, left=True, unitriangular=False):
    """x with a @ x = b for triangular a (only that triangle is read)."""
    part = triu(a) if upper else tril(a)
    if unitriangular:
        part = part - diag_embed(diagonal(part, 0, -2, -1) - 1.0)
    return solve(part, b, left=left)


# --- determinants
def _singular_safe(out):
    return out == 0


def _det_dx(dy, a, out):
    """det(a) inv(a)^T; for a singular matrix the cofactors, from the singular values."""
    if not bool(_singular_safe(out.detach()).any()):
        return unsqueeze(unsqueeze(dy * out, -1), -1) * _mt(inv_op(a))
    return unsqueeze(unsqueeze(dy, -1), -1) * _cofactors(a)


def _cofactors(a):
    """The matrix of cofactors, U diag(products of the other singular values) V^T det(U V^T)."""
    from .scan import cumprod

    u, s, vh = svd_op(a)
    n = s.shape[-1]
    ones = s.new_ones((*s.shape[:-1], 1))
    from .index import flip, narrow
    from .shape import cat

    before = narrow(cat([ones, cumprod(s, -1)], -1), s.ndim - 1, 0, n)
    after = flip(narrow(cat([ones, cumprod(flip(s, -1), -1)], -1), s.ndim - 1, 0, n), -1)
    sign = _host("det", np.linalg.det, matmul(u, vh)).round()
    return matmul(u * unsqueeze(before * after, -2), vh) * unsqueeze(unsqueeze(sign, -1), -1)


det_op = op(lambda a: _host("det", np.linalg.det, a), name="det").backward(a=_det_dx)


def det(a):
    """The determinants of square matrices."""
    _checked("det", a)
    return det_op(a)


class SlogDet(NamedTuple):
    """What slogdet gives."""

    sign: object
    logabsdet: object


_slogdet = op(lambda a: _host("slogdet", lambda x: tuple(np.linalg.slogdet(x)), a), name="slogdet")


@_slogdet.backward
def _(dy, a, dy1, needs):
    return (unsqueeze(unsqueeze(dy1, -1), -1) * _mt(inv_op(a)) if dy1 is not None else a * 0.0,)


def slogdet(a):
    """The sign and the logarithm of the absolute value of determinants: (sign, logabsdet)."""
    _checked("slogdet", a)
    return SlogDet(*_slogdet(a))


def logdet(a):
    """The logarithm of the determinant; NaN where it is negative."""
    sign, value = slogdet(a)
    return where(sign < 0, float("nan"), value)


# --- cholesky
def _cholesky_da(dl, out):
    """L^-T (tril(L^T dL) with half of the diagonal) L^-1, made symmetric."""
    inverse = inv_op(out)
    inner = _half_diagonal(matmul(_mt(out), dl), tril)
    s = matmul(matmul(_mt(inverse), inner), inverse)
    return (s + _mt(s)) * 0.5


_cholesky = op(
    lambda a: _host("cholesky", lambda x: np.linalg.cholesky(np.tril(x) + np.swapaxes(np.tril(x, -1), -1, -2)), a),
    name="cholesky",
)
_cholesky.backward(a=lambda dy, out: _cholesky_da(dy, out))


def cholesky(a, *, upper=False):
    """The lower triangular L with L @ L^T = a for symmetric positive definite a (upper=True: the upper one, L^T). Only the
    lower triangle of a is read. Raises LinAlgError for a matrix that is not positive definite."""
    _checked("cholesky", a)
    lower = _cholesky(a)
    return _mt(lower) if upper else lower


def cholesky_solve(b, factor, upper=False):
    """x with a @ x = b, from the Cholesky factor of a."""
    need_tensors("cholesky_solve", b=b, factor=factor)
    lower = _mt(factor) if upper else factor
    return solve_triangular(_mt(lower), solve_triangular(lower, b, upper=False), upper=True)


def cholesky_inverse(factor, upper=False):
    """The inverse of a, from its Cholesky factor."""
    need_tensor("cholesky_inverse", "factor", factor)
    inverse = inv_op(_mt(factor) if upper else factor)
    return matmul(_mt(inverse), inverse)


# --- QR
class QR(NamedTuple):
    """What qr gives."""

    Q: object
    R: object


_qr = op(lambda a, mode: _host("qr", lambda x: tuple(np.linalg.qr(x, mode)), a), name="qr")


@_qr.backward
def _(dy, a_shape, out, out1, dy1, needs):
    rows, columns = a_shape[-2:]
    if rows < columns or out.shape[-1] != out1.shape[-2] or out1.shape[-2] != columns:
        raise RuntimeError("linalg.qr: the gradient needs mode 'reduced' and at least as many rows as columns")
    inner = out1 * 0.0 if dy1 is None else matmul(out1, _mt(dy1))
    if dy is not None:
        inner = inner - matmul(_mt(dy), out)
    lower = tril(inner, -1)
    symmetric = lower + _mt(lower) + diag_embed(diagonal(inner, 0, -2, -1))  # the lower triangle, mirrored
    right = matmul(out, symmetric)
    return _mt(solve_op(out1, _mt(right if dy is None else right + dy))), None


def qr(a, mode="reduced"):
    """a = Q @ R with orthonormal columns of Q and upper triangular R; mode 'reduced', 'complete' or 'r' (R only)."""
    _checked("qr", a, square=False)
    if mode == "r":
        return QR(a.new_zeros(0), _qr(a, "reduced")[1])
    if mode not in ("reduced", "complete"):
        raise RuntimeError(
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), 'r', or 'complete'"
        )
    return QR(*_qr(a, mode))


# --- eigenvalues of symmetric matrices
class Eigh(NamedTuple):
    """What eigh gives."""

    eigenvalues: object
    eigenvectors: object


_eigh = op(lambda a, UPLO: _host("eigh", lambda x: tuple(np.linalg.eigh(x, UPLO)), a), name="eigh")


def _inverse_gaps(values):
    """1 / (values[j] - values[i]), 0 on the diagonal."""
    gaps = unsqueeze(values, -2) - unsqueeze(values, -1)
    from .creation import eye

    same = eye(values.shape[-1]) == 1
    return where(same, 0.0, 1.0 / where(same, 1.0, gaps))


@_eigh.backward
def _(dy, out, out1, dy1, needs):
    inner = None if dy is None else diag_embed(dy)
    if dy1 is not None:
        turned = _inverse_gaps(out) * matmul(_mt(out1), dy1)
        inner = turned if inner is None else inner + turned
    da = matmul(matmul(out1, inner), _mt(out1))
    return (da + _mt(da)) * 0.5, None


def eigh(a, UPLO="L"):
    """Eigenvalues (ascending) and eigenvectors (columns) of symmetric matrices, read from one triangle ('L' or 'U'). The
    gradient of the eigenvectors needs different eigenvalues."""
    _checked("eigh", a)
    if UPLO.upper() not in ("L", "U"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {UPLO}")
    return Eigh(*_eigh(a, UPLO.upper()))


def eigvalsh(a, UPLO="L"):
    """The eigenvalues of symmetric matrices, ascending."""
    return eigh(a, UPLO).eigenvalues


# --- singular values
class SVD(NamedTuple):
    """What svd gives."""

    U: object
    S: object
    Vh: object


svd_op = op(lambda a: _host("svd", lambda x: tuple(np.linalg.svd(x, full_matrices=False)), a), name="svd")


@svd_op.backward
def _(dy, out, out1, out2, dy1, dy2, needs):
    u, s, vh = out, out1, out2
    v = _mt(vh)
    inner = None if dy1 is None else diag_embed(dy1)
    square = s * s
    f = _inverse_gaps(square)  # 1 / (s_j^2 - s_i^2)
    result = None
    if dy is not None:
        j = f * matmul(_mt(u), dy)
        part = (j + _mt(j)) * unsqueeze(s, -2)
        inner = part if inner is None else inner + part
    if dy2 is not None:
        k = f * matmul(vh, _mt(dy2))
        part = unsqueeze(s, -1) * (k + _mt(k))
        inner = part if inner is None else inner + part
    result = matmul(matmul(u, inner), vh)
    if dy is not None and u.shape[-2] > u.shape[-1]:  # what U gains outside its columns
        rest = dy / unsqueeze(s, -2)
        result = result + matmul(rest - matmul(u, matmul(_mt(u), rest)), vh)
    if dy2 is not None and v.shape[-2] > v.shape[-1]:
        rest = dy2 / unsqueeze(s, -1)
        result = result + matmul(u, rest - matmul(matmul(rest, v), vh))
    return (result,)


def svd(a, full_matrices=True):
    """a = U @ diag(S) @ Vh, singular values descending. Gradients need full_matrices=False and different singular values; they
    are right for functions that do not depend on the signs of the singular vectors."""
    _checked("svd", a, square=False)
    if full_matrices and a.shape[-1] != a.shape[-2]:
        if a.requires_grad and _core.is_grad_enabled():
            raise RuntimeError("linalg.svd: the gradient needs full_matrices=False")
        return SVD(*_host("svd", lambda x: tuple(np.linalg.svd(x)), a))
    return SVD(*svd_op(a))


def svdvals(a):
    """The singular values, descending."""
    return svd(a, full_matrices=False).S


# --- made of these
def pinv(a, *, atol=None, rtol=None, hermitian=False):
    """The Moore-Penrose pseudo-inverse; singular values up to max(atol, rtol * largest) count as zero."""
    _checked("pinv", a, square=False)
    u, s, vh = svd(a, full_matrices=False)
    kept = s.detach() > _threshold(a, s.detach(), atol, rtol)
    inverse = where(kept, 1.0 / where(kept, s, 1.0), 0.0)
    return matmul(_mt(vh) * unsqueeze(inverse, -2), _mt(u))


def _threshold(a, s, atol, rtol):
    if rtol is None:
        rtol = 0.0 if atol is not None else dtypes.finfo(a.dtype).eps * max(a.shape[-2:])
    largest = s.amax(-1, keepdim=True) if s.shape[-1] else s
    return (largest * rtol).clamp(min=float(atol or 0.0))


def matrix_rank(a, *, atol=None, rtol=None, tol=None, hermitian=False):
    """How many singular values are above max(atol, rtol * largest)."""
    _checked("matrix_rank", a, square=False)
    s = svdvals(a.detach())
    return (s > _threshold(a, s, tol if tol is not None else atol, rtol)).sum(-1)


class LstSq(NamedTuple):
    """What lstsq gives."""

    solution: object
    residuals: object
    rank: object
    singular_values: object


def lstsq(a, b, rcond=None, *, driver=None):
    """The x with the smallest |a @ x - b| (of these the smallest x): (solution, residuals, rank, singular_values)."""
    need_tensor("lstsq", "b", b)
    _checked("lstsq", a, square=False)
    vector = b.ndim == a.ndim - 1
    right = unsqueeze(b, -1) if vector else b
    if right.shape[-2] != a.shape[-2]:
        raise RuntimeError(f"linalg.lstsq: input.size(-2) should match other.size(-2), got {a.shape} and {b.shape}")
    solution = matmul(pinv(a, rtol=rcond), right)
    rank = matrix_rank(a, rtol=rcond)
    full = a.shape[-2] > a.shape[-1] and bool((rank == a.shape[-1]).all())
    residuals = (matmul(a, solution) - right).square().sum(-2) if full else a.new_zeros(0)
    return LstSq(solution.squeeze(-1) if vector else solution, residuals, rank, svdvals(a.detach()))


def matrix_power(a, n):
    """a multiplied by itself n times, by repeated squaring; negative n powers the inverse."""
    _checked("matrix_power", a)
    if n < 0:
        a, n = inv(a), -n
    if n == 0:
        from .creation import eye

        return a * 0.0 + eye(a.shape[-1], dtype=a.dtype)
    result = None
    while n:
        if n & 1:
            result = a if result is None else matmul(result, a)
        n >>= 1
        if n:
            a = matmul(a, a)
    return result


def cond(a, p=None):
    """The condition number: the ratio of the largest to the smallest singular value, or norm(a) norm(inv(a))."""
    from .statistics import matrix_norm

    if p in (None, 2, -2):
        s = svdvals(a)
        return s[..., 0] / s[..., -1] if p != -2 else s[..., -1] / s[..., 0]
    return matrix_norm(a, p) * matrix_norm(inv(a), p)
