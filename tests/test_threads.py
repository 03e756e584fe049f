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
