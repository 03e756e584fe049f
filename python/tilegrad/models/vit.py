"""A small Vision Transformer: an image is a sequence of patches."""

from __future__ import annotations

from typing import Any

import tilegrad as tg

from .. import nn


class ViTMini(nn.Module):
    """Patches -> vectors + positions, a class token in front, Transformer layers, and the class token's answer.

    Args:
        size, patch: pixels of a side of the image and of a patch; size is a multiple of patch.
        width, heads, layers: of the pre-norm Transformer encoder; its feed-forward part is 2 * width wide.
        channels, classes: of the images; of the answer.
        dropout: in the encoder.

    Raises ValueError when the patches do not tile the image. Source: Dosovitskiy et al. 2021.
    """

    def __init__(
        self,
        size: int = 8,
        patch: int = 2,
        width: int = 64,
        heads: int = 4,
        layers: int = 3,
        channels: int = 1,
        classes: int = 10,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if patch < 1 or size % patch:
            raise ValueError(f"patches of {patch} do not tile an image of {size} pixels a side")
        self.patch, count = patch, (size // patch) ** 2
        self.embed = nn.Linear(channels * patch * patch, width)
        self.class_token = nn.Parameter(tg.zeros(1, 1, width))
        self.position = nn.Parameter(0.02 * tg.randn(1, count + 1, width))
        layer = nn.TransformerEncoderLayer(
            width, heads, 2 * width, dropout=dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, layers, norm=nn.LayerNorm(width), enable_nested_tensor=False)
        self.head = nn.Linear(width, classes)

    def patches(self, x: Any) -> Any:
        """(N, patches, channels * patch * patch) of images (N, channels, size, size)."""
        n, c, h, w = x.shape
        p = self.patch
        tiles = x.reshape(n, c, h // p, p, w // p, p).permute(0, 2, 4, 1, 3, 5)  # (N, rows, columns, C, p, p)
        return tiles.reshape(n, (h // p) * (w // p), c * p * p)

    def forward(self, x: Any) -> Any:
        """Logits (N, classes) of images (N, channels, size, size)."""
        h = self.embed(self.patches(x))  # (N, patches, width)
        h = tg.cat([self.class_token.expand(len(h), -1, -1), h], dim=1) + self.position
        return self.head(self.encoder(h)[:, 0])
