"""Recurrent layers over a sequence, embedding, and their backward ops."""

import numpy as np

import tilegrad as tg
from tilegrad.reference import embedding as embedding_reference
from tilegrad.reference import rnn
from tilegrad.testing.layouts import expanded, stepped, transposed, uniform
from tilegrad.testing.spec import FLOATS, OpError, OpSpec, sample

TYPES = ("float32", "float64")
TOLERANCES = {"float32": (2e-5, 2e-6), "float64": (1e-12, 1e-13)}
GATES = {"lstm": 4, "gru": 3, "rnn": 1}
# (T, B, I, H): around the edges of registers (4, 8, 16), tiles (6, 8 rows; 3 registers) and blocks of 512 terms
SIZES = [
    (1, 1, 1, 1), (1, 5, 3, 17), (2, 9, 4, 16), (3, 7, 5, 33), (4, 17, 2, 49), (2, 3, 6, 100), (3, 1, 0, 5), (2, 2, 3, 530),
]  # fmt: skip
PACKED = [([3, 2, 2, 1], 4, 3), ([9, 9, 4, 1, 1, 1], 2, 19), ([1], 2, 4), ([2], 3, 5), ([1, 1, 1], 3, 50)]


def weights(rng, gates, i, h, bias=True):
    scale = 1 / h**0.5
    made = [uniform(rng, (gates * h, i), -scale, scale), uniform(rng, (gates * h, h), -scale, scale)]
    return [*made, *(uniform(rng, (gates * h,), -scale, scale) if bias else None for _ in range(2))]


def states(rng, name, b, h):
    return [uniform(rng, (b, h)) for _ in range(2 if name == "lstm" else 1)]


def padded(rng, name, t, b, i, h, bias=True):
    """x, the first states and the weights of a full sequence."""
    return [uniform(rng, (t, b, i)), *states(rng, name, b, h), *weights(rng, GATES[name], i, h, bias)]


def packed(rng, name, sizes, i, h):
    """The same of a packed one, and its batch sizes."""
    batch_sizes = np.array(sizes, dtype=np.int64)
    x = uniform(rng, (sum(sizes), i))
    return [x, *states(rng, name, sizes[0], h), *weights(rng, GATES[name], i, h), batch_sizes]


def forward_samples(name):
    def build(rng):
        small = padded(rng, name, 3, 2, 2, 3)
        strided = list(small)
        strided[0] = stepped(uniform(rng, (3, 2, 2)))
        strided[1] = expanded(uniform(rng, (1, 3)), (2, 3))
        strided[-4] = transposed(uniform(rng, strided[-4].shape))
        strided[-3] = transposed(uniform(rng, strided[-3].shape))
        return [
            sample(*small),
            sample(*small, reverse=True),
            sample(*packed(rng, name, [3, 2, 2, 1], 2, 3)),
            sample(*packed(rng, name, [3, 2, 2, 1], 2, 3), reverse=True, gradient=False),
            sample(*padded(rng, name, 2, 3, 4, 5, bias=False)),
            sample(*small[:-1], None, gradient=False, note="one bias"),
            sample(*small[:-2], None, small[-1], gradient=False, note="the other bias"),
            sample(*strided, gradient=False, note="strided"),
            sample(*padded(rng, name, 2, 0, 4, 5), gradient=False, note="empty batch"),
            *(sample(*padded(rng, name, *size), reverse=k % 2 == 1, gradient=False) for k, size in enumerate(SIZES)),
            *(sample(*packed(rng, name, *size), reverse=r, gradient=False) for size in PACKED for r in (False, True)),
            *(
                [
                    sample(*small, nonlinearity="relu"),
                    sample(*padded(rng, name, 5, 9, 4, 20), nonlinearity="relu", gradient=False),
                ]
                if name == "rnn"
                else []
            ),
        ]

    return build


def backward_samples(name):
    """dy, the gradients of the last states, then what the forward op takes."""

    def build(rng):
        found = []
        for s in forward_samples(name)(rng):
            x, h0 = s.args[:2]
            dys = [uniform(rng, (*x.shape[:-1], h0.shape[1])), *states(rng, name, *h0.shape)]
            found.append(sample(*dys, *s.args, gradient=False, note=s.note, **s.kwargs))
        return found

    return build


