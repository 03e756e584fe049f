"""tg.profile: the ops, their times and bytes, forward and backward apart, and nothing left behind."""

import itertools
import json
import threading
import time

import pytest

import tilegrad as tg
from tilegrad import profiler


def work(x):
    ((x @ x).sigmoid() * 2).sum().backward()


def test_calls_phases_and_bytes():
    x = tg.randn(50, 50, requires_grad=True)
    with tg.profile() as prof:
        work(x)
        work(x)
    rows = {(r.name, r.phase): r for r in prof.rows()}
    assert rows["matmul", "forward"].calls == 2 and rows["matmul", "backward"].calls == 4
    assert rows["sigmoid_backward", "backward"].calls == 2 and ("sigmoid", "backward") not in rows
    assert rows["matmul", "forward"].bytes == 2 * 3 * 50 * 50 * 4
    assert all(r.time >= r.self_time > 0 for r in rows.values())
    assert sum(r.self_time for r in rows.values()) <= prof.wall_time
    assert prof.events[0].name == "matmul" and prof.events[0].shapes == ()
    before = len(prof.events)
    work(x)
    assert len(prof.events) == before  # closed


def test_in_place_ops_and_shapes():
    x = tg.zeros(3, 4)
    with tg.profile(record_shapes=True) as prof:
        x.add_(1)
        x.mul_(tg.ones(4))
        tg.cat([x, x, x])
    assert [(e.name, e.shapes) for e in prof.events if e.name != "full"] == [
        ("add_", ((3, 4),)),
        ("mul_", ((3, 4), (4,))),
        ("cat", ((3, 4), (3, 4), (3, 4))),
    ]
    assert prof.events[-1].bytes == 2 * 9 * 4 * 4


def test_table():
    x = tg.randn(40, 40, requires_grad=True)
    with tg.profile() as prof:
        work(x)
    text = prof.table(sort_by="calls", row_limit=2)
    lines = text.splitlines()
    plain = ["op", "phase", "calls", "self", "share", "time", "mean", "bytes", "flops"]
    assert lines[0].split() == [*plain, "of", "limit", "bound", "kernel"]
    assert prof.table(limits=False).splitlines()[0].split() == plain
    assert int(lines[2].split()[2]) == max(r.calls for r in prof.rows()) and "... " in text
    assert "forward ops:" in text and "backward ops:" in text and "outside of ops:" in text and "wall time:" in text
    names = [line.split()[0] for line in prof.table("name", -1).splitlines()[2:-5]]
    assert names == sorted(names) and len(names) == len(prof.rows())
    rows = prof.key_averages().table(sort_by="self_cpu_time_total", row_limit=1)
    assert rows == prof.table(row_limit=1)
    assert prof.key_averages()[0].key == "matmul" and prof.key_averages()[0].count == 1
    with pytest.raises(ValueError, match=r"sort_by must be one of self_time, .* got 'speed'"):
        prof.table("speed")
    with tg.profile() as empty:
        pass
    assert "forward ops: 0.00 us" in empty.table()


def test_regions_and_nested_time():
    with tg.profile() as prof, profiler.record_function("my block"):
        tg.ones(200, 200) @ tg.ones(200, 200)
        time.sleep(0.02)
    rows = {r.name: r for r in prof.rows()}
    block = rows["my block"]
    inside = sum(r.time for name, r in rows.items() if name != "my block")
    assert block.time >= 0.02 + rows["matmul"].time and block.self_time == pytest.approx(block.time - inside, abs=1e-9)
    with profiler.record_function("nobody listens"):
        pass


def test_threads_and_errors():
    with tg.profile() as prof:
        thread = threading.Thread(target=lambda: tg.ones(3).exp())
        thread.start()
        thread.join()
        tg.ones(3).exp()
        with pytest.raises(RuntimeError):
            tg.ones(3) + tg.ones(4)
        with pytest.raises(RuntimeError, match="another profile is open"), tg.profile():
            pass
    assert len({e.thread for e in prof.events if e.name == "exp"}) == 2
    assert not [e for e in prof.events if e.name == "add"]
    with pytest.raises(ZeroDivisionError), tg.profile() as prof:
        tg.ones(3).exp()
        _ = 1 / 0
    with tg.profile():
        pass
    assert len(prof.events) >= 1 and tg.autograd.engine._Run.run.__name__ == "run"


def test_start_stop_and_chrome_trace(tmp_path):
    prof = tg.profile()
    prof.start()
    work(tg.randn(20, 20, requires_grad=True))
    prof.step()
    prof.stop()
    prof.export_chrome_trace(tmp_path / "trace.json")
    trace = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert len(trace) == len(prof.events) and {e["cat"] for e in trace} == {"forward", "backward"}
    first = trace[0]
    assert first["ph"] == "X" and first["ts"] >= 0 and first["dur"] > 0 and first["args"]["bytes"] > 0
    assert all(a["ts"] <= b["ts"] + b["dur"] for a, b in itertools.pairwise(trace))


def test_results_do_not_change():
    x = tg.randn(30, 30, requires_grad=True)
    work(x)
    expected, x.grad = x.grad, None
    with tg.profile():
        work(x)
    assert x.grad.equal(expected)
