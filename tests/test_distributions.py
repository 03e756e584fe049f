"""distributions: densities against integrals, samples against moments, gradients to order 2, KL against its definition."""

import copy
import math

import numpy as np
import pytest

import tilegrad as tg
from tilegrad import distributions as D
from tilegrad.autograd import gradcheck, gradgradcheck

RNG = np.random.default_rng(0)


def f64(*shape):
    return tg.tensor(RNG.standard_normal(shape))


LOC, SCALE = f64(3), f64(3).abs() + 0.5
OTHER_LOC, OTHER_SCALE = f64(3), f64(3).abs() + 0.5
LOGITS = f64(2, 4)
ROOT = f64(3, 3)
COV = ROOT @ ROOT.T + tg.eye(3, dtype=tg.float64)
CONTINUOUS = {
    "normal": D.Normal(LOC, SCALE),
    "laplace": D.Laplace(LOC, SCALE),
    "gumbel": D.Gumbel(LOC, SCALE),
    "uniform": D.Uniform(LOC, LOC + SCALE),
    "exponential": D.Exponential(SCALE),
}


@pytest.mark.parametrize("name", sorted(CONTINUOUS))
def test_density_integrates_to_what_the_properties_say(name):
    d = CONTINUOUS[name]
    low, high = d.icdf(tg.full((3,), 1e-9, dtype=tg.float64)), d.icdf(tg.full((3,), 1 - 1e-9, dtype=tg.float64))
    steps = 400_001
    t = tg.linspace(0, 1, steps, dtype=tg.float64).unsqueeze(1)
    x = low + (high - low) * t * (1 - 1e-12)
    density, width = tg.exp(d.log_prob(x)).numpy(), ((high - low) / (steps - 1)).numpy()

    def integral(values):
        return (values[1:] + values[:-1]).sum(0) / 2 * width

    np.testing.assert_allclose(integral(density), 1, atol=1e-5)
    mean = integral(density * x.numpy())
    np.testing.assert_allclose(mean, d.mean.numpy(), atol=1e-4)
    np.testing.assert_allclose(integral(density * (x.numpy() - mean) ** 2), d.variance.numpy(), rtol=1e-3)
    np.testing.assert_allclose(-integral(density * d.log_prob(x).numpy()), d.entropy().numpy(), atol=1e-4)
    np.testing.assert_allclose(d.stddev.numpy() ** 2, d.variance.numpy())
    half = steps // 2
    np.testing.assert_allclose(integral(density[: half + 1]), d.cdf(x[half]).numpy(), atol=1e-5)
    p = tg.tensor([[0.01], [0.3], [0.5], [0.999]], dtype=tg.float64).expand(4, 3)
    np.testing.assert_allclose(d.cdf(d.icdf(p)).numpy(), p.numpy(), atol=1e-12)


@pytest.mark.parametrize("name", sorted(CONTINUOUS))
def test_samples_have_the_moments_and_the_seed_decides(name):
    d = CONTINUOUS[name]
    tg.manual_seed(1)
    x = d.sample((50_000,))
    assert x.shape == (50_000, 3) and not x.requires_grad and x.dtype == tg.float64
    assert bool(tg.isfinite(x).all())
    np.testing.assert_allclose(x.mean(0).numpy(), d.mean.numpy(), atol=0.03)
    np.testing.assert_allclose(x.var(0).numpy(), d.variance.numpy(), rtol=0.05)
    tg.manual_seed(1)
    assert d.sample((50_000,)).equal(x)


