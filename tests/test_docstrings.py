"""Every public name says in a docstring what it is."""

import importlib
import inspect
import types

import pytest

import tilegrad as tg

MODULES = """
 tilegrad tilegrad.as_torch tilegrad.autograd tilegrad.autograd.functional tilegrad.backends tilegrad.course.trainer
tilegrad.cuda tilegrad.datasets tilegrad.distributions tilegrad.distributions.constraints tilegrad.func tilegrad.io
tilegrad.linalg tilegrad.losses tilegrad.models tilegrad.nn tilegrad.nn.functional tilegrad.nn.init tilegrad.nn.utils
tilegrad.nn.utils.rnn tilegrad.optim tilegrad.optim.lr_scheduler tilegrad.profiler tilegrad.random tilegrad.testing
tilegrad.transforms tilegrad.transforms.functional tilegrad.utils.checkpoint tilegrad.utils.data
tilegrad.utils.tensorboard
""".split()


def public(module):
    """The names of a module that are tilegrad's own functions, ops and classes."""
    for name in getattr(module, "__all__", None) or [n for n in vars(module) if not n.startswith("_")]:
        value = getattr(module, name)
        foreign = not (getattr(value, "__module__", None) or "tilegrad").startswith("tilegrad")
        if callable(value) and not isinstance(value, types.ModuleType) and not foreign:
            yield name, value


def members(cls):
    """Public methods and properties, those of private base classes included: what help() shows."""
    for name in dir(cls):
        value = inspect.getattr_static(cls, name)
        if not name.startswith("_") and (callable(value) or isinstance(value, (property, classmethod, staticmethod))):
            yield name, getattr(cls, name)


def has_text(value):
    """Not only what the type of the value says about all values of that type, or what dataclass writes by itself."""
    text = (inspect.getdoc(value) or "").strip()
    if inspect.isclass(value):
        own = (value.__dict__.get("__doc__") or "").strip()
        return bool(own) and not (own.startswith(f"{value.__name__}(") and own.endswith(")"))
    return bool(text) and text != (inspect.getdoc(type(value)) or "").strip()


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_has_a_docstring(name):
    module = importlib.import_module(name)
    assert module.__doc__
    bare = []
    for label, value in public(module):
        if not has_text(value):
            bare.append(label)
        if inspect.isclass(value):
            bare += [f"{label}.{member}" for member, m in members(value) if not has_text(m)]
    assert not bare, f"{name}: no docstring: {', '.join(bare)}"


def test_every_method_of_tensor_has_a_docstring():
    assert not [name for name, value in members(tg.Tensor) if not has_text(value)]
