"""Kernel threads and Python threads: the same bits for any number, independent graphs side by side, fork safety."""

import threading

import numpy as np
import pytest

import tilegrad as tg

pytestmark = pytest.mark.xdist_group("serial")


@pytest.fixture
def threads():
    """Restores the number of kernel threads."""
    before = tg.get_num_threads()
    yield tg.set_num_threads
    tg.set_num_threads(before)


def results():
    """One result of every kind of kernel, large enough to be split among threads."""
    rng = np.random.default_rng(0)
    a, b = (tg.tensor(rng.standard_normal(s), dtype=tg.float32, requires_grad=True) for s in ((300, 700), (700, 260)))
    x = tg.tensor(rng.standard_normal(1_000_003), dtype=tg.float32)
    rows = tg.tensor(rng.standard_normal((600, 1025)), dtype=tg.float32)
    target = tg.tensor(rng.integers(0, 1025, 600))
    tg.manual_seed(3)
    y = {
        "matmul": a @ b,
        "thin matmul": a[:3] @ b,
        "deep matmul": a.t() @ a[:, :5],
        "batched": a.reshape(30, 10, 700) @ b,
        "sum of all": x.sum(),
        "sum of rows": rows.sum(1),
        "sum of columns": rows.sum(0),
        "mean, var": rows.var(1) + rows.mean(1),
        "exp": tg.exp(x),
        "broadcast": rows + rows[0] * rows[:, :1],
        "softmax": tg.softmax(rows, 1),
        "softmax of columns": tg.softmax(rows, 0),
        "cross_entropy": tg.nn.functional.cross_entropy(rows, target),
        "index": rows[target % 600],
        "cat": tg.cat([rows, rows.flip(0)]),
        "rand": tg.rand(500_001),
        "randn": tg.randn(500_001),
        "randperm": tg.randperm(10_001),
        "transposed copy": rows.t().contiguous(),
        "double": tg.tensor(rng.standard_normal((200, 300))) @ tg.tensor(rng.standard_normal((300, 200))),
        "half": (a.detach().to(tg.bfloat16) @ b.detach().to(tg.bfloat16)).to(tg.float32),
    }
    loss = y["matmul"].square().mean() + tg.softmax(y["matmul"], 1)[:, 0].sum()
    loss.backward()
    y |= {"da": a.grad, "db": b.grad}
    index = tg.tensor(rng.integers(0, 50, 600))
    y["index_add"] = tg.zeros(50, 1025).index_add(0, index, rows)
    return {k: v.detach().numpy().copy() for k, v in y.items()}


@pytest.fixture(scope="module")
def one_thread():
    before = tg.get_num_threads()
    tg.set_num_threads(1)
    yield results()
    tg.set_num_threads(before)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_the_same_bits_for_any_number_of_threads(count, threads, one_thread):
    threads(count)
    for name, value in results().items():
        assert value.tobytes() == one_thread[name].tobytes(), f"{name} differs between 1 and {count} threads"


def test_twice_gives_the_same_bits(threads, one_thread):
    threads(1)
    for name, value in results().items():
        assert value.tobytes() == one_thread[name].tobytes(), name


def test_set_and_get(threads):
    threads(3)
    assert tg.get_num_threads() == 3
    for bad in (0, -1):
        with pytest.raises((ValueError, RuntimeError), match=rf"set_num_threads.*{bad}"):
            threads(bad)
    with pytest.raises(TypeError):
        threads("2")
    assert tg.get_num_threads() == 3


def test_environment_variable(run_python):
    code = "import tilegrad as tg; print(tg.get_num_threads())"
    assert run_python(code, TILEGRAD_NUM_THREADS="3").stdout.strip() == "3"
    for bad in ("0", "many", "-2", "2x"):
        result = run_python(code, check=False, TILEGRAD_NUM_THREADS=bad)
        assert result.returncode != 0
        assert f"TILEGRAD_NUM_THREADS={bad}: expected a whole number from 1 to 1024" in result.stderr


