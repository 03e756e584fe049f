"""DataLoader with worker processes: what arrives, in which order, with which random numbers, and what happens when they die."""

import collections
import faulthandler
import gc
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

import tilegrad as tg
from tilegrad.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, get_worker_info
from tilegrad.utils.data.process_workers import batch_seed

Point = collections.namedtuple("Point", "x y")


class Items(Dataset):
    """Item i is function(i)."""

    def __init__(self, n, function):
        self.n, self.function = n, function

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return self.function(i)


def lists(loader):
    return [b.tolist() for b in loader]


def children():
    """Processes of this one that live or are zombies."""
    listed = subprocess.run(["ps", "--ppid", str(os.getpid()), "-o", "pid=,stat=,comm="], capture_output=True, text=True).stdout
    return [line for line in listed.splitlines() if "ps" not in line.split()[2:]]


def wait_until(condition, seconds=8.0):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


# ---- what arrives


def test_everything_arrives_as_it_left():
    sent = {
        "float": tg.arange(6).reshape(2, 3).float(),
        "strided": tg.arange(6).reshape(2, 3).T,
        "empty": tg.zeros(0, 4, dtype=tg.float64),
        "scalar": tg.tensor(3.5),
        "bool": tg.tensor([True, False]),
        "half": tg.tensor([1.5, -2.0], dtype=tg.float16),
        "brain": tg.tensor([1.5, -2.0], dtype=tg.bfloat16),
        "wants": tg.ones(2, requires_grad=True),
        "array": np.arange(5, dtype=np.int32),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "point": Point("text", [b"bytes", None, {1, 2}]),
    }
    for count in (1, 50_000):  # in a packet, and in a mapped segment
        sent["many"] = np.arange(count)
        (got,) = DataLoader(Items(1, lambda i: sent), batch_size=None, num_workers=1)
        assert got["point"] == sent["point"] and type(got["point"]).__name__ == "Point"
        for name, value in sent.items():
            if isinstance(value, tg.Tensor):
                assert got[name].dtype == value.dtype and got[name].shape == value.shape, name
                assert got[name].equal(value) and got[name].requires_grad == value.requires_grad, name
            elif isinstance(value, np.ndarray):  # without batching, arrays become tensors
                assert got[name].numpy().dtype == value.dtype and np.array_equal(got[name].numpy(), value), name


def test_batches_are_writable_and_outlive_the_workers():
    loader = DataLoader(Items(40, lambda i: np.full((100, 100), i, dtype=np.float32)), batch_size=4, num_workers=2)
    before = len(os.listdir("/proc/self/fd"))
    kept = list(loader)
    assert len(os.listdir("/proc/self/fd")) <= before + 2  # a kept batch holds no descriptor
    for i, batch in enumerate(kept):
        assert batch.shape == (4, 100, 100) and batch[:, 0, 0].tolist() == list(range(4 * i, 4 * i + 4))
        batch.add_(1)
    assert kept[3][0, 5, 5].item() == 13 and kept[4][0, 5, 5].item() == 17
    views = [batch[1] for batch in kept]
    del kept, batch
    gc.collect()
    assert [v[0, 0].item() for v in views] == [4 * i + 2 for i in range(10)]


def test_same_batches_as_without_workers():
    data = TensorDataset(tg.randn(101, 7), tg.arange(101))
    for options in (
        {"batch_size": 8},
        {"batch_size": 8, "drop_last": True},
        {"batch_size": None},
        {"batch_sampler": [[3, 1], [2]]},
    ):
        expected = list(DataLoader(data, **options))
        got = list(DataLoader(data, num_workers=3, **options))
        assert len(got) == len(expected)
        for a, b in zip(got, expected, strict=True):
            assert all(x.equal(y) for x, y in zip(a, b, strict=True))


