"""Elastic weight consolidation: Fisher information from p.grad.data ** 2, a penalty around the old weights."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.autograd import Variable

torch.manual_seed(0)


def make_task(seed):
    g = torch.Generator()
    g.manual_seed(seed)
    centers = torch.randn(3, 10, generator=g) * 2
    y = torch.randint(0, 3, (240,), generator=g)
    return centers[y] + torch.randn(240, 10, generator=g), y


def variable(t, **kwargs):
    return Variable(t, **kwargs)


class EWC:
    def __init__(self, model, dataset):
        self.model = model
        self.params = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self._means = {}
        self._precision_matrices = self._diag_fisher(dataset)
        for n, p in self.params.items():
            self._means[n] = variable(p.clone().detach().data)

    def _diag_fisher(self, dataset):
        precision = {n: variable(torch.zeros_like(p.data)) for n, p in self.params.items()}
        self.model.eval()
        for x in dataset:
            self.model.zero_grad()
            output = self.model(variable(x).unsqueeze(0)).view(1, -1)
            label = output.max(1)[1].view(-1)
            F.nll_loss(F.log_softmax(output, dim=1), label).backward()
            for n, p in self.model.named_parameters():
                precision[n].data += p.grad.data**2 / len(dataset)
        return {n: p for n, p in precision.items()}

    def penalty(self, model):
        loss = 0
        for n, p in model.named_parameters():
            loss += (self._precision_matrices[n] * (p - self._means[n]) ** 2).sum()
        return loss


def fit(model, task, ewc=None, importance=0.0, steps=60):
    optimizer = torch.optim.SGD(params=model.parameters(), lr=0.1)
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(task[0]), task[1])
        if ewc is not None:
            loss = loss + importance * ewc.penalty(model)
        loss.backward()
        for group in optimizer.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                p.grad.data.clamp_(-1, 1)
        optimizer.step()


def accuracy(model, task):
    model.eval()
    return (model(task[0]).max(dim=1)[1].data == task[1]).sum().item() / len(task[1])


first, second = make_task(1), make_task(2)
results = {}
for importance in (0.0, 300.0):
    torch.manual_seed(4)
    model = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 3))
    fit(model, first)
    alone = accuracy(model, first)
    fit(model, second, EWC(model, first[0][:60]), importance)
    results[importance] = (accuracy(model, first), accuracy(model, second))
    print(f"importance {importance}: from {alone:.2f} to {results[importance]}")
    assert alone > 0.95
assert results[0.0][1] > 0.95 and results[300.0][0] > results[0.0][0] + 0.1
