"""tilegrad's NEON kernels on an emulated aarch64 processor, inside this process.

`ziglang` cross-compiles the kernels into one static image; `unicorn` (QEMU's processor emulation as a library) runs them. The
image lies at a fixed address, and the emulated processor sees this process's memory at the same addresses. So a view and the
array it points to mean the same on both sides, and a kernel of the image can stand in the kernel table of the library: every
test of the suite can then run on NEON code, unchanged.

    python tests/aarch64/emulator.py              builds build/aarch64 (again, where a source has changed)
    python tests/aarch64/emulator.py --library    and compiles everything else of csrc, to see that it compiles
    PYTHONPATH=tests/aarch64 pytest -p emulator tests/test_ops.py    a test on the emulated kernels
"""

import concurrent.futures
import ctypes
import fcntl
import hashlib
import os
import pathlib
import re
import struct
import subprocess
import sys
import sysconfig
import tempfile
import threading

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CSRC = ROOT / "csrc"
BUILD = ROOT / "build" / "aarch64"

IMAGE_BASE = 0x2000_0000_0000  # far from where Linux puts libraries, stacks and heaps
STACK_BYTES = 1 << 20
WINDOW = 1 << 30  # memory becomes visible to the emulated processor in pieces of this size, when it is first touched

TARGET = ["-target", "aarch64-linux-musl", "-std=c++20", "-Icsrc", "-DTG_AARCH64=1"]
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wno-missing-field-initializers"]
WITHOUT_OPENMP = ["-Wno-unknown-pragmas", "-Wno-unused-variable"]  # the image has no threads
# As CMakeLists.txt compiles kernels. No guards around statics and no exceptions: nothing of the C++ runtime is needed.
KERNEL_FLAGS = ["-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-fwrapv", "-fno-exceptions", "-fno-rtti"]
KERNEL_FLAGS += ["-fno-threadsafe-statics", "-g0"]
OPTIMISE = {"baseline": "-O1", "neon": "-O2"}  # the former only stands in for what NEON has no kernel of its own for


# --- building ---------------------------------------------------------------------------------------------------------


