"""How OpenMP's threads wait: short spins by default, and nothing of ours left in the environment."""

import os
import subprocess
import sys

import pytest


def environment_of_libgomp(**settings):
    """(what libgomp says it was loaded with, GOMP_SPINCOUNT as a child process would see it)."""
    kept = {k: v for k, v in os.environ.items() if k not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    code = "import os, tilegrad; print(os.environ.get('GOMP_SPINCOUNT'))"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**kept, **settings, "OMP_DISPLAY_ENV": "verbose"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stderr, done.stdout.strip()


def test_threads_spin_shortly_by_default():
    shown, left = environment_of_libgomp()
    if "GOMP_SPINCOUNT" not in shown:
        pytest.skip("this OpenMP is not libgomp")
    assert "GOMP_SPINCOUNT = '5000'" in shown and left == "None"


def test_what_the_user_set_is_left_alone():
    shown, left = environment_of_libgomp(GOMP_SPINCOUNT="777")
    assert left == "777"
    if "GOMP_SPINCOUNT" in shown:
        assert "GOMP_SPINCOUNT = '777'" in shown
    assert "'5000'" not in environment_of_libgomp(OMP_WAIT_POLICY="active")[0]