def test_normal_by_hand():
    d = D.Normal(1.0, 2.0)
    assert d.batch_shape == () and d.event_shape == () and d.mean.dtype == tg.float32
    assert d.log_prob(tg.tensor(3.0)).item() == pytest.approx(-0.5 - math.log(2) - 0.5 * math.log(2 * math.pi))
    assert d.cdf(tg.tensor(1.0)).item() == pytest.approx(0.5)
    quantile = D.Normal(0.0, 1.0).icdf(tg.tensor([0.975, 0.0, 1.0, math.nan]))
    assert quantile[0].item() == pytest.approx(1.959964, abs=1e-5)
    assert quantile[1].item() == -math.inf and quantile[2].item() == math.inf and math.isnan(quantile[3].item())
    assert repr(d) == "Normal(loc: 1.0, scale: 2.0)" and repr(CONTINUOUS["normal"]) == "Normal(loc: (3,), scale: (3,))"
    mixed = D.Normal(tg.zeros(2, 1), tg.ones(3))
    assert mixed.batch_shape == (2, 3) and mixed.rsample((4,)).shape == (4, 2, 3)


def test_discrete_probabilities_sum_to_one():
    b = D.Bernoulli(logits=LOGITS)
    total = tg.exp(b.log_prob(b.enumerate_support())).sum(0)
    np.testing.assert_allclose(total.numpy(), 1)
    c, one = D.Categorical(logits=LOGITS), D.OneHotCategorical(logits=LOGITS)
    assert c.enumerate_support().shape == (4, 2) and one.enumerate_support().shape == (4, 2, 4)
    for d in (c, one):
        log_p = d.log_prob(d.enumerate_support())
        np.testing.assert_allclose(tg.exp(log_p).numpy(), tg.softmax(LOGITS, 1).T.numpy())
        np.testing.assert_allclose(d.entropy().numpy(), -(tg.exp(log_p) * log_p).sum(0).numpy())
    m = D.Multinomial(3, logits=LOGITS[0])
    counts = [(i, j, k, 3 - i - j - k) for i in range(4) for j in range(4 - i) for k in range(4 - i - j)]
    log_p = m.log_prob(tg.tensor(counts, dtype=tg.float64))
    assert tg.exp(log_p).sum().item() == pytest.approx(1)
    assert m.entropy().item() == pytest.approx(-(tg.exp(log_p) * log_p).sum().item())


def test_discrete_samples():
    tg.manual_seed(0)
    c = D.Categorical(logits=LOGITS)
    x = c.sample((40_000,))
    assert x.dtype == tg.int64 and x.shape == (40_000, 2) and c.sample().shape == (2,) and c.sample((0,)).shape == (0, 2)
    frequency = np.stack([(x.numpy() == k).mean(0) for k in range(4)], 1)
    np.testing.assert_allclose(frequency, c.probs.numpy(), atol=0.01)
    b = D.Bernoulli(0.3)
    assert b.sample((20_000,)).mean().item() == pytest.approx(0.3, abs=0.01)
    m = D.Multinomial(7, tg.tensor([0.2, 0.3, 0.5]))
    counts = m.sample((5000,))
    assert counts.shape == (5000, 3) and bool((counts.sum(1) == 7).all())
    np.testing.assert_allclose(counts.mean(0).numpy(), m.mean.numpy(), atol=0.08)
    np.testing.assert_allclose(counts.var(0).numpy(), m.variance.numpy(), rtol=0.1)
    assert D.OneHotCategorical(tg.tensor([1.0, 0.0])).sample((3,)).tolist() == [[1, 0]] * 3
    impossible = D.Categorical(tg.tensor([0.0, 1.0]))
    assert impossible.sample((100,)).sum().item() == 100 and math.isfinite(impossible.entropy().item())


