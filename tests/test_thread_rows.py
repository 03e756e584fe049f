"""Every row of the kernel table: the same bits for one to four threads, on work that is really divided among them.

The rows are read off the headers, so a new kernel fails here until it has a case. The cases of `test_threads.SPLIT` serve
the fused kernels; the elementwise ones get theirs from the op lists.
"""

import functools
import re
import time

import numpy as np
import pytest

import test_threads
import tilegrad as tg
from test_layout import CSRC, table_rows
from test_threads import SPLIT
from tilegrad import _core
from tilegrad.ops import quantized as kernels_of_int8

F = tg.nn.functional
floats, ints = functools.cache(test_threads.floats), functools.cache(test_threads.ints)  # made once: only kernels are timed

if not CSRC.is_dir():
    pytest.skip("runs in a source checkout", allow_module_level=True)
pytestmark = pytest.mark.xdist_group("serial")

NOT_SPLIT = {
    "arithmetic_loop": "measures one thread's peak",
    "memory_loop": "measures one thread's way to memory",
    "conv2d_algorithm": "gives a name, computes nothing",
}


def op_list(name):
    """The functions of one list of op_list.h: "UNARY" gives neg, abs, ..."""
    text = (CSRC / "kernels" / "op_list.h").read_text().replace("\\\n", " ")
    lists = re.findall(rf"#define TG_{name}_(?:BASIC|FUNCTIONS|OPS)\(X\)(.*)", text)
    return [n for line in lists for n in re.findall(r"\bX\((\w+)\)", line)]


# --- elementwise kernels and reductions: a case a layout ---------------------------------------------------------------


@functools.cache
def operands(row, count):
    """Contiguous, transposed and broadcast operands of 300,000 elements, in the dtypes that the row takes."""
    integer = row.startswith("bitwise")
    seeds = range(count)
    if integer:
        plain = [tg.tensor(np.random.default_rng(s).integers(0, 60, (601, 503))) for s in seeds]
        if "shift" in row:
            plain[1] = plain[1] % 8
        return [plain, [t.t().contiguous().t() for t in plain]]
    plain = [(floats(601, 503, seed=s).detach().abs() + 0.5) for s in seeds]
    mixed = [plain[0].t().contiguous().t(), *(t[:1] if i % 2 else t[:, :1] for i, t in enumerate(plain[1:]))]
    if row == "prod":
        plain = [t**0.001 for t in plain]
    return [plain, mixed, [t.double() for t in plain], [t.bfloat16() for t in plain]]


def elementwise(row, count):
    return [getattr(_core, row)(*args) for args in operands(row, count)]


def reduction(row):
    x = operands(row, 1)[0][0]
    results = [getattr(_core, row)(t, [d], False) for t in (x, x.t(), x.double()) for d in (0, 1)]
    return [*results, *([] if row.startswith("arg") else [getattr(_core, row)(x, None, False)])]


COUNTS = {"UNARY": 1, "BINARY": 2, "TERNARY": 3, "COMPARE": 2}
CASES = {row: lambda row=row, n=n: elementwise(row, n) for kind, n in COUNTS.items() for row in op_list(kind)}
CASES |= {row: lambda row=row: reduction(row) for row in op_list("REDUCE")}


# --- the other rows: cases of SPLIT by name, or a call ------------------------------------------------------------------


def drawn(method, *args):
    tg.manual_seed(3)
    return [getattr(tg.empty(500_001, dtype=d), method)(*args) for d in (tg.float32, tg.float64, tg.bfloat16)]


def copies():
    x = floats(601, 503).detach()
    return [x.t().contiguous(), x.bfloat16(), x.double(), x.to(tg.int32), x[:, ::2].contiguous(), tg.full((500_001,), 3.0)]


def clipped():
    w = [tg.nn.Parameter(floats(n, seed=n).detach()) for n in (300_007, 4096, 17)]
    for p in w:
        p.grad = floats(p.numel(), seed=5).detach().clone()
    norms = [tg.nn.utils.clip_grad_norm_(w, 1.0, p) for p in (2.0, 1.0, float("inf"))]
    return [*norms, *(p.grad for p in w)]


def quantized():
    weight = kernels_of_int8.pack_weight(*kernels_of_int8.quantize_weight(floats(300, 256).detach()))
    return kernels_of_int8.quantized_linear(floats(500, 256).detach(), weight, floats(300).detach(), "gelu")


