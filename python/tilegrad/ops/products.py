"""Products of matrices and vectors made of matmul: PyTorch's BLAS names, tensordot, kron, distances."""

from __future__ import annotations

from .. import _core
from ..autograd.op import op
from .arguments import need_sequence, need_tensor, need_tensors
from .einsum import einsum
from .elementwise import sqrt, square, where
from .matmul import matmul
from .reduce import amax_op, sum_op
from .shape import cat, movedim, permute_op, reshape_op, unsqueeze


def _added(bias, product, beta, alpha):
    """beta * bias + alpha * product; with beta 0 the bias is not read, NaN in it does not matter."""
    product = product if alpha == 1 else product * alpha
    if beta == 0:
        return product if bias.shape == product.shape else product + where(bias == bias, 0, 0)
    return (bias if beta == 1 else bias * beta) + product


def _need(name, x, ndim, what):
    need_tensor(name, what, x)
    if x.ndim != ndim:
        raise RuntimeError(f"{name}: expected {what} to have {ndim} dims, got shape {x.shape}")


def baddbmm(bias, batch1, batch2, *, beta=1, alpha=1):
    """beta * bias + alpha * (batch1 @ batch2), batches (B, M, K) and (B, K, N)."""
    _need("baddbmm", batch1, 3, "batch1")
    _need("baddbmm", batch2, 3, "batch2")
    return _added(bias, matmul(batch1, batch2), beta, alpha)


def addbmm(bias, batch1, batch2, *, beta=1, alpha=1):
    """beta * bias + alpha * the sum over the batch of batch1 @ batch2: one product over batch and inner dim together."""
    _need("addbmm", batch1, 3, "batch1")
    _need("addbmm", batch2, 3, "batch2")
    (b, m, k), n = batch1.shape, batch2.shape[2]
    if batch2.shape[:2] != (b, k):
        raise RuntimeError(f"addbmm: shapes {batch1.shape} and {batch2.shape} do not fit: (B, M, K) and (B, K, N) are needed")
    left = reshape_op(permute_op(batch1, (1, 0, 2)), (m, b * k))
    return _added(bias, matmul(left, reshape_op(batch2, (b * k, n))), beta, alpha)


def addmv(bias, mat, vec, *, beta=1, alpha=1):
    """beta * bias + alpha * (mat @ vec)."""
    _need("addmv", mat, 2, "mat")
    _need("addmv", vec, 1, "vec")
    return _added(bias, matmul(mat, vec), beta, alpha)


def addr(bias, vec1, vec2, *, beta=1, alpha=1):
    """beta * bias + alpha * (the outer product of vec1 and vec2)."""
    _need("addr", vec1, 1, "vec1")
    _need("addr", vec2, 1, "vec2")
    return _added(bias, unsqueeze(vec1, 1) * vec2, beta, alpha)


def vdot(x, y):
    """The inner product of two vectors."""
    _need("vdot", x, 1, "x")
    _need("vdot", y, 1, "y")
    return matmul(x, y)


def inner(x, y):
    """Sums of products over the last dims: x (..., K) and y (..., K) to x's other dims followed by y's."""
    need_tensors("inner", x=x, y=y)
    if x.ndim == 0 or y.ndim == 0:
        return x * y
    if x.shape[-1] != y.shape[-1]:
        raise RuntimeError(f"inner: the last dims of shapes {x.shape} and {y.shape} must match")
    return tensordot(x, y, dims=([-1], [-1]))


def tensordot(x, y, dims=2):
    """Sums of products over dims: the last `dims` of x with the first of y, or the pairs of two lists of dims."""
    need_tensors("tensordot", x=x, y=y)
    if isinstance(dims, int):
        if dims < 0:
            raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
        if dims > min(x.ndim, y.ndim):
            raise RuntimeError(f"tensordot: dims={dims} is more than the tensors of shapes {x.shape} and {y.shape} have")
        first, second = list(range(x.ndim - dims, x.ndim)), list(range(dims))
    else:
        first, second = ([d] if isinstance(d, int) else list(d) for d in dims)
    if len(first) != len(second):
        raise RuntimeError(f"tensordot: both dimension lists should have same length, got {first} and {second}")
    first, second = [d % x.ndim for d in first], [d % y.ndim for d in second]
    for a, b in zip(first, second, strict=True):
        if x.shape[a] != y.shape[b]:
            raise RuntimeError(
                f"contracted dimensions need to match, but first has size {x.shape[a]} in dim {a} and second has size "
                f"{y.shape[b]} in dim {b}"
            )
    labels_x = list(range(x.ndim))
    labels_y = [first[second.index(d)] if d in second else x.ndim + d for d in range(y.ndim)]
    out = [c for c in labels_x if c not in first] + [c for c in labels_y if c >= x.ndim]
    return einsum(x, labels_x, y, labels_y, out)


