"""Hooks of modules and the tracer that names the running module."""

from __future__ import annotations

import numpy as np
import pytest

import tilegrad as tg
from tilegrad import nn


def same(a, b):
    return np.array_equal(a.detach().numpy(), b.detach().numpy())


def test_forward_hooks_see_and_change():
    net, log = nn.Linear(2, 2), []
    first = net.register_forward_pre_hook(lambda m, args: log.append(("pre", len(args))))
    second = net.register_forward_hook(lambda m, args, out: log.append(("post", tuple(out.shape))))
    x = tg.ones(3, 2)
    net(x)
    assert log == [("pre", 1), ("post", (3, 2))]
    first.remove()
    second.remove()
    second.remove()
    net(x)
    assert len(log) == 2
    with net.register_forward_pre_hook(lambda m, args: args[0] * 0):
        assert same(net(x)[0], net.bias)
    with net.register_forward_hook(lambda m, args, out: out * 0):
        assert float(net(x).abs().sum()) == 0
    assert float(net(x).abs().sum()) > 0


def test_forward_hooks_with_kwargs_order_and_always_call():
    class Scale(nn.Module):
        def forward(self, x, by=1.0):
            return x * by

    net, log = Scale(), []
    net.register_forward_pre_hook(lambda m, args, kwargs: (args, {"by": 3.0}), with_kwargs=True)
    assert net(tg.ones(1), by=2.0).item() == 3.0
    net.register_forward_hook(lambda m, args, kwargs, out: log.append(kwargs["by"]), with_kwargs=True)
    net.register_forward_hook(lambda m, args, out: log.append("first"), prepend=True)
    net(tg.ones(1))
    assert log == ["first", 3.0]
    wrong = net.register_forward_pre_hook(lambda m, args, kwargs: 3, with_kwargs=True)
    with wrong, pytest.raises(RuntimeError, match=r"must return None or a tuple .new_args, new_kwargs., got int"):
        net(tg.ones(1))
    failing = nn.Linear(2, 2)
    failing.register_forward_hook(lambda m, args, out: log.append("always"), always_call=True)
    with pytest.raises(Exception):  # noqa: B017 - whatever linear raises
        failing(tg.ones(1, 5))
    assert log[-1] == "always"


def test_full_backward_hook():
    net, log = nn.Linear(2, 3), []
    net.register_full_backward_hook(
        lambda m, dx, dy: log.append((None if dx[0] is None else tuple(dx[0].shape), tuple(dy[0].shape)))
    )
    x = tg.ones(4, 2, requires_grad=True)
    net(x).sum().backward()
    assert log == [((4, 2), (4, 3))]
    assert np.allclose(x.grad.numpy(), np.tile(net.weight.detach().numpy().sum(0), (4, 1)))
    net.zero_grad()
    net(tg.ones(4, 2)).sum().backward()  # an input without gradient
    assert log[1:] == [(None, (4, 3))]
    assert np.allclose(net.bias.grad.numpy(), 4.0)


def test_full_backward_hook_replaces_the_gradient():
    net = nn.Linear(2, 3)
    x = tg.ones(4, 2, requires_grad=True)
    with net.register_full_backward_hook(lambda m, dx, dy: (dx[0] * 0,)):
        net(x).sum().backward()
    assert float(x.grad.abs().sum()) == 0
    x.grad = None
    net.zero_grad()
    with net.register_full_backward_pre_hook(lambda m, dy: (dy[0] * 2,)):
        net(x).sum().backward()
    assert np.allclose(net.bias.grad.numpy(), 8.0)


def test_call_tracer_names_the_module_path():
    from tilegrad.nn import module as module_file

    path, seen = [], []

    class Probe(nn.Module):
        def forward(self, x):
            seen.append(".".join(path))
            return x

    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(Probe(), nn.Sequential(Probe()))

        def forward(self, x):
            return self.body[1](self.body(x))

    def tracer(name, forward, *args, **kwargs):
        path.append(name)
        try:
            return forward(*args, **kwargs)
        finally:
            path.pop()

    module_file._call_tracer = tracer
    try:
        Outer()(tg.ones(1))
    finally:
        module_file._call_tracer = None
    assert seen == ["Outer.body.0", "Outer.body.1.0", "Outer.body.1.0"] and path == []


def test_anomaly_mode_names_the_module():
    class Bad(nn.Module):
        def forward(self, x):
            return tg.log(x)

    net = nn.Sequential(nn.Identity(), Bad())
    with tg.autograd.detect_anomaly(), pytest.raises(RuntimeError, match=r"(?s)NaN.*in module Sequential\.1"):
        net(tg.tensor([-1.0]))
