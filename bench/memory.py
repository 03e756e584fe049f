"""Memory of whole training steps: python bench/memory.py (see --help)."""

import sys

from tilegrad.bench.memory import main

if __name__ == "__main__":
    sys.exit(main())