def multi_dot(tensors):
    """The product of several matrices in the order that takes the fewest multiplications (the first and the last may be
    vectors)."""
    tensors = need_sequence("multi_dot", "tensors", tensors)
    tensors = list(tensors)
    if len(tensors) < 2:
        raise RuntimeError(f"multi_dot(): expected at least 2 tensors but got {len(tensors)}")
    row, column = tensors[0].ndim == 1, tensors[-1].ndim == 1
    matrices = [unsqueeze(tensors[0], 0) if row else tensors[0], *tensors[1:-1]]
    matrices.append(unsqueeze(tensors[-1], 1) if column else tensors[-1])
    for i, m in enumerate(matrices):
        if m.ndim != 2:
            raise RuntimeError(f"multi_dot(): tensor {i} must be 2D but got shape {tensors[i].shape}")
        if i and m.shape[0] != matrices[i - 1].shape[1]:
            raise RuntimeError(
                f"multi_dot(): tensors {i - 1} and {i} with shapes {matrices[i - 1].shape} and {m.shape} cannot be multiplied"
            )
    sizes = [matrices[0].shape[0], *(m.shape[1] for m in matrices)]
    n = len(matrices)
    cost = [[0] * n for _ in range(n)]
    cut = [[0] * n for _ in range(n)]
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            options = [cost[i][k] + cost[k + 1][j] + sizes[i] * sizes[k + 1] * sizes[j + 1] for k in range(i, j)]
            cost[i][j] = min(options)
            cut[i][j] = i + options.index(cost[i][j])

    def product(i, j):
        return matrices[i] if i == j else matmul(product(i, cut[i][j]), product(cut[i][j] + 1, j))

    out = product(0, n - 1)
    shape = (() if row else (sizes[0],)) + (() if column else (sizes[-1],))
    return reshape_op(out, shape) if row or column else out


def chain_matmul(*matrices):
    """`linalg.multi_dot` of separate arguments."""
    return matrices[0] if len(matrices) == 1 else multi_dot(matrices)


def kron(x, y):
    """The Kronecker product: every element of x times all of y, as blocks."""
    need_tensors("kron", x=x, y=y)
    n = max(x.ndim, y.ndim)
    a, b = x.reshape((1,) * (n - x.ndim) + x.shape), y.reshape((1,) * (n - y.ndim) + y.shape)
    left = a.reshape(tuple(s for size in a.shape for s in (size, 1)))
    right = b.reshape(tuple(s for size in b.shape for s in (1, size)))
    return (left * right).reshape(tuple(s * t for s, t in zip(a.shape, b.shape, strict=True)))


def cross(x, y, dim=None):
    """The cross product of vectors of 3 along a dim (the first dim of size 3 if none is given)."""
    need_tensor("cross", "x", x)
    if dim is None:
        sizes = [d for d, size in enumerate(x.shape) if size == 3]
        if not sizes:
            raise RuntimeError(f"cross: no dimension of size 3 in shape {x.shape}")
        dim = sizes[0]
    return linalg_cross(x, y, dim=dim)


def linalg_cross(x, y, *, dim=-1):
    """The cross product of vectors of 3 along a dim; the other dims broadcast."""
    need_tensors("linalg_cross", x=x, y=y)
    if x.ndim != y.ndim or x.shape[dim] != 3 or y.shape[dim] != 3:
        raise RuntimeError(f"linalg.cross: inputs dimension {dim} must have length 3. Got {x.shape} and {y.shape}")
    a, b = (movedim(v, dim, 0) for v in (x, y))
    rows = [a[i] * b[j] - a[j] * b[i] for i, j in ((1, 2), (2, 0), (0, 1))]
    return movedim(cat([unsqueeze(r, 0) for r in rows]), 0, dim)


