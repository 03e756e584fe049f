#!/usr/bin/env python3
"""Makes the figure of README.md, docs/figures/mlp.png: the curves that `tilegrad train mlp` draws, as it draws them."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FIGURES = Path(__file__).resolve().parent.parent / "docs/figures"


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        code = subprocess.run([sys.executable, "-m", "tilegrad", "train", "mlp", "--out", folder]).returncode
        if code == 0:
            (picture,) = Path(folder).glob("mlp/*/curves.png")
            shutil.copy(picture, FIGURES / "mlp.png")
    return code


if __name__ == "__main__":
    sys.exit(main())
