"""A side in a process of its own, with malloc tuned: how much of a difference is the allocator's?

glibc returns large buffers to the system as soon as they are freed, and every first touch of the next one is a page fault. A
user of torch can switch that off, but only before the process starts. So a second process measures torch with these settings.
It sleeps on its pipe while the first one measures, and takes a sample when it is told to: the two alternate like sides in one
process.

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
from typing import Any

from .cases import CASES, Case

TUNED = {
    "THP_MEM_ALLOC_ENABLE": "1",  # torch: large pages for large tensors
    # glibc: no mmap for a single buffer, nothing given back to the system
    "GLIBC_TUNABLES": "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=68719476736:glibc.malloc.top_pad=67108864",
}


class Worker:
    """A process that measures one library under other settings of the environment."""

    def __init__(self, side: str, settings: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", __name__, side],
            env={**os.environ, **settings},
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
            raise RuntimeError(f"the process measuring with tuned malloc has ended (exit status {self.process.poll()})")
        found: dict[str, Any] = json.loads(answer)
        if "error" in found:
            raise RuntimeError(found["error"])
        return found

    def sampler(self, case: Case, threads: int) -> Any:
        """Takes samples of the case over there; None if it cannot be done."""
        if not self.ask(case=case.name, threads=threads)["can"]:
            return None
        return lambda warm, calls: float(self.ask(warm=warm, calls=calls)["seconds"])

    def close(self) -> None:
        """Ends the process."""
        with contextlib.suppress(OSError):
            if self.process.stdin:
                self.process.stdin.close()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()


@functools.cache
def tuned(side: str) -> Worker:
    """The process that measures this library with tuned malloc, started on first use."""
    return Worker(side, TUNED)


def serve(side: str) -> None:
    """Answer questions until the pipe is closed."""
    from .sides import library, sampler, thread_count

    cases = {case.name: case for case in CASES}
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not look like an answer
    library(side)  # before the threads are counted
    sample: Any = None
    threads = 1
    for line in sys.stdin:
        question = json.loads(line)
        try:
            if "case" in question:
                sample = None  # its memory first
                threads = question["threads"]
                with thread_count(threads):
                    sample = sampler(cases[question["case"]], side, threads)
                answer: dict[str, Any] = {"can": sample is not None}
            else:
                with thread_count(threads):
                    answer = {"seconds": sample(question["warm"], question["calls"])}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    serve(sys.argv[1])
