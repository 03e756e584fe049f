"""Convolutions: forward, and forward and backward."""

from __future__ import annotations

from typing import Any

from .case import Case

# name, (N, C, H, W), out channels, kernel, options, why
SHAPES: list[tuple[str, tuple[int, int, int, int], int, int, dict[str, int], str]] = [
    ("3x3-16", (32, 16, 32, 32), 16, 3, {"padding": 1}, "ResNet-20 on CIFAR: few channels"),
    ("3x3-64", (8, 64, 56, 56), 64, 3, {"padding": 1}, "first stage of ResNet-18"),
    ("3x3-128", (8, 128, 28, 28), 128, 3, {"padding": 1}, "second stage of ResNet-18"),
    ("3x3-256", (8, 256, 14, 14), 256, 3, {"padding": 1}, "third stage of ResNet-18"),
    ("3x3-512", (8, 512, 7, 7), 512, 3, {"padding": 1}, "last stage of ResNet-18: small maps, much weight"),
    ("3x3-cifar", (32, 3, 32, 32), 64, 3, {"padding": 1}, "first layer on CIFAR"),
    ("3x3-odd", (16, 47, 31, 31), 53, 3, {"padding": 1}, "sizes that fit no tile"),
    ("3x3-stride2", (8, 64, 56, 56), 128, 3, {"padding": 1, "stride": 2}, "between stages of ResNet-18"),
    ("1x1-stride2", (8, 64, 56, 56), 128, 1, {"stride": 2}, "shortcut between stages"),
    ("1x1-up", (8, 256, 14, 14), 1024, 1, {}, "bottleneck of ResNet-50: a matrix product"),
    ("1x1-down", (8, 1024, 14, 14), 256, 1, {}, "bottleneck of ResNet-50"),
    ("7x7-stem", (4, 3, 224, 224), 64, 7, {"padding": 3, "stride": 2}, "first layer of ResNet on ImageNet"),
    ("16x16-patches", (4, 3, 224, 224), 192, 16, {"stride": 16}, "patches of a vision transformer"),
    ("5x5-lenet1", (64, 1, 28, 28), 6, 5, {"padding": 2}, "first layer of LeNet"),
    ("5x5-lenet2", (64, 6, 14, 14), 16, 5, {}, "second layer of LeNet"),
    ("5x5-64", (8, 64, 28, 28), 64, 5, {"padding": 2}, "a larger kernel than Winograd's"),
    ("3x3-dilation2", (8, 64, 28, 28), 64, 3, {"padding": 2, "dilation": 2}, "segmentation"),
    ("3x3-groups32", (8, 128, 28, 28), 128, 3, {"padding": 1, "groups": 32}, "ResNeXt: four channels a group"),
    ("3x3-depthwise", (8, 128, 28, 28), 128, 3, {"padding": 1, "groups": 128}, "MobileNet: bound by memory"),
]


def cases(name: str, image: tuple[int, int, int, int], out: int, kernel: int, options: dict[str, int], why: str) -> list[Case]:
    """The forward case and the one with both gradients."""
    batch, channels, height, width = image
    stride, padding, dilation = options.get("stride", 1), options.get("padding", 0), options.get("dilation", 1)
    weight = (out, channels // options.get("groups", 1), kernel, kernel)
    windows = [(size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1 for size in (height, width)]
    outputs = batch * out * windows[0] * windows[1]
    flops = 2.0 * outputs * weight[1] * kernel * kernel
    tensors = batch * channels * height * width + outputs + out * weight[1] * kernel * kernel

    def forward(t: Any) -> dict[str, Any]:
        return {"x": t.randn(*image), "w": t.randn(*weight)}

    def backward(t: Any) -> dict[str, Any]:
        dy = t.randn(batch, out, *windows)
        return {**{key: value.requires_grad_() for key, value in forward(t).items()}, "dy": dy}

    call = f"F.conv2d(x, w, {', '.join(f'{key}={value}' for key, value in options.items())})".replace(", )", ")")
    return [
        Case(f"conv2d-{name}", why, forward, call, None, flops, 4.0 * tensors),
        Case(
            f"conv2d-{name}-backward",
            f"{why}; forward and both gradients",
            backward,
            f"{call}.backward(dy); x.grad = w.grad = None",
            None,
            3 * flops,
            12.0 * tensors,
        ),
    ]


CASES = [case for shape in SHAPES for case in cases(*shape)]
