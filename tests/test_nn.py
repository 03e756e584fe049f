"""nn.Module: registries, state_dict, moves, hooks, printing, errors."""

from __future__ import annotations

import copy
import gc
import pickle
import re
import weakref
from collections import OrderedDict

import numpy as np
import pytest

import tilegrad as tg
from tilegrad import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(3, 4)
        self.act = nn.ReLU()
        self.fc2 = nn.Linear(4, 2, bias=False)
        self.register_buffer("steps", tg.zeros(1, dtype=tg.int64))
        self.register_buffer("scratch", tg.zeros(2), persistent=False)

    def forward(self, x):
        return self.fc2(self.act(self.fc1(x)))


KEYS = ["steps", "fc1.weight", "fc1.bias", "fc2.weight"]


def same(a, b):
    return np.array_equal(a.detach().numpy(), b.detach().numpy())


# ---- registries and attributes


def test_module_without_parameters_takes_int_tensors(capsys):
    class Model(nn.Module):  # the course's first module (A03)
        def forward(self, x):
            return x + 1

    out = Model()(tg.tensor(1))
    assert out.item() == 2 and out.dtype == tg.int64
    assert list(Model().parameters()) == [] and Model().state_dict() == {}
    print(out)
    assert capsys.readouterr().out == "tensor(2)\n"


def test_registries_and_walks():
    net = Net()
    assert [n for n, _ in net.named_parameters()] == ["fc1.weight", "fc1.bias", "fc2.weight"]
    assert [n for n, _ in net.named_buffers()] == ["steps", "scratch"]
    assert [n for n, _ in net.named_modules()] == ["", "fc1", "act", "fc2"]
    assert [n for n, _ in net.named_children()] == ["fc1", "act", "fc2"]
    assert list(net.children())[:-1] == [net.fc1, net.act]
    assert next(n for n, _ in net.named_parameters(prefix="net", recurse=True)) == "net.fc1.weight"
    assert list(net.parameters(recurse=False)) == []
    assert sum(p.numel() for p in net.parameters()) == 3 * 4 + 4 + 4 * 2
    assert net._modules["fc1"]._parameters["weight"] is net.fc1.weight
    assert net.get_submodule("fc1") is net.fc1 and net.get_submodule("") is net
    assert net.get_parameter("fc1.weight") is net.fc1.weight and net.get_buffer("steps") is net.steps
    assert "fc1" in dir(net) and "steps" in dir(net)


def test_shared_parameters_are_listed_once():
    net = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    net[1].weight = net[0].weight
    assert len(list(net.parameters())) == 1
    assert [n for n, _ in net.named_parameters(remove_duplicate=False)] == ["0.weight", "1.weight"]
    assert list(net.state_dict()) == ["0.weight", "1.weight"]
    layer = nn.Linear(2, 2)
    twice = nn.Sequential(layer, layer)
    assert len(list(twice.modules())) == 2 and len(list(twice.children())) == 1


def test_assignment_moves_a_name_between_registries():
    net = Net()
    net.extra = 5
    net.extra = nn.Parameter(tg.ones(2))
    assert "extra" not in net.__dict__ and "extra" in net._parameters
    net.extra = nn.ReLU()
    assert "extra" not in net._parameters and "extra" in net._modules
    del net.extra
    assert not hasattr(net, "extra")
    net.extra = nn.Buffer(tg.ones(3))
    assert "extra" in net.state_dict() and not net.extra.requires_grad
    net.extra = tg.zeros(3)  # a plain tensor stays a buffer once the name is one
    assert "extra" in net._buffers
    net.fc1 = None
    assert net.fc1 is None and [n for n, _ in net.named_parameters()] == ["fc2.weight"]
    net.fc2.weight = None
    assert list(net.parameters()) == []


def test_parameter():
    data = tg.ones(2, 3)
    p = nn.Parameter(data)
    assert isinstance(p, nn.Parameter) and isinstance(p, tg.Tensor) and p.requires_grad and p.is_leaf
    data[0, 0] = 7.0
    assert p[0, 0].item() == 7.0  # shares memory
    assert not nn.Parameter(tg.ones(2, dtype=tg.int64), requires_grad=False).requires_grad
    assert nn.Parameter().numel() == 0
    assert type(p * 2) is tg.Tensor and type(p.detach()) is tg.Tensor
    assert repr(p).startswith("Parameter containing:\ntensor(")
    (p * 3).sum().backward()
    assert np.array_equal(p.grad.numpy(), np.full((2, 3), 3.0))
    with pytest.raises(RuntimeError, match=r"only floating point tensors can require gradients, got dtype tilegrad.int64"):
        nn.Parameter(tg.ones(2, dtype=tg.int64))
    with pytest.raises(TypeError, match=r"Parameter: data must be a Tensor, got list; make one with tilegrad.tensor"):
        nn.Parameter([1.0, 2.0])


