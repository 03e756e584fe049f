"""Time per unit of work against size: python bench/scaling.py --threads 1 --png FILE (see --help)."""

import sys

from tilegrad.bench.scaling import main

if __name__ == "__main__":
    sys.exit(main())
