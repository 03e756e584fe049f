#!/usr/bin/env python3
"""Prints what each translation unit cost to build and fails when the build outgrew its budget.

    tools/build_report.py build/ci [--wheel dist/tilegrad-*.whl]

Seconds come from Ninja's log of the build in that folder (so run it after a build from cold), sizes from the objects.
"""

import argparse
import sys
from pathlib import Path

UNIT_SECONDS, TOTAL_SECONDS, WHEEL_MB = 25.0, 300.0, 8.0


def read_ninja_log(folder: Path) -> dict[str, tuple[float, float]]:
    """Output file -> (start, end) in seconds of the newest time it was built."""
    times = {}
    for line in (folder / ".ninja_log").read_text().splitlines()[1:]:
        start, end, _, output, _ = line.split("\t")
        times[output] = (int(start) / 1000, int(end) / 1000)
    return times


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the build folder (Ninja)")
    parser.add_argument("--wheel", type=Path)
    args = parser.parse_args()

    times = read_ninja_log(args.folder)
    units = {name: span for name, span in times.items() if name.endswith(".o")}
    library = next(name for name in times if name.startswith("_core") and name.endswith(".so"))
    if not units:
        sys.exit(f"{args.folder}: the log names no object file")

    print(f"{'seconds':>8} {'KB':>8}  translation unit")
    slowest_first = sorted(units.items(), key=lambda item: item[1][0] - item[1][1])
    for name, (start, end) in slowest_first:
        kilobytes = (args.folder / name).stat().st_size / 1024
        label = name.replace("CMakeFiles/", "").replace(".dir/csrc", "").removesuffix(".o")
        print(f"{end - start:8.1f} {kilobytes:8.0f}  {label}")

    compiler_seconds = sum(end - start for start, end in times.values())
    elapsed = max(end for _, end in times.values()) - min(start for start, _ in times.values())
    print(
        f"{len(units)} units, {compiler_seconds:.0f} s of compiler time, {elapsed:.0f} s elapsed (budget {TOTAL_SECONDS:.0f})"
    )
    print(f"{library}: {(args.folder / library).stat().st_size / 2**20:.2f} MB before stripping")

    failures = [
        f"{name}: {end - start:.1f} s, over {UNIT_SECONDS:.0f} s"
        for name, (start, end) in slowest_first
        if end - start > UNIT_SECONDS
    ]
    if elapsed > TOTAL_SECONDS:
        failures.append(f"the build took {elapsed:.0f} s, over {TOTAL_SECONDS:.0f} s")
    if args.wheel:
        megabytes = args.wheel.stat().st_size / 2**20
        print(f"{args.wheel.name}: {megabytes:.2f} MB (budget {WHEEL_MB:.0f})")
        if megabytes > WHEEL_MB:
            failures.append(f"the wheel has {megabytes:.1f} MB, over {WHEEL_MB:.0f} MB")
    for failure in failures:
        print("over budget:", failure, file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