def test_shuffled_epochs_do_not_depend_on_the_number_of_workers():
    orders = []
    for workers in (0, 1, 3):
        tg.manual_seed(5)
        loader = DataLoader(Items(30, lambda i: i), batch_size=4, shuffle=True, num_workers=workers)
        orders.append([lists(loader), lists(loader), tg.rand(1).item()])
    assert orders[0] == orders[1] == orders[2] and orders[0][0] != orders[0][1]


def test_endless_sampler_is_read_lazily():
    def forever():
        i = 0
        while True:
            yield [i]
            i += 1

    loader = DataLoader(Items(10**9, lambda i: i), batch_sampler=forever(), num_workers=2)
    assert [b.item() for b, _ in zip(loader, range(20), strict=False)] == list(range(20))


def test_out_of_order():
    slow_first = Items(6, lambda i: time.sleep(0.5) or i if i == 0 else i)
    got = [b.item() for b in DataLoader(slow_first, num_workers=2, in_order=False)]
    assert sorted(got) == list(range(6)) and got[0] != 0


# ---- random numbers


def draw(i):
    return np.array([i, tg.rand(1).item(), random.random(), np.random.rand()])


def test_random_numbers_repeat_for_any_number_of_workers():
    runs = {}
    for workers in (1, 2, 3):
        tg.manual_seed(11)
        loader = DataLoader(Items(24, draw), batch_size=4, shuffle=True, num_workers=workers)
        runs[workers] = [lists(loader), lists(loader)]
    assert runs[1] == runs[2] == runs[3]
    first, second = runs[1]
    values = np.array(first + second).reshape(-1, 4)[:, 1:]
    assert len(np.unique(values)) == values.size  # nothing is drawn twice, in no batch, epoch or generator
    tg.manual_seed(12)
    assert lists(DataLoader(Items(24, draw), batch_size=4, shuffle=True, num_workers=2)) != first


def test_a_worker_init_fn_decides_the_seeds():
    def init(worker):
        np.random.seed(100 + worker)

    loader = DataLoader(
        Items(4, lambda i: np.array([np.random.rand(), get_worker_info().seed])), num_workers=2, worker_init_fn=init
    )
    got = np.array(lists(loader)).reshape(4, 2)
    expected = [np.random.RandomState(100 + w).rand(2) for w in (0, 1)]
    np.testing.assert_array_equal(got[:, 0], [expected[0][0], expected[1][0], expected[0][1], expected[1][1]])
    assert got[1, 1] == got[0, 1] + 1 and got[0, 1] == got[2, 1]


def test_batch_seeds_are_all_different():
    seeds = {batch_seed(base, number) for base in range(50) for number in range(200)}
    assert len(seeds) == 50 * 200 and min(seeds) >= 0 and max(seeds) < 2**63


# ---- who the workers are


def test_worker_info():
    def who(i):
        info = get_worker_info()
        return np.array([info.id, info.num_workers, len(info.dataset), os.getpid(), tg.get_num_threads()])

    got = np.array(lists(DataLoader(Items(6, who), num_workers=3))).reshape(6, 5)
    assert got[:, 0].tolist() == [0, 1, 2, 0, 1, 2] and set(got[:, 1]) == {3} and set(got[:, 2]) == {6}
    assert len(set(got[:, 3])) == 3 and os.getpid() not in got[:, 3] and set(got[:, 4]) == {1}
    assert get_worker_info() is None


class Shard(IterableDataset):
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        info = get_worker_info()
        return iter(range(info.id, self.n, info.num_workers)) if info else iter(range(self.n))


def test_streams():
    loader = DataLoader(Shard(11), batch_size=2, num_workers=3)
    assert lists(loader) == [[0, 3], [1, 4], [2, 5], [6, 9], [7, 10], [8]]
    assert sorted(i for b in lists(DataLoader(Shard(2), batch_size=2, num_workers=3)) for i in b) == [0, 1]
    keep = DataLoader(Shard(5), batch_size=None, num_workers=2, persistent_workers=True)
    assert list(keep) == list(keep) == [0, 1, 2, 3, 4]


