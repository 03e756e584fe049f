"""pytest-benchmark measures nothing while tests are spread over processes, for which the repository has a default option."""

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    """Without -n nothing is spread."""
    if getattr(config.option, "dist", "no") != "no" and not getattr(config.option, "numprocesses", None):
        config.option.dist = "no"