# --- distances
def _euclidean_dx(dy, x, y, out):
    """Sum over j of dy[i, j] (x[i] - y[j]) / out[i, j]; 0 where the points are equal (a subgradient, as in PyTorch)."""
    weights = where(out == 0, 0.0, dy / where(out == 0, 1.0, out))
    return sum_op(weights, -1, True) * x - matmul(weights, y)


def _euclidean_dy(dy, x, y, out):
    return _euclidean_dx(dy.transpose(-1, -2), y, x, out.transpose(-1, -2))


def _squared_by_product(x, y):
    """|x|^2 + |y|^2 - 2 x.y as one matrix product of longer rows: [-2x, |x|^2, 1] . [y, 1, |y|^2]."""
    n, m = sum_op(square(x), -1, True), sum_op(square(y), -1, True)
    ones_x, ones_y = _core.full(n.shape, 1, x.dtype), _core.full(m.shape, 1, x.dtype)
    left, right = cat([x * -2.0, n, ones_x], -1), cat([y, ones_y, m], -1)
    return matmul(left, right.transpose(-1, -2)).clamp(min=0.0)


_MATMUL_MODES = {
    "use_mm_for_euclid_dist_if_necessary": lambda p, r: p > 25 or r > 25,
    "use_mm_for_euclid_dist": lambda p, r: True,
    "donot_use_mm_for_euclid_dist": lambda p, r: False,
}


def _euclidean_kernel(x, y, by_product):
    """Distances of all pairs of rows."""
    x, y = x.detach(), y.detach()
    if by_product:
        return sqrt(_squared_by_product(x, y))
    return sqrt(sum_op(square(unsqueeze(x, -2) - unsqueeze(y, -3)), -1, False))


_euclidean = op(_euclidean_kernel, name="cdist").backward(x=_euclidean_dx, y=_euclidean_dy)


def cdist(x1, x2, p=2.0, compute_mode="use_mm_for_euclid_dist_if_necessary"):
    """The p-distances of all pairs of rows: x1 (..., P, M) and x2 (..., R, M) to (..., P, R). Euclidean distances of more
    than 25 rows go through one matrix product (less exact for rows that nearly coincide), as in PyTorch."""
    need_tensors("cdist", x1=x1, x2=x2)
    if x1.ndim < 2 or x2.ndim < 2:
        raise RuntimeError(f"cdist only supports at least 2D tensors, got shapes {x1.shape} and {x2.shape}")
    if x1.shape[-1] != x2.shape[-1]:
        raise RuntimeError(f"X1 and X2 must have the same number of columns. X1: {x1.shape[-1]} X2: {x2.shape[-1]}")
    if p < 0:
        raise RuntimeError("cdist only supports non-negative p values")
    if compute_mode not in _MATMUL_MODES:
        raise ValueError(f"{compute_mode} is not a valid value for compute_mode")
    if p == 2:
        return _euclidean(x1, x2, _MATMUL_MODES[compute_mode](x1.shape[-2], x2.shape[-2]))
    difference = (unsqueeze(x1, -2) - unsqueeze(x2, -3)).abs()
    if p == 0:
        return sum_op((difference != 0).to(x1.dtype), -1, False)
    if p == 1:
        return sum_op(difference, -1, False)
    if p == float("inf"):
        return amax_op(difference, -1, False)
    from .statistics import vector_norm

    return vector_norm(difference, p, -1)


def pdist(x, p=2.0):
    """The p-distances of all pairs of different rows of x (N, M): (N (N - 1) / 2,)."""
    need_tensor("pdist", "x", x)
    from .matrices import triu_indices

    if x.ndim != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {x.ndim}D")
    rows, columns = triu_indices(x.shape[0], x.shape[0], 1)
    if p == 2:
        from .statistics import vector_norm

        return vector_norm(x[rows] - x[columns], 2, -1)
    return cdist(x, x, p)[rows, columns]
