"""Rules of the source tree: who may include whom, one spec and one line of documentation per kernel, file sizes, symbols."""

import pathlib
import re
import shutil
import subprocess
import types

import pytest

import tilegrad as tg
from tilegrad.testing.specs import all_specs

ROOT = pathlib.Path(__file__).resolve().parent.parent
CSRC = ROOT / "csrc"
PACKAGE = ROOT / "python" / "tilegrad"

pytestmark = pytest.mark.skipif(not CSRC.is_dir(), reason="runs in a source checkout")


def sources(folder, *suffixes):
    return sorted(p for p in folder.rglob("*") if p.suffix in suffixes)


def includes(path):
    return re.findall(r'^\s*#\s*include\s+[<"]([^>"]+)[>"]', path.read_text(), re.M)


def offenders(folder, forbidden):
    """(file, include) pairs in csrc/folder whose include matches the pattern."""
    files = sources(CSRC / folder, ".h", ".cpp", ".cu", ".cuh")
    assert files, folder
    return [(str(f.relative_to(CSRC)), i) for f in files for i in includes(f) if re.search(forbidden, i)]


def test_kernels_include_only_kernels_and_the_light_headers_of_core():
    light = r"core/(dtype|parallel)\.h"
    own = [str(p.relative_to(CSRC)) for p in sources(CSRC, ".h", ".cuh")]
    files = sources(CSRC / "kernels", ".h", ".cpp", ".cu", ".cuh")
    bad = []
    for f in files:
        for i in includes(f):
            ours = i in own or (f.parent / i).exists()
            inside = i.startswith("kernels/") or (f.parent / i).exists() or re.fullmatch(light, i)
            if ours and not inside:
                bad.append((str(f.relative_to(CSRC)), i))
    assert not bad


def test_ops_do_not_include_the_kernels_of_a_device():
    assert not offenders("ops", r"kernels/(cpu|cuda|sim)")


def test_core_includes_neither_ops_nor_bindings():
    assert not offenders("core", r"^(ops|bindings)/")


@pytest.mark.parametrize("folder", ["core", "kernels", "ops"])
def test_only_bindings_know_python(folder):
    assert not offenders(folder, r"Python\.h|pybind11")


def test_parallel_h_is_the_one_place_that_speaks_openmp():
    pattern = re.compile(r"#\s*pragma\s+omp\s+(?!simd)|omp\.h|omp_\w+\(")
    bad = [str(f.relative_to(CSRC)) for f in sources(CSRC, ".h", ".cpp") if pattern.search(f.read_text())]
    assert bad == ["core/parallel.h"]


def test_no_std_containers_in_files_compiled_per_instruction_set():
    forbidden = (
        r"^(vector|string|map|set|unordered_map|memory|functional|algorithm|iostream|sstream|array|optional|deque|tuple)$"
    )
    assert not offenders("kernels/cpu", forbidden)


def test_specialised_constants_in_headers_are_inline():
    """Without it every file that includes the header defines the constant for all: clang's objects would not link."""
    bad = [
        str(f.relative_to(CSRC))
        for f in sources(CSRC, ".h")
        if re.search(r"template <> constexpr\b[^()\n]*[=;{]", f.read_text())
    ]
    assert not bad


def test_files_stay_short():
    files = [*sources(CSRC, ".h", ".cpp", ".cu", ".cuh"), *sources(PACKAGE, ".py"), *sources(ROOT / "tests", ".py")]
    long = {str(f.relative_to(ROOT)): n for f in files if (n := len(f.read_text().splitlines())) > 500}
    assert not long, f"over 500 lines: {long}"


# Kernel files of more than 250 lines. A kernel is read in one sitting: the list may only become shorter.
LONG_KERNELS = set("""
attention/backward.cpp conv2d/correlate.h conv2d/pointwise.cpp conv2d/winograd_product.h conv2d/winograd_transform.h
elementwise_loop.h grid_sample.cpp matmul/blocks.h norm/batch.cpp positions.cpp reduce.cpp reduce_loops.h rnn/steps.h
simd.h simd_math.h sort.cpp
""".split())  # fmt: skip


def test_long_kernel_files_become_fewer():
    folder = CSRC / "kernels" / "cpu"
    long = {p.relative_to(folder).as_posix() for p in sources(folder, ".h", ".cpp") if len(p.read_text().splitlines()) > 250}
    assert long <= LONG_KERNELS, f"over 250 lines: {sorted(long - LONG_KERNELS)}"


def test_python_layers_point_downward():
    """ops and autograd know nothing of nn, optim, utils, course and cli; nn and optim nothing of course and cli."""
    upper = {
        "ops": "nn|optim|utils|course|cli",
        "autograd": "nn|optim|course|cli",
        "nn": "course|cli",
        "optim": "nn|course|cli",
    }
    bad = []
    for folder, forbidden in upper.items():
        pattern = re.compile(rf"^(?:from|import)\s+tilegrad\.({forbidden})\b|^from\s+\.+({forbidden})\b", re.M)
        bad += [str(f.relative_to(ROOT)) for f in sources(PACKAGE / folder, ".py") if pattern.search(f.read_text())]
    assert not bad


