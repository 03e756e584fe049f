"""python -m tilegrad.as_torch: lecture code written for PyTorch runs unchanged."""

import os
import pathlib
import subprocess
import sys

import pytest

import tilegrad as tg

SCRIPT = """
import sys
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch import Tensor
from torch.autograd import Variable
from torch.nn.parameter import Parameter
from torch.nn.modules.linear import Linear
from torch.nn.modules import Module
from torch.optim.lr_scheduler import StepLR
from torch.optim.optimizer import Optimizer
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.dataloader import default_collate
from torch.utils.data.sampler import RandomSampler
from torch.distributions import Normal
from torch.distributions.categorical import Categorical
from torch.func import functional_call
from torchvision import transforms
from torchvision.transforms import functional as TF
from torchvision.datasets.folder import ImageFolder
import torchvision.datasets as dset

assert Linear is nn.Linear and Parameter is nn.Parameter and issubclass(optim.SGD, Optimizer) and Module is nn.Module
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
torch.backends.cudnn.benchmark = True
assert torch.backends.cudnn.benchmark and not torch.backends.mps.is_available() and torch.version.cuda is None
torch.manual_seed(0)

class Net(nn.Module):
    def __init__(self):
        super(Net, self).__init__()
        self.hidden = torch.nn.Linear(2, 16)
        self.out = torch.nn.Linear(16, 1)

    def forward(self, x):
        return self.out(F.relu(self.hidden(x)))

net = Net().to(device)
x = torch.randn(64, 2, device=device)
y = (x[:, :1] - x[:, 1:]).float()
optimizer = optim.Adam(net.parameters(), lr=0.02)
scheduler = StepLR(optimizer, step_size=50, gamma=0.5)
for epoch in range(60):
    for xb, yb in DataLoader(TensorDataset(x, y), batch_size=16, shuffle=True):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(net(xb), yb)
        loss.backward()
        optimizer.step()
    scheduler.step()
assert loss.item() < 0.05, loss
assert isinstance(x, Tensor) and isinstance(x, torch.Tensor) and Variable(x).shape == x.shape
assert Normal(torch.zeros(1), torch.ones(1)).sample().shape == (1,)
with torch.profiler.profile() as prof:
    net(x)
assert "linear" in prof.key_averages().table(sort_by="cpu_time_total")
assert tuple(map(int, torch.__version__.split("+")[0].split("."))) >= (1, 10)
print("ok", sys.argv[1:], __name__)
"""


def run(*arguments, **options):
    command = [sys.executable, "-m", "tilegrad.as_torch", *map(str, arguments)]
    path = os.pathsep.join([str(pathlib.Path(tg.__file__).resolve().parent.parent), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, **options)


def test_a_lecture_script_runs(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "helper.py").write_text("import torch\nvalue = torch.ones(2).sum().item()\n")
    (tmp_path / "uses_helper.py").write_text("import helper\nprint(helper.value)\n")
    result = run(tmp_path / "script.py", "--epochs", "3")
    assert result.stdout == "ok ['--epochs', '3'] __main__\n", result.stderr
    assert run(tmp_path / "uses_helper.py").stdout == "2.0\n"
    assert run("-m", "helper", cwd=tmp_path).returncode == 0
    assert run("-c", "import torch; print(torch.arange(3).tolist())").stdout == "[0, 1, 2]\n"


def test_names_that_are_not_there(run_python):
    result = run_python(
        """
        import tilegrad.as_torch
        import torch, torchvision
        import torch.nn as nn

        def message(f):
            try:
                f()
            except (AttributeError, ImportError) as error:
                return f"{type(error).__name__}: {error}"
            return "nothing"

        print(message(lambda: torch.sofmax))
        print(message(lambda: nn.Linaer))
        print(message(lambda: torch.utils.data.Datset))
        print(message(lambda: torchvision.models))
        print(message(lambda: __import__("torch.onnx")))
        print(message(lambda: __import__("torch.nn.parallel.distributed")))
        print(message(lambda: __import__("torch.nn.functionl")))
        print(message(lambda: exec("from torch.optim.lr_scheduler import StpLR")))
        exec("from torch.nn.functional import *")
        assert "relu" in dir(torch) and hasattr(torch, "tensor") and not hasattr(torch, "nothing_like_it")
        import tilegrad
        assert torch.Tensor is tilegrad.Tensor and torch.nn.Module is tilegrad.nn.Module
        """
    )
    lines = result.stdout.splitlines()
    assert lines[0] == "AttributeError: tilegrad has no torch.sofmax; the nearest it has is torch.softmax"
    assert lines[1] == "AttributeError: tilegrad has no torch.nn.Linaer; the nearest it has is torch.nn.Linear"
    assert lines[2] == "AttributeError: tilegrad has no torch.utils.data.Datset; the nearest it has is torch.utils.data.Dataset"
    assert lines[3].startswith("AttributeError: tilegrad has no torchvision.models")
    assert lines[4] == "ModuleNotFoundError: tilegrad has no module that stands for torch.onnx"
    assert lines[5].startswith("ModuleNotFoundError: tilegrad has no module that stands for torch.nn.parallel")
    assert lines[6].endswith("no module that stands for torch.nn.functionl; the nearest it has is torch.nn.functional")
    assert lines[7].startswith("ImportError: tilegrad has no torch.optim.lr_scheduler.StpLR; the nearest it has is")
    assert lines[7].endswith("torch.optim.lr_scheduler.StepLR")


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [(["nowhere.py"], 2, "there is no file nowhere.py"), (["-c"], 2, "-c needs an argument"), ([], 2, ""), (["--help"], 0, "")],
)
def test_usage(arguments, code, text, tmp_path):
    result = run(*arguments, cwd=tmp_path)
    assert result.returncode == code and text in result.stderr and (text or "usage: " in result.stdout)


def test_beside_the_real_one(run_python):
    run_python(
        """
        import sys, types
        sys.modules["torch"] = types.ModuleType("torch")
        try:
            import tilegrad.as_torch
        except RuntimeError as error:
            assert "torch is imported already; import tilegrad.as_torch first" in str(error)
        else:
            raise SystemExit("no error")
        """
    )
