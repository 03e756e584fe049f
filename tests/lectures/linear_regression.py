"""Linear regression twice: with a hand-written model, loss and SGD, then with the library's layers."""

import random

import torch
from torch import nn
from torch.utils import data

torch.manual_seed(1)
random.seed(1)
true_w, true_b = torch.tensor([2, -3.4]), 4.2


def synthetic_data(w, b, count):
    X = torch.normal(0, 1, (count, len(w)))
    y = torch.matmul(X, w) + b
    y += torch.normal(0, 0.01, y.shape)
    return X, y.reshape((-1, 1))


features, labels = synthetic_data(true_w, true_b, 1000)


def batches(batch_size, features, labels):
    order = list(range(len(features)))
    random.shuffle(order)
    for i in range(0, len(order), batch_size):
        picked = torch.tensor(order[i : min(i + batch_size, len(order))])
        yield features[picked], labels[picked]


w = torch.normal(0, 0.01, size=(2, 1), requires_grad=True)
b = torch.zeros(1, requires_grad=True)
lr, batch_size = 0.03, 10
for epoch in range(3):
    for X, y in batches(batch_size, features, labels):
        loss = (torch.matmul(X, w) + b - y.reshape(X.shape[0], 1)) ** 2 / 2
        loss.sum().backward()
        with torch.no_grad():
            for param in [w, b]:
                param -= lr * param.grad / batch_size
                param.grad.zero_()
    with torch.no_grad():
        train_l = (torch.matmul(features, w) + b - labels) ** 2 / 2
        print(f"epoch {epoch + 1}, loss {float(train_l.mean()):f}")
assert (true_w - w.detach().reshape(true_w.shape)).abs().max() < 0.05 and abs(float(b) - true_b) < 0.05

dataset = data.TensorDataset(*(features, labels))
data_iter = data.DataLoader(dataset, batch_size, shuffle=True)
assert [x.shape for x in next(iter(data_iter))] == [torch.Size([10, 2]), torch.Size([10, 1])]
net = nn.Sequential(nn.Linear(2, 1))
net[0].weight.data.normal_(0, 0.01)
net[0].bias.data.fill_(0)
loss = nn.MSELoss()
trainer = torch.optim.SGD(net.parameters(), lr=0.03)
for _ in range(3):
    for X, y in data_iter:
        l = loss(net(X), y)  # noqa: E741
        trainer.zero_grad()
        l.backward()
        trainer.step()
    l = loss(net(features), labels)  # noqa: E741
assert l < 1e-3
assert torch.allclose(net[0].weight.data.reshape(true_w.shape), true_w, atol=0.02)