def test_the_default_is_what_this_process_may_use(run_python):
    code = """
        import os
        os.environ.pop("TILEGRAD_NUM_THREADS")
        os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[0]})
        import tilegrad as tg
        print(tg.get_num_threads())
    """
    assert run_python(code).stdout.strip() == "1"


# --- Python threads ----------------------------------------------------------------------------------------------------


def run_in_threads(work, count=4):
    errors = []

    def guarded(i):
        try:
            work(i)
        except BaseException as error:
            errors.append(error)

    workers = [threading.Thread(target=guarded, args=(i,)) for i in range(count)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    if errors:
        raise errors[0]


def train(seed, steps=30):
    rng = np.random.default_rng(seed)
    w = tg.tensor(rng.standard_normal((20, 5)), dtype=tg.float32, requires_grad=True)
    for _ in range(steps):
        x = tg.tensor(rng.standard_normal((64, 20)), dtype=tg.float32)
        loss = (tg.softmax(tg.tanh(x @ w), 1) ** 2).sum()
        (g,) = tg.autograd.grad(loss, w, create_graph=True)
        (g.square().mean() + loss).backward()
        with tg.no_grad():
            w -= 0.01 * w.grad
        w.grad = None
    return w.detach().numpy()


def test_several_python_threads_with_independent_graphs():
    expected = [train(i) for i in range(4)]

    def work(i):
        np.testing.assert_array_equal(train(i), expected[i])

    run_in_threads(work)


def test_several_python_threads_with_a_shared_input():
    x = tg.ones(1000, requires_grad=True)

    def work(i):
        for _ in range(50):
            assert tg.autograd.grad((x * float(i)).sum(), x)[0][0].item() == float(i)

    run_in_threads(work)


def test_accumulation_into_one_leaf_from_several_threads():
    x = tg.zeros(1000, requires_grad=True)
    run_in_threads(lambda i: [x.sum().backward() for _ in range(50)])
    assert x.grad.tolist() == [200.0] * 1000


def test_large_kernels_from_several_python_threads(threads):
    threads(2)
    a = tg.rand(256, 256)
    expected = (a @ a).numpy()
    run_in_threads(lambda i: [np.testing.assert_array_equal((a @ a).numpy(), expected) for _ in range(10)])


def test_allocator_under_several_python_threads():
    before = tg.memory_stats()["live_bytes"]

    def work(i):
        rng = np.random.default_rng(i)
        kept = []
        for n in rng.integers(1, 50_000, 300):
            t = tg.full((int(n),), float(i))
            kept = [*kept[-5:], t]
            assert all(k[-1].item() == float(i) for k in kept)

    run_in_threads(work)
    assert tg.memory_stats()["live_bytes"] == before


# --- fork --------------------------------------------------------------------------------------------------------------

FORK = """
    import os, sys, threading, time, warnings
    import numpy as np
    import tilegrad as tg
    tg.set_num_threads(2)
    a = tg.rand(300, 300)
    expected = (a @ a).numpy().copy()
    stop = threading.Event()

    def busy():
        while not stop.is_set():
            (a @ a).sum(); tg.empty(100_000)

    thread = threading.Thread(target=busy)
    thread.start()
    time.sleep(0.05)
    for _ in range(20):
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                assert tg.get_num_threads() == 1, tg.get_num_threads()
                x = tg.rand(300, 300, requires_grad=True)
                (x @ x).sum().backward()
                np.testing.assert_array_equal((a @ a).numpy(), expected)
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always")
                    tg.set_num_threads(4)
                assert len(caught) == 1 and "forked" in str(caught[0].message), caught
                assert tg.get_num_threads() == 1
                np.testing.assert_array_equal((a @ a).numpy(), expected)
                status = 0
            except BaseException as error:
                print(repr(error), flush=True)
            os._exit(status)
        deadline = time.time() + 20
        while True:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done: break
            if time.time() > deadline:
                os.kill(pid, 9); os.waitpid(pid, 0); stop.set()
                sys.exit("the child hangs")
            time.sleep(0.005)
        if status != 0:
            stop.set(); sys.exit(f"child failed with {status}")
    stop.set()
    thread.join()
    assert tg.get_num_threads() == 2
    np.testing.assert_array_equal((a @ a).numpy(), expected)
"""


def test_fork_while_a_second_thread_runs_kernels(run_python):
    run_python(FORK, timeout=300)


def test_fork_workers_of_multiprocessing(run_python):
    run_python("""
        import multiprocessing, tilegrad as tg
        x = tg.arange(10.0)
        x.exp()

        def work(i):
            return (x * i).sum().item()

        with multiprocessing.get_context("fork").Pool(2) as pool:
            assert pool.map(work, range(4)) == [0.0, 45.0, 90.0, 135.0]
    """)


# --- every family of kernels, forwards and backwards --------------------------------------------------------------------

F = tg.nn.functional


def floats(*shape, dtype=tg.float32, seed=0):
    values = np.random.default_rng(seed).standard_normal(shape)
    return tg.tensor(values, dtype=dtype).requires_grad_(dtype in (tg.float32, tg.float64))


def ints(high, *shape):
    return tg.tensor(np.random.default_rng(1).integers(0, high, shape))


def recurrent(kind):
    tg.manual_seed(0)
    layer = getattr(tg.nn, kind)(48, 64, bidirectional=True)
    return layer(floats(12, 20, 48))[0]


def stepped(kind, **options):
    """The parameters after two steps over many elements."""
    w = tg.nn.Parameter(floats(300_007).detach())
    optimizer = getattr(tg.optim, kind)([w], **options)
    for seed in (1, 2):
        w.grad = floats(300_007, seed=seed).detach()
        optimizer.step()
    return w.detach()


def ctc():
    return F.ctc_loss(floats(50, 16, 40).log_softmax(-1), ints(39, 16, 12) + 1, [50] * 16, [12] * 16, reduction="none")


SPLIT = {
    "conv1d": lambda: F.conv1d(floats(8, 16, 500), floats(32, 16, 5), floats(32), 2, 2),
    "conv2d 3x3": lambda: F.conv2d(floats(4, 32, 30, 31), floats(48, 32, 3, 3), floats(48), 1, 1),
    "conv2d 1x1": lambda: F.conv2d(floats(4, 32, 30, 31), floats(48, 32, 1, 1)),
    "conv2d strided": lambda: F.conv2d(floats(4, 32, 31, 30), floats(48, 32, 5, 5), None, 2, 2, 2),
    "conv2d one image": lambda: F.conv2d(floats(1, 64, 40, 40), floats(64, 64, 3, 3), None, 1, 1),
    "conv2d deep": lambda: F.conv2d(floats(2, 256, 7, 7), floats(256, 256, 3, 3), None, 1, 1),
    "conv2d first layer": lambda: F.conv2d(floats(4, 3, 64, 64), floats(32, 3, 7, 7), None, 2, 3),
    "conv2d groups": lambda: F.conv2d(floats(4, 32, 30, 30), floats(64, 8, 3, 3), None, 1, 1, 1, 4),
    "conv2d depthwise": lambda: F.conv2d(floats(4, 64, 30, 30), floats(64, 1, 3, 3), None, 1, 1, 1, 64),
    "conv2d double": lambda: F.conv2d(*(floats(16, 16, n, n, dtype=tg.float64) for n in (20, 3)), None, 1, 1),
    "conv3d": lambda: F.conv3d(floats(2, 8, 10, 12, 12), floats(16, 8, 3, 3, 3), None, 1, 1),
    "conv_transpose2d": lambda: F.conv_transpose2d(floats(4, 32, 15, 15), floats(32, 24, 4, 4), None, 2, 1),
    "max_pool2d": lambda: F.max_pool2d(floats(8, 32, 41, 40), 3, 2, 1),
    "avg_pool2d": lambda: F.avg_pool2d(floats(8, 32, 41, 40), 3, 2, 1),
    "adaptive_avg_pool2d": lambda: F.adaptive_avg_pool2d(floats(8, 32, 41, 40), 7),
    "adaptive_max_pool2d": lambda: F.adaptive_max_pool2d(floats(8, 32, 41, 40), 7),
    "avg_pool3d": lambda: F.avg_pool3d(floats(4, 8, 20, 21, 22), 3, 2, 1),
    "max_unpool2d": lambda: F.max_unpool2d(*F.max_pool2d(floats(8, 32, 40, 40), 2, return_indices=True), 2),
    "unfold": lambda: F.unfold(floats(8, 16, 40, 40), 3, 1, 1),
    "fold": lambda: F.fold(floats(8, 144, 1600), (40, 40), 3, 1, 1),
    "pad reflect": lambda: F.pad(floats(8, 16, 40, 40), (3, 2, 1, 4), "reflect"),
    "pad circular": lambda: F.pad(floats(8, 16, 40, 40), (3, 2, 1, 4), "circular"),
    "interpolate bilinear": lambda: F.interpolate(floats(8, 16, 40, 40), scale_factor=1.7, mode="bilinear"),
    "interpolate bicubic": lambda: F.interpolate(floats(8, 16, 40, 40), (55, 23), mode="bicubic", antialias=True),
    "interpolate trilinear": lambda: F.interpolate(floats(2, 8, 20, 20, 20), (31, 13, 25), mode="trilinear"),
    "grid_sample": lambda: F.grid_sample(floats(8, 16, 40, 40), floats(8, 35, 36, 2), align_corners=False),
    "grid_sample 3d": lambda: F.grid_sample(floats(2, 4, 12, 14, 13), floats(2, 15, 14, 13, 3), align_corners=True),
    "attention": lambda: F.scaled_dot_product_attention(*(floats(4, 4, 150, 32, seed=i) for i in range(3)), is_causal=True),
    "attention with a mask": lambda: F.scaled_dot_product_attention(
        *(floats(4, 4, 150, 32, seed=i) for i in range(3)), attn_mask=floats(150, 150)),
    "attention of long rows": lambda: F.scaled_dot_product_attention(*(floats(1, 1, 1100, 64, seed=i) for i in range(3))),
    "batch_norm": lambda: F.batch_norm(floats(16, 32, 30, 30), None, None, floats(32), floats(32), True),
    "batch_norm of rows": lambda: F.batch_norm(floats(5000, 64), None, None, floats(64), floats(64), True),
    "layer_norm": lambda: F.layer_norm(floats(1500, 384), (384,), floats(384), floats(384)),
    "rms_norm": lambda: F.rms_norm(floats(1500, 384), (384,), floats(384)),
    "group_norm": lambda: F.group_norm(floats(16, 32, 30, 30), 8, floats(32), floats(32)),
    "instance_norm": lambda: F.instance_norm(floats(16, 32, 30, 30)),
    "embedding": lambda: F.embedding(ints(500, 5000), floats(500, 96)),
    "embedding_bag": lambda: F.embedding_bag(ints(500, 5000, 4), floats(500, 96), mode="mean"),
    "embedding_bag max": lambda: F.embedding_bag(ints(500, 5000, 4), floats(500, 96), mode="max"),
    "ctc_loss": ctc,
    "cross_entropy": lambda: F.cross_entropy(floats(2000, 300), ints(300, 2000), label_smoothing=0.1),
    "cross_entropy of columns": lambda: F.cross_entropy(floats(8, 20, 50, 50), ints(20, 8, 50, 50)),
    "cross_entropy soft": lambda: F.cross_entropy(floats(2000, 300), floats(2000, 300, seed=1).softmax(1)),
    "mse_loss": lambda: F.mse_loss(floats(1000, 301), floats(1000, 301, seed=1)),
    "binary_cross_entropy": lambda: F.binary_cross_entropy_with_logits(floats(1000, 301), floats(1000, 301, seed=1).sigmoid()),
    "huber_loss": lambda: F.huber_loss(floats(1000, 301), floats(1000, 301, seed=1)),
    "LSTM": lambda: recurrent("LSTM"),
    "GRU": lambda: recurrent("GRU"),
    "RNN": lambda: recurrent("RNN"),
    "sort": lambda: tg.sort(floats(700, 501), 1)[0],
    "sort of columns": lambda: tg.sort(floats(501, 700), 0)[1],
    "sort of one row": lambda: tg.sort(floats(300_001))[1],
    "topk": lambda: tg.topk(floats(700, 501), 17, 1)[0],
    "unique": lambda: tg.unique(ints(5000, 200_000), return_counts=True)[1],
    "cumsum": lambda: tg.cumsum(floats(600, 701), 1),
    "cumsum of one row": lambda: tg.cumsum(floats(500_001), 0),
    "cumsum of columns": lambda: tg.cumsum(floats(701, 600), 0),
    "cumprod": lambda: tg.cumprod(floats(600, 701) * 0.1 + 1, 1),
    "logcumsumexp": lambda: tg.logcumsumexp(floats(600, 701), 1),
    "cummax": lambda: tg.cummax(floats(600, 701), 1)[0],
    "logsumexp": lambda: tg.logsumexp(floats(600, 701), 0),
    "gather": lambda: tg.gather(floats(600, 701), 1, ints(701, 600, 500)),
    "scatter_add": lambda: tg.scatter_add(floats(600, 701), 1, ints(701, 600, 500), floats(600, 500)),
    "scatter_add of columns": lambda: tg.scatter_add(floats(60, 701), 0, ints(60, 600, 701), floats(600, 701)),
    "scatter_reduce": lambda: tg.scatter_reduce(floats(60, 701), 0, ints(60, 600, 701), floats(600, 701), "mean"),
    "index_add": lambda: tg.index_add(floats(60, 701), 0, ints(60, 900), floats(900, 701)),
    "index_put": lambda: tg.index_put(floats(300), (ints(300, 90_000),), floats(90_000), accumulate=True),
    "masked_select": lambda: tg.masked_select(floats(600, 701), floats(600, 701, seed=1) > 0),
    "bincount": lambda: tg.bincount(ints(50, 200_000), floats(200_000).detach()),
    "einsum": lambda: tg.einsum("bik,bkj,bj->bi", floats(8, 60, 70), floats(8, 70, 80), floats(8, 80)),
    "solve": lambda: tg.linalg.solve(floats(20, 30, 30) + 9 * tg.eye(30), floats(20, 30, 30, seed=1)),
    "matrix product": lambda: floats(300, 500) @ floats(500, 260),
    "cdist": lambda: tg.cdist(floats(200, 40), floats(150, 40, seed=1)),
    "gelu": lambda: F.gelu(floats(300_001)),
    "lgamma": lambda: tg.lgamma(floats(300_001).abs() + 1),
    "addcdiv": lambda: tg.addcdiv(floats(300_001), floats(300_001, seed=1), floats(300_001, seed=2).square() + 1),
    "SGD": lambda: stepped("SGD", lr=0.1, momentum=0.9),
    "AdamW": lambda: stepped("AdamW", lr=0.1),
    "Adagrad": lambda: stepped("Adagrad", lr=0.1),
    "RMSprop": lambda: stepped("RMSprop", lr=0.1),
    "dropout": lambda: (tg.manual_seed(1), F.dropout(floats(300_001), 0.3))[1],
}  # fmt: skip


def bits(name, monkeypatch):
    """The result of a call of SPLIT and the gradients of all float tensors it made, as bytes."""
    made = []
    monkeypatch.setitem(globals(), "floats", lambda *a, **k: made.append(FLOATS(*a, **k)) or made[-1])
    y = SPLIT[name]()
    if y.requires_grad:
        (y * tg.linspace(-1.0, 1.0, y.numel(), dtype=y.dtype).reshape(y.shape)).sum().backward()
        assert any(t.grad is not None for t in made)
    return [y.detach().numpy().tobytes(), *(t.grad.numpy().tobytes() for t in made if t.grad is not None)]


FLOATS = floats


@pytest.mark.parametrize("name", SPLIT)
def test_a_kernel_gives_the_same_bits_for_any_number_of_threads(name, threads, monkeypatch):
    threads(1)
    expected = bits(name, monkeypatch)
    for count in (2, 3, 4):
        threads(count)
        assert bits(name, monkeypatch) == expected, f"{count} threads"
