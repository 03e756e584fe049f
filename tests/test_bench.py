"""The benchmarks' machinery: cases, probes, samples, verdicts, comparison of runs. What is checked is never a time."""

import importlib.util
import itertools
import json
import os
import pathlib

import pytest

import tilegrad as tg
from tilegrad.bench import compare, goals, peers, report, scaling, timing, worker
from tilegrad.bench.cases import CASES, Case, op_cost
from tilegrad.bench.onnx_models import model_of
from tilegrad.bench.sides import function, keeping, statement_sampler
from tilegrad.bench.timing import Probe, Samples
from tilegrad.cli import main

BY_NAME = {case.name: case for case in CASES}


@pytest.fixture
def small_probes(monkeypatch):
    """Probes that cost nothing: here the figures do not matter."""
    monkeypatch.setattr(timing, "PROBE_MILLISECONDS", 0.1)
    monkeypatch.setattr(timing, "MEMORY_MILLISECONDS", 0.1)
    monkeypatch.setattr(timing, "SAMPLE_SECONDS", 1e-5)
    monkeypatch.setattr(timing, "_probed_memory", lambda: tg.zeros(1 << 12))


# --- cases ------------------------------------------------------------------------------------------------------------


def test_every_case_says_why_it_has_its_size():
    assert len(BY_NAME) == len(CASES)
    assert all(case.why for case in CASES)


def test_every_case_says_what_it_needs_at_least():
    assert {case.name for case in CASES if not case.flops and not case.bytes} <= {case.name for case in op_cost.CASES}
    assert BY_NAME["layer-norm-4096x768-backward"].op == "layer_norm" and BY_NAME["add-10"].op == "add"
    assert BY_NAME["mlp-step"].op == "mlp_step" and BY_NAME["mlp-step"].dtype == "float32"
    assert Case("matmul-64-bf16", "", dict, "").dtype == "bfloat16"
    assert Case("x-3", "", dict, "", op="y", dtype="int8") == Case("x-3", "", dict, "", None, 0, 0, "y", "int8")


def test_the_cases_run_once():
    for case in CASES:
        if case.flops < 5e9 and case.bytes < 5e7:
            function(case, "tilegrad")()


# --- statements -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "kept"),
    [
        ("x @ y", "_kept = x @ y"),
        ("(x @ y).backward(dy); x.grad = y.grad = None", "_kept = x @ y\nx.grad = y.grad = None\n_kept.backward(dy)"),
        ("layer(x)[0].sum().backward(); x.grad = None; layer.zero_grad()",
         "_kept = layer(x)[0].sum()\nx.grad = None\nlayer.zero_grad()\n_kept.backward()"),
        ("with t.no_grad(): F.relu(x)", "with t.no_grad():\n    _kept = F.relu(x)"),
    ],
)  # fmt: skip
def test_results_and_gradients_are_kept_until_the_next_ones_are_there(statement, kept):
    assert keeping(statement) == kept


def test_the_buffer_of_a_result_is_not_free_while_the_next_is_computed():
    held = []

    def make():
        out = tg.empty(100_003)
        held.append(out.data_ptr())
        return out

    statement_sampler("make()", {"make": make})(0, 6)
    assert all(a != b for a, b in itertools.pairwise(held))


def test_a_sample_counts_only_the_timed_calls():
    calls = []
    sample = statement_sampler("run()", {"run": lambda: calls.append(1)})  # a name of the machinery's own too
    assert sample(2, 3) > 0 and len(calls) == 5


# --- probes and samples -----------------------------------------------------------------------------------------------


def test_probes_of_the_machine():
    probe = tg._core.fma_peak_gflops
    assert probe(1, 0.2) > 0 and probe(1, 0.2, "float64") > 0 and probe(1, 0.2, "bfloat16") >= 0
    assert (probe(1, 0.2, "int8") > 0) == (tg._core.isa_name() == "avx512_bf16")
    with pytest.raises(ValueError, match="expected float32, float64, bfloat16 or int8, got 'float8'"):
        probe(1, 0.2, "float8")
    with pytest.raises(ValueError, match="expected 1 to 1024 threads, got 0"):
        probe(0, 1.0)
    buffer = tg.arange(1 << 14).to(tg.float32)
    before = buffer[: 1 << 13].tolist()
    assert tg._core.memory_gigabytes_per_second(buffer, False, 2, 0.2) > 0
    assert tg._core.memory_gigabytes_per_second(buffer, True, 1, 0.2) > 0
    assert buffer[1 << 13 :].tolist() == before  # the second half became the first
    with pytest.raises(ValueError, match="at least 2048 numbers a thread, got 50"):
        tg._core.memory_gigabytes_per_second(tg.zeros(100), False, 2, 0.2)
    with pytest.raises(ValueError, match="contiguous float32"):
        tg._core.memory_gigabytes_per_second(tg.zeros(4096, dtype=tg.float64), False, 1, 0.2)