def test_multivariate_normal():
    by_cov = D.MultivariateNormal(LOC, COV)
    by_tril = D.MultivariateNormal(LOC, scale_tril=tg.tensor(np.linalg.cholesky(COV.numpy())))
    by_precision = D.MultivariateNormal(LOC, precision_matrix=tg.tensor(np.linalg.inv(COV.numpy())))
    x = f64(5, 3)
    difference = (x - LOC).numpy()
    expected = -0.5 * np.einsum("ni,ij,nj->n", difference, np.linalg.inv(COV.numpy()), difference)
    expected -= 0.5 * np.linalg.slogdet(COV.numpy())[1] + 1.5 * math.log(2 * math.pi)
    for d in (by_cov, by_tril, by_precision):
        np.testing.assert_allclose(d.log_prob(x).numpy(), expected)
        np.testing.assert_allclose(d.covariance_matrix.numpy(), COV.numpy())
        np.testing.assert_allclose(d.precision_matrix.numpy(), np.linalg.inv(COV.numpy()))
        np.testing.assert_allclose(d.entropy().numpy(), by_cov.entropy().numpy())
    tg.manual_seed(0)
    samples = by_cov.sample((60_000,)).numpy()
    np.testing.assert_allclose(np.cov(samples.T), COV.numpy(), atol=0.12)
    assert by_cov.expand((4,)).sample((2,)).shape == (2, 4, 3)
    diagonal = D.Independent(D.Normal(LOC, SCALE), 1)
    full = D.MultivariateNormal(LOC, tg.diag(SCALE * SCALE))
    np.testing.assert_allclose(diagonal.log_prob(x).numpy(), full.log_prob(x).numpy())
    np.testing.assert_allclose(diagonal.entropy().numpy(), full.entropy().numpy())


PAIRS = {
    "normal": (CONTINUOUS["normal"], D.Normal(OTHER_LOC, OTHER_SCALE)),
    "laplace": (CONTINUOUS["laplace"], D.Laplace(OTHER_LOC, OTHER_SCALE)),
    "exponential": (CONTINUOUS["exponential"], D.Exponential(OTHER_SCALE)),
    "uniform": (CONTINUOUS["uniform"], D.Uniform(LOC - 1, LOC + SCALE + 1)),
    "mvn": (D.MultivariateNormal(LOC, COV), D.MultivariateNormal(OTHER_LOC, scale_tril=tg.diag(OTHER_SCALE))),
    "independent": (D.Independent(CONTINUOUS["normal"], 1), D.Independent(D.Normal(OTHER_LOC, OTHER_SCALE), 1)),
}


@pytest.mark.parametrize("name", sorted(PAIRS))
def test_kl_is_the_mean_log_ratio(name):
    p, q = PAIRS[name]
    tg.manual_seed(2)
    x = p.sample((200_000,))
    estimate = (p.log_prob(x) - q.log_prob(x)).mean(0)
    kl = D.kl_divergence(p, q)
    assert kl.shape == estimate.shape
    np.testing.assert_allclose(kl.numpy(), estimate.numpy(), atol=0.03, rtol=0.03)
    np.testing.assert_allclose(D.kl_divergence(p, p).numpy(), 0, atol=1e-12)


def test_kl_of_discrete_and_registered_pairs():
    for make in (D.Categorical, D.OneHotCategorical, D.Bernoulli):
        p, q = make(logits=LOGITS), make(logits=LOGITS.flip(1))
        values = p.enumerate_support()
        exact = (tg.exp(p.log_prob(values)) * (p.log_prob(values) - q.log_prob(values))).sum(0)
        np.testing.assert_allclose(D.kl_divergence(p, q).numpy(), exact.numpy(), atol=1e-12)
    outside = D.kl_divergence(D.Uniform(0.0, 2.0), D.Uniform(0.0, 1.0))
    assert outside.item() == math.inf
    zero = D.kl_divergence(D.Categorical(tg.tensor([0.0, 1.0])), D.Categorical(tg.tensor([0.5, 0.5])))
    assert zero.item() == pytest.approx(math.log(2), abs=1e-6)

    class Mine(D.Normal):
        pass

    assert D.kl_divergence(Mine(0.0, 1.0), D.Normal(0.0, 1.0)).item() == 0  # a subclass uses its parent's rule

    @D.register_kl(Mine, D.Normal)
    def _(p, q):
        return tg.tensor(42.0)

    assert D.kl_divergence(Mine(0.0, 1.0), D.Normal(0.0, 1.0)).item() == 42
    assert D.kl_divergence(D.Normal(0.0, 1.0), D.Normal(0.0, 1.0)).item() == 0