@pytest.mark.parametrize(
    ("action", "error", "message"),
    [
        (lambda m: setattr(m.fc1, "weight", tg.ones(1)), TypeError, "cannot assign 'Tensor' object as parameter 'weight'"),
        (lambda m: setattr(m, "fc1", 3), TypeError, "cannot assign 'int' object as child module 'fc1'"),
        (lambda m: setattr(m, "steps", 3), TypeError, "cannot assign 'int' object as buffer 'steps'"),
        (lambda m: m.register_parameter("a.b", None), KeyError, r"parameter name can.+t contain .*got: .+a\.b"),
        (lambda m: m.register_parameter("", None), KeyError, r"parameter name can.+t be empty string"),
        (lambda m: m.register_parameter(3, None), TypeError, "parameter name should be a string, got int"),
        (lambda m: m.register_parameter("forward", None), KeyError, "attribute .forward. already exists"),
        (lambda m: m.register_parameter("p", tg.ones(1)), TypeError, "wrap the tensor in nn.Parameter"),
        (lambda m: m.register_buffer("b", 3), TypeError, "cannot assign 'int' object to buffer 'b'"),
        (lambda m: m.add_module("x", 3), TypeError, "int is not a Module subclass"),
        (lambda m: m.add_module("x", nn.ReLU), TypeError, "ReLU is not a Module subclass; pass an instance"),
        (lambda m: m.missing, AttributeError, "'Net' object has no attribute 'missing'"),
        (lambda m: m.get_submodule("fc1.nope"), AttributeError, "Linear has no submodule `nope` .looking for 'fc1.nope'"),
        (lambda m: m.get_parameter("fc1.nope"), AttributeError, "Linear has no parameter `nope`"),
        (lambda m: m.train("yes"), ValueError, "training mode is expected to be boolean, got str"),
        (lambda m: m.to(tg.int64), TypeError, "only accepts floating point dtypes, but got desired dtype=tilegrad.int64"),
        (lambda m: m.to([1]), TypeError, "to.. takes a device, a dtype or a Tensor, got list"),
        (lambda m: m.to(colour=1), TypeError, "unexpected keyword argument 'colour'"),
        (lambda m: m.register_forward_hook(3), TypeError, "a hook must be callable, got int"),
        (lambda m: m.load_state_dict([1]), TypeError, "Expected state_dict to be dict-like, got list"),
        (lambda m: nn.Module()(1), NotImplementedError, 'missing the required "forward" function'),
        (lambda m: nn.Linear(-1, 2), ValueError, "must not be negative, got -1 and 2"),
    ],
)
def test_module_errors(action, error, message):
    with pytest.raises(error, match=message):
        action(Net())


def test_forgotten_super_init():
    class Bad(nn.Module):
        def __init__(self):
            self.fc = nn.Linear(1, 1)

    with pytest.raises(AttributeError, match=r"cannot assign module before Module.__init__.. call: call super"):
        Bad()

    class Lazy(nn.Module):
        def __init__(self):
            pass

    with pytest.raises(AttributeError, match=r"has no attribute 'anything'; call super\(\).__init__\(\) first in Lazy"):
        Lazy().anything  # noqa: B018
    with pytest.raises(AttributeError, match=r"cannot assign parameters before Module.__init__"):
        Lazy().w = nn.Parameter(tg.ones(1))
    with pytest.raises(AttributeError, match=r"call super\(\).__init__\(\) first in Lazy"):
        Lazy()(1)


def test_parameter_must_be_a_leaf():
    net = Net()
    computed = nn.Parameter(tg.ones(2)) * 2
    computed.__class__ = nn.Parameter
    with pytest.raises(ValueError, match="cannot assign non-leaf Tensor to parameter 'p'"):
        net.register_parameter("p", computed)


# ---- state_dict


def test_state_dict_round_trip():
    tg.manual_seed(0)
    a, b = Net(), Net()
    assert list(a.state_dict()) == KEYS
    assert isinstance(a.state_dict(), OrderedDict)
    result = b.load_state_dict(a.state_dict())
    assert str(result) == "<All keys matched successfully>"
    x = tg.randn(5, 3)
    assert same(a(x), b(x))
    assert not a.state_dict()["fc1.weight"].requires_grad
    assert a.state_dict(keep_vars=True)["fc1.weight"] is a.fc1.weight
    assert next(iter(a.state_dict(prefix="net."))) == "net.steps"
    a.state_dict()["fc1.bias"].zero_()  # shares memory with the module
    assert float(a.fc1.bias.abs().sum()) == 0.0


def test_load_state_dict_lists_every_problem():
    net = Net()
    state = net.state_dict()
    del state["fc1.bias"]
    state["fc9.weight"] = tg.ones(1)
    state["fc2.weight"] = tg.ones(3, 3)
    with pytest.raises(RuntimeError) as caught:
        net.load_state_dict(state)
    assert str(caught.value) == (
        "Error(s) in loading state_dict for Net:\n"
        '\tMissing key(s) in state_dict: "fc1.bias".\n'
        '\tUnexpected key(s) in state_dict: "fc9.weight".\n'
        "\tsize mismatch for fc2.weight: copying a param with shape (3, 3) from checkpoint, "
        "the shape in current model is (2, 4)."
    )
    del state["fc2.weight"]
    result = net.load_state_dict(state, strict=False)
    assert result.missing_keys == ["fc1.bias", "fc2.weight"] and result.unexpected_keys == ["fc9.weight"]
    state["fc2.weight"] = 3.0
    with pytest.raises(RuntimeError, match=r"expected a Tensor for fc2.weight, got float"):
        net.load_state_dict(state, strict=False)


