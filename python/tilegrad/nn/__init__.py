"""tilegrad.nn: modules, parameters, losses and their initialisation, with PyTorch's names.

`nn.Module` is in module.py, the layers in modules/, their function forms in functional.py, initialisation in init.py,
gradient clipping and friends in utils/.
"""

from __future__ import annotations

from . import functional, init, modules, parameter, utils
from .module import Module
from .modules.activation import *  # noqa: F403
from .modules.attention import *  # noqa: F403
from .modules.container import *  # noqa: F403
from .modules.conv import *  # noqa: F403
from .modules.dropout import *  # noqa: F403
from .modules.embedding import *  # noqa: F403
from .modules.linear import *  # noqa: F403
from .modules.loss import *  # noqa: F403
from .modules.norm import *  # noqa: F403
from .modules.padding import *  # noqa: F403
from .modules.pooling import *  # noqa: F403
from .modules.rnn import *  # noqa: F403
from .modules.rnn_cells import *  # noqa: F403
from .modules.transformer import *  # noqa: F403
from .modules.vision import *  # noqa: F403
from .parameter import Buffer, Parameter

__all__ = ["Buffer", "Module", "Parameter", "functional", "init", "parameter", "utils"]
__all__ += modules.__all__