def forward(name):
    return lambda *args, **kwargs: getattr(tg.ops.rnn, name)(*args, **kwargs)


def backward(name):
    """Runs the forward op for what it saves, then the backward op."""

    def run(*args, reverse=False, nonlinearity="tanh"):
        count = 3 if name == "lstm" else 2
        dys, inputs = args[:count], [*args[count:]]
        inputs += [None] * (count + 4 - len(inputs))
        batch_sizes = inputs.pop() if len(inputs) > count + 4 else None
        options = [batch_sizes, reverse, *([nonlinearity == "relu"] if name == "rnn" else [])]
        with tg.no_grad():
            out = getattr(tg.ops.rnn, f"{name}_op")(*inputs, *options)
            kept = [out[0]] if name == "rnn" else [out[0], out[-1]]
            found = getattr(tg.ops.rnn, f"{name}_backward")(*dys, *inputs, *options, *kept, 7)
        if inputs[-1] is None and inputs[-2] is None:  # nobody has a bias: nothing to compare
            like = tg.zeros(inputs[-4].shape[0], dtype=inputs[0].dtype)
            return (*found[:-2], like, like)
        return found

    return run


def reference_backward(name):
    function = getattr(rnn, f"{name}_backward")

    def run(*args, **kwargs):
        found = function(*args, **kwargs)
        count = 3 if name == "lstm" else 2
        biases = args[2 * count + 2 : 2 * count + 4]
        return (*found[:-2], *(np.zeros_like(d) for d in found[-2:])) if biases[0] is None and biases[1] is None else found

    return run


def errors(name):
    f, gates = forward(name), GATES[name]
    first = [tg.zeros(2, 3)] * (2 if name == "lstm" else 1)
    w_ih, w_hh, bias = tg.zeros(gates * 3, 4), tg.zeros(gates * 3, 3), tg.zeros(gates * 3)
    x = tg.zeros(5, 2, 4)
    sizes = tg.tensor([2, 1])
    return [
        OpError(lambda: f(x[0], *first, w_ih, w_hh), RuntimeError, rf"{name}: expected an input of shape \(T, B, I\), got"),
        OpError(
            lambda: f(x, *first, w_ih, w_hh, batch_sizes=sizes), RuntimeError, rf"{name}: expected an input of shape \(N, I\),"
        ),
        OpError(
            lambda: f(x, *[tg.zeros(3, 3)] * len(first), w_ih, w_hh),
            RuntimeError,
            rf"{name}: expected a first h of shape \(2, 3\), got \(3, 3\)",
        ),
        OpError(
            lambda: f(x, *first, w_hh, w_hh), RuntimeError, rf"{name}: expected weight_ih of shape \({gates * 3}, 4\), got"
        ),
        OpError(
            lambda: f(x, *first, w_ih, w_ih), RuntimeError, rf"{name}: expected weight_hh of shape \({gates * 3}, 3\), got"
        ),
        OpError(
            lambda: f(x, *first, w_ih, w_hh, tg.zeros(2)), RuntimeError, rf"{name}: expected bias_ih of shape \({gates * 3},\)"
        ),
        OpError(
            lambda: f(x, *first, w_ih, w_hh, bias, tg.zeros(2)), RuntimeError, rf"{name}: expected bias_hh of shape"
        ),
        OpError(
            lambda: f(x.double(), *first, w_ih, w_hh), RuntimeError, rf"{name}: expected a first h of the input's dtype float64"
        ),
        OpError(
            lambda: f(x[0], *first, w_ih, w_hh, batch_sizes=tg.tensor([1, 2])), RuntimeError, r"must not rise, got 2 at step 1"
        ),
        OpError(
            lambda: f(x[0], *first, w_ih, w_hh, batch_sizes=tg.tensor([2, -1])), RuntimeError, r"must be positive .* got -1"
        ),
        OpError(
            lambda: f(x[0], *first, w_ih, w_hh, batch_sizes=sizes), RuntimeError, r"add up to 3, the packed input has 2 rows"
        ),
        OpError(
            lambda: f(x[0], *first, w_ih, w_hh, batch_sizes=tg.tensor([2.0])), RuntimeError, r"batch_sizes .* dtype int64"
        ),
    ]  # fmt: skip


