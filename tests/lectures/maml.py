"""MAML on sine waves: weights as an OrderedDict, inner steps with create_graph=True, the outer step through them."""

import collections
import copy

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(0)


class Regressor(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(1, 24)
        self.hidden2 = nn.Linear(24, 24)
        self.out = nn.Linear(24, 1)

    def forward(self, x):
        return self.out(F.relu(self.hidden2(F.relu(self.hidden(x)))))

    def functional_forward(self, x, params):
        x = F.relu(F.linear(x, params["hidden.weight"], params["hidden.bias"]))
        x = F.relu(F.linear(x, params["hidden2.weight"], params["hidden2.bias"]))
        return F.linear(x, params["out.weight"], params["out.bias"])


def task():
    amplitude, phase = torch.rand(1) * 2 + 0.5, torch.rand(1) * 3.0
    x = torch.rand(20, 1) * 8 - 4
    y = amplitude * torch.sin(x + phase)
    return (x[:10], y[:10]), (x[10:], y[10:])


def adapted(model, support, inner_lr=0.05, steps=2, first_order=False):
    fast_weights = collections.OrderedDict(model.named_parameters())
    for _ in range(steps):
        loss = F.mse_loss(model.functional_forward(support[0], fast_weights), support[1])
        grads = torch.autograd.grad(loss, fast_weights.values(), create_graph=not first_order)
        fast_weights = collections.OrderedDict(
            (name, param - inner_lr * grad) for ((name, param), grad) in zip(fast_weights.items(), grads, strict=True)
        )
    return fast_weights


def after_adaptation(model, tasks):
    """Mean loss on the queries."""
    return sum(F.mse_loss(model.functional_forward(q[0], adapted(model, s)), q[1]).item() for s, q in tasks) / len(tasks)


model = Regressor()
start = copy.deepcopy(model)
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
test_tasks = [task() for _ in range(40)]
before = after_adaptation(start, test_tasks)
for step in range(150):
    meta_batch_loss = []
    for _ in range(4):
        support, query = task()
        fast_weights = adapted(model, support)
        meta_batch_loss.append(F.mse_loss(model.functional_forward(query[0], fast_weights), query[1]))
    meta_loss = torch.stack(meta_batch_loss).mean()
    optimizer.zero_grad()
    meta_loss.backward()
    optimizer.step()
after = after_adaptation(model, test_tasks)
print(f"loss after two steps: {before:.3f} -> {after:.3f}")
assert after < 0.6 * before

# the second-order term is there: first-order MAML has another gradient, and torch.func.functional_call gives the same one
support, query = task()
gradients = []
for first_order in (False, True):
    fast = adapted(model, support, first_order=first_order)
    loss = F.mse_loss(model.functional_forward(query[0], fast), query[1])
    gradients.append(torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, list(model.parameters()))]))
assert (gradients[0] - gradients[1]).norm() > 1e-3 * gradients[0].norm()
fast = adapted(model, support)
loss = F.mse_loss(torch.func.functional_call(model, dict(fast), (query[0],)), query[1])
again = torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, list(model.parameters()))])
assert torch.allclose(gradients[0], again, atol=1e-6)