def checked(function, *inputs):
    inputs = [x.clone().requires_grad_() for x in inputs]
    return gradcheck(function, inputs) and gradgradcheck(function, inputs)


def lower_of(raw):
    return tg.tril(raw) + tg.eye(3, dtype=tg.float64) * 3


GRADIENTS = {
    "normal": lambda: checked(lambda m, s, x: D.Normal(m, s).log_prob(x), LOC, SCALE, f64(3)),
    "normal_cdf": lambda: checked(lambda m, s, x: D.Normal(m, s).cdf(x), LOC, SCALE, f64(3)),
    "normal_icdf": lambda: checked(
        lambda m, s, p: D.Normal(m, s).icdf(p), LOC, SCALE, tg.tensor([0.2, 0.5, 0.9], dtype=tg.float64)
    ),
    "laplace": lambda: checked(lambda m, s, x: D.Laplace(m, s).log_prob(x), LOC, SCALE, LOC + 1),
    "gumbel": lambda: checked(lambda m, s, x: D.Gumbel(m, s).log_prob(x), LOC, SCALE, f64(3)),
    "exponential": lambda: checked(lambda r, x: D.Exponential(r).log_prob(x), SCALE, f64(3).abs()),
    "uniform": lambda: checked(lambda a, b: D.Uniform(a, b).log_prob(LOC + SCALE * 0.5), LOC, LOC + SCALE),
    "bernoulli": lambda: checked(lambda z: D.Bernoulli(logits=z).log_prob(tg.ones(2, 4, dtype=tg.float64)), LOGITS),
    "bernoulli_probs": lambda: checked(
        lambda p: D.Bernoulli(p).log_prob(tg.tensor([0.0, 1.0], dtype=tg.float64)), tg.tensor([0.3, 0.6], dtype=tg.float64)
    ),
    "categorical": lambda: checked(lambda z: D.Categorical(logits=z).log_prob(tg.tensor([1, 3])), LOGITS),
    "categorical_probs": lambda: checked(lambda z: D.Categorical(tg.exp(z)).log_prob(tg.tensor([1, 3])), LOGITS),
    "entropy": lambda: checked(lambda z: D.Categorical(logits=z).entropy(), LOGITS),
    "multinomial": lambda: checked(
        lambda z: D.Multinomial(4, logits=z).log_prob(tg.tensor([1.0, 0.0, 2.0, 1.0], dtype=tg.float64)), LOGITS
    ),
    "multinomial_entropy": lambda: checked(lambda z: D.Multinomial(3, logits=z).entropy(), LOGITS),
    "mvn_tril": lambda: checked(
        lambda m, r, x: D.MultivariateNormal(m, scale_tril=lower_of(r)).log_prob(x), LOC, f64(3, 3) * 0.5, f64(2, 3)
    ),
    "mvn_cov": lambda: checked(
        lambda m, r: D.MultivariateNormal(m, r @ r.T + tg.eye(3, dtype=tg.float64)).log_prob(LOC * 2), LOC, ROOT
    ),
    "mvn_precision": lambda: checked(
        lambda r: D.MultivariateNormal(LOC, precision_matrix=r @ r.T + tg.eye(3, dtype=tg.float64)).log_prob(LOC * 2), ROOT
    ),
    "kl_mvn": lambda: checked(
        lambda m, r: D.kl_divergence(D.MultivariateNormal(m, scale_tril=lower_of(r)), D.MultivariateNormal(LOC, COV)),
        OTHER_LOC,
        f64(3, 3) * 0.5,
    ),
    "kl_normal": lambda: checked(lambda m, s: D.kl_divergence(D.Normal(m, s), D.Normal(OTHER_LOC, OTHER_SCALE)), LOC, SCALE),
}


