"""Layers, activations, initialisation and nn.utils against NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tilegrad as tg
import tilegrad.nn.functional as F
from tilegrad import nn

X = np.array([[-3.0, -1.0, -0.5, 0.0], [0.25, 1.0, 2.0, 30.0]])


def t(values, grad=False):
    tensor = tg.tensor(np.asarray(values, dtype=np.float64))
    return tensor.requires_grad_() if grad else tensor


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softplus(x):
    return np.logaddexp(0, x)


def erf(x):
    return np.vectorize(math.erf)(x)


ACTIVATIONS = {
    "ReLU": (nn.ReLU(), lambda x: np.maximum(x, 0)),
    "ReLU6": (nn.ReLU6(), lambda x: np.clip(x, 0, 6)),
    "LeakyReLU": (nn.LeakyReLU(0.2), lambda x: np.where(x > 0, x, 0.2 * x)),
    "ELU": (nn.ELU(0.7), lambda x: np.where(x > 0, x, 0.7 * np.expm1(np.minimum(x, 0)))),
    "CELU": (nn.CELU(0.7), lambda x: np.maximum(x, 0) + np.minimum(0, 0.7 * np.expm1(np.minimum(x, 0) / 0.7))),
    "SELU": (nn.SELU(), lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0)))),
    "GELU": (nn.GELU(), lambda x: x * 0.5 * (1 + erf(x / np.sqrt(2)))),
    "GELU tanh": (nn.GELU("tanh"), lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))),
    "SiLU": (nn.SiLU(), lambda x: x * sigmoid(x)),
    "Mish": (nn.Mish(), lambda x: x * np.tanh(softplus(x))),
    "Sigmoid": (nn.Sigmoid(), sigmoid),
    "LogSigmoid": (nn.LogSigmoid(), lambda x: -softplus(-x)),
    "Tanh": (nn.Tanh(), np.tanh),
    "Tanhshrink": (nn.Tanhshrink(), lambda x: x - np.tanh(x)),
    "Softplus": (nn.Softplus(), softplus),
    "Softplus beta": (nn.Softplus(2.0, 10.0), lambda x: np.where(2 * x > 10, x, softplus(2 * x) / 2)),
    "Softsign": (nn.Softsign(), lambda x: x / (1 + np.abs(x))),
    "Hardtanh": (nn.Hardtanh(-2.0, 1.5), lambda x: np.clip(x, -2, 1.5)),
    "Hardsigmoid": (nn.Hardsigmoid(), lambda x: np.clip(x / 6 + 0.5, 0, 1)),
    "Hardswish": (nn.Hardswish(), lambda x: x * np.clip(x / 6 + 0.5, 0, 1)),
    "Threshold": (nn.Threshold(0.5, 9.0), lambda x: np.where(x > 0.5, x, 9)),
    "Hardshrink": (nn.Hardshrink(), lambda x: np.where(np.abs(x) > 0.5, x, 0)),
    "Softshrink": (nn.Softshrink(), lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0)),
    "GLU": (nn.GLU(), lambda x: x[:, :2] * sigmoid(x[:, 2:])),
    "PReLU": (nn.PReLU().double(), lambda x: np.where(x > 0, x, 0.25 * x)),
    "Softmax": (
        nn.Softmax(1),
        lambda x: np.exp(x - x.max(1, keepdims=True)) / np.exp(x - x.max(1, keepdims=True)).sum(1, keepdims=True),
    ),
    "Softmin": (nn.Softmin(0), lambda x: np.exp(-x) / np.exp(-x).sum(0)),
    "LogSoftmax": (nn.LogSoftmax(0), lambda x: x - x.max(0) - np.log(np.exp(x - x.max(0)).sum(0))),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_matches_numpy(name):
    module, reference = ACTIVATIONS[name]
    x = t(X, grad=True)
    out = module(x)
    np.testing.assert_allclose(out.detach().numpy(), reference(X), rtol=1e-6, atol=1e-9)
    out.sum().backward()
    assert np.isfinite(x.grad.numpy()).all()


KINKS = ("ReLU", "ReLU6", "LeakyReLU", "PReLU", "Threshold", "Hardshrink", "Softshrink", "ELU", "CELU", "SELU")


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_gradient(name):
    module, reference = ACTIVATIONS[name]
    points = np.array([[-1.3, -0.7, 0.3, 1.1]])  # away from kinks
    weights = np.array([[0.3, -0.8, 0.5, 0.9]])[:, : reference(points).shape[1]]
    x = t(points, grad=True)
    (module(x) * t(weights)).sum().backward()
    step = 1e-6
    for i in range(points.size):
        d = np.zeros_like(points)
        d.flat[i] = step
        slope = ((reference(points + d) - reference(points - d)) * weights).sum() / (2 * step)
        assert x.grad.numpy().flat[i] == pytest.approx(slope, rel=1e-5, abs=1e-7)


def test_activation_inplace_writes_the_input():
    for name in ("ReLU", "LeakyReLU", "ELU", "SiLU", "Hardtanh", "SELU", "Mish"):
        x = t(X)
        module = getattr(nn, name)(inplace=True)
        out = module(x)
        assert out is x
        np.testing.assert_allclose(x.numpy(), getattr(nn, name)()(t(X)).numpy())


def test_activation_errors_and_implicit_dim():
    with pytest.raises(ValueError, match="min_val cannot be greater than max_val, got 1 and 0"):
        nn.Hardtanh(1, 0)
    with pytest.raises(RuntimeError, match="Halving dimension must be even, but dimension -1 is size 3"):
        F.glu(tg.ones(2, 3))
    with pytest.raises(RuntimeError, match=r"parameter numbers = 3 and channel size = 4"):
        F.prelu(tg.ones(2, 4), tg.ones(3))
    with pytest.warns(UserWarning, match="Implicit dimension choice for log_softmax"):
        out = F.log_softmax(t(X))
    np.testing.assert_allclose(out.numpy(), F.log_softmax(t(X), dim=1).numpy())
    assert F.sigmoid(tg.zeros(1)).item() == 0.5 and F.tanh(tg.zeros(1)).item() == 0.0


def test_softmax_course_numbers():
    np.testing.assert_allclose(F.softmax(tg.tensor([3.0, 1.0, -3.0]), dim=0).numpy(), [0.88, 0.12, 0.0], atol=5e-3)
    assert np.isfinite(F.log_softmax(tg.tensor([1e4, -1e4]), dim=0).numpy()).all()


def test_gumbel_softmax():
    tg.manual_seed(0)
    logits = tg.zeros(4000, 3, requires_grad=True)
    soft, hard = F.gumbel_softmax(logits), F.gumbel_softmax(logits, hard=True)
    np.testing.assert_allclose(soft.sum(-1).detach().numpy(), 1.0, rtol=1e-5)
    assert set(np.round(np.unique(hard.detach().numpy()), 5)) == {0.0, 1.0}
    np.testing.assert_allclose(hard.mean(0).detach().numpy(), 1 / 3, atol=0.03)
    (hard * tg.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert float(logits.grad.abs().sum()) > 0


# ---- linear layers


def test_linear_and_friends():
    layer = nn.Linear(3, 2)
    x = tg.randn(4, 5, 3)
    expected = x.numpy() @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, rtol=1e-5, atol=1e-6)
    assert nn.Linear(3, 2, bias=False).bias is None and nn.Linear(3, 2, dtype=tg.float64).weight.dtype == tg.float64
    bilinear = nn.Bilinear(3, 4, 2)
    a, b = tg.randn(6, 3), tg.randn(6, 4)
    expected = (
        np.einsum("ni,kij,nj->nk", a.numpy(), bilinear.weight.detach().numpy(), b.numpy()) + bilinear.bias.detach().numpy()
    )
    np.testing.assert_allclose(bilinear(a, b).detach().numpy(), expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(RuntimeError, match=r"bilinear: expected inputs \(\*, 3\) and \(\*, 4\)"):
        bilinear(b, a)
    assert nn.Identity(1, a=2)(x) is x
    assert nn.Flatten()(tg.ones(2, 3, 4)).shape == (2, 12)
    assert nn.Unflatten(1, (3, -1))(tg.ones(2, 12)).shape == (2, 3, 4)
    assert nn.Unflatten(-1, (3, 4))(tg.ones(2, 12)).shape == (2, 3, 4)
    with pytest.raises(TypeError, match="unflattened_size must be tuple of ints"):
        nn.Unflatten(1, 3)


@pytest.mark.parametrize(("given", "made"), [(0, 2), (3, 0), (0, 0)])
@pytest.mark.parametrize("activation", ["none", "relu", "gelu"])
def test_linear_without_features_has_gradients(given, made, activation):
    for shape in ((4, given), (2, 5, given), (0, given)):
        x, w = tg.randn(*shape, requires_grad=True), tg.randn(made, given, requires_grad=True)
        b = tg.ones(made, requires_grad=True)
        y = tg.ops.matmul.linear(x, w, b, activation)
        assert y.shape == (*shape[:-1], made)
        y.sum().backward()
        assert x.grad.shape == x.shape and w.grad.shape == w.shape and not w.grad.numpy().any()
        if given == 0 and activation != "gelu":  # y = b = 1
            np.testing.assert_array_equal(b.grad.numpy(), np.full(made, np.prod(shape[:-1], dtype=int)))
        other = tg.randn(given, made, requires_grad=True)
        (x @ other).sum().backward()
        assert other.grad.shape == (given, made)
        vector = tg.randn(given, requires_grad=True)
        (x @ vector).sum().backward()
        assert vector.grad.shape == (given,)


def test_maxout_is_relu_for_a_zero_piece():
    layer = nn.Maxout(3, 4, pieces=2)
    assert layer(tg.ones(5, 3)).shape == (5, 4)
    with tg.no_grad():
        layer.linear.weight[1::2] = 0.0
        layer.linear.bias[1::2] = 0.0
    x = tg.randn(5, 3)
    plain = x.numpy() @ layer.linear.weight.detach().numpy()[::2].T + layer.linear.bias.detach().numpy()[::2]
    np.testing.assert_allclose(layer(x).detach().numpy(), np.maximum(plain, 0), rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="pieces must be at least 1, got 0"):
        nn.Maxout(1, 1, pieces=0)


# ---- dropout


def test_dropout():
    tg.manual_seed(1)
    x = tg.ones(20000, requires_grad=True)
    drop = nn.Dropout(0.3)
    out = drop(x)
    values = out.detach().numpy()
    assert set(np.round(np.unique(values), 5)) == {0.0, np.float32(round(1 / 0.7, 5))}
    assert abs(values.mean() - 1) < 0.02 and abs((values == 0).mean() - 0.3) < 0.02
    out.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy() == 0, values == 0)  # dropped units: gradient exactly 0
    assert drop.eval()(x) is x
    assert float(nn.Dropout(1.0)(tg.ones(9)).sum()) == 0.0
    with pytest.raises(ValueError, match=r"dropout probability has to be between 0 and 1, but got 1\.5"):
        nn.Dropout(1.5)
    tg.manual_seed(5)
    first = F.dropout(tg.ones(50))
    tg.manual_seed(5)
    assert np.array_equal(first.numpy(), F.dropout(tg.ones(50)).numpy())


def test_channel_dropout_drops_whole_channels():
    tg.manual_seed(0)
    out = nn.Dropout2d(0.5)(tg.ones(8, 16, 3, 3)).numpy()
    per_channel = out.reshape(8, 16, -1)
    assert (per_channel.min(-1) == per_channel.max(-1)).all() and 0.3 < (per_channel[..., 0] == 0).mean() < 0.7
    with pytest.raises(RuntimeError, match=r"dropout2d: expected a 3-d .C, .... or 4-d .N, C, .... input, got shape .2, 2."):
        F.dropout2d(tg.ones(2, 2))
    kept = nn.AlphaDropout(0.2)(tg.randn(50000)).numpy()
    assert abs(kept.mean()) < 0.03 and abs(kept.std() - 1) < 0.03


# ---- init


@pytest.mark.parametrize(
    ("fill", "std"),
    [
        (lambda w: nn.init.xavier_normal_(w), math.sqrt(2 / 500)),
        (lambda w: nn.init.xavier_normal_(w, mode="fan_in"), math.sqrt(1 / 300)),
        (lambda w: nn.init.xavier_uniform_(w, gain=2.0), 2 * math.sqrt(2 / 500)),
        (lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu"), math.sqrt(2 / 300)),
        (lambda w: nn.init.kaiming_normal_(w, mode="fan_out"), math.sqrt(2 / 200)),
        (lambda w: nn.init.kaiming_uniform_(w, a=math.sqrt(5)), 1 / math.sqrt(3 * 300)),
        (lambda w: nn.init.lecun_normal_(w), math.sqrt(1 / 300)),
        (lambda w: nn.init.normal_(w, 0.0, 0.01), 0.01),
        (lambda w: nn.init.uniform_(w, -3, 3), math.sqrt(3)),
        (lambda w: nn.init.trunc_normal_(w, std=1.0), 0.8796),
    ],
)
def test_init_scale(fill, std):
    tg.manual_seed(0)
    w = nn.Parameter(tg.empty(200, 300))
    assert fill(w) is w and w.requires_grad and w.is_leaf
    values = w.detach().numpy()
    assert abs(values.mean()) < 0.02 * std and values.std() == pytest.approx(std, rel=0.02)


def test_init_exact():
    w = tg.empty(3, 4)
    assert nn.init.constant_(w, 2.5).numpy().tolist() == [[2.5] * 4] * 3
    assert nn.init.zeros_(w).numpy().sum() == 0 and nn.init.ones_(w).numpy().sum() == 12
    assert np.array_equal(nn.init.eye_(w).numpy(), np.eye(3, 4, dtype=np.float32))
    for shape in ((5, 3), (3, 5), (4, 2, 2)):
        q = nn.init.orthogonal_(tg.empty(*shape), gain=2.0).numpy().reshape(shape[0], -1)
        gram = q @ q.T if q.shape[0] < q.shape[1] else q.T @ q
        np.testing.assert_allclose(gram, 4 * np.eye(len(gram)), atol=1e-5)
    values = nn.init.trunc_normal_(tg.empty(1000), std=2.0, a=-1.0, b=1.0).numpy()
    assert values.min() >= -1 and values.max() <= 1
    assert (nn.init.sparse_(tg.empty(10, 4), 0.3).numpy() == 0).sum(0).tolist() == [3] * 4
    assert nn.init.calculate_gain("tanh") == 5 / 3 and nn.init.calculate_gain("leaky_relu", 0.2) == math.sqrt(2 / 1.04)
    assert nn.init.calculate_gain("linear") == 1
    assert nn.init._calculate_fan_in_and_fan_out(tg.empty(8, 4, 3, 3)) == (36, 72)


def test_linear_default_init():
    tg.manual_seed(0)
    layer = nn.Linear(100, 2000)
    bound = 1 / math.sqrt(100)
    for p in layer.parameters():
        values = p.detach().numpy()
        assert abs(values).max() <= bound and values.std() == pytest.approx(bound / math.sqrt(3), rel=0.05)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.init.xavier_normal_(tg.empty(3)), "can not be computed for tensor with fewer than 2 dimensions, got shape"),
        (lambda: nn.init.kaiming_normal_(tg.empty(3, 3), mode="fan"), "Mode fan not supported, please use one of"),
        (lambda: nn.init.calculate_gain("swish"), "Unsupported nonlinearity swish"),
        (lambda: nn.init.calculate_gain("leaky_relu", "a"), "negative_slope 'a' not a valid number"),
        (lambda: nn.init.eye_(tg.empty(3)), "Only tensors with 2 dimensions are supported"),
        (lambda: nn.init.orthogonal_(tg.empty(3)), "Only tensors with 2 or more dimensions"),
        (lambda: nn.init.trunc_normal_(tg.empty(3), a=1.0, b=0.0), "expected a < b, got a=1.0, b=0.0"),
    ],
)
def test_init_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# ---- nn.utils


def test_clip_grad():
    a, b, c = (nn.Parameter(tg.zeros(2)) for _ in range(3))
    a.grad, b.grad = tg.tensor([3.0, 0.0]), tg.tensor([0.0, 4.0])
    total = nn.utils.clip_grad_norm_([a, b, c], max_norm=1.0)
    assert total.item() == pytest.approx(5.0)
    np.testing.assert_allclose(a.grad.numpy(), [0.6, 0], rtol=1e-5)
    np.testing.assert_allclose(b.grad.numpy(), [0, 0.8], rtol=1e-5)
    nn.utils.clip_grad_norm_(a, max_norm=10.0)
    np.testing.assert_allclose(a.grad.numpy(), [0.6, 0], rtol=1e-5)  # already small: unchanged
    assert nn.utils.clip_grad_norm_([a, b], 1.0, norm_type=math.inf).item() == pytest.approx(0.8, rel=1e-4)
    assert nn.utils.clip_grad_norm_([a, b], 9.0, norm_type=1).item() == pytest.approx(1.4, rel=1e-4)
    assert nn.utils.clip_grad_norm_([c], 1.0).item() == 0.0
    nn.utils.clip_grad_value_([a, b], 0.5)
    assert a.grad.numpy().tolist() == [0.5, 0.0] and b.grad.numpy().tolist() == [0.0, 0.5]
    a.grad = tg.tensor([float("inf"), 0.0])
    with pytest.raises(RuntimeError, match="is non-finite, so it cannot be clipped"):
        nn.utils.clip_grad_norm_([a], 1.0, error_if_nonfinite=True)
    with pytest.raises(TypeError, match="an item of type int"):
        nn.utils.clip_grad_norm_([3], 1.0)


def test_parameters_to_vector_and_back():
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    vector = nn.utils.parameters_to_vector(net.parameters())
    assert vector.shape == (13,) and vector.requires_grad
    nn.utils.vector_to_parameters(tg.arange(13).float(), net.parameters())
    assert net[0].weight.detach().numpy().tolist() == [[0, 1], [2, 3], [4, 5]] and net[1].bias.item() == 12
    with pytest.raises(ValueError, match=r"expected a vector of 13 elements, got shape \(5,\)"):
        nn.utils.vector_to_parameters(tg.ones(5), net.parameters())
    with pytest.raises(TypeError, match="expected vec to be a Tensor, but got: list"):
        nn.utils.vector_to_parameters([1.0], net.parameters())
    with pytest.raises(ValueError, match="got no parameters"):
        nn.utils.parameters_to_vector([])


def test_functional_call_differentiates_through_the_given_tensors():
    net = nn.Sequential(nn.Linear(1, 1, bias=False))
    w = tg.tensor([[3.0]], requires_grad=True)
    x = tg.tensor([[2.0]])
    out = nn.utils.functional_call(net, {"0.weight": w * 2}, (x,))
    assert out.item() == 12.0
    out.sum().backward()
    assert w.grad.item() == 4.0 and isinstance(net[0].weight, nn.Parameter) and net[0].weight.grad is None
    with pytest.raises(KeyError, match=r"Sequential has no parameter or buffer called '0.nope'"):
        nn.utils.functional_call(net, {"0.nope": w}, x)


IN_PLACE = ["relu", "relu6", "leaky_relu", "elu", "selu", "celu", "silu", "mish", "hardsigmoid", "hardswish", "hardtanh"]


@pytest.mark.parametrize("name", IN_PLACE)
def test_an_activation_in_place_may_overwrite_a_computed_tensor(name):
    """After a layer, as in a network: the values and the gradient are those of the plain form."""
    results = []
    for inplace in (False, True):
        x = (tg.arange(-6, 7).double() / 3).requires_grad_()
        h = x * 1.7
        y = getattr(F, name)(h, inplace=inplace)
        assert (y is h) == inplace
        (y * y).sum().backward()
        results.append((y.detach(), x.grad))
    assert all(tg.equal(plain, written) for plain, written in zip(*results, strict=True))
