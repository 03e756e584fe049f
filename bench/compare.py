"""What became slower between two runs: python bench/compare.py A.json B.json (see --help)."""

import sys

from tilegrad.bench.compare import main

if __name__ == "__main__":
    sys.exit(main())