def zig(*arguments):
    done = subprocess.run([sys.executable, "-m", "ziglang", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"zig {' '.join(map(str, arguments))}\n{done.stderr[-6000:]}")
    return done.stdout


def wide_kernels():
    """The kernels that CMakeLists.txt compiles for more than the baseline."""
    listed = re.search(
        r"set\(wide_kernels(.*?)\)", (ROOT / "CMakeLists.txt").read_text().replace("# gain from wider", ""), re.S
    )
    return set(re.findall(r"^\s+(\w+)", listed[1], re.M))


def kernel_sources(isa):
    sources = sorted((CSRC / "kernels" / "cpu").rglob("*.cpp"))
    if isa == "baseline":
        return sources
    wide = wide_kernels()
    return [s for s in sources if s.relative_to(CSRC / "kernels" / "cpu").parts[0].removesuffix(".cpp") in wide]


def compile_object(source, flags):
    """The object of a source, compiled unless one of the same preprocessed text and flags is there."""
    text = zig("c++", *TARGET, *flags, "-E", "-P", source)
    key = hashlib.sha256("\0".join([*TARGET, *flags, text]).encode()).hexdigest()[:24]
    out = BUILD / f"{source.stem}-{key}.o"
    if not out.exists():
        partial = out.with_suffix(f".{os.getpid()}.{threading.get_ident()}")
        zig("c++", *TARGET, *flags, "-c", source, "-o", partial)
        partial.replace(out)
    return out


def side_by_side(f, jobs):
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return list(pool.map(lambda job: f(*job), jobs))


def compile_library():
    """Compiles core, ops and bindings for aarch64 Linux, with warnings as errors; nothing is kept."""
    import pybind11

    generated = BUILD / "generated" / "core"
    generated.mkdir(parents=True, exist_ok=True)
    text = (CSRC / "core" / "build_info.h.in").read_text()
    (generated / "build_info.h").write_text(re.sub(r"@\w+@", "aarch64", text))
    flags = ["-I", BUILD / "generated", "-isystem", pybind11.get_include(), "-isystem", sysconfig.get_paths()["include"]]
    flags = ["-target", "aarch64-linux-gnu", *TARGET[2:], *WARNINGS, *WITHOUT_OPENMP, *flags, "-O0", "-g0"]

    def compile_once(source):
        with tempfile.TemporaryDirectory(dir=BUILD) as folder:
            zig("c++", *flags, "-c", source, "-o", pathlib.Path(folder) / "object.o")

    sources = [s for part in ("core", "ops", "bindings") for s in sorted((CSRC / part).rglob("*.cpp"))]
    side_by_side(compile_once, [(s,) for s in sources])
    return len(sources)


def build():
    """Compiles what has changed and returns the image and the host's library of rows. One process at a time."""
    BUILD.mkdir(parents=True, exist_ok=True)
    with open(BUILD / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return build_alone()


def build_alone():
    jobs = [(HERE / "guest.cpp", [*WARNINGS, *WITHOUT_OPENMP, *KERNEL_FLAGS, "-O2", "-DTG_ISA=neon", "-DTG_ISA_neon=1"])]
    for isa in ("baseline", "neon"):
        flags = [*WARNINGS, *WITHOUT_OPENMP, *KERNEL_FLAGS, OPTIMISE[isa], f"-DTG_ISA={isa}", f"-DTG_ISA_{isa}=1"]
        jobs += [(source, flags) for source in kernel_sources(isa)]
    objects = side_by_side(compile_object, jobs)
    image = BUILD / f"kernels-{hashlib.sha256(repr(sorted(objects)).encode()).hexdigest()[:16]}.elf"
    if not image.exists():
        partial = image.with_suffix(f".{os.getpid()}")
        zig("cc", "-target", "aarch64-linux-musl", "-static", "-s", "-Wl,-e,exported", f"-Wl,--image-base={IMAGE_BASE:#x}",
            "-Wl,--gc-sections", "-o", partial, *objects)  # fmt: skip
        partial.replace(image)
    rows = BUILD / "rows.so"
    partial = rows.with_suffix(f".{os.getpid()}")
    zig("c++", "-shared", "-fPIC", "-O1", "-std=c++20", *WARNINGS, "-Icsrc", "-DTG_AARCH64=1", HERE / "rows.cpp", "-o", partial)
    partial.replace(rows)
    return image, rows


# --- running ----------------------------------------------------------------------------------------------------------


def load_image(path):
    """Puts the segments of a static ELF file where it wants them, a stack behind them; returns (entry, top of the stack)."""
    data = path.read_bytes()
    entry, headers = struct.unpack_from("<QQ", data, 24)
    size, count = struct.unpack_from("<HH", data, 54)
    headers = [struct.unpack_from("<IIQQQQQQ", data, headers + i * size) for i in range(count)]
    loads = [(at, offset, in_file, in_memory) for kind, _, offset, at, _, in_file, in_memory, _ in headers if kind == 1]
    end = (max(at + in_memory for at, _, _, in_memory in loads) + 0xFFFF) & ~0xFFFF
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    read_write, private_anonymous_fixed = 3, 0x22 | 0x100000
    got = libc.mmap(IMAGE_BASE, end - IMAGE_BASE + STACK_BYTES, read_write, private_anonymous_fixed, -1, 0)
    if got != IMAGE_BASE:
        raise OSError(ctypes.get_errno(), "no room for the image")
    for at, offset, in_file, _ in loads:
        ctypes.memmove(at, data[offset : offset + in_file], in_file)
    return entry, end + STACK_BYTES


class Machine:
    """The emulated processor with the image in its memory. One for each process."""

    def __init__(self):
        import unicorn
        from unicorn import arm64_const as names

        image, rows = build()
        entry, self.stack = load_image(image)
        self.cpu = unicorn.Uc(unicorn.UC_ARCH_ARM64, unicorn.UC_MODE_ARM)
        self.x = [getattr(names, f"UC_ARM64_REG_X{i}") for i in range(8)]
        self.d = [getattr(names, f"UC_ARM64_REG_D{i}") for i in range(2)]
        self.sp, self.lr = names.UC_ARM64_REG_SP, names.UC_ARM64_REG_LR
        self.lock = threading.Lock()
        self.calls = 0

        def show(cpu, access, address, size, value, data):
            start = address // WINDOW * WINDOW
            cpu.mem_map_ptr(start, WINDOW, unicorn.UC_PROT_ALL, start)
            return True

        self.cpu.hook_add(unicorn.UC_HOOK_MEM_UNMAPPED, show)
        exported = ctypes.cast(self.call(entry)[0], ctypes.POINTER(ctypes.c_uint64))
        self.table = exported[0]
        self.rows = ctypes.cast(self.table, ctypes.POINTER(ctypes.c_uint64))
        self.operations = {name: named(exported[1 + i]) for i, name in enumerate(["float32", "float64", "conversions"])}
        self.library = ctypes.CDLL(str(rows))
        self.library.make_table.restype = ctypes.c_void_p
        kinds = [
            ctypes.c_int,
            ctypes.POINTER(ctypes.c_uint64),
            ctypes.POINTER(ctypes.c_double),
            ctypes.POINTER(ctypes.c_uint64),
        ]
        self.forward = ctypes.CFUNCTYPE(None, *kinds)(self.call_row)

    def call(self, function, *integers, doubles=()):
        """Calls a function of the image and returns its two result registers."""
        with self.lock:
            for register, value in zip(self.x, integers):  # noqa: B905 - as many as there are
                self.cpu.reg_write(register, value)
            for register, value in zip(self.d, doubles):  # noqa: B905
                self.cpu.reg_write(register, struct.unpack("<Q", struct.pack("<d", value))[0])
            self.cpu.reg_write(self.sp, self.stack)
            self.cpu.reg_write(self.lr, IMAGE_BASE)  # the ELF header: reaching it ends the emulation
            self.cpu.emu_start(function, IMAGE_BASE)
            self.calls += 1
            return self.cpu.reg_read(self.x[0]), self.cpu.reg_read(self.x[1])

    def call_row(self, row, integers, doubles, result):
        try:
            result[0], result[1] = self.call(self.rows[1 + row], *integers[:7], doubles=doubles[:2])
        except BaseException as error:  # ctypes would print it and go on with a wrong answer
            print(f"row {row} of the emulated table: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            os._exit(70)

    def install(self):
        """From now on every kernel of the library runs here."""
        from tilegrad import _core

        _core.use_kernel_table(self.library.make_table(ctypes.c_void_p(self.table), self.forward))
        assert _core.isa_name() == "neon"

    def run(self, of, name, out, *arrays):
        """out = an operation of guest.cpp on arrays, each of out.size elements."""
        a, b, c = (array.ctypes.data for array in (*arrays, *[arrays[0]] * 3)[:3])
        self.call(self.operations[of][name], a, b, c, out.ctypes.data, out.size)
        return out


def named(address):
    """guest.cpp's list of operations at this address: {name: address of the function}."""
    pairs, found = ctypes.cast(address, ctypes.POINTER(ctypes.c_uint64)), {}
    while pairs[2 * len(found)]:
        i = 2 * len(found)
        found[ctypes.string_at(pairs[i]).decode()] = pairs[i + 1]
    return found


# --- as a pytest plugin -----------------------------------------------------------------------------------------------


def pytest_configure(config):
    if os.environ.get("PYTEST_XDIST_WORKER") or not config.getoption("numprocesses", None):
        config.emulated = Machine()
        config.emulated.install()
    else:
        build()  # once, before the workers ask for it


def pytest_terminal_summary(terminalreporter, config):
    if hasattr(config, "emulated"):
        terminalreporter.write_line(f"{config.emulated.calls} calls of NEON kernels")


if __name__ == "__main__":
    print(*build(), sep="\n")
    if "--library" in sys.argv[1:]:
        print(compile_library(), "further files compiled")