# --- one spec, one line of documentation per kernel ---------------------------------------------------------------------


def table_rows():
    """The names of every kernel: the op lists and the function pointers of the table."""
    lists = (CSRC / "kernels" / "op_list.h").read_text()
    names = re.findall(r"\bX\((\w+)\)", lists)
    table = (CSRC / "kernels" / "kernel_table.h").read_text()
    names += re.findall(r"\(\*(\w+)\)\(", table)
    return sorted(n for n in set(names) if n != "name" and not n.endswith("_workspace"))  # a twin: the scratch of its kernel


WITHOUT_SPEC = {
    "arithmetic_loop", "memory_loop",  # the machine's limits, for benchmarks
    "sgd", "adam", "adaptive", "total_norm", "scale_all",  # tests/test_optim.py, tests/test_optimizers.py
    "conv2d_algorithm",  # tests/test_conv_algorithms.py
}  # fmt: skip


def test_there_is_a_spec_for_every_kernel():
    covered = {s.name for s in all_specs()} | {row for s in all_specs() for row in s.rows}
    backward = {r for r in table_rows() if r.endswith("_backward") and r.removesuffix("_backward") in covered}
    missing = [r for r in table_rows() if r not in covered | backward | WITHOUT_SPEC]
    assert not missing, f"kernels without a spec: {missing}"


def test_specs_name_kernels_that_exist():
    unknown = {row for s in all_specs() for row in s.rows} - set(table_rows())
    assert not unknown


def documented(name):
    """Does a function of this name say in its docstring what it computes (the API pages show that), or a page name it?"""
    modules = [m for m in vars(tg.ops).values() if isinstance(m, types.ModuleType)] + [tg.nn.functional]
    found = [getattr(m, name, None) for m in modules] + [getattr(tg.Tensor, f"{name}_", None)]
    return any(f is not None and f.__doc__ and f.__doc__.strip() for f in found)


def test_there_is_a_line_of_documentation_for_every_kernel():
    pages = "\n".join(p.read_text() for p in sources(ROOT / "docs", ".md", ".rst") if "_build" not in p.parts)
    missing = [r for r in table_rows() if not documented(r) and not re.search(rf"\b{r}\b", pages)]
    missing = [r for r in missing if r.removesuffix("_backward") == r and r not in WITHOUT_SPEC]
    assert not missing, f"kernels that neither a docstring nor a page explains: {missing}"


def test_every_reference_function_is_used_by_a_spec():
    specs = "\n".join(p.read_text() for p in sources(PACKAGE / "testing" / "specs", ".py"))
    unused = []
    for f in sources(PACKAGE / "reference", ".py"):
        if f.stem in ("__init__", "random"):
            continue
        own = f.read_text()
        for name in re.findall(r"^def ([a-z]\w*)\(", own, re.M):
            used = re.search(rf"\b{f.stem}\.{name}\b|import.*\b{name}\b", specs) or len(re.findall(rf"\b{name}\(", own)) > 1
            if not used and f"getattr({f.stem}" not in specs:
                unused.append(f"{f.stem}.{name}")
    assert not unused


# --- symbols -----------------------------------------------------------------------------------------------------------


def objects():
    """Object files of the kernels in the newest build folder: {instruction set: [paths]}."""
    found = (
        sorted((ROOT / "build").rglob("kernels_*.dir/**/*.o"), key=lambda p: p.stat().st_mtime)
        if (ROOT / "build").is_dir()
        else []
    )
    result = {}
    for p in found:
        isa = re.search(r"kernels_(\w+)\.dir", str(p)).group(1)
        result.setdefault(isa, {})[p.name] = p  # newer builds win
    return {isa: list(files.values()) for isa, files in result.items()}


def test_objects_of_an_instruction_set_export_only_names_of_their_own_namespace():
    """The linker keeps one copy of an inline function for everyone: if that is an AVX-512 copy, older processors crash."""
    if not objects() or not shutil.which("nm"):
        pytest.skip("no build folder, or no nm")
    bad = []
    for isa, files in objects().items():
        for f in files:
            listing = subprocess.run(
                ["nm", "--defined-only", "--extern-only", "-C", f], capture_output=True, text=True, check=True
            ).stdout
            for line in listing.splitlines():
                _, kind, name = line.split(maxsplit=2)
                if f"tg::{isa}::" not in name and not name.startswith(("DW.ref.", "__odr_asan", "tg::cpu_")):
                    bad.append((isa, f.name, kind, name))
    assert not bad, bad[:10]
