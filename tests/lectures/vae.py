"""A variational autoencoder: reparametrisation, BCE plus KL summed over the batch, samples from the prior."""

import torch
import torch.nn.functional as F
from torch import nn, optim

torch.manual_seed(1)


class VAE(nn.Module):
    def __init__(self):
        super(VAE, self).__init__()  # noqa: UP008
        self.fc1 = nn.Linear(36, 32)
        self.fc21 = nn.Linear(32, 2)
        self.fc22 = nn.Linear(32, 2)
        self.fc3 = nn.Linear(2, 32)
        self.fc4 = nn.Linear(32, 36)

    def encode(self, x):
        h1 = F.relu(self.fc1(x))
        return self.fc21(h1), self.fc22(h1)

    def reparameterize(self, mu, logvar):
        std = torch.exp(0.5 * logvar)
        eps = torch.randn_like(std)
        return mu + eps * std

    def decode(self, z):
        return torch.sigmoid(self.fc4(F.relu(self.fc3(z))))

    def forward(self, x):
        mu, logvar = self.encode(x.view(-1, 36))
        z = self.reparameterize(mu, logvar)
        return self.decode(z), mu, logvar


def loss_function(recon_x, x, mu, logvar):
    BCE = F.binary_cross_entropy(recon_x, x.view(-1, 36), reduction="sum")
    KLD = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return BCE + KLD, KLD


def images(count):
    """A bright row or a bright column, at a random place."""
    x = torch.zeros(count, 1, 6, 6)
    at, upright = torch.randint(0, 6, (count,)), torch.rand(count) < 0.5
    rows = torch.arange(count)
    x[rows[upright], 0, at[upright], :] = 1.0
    x[rows[~upright], 0, :, at[~upright]] = 1.0
    return x


model = VAE()
optimizer = optim.Adam(model.parameters(), lr=5e-3)
history = []
for step in range(300):
    data = images(64)
    optimizer.zero_grad()
    recon_batch, mu, logvar = model(data)
    loss, kld = loss_function(recon_batch, data, mu, logvar)
    loss.backward()
    optimizer.step()
    history.append(loss.item() / len(data))
    if step % 100 == 0:
        print(f"step {step}: loss {history[-1]:.2f}, KL {kld.item() / len(data):.2f}")
assert history[-1] < 0.6 * history[0] and kld.item() > 0
expected = torch.distributions.kl_divergence(
    torch.distributions.Normal(mu, torch.exp(0.5 * logvar)), torch.distributions.Normal(0.0, 1.0)
).sum()
assert torch.allclose(kld, expected, rtol=1e-4)
with torch.no_grad():
    sample = model.decode(torch.randn(64, 2)).cpu().view(64, 1, 6, 6)
assert sample.shape == (64, 1, 6, 6) and 0 <= sample.min() and sample.max() <= 1
