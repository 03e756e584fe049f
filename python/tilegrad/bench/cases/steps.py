"""Whole steps: what a user waits for. Forward, cross entropy, backward and an optimiser with its default settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .case import Case

Names = dict[str, Any]


def adam(t: Any) -> Names:
    parameters = [t.randn(316, 316).requires_grad_() for _ in range(100)]
    for parameter in parameters:
        parameter.grad = t.randn(316, 316)
    return {"optimizer": t.optim.Adam(parameters, lr=1e-3)}


def training(t: Any, model: Any, x: Any, y: Any, optimizer: Any = None) -> Names:
    """One update as a function `step`: the last dim of the model's output are class scores."""
    optimizer = optimizer or t.optim.Adam(model.parameters(), lr=1e-3)
    cross_entropy = t.nn.functional.cross_entropy

    def step() -> None:
        scores = model(x)
        loss = cross_entropy(scores.reshape(-1, scores.shape[-1]), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return {"step": step}


def mlp(t: Any) -> Names:
    nn = t.nn
    model = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 10))
    return training(t, model, t.randn(128, 784), t.randint(0, 10, (128,)), t.optim.SGD(model.parameters(), lr=0.01))


def lenet(t: Any) -> Names:
    nn = t.nn
    model = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip
    return training(t, model, t.randn(64, 1, 28, 28), t.randint(0, 10, (64,)))


def resnet18(t: Any) -> Names:
    """He et al. 2016 with a 3x3 first layer and no pooling at the start, as for CIFAR."""
    nn = t.nn

    class Block(nn.Module):  # type: ignore[name-defined]
        def __init__(self, inputs: int, outputs: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
            self.norm1 = nn.BatchNorm2d(outputs)
            self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
            self.norm2 = nn.BatchNorm2d(outputs)
            short = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
            self.short = short if stride > 1 or inputs != outputs else nn.Identity()

        def forward(self, x: Any) -> Any:
            relu = nn.functional.relu
            return relu(self.norm2(self.conv2(relu(self.norm1(self.conv1(x))))) + self.short(x))

    layers = [nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    sizes = [(64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1), (256, 512, 2), (512, 512, 1)]
    layers += [Block(*size) for size in sizes]
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))
    return training(t, model, t.randn(32, 3, 32, 32), t.randint(0, 10, (32,)))


def lstm_lm(t: Any) -> Names:
    nn = t.nn

    class Model(nn.Module):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.cells, self.output = nn.Embedding(10000, 650), nn.LSTM(650, 650, 2), nn.Linear(650, 10000)

        def forward(self, x: Any) -> Any:
            return self.output(self.cells(self.embedding(x))[0])

    return training(t, Model(), t.randint(0, 10000, (35, 20)), t.randint(0, 10000, (700,)))


def gpt(t: Any) -> Names:
    nn, width, heads = t.nn, 384, 6

    class Block(nn.Module):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.mix = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

        def forward(self, x: Any) -> Any:
            b, s, _ = x.shape
            q, k, v = self.qkv(self.norm1(x)).reshape(b, s, 3, heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
            y = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.mix(y.transpose(1, 2).reshape(b, s, width))
            return x + self.mlp(self.norm2(x))

    class Model(nn.Module):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.token, self.position = nn.Embedding(65, width), nn.Embedding(256, width)
            self.blocks, self.norm = nn.Sequential(*[Block() for _ in range(6)]), nn.LayerNorm(width)
            self.output = nn.Linear(width, 65)

        def forward(self, x: Any) -> Any:
            return self.output(self.norm(self.blocks(self.token(x) + self.position.weight)))

    model = Model()
    x, y = t.randint(0, 65, (8, 256)), t.randint(0, 65, (2048,))
    return training(t, model, x, y, t.optim.AdamW(model.parameters(), lr=1e-3))


# Three products a layer, forward, for the weights and for the input; the data want no gradient.
MLP_FLOPS = 2.0 * 128 * (3 * (784 * 512 + 512 * 256 + 256 * 10) - 784 * 512)
LENET_FLOPS = 2.0 * 64 * (3 * (6 * 25 * 784 + 16 * 150 * 100 + 400 * 120 + 120 * 84 + 840) - 6 * 25 * 784)
GPT_FLOPS = 6.0 * 2048 * (6 * 12 * 384 * 384 + 65 * 384) + 3.5 * 6 * 4 * 8 * 256 * 256 * 384 / 2


def step(name: str, why: str, setup: Callable[[Any], Names], flops: float) -> Case:
    return Case(f"{name}-step", why, setup, "step()", None, flops)


CASES = [
    Case(
        "adam-10M",
        "10 M parameters in 100 tensors: one pass over memory",
        adam,
        "optimizer.step()",
        None,
        0,
        28.0 * 100 * 316 * 316,
    ),
    step("mlp", "MNIST MLP 784-512-256-10, batch 128, SGD", mlp, MLP_FLOPS),
    step("lenet", "LeNet on 28x28, batch 64, Adam: small convolutions, op overhead", lenet, LENET_FLOPS),
    step(
        "resnet18", "ResNet-18 for 32x32 images, batch 32, Adam: 3x3 convolutions and batch norm", resnet18, 6 * 32 * 0.5558e9
    ),
    step(
        "lstm-lm", "2 x 650 LSTM, 10000 words, 35 steps, batch 20, Adam", lstm_lm, 6.0 * 700 * (2 * 4 * 650 * 1300 + 6_500_000)
    ),
    step("gpt", "6 layers of width 384, 256 tokens, batch 8, AdamW", gpt, GPT_FLOPS),
]
