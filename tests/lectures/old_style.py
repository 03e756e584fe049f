"""Idioms of PyTorch's first years that still run: Variable, typed constructors, .data, in-place methods, size_average."""

import copy
import math
import pickle

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.autograd import Variable
from torch.nn.parameter import Parameter

torch.manual_seed(1)
cuda = torch.cuda.is_available()
Tensor = torch.cuda.FloatTensor if cuda else torch.FloatTensor
LongTensor = torch.cuda.LongTensor if cuda else torch.LongTensor

valid = Variable(Tensor(4, 1).fill_(1.0), requires_grad=False)
fake = Variable(Tensor(np.random.normal(0, 1, (4, 3))))
labels = Variable(LongTensor(np.random.randint(0, 10, 4)))
assert valid.sum() == 4 and fake.dtype == torch.float32 and labels.type() == torch.LongTensor([0]).type()
assert isinstance(fake, torch.FloatTensor) and not isinstance(labels, torch.FloatTensor)
assert not isinstance(fake, torch.cuda.FloatTensor)
try:
    torch.cuda.FloatTensor(3)
except TypeError as error:
    assert "not available" in str(error)

one_hot = Tensor(4, 10).zero_().scatter_(1, labels.unsqueeze(1), 1)
assert one_hot.sum(1).tolist() == [1.0] * 4
x = labels.type(torch.FloatTensor).type_as(fake)
assert x.dtype == torch.float32
values, indices = torch.max(one_hot, 1)
assert (indices == labels).all() and (indices.data.numpy() == labels.data.cpu().numpy()).all()
noise = torch.FloatTensor(2, 3)
noise.resize_(4, 5).normal_(0, 1)
assert noise.size() == torch.Size([4, 5]) and noise.nelement() == 20 and noise.ndimension() == 2


class OldLinear(nn.Module):
    def __init__(self, n_in, n_out):
        super(OldLinear, self).__init__()  # noqa: UP008
        self.weight = Parameter(torch.Tensor(n_out, n_in))
        self.bias = Parameter(torch.Tensor(n_out))
        self.reset_parameters()

    def reset_parameters(self):
        stdv = 1.0 / math.sqrt(self.weight.size(1))
        self.weight.data.uniform_(-stdv, stdv)
        self.bias.data.uniform_(-stdv, stdv)

    def forward(self, input):
        return F.linear(input, self.weight, self.bias)


net = nn.Sequential()
net.add_module("fc1", OldLinear(3, 8))
net.add_module("act", nn.Tanh())
net.add_module("fc2", nn.Linear(8, 2))
assert list(net._modules) == ["fc1", "act", "fc2"] and len(list(net.children())[:-1]) == 2
inputs = Variable(torch.randn(32, 3))
targets = Variable((inputs[:, 0] > 0).long())
criterion = nn.CrossEntropyLoss(size_average=False)
first = None
for _ in range(50):
    net.zero_grad()
    loss = criterion(net(inputs), targets)
    loss.backward()
    first = first or loss.data.item()
    for p in net.parameters():
        p.data.add_(-0.02 * p.grad.data)
    total_norm = sum(p.grad.data.norm(2) ** 2 for p in net.parameters()) ** 0.5
assert float(loss.data) < 0.5 * first and float(total_norm) > 0
out = net(inputs)
pred = out.data.max(1, keepdim=True)[1]
correct = pred.eq(targets.data.view_as(pred)).cpu().sum()
print("Accuracy: {}/{} ({:.0f}%)".format(correct, len(inputs), 100.0 * correct / len(inputs)))
assert F.sigmoid(out).shape == F.tanh(out).shape == out.shape

twin = copy.deepcopy(net)
again = pickle.loads(pickle.dumps(net))
for p, q, r in zip(net.parameters(), twin.parameters(), again.parameters(), strict=True):
    assert torch.equal(p, q) and torch.equal(p, r) and p is not q
    q.data.copy_(p.data * 0.9 + r.data * 0.1)
    assert torch.allclose(p, q)
state = {k: v for k, v in net.state_dict().items() if "fc2" in k}
state_all = twin.state_dict()
state_all.update(state)
twin.load_state_dict(state_all)

z = Variable(torch.Tensor([[1, 2], [3, 4]]), requires_grad=True)
out = (z * z * 3).mean()
out.backward()
assert z.grad.data.tolist() == [[1.5, 3.0], [4.5, 6.0]]
m = torch.ger(torch.Tensor([1, 2]), torch.Tensor([3, 4])) if hasattr(torch, "ger") else torch.outer(*torch.eye(2))
assert m.view(-1)[0] == 3 and torch.is_tensor(m) and m.new(2, 2).zero_().sum() == 0
mask = torch.ByteTensor([1, 0, 1]).bool()
assert torch.arange(3)[mask].tolist() == [0, 2]
x = Variable(torch.randn(1, 2), volatile=True) if False else torch.randn(1, 2)
assert torch.squeeze(x).clone().t_().shape == (2,) and x.expand(3, 2).contiguous().view(3, -1).shape == (3, 2)
