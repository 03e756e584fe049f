"""WGAN-GP: the norm of the critic's gradient is part of its loss, so it is differentiated twice."""

import torch
import torch.nn as nn
from torch import autograd

torch.manual_seed(2)
LAMBDA, BATCH = 1.0, 128
critic = nn.Sequential(nn.Linear(2, 32), nn.LeakyReLU(0.2), nn.Linear(32, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1))
generator = nn.Sequential(nn.Linear(2, 32), nn.ReLU(True), nn.Linear(32, 2))


def real_data():
    return torch.randn(BATCH, 2) * 0.3 + torch.tensor([2.0, -1.0])


def gradient_penalty(critic, real, fake):
    alpha = torch.rand(real.size(0), 1).expand(real.size())
    interpolates = alpha * real + ((1 - alpha) * fake)
    interpolates = autograd.Variable(interpolates, requires_grad=True)
    scores = critic(interpolates)
    gradients = autograd.grad(
        outputs=scores, inputs=interpolates, grad_outputs=torch.ones(scores.size()), create_graph=True, retain_graph=True,
        only_inputs=True,
    )[0]  # fmt: skip
    return ((gradients.norm(2, dim=1) - 1) ** 2).mean() * LAMBDA, gradients


d_optimizer = torch.optim.Adam(critic.parameters(), lr=3e-3, betas=(0.0, 0.9))
g_optimizer = torch.optim.Adam(generator.parameters(), lr=3e-3, betas=(0.0, 0.9))
one = torch.tensor(1, dtype=torch.float)
mone = one * -1
for step in range(250):
    for p in critic.parameters():
        p.requires_grad = True
    for _ in range(3):
        critic.zero_grad()
        real = real_data()
        d_real = critic(real).mean()
        d_real.backward(mone)
        with torch.no_grad():
            z = torch.randn(BATCH, 2)
        fake = autograd.Variable(generator(z).data)
        d_fake = critic(fake).mean()
        d_fake.backward(one)
        penalty, gradients = gradient_penalty(critic, real.data, fake.data)
        penalty.backward()
        d_optimizer.step()
    for p in critic.parameters():
        p.requires_grad = False
    generator.zero_grad()
    g = critic(generator(torch.randn(BATCH, 2))).mean()
    g.backward(mone)
    g_optimizer.step()

mean = generator(torch.randn(1000, 2)).detach().mean(dim=0)
norm = gradients.norm(2, dim=1).mean().item()
print(f"mean of the samples {mean.tolist()}, norm of the gradient {norm:.3f}")
assert torch.allclose(mean, torch.tensor([2.0, -1.0]), atol=0.6) and 0.3 < norm < 1.7

# the penalty's gradient, against differences
net = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1)).double()
x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)


def penalty_of():
    (g,) = torch.autograd.grad(net(x).sum(), x, create_graph=True)
    return ((g.norm(2, dim=1) - 1) ** 2).mean()


net.zero_grad()
penalty_of().backward()
w, eps = net[0].weight, 1e-6
with torch.no_grad():
    expected = torch.zeros_like(w)
for i in range(5):
    for j in range(3):
        values = []
        for sign in (1, -1):
            w.data[i, j] += sign * eps
            values.append(penalty_of().item())
            w.data[i, j] -= sign * eps
        expected[i, j] = (values[0] - values[1]) / (2 * eps)
assert torch.allclose(w.grad, expected, atol=1e-7)
