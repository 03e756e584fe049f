"""Runs PyTorch code on tilegrad: `import tilegrad.as_torch`, or `python -m tilegrad.as_torch script.py [arguments]`.

After the import, `import torch`, `torch.nn`, `torch.utils.data`, `torchvision.transforms` and the like give tilegrad's modules
under these names. A name that tilegrad lacks raises an AttributeError that says so and names the nearest one it has.
"""

from __future__ import annotations

import difflib
import dis
import importlib
import importlib.abc
import importlib.machinery
import sys
import types
from collections.abc import Sequence
from typing import Any

# Where a module of PyTorch is found here; what is not listed is looked for under the same name below tilegrad.
_PLACES = {
    "torch": "tilegrad",
    "torch.nn.modules": "tilegrad.nn",
    "torch.nn.utils.rnn": "tilegrad.nn.utils.rnn",
    "torch.nn.utils.clip_grad": "tilegrad.nn.utils",
    "torch.optim.optimizer": "tilegrad.optim.optimizer",
    "torch.utils.checkpoint": "tilegrad.utils.checkpoint",
    "torch.autograd.variable": "tilegrad.autograd",
    "torch.profiler": "tilegrad.profiler",
    "torch.autograd.profiler": "tilegrad.profiler",
    "torch.cuda.amp": "tilegrad._cuda_amp",
    "torchvision": "tilegrad",
    "torchvision.transforms": "tilegrad.transforms",
    "torchvision.transforms.v2": "tilegrad.transforms",
    "torchvision.datasets": "tilegrad.datasets",
}
# Packages whose files are one module here: torch.nn.modules.linear, torch.utils.data.dataloader, ...
_FLAT = {
    package: frozenset(files.split())
    for package, files in {
        "torch.nn.modules": """activation adaptive batchnorm channelshuffle container conv distance dropout flatten fold
            instancenorm lazy linear loss module normalization padding pixelshuffle pooling rnn sparse transformer upsampling
            utils""",
        "torch.optim": "adadelta adagrad adam adamax adamw asgd lbfgs nadam radam rmsprop rprop sgd",
        "torch.utils.data": "dataloader dataset sampler distributed _utils _utils.collate",
        "torch.distributions": """bernoulli beta binomial categorical cauchy chi2 constraints dirichlet distribution exponential
            gamma geometric gumbel half_normal independent kl laplace log_normal multinomial multivariate_normal normal
            one_hot_categorical pareto poisson relaxed_bernoulli relaxed_categorical studentT uniform utils weibull""",
        "torch.utils.tensorboard": "writer summary",
        "torchvision.transforms": "transforms functional",
        "torchvision.datasets": "mnist cifar folder vision",
    }.items()
}
# Switches of hardware that is not there: they can be read and set.
_SWITCHES: dict[str, dict[str, Any]] = {
    "torch.backends": {},
    "torch.backends.cudnn": {"benchmark": False, "deterministic": True, "enabled": False, "is_available": lambda: False},
    "torch.backends.cuda": {"is_built": lambda: False, "matmul": types.SimpleNamespace(allow_tf32=False)},
    "torch.backends.mps": {"is_available": lambda: False, "is_built": lambda: False},
    "torch.version": {"cuda": None, "hip": None, "__version__": "2.4.0+tilegrad"},
}
_ROOTS = ("torch", "torchvision")
# Modules to name when one with a similar name is asked for.
_KNOWN = [
    *_PLACES, *_SWITCHES, "torch.nn", "torch.nn.functional", "torch.nn.init", "torch.nn.utils", "torch.nn.parameter",
    "torch.optim",
    "torch.optim.lr_scheduler", "torch.utils.data", "torch.utils.tensorboard", "torch.autograd", "torch.distributions",
    "torch.linalg", "torch.func", "torch.cuda", "torch.amp", "torch.random",
]  # fmt: skip


def _target(name: str, flat: bool = True) -> types.ModuleType | None:
    """tilegrad's module for a PyTorch module, or None; `flat`: a file of a package that is one module here counts too."""
    if name in _SWITCHES:
        switches = types.ModuleType(name)
        switches.__dict__.update(_SWITCHES[name])
        return switches
    place = _PLACES.get(name)
    if place is None and name.startswith("torch."):
        place = "tilegrad" + name[len("torch") :]
    if place is not None:
        try:
            return importlib.import_module(place)
        except ModuleNotFoundError as error:
            if error.name is None or not place.startswith(error.name):
                raise  # something else is missing
    package = next((p for p, files in _FLAT.items() if name.removeprefix(p + ".") in files), None) if flat else None
    return None if package is None else _target(package)