def test_load_state_dict_keeps_dtype_and_identity_unless_assign():
    net = nn.Linear(2, 2)
    weight = net.weight
    net.load_state_dict({"weight": tg.ones(2, 2, dtype=tg.float64), "bias": tg.zeros(2, dtype=tg.float64)})
    assert net.weight is weight and net.weight.dtype == tg.float32 and net.weight[0, 0].item() == 1.0
    net.load_state_dict({"weight": tg.ones(2, 2, dtype=tg.float64), "bias": tg.zeros(2, dtype=tg.float64)}, assign=True)
    assert net.weight.dtype == tg.float64 and isinstance(net.weight, nn.Parameter) and net.weight.requires_grad


# ---- modes, moves, copies


def test_train_eval_apply_and_freezing():
    net = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Dropout(0.5)))
    assert net.training and net.eval() is net and not net[1][0].training
    assert net.train() is net and net[1][0].training
    seen = []
    assert net.apply(lambda m: seen.append(type(m).__name__)) is net
    assert seen == ["Linear", "Dropout", "Sequential", "Sequential"]
    net.requires_grad_(False)
    assert not any(p.requires_grad for p in net.parameters())


def test_zero_grad():
    net = Net()
    net(tg.ones(1, 3)).sum().backward()
    net.zero_grad(set_to_none=False)
    assert all(float(p.grad.abs().sum()) == 0 for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())


def test_dtype_moves_keep_the_parameter_objects():
    net = Net()
    weight = net.fc1.weight
    net(tg.ones(1, 3)).sum().backward()
    assert net.double() is net
    assert net.fc1.weight is weight and weight.dtype == tg.float64 and weight.grad.dtype == tg.float64
    assert net.steps.dtype == tg.int64 and net.scratch.dtype == tg.float64
    assert net(tg.ones(1, 3, dtype=tg.float64)).dtype == tg.float64
    assert net.to(tg.float32).fc1.weight.dtype == tg.float32
    assert net.to("cpu", tg.float64).fc1.weight.dtype == tg.float64
    assert net.to(tg.zeros(1)).fc1.weight.dtype == tg.float32
    assert net.half().fc2.weight.dtype == tg.float16 and net.bfloat16().fc2.weight.dtype == tg.bfloat16
    assert net.float().cpu().fc2.weight.dtype == tg.float32
    assert weight.requires_grad and weight.is_leaf


def test_deepcopy_and_pickle():
    net = Net()
    net.tied = nn.Linear(3, 4)
    net.tied.weight = net.fc1.weight
    for clone in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert list(clone.state_dict()) == list(net.state_dict())
        assert same(clone.fc1.weight, net.fc1.weight) and clone.fc1.weight is not net.fc1.weight
        assert isinstance(clone.fc1.weight, nn.Parameter) and clone.fc1.weight.requires_grad
        assert clone.tied.weight is clone.fc1.weight
        with tg.no_grad():
            clone.fc1.weight.zero_()
        assert float(net.fc1.weight.abs().sum()) > 0
        assert clone(tg.ones(1, 3)).shape == (1, 2)


def test_module_is_freed_without_the_collector():
    gc.disable()
    try:
        net = Net()
        gone = weakref.ref(net)
        net(tg.ones(1, 3)).sum().backward()
        del net
        assert gone() is None
    finally:
        gc.enable()


# ---- printing


def test_repr():
    assert repr(nn.Linear(2, 3)) == "Linear(in_features=2, out_features=3, bias=True)"
    assert repr(nn.Module()) == "Module()"
    assert repr(nn.ReLU()) == "ReLU()" and repr(nn.ReLU(inplace=True)) == "ReLU(inplace=True)"
    assert repr(Net()) == (
        "Net(\n"
        "  (fc1): Linear(in_features=3, out_features=4, bias=True)\n"
        "  (act): ReLU()\n"
        "  (fc2): Linear(in_features=4, out_features=2, bias=False)\n"
        ")"
    )
    assert repr(nn.Sequential(nn.Sequential(nn.Tanh()))) == "Sequential(\n  (0): Sequential(\n    (0): Tanh()\n  )\n)"
    assert repr(nn.ModuleList([nn.Tanh(), nn.Tanh(), nn.ReLU()])) == "ModuleList(\n  (0-1): 2 x Tanh()\n  (2): ReLU()\n)"
    assert re.match(
        r"ParameterList\(  \(0\): Parameter containing: \[\S*float32 of size 2x3\]\)", repr(nn.ParameterList([tg.ones(2, 3)]))
    )
