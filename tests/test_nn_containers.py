"""Sequential, ModuleList, ModuleDict, ParameterList and ParameterDict."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest

import tilegrad as tg
from tilegrad import nn


def same(a, b):
    return np.array_equal(a.detach().numpy(), b.detach().numpy())


def test_sequential():
    a, b, c = nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)
    net = nn.Sequential(a, b, c)
    x = tg.randn(5, 2)
    assert same(net(x), c(b(a(x))))
    assert len(net) == 3 and net[0] is a and net[-1] is c and list(net) == [a, b, c]
    assert (
        isinstance(net[:2], nn.Sequential) and list(net[:2]) == [a, b] and list(net[1:].state_dict()) == ["2.weight", "2.bias"]
    )
    net.append(nn.Tanh()).extend([nn.Tanh()])
    net.add_module("last", nn.Identity())
    assert list(net._modules) == ["0", "1", "2", "3", "4", "last"]
    net[1] = nn.Tanh()
    assert isinstance(net[1], nn.Tanh)
    del net[5]
    assert net.pop(-1) is not None and len(net) == 4
    net.insert(0, nn.Identity())
    assert isinstance(net[0], nn.Identity) and list(net._modules) == ["0", "1", "2", "3", "4"]
    named = nn.Sequential(OrderedDict(first=a, second=b))
    assert named.first is a and list(named.state_dict()) == ["first.weight", "first.bias"]
    assert list(nn.Sequential(a) + nn.Sequential(b)) == [a, b]
    assert nn.Sequential()(x) is x
    with pytest.raises(IndexError, match="index 3 is out of range for a container of 2"):
        named[3]
    with pytest.raises(TypeError, match="function is not a Module subclass"):
        nn.Sequential(lambda x: x)
    with pytest.raises(ValueError, match="add operator supports only objects of Sequential class"):
        named + [a]  # noqa: RUF005


def test_module_list_and_dict():
    layers = nn.ModuleList([nn.Linear(2, 2) for _ in range(3)])
    assert len(layers) == 3 and len(list(layers.parameters())) == 6 and isinstance(layers[1:], nn.ModuleList)
    layers += [nn.ReLU()]
    layers.insert(0, nn.Tanh())
    assert isinstance(layers[0], nn.Tanh) and isinstance(layers[-1], nn.ReLU) and len(layers + [nn.Tanh()]) == 6  # noqa: RUF005
    del layers[0]
    assert list(layers._modules) == ["0", "1", "2", "3"]
    with pytest.raises(NotImplementedError):
        layers(1)
    with pytest.raises(TypeError, match=r"ModuleList.extend should be called with an iterable, got int"):
        layers.extend(3)
    table = nn.ModuleDict({"a": nn.ReLU(), "b": nn.Linear(1, 1)})
    table["c"] = nn.Tanh()
    table.update([("d", nn.Tanh())])
    assert list(table) == ["a", "b", "c", "d"] and "a" in table and len(table) == 4
    assert isinstance(table.pop("a"), nn.ReLU) and list(table.keys()) == ["b", "c", "d"]
    with pytest.raises(TypeError, match="called with an iterable of key/value pairs, but got int"):
        table.update(3)


def test_parameter_list_and_dict():
    values = nn.ParameterList([tg.ones(2), nn.Parameter(tg.zeros(3))])
    values.append(tg.ones(1))
    assert len(values) == 3 and all(isinstance(p, nn.Parameter) for p in values)
    assert list(values.state_dict()) == ["0", "1", "2"] and values[-1] is values[2] and len(values[:2]) == 2
    values[0] = tg.zeros(2)
    assert float(values[0].sum()) == 0
    with pytest.raises(IndexError, match="index 7 is out of range"):
        values[7]
    table = nn.ParameterDict({"a": tg.ones(1)})
    table["b"] = tg.ones(2)
    assert list(table) == ["a", "b"] and list(table.state_dict()) == ["a", "b"] and isinstance(table["b"], nn.Parameter)
    del table["a"]
    assert "a" not in table and len(list(table.parameters())) == 1
    with pytest.raises(KeyError):
        table["a"]
    with pytest.raises(TypeError, match="ParameterDict keys are strings, got int"):
        table[3] = tg.ones(1)
