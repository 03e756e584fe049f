"""tilegrad.losses and the normalised weights of nn.utils, against NumPy and against what the papers promise."""

import copy
import pickle

import numpy as np
import pytest

import tilegrad as tg
from tilegrad import losses, nn
from tilegrad.distributions import Normal, kl_divergence


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


@pytest.fixture
def scores():
    rng = np.random.default_rng(0)
    return rng.normal(size=(7, 1)), rng.normal(size=(7, 1))


def test_gan_losses(scores):
    real, fake = scores
    t_real, t_fake = tg.tensor(real), tg.tensor(fake)
    assert losses.gan_d(t_real, t_fake).item() == pytest.approx(
        -np.log(sigmoid(real)).mean() - np.log(1 - sigmoid(fake)).mean()
    )
    assert losses.gan_g(t_fake).item() == pytest.approx(-np.log(sigmoid(fake)).mean())
    assert losses.gan_g(t_fake, saturating=True).item() == pytest.approx(np.log(1 - sigmoid(fake)).mean())
    assert losses.wgan_d(t_real, t_fake).item() == pytest.approx(fake.mean() - real.mean())
    assert losses.wgan_g(t_fake).item() == pytest.approx(-fake.mean())
    assert losses.lsgan_d(t_real, t_fake).item() == pytest.approx(0.5 * ((real - 1) ** 2).mean() + 0.5 * (fake**2).mean())
    assert losses.lsgan_g(t_fake).item() == pytest.approx(0.5 * ((fake - 1) ** 2).mean())
    error = np.abs(fake)
    expected = np.abs(real).mean() + np.maximum(0, 1.5 - error).mean()
    assert losses.ebgan(t_real.abs(), t_fake.abs(), 1.5).item() == pytest.approx(expected)


def test_saturated_generator_keeps_its_gradient_only_in_the_other_form():
    fake = tg.full((4, 1), -30.0, dtype=tg.float64, requires_grad=True)
    (kept,) = tg.autograd.grad(losses.gan_g(fake), fake)
    (lost,) = tg.autograd.grad(losses.gan_g(fake, saturating=True), fake)
    assert kept.abs().min() > 0.2 and lost.abs().max() < 1e-10


def test_clip_weights():
    parameters = list(nn.Linear(3, 4).parameters())
    losses.clip_weights_(parameters, 0.05)
    assert all(p.abs().max() <= 0.05 for p in parameters)
    with pytest.raises(ValueError, match="must be positive"):
        losses.clip_weights_(parameters, 0)


def test_gradient_penalty_of_a_linear_critic_is_known():
    w = tg.tensor([[3.0], [4.0]], dtype=tg.float64, requires_grad=True)  # |grad| = 5 everywhere
    x = tg.randn(6, 2, dtype=tg.float64)
    penalty = losses.gradient_penalty(lambda x: x @ w, x, x + 1)
    assert penalty.item() == pytest.approx(16)
    penalty.backward()  # d (|w| - 1)^2 / dw = 2 (|w| - 1) w / |w|
    np.testing.assert_allclose(w.grad.numpy(), 2 * 4 * w.detach().numpy() / 5, rtol=1e-12)
    small = tg.tensor([[0.3], [0.4]], dtype=tg.float64)
    assert losses.gradient_penalty(lambda x: x @ small, x, x, two_sided=False).item() == 0
    with pytest.raises(ValueError, match="same shape"):
        losses.gradient_penalty(lambda x: x @ w, x, x[:3])


