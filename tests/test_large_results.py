"""Results too large for the cache are stored past it, long rows go to the loops as they lie: the same bits as small ones."""

import numpy as np
import pytest

import tilegrad as tg
import tilegrad.nn.functional as F

LARGE = (1 << 22) + 1024 + 5  # float32: just over the 16 MB from which results are streamed, with a remainder


def same_bits(a, b):
    return a.detach().contiguous().numpy().tobytes() == b.detach().contiguous().numpy().tobytes()


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize(
    "call",
    [
        lambda x, y: x + y,
        lambda x, y: x * 2.5,
        lambda x, y: tg.exp(x),
        lambda x, y: x.clamp(-0.5, 0.5),
        lambda x, y: tg.addcmul(x, x, y),
        lambda x, y: tg.full_like(x, 3.25),
        lambda x, y: x.clone(),
        lambda x, y: x > y,
        lambda x, y: x.to(tg.float64),
        lambda x, y: x.to(tg.bfloat16).float(),
    ],
)
def test_large_elementwise_results(rng, call):
    x, y = (tg.tensor(rng.standard_normal(LARGE), dtype=tg.float32) for _ in range(2))
    whole = call(x, y)
    for part in (slice(0, 1000), slice(8190, 8200), slice(LARGE - 3000, LARGE)):
        assert same_bits(call(x[part].contiguous(), y[part].contiguous()), whole[part])


def test_large_results_in_place_and_from_an_odd_start(rng):
    x = tg.tensor(rng.standard_normal(LARGE), dtype=tg.float32)
    expected = x.numpy() + np.float32(1)
    moved = x[3:] + 1.0  # the input is not on a cache line
    assert np.array_equal(moved.numpy(), expected[3:])
    x += 1.0
    assert np.array_equal(x.numpy(), expected)
    x[5:] += 1.0
    assert np.array_equal(x.numpy()[5:], expected[5:] + np.float32(1))


