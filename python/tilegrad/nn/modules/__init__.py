"""The layers, one family a file; `tilegrad.nn` re-exports them all."""

from . import (
    activation,
    attention,
    container,
    conv,
    dropout,
    embedding,
    linear,
    loss,
    norm,
    padding,
    pooling,
    rnn,
    rnn_cells,
    transformer,
    vision,
)
from .activation import *  # noqa: F403
from .attention import *  # noqa: F403
from .container import *  # noqa: F403
from .conv import *  # noqa: F403
from .dropout import *  # noqa: F403
from .embedding import *  # noqa: F403
from .linear import *  # noqa: F403
from .loss import *  # noqa: F403
from .norm import *  # noqa: F403
from .padding import *  # noqa: F403
from .pooling import *  # noqa: F403
from .rnn import *  # noqa: F403
from .rnn_cells import *  # noqa: F403
from .transformer import *  # noqa: F403
from .vision import *  # noqa: F403

__all__: list[str] = []
__all__ += activation.__all__
__all__ += container.__all__
__all__ += conv.__all__
__all__ += dropout.__all__
__all__ += embedding.__all__
__all__ += linear.__all__
__all__ += loss.__all__
__all__ += rnn.__all__
__all__ += rnn_cells.__all__
__all__ += attention.__all__
__all__ += transformer.__all__
__all__ += norm.__all__
__all__ += padding.__all__
__all__ += pooling.__all__
__all__ += vision.__all__
