"""Linear algebra under PyTorch's names: ``tilegrad.linalg.inv(a)``.

The factorisations run on the host with NumPy's LAPACK, for float32 and float64; what needs none (norms, products) runs on
tilegrad's kernels. All but ``matrix_rank`` are differentiable.

Source: https://pytorch.org/docs/stable/linalg.html
"""

from .ops.linalg import (
    LinAlgError,
    cholesky,
    cond,
    det,
    eigh,
    eigvalsh,
    inv,
    lstsq,
    matrix_power,
    matrix_rank,
    pinv,
    qr,
    slogdet,
    solve,
    solve_triangular,
    svd,
    svdvals,
)
from .ops.matmul import matmul
from .ops.matrices import vander
from .ops.products import linalg_cross as cross
from .ops.products import multi_dot
from .ops.shape import diagonal
from .ops.statistics import linalg_norm as norm
from .ops.statistics import matrix_norm, vector_norm

__all__ = [
    "LinAlgError",
    "cholesky",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eigh",
    "eigvalsh",
    "inv",
    "lstsq",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "multi_dot",
    "norm",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_triangular",
    "svd",
    "svdvals",
    "vander",
    "vector_norm",
]
