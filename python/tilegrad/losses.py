"""Losses of whole methods: generative adversarial networks and variational auto-encoders.

Losses of a single prediction (cross entropy, mean squared error, ...) are in `tilegrad.nn`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import tilegrad as tg

from .nn import functional as F
from .tensor import Tensor

__all__ = ["clip_weights_", "ebgan", "gan_d", "gan_g", "gradient_penalty", "lsgan_d", "lsgan_g", "vae_kl", "wgan_d", "wgan_g"]


def gan_d(real: Tensor, fake: Tensor) -> Tensor:
    """What the discriminator of a GAN minimises: -E ln D(x) - E ln(1 - D(G(z))), with D = sigmoid(score).

    Args:
        real, fake: scores (logits) of real and of generated data, any shape.

    Its optimum is 2 ln 2 - 2 JSD(real, generated). Source: Goodfellow et al. 2014, equation 1.
    """
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def gan_g(fake: Tensor, saturating: bool = False) -> Tensor:
    """What the generator of a GAN minimises: -E ln D(G(z)); with `saturating` E ln(1 - D(G(z))), the minimax form.

    The first has the same fixed point and keeps a gradient when the discriminator is sure (Goodfellow et al. 2014, section 3).
    """
    return -F.softplus(fake).mean() if saturating else F.softplus(-fake).mean()


def wgan_d(real: Tensor, fake: Tensor) -> Tensor:
    """What the critic of a Wasserstein GAN minimises: E D(G(z)) - E D(x). The critic must be kept 1-Lipschitz.

    Its negative estimates the Wasserstein distance. Source: Arjovsky, Chintala & Bottou 2017.
    """
    return fake.mean() - real.mean()


def wgan_g(fake: Tensor) -> Tensor:
    """What the generator of a Wasserstein GAN minimises: -E D(G(z))."""
    return -fake.mean()


def clip_weights_(parameters: Iterable[Tensor], c: float) -> None:
    """Clamps every parameter to [-c, c] in place: the Lipschitz constraint of the first Wasserstein GAN."""
    if not c > 0:
        raise ValueError(f"clip_weights_: c must be positive, got {c}")
    for parameter in parameters:
        parameter.data.clamp_(-c, c)


def gradient_penalty(
    critic: Callable[[Tensor], Tensor],
    real: Tensor,
    fake: Tensor,
    two_sided: bool = True,
    generator: tg.Generator | None = None,
) -> Tensor:
    """E (|grad_x D(x)| - 1)² at points x between real and generated data, one random point per pair.

    Args:
        critic: the function D; its gradient is differentiated again, so it must be twice differentiable.
        real, fake: (N, ...), the same shape; both are used as data (no gradient flows into them).
        two_sided: False penalises only norms above 1: max(0, |grad| - 1)².
        generator: where the random points come from.

    Returns a scalar; the paper multiplies it by 10. Raises ValueError when the shapes differ.
    Source: Gulrajani et al. 2017, equation 3.
    """
    if tuple(real.shape) != tuple(fake.shape):
        raise ValueError(f"gradient_penalty: real {tuple(real.shape)} and fake {tuple(fake.shape)} need the same shape")
    share = tg.rand(real.shape[0], *([1] * (real.ndim - 1)), generator=generator, dtype=real.dtype)  # (N, 1, ...)
    x = (share * real.detach() + (1 - share) * fake.detach()).requires_grad_()
    (slope,) = tg.autograd.grad(critic(x).sum(), x, create_graph=True)
    assert slope is not None
    excess = slope.flatten(1).norm(dim=1) - 1  # (N)
    return ((excess if two_sided else F.relu(excess)) ** 2).mean()


def lsgan_d(real: Tensor, fake: Tensor) -> Tensor:
    """What the discriminator of a least-squares GAN minimises: ½ E (D(x) - 1)² + ½ E D(G(z))². Source: Mao et al. 2017."""
    return 0.5 * ((real - 1) ** 2).mean() + 0.5 * (fake**2).mean()


def lsgan_g(fake: Tensor) -> Tensor:
    """What the generator of a least-squares GAN minimises: ½ E (D(G(z)) - 1)²."""
    return 0.5 * ((fake - 1) ** 2).mean()


def ebgan(real_error: Tensor, fake_error: Tensor, margin: float) -> Tensor:
    """What the discriminator of an energy-based GAN minimises: E err(x) + E max(0, margin - err(G(z))).

    Its "D" is an auto-encoder, err its reconstruction error per sample; beyond the margin it need not be worse at generated
    data. The generator minimises E err(G(z)). Source: Zhao, Mathieu & LeCun 2017.
    """
    return real_error.mean() + F.relu(margin - fake_error).mean()


def vae_kl(mean: Tensor, log_variance: Tensor, form: str = "gauss") -> Tensor:
    """KL(N(mean, exp(log_variance)) || N(0, 1)) per sample, summed over the last dim.

    Args:
        mean, log_variance: (..., Z).
        form: "gauss" is the exact ½ (exp(s) - 1 - s + mean²) with s the log variance; "lecture" the slide's
            exp(s) - (1 + s) + mean², twice that: the same minimum, another weight against the reconstruction.

    Source: Kingma & Welling 2014, appendix B.
    """
    if form not in ("gauss", "lecture"):
        raise ValueError(f"vae_kl: form must be 'gauss' or 'lecture', got {form!r}")
    total = (log_variance.exp() - 1 - log_variance + mean**2).sum(-1)
    return 0.5 * total if form == "gauss" else total
