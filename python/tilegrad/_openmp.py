"""Loads the native module so that waiting OpenMP threads soon go to sleep.

libgomp lets a thread that waits for another one spin for milliseconds. On a machine whose cores are busy that steals the
time of the very thread it waits for: a training step of 6 ms took 65 ms on average beside two busy processes, 5 ms with
this. On an idle machine no difference was measured. What the user has set is left alone.
"""

import os

import numpy  # noqa: F401  # before the native module: in the other order numpy's own import takes 20 ms longer

SPINS = "5000"  # rounds of waiting in a loop, some ten microseconds; libgomp reads it when it is loaded

if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
    os.environ["GOMP_SPINCOUNT"] = SPINS
    try:
        from . import _core  # noqa: F401
    finally:
        del os.environ["GOMP_SPINCOUNT"]  # it is ours, not the child processes'
