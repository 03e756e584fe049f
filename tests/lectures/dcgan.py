"""DCGAN: transposed convolutions, weights_init by class name, two optimizers, labels filled with fill_, a grid of samples."""

import torch
import torch.nn as nn
import torch.optim as optim

torch.manual_seed(999)
nz, ngf, ndf, nc, batch_size = 8, 8, 8, 1, 32
device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")


def weights_init(m):
    classname = m.__class__.__name__
    if classname.find("Conv") != -1:
        nn.init.normal_(m.weight.data, 0.0, 0.02)
    elif classname.find("BatchNorm") != -1:
        nn.init.normal_(m.weight.data, 1.0, 0.02)
        nn.init.constant_(m.bias.data, 0)


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(
            nn.ConvTranspose2d(nz, ngf * 2, 4, 1, 0, bias=False), nn.BatchNorm2d(ngf * 2), nn.ReLU(True),
            nn.ConvTranspose2d(ngf * 2, ngf, kernel_size=4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(ngf), nn.ReLU(True),
            nn.ConvTranspose2d(ngf, nc, 4, 2, 1, bias=False), nn.Tanh(),
        )  # fmt: skip

    def forward(self, input):
        return self.main(input)


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(nc, ndf, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(ndf, ndf * 2, 4, 2, 1, bias=False), nn.BatchNorm2d(ndf * 2), nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(ndf * 2, 1, 4, 1, 0, bias=False), nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, input):
        return self.main(input)


def real_images():
    """Dark images with a bright square in the middle."""
    x = torch.full((batch_size, nc, 16, 16), -0.8) + 0.1 * torch.randn(batch_size, nc, 16, 16)
    x[:, :, 4:12, 4:12] += 1.6
    return x.clamp_(-1, 1)


netG, netD = Generator().to(device), Discriminator().to(device)
netG.apply(weights_init)
netD.apply(weights_init)
criterion = nn.BCELoss()
fixed_noise = torch.randn(16, nz, 1, 1, device=device)
real_label, fake_label = 1.0, 0.0
optimizerD = optim.Adam(netD.parameters(), lr=2e-3, betas=(0.5, 0.999))
optimizerG = optim.Adam(netG.parameters(), lr=4e-3, betas=(0.5, 0.999))
with torch.no_grad():
    assert netG(fixed_noise).shape == (16, nc, 16, 16)
    distance_before = (netG(fixed_noise) - real_images()[:16]).pow(2).mean().item()

for i in range(60):
    netD.zero_grad()
    data = real_images()
    label = torch.full((data.size(0),), real_label, dtype=torch.float, device=device)
    output = netD(data).view(-1)
    errD_real = criterion(output, label)
    errD_real.backward()
    D_x = output.mean().item()
    fake = netG(torch.randn(batch_size, nz, 1, 1, device=device))
    label.fill_(fake_label)
    output = netD(fake.detach()).view(-1)
    errD_fake = criterion(output, label)
    errD_fake.backward()
    errD = errD_real + errD_fake
    optimizerD.step()

    netG.zero_grad()
    label.fill_(real_label)
    output = netD(fake).view(-1)
    errG = criterion(output, label)
    errG.backward()
    optimizerG.step()
    if i % 20 == 0:
        print(f"[{i}/60] D {errD.item():.4f} G {errG.item():.4f} D(x) {D_x:.4f} D(G(z)) {output.mean().item():.4f}")

with torch.no_grad():
    fake = netG(fixed_noise).detach().cpu()
distance = (fake - real_images()[:16]).pow(2).mean().item()
print(f"distance to the data {distance_before:.3f} -> {distance:.3f}")
assert distance < 0.5 * distance_before
assert netD.main[3].running_mean.abs().sum() > 0 and netD.main[3].num_batches_tracked == 180