@pytest.mark.parametrize("name", sorted(GRADIENTS))
def test_gradients_to_order_two(name):
    assert GRADIENTS[name]()


def test_rsample_is_differentiable_and_score_function_agrees():
    """d E[x^2] / d loc = 2 loc and d / d scale = 2 scale, by reparametrisation; the score function gives the same mean."""
    loc, scale = (tg.tensor(v, dtype=tg.float64, requires_grad=True) for v in (0.7, 1.3))
    tg.manual_seed(0)
    x = D.Normal(loc, scale).rsample((200_000,))
    (x * x).mean().backward()
    assert loc.grad.item() == pytest.approx(1.4, rel=0.02) and scale.grad.item() == pytest.approx(2.6, rel=0.02)
    d = D.Normal(loc, scale)
    x = d.sample((400_000,))
    (g,) = tg.autograd.grad((d.log_prob(x) * x * x).mean(), [loc])
    assert g.item() == pytest.approx(1.4, rel=0.05)
    for name in ("laplace", "gumbel", "uniform", "exponential"):
        assert CONTINUOUS[name].has_rsample
    root = ROOT.clone().requires_grad_()
    D.MultivariateNormal(LOC, scale_tril=lower_of(root)).rsample((5,)).sum().backward()
    assert root.grad is not None and float(root.grad.abs().sum()) > 0
    with pytest.raises(NotImplementedError, match="Categorical has no reparametrised sample"):
        D.Categorical(logits=LOGITS).rsample()


@pytest.mark.parametrize(
    "make",
    [
        lambda: D.Normal(LOC, SCALE),
        lambda: D.Uniform(LOC, LOC + 1),
        lambda: D.Bernoulli(logits=LOC),
        lambda: D.Categorical(logits=LOGITS),
        lambda: D.OneHotCategorical(logits=LOGITS),
        lambda: D.Multinomial(3, logits=LOGITS),
        lambda: D.MultivariateNormal(LOC, COV),
        lambda: D.Independent(D.Normal(f64(2, 3), SCALE), 1),
    ],
)
def test_expand_and_copies(make):
    d = make()
    wide = d.expand((5, *d.batch_shape))
    assert wide.batch_shape == (5, *d.batch_shape) and wide.event_shape == d.event_shape
    x = wide.sample((2,))
    assert x.shape == (2, 5, *d.batch_shape, *d.event_shape)
    np.testing.assert_allclose(wide.log_prob(x).numpy(), d.log_prob(x).numpy())
    np.testing.assert_allclose(wide.entropy()[3].numpy(), d.entropy().numpy())
    np.testing.assert_allclose(copy.deepcopy(d).log_prob(x).numpy(), d.log_prob(x).numpy())


