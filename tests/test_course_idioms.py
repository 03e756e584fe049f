"""What course code needs besides names: operators, indexing, conversions, aliases, subclassing, keyword arguments."""

import copy
import inspect
import math
import pickle

import numpy as np
import pytest

import tilegrad as tg
import tilegrad.nn.functional as F
from tilegrad import nn, optim
from tilegrad.utils import data


def matrix():
    return tg.arange(12.0).reshape(3, 4)


# --- operators and indexing ----------------------------------------------------------------------------------------------

OPERATORS = "+ - * / // % **".split()


@pytest.mark.parametrize("sign", OPERATORS)
def test_operators_reflected_and_in_place(sign):
    a, b = np.array([3.0, 4.0, 5.0]), np.array([2.0, 3.0, 2.0])
    x, y = tg.from_numpy(a.copy()), tg.from_numpy(b.copy())
    for expression in (f"x {sign} y", f"x {sign} 2", f"2 {sign} x"):
        expected = eval(expression, {"x": a, "y": b})
        assert np.allclose(eval(expression, {"x": x, "y": y}).numpy(), expected), expression
    place = {"x": x, "y": y}
    exec(f"x {sign}= y", place)
    assert place["x"] is x and np.allclose(x.numpy(), eval(f"x {sign} y", {"x": a, "y": b}))


def test_logic_and_comparisons():
    p, q = tg.tensor([True, False]), tg.tensor([True, True])
    assert [(~p).tolist(), (p & q).tolist(), (p | q).tolist(), (p ^ q).tolist()] == [
        [False, True], [True, False], [True, True], [False, True],
    ]  # fmt: skip
    x = tg.tensor([1.0, 2.0])
    assert (x < 2).tolist() == (x <= 1).tolist() == (2 > x).tolist() == (x != 2).tolist() == [True, False]  # noqa: SIM300
    assert (-x).tolist() == [-1.0, -2.0] and (matrix() @ matrix().T).shape == (3, 3)


def test_every_kind_of_index():
    x, n = matrix(), matrix().numpy()
    y = tg.tensor([0, 2, 1])
    for key in (
        1, -1, slice(None), (slice(None), -1), (..., 1), (None, slice(None), None), [0, 2], range(2), np.array([2, 0]),
        np.array([True, False, True]),
        (slice(None), [True, False, True, False]), (slice(1, None), slice(None, 2)), (range(3), [0, 2, 1]),
    ):  # fmt: skip
        assert np.array_equal(x[key].numpy(), n[key if not isinstance(key, range) else list(key)]), key
    assert x[range(3), y].tolist() == [0.0, 6.0, 9.0] and x[x > 9].tolist() == [10.0, 11.0]
    assert x[y][:, None, :].shape == (3, 1, 4) and x[tg.tensor(1)].shape == (4,)


def test_assignment_through_views_reaches_the_base():
    x, y = matrix(), tg.tensor([0, 2, 1])
    x[:, :2] *= 0.0
    assert x[:, :2].sum() == 0 and x[0, 2] == 2
    x[~(x > 5)] = -1.0
    x[range(3), y] = tg.tensor([7.0, 8.0, 9.0])
    assert x[0, 0] == 7 and x[1, 2] == 8 and x[2, 1] == 9
    x[1][3] = 5.0
    x.view(-1)[-1] = 6.0
    x[..., 0].fill_(3.0)
    assert x[1, 3] == 5 and x[2, 3] == 6 and x[:, 0].tolist() == [3.0] * 3
    p = nn.Parameter(tg.ones(4))
    (p * 2).sum().backward()
    p.grad[:] *= 0.5
    assert p.grad.tolist() == [1.0] * 4


# --- conversions ---------------------------------------------------------------------------------------------------------