@pytest.mark.parametrize("cols", [1024, 1000, 32768 + 64, 16])
def test_large_rows(rng, cols):
    """Rows on cache lines or not, and longer than what waits on the stack."""
    rows = LARGE // cols + 1
    x = tg.tensor(rng.standard_normal((rows, cols)), dtype=tg.float32)
    w, b, dy = tg.tensor(rng.standard_normal(cols)).float(), tg.tensor(rng.standard_normal(cols)).float(), tg.flip(x, (0,))
    calls = [
        lambda t, d: F.softmax(t, 1),
        lambda t, d: F.log_softmax(t, 1),
        lambda t, d: F.layer_norm(t, (cols,), w, b),
        lambda t, d: F.rms_norm(t, (cols,), w, 1e-6),
    ]
    for call in calls:
        leaf = x.detach().clone().requires_grad_()
        whole = call(leaf, dy)
        whole.backward(dy)
        for part in (slice(0, 8), slice(rows - 3, rows)):
            small = x[part].detach().clone().requires_grad_()
            result = call(small, dy[part])
            result.backward(dy[part].contiguous())
            assert same_bits(result, whole[part])
            np.testing.assert_allclose(small.grad.numpy(), leaf.grad[part].numpy(), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("length", [(32, 32), (31, 31), ()])
def test_large_batches_by_channels(rng, length):
    """Batch norm in training and evaluation, planes on cache lines or not, and columns, against float64."""
    channels = 64 if length else 1024
    batch = LARGE // (channels * (length[0] * length[1] if length else 1)) + 1
    a, g = (rng.standard_normal((batch, channels, *length)).astype(np.float32) for _ in range(2))
    vectors = [rng.uniform(0.5, 2, channels).astype(np.float32) for _ in range(4)]
    for training in (True, False):
        results = []
        for dtype in (tg.float32, tg.float64):
            x, w, b = (tg.tensor(v, dtype=dtype).requires_grad_() for v in (a, *vectors[:2]))
            mean, var = (tg.tensor(v, dtype=dtype) for v in vectors[2:])
            y = F.batch_norm(x, mean, var, w, b, training)
            y.backward(tg.tensor(g, dtype=dtype))
            results.append([v.detach().numpy() for v in (y, x.grad, w.grad / batch, b.grad / batch)])
        for ours, exact in zip(*results, strict=True):
            np.testing.assert_allclose(ours, exact, rtol=1e-5, atol=1e-5)


def test_large_cross_entropy(rng):
    for cols in (1008, 1000):
        rows = LARGE // cols + 1
        x = tg.tensor(rng.standard_normal((rows, cols)), dtype=tg.float32).requires_grad_()
        target = tg.tensor(rng.integers(0, cols, rows))
        F.cross_entropy(x, target, reduction="sum").backward()
        p = np.exp(x.detach().numpy().astype(np.float64))
        p /= p.sum(1, keepdims=True)
        p[np.arange(rows), target.numpy()] -= 1
        np.testing.assert_allclose(x.grad.numpy(), p, atol=3e-7)


# --- long rows of elementwise ops ---------------------------------------------------------------------------------------
SHAPES = [
    ((5, 63), (63,)), ((5, 64), (64,)), ((5, 65), (5, 1)), ((3, 1025), (1025,)), ((3, 2, 1000), (2, 1)),
    ((4, 1, 130), (3, 130)),
    ((9000,), ()), ((2, 9000), (2, 1)), ((1, 100), (7, 1)), ((40, 2100), (2100,)), ((300, 130), (300, 1)),
]  # fmt: skip


@pytest.mark.parametrize(("a", "b"), SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bfloat16", "bool"])
def test_broadcast_rows(rng, a, b, dtype):
    kind = getattr(tg, dtype)
    x, y = (tg.tensor(np.rint(rng.uniform(-9, 9, s))).to(kind) for s in (a, b))
    plain, other = (t.to(tg.float64).numpy() for t in (x, y))
    assert np.array_equal((x < y).numpy(), plain < other)
    assert np.array_equal(tg.where(x == y, x, y).to(tg.float64).numpy(), np.where(plain == other, plain, other))
    if dtype != "bool":
        assert np.array_equal((x + y).to(tg.float64).numpy(), plain + other)
        assert np.array_equal((y - x * 2).to(tg.float64).numpy(), other - plain * 2)
        assert np.array_equal(x.clamp(-3, 4).to(tg.float64).numpy(), plain.clip(-3, 4))


def test_rows_of_views(rng):
    x = rng.standard_normal((6, 300)).astype(np.float32)
    t = tg.tensor(x)
    assert np.array_equal((t[:, :150] * t[:, 150:]).numpy(), x[:, :150] * x[:, 150:])
    assert np.array_equal((t[::2, 1:200] + 1).numpy(), x[::2, 1:200] + 1)
    assert np.array_equal((t.expand(4, 6, 300) + t[:, :1]).numpy(), np.broadcast_to(x, (4, 6, 300)) + x[:, :1])
    t[:, 10:290] += t[:1, :280]
    x[:, 10:290] += x[:1, :280].copy()
    assert np.array_equal(t.numpy(), x)
    t *= t[:, :1].clone()
    x *= x[:, :1].copy()
    assert np.array_equal(t.numpy(), x)


@pytest.mark.parametrize("exponent", [2, 3, 0.5, -0.5, -1, -2, 2.0, 1.5])
def test_powers_that_are_products(rng, exponent):
    x = np.concatenate([rng.uniform(0.01, 50, 1000), [0.0, np.inf, np.nan, 1e-30, 1e30]]).astype(np.float32)
    with np.errstate(all="ignore"):
        exact = x.astype(np.float64) ** exponent
        np.testing.assert_allclose((tg.tensor(x) ** exponent).numpy(), exact.astype(np.float32), rtol=4e-7, atol=1e-44)
    negative = tg.tensor([-2.0, -0.5]) ** exponent
    expected = [(-2.0) ** exponent, (-0.5) ** exponent] if float(exponent).is_integer() else [np.nan, np.nan]
    np.testing.assert_allclose(negative.numpy(), expected, rtol=1e-6)