def test_persistent_workers():
    started = multiprocessing.Value("i", 0)

    def init(worker):
        with started.get_lock():
            started.value += 1

    loader = DataLoader(
        Items(9, lambda i: np.array([i, os.getpid()])), num_workers=2, persistent_workers=True, worker_init_fn=init
    )
    pids = [{pid for ((_, pid),) in lists(loader)} for _ in range(3)]
    assert pids[0] == pids[1] == pids[2] and started.value == 2
    for _ in loader:  # an epoch left early does not reach into the next one
        break
    assert [b[0][0] for b in lists(loader)] == list(range(9))
    pid = pids[0].pop()
    del loader
    gc.collect()
    assert wait_until(lambda: not os.path.exists(f"/proc/{pid}"))


# ---- errors


def broken(i):
    if i == 3:
        raise KeyError("item three is not there")
    return i


def test_an_exception_arrives_with_its_traceback():
    iterator = iter(DataLoader(Items(6, broken), num_workers=2))
    assert [next(iterator).item() for _ in range(3)] == [0, 1, 2]
    with pytest.raises(KeyError) as caught:
        next(iterator)
    text = str(caught.value)
    assert "Caught KeyError in DataLoader worker process 1." in text and "Original Traceback" in text
    assert 'raise KeyError("item three is not there")' in text and "in broken" in text and "\n" in text
    assert [b.item() for b in iterator] == [4, 5]  # the others still come


class Strange(Exception):
    def __init__(self, a, b):
        super().__init__(a, b)


def raise_strange(i):
    raise Strange(1, 2)


def test_exceptions_and_batches_that_cannot_be_rebuilt():
    with pytest.raises(RuntimeError, match=r"Caught Strange in DataLoader worker process 0[\s\S]*raise_strange"):
        list(DataLoader(Items(1, raise_strange), num_workers=1))

    class Local(Exception):
        pass

    def raise_local(i):
        raise Local("deep inside")

    with pytest.raises(RuntimeError, match=r"Caught Local[\s\S]*deep inside"):
        list(DataLoader(Items(1, raise_local), num_workers=1))
    with pytest.raises(RuntimeError, match=r"(?i)pickle"):
        list(DataLoader(Items(1, lambda i: lambda: 0), num_workers=1, batch_size=None))

    def bad_init(worker):
        raise ValueError("no data here")

    with pytest.raises(ValueError, match=r"(?s)Caught ValueError in DataLoader worker process 0.*no data here"):
        list(DataLoader(Items(4, lambda i: i), num_workers=1, worker_init_fn=bad_init))


def die(how):
    def item(i):
        if i == 5:
            faulthandler.disable()  # this death is wanted: no report of it
            os.kill(os.getpid(), how) if how else os._exit(7)
        return i

    return item


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (signal.SIGKILL, r"DataLoader worker 1 \(pid \d+\) is killed by signal: SIGKILL .* run out of memory"),
        (signal.SIGSEGV, r"is killed by signal: SIGSEGV \(Segmentation fault\)"),
        (0, r"DataLoader worker 1 \(pid \d+\) exited unexpectedly with exit code 7"),
    ],
)
def test_a_dead_worker_is_an_error_not_a_hang(how, message):
    for persistent in (False, True):
        start = time.monotonic()
        loader = DataLoader(Items(20, die(how)), num_workers=2, persistent_workers=persistent)
        with pytest.raises(RuntimeError, match=message):
            list(loader)
        assert time.monotonic() - start < 5
        if persistent:
            assert next(iter(loader)).item() == 0  # a new epoch starts new workers
        del loader


def test_timeout():
    with pytest.raises(RuntimeError, match=r"DataLoader timed out after 0\.2 seconds"):
        list(DataLoader(Items(1, lambda i: time.sleep(1)), num_workers=1, timeout=0.2))


# ---- nothing stays behind


