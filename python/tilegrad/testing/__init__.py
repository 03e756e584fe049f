"""Tools for testing code written with tilegrad: `assert_close`, gradient checks, and the table of op specs.

The specs (`tilegrad.testing.specs`) say what every op is expected to do. The test suite, `tilegrad verify` and the
benchmarks all read that one table.
"""

from tilegrad.autograd.gradcheck import GradcheckError, gradcheck, gradgradcheck
from tilegrad.testing.compare import assert_close

__all__ = ["GradcheckError", "assert_close", "gradcheck", "gradgradcheck"]