def spec(name):
    count = 3 if name == "lstm" else 2
    return OpSpec(
        name, forward(name), getattr(rnn, name), forward_samples(name), TYPES, tolerances=TOLERANCES,
        differentiable=tuple(range(count + 4)), errors=errors(name),
    )  # fmt: skip


def backward_spec(name):
    return OpSpec(
        f"{name}_backward", backward(name), reference_backward(name), backward_samples(name), TYPES,
        tolerances={"float32": (1e-4, 1e-5), "float64": (1e-11, 1e-12)},
    )  # fmt: skip


# --- embedding
def index(rng, *shape, rows=7):
    return np.asarray(rng.integers(0, rows, shape))


def embedding_samples(rng):
    return [
        sample(uniform(rng, (7, 5)), index(rng, 4, 6)),
        sample(uniform(rng, (7, 5)), index(rng)),
        sample(uniform(rng, (7, 5)), index(rng, 0)),
        sample(uniform(rng, (7, 65)), index(rng, 40)),
        sample(transposed(uniform(rng, (7, 5))), index(rng, 2, 0, 3)),
        sample(uniform(rng, (7, 0)), index(rng, 3)),
    ]


def embedding_backward_samples(rng):
    calls = [
        (uniform(rng, (4, 6, 5)), index(rng, 4, 6)),
        (uniform(rng, (5,)), index(rng)),
        (uniform(rng, (0, 5)), index(rng, 0)),
        (uniform(rng, (90, 67)), index(rng, 90)),
        (uniform(rng, (20, 200)), index(rng, 20)),
        (transposed(uniform(rng, (9, 5))), index(rng, 9)),
        (uniform(rng, (3, 0)), index(rng, 3)),
    ]
    return [sample(dy, i, 7, padding, by) for dy, i in calls for padding, by in ((-1, False), (2, False), (3, True))]


def embedding_errors():
    table, numbers = tg.zeros(4, 3), tg.tensor([0, 4])
    back = tg.ops.embedding.embedding_backward
    return [
        OpError(lambda: tg.ops.embedding.embedding(table, numbers), IndexError, r"out of range in self: 4 in a table of"),
        OpError(lambda: tg.ops.embedding.embedding(table, -numbers), IndexError, r"out of range in self: -4 in a table"),
        OpError(lambda: tg.ops.embedding.embedding(tg.zeros(4), numbers), RuntimeError, r"'weight' must be 2-D"),
        OpError(lambda: tg.ops.embedding.embedding(table, tg.zeros(2)), TypeError, r"expected int64 numbers, got float32"),
        OpError(lambda: back(tg.zeros(2, 3), numbers, 4, -1, False), IndexError, r"out of range in self: 4 in a table of 4"),
        OpError(lambda: back(tg.zeros(3, 3), numbers, 5, -1, False), RuntimeError, r"dy of shape \(3, 3\) does not fit"),
        OpError(lambda: back(tg.zeros(2, 3), numbers, -5, -1, False), ValueError, r"a table cannot have -5 rows"),
    ]  # fmt: skip


SPECS = [
    *(spec(name) for name in GATES),
    *(backward_spec(name) for name in GATES),
    OpSpec(
        "embedding",
        lambda weight, i: tg.ops.embedding.embedding(weight, i),
        embedding_reference.embedding,
        embedding_samples,
        FLOATS,
        differentiable=(0,),
        errors=embedding_errors(),
    ),
    OpSpec(
        "embedding_backward",
        lambda dy, i, *rest: tg.ops.embedding.embedding_backward(dy, i, *rest),
        embedding_reference.embedding_backward,
        embedding_backward_samples,
        FLOATS,
        tolerances={
            "float32": (1e-5, 1e-6),
            "float64": (1e-13, 1e-14),
            "bfloat16": (2.0**-7, 1e-5),
            "float16": (2.0**-9, 1e-5),
        },
        differentiable=(0,),
    ),
]
