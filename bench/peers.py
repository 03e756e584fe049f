"""The kernels against other libraries: python bench/peers.py --threads 2 --json FILE (see --help)."""

import sys

from tilegrad.bench.peers import main

if __name__ == "__main__":
    sys.exit(main())
