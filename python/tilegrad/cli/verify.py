"""``tilegrad verify``: every op's kernel against its NumPy reference, on this machine and this instruction set.

An error is shown in tolerances: the largest |kernel - reference| / (atol + rtol |reference|) over all samples of an op.
0 is bit for bit, 1 is just acceptable; the samples and tolerances are those of the test suite (tilegrad.testing.specs).
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tilegrad.course.trainer.output import Output, seconds_text, table

from .parser import Parser, UsageError, complain, nearest


@dataclass
class Verdict:
    """One op in one dtype: how many samples, the largest error in tolerances, and what went wrong if anything did."""

    op: str
    dtype: str
    samples: int
    error: float | None
    problem: str | None = None


def main(arguments: Sequence[str]) -> int:
    parser = Parser("verify", description="Every kernel against its NumPy reference on this machine.")
    parser.add_argument("--op", action="append", metavar="NAME", help="only this op (may be given several times)")
    parser.add_argument("--device", default="cpu", help="cpu (default), sim or cuda")
    parser.add_argument("--seed", type=int, default=0, help="seed of the samples")
    parser.add_argument("--json", action="store_true", help="for programs")
    try:
        args = parser.read(arguments)
        specs = chosen_specs(args.op)
    except UsageError as error:
        return complain(str(error))
    started = time.perf_counter()
    verdicts = [verify(spec, dtype, args.device, args.seed) for spec in specs for dtype in spec.dtypes]
    seconds = time.perf_counter() - started
    failed = [v for v in verdicts if v.problem]
    if args.json:
        import tilegrad as tg

        where = {"isa": tg._core.isa_name(), "device": args.device, "threads": tg.get_num_threads(), "seed": args.seed}
        print(json.dumps({**where, "ok": not failed, "verdicts": [asdict(v) for v in verdicts]}, indent=2))
    else:
        show(Output(sys.stdout), verdicts, args.device, seconds)
    return 1 if failed else 0


def chosen_specs(names: Sequence[str] | None) -> list[Any]:
    """The specs called ``names``, or all of them."""
    try:
        from tilegrad.testing.specs import all_specs
    except ModuleNotFoundError as error:
        raise UsageError(f"the op specs are not installed here ({error})") from None
    known = {spec.name: spec for spec in all_specs()}
    for name in names or ():
        if name not in known:
            raise UsageError(f"no op is called {name!r}{nearest(name, known)}; `tilegrad verify` shows them all")
    return [known[name] for name in names] if names else list(known.values())


def verify(spec: Any, dtype: str, device: str = "cpu", seed: int = 0) -> Verdict:
    """Run every sample of ``spec`` in ``dtype``; a wrong value and a crash are both a problem, and the rest goes on."""
    import numpy as np

    samples = spec.samples_for(dtype, np.random.default_rng(seed))
    worst, problem = 0.0, None
    for sample in samples:
        try:
            worst = max(worst, spec.compare(sample, dtype, device))
        except AssertionError as error:
            problem = problem or str(error)
        except Exception as error:
            problem = problem or f"{spec.name}{sample}, {dtype}: {type(error).__name__}: {error}"
    return Verdict(spec.name, dtype, len(samples), None if problem else round(worst, 4), problem)


def show(output: Output, verdicts: Sequence[Verdict], device: str, seconds: float) -> None:
    """One row per op, one column per dtype, then the text of every failure."""
    import tilegrad as tg

    dtypes = list(dict.fromkeys(v.dtype for v in verdicts))
    ops = list(dict.fromkeys(v.op for v in verdicts))
    cells = {(v.op, v.dtype): "FAILED" if v.problem else f"{v.error:.2g}" for v in verdicts if v.samples}
    rows = [(op, *(cells.get((op, dtype), "") for dtype in dtypes)) for op in ops]
    output.say(
        f"{device}, ISA {tg._core.isa_name()}, {tg.get_num_threads()} threads; errors in tolerances: 0 exact, 1 just acceptable"
    )
    for line in table(("op", *dtypes), rows, right=range(1, len(dtypes) + 1)):
        output.say(line)
    failed = [v for v in verdicts if v.problem]
    for op in dict.fromkeys(v.op for v in failed):  # one line per op: its dtypes mostly fail for one reason
        first, *others = [v for v in failed if v.op == op]
        output.say(f"FAILED {first.problem}" + (f"  (also {', '.join(v.dtype for v in others)})" if others else ""))
    samples = sum(v.samples for v in verdicts)
    bad = len({v.op for v in failed})
    output.say(
        f"{len(ops)} ops, {samples} samples, {seconds_text(seconds)}: {f'{bad} FAILED' if bad else 'all agree with NumPy'}"
    )