def test_vae_kl_is_the_divergence_of_the_distributions():
    rng = np.random.default_rng(1)
    mean, log_variance = tg.tensor(rng.normal(size=(5, 3))), tg.tensor(rng.normal(size=(5, 3)))
    exact = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(tg.zeros(3).double(), tg.ones(3).double())).sum(1)
    np.testing.assert_allclose(losses.vae_kl(mean, log_variance).numpy(), exact.numpy(), rtol=1e-12)
    np.testing.assert_allclose(losses.vae_kl(mean, log_variance, "lecture").numpy(), 2 * exact.numpy(), rtol=1e-12)
    assert tg.autograd.gradcheck(losses.vae_kl, (mean.requires_grad_(), log_variance.requires_grad_()))
    with pytest.raises(ValueError, match="'gauss' or 'lecture'"):
        losses.vae_kl(mean, log_variance, "exact")


@pytest.mark.parametrize("layer", [lambda: nn.Linear(5, 7), lambda: nn.Linear(7, 3)])
def test_spectral_norm_brings_the_largest_singular_value_to_one(layer):
    tg.manual_seed(0)
    layer = nn.utils.spectral_norm(layer(), n_power_iterations=50)
    layer(tg.randn(2, layer.in_features))
    assert np.linalg.svd(layer.weight.detach().numpy())[1][0] == pytest.approx(1, abs=1e-4)
    assert set(layer.state_dict()) == {"bias", "weight_orig", "weight_u", "weight_v"}
    assert {name for name, _ in layer.named_parameters()} == {"bias", "weight_orig"}


def test_spectral_norm_trains_saves_and_goes_away():
    tg.manual_seed(0)
    layer = nn.utils.spectral_norm(nn.Linear(4, 4))
    x = tg.randn(3, 4)
    (layer(x).sum() + layer(x).sum()).backward()  # two calls, one graph: the vectors of the first must not change under it
    assert layer.weight_orig.grad.abs().sum() > 0
    layer.eval()
    expected = layer(x)
    other = nn.utils.spectral_norm(nn.Linear(4, 4)).eval()
    other.load_state_dict(layer.state_dict())
    assert tg.equal(other(x), expected)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert tg.equal(twin(x), expected)
    nn.utils.remove_spectral_norm(layer)
    assert set(layer.state_dict()) == {"weight", "bias"}
    np.testing.assert_allclose(layer(x).detach().numpy(), expected.detach().numpy(), rtol=1e-6)


def test_weight_norm_splits_length_and_direction():
    tg.manual_seed(0)
    layer = nn.Linear(4, 3)
    before = layer.weight.detach().clone()
    x = tg.randn(2, 4)
    expected = layer(x).detach()
    nn.utils.weight_norm(layer)
    np.testing.assert_allclose(layer(x).detach().numpy(), expected.numpy(), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(layer.weight_g.detach().numpy()[:, 0], np.linalg.norm(before.numpy(), axis=1), rtol=1e-6)
    layer(x).sum().backward()
    along = (layer.weight_v.grad * layer.weight_v).sum(1)  # turning changes no length
    np.testing.assert_allclose(along.detach().numpy(), 0, atol=1e-5)
    nn.utils.remove_weight_norm(layer)
    np.testing.assert_allclose(layer.weight.detach().numpy(), before.numpy(), rtol=1e-6)
    whole = nn.utils.weight_norm(nn.Linear(4, 3), dim=None)
    assert whole.weight_g.shape == () and whole(x).shape == (2, 3)


def test_what_cannot_be_normalised_is_refused():
    with pytest.raises(ValueError, match="no parameter 'w'; it has weight, bias"):
        nn.utils.spectral_norm(nn.Linear(2, 2), "w")
    with pytest.raises(ValueError, match="n_power_iterations"):
        nn.utils.spectral_norm(nn.Linear(2, 2), n_power_iterations=0)
    with pytest.raises(RuntimeError, match="already"):
        nn.utils.spectral_norm(nn.utils.weight_norm(nn.Linear(2, 2)))
    with pytest.raises(ValueError, match="no SpectralNorm of 'weight'"):
        nn.utils.remove_spectral_norm(nn.Linear(2, 2))
    with pytest.raises(IndexError, match="Dimension out of range"):
        nn.utils.weight_norm(nn.Linear(2, 2), dim=5)