def test_sums_of_tensors_and_python_functions():
    parts = [tg.ones(2), tg.ones(2) * 2]
    assert sum(parts).tolist() == [3.0, 3.0] and sum(p.sum() for p in parts) == 6
    x = matrix()
    assert math.sqrt(x.size(-1)) == 2.0 and len(x) == 3 and [row.shape for row in x] == [(4,)] * 3
    scalar = tg.tensor(2.5)
    assert float(scalar) == 2.5 and int(scalar) == 2 and bool(scalar) and math.exp(scalar) == math.exp(2.5)
    assert f"{scalar:.3f}" == "2.500" and "%.1f" % scalar == "2.5"  # noqa: UP031
    assert range(5)[tg.tensor(2)] == 2 and [10, 20, 30][tg.tensor(1)] == 20 and round(scalar.item()) == 2


def test_numpy_reads_tensors():
    x = matrix()
    assert np.array(x).shape == (3, 4) and np.array(x, dtype=np.float64).dtype == np.float64
    assert np.asarray(x, dtype=None) is not None and np.mean(x.numpy()) == 5.5
    taken = np.array(x, copy=True)
    taken[0, 0] = 99
    assert x[0, 0] == 0 and np.allclose(np.stack([x[0], x[1]]), x[:2].numpy())


def test_tensors_in_collections():
    x, y = tg.ones(2), tg.zeros(2)
    assert {x: "x", y: "y"}[x] == "x" and len({x, y, x}) == 2 and x in {x: 1} and 1.0 in x and 5.0 not in x
    assert tg.tensor(3) in [1, 2, 3]


def test_copies_of_modules():
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.ReLU())
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert all(tg.equal(p, q) and p is not q for p, q in zip(net.parameters(), other.parameters(), strict=True))
        other[0].weight.data.zero_()
        assert net[0].weight.abs().sum() > 0


# --- gradients by hand -----------------------------------------------------------------------------------------------------