def normed_for_evaluation():
    return F.batch_norm(floats(16, 32, 40, 40).detach(), tg.zeros(32), tg.ones(32), floats(32).detach(), floats(32).detach())


ROWS = {
    "where": lambda: tg.where(floats(601, 503) > 0, floats(601, 503, seed=1), floats(503)),
    "copy": copies,
    "matmul": ("matrix product",),
    "quantized_linear": quantized,
    "conv2d": ("conv2d 3x3", "conv2d 1x1", "conv2d strided", "conv2d deep", "conv2d groups", "conv2d depthwise"),
    "conv2d_backward_input": ("conv2d 3x3", "conv2d strided"),
    "conv2d_backward_weight": ("conv2d 3x3", "conv2d strided"),
    "conv3d": ("conv3d",),
    "conv3d_backward_input": ("conv3d",),
    "conv3d_backward_weight": ("conv3d",),
    "softmax": lambda: F.softmax(floats(600, 701), 1),
    "softmax_backward": lambda: F.softmax(floats(600, 701), 1),
    "log_softmax": lambda: F.log_softmax(floats(600, 701), 1),
    "log_softmax_backward": lambda: F.log_softmax(floats(600, 701), 1),
    "cross_entropy": ("cross_entropy", "cross_entropy of columns"),
    "cross_entropy_backward": lambda: F.cross_entropy(floats(600, 701), ints(701, 600), reduction="none"),
    "soft_cross_entropy": ("cross_entropy soft",),
    "soft_cross_entropy_backward": ("cross_entropy soft",),
    "pointwise_loss": ("mse_loss", "binary_cross_entropy", "huber_loss"),
    "pointwise_loss_backward": ("mse_loss", "binary_cross_entropy", "huber_loss"),
    "ctc_loss": ("ctc_loss",),
    "ctc_loss_backward": ("ctc_loss",),
    "attention": ("attention", "attention with a mask", "attention of long rows"),
    "attention_backward": ("attention", "attention with a mask", "attention of long rows"),
    "index_select": ("embedding",),
    "index_add": ("index_add",),
    "index_copy": lambda: floats(900, 701).detach().clone().index_copy_(0, ints(60, 600), floats(600, 701).detach()),
    "gather": ("gather",),
    "scatter": ("scatter_add", "scatter_reduce"),
    "flip": lambda: tg.flip(floats(601, 503), (1,)),
    "roll": lambda: tg.roll(floats(601, 503), 17, 1),
    "triangle": lambda: tg.tril(floats(601, 503)),
    "nonzero_count": lambda: tg.nonzero(floats(901, 703).detach() > 0),
    "nonzero": lambda: tg.nonzero(floats(901, 703).detach() > 0),
    "scan": ("cumsum", "cumsum of columns", "cumprod", "logcumsumexp", "cummax"),
    "sort": ("sort", "sort of columns"),
    "topk": ("topk",),
    "select": lambda: [*tg.median(floats(601, 503).detach(), 1), *tg.kthvalue(floats(601, 503).detach(), 9, 1)],
    "searchsorted": lambda: tg.searchsorted(tg.linspace(-3.0, 3.0, 4001), floats(601, 503).detach()),
    "logsumexp": ("logsumexp",),
    "embedding_backward": ("embedding",),
    "lstm": ("LSTM",),
    "lstm_backward": ("LSTM",),
    "gru": ("GRU",),
    "gru_backward": ("GRU",),
    "rnn": ("RNN",),
    "rnn_backward": ("RNN",),
    "layer_norm": ("layer_norm",),
    "layer_norm_backward": ("layer_norm",),
    "rms_norm": ("rms_norm",),
    "rms_norm_backward": ("rms_norm",),
    "batch_norm": ("batch_norm", "batch_norm of rows"),
    "batch_norm_backward": ("batch_norm", "batch_norm of rows"),
    "group_norm": ("group_norm", "instance_norm"),
    "group_norm_backward": ("group_norm", "instance_norm"),
    "channel_affine": normed_for_evaluation,
    "pad": ("pad reflect", "pad circular"),
    "pad_backward": ("pad reflect", "pad circular"),
    "max_pool": ("max_pool2d",),
    "max_pool_backward": ("max_pool2d",),
    "resample": ("interpolate bilinear", "interpolate bicubic", "avg_pool2d"),
    "grid_sample": ("grid_sample", "grid_sample 3d"),
    "grid_sample_backward": ("grid_sample", "grid_sample 3d"),
    "uniform": lambda: drawn("uniform_", -1.0, 2.0),
    "normal": lambda: drawn("normal_", 1.0, 2.0),
    "randint": lambda: drawn("random_", 0, 100),
    "sgd": ("SGD",),
    "adam": ("AdamW",),
    "adaptive": ("Adagrad", "RMSprop"),
    "total_norm": clipped,
    "scale_all": clipped,
}
CASES |= ROWS