class _Alias(types.ModuleType):
    """A PyTorch module's name over one of tilegrad's modules."""

    def __init__(self, name: str, target: types.ModuleType) -> None:
        super().__init__(name, f"{target.__name__} under PyTorch's name.")
        self.__dict__["_target"] = target
        self.__path__: list[str] = []
        if name == "torch":
            self.__version__ = "2.4.0+tilegrad"

    def __getattr__(self, name: str) -> Any:
        target = self.__dict__["_target"]
        if name == "__all__":
            return self._public()
        if name.startswith("__") and name.endswith("__"):
            return getattr(target, name)
        full = f"{self.__name__}.{name}"
        explicit = full in _PLACES or full in _SWITCHES
        if not explicit and self.__name__ != "torchvision":
            try:
                found = getattr(target, name)
            except AttributeError:
                pass
            else:
                if isinstance(found, types.ModuleType) and found.__name__.startswith("tilegrad."):
                    return importlib.import_module(full)
                return found
        if explicit or _target(full, flat=False) is not None:
            return importlib.import_module(full)
        near = difflib.get_close_matches(name, self._public(), n=1, cutoff=0.5)
        text = f"tilegrad has no {full}" + (f"; the nearest it has is {self.__name__}.{near[0]}" if near else "")
        caller = sys._getframe(1)
        if caller.f_lasti >= 0 and caller.f_code.co_code[caller.f_lasti] == dis.opmap["IMPORT_FROM"]:
            raise ImportError(text, name=self.__name__)  # Python would replace the text of an AttributeError
        raise AttributeError(text)

    def _public(self) -> list[str]:
        target = self.__dict__["_target"]
        return list(getattr(target, "__all__", None) or (n for n in dir(target) if not n.startswith("_")))

    def __dir__(self) -> list[str]:
        return sorted({*self.__dict__, *self._public()})


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if fullname.partition(".")[0] not in _ROOTS:
            return None
        if _target(fullname) is None:
            near = difflib.get_close_matches(fullname, _KNOWN, n=1, cutoff=0.9)
            hint = f"; the nearest it has is {near[0]}" if near else ""
            raise ModuleNotFoundError(f"tilegrad has no module that stands for {fullname}{hint}", name=fullname)
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        if spec.name in _SWITCHES:
            found = _target(spec.name)
            assert found is not None
            return found
        found = _target(spec.name)
        assert found is not None
        return _Alias(spec.name, found)

    def exec_module(self, module: types.ModuleType) -> None:
        for name in _SWITCHES:
            if name.startswith(module.__name__ + ".") and module.__name__ in _SWITCHES:
                importlib.import_module(name)


def install() -> None:
    """Puts the aliases in place; the import of this module does it. Raises RuntimeError when the real torch is loaded."""
    if any(isinstance(f, _Finder) for f in sys.meta_path):
        return
    loaded = [root for root in _ROOTS if root in sys.modules]
    if loaded:
        raise RuntimeError(f"tilegrad.as_torch: {' and '.join(loaded)} is imported already; import tilegrad.as_torch first")
    sys.meta_path.insert(0, _Finder())


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a script (or `-m module`, `-c code`) with the aliases in place."""
    import os
    import runpy

    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help"):
        print("usage: python -m tilegrad.as_torch SCRIPT [ARGUMENTS]   (or -m MODULE, -c CODE)")
        return 0 if given else 2
    install()
    if given[0] in ("-m", "-c"):
        if len(given) < 2:
            print(f"tilegrad.as_torch: {given[0]} needs an argument", file=sys.stderr)
            return 2
        kind, what = given[:2]
        sys.argv = [kind, *given[2:]]
        sys.path[0] = ""
        if kind == "-m":
            runpy.run_module(what, run_name="__main__", alter_sys=True)
        else:
            main_module = types.ModuleType("__main__")
            sys.modules["__main__"] = main_module
            exec(compile(what, "<string>", "exec"), main_module.__dict__)
        return 0
    if not os.path.exists(given[0]):
        print(f"tilegrad.as_torch: there is no file {given[0]}", file=sys.stderr)
        return 2
    sys.argv = given
    sys.path[0] = os.path.dirname(os.path.abspath(given[0]))
    runpy.run_path(given[0], run_name="__main__")
    return 0


if __name__ == "__main__":
    from tilegrad.as_torch import main as _main  # one finder, whichever name this module has

    sys.exit(_main())

install()