def test_disturbed_samples_are_thrown_away():
    probes = [Probe(200.0, 50.0), Probe(90.0, 50.0), Probe(190.0, 40.0), Probe(200.0, 10.0)]
    samples = Samples([1.0, 9.0, 1.1, 5.0], probes)
    assert samples.kept(Probe(200.0, 50.0)) == [1.0, 1.1]
    assert samples.used(Probe(200.0, 50.0)) == [1.0]  # too few: the best third
    quiet = Samples([1.0, 1.1, 1.2], [Probe(199.0)] * 3)
    assert quiet.used(Probe(200.0)) == [1.0, 1.1, 1.2]
    assert timing.self_spread([1.0, 1.1, 1.0, 1.1]) == pytest.approx(1 - 1 / 1.1) and timing.self_spread([1.0]) == 0
    assert timing.quartile_spread([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx(2 / 3) and timing.quartile_spread([1.0, 2.0]) == 0


def test_disturbed_samples_are_taken_again(monkeypatch, small_probes):
    rates = itertools.chain([100.0] * 6, itertools.cycle([10.0, 100.0]))
    monkeypatch.setattr(timing, "take_probe", lambda threads: Probe(next(rates), 1.0))
    monkeypatch.setattr(timing, "_best", {})
    result = timing.measure(BY_NAME["add-10"], ["tilegrad"], 1, rounds=6, retakes=2)
    assert result.taken == 18 and result.kept == 5 and result.best.arithmetic == 100.0
    monkeypatch.setattr(timing, "take_probe", lambda threads: Probe(100.0, 1.0))
    result = timing.measure(BY_NAME["add-10"], ["tilegrad"], 1, rounds=6)
    assert result.taken == result.kept == 6 and result.ratio("torch") is None


def test_a_peer_that_fails_does_not_cost_the_case(monkeypatch, small_probes):
    real = timing.sampler
    monkeypatch.setattr(timing, "sampler", lambda case, side, n: 1 / 0 if side == "numpy" else real(case, side, n))
    result = timing.measure(BY_NAME["add-10"], ["tilegrad", "numpy"], 1, rounds=2)
    assert list(result.sides) == ["tilegrad"] and result.failed == {"numpy": "ZeroDivisionError: division by zero"}


def test_a_side_in_a_process_of_its_own(small_probes):
    found = worker.Worker("tilegrad", worker.TUNED)
    try:
        sample = found.sampler(BY_NAME["add-10"], 1)
        assert sample(1, 3) > 0
        with pytest.raises(RuntimeError, match="KeyError"):
            found.ask(case="no such case", threads=1)
        assert found.sampler(BY_NAME["add-10"], 1)(0, 1) > 0  # it goes on
        found.process.kill()
        found.process.wait()
        with pytest.raises(RuntimeError, match="has ended"):
            found.ask(case="add-10", threads=1)
    finally:
        found.close()


def test_models_for_onnxruntime():
    operator, inputs, constants, attributes = model_of(BY_NAME["conv2d-3x3-stride2"])
    assert operator == "Conv" and attributes["strides"] == [2, 2] and attributes["pads"] == [1] * 4
    assert inputs["x"].shape == (8, 64, 56, 56) and constants["w"].shape == (128, 64, 3, 3)
    assert model_of(BY_NAME["matmul-64"])[0] == "MatMul" and model_of(BY_NAME["softmax-64x10"])[3] == {"axis": 1}
    assert model_of(BY_NAME["layer-norm-64x64"])[0] == "LayerNormalization"
    assert model_of(BY_NAME["lstm-35x20x200x200"])[2]["b"].shape == (1, 8 * 200)
    assert [model_of(BY_NAME[name]) for name in ("gru-35x20x200x200", "add-1M", "conv2d-3x3-64-backward")] == [None] * 3


# --- verdicts ---------------------------------------------------------------------------------------------------------


def made(case, ours, torch=None, share=0.0, spread=0.02, threads=2, **more):
    """A result as a run writes and reads it; ``share`` is of a peak of 1 GFLOP/s."""
    times = {"tilegrad": ours, **({"torch": torch} if torch else {})}
    sides = {name: {"median": seconds, "spread": spread, "kept": 9, "taken": 9} for name, seconds in times.items()}
    return report.derived(
        {
            "case": case, "op": "x", "dtype": "float32", "threads": threads, "flops": share * ours * 1e9, "bytes": 0.0,
            "sides": sides, "peer_spread": spread, "fma_peak_gflops": 1.0, "peak_gflops": 1.0, "memory_probe": 1.0, **more,
        }
    )  # fmt: skip


def test_every_goal_is_about_cases_that_exist_or_are_planned():
    for goal in goals.GOALS:
        assert goal.wanted(), goal.name
    names = [goal.name for goal in goals.GOALS]
    assert len(set(names)) == len(names)
    found = {case: [goal.name for goal in goals.GOALS if goal.has(case)] for case in BY_NAME}
    assert found["matmul-256"] == ["matmul, M N K from 256"] and found["matmul-1x4096x4096"] == ["matmul, M = 1"]
    assert found["softmax-512x32000"] == ["softmax, layer_norm, outputs of 32 MB"]
    assert found["conv2d-3x3-depthwise-backward"] == ["depthwise, fwd+bwd"] and found["softmax-64x10"] == []
    assert goals.sizes_of("matmul-64x[128x32x16]-bf16") == (128, 32, 16) and goals.sizes_of("mlp-step") == ()


def test_verdicts():
    results = [made("matmul-512", 1.0, 2.3, 0.9), made("matmul-1024", 1.0, 2.4, 0.95), made("mlp-step", 1.0, 0.9)]
    results += [made("add-10", 0.2e-6), made("add-1M", 1.0, 0.99)]
    by_name = {verdict.goal.name: verdict for verdict in goals.judge_all(results)}
    assert len(by_name) == 4
    assert by_name["matmul, M N K from 512"].reached and by_name["matmul, M N K from 512"].worst_peak == 0.9
    assert by_name["add of 10 elements"].reached
    assert by_name["training step, mlp"].slower == ("mlp-step",) and not by_name["training step, mlp"].reached
    assert not by_name["add, relu, copy"].reached and by_name["add, relu, copy"].slower == ()  # within the spread
    lines = report.goals_table(results)
    assert "| matmul, M N K from 512 | 2 | >= 2.2x, >= 88% of peak | 2.35x, 2.30x, 90% of peak | reached |" in lines
    assert any(line.endswith("| slower: mlp-step |") for line in lines)
    tables = "\n".join(report.family_tables(results, ["torch", "numpy"]))
    assert "| matmul-512 | 1 s | 90% |  | 2.30 |" in tables and "numpy" not in tables
    assert report.summary_line(results, "torch").startswith("4 cases with torch") and "mlp-step 0.90" in report.summary_line(
        results, "torch"
    )
    assert report.summary_line(results, "numpy") == "no case was measured with numpy"


def test_a_run_is_read_as_it_was_written(tmp_path, small_probes):
    result = timing.measure(BY_NAME["matmul-64"], ["tilegrad", "numpy"], 1, rounds=3)
    records = [report.record(result), made("mlp-step", 1.0, 2.0, dtype="bfloat16", peak_gflops=2.0)]
    file = tmp_path / "run.json"
    report.write(file, {"machine": {"isa": "x"}, "results": records})
    assert len(file.read_text().splitlines()) < 12 and "ratio" not in file.read_text()
    back = report.read(file)
    assert back["machine"] == {"isa": "x"} and [r["case"] for r in back["results"]] == ["matmul-64", "mlp-step"]
    for old, new in zip(records, back["results"], strict=True):
        assert new.keys() == old.keys() and new["slower"] == old["slower"] and new["kept"] == old["kept"]
        assert new["seconds"] == pytest.approx(old["seconds"], rel=1e-4) and new["ratio"] == pytest.approx(
            old["ratio"], rel=1e-4
        )
        assert new["share_of_peak"] == pytest.approx(old["share_of_peak"], rel=1e-3)
    older = {
        "case": "a",
        "threads": 1,
        "seconds": {"tilegrad": 1.0},
        "ratio": {},
        "gflops": 3.0,
        "fma_peak_gflops": 6.0,
        "kept": 1,
    }
    file.write_text(json.dumps({"results": [older]}))
    assert report.read(file)["results"][0]["share_of_peak"] == 0.5 and report.read(file)["results"][0]["disturbed"]
    file.write_text('{"results": [{}]}')
    with pytest.raises(ValueError, match="not a result of the benchmarks: KeyError"):
        report.read(file)


# --- commands ---------------------------------------------------------------------------------------------------------


def test_bench_measures_and_writes_json(capsys, tmp_path, small_probes):
    file = tmp_path / "bench.json"
    assert main(["bench", "add-10", "softmax-64", "--vs", "numpy", "--threads", "1", "--rounds", "3", "--json", str(file)]) == 0
    text = capsys.readouterr().out
    assert "softmax-64x10" in text and "x numpy" in text
    results = {result["case"]: result for result in json.loads(file.read_text())["results"]}
    assert {"add-10", "softmax-64x10"} <= set(results)
    assert all(result["seconds"]["tilegrad"] > 0 for result in results.values())
    assert results["add-10"]["ratio"]["numpy"] > 0 and results["add-10"]["sides"]["numpy"]["taken"] >= 3


@pytest.fixture
def pinned(monkeypatch):
    """As if the process had been started pinned: peers.py does not start itself again."""
    for key, value in peers.PINNED.items():
        monkeypatch.setenv(key, os.environ.get(key, value))


def test_peers_writes_as_it_goes_and_continues(capsys, tmp_path, small_probes, pinned):
    file = tmp_path / "peers.json"
    arguments = ["--threads", "1", "--peers", "numpy", "--rounds", "2", "--json", str(file)]
    assert peers.main([*arguments, "add-10"]) == 0
    run = json.loads(file.read_text())
    assert [r["case"] for r in run["results"] if r["case"] == "add-10"] == ["add-10"]
    assert run["machine"]["isa"] and run["versions"]["numpy"] and "tuned_malloc" in run["method"]
    out = capsys.readouterr().out
    assert "## 1 thread" in out and "| add of 10 elements |" in out and "cases with numpy" in out
    assert peers.main([*arguments, "--continue", "add-10", "matmul-8"]) == 0
    again = [r["case"] for r in json.loads(file.read_text())["results"]]
    assert again.count("add-10") == 1 and "matmul-8" in again


def test_peers_refuses(capsys, pinned):
    assert peers.main(["--peers", "tourch"]) == 2
    assert "unknown peer 'tourch'; peers: torch, torch-tuned" in capsys.readouterr().err
    assert peers.main(["sofmax"]) == 2
    assert "did you mean 'softmax'" in capsys.readouterr().err


def write(path, *results, **machine):
    path.write_text(json.dumps({"machine": machine, "results": results}))
    return str(path)


def test_compare_finds_what_became_slower(capsys, tmp_path):
    before = write(tmp_path / "a.json", made("a", 1.0, 2.0), made("b", 1.0), made("c", 1.0, spread=0.5), made("gone", 1.0))
    after = write(tmp_path / "b.json", made("a", 1.2, 2.4), made("b", 0.5), made("c", 1.3, spread=0.5), made("new", 1.0))
    assert compare.main([before, after]) == 1
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line.split() for line in lines[2:4]}
    assert rows["a"][-1] == "slower" and rows["b"][-1] == "faster"  # c is noise
    assert "3 cases in both: 1 slower, 1 faster" in lines[4] and "only in A: gone" in lines and "only in B: new" in lines
    assert compare.main([before, after, "--threshold", "0.25"]) == 0
    assert compare.main([before, after, "--by", "torch"]) == 0  # the peer became slower too: the machine did
    out = capsys.readouterr().out
    assert "1 cases in both: 0 slower, 0 faster" in out
    assert compare.main([before, after, "--all"]) == 1 and "c " in capsys.readouterr().out


def test_compare_refuses_and_warns(capsys, tmp_path):
    good = write(tmp_path / "a.json", made("a", 1.0, fma_peak_gflops=200.0), isa="avx2")
    other = write(tmp_path / "b.json", made("a", 1.0, fma_peak_gflops=100.0), isa="avx512")
    assert compare.main([good, other]) == 0
    out = capsys.readouterr().out
    assert "note: isa: avx2 against avx512" in out and "note: arithmetic of a core: 100 against 50 GFLOP/s" in out
    bad = tmp_path / "bad.json"
    bad.write_text('{"results": [{"case": "a"}]}')
    assert compare.main([good, str(bad)]) == 2 and "bad.json: " in capsys.readouterr().err
    assert compare.main([good, str(tmp_path / "none.json")]) == 2
    assert compare.main([good, write(tmp_path / "c.json", made("z", 1.0))]) == 2


# --- the page ---------------------------------------------------------------------------------------------------------


def test_the_measured_part_of_the_page(tmp_path):
    tool = pathlib.Path(__file__).resolve().parent.parent / "tools" / "performance_page.py"
    if not tool.exists():
        pytest.skip("runs in a source checkout")
    spec = importlib.util.spec_from_file_location("performance_page", tool)
    page_tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(page_tool)

    def run(name, isa, *results):
        content = {
            "machine": {"cpu": "a processor", "isa": isa},
            "versions": {"tilegrad": "1", "torch": "2"},
            "results": results,
        }
        report.write(tmp_path / name, content)
        return str(tmp_path / name)

    first = run("two.json", "avx512", made("matmul-64", 1.0, 2.5, 0.5), made("add-1M", 1.0, 0.9))
    others = (
        run("one.json", "avx512", made("matmul-64", 1.0, 1.5, threads=1)),
        run("avx2.json", "avx2", made("add-1M", 1.0, 3.0)),
    )
    page = tmp_path / "page.md"
    page.write_text(f"before\n{page_tool.BEGIN}\nold\n{page_tool.END}\nafter\n")
    for _ in range(2):  # writing again changes nothing
        assert page_tool.main([first, *others, "--write", str(page)]) == 0
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "old" not in text and text.count("### Goals") == 1
    assert "| matmul | tilegrad | of peak | GB/s | x torch | x torch, 1 thread | x torch, 2 threads, avx2 |" in text
    assert "| matmul-64 | 1 s | 50% |  | 2.50 | 1.50 |  |" in text and "| add-1M | 1 s |  |  | 0.90 |  | 3.00 |" in text
    assert "- 2 threads against 1: geometric mean 1.00x, none slower." in text
    assert "- 2 threads: 2 cases with torch" in text and "slower: add-1M 0.90" in text
    with pytest.raises(SystemExit, match="no part between"):
        page_tool.replaced("nothing", "x")


# --- scaling ----------------------------------------------------------------------------------------------------------


def test_curves_have_powers_of_two_and_odd_sizes():
    names = [curve.name for curve in scaling.CURVES]
    assert len(set(names)) == len(names)
    for curve in scaling.CURVES:
        sizes = curve.sizes()
        assert sizes == sorted(sizes) and sizes[-1] >= 16 * sizes[0] and sum(size % 2 for size in sizes) >= len(sizes) // 2 - 1
        function(curve.case(sizes[0]), "tilegrad")()
        assert curve.work(sizes[1]) > curve.work(sizes[0])


def test_spikes():
    points = [{"size": i, "nanoseconds_per_unit": cost} for i, cost in enumerate([9.0, 2.0, 3.1, 2.0, 1.0, 4.0, 4.0, 4.1])]
    assert [point["size"] for point in scaling.spikes(points)] == [2]  # the step at 5 is no spike


def test_scaling_writes_picture_and_json(capsys, tmp_path, small_probes, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(scaling, "ROUNDS", 1)
    monkeypatch.setattr(scaling, "SPIKE", 1e9)
    curve = scaling.CURVES[0]
    monkeypatch.setattr(scaling, "CURVES", [scaling.Curve("add", 3, 6, curve.setup, curve.stmt, curve.work)])
    assert scaling.main(["add", "--png", str(tmp_path / "a.png"), "--json", str(tmp_path / "a.json")]) == 0
    assert (tmp_path / "a.png").stat().st_size > 1000 and "add " in capsys.readouterr().out
    points = json.loads((tmp_path / "a.json").read_text())["curves"]["add"]
    assert [point["size"] for point in points] == [8, 11, 16, 23, 32, 47, 64]
    assert scaling.main(["sofmax"]) == 2 and "no curve 'sofmax'" in capsys.readouterr().err
    assert scaling.main(["--threads", "0"]) == 2
