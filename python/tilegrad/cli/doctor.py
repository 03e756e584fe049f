"""``tilegrad doctor``: the verdict first, then everything somebody would ask for in an issue."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tilegrad.course.trainer.output import Output

from .parser import Parser, UsageError, complain

# Optional packages and what they are for; (module, package, extra, purpose).
EXTRAS = (
    ("matplotlib", "matplotlib", "course", "curves.png"),
    ("tensorboard", "tensorboard", "course", "event files"),
    ("PIL", "pillow", "course", "images"),
    ("sklearn", "scikit-learn", "course", "some data sets"),
    ("pycountry", "pycountry", "course", "names in many languages"),
    ("pytest", "pytest", "test", "the test suite"),
    ("pytest_benchmark", "pytest-benchmark", "bench", "benchmarks"),
    ("threadpoolctl", "threadpoolctl", "bench", "threads of NumPy's BLAS"),
    ("torch", "torch", "", "a peer to measure against"),
    ("onnxruntime", "onnxruntime", "", "another, with onnx"),
)


def main(arguments: Sequence[str]) -> int:
    parser = Parser("doctor", description="Is everything here, and which CPU, threads and GPU are used?")
    parser.add_argument("--json", action="store_true", help="for programs")
    try:
        args = parser.read(arguments)
    except UsageError as error:
        return complain(str(error))
    facts = examine()
    if args.json:
        print(json.dumps(facts, indent=2))
    else:
        output = Output(sys.stdout)
        for line in describe(facts):
            output.say(line)
    return 0 if facts["ok"] else 1


def examine() -> dict[str, Any]:
    """All facts as JSON values; ``ok`` and ``verdict`` sum them up."""
    import tilegrad as tg

    problems: list[str] = []
    try:
        self_test(tg)
    except Exception as error:
        problems.append(f"self-test failed: {type(error).__name__}: {error}")
    cuda: dict[str, Any] = {"available": bool(tg.cuda.is_available()), "reason": None}
    if not cuda["available"]:
        cuda["reason"] = str(tg.cuda.unavailable_reason())
    isa, threads = str(tg._core.isa_name()), thread_facts(tg)
    cuda_text = "CUDA: available" if cuda["available"] else f"CUDA: {cuda['reason']}"
    words = f"cpu, ISA {isa}, {threads['chosen']} thread{'s' * (threads['chosen'] != 1)}; {cuda_text}"
    return {
        "ok": not problems,
        "verdict": ("OK: " if not problems else "BROKEN: " + "; ".join(problems) + "; ") + words,
        "versions": versions(tg),
        "cpu": {"model": cpu_model(), "machine": platform.machine(), "isa": isa_facts(tg)},
        "threads": threads,
        "memory": {"total_bytes": memory_total(), "pool": plain(call(tg, "memory_stats"))},
        "cuda": cuda,
        "composites_used": plain(call(tg, "composites_used") or []),
        "extras": {package: version(package) for _, package, _, _ in EXTRAS},
        "environment": {key: value for key, value in sorted(os.environ.items()) if key.startswith(("TILEGRAD_", "OMP_"))},
    }


def self_test(tg: Any) -> None:
    """One matmul, one softmax and one gradient against NumPy: does the native module compute at all?"""
    import numpy as np

    x = np.linspace(-1, 1, 15, dtype=np.float32).reshape(3, 5)
    product = (tg.from_numpy(x) @ tg.from_numpy(x.T.copy())).numpy()
    np.testing.assert_allclose(product, x @ x.T, rtol=1e-5, atol=1e-6)
    shares = tg.softmax(tg.from_numpy(x), 1).numpy()
    np.testing.assert_allclose(shares, np.exp(x) / np.exp(x).sum(1, keepdims=True), rtol=1e-5)
    w = tg.tensor([1.0, 2.0], requires_grad=True)
    (w * w).sum().backward()
    np.testing.assert_array_equal(w.grad.numpy(), [2.0, 4.0])


# --- single facts -----------------------------------------------------------------------------------------------------


def versions(tg: Any) -> dict[str, str | None]:
    build = plain(call(tg._core, "build_info"))
    found = {
        "tilegrad": tg.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{package: version(package) for package in ("numpy", "safetensors", "rich")},
    }
    return found | ({f"build {key}": str(value) for key, value in build.items()} if isinstance(build, dict) else {})


def version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def cpu_model() -> str:
    """The CPU's name as Linux tells it, else what Python knows."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def isa_facts(tg: Any) -> list[dict[str, Any]]:
    """The kernel tables: compiled into this build, usable on this CPU, selected."""
    return [dict(row) for row in tg._core.isa_list()]


def thread_facts(tg: Any) -> dict[str, Any]:
    """Where the number of threads comes from: affinity, cgroup quota, and what was chosen."""
    limits = plain(call(tg._core, "thread_limits") or {})
    chosen = int(tg.get_num_threads())
    return {
        "chosen": chosen,
        "cpus": os.cpu_count(),
        "affinity": limits.get("affinity"),
        "cgroup_quota": limits.get("quota") or None,
    }


def memory_total() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError, AttributeError):
        return None


def call(owner: Any, name: str) -> Any:
    """``owner.name()`` if it exists: older builds lack some of the facts."""
    function = getattr(owner, name, None)
    return function() if callable(function) else None


def plain(value: Any) -> Any:
    """``value`` as JSON can hold it."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    return value if isinstance(value, (int, float, str, bool, type(None))) else str(value)


# --- for people -------------------------------------------------------------------------------------------------------


def describe(facts: dict[str, Any]) -> list[str]:
    lines = [facts["verdict"], ""]
    lines += [f"{key:<22}{value}" for key, value in facts["versions"].items()]
    lines += ["", f"{'CPU':<22}{facts['cpu']['model']} ({facts['cpu']['machine']})"]
    for row in facts["cpu"]["isa"]:
        states = ("compiled" if row["compiled"] else "not compiled", "usable" if row["supported"] else "not on this CPU")
        lines.append(f"{'  ISA ' + row['name']:<22}{', '.join(states)}{', SELECTED' if row['selected'] else ''}")
    threads = facts["threads"]
    quota = "no quota" if threads["cgroup_quota"] is None else f"quota {threads['cgroup_quota']:g} CPUs"
    lines.append(
        f"{'threads':<22}{threads['chosen']} (affinity {threads['affinity']} of {threads['cpus']} CPUs, cgroup: {quota})"
    )
    if facts["memory"]["total_bytes"]:
        lines.append(f"{'memory':<22}{facts['memory']['total_bytes'] / 2**30:.1f} GiB")
    pool = facts["memory"]["pool"]
    if pool:
        lines.append(f"{'  pool':<22}{', '.join(f'{key} {value}' for key, value in pool.items())}")
    cuda = facts["cuda"]
    lines.append(f"{'CUDA':<22}{'available' if cuda['available'] else 'no: ' + cuda['reason']}")
    used = facts["composites_used"]
    lines.append(f"{'missing kernels':<22}{', '.join(map(str, used)) if used else 'none met in this process'}")
    lines.append("")
    for _, package, extra, purpose in EXTRAS:
        found = facts["extras"][package]
        how = f"pip install 'tilegrad[{extra}]'" if extra else f"pip install {package}"
        lines.append(f"{package:<22}{found or 'not installed: ' + how}  ({purpose})")
    lines += [f"{key:<22}{value}" for key, value in facts["environment"].items()]
    return lines
