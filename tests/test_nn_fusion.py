"""nn.Sequential computes a Linear and the activation behind it with one kernel, and nobody can tell."""

from __future__ import annotations

import copy

import pytest

import tilegrad as tg
from tilegrad import nn
from tilegrad.testing import assert_close

ACTIVATIONS = {
    "relu": nn.ReLU(),
    "relu in place": nn.ReLU(inplace=True),
    "gelu": nn.GELU(),
    "gelu tanh": nn.GELU(approximate="tanh"),
    "tanh": nn.Tanh(),
    "sigmoid": nn.Sigmoid(),
}


def nodes(y):
    """Names of the ops in the graph, newest first, along the first edge."""
    names, node = [], y.grad_fn
    while isinstance(node, tg._core.Node):
        names.append(node.name())
        node = next((edge for edge in node.edges if isinstance(edge, tg._core.Node)), None)
    return names


@pytest.mark.parametrize("activation", ACTIVATIONS.values(), ids=ACTIVATIONS)
@pytest.mark.parametrize("bias", [True, False])
def test_values_and_gradients_are_those_of_the_two_layers(activation, bias):
    tg.manual_seed(0)
    fused = nn.Sequential(nn.Linear(7, 5, bias=bias), activation, nn.Linear(5, 3)).double()
    plain = copy.deepcopy(fused)
    x = tg.randn(4, 7, dtype=tg.float64, requires_grad=True)
    x2 = x.detach().clone().requires_grad_()
    y, y2 = fused(x), plain[2](plain[1](plain[0](x2)))
    assert len(nodes(y)) == 2 and len(nodes(y2)) == 3
    assert_close(y, y2, rtol=1e-12, atol=1e-12)
    (y * y).sum().backward()
    (y2 * y2).sum().backward()
    assert_close(x.grad, x2.grad, rtol=1e-11, atol=1e-12)
    for p, q in zip(fused.parameters(), plain.parameters(), strict=True):
        assert_close(p.grad, q.grad, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("options", [{}, {"padding": 1, "padding_mode": "circular"}, {"padding": "same", "groups": 2}])
def test_a_convolution_and_relu(options):
    tg.manual_seed(0)
    fused = nn.Sequential(nn.Conv2d(4, 6, 3, **options), nn.ReLU(), nn.Conv2d(6, 2, 1), nn.Tanh()).double()
    plain = copy.deepcopy(fused)
    x = tg.randn(2, 4, 7, 8, dtype=tg.float64, requires_grad=True)
    x2 = x.detach().clone().requires_grad_()
    y, y2 = fused(x), x2
    for module in plain:
        y2 = module(y2)
    assert len(nodes(y)) == len(nodes(y2)) - 1
    assert_close(y, y2, rtol=1e-12, atol=1e-12)
    (y * y).sum().backward()
    (y2 * y2).sum().backward()
    assert_close(x.grad, x2.grad, rtol=1e-11, atol=1e-12)
    for p, q in zip(fused.parameters(), plain.parameters(), strict=True):
        assert_close(p.grad, q.grad, rtol=1e-11, atol=1e-12)


def test_the_second_derivative_goes_through():
    net = nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.Linear(4, 2), nn.Tanh()).double()
    x = tg.randn(2, 3, dtype=tg.float64, requires_grad=True)
    assert tg.autograd.gradgradcheck(net, (x,))


def test_hooks_see_what_is_between():
    seen = []
    for register in ("register_forward_hook", "register_forward_pre_hook", "register_full_backward_hook"):
        for index in (0, 1):
            net = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
            handle = getattr(net[index], register)(lambda module, *args: seen.append(type(module).__name__))
            net(tg.randn(2, 3, requires_grad=True)).sum().backward()
            handle.remove()
            assert len(nodes(net(tg.randn(2, 3)))) == 1  # together again
    assert seen == ["Linear", "ReLU"] * 3


def test_the_value_between_is_negative_where_a_hook_looks():
    net = nn.Sequential(nn.Linear(3, 64), nn.ReLU())
    kept = []
    net[0].register_forward_hook(lambda module, args, output: kept.append(output))
    y = net(tg.randn(8, 3))
    assert (kept[0] < 0).any() and tg.equal(kept[0].relu(), y)


class Doubling(nn.Linear):
    def forward(self, x):
        return super().forward(x) * 2


class Shifted(nn.ReLU):
    def forward(self, x):
        return super().forward(x) + 1


def test_subclasses_keep_their_own_forward():
    x = tg.randn(2, 3)
    layer, act = Doubling(3, 4), Shifted()
    assert tg.equal(nn.Sequential(layer, nn.ReLU())(x), layer(x).relu())
    plain = nn.Linear(3, 4)
    assert tg.equal(nn.Sequential(plain, act)(x), plain(x).relu() + 1)


def test_a_replaced_forward_is_called(monkeypatch):
    x = tg.randn(2, 3)
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    net[0].forward = lambda x: tg.full((2, 4), -1.0)
    assert (net(x) == 0).all()
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    net[1].forward = lambda x: x * 0 + 3
    assert (net(x) == 3).all()
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    monkeypatch.setattr(nn.ReLU, "forward", lambda self, x: x * 0 + 5)
    assert (net(x) == 5).all()


def test_reparametrised_weights_are_recomputed():
    layer = nn.utils.weight_norm(nn.Linear(3, 4))
    net = nn.Sequential(layer, nn.ReLU())
    x = tg.randn(2, 3)
    with tg.no_grad():
        layer.weight_g.mul_(2)
    assert_close(net(x), layer(x).relu())


def test_anomaly_mode_names_the_module():
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    with tg.no_grad():
        net[0].weight.fill_(float("nan"))
    with tg.autograd.detect_anomaly(), pytest.raises(RuntimeError, match=r"Sequential\.0"):
        net(tg.ones(2, 3))


def test_any_order_and_any_end():
    x = tg.randn(2, 3)
    a, b, c = nn.Linear(3, 3), nn.Linear(3, 3), nn.ReLU()
    for layers in ([a], [a, b], [a, b, c], [c, a], [a, c, c], [a, nn.Identity(), c], [a, c, b, nn.GELU(), a]):
        expected = x
        for layer in layers:
            expected = layer(expected)
        assert_close(nn.Sequential(*layers)(x), expected)


def test_autocast_gives_the_same_dtype():
    net = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8), nn.GELU())
    x = tg.randn(4, 8)
    with tg.autocast("cpu"):
        y = net(x)
        expected = net[3](net[2](net[1](net[0](x))))
    assert y.dtype is expected.dtype
    assert_close(y.float(), expected.float(), rtol=2e-2, atol=2e-2)
