"""LeNet: convolutions, pooling, and three full layers (LeCun et al. 1998, with ReLU)."""

from __future__ import annotations

from typing import Any

from .. import nn


class LeNet(nn.Sequential):
    """conv 5x5 to 6 channels, pool, conv 5x5 to 16, pool, 120, 84, classes; for images (N, channels, 32, 32) or 28 x 28.

    Args:
        classes: outputs.
        channels: of the images, 1 for grey.
        size: 32, or 28 (MNIST; the first convolution then pads by 2, as the paper's 32 x 32 frame does).
        activation: the layer between layers.

    Raises ValueError for another size.
    """

    def __init__(self, classes: int = 10, channels: int = 1, size: int = 32, activation: Any = nn.ReLU) -> None:
        if size not in (28, 32):
            raise ValueError(f"LeNet reads images of 32 x 32 or 28 x 28 pixels, got size={size}; resize them first")
        super().__init__(
            nn.Conv2d(channels, 6, 5, padding=2 if size == 28 else 0),  # (N, 6, 28, 28)
            activation(),
            nn.MaxPool2d(2),  # (N, 6, 14, 14)
            nn.Conv2d(6, 16, 5),  # (N, 16, 10, 10)
            activation(),
            nn.MaxPool2d(2),  # (N, 16, 5, 5)
            nn.Flatten(),
            nn.Linear(16 * 5 * 5, 120),
            activation(),
            nn.Linear(120, 84),
            activation(),
            nn.Linear(84, classes),
        )
