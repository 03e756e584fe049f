"""Settings that every test relies on: one kernel thread per pytest worker, repeatable random examples, no network."""

import os
import socket
import subprocess
import sys
import textwrap

# before tilegrad is imported: workers share the cores, and waiting threads must not spin
os.environ.setdefault("TILEGRAD_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import hypothesis
import numpy as np
import pytest

import tilegrad as tg

hypothesis.settings.register_profile("tilegrad", derandomize=True, deadline=None, max_examples=60, database=None)
hypothesis.settings.load_profile("tilegrad")

SERIAL = pytest.mark.xdist_group("serial")  # `pytest -n auto --dist loadgroup` keeps these on one worker


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: longer than a few seconds")
    config.addinivalue_line("markers", "xdist_group(name): tests that must not run beside each other")


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Connecting anywhere but to this machine fails."""
    connect = socket.socket.connect

    def local_only(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test tried to reach the network: {address}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", local_only)


@pytest.fixture(autouse=True)
def seeded():
    tg.manual_seed(0)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def run_python():
    """run_python(code, **environment): runs the code in a fresh interpreter; the test fails unless it exits with 0."""

    def run(code, *, timeout=120, check=True, **environment):
        result = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if check and result.returncode != 0:
            pytest.fail(f"exit status {result.returncode}\n{result.stdout}\n{result.stderr[-4000:]}")
        return result

    return run