@pytest.mark.parametrize(
    ("action", "error", "message"),
    [
        (lambda: D.Normal(0.0, -1.0), ValueError, r"parameter scale \(Tensor of shape \(\)\) .*GreaterThan\(lower_bound=0.0\)"),
        (lambda: D.Normal(tg.tensor(math.nan), 1.0), ValueError, r"parameter loc .* constraint Real\(\)"),
        (lambda: D.Normal("a", 1.0), ValueError, "must all be instances of Number or tilegrad.Tensor, got str"),
        (lambda: D.Normal(tg.zeros(2), tg.ones(3)), RuntimeError, r"shapes \(2,\), \(3,\) do not broadcast"),
        (lambda: D.Normal(tg.zeros(2), 1.0).log_prob(tg.zeros(3)), ValueError, r"not broadcastable .*\(3,\) vs \(2,\)"),
        (lambda: D.Normal(0.0, 1.0).log_prob(1.0), ValueError, "value argument to log_prob must be a Tensor"),
        (lambda: D.Uniform(1.0, 1.0), ValueError, "not defined when low >= high"),
        (lambda: D.Uniform(0.0, 1.0).log_prob(tg.tensor(2.0)), ValueError, "within the support"),
        (lambda: D.Exponential(0.0), ValueError, "parameter rate"),
        (lambda: D.Exponential(1.0).log_prob(tg.tensor(-1.0)), ValueError, "within the support"),
        (lambda: D.Bernoulli(), ValueError, "Either `probs` or `logits` must be specified, but not both"),
        (lambda: D.Bernoulli(0.5, 0.0), ValueError, "Either `probs` or `logits`"),
        (lambda: D.Bernoulli(1.5), ValueError, "parameter probs"),
        (lambda: D.Bernoulli(0.5).log_prob(tg.tensor(0.5)), ValueError, r"support \(Boolean\(\)\)"),
        (lambda: D.Categorical(tg.tensor(1.0)), ValueError, "must be at least one-dimensional"),
        (lambda: D.Categorical([0.5, 0.5]), ValueError, "`probs` must be a Tensor, got list"),
        (lambda: D.Categorical(tg.tensor([-1.0, 2.0])), ValueError, r"constraint Simplex\(\)"),
        (lambda: D.Categorical(tg.tensor([0.0, 0.0])), ValueError, r"constraint Simplex\(\)"),
        (lambda: D.Categorical(tg.ones(2)).log_prob(tg.tensor(2)), ValueError, "upper_bound=1"),
        (lambda: D.Multinomial(-1, tg.ones(2)), ValueError, "total_count must be >= 0, got -1"),
        (lambda: D.Multinomial(2, tg.ones(2)).log_prob(tg.tensor([2.0, 1.0])), ValueError, "within the support"),
        (lambda: D.MultivariateNormal(tg.zeros(2)), ValueError, "Exactly one of covariance_matrix"),
        (lambda: D.MultivariateNormal(tg.tensor(0.0), tg.eye(1)), ValueError, "loc must be at least one-dimensional"),
        (lambda: D.MultivariateNormal(tg.zeros(2), tg.eye(3)), ValueError, r"\(3, 3\) does not fit loc of shape \(2,\)"),
        (
            lambda: D.MultivariateNormal(tg.zeros(2), tg.tensor([[1.0, 2.0], [2.0, 1.0]])),
            ValueError,
            r"parameter covariance_matrix .*PositiveDefinite\(\)",
        ),
        (
            lambda: D.MultivariateNormal(tg.zeros(2), -tg.eye(2), validate_args=False),
            ValueError,
            "cholesky: the matrix is not positive definite",
        ),
        (lambda: D.MultivariateNormal(tg.zeros(2), scale_tril=tg.ones(2, 2)), ValueError, r"LowerCholesky\(\)"),
        (lambda: D.MultivariateNormal(tg.zeros(2), tg.eye(2)).log_prob(tg.zeros(3)), ValueError, "must match event_shape"),
        (lambda: D.Independent(D.Normal(0.0, 1.0), 1), ValueError, "reinterpreted_batch_ndims <= .* 1 vs 0"),
        (
            lambda: D.kl_divergence(D.Normal(0.0, 1.0), D.Bernoulli(0.5)),
            NotImplementedError,
            "p type Normal and q type Bernoulli",
        ),
        (lambda: D.register_kl(int, D.Normal), TypeError, "to be Distribution subclasses"),
        (lambda: D.Bernoulli(0.5).no_such_name, AttributeError, "Bernoulli has no attribute 'no_such_name'"),
    ],
)
def test_errors(action, error, message):
    with pytest.raises(error, match=message):
        action()


def test_validation_can_be_switched_off():
    assert D.Uniform(0.0, 1.0, validate_args=False).log_prob(tg.tensor(2.0)).item() == -math.inf
    assert D.Normal(0.0, -1.0, validate_args=False).scale.item() == -1
    D.Distribution.set_default_validate_args(False)
    try:
        D.Normal(0.0, -1.0)
    finally:
        D.Distribution.set_default_validate_args(True)
    with pytest.raises(ValueError, match="scale"):
        D.Normal(0.0, -1.0)