def test_data_and_grad():
    p = nn.Parameter(tg.ones(3))
    (p * tg.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert (p.grad.data**2).tolist() == [1.0, 4.0, 9.0]
    p.data.add_(-0.1 * p.grad)
    assert np.allclose(p.tolist(), [0.9, 0.8, 0.7])
    p.data = p.data * 0
    assert p.abs().sum() == 0 and p.requires_grad and p.is_leaf
    p.grad = None
    x = tg.ones(2)
    x.requires_grad = True
    h = x * 2
    h.retain_grad()
    (h * h).sum().backward()
    assert h.grad.tolist() == [4.0, 4.0] and x.grad.tolist() == [8.0, 8.0] and p.grad is None


def test_named_results():
    x = tg.tensor([[3.0, 1.0, 2.0]])
    for result in (x.max(1), x.sort(1, descending=True), x.topk(2, 1), tg.max(x, dim=1), x.median(1)):
        values, indices = result
        assert tg.equal(result.values, values) and tg.equal(result.indices, indices) and result[1] is indices
    assert x.type(tg.LongTensor).dtype is tg.int64 and x.type("torch.DoubleTensor").dtype is tg.float64
    assert tg.FloatTensor(np.ones(2)).dtype is tg.float32 and tg.LongTensor([[1], [2]]).shape == (2, 1)
    assert tg.Tensor(2, 3).fill_(1.0).sum() == 6


def test_double_backward_of_what_courses_differentiate_twice():
    """conv, batch norm without running statistics, pooling; a modulated grouped convolution with interpolation."""
    w = tg.randn(4, 2, 3, 3, dtype=tg.float64, requires_grad=True)
    x = tg.randn(3, 2, 6, 6, dtype=tg.float64, requires_grad=True)

    def maml(x, w):
        h = F.conv2d(x, w, padding=1)
        h = F.batch_norm(h, None, None, training=True)
        return F.max_pool2d(F.relu(h), 2).pow(2).sum()

    def style(x, w):
        modulated = (w.unsqueeze(0) * x.mean((2, 3)).view(3, 1, 2, 1, 1)).reshape(12, 2, 3, 3)
        h = F.conv2d(x.reshape(1, 6, 6, 6), modulated, padding=1, groups=3).view(3, 4, 6, 6)
        return F.interpolate(h, scale_factor=2, mode="bilinear", align_corners=False).pow(2).mean()

    for f in (maml, style):
        (g,) = tg.autograd.grad(f(x, w), w, create_graph=True, only_inputs=True)
        direction = tg.randn_like(w)
        (hv,) = tg.autograd.grad(outputs=g, inputs=w, grad_outputs=direction, retain_graph=True)
        eps = 1e-5
        sides = []
        for s in (1, -1):
            v = (w.detach() + s * eps * direction).requires_grad_()
            sides.append(tg.autograd.grad(f(x, v), v)[0])
        assert tg.allclose(hv, (sides[0] - sides[1]) / (2 * eps), rtol=1e-4, atol=1e-6)


# --- subclassing and the inside of modules -----------------------------------------------------------------------------------


def test_subclasses():
    class Scaled(nn.Linear):
        def forward(self, x):
            return super().forward(x) * 2

    class MaskedLoss(nn.CrossEntropyLoss):
        def forward(self, pred, label, valid):
            self.reduction = "none"
            return (super().forward(pred.permute(0, 2, 1), label) * valid).mean(dim=1)

    class Frozen(nn.Module):
        def __init__(self):
            super().__init__()
            self.bn = nn.BatchNorm1d(2)

        def train(self, mode=True):
            super().train(mode)
            self.bn.eval()
            return self

    class Descent(optim.Optimizer):
        def __init__(self, params, lr=0.1):
            super().__init__(params, dict(lr=lr))  # noqa: C408

        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    state = self.state[p]
                    state["step"] = state.get("step", 0) + 1
                    p.data.add_(p.grad.data, alpha=-group["lr"])

    layer = Scaled(2, 2)
    assert tg.allclose(layer(tg.ones(1, 2)), 2 * F.linear(tg.ones(1, 2), layer.weight, layer.bias))
    valid = tg.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    loss = MaskedLoss()(tg.ones(2, 3, 4), tg.zeros(2, 3, dtype=tg.int64), valid)
    assert np.allclose(loss.tolist(), [math.log(4) / 3, 0.0])
    frozen = Frozen().train()
    assert frozen.training and not frozen.bn.training
    optimizer = Descent(layer.parameters(), lr=0.5)
    layer(tg.ones(1, 2)).sum().backward()
    before = layer.bias.detach().clone()
    optimizer.step()
    optimizer.add_param_group({"params": nn.Parameter(tg.ones(1)), "lr": 1.0})
    assert tg.allclose(layer.bias, before - 1.0) and optimizer.state[layer.bias]["step"] == 1
    assert optimizer.defaults == {"lr": 0.5} and len(optimizer.param_groups) == 2


def test_the_inside_of_modules():
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    assert list(net._modules) == ["0", "1", "2"] and net[0]._parameters["weight"] is net[0].weight
    assert isinstance(net[:2], nn.Sequential) and len(net[:2]) == 2 and net[-1] is net[2]
    net.add_module("last", nn.Sigmoid())
    assert [type(m).__name__ for m in list(net.children())[:-1]] == ["Linear", "ReLU", "Linear"]
    names = nn.GRU(2, 3, num_layers=2)._flat_weights_names
    assert names[:2] == ["weight_ih_l0", "weight_hh_l0"] and len(names) == 8
    with pytest.warns(UserWarning, match="Implicit dimension choice"):
        assert F.log_softmax(tg.ones(2, 4)).shape == (2, 4)
    assert tg.equal(F.sigmoid(matrix()), tg.sigmoid(matrix())) and tg.equal(F.tanh(matrix()), tg.tanh(matrix()))


# --- aliases and keyword arguments -------------------------------------------------------------------------------------------


def test_axis_and_keepdims():
    x = matrix()
    assert tg.equal(x.sum(axis=1, keepdims=True), x.sum(1, keepdim=True)) and tg.equal(x.mean(axis=0), x.mean(0))
    assert tg.equal(x.argmax(axis=1), x.argmax(1)) and tg.equal(tg.cat([x, x], axis=1), tg.cat([x, x], 1))
    assert tg.equal(x.max(axis=1).values, x.max(1, keepdims=True)[0].squeeze(1)) and tg.equal(x.std(axis=0), x.std(0))
    assert tg.equal(x.norm(axis=1), x.norm(dim=1)) and tg.equal(tg.sum(x, axis=0), x.sum(0))


g = tg.Generator()
w2, b2 = tg.ones(2, 3, 3, 3), tg.zeros(2)
CALLS = {
    "tensor": lambda: tg.tensor([1.0], dtype=tg.float64, device="cpu", requires_grad=True),
    "randn": lambda: tg.randn(size=(2, 2), generator=g, device="cpu", dtype=tg.float64, requires_grad=True),
    "rand": lambda: tg.rand(size=(2,), generator=g, device="cpu", dtype=tg.float32, requires_grad=True),
    "zeros": lambda: tg.zeros(size=(2,), dtype=tg.float32, device=tg.device("cpu"), requires_grad=True),
    "arange": lambda: tg.arange(start=0, end=3, dtype=tg.float32, device="cpu", requires_grad=True),
    "normal": lambda: tg.normal(mean=0.0, std=1.0, size=(2, 2), requires_grad=True),
    "randint": lambda: tg.randint(0, 5, size=(3,), generator=g, device="cpu", dtype=tg.int32),
    "empty": lambda: tg.empty(size=(2,), dtype=tg.float32, device="cpu", requires_grad=True),
    "full": lambda: tg.full((2,), 1.0, dtype=tg.float32, device="cpu"),
    "zeros_like": lambda: tg.zeros_like(matrix(), memory_format=tg.preserve_format, dtype=tg.int64, device="cpu"),
    "eye": lambda: tg.eye(2, dtype=tg.float64, device="cpu"),
    "multinomial": lambda: tg.multinomial(tg.ones(3), num_samples=2, replacement=True, generator=g),
    "max": lambda: tg.max(input=matrix(), dim=1, keepdim=True),
    "max out": lambda: tg.max(matrix(), dim=1, out=(tg.empty(3), tg.empty(3, dtype=tg.int64))),
    "topk": lambda: tg.topk(matrix(), k=2, dim=1),
    "repeat_interleave": lambda: tg.repeat_interleave(matrix(), repeats=2, dim=0),
    "argsort": lambda: tg.argsort(matrix(), dim=1, descending=True),
    "allclose": lambda: tg.allclose(matrix(), matrix(), rtol=1e-3, atol=1e-4),
    "Variable": lambda: tg.autograd.Variable(matrix(), requires_grad=True),
    "to": lambda: matrix().to(device="cpu", non_blocking=True),
    "normal_": lambda: matrix().normal_(mean=0.0, std=0.1),
    "var": lambda: matrix().var(dim=1, keepdim=True, unbiased=False),
    "gather": lambda: matrix().gather(dim=1, index=tg.zeros(3, 1, dtype=tg.int64)),
    "split": lambda: matrix().split(2, dim=1),
    "new_full": lambda: matrix().new_full((2,), 1, dtype=tg.int64),
    "Linear": lambda: nn.Linear(in_features=2, out_features=2, bias=False, device="cpu", dtype=tg.float64),
    "Embedding": lambda: nn.Embedding(num_embeddings=3, embedding_dim=2, device="cpu", dtype=tg.float64),
    "Conv2d": lambda: nn.Conv2d(in_channels=2, out_channels=2, kernel_size=3, stride=1, padding=1, bias=False,
                                padding_mode="reflect", groups=2),
    "ConvTranspose2d": lambda: nn.ConvTranspose2d(in_channels=2, out_channels=2, kernel_size=4, stride=2, padding=1,
                                                  output_padding=1, bias=False),
    "Upsample": lambda: nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
    "AvgPool2d": lambda: nn.AvgPool2d(kernel_size=3, stride=2, padding=1, count_include_pad=False),
    "InstanceNorm2d": lambda: nn.InstanceNorm2d(2, affine=True, track_running_stats=True),
    "GroupNorm": lambda: nn.GroupNorm(num_groups=1, num_channels=2, eps=1e-6, affine=True),
    "MultiheadAttention": lambda: nn.MultiheadAttention(embed_dim=4, num_heads=2, dropout=0.1, batch_first=True, device="cpu",
                                                        dtype=tg.float64),
    "Transformer": lambda: nn.Transformer(d_model=4, nhead=2, num_encoder_layers=1, num_decoder_layers=1, dim_feedforward=8,
                                          dropout=0.1),
    "cross_entropy": lambda: F.cross_entropy(input=matrix(), target=tg.tensor([0, 1, -1]), reduction="sum", ignore_index=-1),
    "conv2d": lambda: F.conv2d(input=tg.ones(1, 3, 5, 5), weight=w2, bias=b2, stride=1, padding=1, groups=1),
    "batch_norm": lambda: F.batch_norm(matrix(), running_mean=None, running_var=None, weight=tg.ones(4), bias=tg.zeros(4),
                                       training=True),
    "interpolate": lambda: F.interpolate(tg.ones(1, 1, 2, 2), size=None, scale_factor=2, mode="bilinear", align_corners=True),
    "avg_pool2d": lambda: F.avg_pool2d(input=tg.ones(1, 1, 4, 4), kernel_size=2, stride=2),
    "normalize": lambda: F.normalize(matrix(), p=2, dim=1),
    "attention": lambda: F.scaled_dot_product_attention(matrix(), matrix(), matrix(), attn_mask=None, dropout_p=0.0,
                                                        is_causal=True),
    "trunc_normal_": lambda: nn.init.trunc_normal_(tg.empty(3), mean=0.0, std=0.02, a=-0.04, b=0.04),
    "init.normal_": lambda: nn.init.normal_(tg.empty(3), mean=0.0, std=0.1, generator=g),
    "AdamW": lambda: optim.AdamW([nn.Parameter(tg.ones(1))], lr=1e-3, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1,
                                 foreach=True, fused=None),
    "SGD": lambda: optim.SGD(params=[nn.Parameter(tg.ones(1))], lr=0.1, momentum=0.9, weight_decay=1e-4),
    "DataLoader": lambda: data.DataLoader(dataset=[1, 2], batch_size=1, shuffle=True, num_workers=0, drop_last=True,
                                          pin_memory=True, collate_fn=list, sampler=None),
    "RandomSampler": lambda: data.RandomSampler([1, 2], replacement=True, num_samples=3),
    "pad_sequence": lambda: nn.utils.rnn.pad_sequence([tg.ones(2), tg.ones(1)], batch_first=True, padding_value=-1.0),
    "autocast": lambda: tg.amp.autocast(device_type="cpu", dtype=tg.bfloat16, enabled=True),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_keyword_arguments(name):
    assert CALLS[name]() is not None


@pytest.mark.parametrize("loss", ["mse_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits", "l1_loss"])
def test_size_average(loss):
    x, y = tg.tensor([0.2, 0.6]), tg.tensor([0.0, 1.0])
    function = getattr(F, loss)
    with pytest.warns(UserWarning, match="size_average"):
        assert tg.equal(function(x, y, size_average=False), function(x, y, reduction="sum"))


def test_input_and_other_name_the_operands():
    x, y = tg.tensor([1.0, 4.0]), tg.tensor([2.0, 2.0])
    assert tg.exp(input=x).shape == (2,) and tg.mul(input=x, other=y).tolist() == [2.0, 8.0] == tg.mul(x, other=y).tolist()
    assert tg.matmul(input=x, other=y).item() == 10 and tg.mean(input=x, dim=0).item() == 2.5
    with pytest.raises(TypeError, match="input"):
        tg.exp(x, input=x)


def test_results_of_some_keywords():
    out = (tg.empty(3), tg.empty(3, dtype=tg.int64))
    values, _ = tg.max(matrix(), dim=1, out=out)
    assert out[0].tolist() == [3.0, 7.0, 11.0] == values.tolist() and out[1].tolist() == [3, 3, 3]
    assert "fused" in inspect.signature(optim.AdamW).parameters
    loss = (nn.Parameter(tg.ones(2)) * 2).sum()
    loss.backward(gradient=tg.tensor(2.0), retain_graph=True)
    assert tg.ones(2).add_(tg.ones(2), alpha=3).tolist() == [4.0, 4.0]
