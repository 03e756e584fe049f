"""Linear algebra: identities of the factorisations, errors, and what has no second opinion in NumPy."""

import numpy as np
import pytest

import tilegrad as tg


def close(a, b, tolerance=1e-9):
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy() if isinstance(b, tg.Tensor) else b, tolerance, tolerance)


@pytest.fixture
def matrix():
    return tg.tensor(np.random.default_rng(0).standard_normal((2, 4, 4)) + 3 * np.eye(4))


def test_factorisations_multiply_back(matrix):
    q, r = tg.linalg.qr(matrix)
    close(q @ r, matrix)
    u, s, vh = tg.linalg.svd(matrix)
    close((u * s.unsqueeze(-2)) @ vh, matrix)
    symmetric = matrix + matrix.mT
    w, v = tg.linalg.eigh(symmetric)
    close((v * w.unsqueeze(-2)) @ v.mT, symmetric)
    positive = matrix @ matrix.mT
    lower = tg.linalg.cholesky(positive)
    close(lower @ lower.mT, positive)
    close(tg.linalg.cholesky(positive, upper=True), lower.mT)
    close(tg.cholesky_inverse(lower), tg.linalg.inv(positive))
    close(tg.cholesky_solve(matrix, lower), tg.linalg.solve(positive, matrix))


def test_solve_on_both_sides(matrix):
    b = matrix.mT.contiguous()
    close(matrix @ tg.linalg.solve(matrix, b), b)
    close(tg.linalg.solve(matrix, b, left=False) @ matrix, b)
    lower = tg.tril(matrix)
    close(lower @ tg.linalg.solve_triangular(matrix, b, upper=False), b)


def test_full_svd_and_shapes():
    a = tg.randn(3, 5, dtype=tg.float64)
    u, s, vh = tg.linalg.svd(a)
    assert (u.shape, s.shape, vh.shape) == ((3, 3), (3,), (5, 5))
    assert [tuple(t.shape) for t in tg.linalg.svd(a, full_matrices=False)] == [(3, 3), (3,), (3, 5)]
    assert tuple(tg.linalg.qr(a.t(), "complete").Q.shape) == (5, 5)


def test_gradient_of_a_singular_determinant():
    """The cofactors: the inverse does not exist."""
    a = tg.tensor([[1.0, 2.0], [2.0, 4.0]], dtype=tg.float64, requires_grad=True)
    tg.linalg.det(a).backward()
    close(a.grad, np.array([[4.0, -2.0], [-2.0, 1.0]]))


def test_results_have_names(matrix):
    assert tg.linalg.eigh(matrix + matrix.mT).eigenvalues.shape == (2, 4)
    assert tg.linalg.slogdet(matrix).logabsdet.shape == (2,)
    assert tg.linalg.lstsq(matrix[0], matrix[1]).solution.shape == (4, 4)
    overdetermined = tg.linalg.lstsq(tg.randn(6, 2), tg.randn(6, 3))
    assert overdetermined.residuals.shape == (3,) and overdetermined.rank.item() == 2


def test_aliases_and_norms(matrix):
    a = matrix[0]
    close(tg.inverse(a), tg.linalg.inv(a))
    close(tg.pinverse(a), tg.linalg.inv(a))
    close(tg.logdet(a @ a.t()), np.linalg.slogdet((a @ a.t()).numpy())[1])
    close(tg.linalg.norm(a), np.linalg.norm(a.numpy()))
    close(tg.linalg.norm(a, 1), np.linalg.norm(a.numpy(), 1))
    close(tg.linalg.norm(a, float("inf"), dim=1), np.abs(a.numpy()).max(1))
    close(tg.linalg.norm(a, "nuc", dim=(0, 1), keepdim=True), np.linalg.norm(a.numpy(), "nuc", keepdims=True))
    close(tg.dist(a, a * 2), np.linalg.norm(a.numpy()))
    with pytest.raises(RuntimeError, match="must be 1D or 2D"):
        tg.linalg.norm(matrix, 2)


@pytest.mark.parametrize("name", ["polar", "complex", "view_as_complex", "view_as_real"])
def test_complex_numbers_are_refused_with_a_way_out(name):
    with pytest.raises(NotImplementedError, match=f"{name}: tilegrad has no complex tensors"):
        getattr(tg, name)(tg.ones(2), tg.ones(2))


def test_errors_name_the_op():
    with pytest.raises(tg.linalg.LinAlgError, match=r"linalg.cholesky: .*positive definite"):
        tg.linalg.cholesky(tg.zeros(2, 2))
    with pytest.raises(RuntimeError, match="needs full_matrices=False"):
        tg.linalg.svd(tg.ones(2, 3, requires_grad=True))
    with pytest.raises(TypeError, match=r"linalg.inv: expected a tensor, got list"):
        tg.linalg.inv([[1.0]])