def test_leaving_early_and_garbage():
    gc.collect()
    before = len(children())
    for _ in DataLoader(Items(1000, lambda i: i), num_workers=2):
        break
    unused = iter(DataLoader(Items(1000, lambda i: np.zeros((300, 300))), num_workers=2))
    assert len(children()) >= before + 2
    del unused, _
    gc.collect()
    assert wait_until(lambda: len(children()) <= before), children()


def run_script(code):
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


ENDLESS = """
    import os, sys, time
    import tilegrad as tg
    from tilegrad.utils.data import DataLoader, Dataset, TensorDataset

    class Items(Dataset):
        def __len__(self):
            return 10**6
        def __getitem__(self, i):
            time.sleep(0.005)
            return os.getpid()

    loader = DataLoader(Items(), num_workers=2)
    pids = set()
    for step, pid in enumerate(loader):
        pids.add(pid.item())
        if step == 3:
            print(*pids, flush=True)
            keep = iter(DataLoader(TensorDataset(tg.ones(8)), num_workers=1, persistent_workers=True))  # forks later
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_the_program(how):
    program = run_script(ENDLESS)
    pids = [int(pid) for pid in program.stdout.readline().split()]
    assert len(pids) == 2 and all(os.path.exists(f"/proc/{pid}") for pid in pids)
    if how == signal.SIGINT:
        os.killpg(program.pid, how)  # as a terminal does: the whole group gets it
    else:
        program.send_signal(how)
    _, errors = program.communicate(timeout=20)
    if how == signal.SIGINT:
        assert errors.count("KeyboardInterrupt") == 1 and "Process tilegrad-loader" not in errors
    assert wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids))


SLOW_TO_BEGIN = """
    import os, time
    import tilegrad as tg
    from tilegrad.utils.data import DataLoader, TensorDataset
    os.register_at_fork(after_in_child=lambda: time.sleep(0.5))
    keep = iter(DataLoader(TensorDataset(tg.ones(8)), num_workers=1))
    print("forked", flush=True)
    time.sleep(30)
"""


def test_ctrl_c_before_a_worker_has_begun():
    program = run_script(SLOW_TO_BEGIN)
    assert program.stdout.readline().strip() == "forked"
    os.killpg(program.pid, signal.SIGINT)
    _, errors = program.communicate(timeout=20)
    assert errors.count("KeyboardInterrupt") == 1 and "Process tilegrad-loader" not in errors


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_spawn_and_forkserver(method, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(f"""
        import numpy as np
        import tilegrad as tg
        from tilegrad.utils.data import DataLoader, Dataset

        class Items(Dataset):
            def __init__(self):
                self.table = tg.arange(12).float()
            def __len__(self):
                return 12
            def __getitem__(self, i):
                return self.table[i], np.random.rand()

        if __name__ == "__main__":
            tg.set_num_threads(2)
            tg.rand(600, 600) @ tg.rand(600, 600)
            tg.manual_seed(3)
            a = list(DataLoader(Items(), batch_size=5, num_workers=2, multiprocessing_context={method!r}))
            tg.manual_seed(3)
            b = list(DataLoader(Items(), batch_size=5, num_workers=1, multiprocessing_context="fork"))
            assert [x.tolist() for x, _ in a] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11]]
            assert all(r.equal(s) for (_, r), (_, s) in zip(a, b)), (a, b)
            print("same")
        """)
    )
    result = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60)
    assert result.stdout == "same\n", result.stderr
    assert result.stderr == ""


def test_forked_workers_run_kernels_after_the_parent_ran_them_on_threads(run_python):
    run_python(
        """
        import tilegrad as tg
        from tilegrad.utils.data import DataLoader
        tg.set_num_threads(4)
        a = tg.rand(700, 700)
        (a @ a).sum()
        class Items:
            def __len__(self): return 6
            def __getitem__(self, i): return (a @ a).mean() + i
        got = [b.item() for b in DataLoader(Items(), num_workers=2, multiprocessing_context="fork", timeout=60)]
        assert abs(got[5] - got[0] - 5) < 0.01, got
        """,
        TILEGRAD_NUM_THREADS="4",
    )
