"""Small residual networks for small images, and the same networks without their short cuts."""

from __future__ import annotations

from typing import Any

from .. import nn
from ..nn import functional as F


class ConvBlock(nn.Module):
    """Two 3x3 convolutions with batch norm; with `residual` the input is added before the last ReLU: y = relu(x + F(x))."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, residual: bool = True) -> None:
        super().__init__()
        self.residual = residual
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same or not residual else nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)

    def forward(self, x: Any) -> Any:
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(y + self.shortcut(x)) if self.residual else F.relu(y)


class ResNetMini(nn.Module):
    """A residual network of 2 blocks + 2 layers: a 3x3 convolution, `blocks` blocks in stages, average, classes.

    Args:
        blocks: of two convolutions each; spread over `stages`, each stage halving the image and doubling the channels.
        width: channels of the first stage.
        stages: how many resolutions.
        channels, classes: of the images; of the answer.
        residual: False leaves the short cuts out (a "plain" network).

    Raises ValueError when blocks is not a multiple of stages. Source: He et al. 2016, section 4.2.
    """

    def __init__(
        self, blocks: int = 3, width: int = 16, stages: int = 1, channels: int = 1, classes: int = 10, residual: bool = True
    ) -> None:
        super().__init__()
        if blocks < 1 or blocks % stages:
            raise ValueError(f"blocks must be a positive multiple of stages, got {blocks} and {stages}")
        self.first = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        body, inputs = [], width
        for stage in range(stages):
            for block in range(blocks // stages):
                outputs = width << stage
                body.append(ConvBlock(inputs, outputs, 2 if stage and not block else 1, residual))
                inputs = outputs
        self.blocks = nn.Sequential(*body)
        self.last = nn.Linear(inputs, classes)

    def forward(self, x: Any) -> Any:
        """Logits (N, classes) of images (N, channels, H, W)."""
        h = self.blocks(F.relu(self.norm(self.first(x))))  # (N, C, H', W')
        return self.last(h.mean((2, 3)))


class PlainMini(ResNetMini):
    """ResNetMini without short cuts: what depth does to a network that lacks them."""

    def __init__(self, blocks: int = 3, width: int = 16, stages: int = 1, channels: int = 1, classes: int = 10) -> None:
        super().__init__(blocks, width, stages, channels, classes, residual=False)
