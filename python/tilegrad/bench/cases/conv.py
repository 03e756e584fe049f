"""Convolutions: forward, forward and backward, and each of the two gradients alone where they have kernels of their own."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any

from .case import Case


@dataclass(frozen=True)
class Layer:
    """One convolution: (N, C, ...), output channels, kernel of every dim, options of `F.conv*d`, and why this one."""

    name: str
    image: tuple[int, ...]
    out: int
    kernel: int
    why: str
    options: dict[str, int] = field(default_factory=dict)
    gradients: bool = False  # cases for dx and dw alone as well
    channels_last: bool = False  # the images lie in memory as (N, H, W, C)
    transposed: bool = False

    @property
    def dims(self) -> int:
        return len(self.image) - 2

    @property
    def groups(self) -> int:
        return self.options.get("groups", 1)

    @property
    def function(self) -> str:
        return f"conv{'_transpose' if self.transposed else ''}{self.dims}d"

    @property
    def weight(self) -> tuple[int, ...]:
        first, second = (self.image[1], self.out) if self.transposed else (self.out, self.image[1])
        return (first, second // self.groups, *(self.kernel,) * self.dims)

    @property
    def result(self) -> tuple[int, ...]:
        stride, padding = self.options.get("stride", 1), self.options.get("padding", 0)
        reach = self.options.get("dilation", 1) * (self.kernel - 1) + 1
        if self.transposed:
            extra = self.options.get("output_padding", 0)
            sizes = [(n - 1) * stride - 2 * padding + reach + extra for n in self.image[2:]]
        else:
            sizes = [(n + 2 * padding - reach) // stride + 1 for n in self.image[2:]]
        return (self.image[0], self.out, *sizes)

    def images(self, t: Any, shape: tuple[int, ...]) -> Any:
        if not self.channels_last:
            return t.randn(*shape)
        order = (0, len(shape) - 1, *range(1, len(shape) - 1))
        return t.randn(shape[0], *shape[2:], shape[1]).permute(*order)


LAYERS = [
    Layer("3x3-16", (32, 16, 32, 32), 16, 3, "ResNet-20 on CIFAR: few channels", {"padding": 1}, True),
    Layer("3x3-32", (32, 32, 16, 16), 32, 3, "ResNet-20's second stage", {"padding": 1}, True),
    Layer("3x3-64", (8, 64, 56, 56), 64, 3, "first stage of ResNet-18", {"padding": 1}, True),
    Layer("3x3-128", (8, 128, 28, 28), 128, 3, "second stage of ResNet-18", {"padding": 1}, True),
    Layer("3x3-256", (8, 256, 14, 14), 256, 3, "third stage of ResNet-18", {"padding": 1}, True),
    Layer("3x3-512", (8, 512, 7, 7), 512, 3, "last stage of ResNet-18: small maps, much weight", {"padding": 1}, True),
    Layer("3x3-512-32", (32, 512, 7, 7), 512, 3, "the same with a larger batch", {"padding": 1}, True),
    Layer("3x3-512-4", (32, 512, 4, 4), 512, 3, "last stage of ResNet-18 on CIFAR: 16 pixels", {"padding": 1}, True),
    Layer("3x3-64-batch1", (1, 64, 56, 56), 64, 3, "one image: inference", {"padding": 1}),
    Layer("3x3-256-batch1", (1, 256, 14, 14), 256, 3, "one image: few tiles", {"padding": 1}),
    Layer("3x3-512-batch1", (1, 512, 7, 7), 512, 3, "one image of 49 pixels: the weight is read once", {"padding": 1}),
    Layer("3x3-64-last", (8, 64, 56, 56), 64, 3, "images by pixels (channels_last)", {"padding": 1}, channels_last=True),
    Layer("3x3-cifar", (32, 3, 32, 32), 64, 3, "first layer on CIFAR", {"padding": 1}, True),
    Layer("3x3-vgg", (4, 3, 112, 112), 64, 3, "first layer of VGG", {"padding": 1}),
    Layer("3x3-1-to-32", (64, 1, 28, 28), 32, 3, "first layer on MNIST", {}),
    Layer("3x3-4", (16, 4, 63, 65), 24, 3, "four channels, odd sizes", {"padding": 1}),
    Layer("3x3-17", (16, 17, 31, 31), 17, 3, "one more channel than a register", {"padding": 1}, True),
    Layer("3x3-63-65", (8, 63, 29, 29), 65, 3, "channels on both sides of 64", {"padding": 1}, True),
    Layer("3x3-odd", (16, 47, 31, 31), 53, 3, "sizes that fit no tile", {"padding": 1}),
    Layer("3x3-wide", (4, 32, 7, 509), 32, 3, "wide images, a prime", {"padding": 1}),
    Layer("3x3-tall", (4, 32, 509, 7), 32, 3, "tall images, a prime", {"padding": 1}),
    Layer("3x3-tiny", (1, 8, 5, 5), 8, 3, "the cost of a call", {"padding": 1}),
    Layer("3x3-stride2", (8, 64, 56, 56), 128, 3, "between stages of ResNet-18", {"padding": 1, "stride": 2}, True),
    Layer("3x3-stride2-deep", (8, 256, 14, 14), 512, 3, "before the last stage", {"padding": 1, "stride": 2}, True),
    Layer("4x4-stride2", (32, 64, 16, 16), 128, 4, "discriminator of DCGAN", {"padding": 1, "stride": 2}, True),
    Layer("1x1-stride2", (8, 64, 56, 56), 128, 1, "shortcut between stages", {"stride": 2}, True),
    Layer("1x1-up", (8, 256, 14, 14), 1024, 1, "bottleneck of ResNet-50: a matrix product", {}, True),
    Layer("1x1-down", (8, 1024, 14, 14), 256, 1, "bottleneck of ResNet-50", {}, True),
    Layer("1x1-64", (8, 64, 56, 56), 64, 1, "few channels, many pixels", {}, True),
    Layer("1x1-odd", (7, 65, 17, 19), 63, 1, "sizes that fit no tile", {}),
    Layer("7x7-stem", (4, 3, 224, 224), 64, 7, "first layer of ResNet on ImageNet", {"padding": 3, "stride": 2}, True),
    Layer("16x16-patches", (4, 3, 224, 224), 192, 16, "patches of a vision transformer", {"stride": 16}, True),
    Layer("5x5-lenet1", (64, 1, 28, 28), 6, 5, "first layer of LeNet", {"padding": 2}, True),
    Layer("5x5-lenet2", (64, 6, 14, 14), 16, 5, "second layer of LeNet", {}, True),
    Layer("5x5-64", (8, 64, 28, 28), 64, 5, "a larger kernel", {"padding": 2}, True),
    Layer("3x3-dilation2", (8, 64, 28, 28), 64, 3, "segmentation", {"padding": 2, "dilation": 2}, True),
    Layer("3x3-dilation4", (2, 64, 57, 57), 64, 3, "segmentation, no multiple of 4", {"padding": 4, "dilation": 4}),
    Layer("3x3-groups4", (8, 128, 28, 28), 128, 3, "32 channels a group", {"padding": 1, "groups": 4}, True),
    Layer("3x3-groups32", (8, 128, 28, 28), 128, 3, "ResNeXt: four channels a group", {"padding": 1, "groups": 32}, True),
    Layer("3x3-depthwise", (8, 128, 28, 28), 128, 3, "MobileNet: bound by memory", {"padding": 1, "groups": 128}, True),
    Layer("3x3-depthwise-large", (8, 32, 112, 112), 32, 3, "beyond the caches", {"padding": 1, "groups": 32}, True),
    Layer(
        "3x3-depthwise-stride2",
        (8, 96, 56, 56),
        96,
        3,
        "MobileNet, between stages",
        {"padding": 1, "stride": 2, "groups": 96},
        True,
    ),
    Layer("5x5-depthwise", (8, 128, 28, 28), 128, 5, "EfficientNet", {"padding": 2, "groups": 128}, True),
    Layer("7x7-depthwise", (8, 96, 28, 28), 96, 7, "ConvNeXt", {"padding": 3, "groups": 96}, True),
    Layer("3x3-depthwise-7", (8, 512, 7, 7), 512, 3, "maps smaller than a register", {"padding": 1, "groups": 512}, True),
    Layer("audio", (16, 80, 500), 256, 3, "speech: 80 bands", {"padding": 1}, True),
    Layer("wave", (8, 1, 16000), 32, 10, "sound as it comes: one channel, stride 5", {"stride": 5}),
    Layer("causal", (8, 64, 1000), 64, 3, "WaveNet: dilated", {"padding": 8, "dilation": 8}),
    Layer("video", (2, 16, 8, 32, 32), 32, 3, "short clips", {"padding": 1}, True),
    Layer("volume", (1, 1, 32, 64, 64), 16, 3, "a scan: one channel", {"padding": 1}),
    Layer("4x4-stride2", (32, 128, 8, 8), 64, 4, "generator of DCGAN", {"stride": 2, "padding": 1}, transposed=True),
    Layer("2x2-stride2", (4, 64, 28, 28), 32, 2, "U-Net, upwards", {"stride": 2}, transposed=True),
    Layer("16-stride8", (4, 64, 250), 32, 16, "vocoder, upwards", {"stride": 8, "padding": 4}, transposed=True),
]


def cases(layer: Layer) -> list[Case]:
    """The forward case, the one with both gradients, and those of one gradient."""
    shape, weight, result = layer.image, layer.weight, layer.result
    pixels = prod(shape[2:]) * shape[0] * shape[1] if layer.transposed else prod(result)
    flops = 2.0 * pixels * prod(weight[1:])
    elements = prod(shape) + prod(result) + prod(weight)
    options = "".join(f", {key}={value}" for key, value in layer.options.items())
    call = f"F.{layer.function}(x, w{options})"
    name = f"{layer.function}-{layer.name}"

    def forward(t: Any) -> dict[str, Any]:
        return {"x": layer.images(t, shape), "w": t.randn(*weight)}

    def backward(t: Any) -> dict[str, Any]:
        names = {key: value.requires_grad_() for key, value in forward(t).items()}
        return {**names, "dy": layer.images(t, result)}

    def gradient(of: str) -> Case:
        def recorded(t: Any) -> dict[str, Any]:
            names = forward(t)
            names[of].requires_grad_()
            y = getattr(t.nn.functional, layer.function)(names["x"], names["w"], **layer.options)
            return {**names, "y": y, "dy": layer.images(t, result)}

        statement = f"t.autograd.grad(y, {of}, dy, retain_graph=True)"
        return Case(f"{name}-d{of}", f"{layer.why}; the gradient for {of}", recorded, statement, None, flops, 4.0 * elements)

    both = f"{call}.backward(dy); x.grad = w.grad = None"
    return [
        Case(name, layer.why, forward, call, None, flops, 4.0 * elements),
        Case(f"{name}-backward", f"{layer.why}; forward and both", backward, both, None, 3 * flops, 12.0 * elements),
        *([gradient("x"), gradient("w")] if layer.gradients else []),
    ]


CASES = [case for layer in LAYERS for case in cases(layer)]
