"""A CIFAR-like CNN: augmented images, batch normalisation, a learning-rate schedule, a checkpoint in the middle, resumed."""

import copy
import os
import tempfile

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
import torchvision.transforms as transforms
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader, Dataset

torch.manual_seed(0)
rng = np.random.default_rng(0)
transform = transforms.Compose(
    [transforms.ToTensor(), transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)), transforms.RandomHorizontalFlip(p=0.5)]
)


class Bars(Dataset):
    """Images (16, 16, 3) in which one band, by the class, is bright."""

    def __init__(self, count, transform=None):
        self.labels = rng.integers(0, 4, count)
        self.images = rng.integers(0, 120, (count, 16, 16, 3)).astype(np.uint8)
        for image, label in zip(self.images, self.labels, strict=True):
            image[4 * label : 4 * label + 4] += 100
        self.transform = transform

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, i):
        return self.transform(self.images[i]), int(self.labels[i])


class Net(nn.Module):
    def __init__(self, num_classes=4):
        super(Net, self).__init__()  # noqa: UP008
        self.cnn = nn.Sequential(
            nn.Conv2d(3, 16, 3, 1, 1), nn.BatchNorm2d(16), nn.ReLU(inplace=True), nn.MaxPool2d(2, 2, 0),
            nn.Conv2d(16, 32, kernel_size=3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU(True), nn.MaxPool2d(2),
        )  # fmt: skip
        self.fc = nn.Sequential(nn.Dropout(0.1), nn.Linear(32 * 4 * 4, 32), nn.ReLU(), nn.Linear(32, num_classes))
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(m, nn.BatchNorm2d):
                nn.init.constant_(m.weight, 1)
                nn.init.constant_(m.bias, 0)

    def forward(self, x):
        out = self.cnn(x)
        out = out.view(out.size()[0], -1)
        return self.fc(out)


def run(model, loader, optimizer=None):
    model.train(optimizer is not None)
    loss_sum, correct, total = 0.0, 0, 0
    with torch.set_grad_enabled(optimizer is not None):
        for inputs, labels in loader:
            outputs = model(inputs)
            loss = F.cross_entropy(outputs, labels)
            if optimizer is not None:
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), max_norm=10)
                optimizer.step()
            _, predicted = torch.max(outputs.data, 1)
            total += labels.size(0)
            correct += (predicted == labels).sum().item()
            loss_sum += loss.item() * labels.size(0)
    return loss_sum / total, correct / total


trainset = Bars(256, transform)
trainloader = DataLoader(trainset, batch_size=32, shuffle=True, num_workers=0, drop_last=True)
testloader = DataLoader(Bars(64, transform), batch_size=64, shuffle=False)
net = Net()
optimizer = optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4, nesterov=True)
scheduler = lr_scheduler.MultiStepLR(optimizer, milestones=[2, 3], gamma=0.1)
path = os.path.join(tempfile.mkdtemp(), "checkpoint.pth")
first = run(net, testloader)
for epoch in range(2):
    run(net, trainloader, optimizer)
    scheduler.step()
torch.save({"epoch": epoch, "model": net.state_dict(), "optimizer": optimizer.state_dict(),
            "scheduler": scheduler.state_dict()}, path)  # fmt: skip
best = copy.deepcopy(net.state_dict())

checkpoint = torch.load(path, map_location=torch.device("cpu"))
resumed = Net()
resumed.load_state_dict(checkpoint["model"])
other = optim.SGD(resumed.parameters(), lr=0.3, momentum=0.9, weight_decay=5e-4, nesterov=True)
other_scheduler = lr_scheduler.MultiStepLR(other, milestones=[2, 3], gamma=0.1)
other.load_state_dict(checkpoint["optimizer"])
other_scheduler.load_state_dict(checkpoint["scheduler"])
assert abs(other.param_groups[0]["lr"] - 0.005) < 1e-12 and checkpoint["epoch"] == 1
states = []
for model, opt, sched in ((net, optimizer, scheduler), (resumed, other, other_scheduler)):
    torch.manual_seed(7)
    run(model, trainloader, opt)
    sched.step()
    states.append(model.state_dict())
assert all(torch.equal(states[0][k], states[1][k]) for k in states[0]), "a resumed run is the run"
assert abs(scheduler.get_last_lr()[0] - 0.0005) < 1e-12
assert not torch.equal(best["fc.1.weight"], states[0]["fc.1.weight"])
loss, accuracy = run(net, testloader)
print(f"loss {first[0]:.3f} -> {loss:.3f}, accuracy {accuracy:.2%}")
assert loss < 0.5 * first[0] and accuracy > 0.9