# What tg.profile() calls the op that runs the row, where that is not the row's name; None: not a call of its own there.
EVENTS = {
    "cross_entropy": "cross_entropy_reduced", "select": None,
    "conv2d": "conv", "conv2d_backward_input": "conv_backward_input", "conv2d_backward_weight": "conv_backward_weight",
    "conv3d": "conv", "conv3d_backward_input": "conv_backward_input", "conv3d_backward_weight": "conv_backward_weight",
    "copy": "contiguous", "index_copy": "index_copy_", "index_select": "embedding", "scan": "cumsum",
    "resample": "interpolate", "nonzero_count": None, "nonzero": None, "searchsorted": None,
    "uniform": None, "normal": None, "randint": None, "channel_affine": None,
    "sgd": None, "adam": None, "adaptive": None, "total_norm": None, "scale_all": None,
}  # fmt: skip


def tensors_of(y):
    return [t for part in y for t in tensors_of(part)] if isinstance(y, (list, tuple)) else [y]


def run(row):
    """All results of the row's cases, and the gradients through them."""
    case = CASES[row]
    results = [SPLIT[name]() for name in case] if isinstance(case, tuple) else tensors_of(case())
    for y in results:
        if y.requires_grad:
            (y * tg.linspace(-1.0, 1.0, y.numel(), dtype=y.dtype).reshape(y.shape)).sum().backward()
    return results


@pytest.fixture
def threads():
    """Restores the number of kernel threads."""
    before = tg.get_num_threads()
    yield tg.set_num_threads
    tg.set_num_threads(before)


def test_every_row_has_a_case():
    missing = [r for r in table_rows() if r not in CASES and r not in NOT_SPLIT]
    assert not missing, f"kernels whose bits nobody compares over 1 to 4 threads: {missing}"
    unknown = [r for r in [*CASES, *NOT_SPLIT] if r not in table_rows()]
    assert not unknown, f"cases of kernels that are gone: {unknown}"


CALLS = [row for row, case in CASES.items() if not isinstance(case, tuple)]


@pytest.mark.parametrize("row", CALLS)  # the others: test_threads.py, forward and backward
def test_the_same_bits_for_any_number_of_threads(row, threads):
    def bits():
        return [t.detach().to(tg.float64 if t.dtype == tg.bfloat16 else t.dtype).numpy().tobytes() for t in run(row)]

    threads(1)
    expected = bits()
    for count in (2, 3, 4):
        threads(count)
        assert bits() == expected, f"{count} threads"


@pytest.mark.parametrize("row", ROWS)
def test_the_case_runs_the_row(row):
    name = EVENTS.get(row, row)
    if name is None:
        pytest.skip("not a call of its own in a profile")
    with tg.profile() as prof:
        run(row)
    names = {r.name for r in prof.key_averages()}
    assert name in names, names


@pytest.mark.parametrize("row", CASES)
def test_the_work_is_divided(row, threads, monkeypatch):
    """With two threads a good part of the processor time is not the calling thread's."""
    monkeypatch.setattr(test_threads, "floats", floats)
    monkeypatch.setattr(test_threads, "ints", ints)
    threads(2)
    run(row)
    case = CASES[row]
    forward = (lambda: [SPLIT[name]() for name in case]) if isinstance(case, tuple) else case
    work = (lambda: run(row)) if "_backward" in row and row in ROWS else forward
    everybody, caller = time.process_time_ns(), time.thread_time_ns()
    deadline = time.monotonic() + 0.08
    while time.monotonic() < deadline:
        work()
    everybody, caller = time.process_time_ns() - everybody, time.thread_time_ns() - caller
    assert everybody - caller > 0.1 * everybody, f"others: {(everybody - caller) / everybody:.1%}"
