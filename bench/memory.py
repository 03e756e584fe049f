#!/usr/bin/env python3
"""Memory of training steps: what is alive at rest, the most that is alive during a step, and whether steps fault pages in.

    python bench/memory.py [CASE ...] [--peer torch] [--steps 20] [--json FILE]

Each side runs in a process of its own. Ours is what the allocator counts (tg.memory_stats(), scratch memory and rounding
to size classes included). Of the peer, every allocation and release of its CPU allocator counts, as its profiler records
them; scratch memory that its libraries take elsewhere is not seen. Page faults are minor faults of the whole process a step
after warming up.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

CASES = ("mlp-step", "lenet-step", "resnet18-step", "lstm-lm-step", "gpt-step")
WARM_UP = 5


def faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def measure_ours(setup: Any, steps: int) -> dict[str, float]:
    import tilegrad as tg

    tg.manual_seed(0)
    step = setup(tg)["step"]
    for _ in range(WARM_UP):
        step()
    rest = tg.memory_stats()["live_bytes"]
    before = faults()
    for _ in range(steps):
        step()
    done = faults() - before
    growth = tg.memory_stats()["live_bytes"] - rest
    tg.reset_peak_memory_stats()
    step()
    stats = tg.memory_stats()
    return {
        "rest": rest,
        "peak": stats["peak_bytes"],
        "cached": stats["cached_bytes"],
        "growth": growth,
        "faults_a_step": done / steps,
    }


def measure_torch(setup: Any, steps: int) -> dict[str, float]:
    import torch
    from torch.profiler import ProfilerActivity, profile

    torch.manual_seed(0)
    step = setup(torch)["step"]
    for _ in range(WARM_UP):
        step()
    gc.collect()
    storages = {}
    for thing in gc.get_objects():
        if isinstance(thing, torch.Tensor):
            for t in (thing, thing.grad if thing.is_leaf else None):
                if t is not None:
                    storages[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as prof:
        step()
    found = [(e.start_ns(), e.nbytes()) for e in prof.profiler.kineto_results.events() if e.name() == "[memory]"]
    alive = highest = 0
    for _, change in sorted(found, key=lambda e: e[0]):
        alive += change
        highest = max(highest, alive)
    before = faults()
    for _ in range(steps):
        step()
    rest = sum(storages.values())
    return {"rest": rest, "peak": rest + highest, "faults_a_step": (faults() - before) / steps}


def alone(side: str, case: str, steps: int, threads: int) -> dict[str, float]:
    """The measurement in a fresh process."""
    command = [sys.executable, __file__, case, "--side", side, "--steps", str(steps), "--threads", str(threads)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{case} on {side}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", nargs="*", help=f"default: {', '.join(CASES)}")
    parser.add_argument("--peer", default="torch", choices=("torch", "none"))
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        from tilegrad.bench.cases import CASES as every
        from tilegrad.bench.timing import thread_count

        setup = next(c for c in every if c.name == args.case[0]).setup
        if args.side == "torch":
            import torch  # noqa: F401  (so that its threads are set, too)
        with thread_count(args.threads):
            print(json.dumps((measure_torch if args.side == "torch" else measure_ours)(setup, args.steps)))
        return 0
    sides = ["tilegrad"] + ([args.peer] if args.peer != "none" else [])
    results = {}
    print("| step | at rest | most alive | ours / torch | cached | faults a step, ours / torch |")
    print("|---|---|---|---|---|---|")
    for case in args.case or CASES:
        r = results[case] = {side: alone(side, case, args.steps, args.threads) for side in sides}
        ours, peer = r["tilegrad"], r.get("torch")

        def mb(n: float) -> str:
            return f"{n / 2**20:.1f} MB"

        beside = [f" / {mb(peer[k])}" if peer else "" for k in ("rest", "peak")]
        ratio = f"{ours['peak'] / peer['peak']:.2f}" if peer else ""
        other = f" / {peer['faults_a_step']:,.0f}" if peer else ""
        print(
            f"| {case} | {mb(ours['rest'])}{beside[0]} | {mb(ours['peak'])}{beside[1]} | {ratio} | {mb(ours['cached'])} "
            f"| {ours['faults_a_step']:,.1f}{other} |",
            flush=True,
        )
    if args.json:
        Path(args.json).write_text(
            json.dumps({"steps": args.steps, "threads": args.threads, "cases": results}, indent=1) + "\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
