"""A side in a process of its own: torch with malloc tuned, and libraries whose threads would disturb the others.

glibc returns large buffers to the system as soon as they are freed, and every first touch of the next one is a page fault. A
user of torch can switch that off, but only before the process starts. So a second process measures torch with these settings.
It sleeps on its pipe while the first one measures, and takes a sample when it is told to: the two alternate like sides in one
process. The same is done with NumPy and onnxruntime, which keep threads spinning for milliseconds after a call; these are not
pinned, because their threads would all inherit the one core of the main thread.

The protocol is a line of JSON each way: {"case", "threads"} -> {"can"}; {"warm", "calls"} -> {"seconds"}.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

from .cases import CASES, Case

TUNED = {
    "THP_MEM_ALLOC_ENABLE": "1",  # torch: large pages for large tensors
    # glibc: no mmap for a single buffer, nothing given back to the system
    "GLIBC_TUNABLES": "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=68719476736:glibc.malloc.top_pad=67108864",
}


UNPINNED = {"OMP_PROC_BIND": None, "OMP_PLACES": None}
QUICK_BLAS = {**UNPINNED, "OPENBLAS_THREAD_TIMEOUT": "20"}  # spins for 2^20 cycles after a call, not for 2^28
SETTINGS: dict[str, Mapping[str, str | None]] = {"torch-tuned": TUNED, "numpy": QUICK_BLAS, "onnxruntime": UNPINNED}
SETTLING = {"numpy": 0.003, "onnxruntime": 0.003}  # seconds until its threads have stopped spinning


# The child inherits the one core that our main thread is pinned to: it takes all back before a library counts them.
START = f"""
import os, runpy
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, range(os.cpu_count()))
runpy.run_module({__name__!r}, run_name="__main__", alter_sys=True)
"""


class Worker:
    """A process that measures one side under other settings of the environment; None takes a setting away."""

    def __init__(self, side: str, settings: Mapping[str, str | None]) -> None:
        self.side = side
        environment = {**os.environ, **settings}
        self.process = subprocess.Popen(
            [sys.executable, "-c", START, side],
            env={key: value for key, value in environment.items() if value is not None},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        atexit.register(self.close)

    def ask(self, **question: Any) -> dict[str, Any]:
        """One question, one answer; RuntimeError with what went wrong over there."""
        assert self.process.stdin and self.process.stdout
        try:
            self.process.stdin.write(json.dumps(question) + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except OSError:
            answer = ""
        if not answer:
            raise RuntimeError(f"the process that measures {self.side} has ended (exit status {self.process.poll()})")
        found: dict[str, Any] = json.loads(answer)
        if "error" in found:
            raise RuntimeError(found["error"])
        return found

    def sampler(self, case: Case, threads: int) -> Any:
        """Takes samples of the case over there; None if it cannot be done."""
        if not self.ask(case=case.name, threads=threads)["can"]:
            return None

        def sample(warm: int, calls: int) -> float:
            seconds = float(self.ask(warm=warm, calls=calls)["seconds"])
            time.sleep(SETTLING.get(self.side, 0.0))
            return seconds

        return sample

    def close(self) -> None:
        """Ends the process."""
        with contextlib.suppress(OSError):
            if self.process.stdin:
                self.process.stdin.close()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()


@functools.cache
def process_of(side: str) -> Worker:
    """The process that measures this side, started on first use."""
    return Worker(side, SETTINGS[side])


def serve(side: str) -> None:
    """Answer questions until the pipe is closed."""
    from .sides import library, local_sampler, thread_count

    cases = {case.name: case for case in CASES}
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not look like an answer
    library(side)  # what is not loaded cannot be told its number of threads
    sample: Any = None
    with contextlib.ExitStack() as settings:
        for line in sys.stdin:
            question = json.loads(line)
            try:
                if "case" in question:
                    sample = None  # its memory first
                    settings.close()
                    settings.enter_context(thread_count(question["threads"], blas=side == "numpy"))
                    sample = local_sampler(cases[question["case"]], side, question["threads"])
                    answer: dict[str, Any] = {"can": sample is not None}
                else:
                    answer = {"seconds": sample(question["warm"], question["calls"])}
            except Exception as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            answers.write(json.dumps(answer) + "\n")
            answers.flush()


if __name__ == "__main__":
    serve(sys.argv[1])
