"""Large graphs, memory and object lifetime: nothing recursive, nothing kept, no help from the garbage collector."""

import gc
import threading
import weakref

import pytest

import tilegrad as tg

STACK = 256 * 1024


@pytest.fixture(autouse=True)
def no_garbage_of_other_tests():
    gc.collect()


def in_thread(work, stack=STACK):
    """Runs `work` in a thread with a small stack; its exception is raised here."""
    result = []

    def run():
        try:
            result.append((True, work()))
        except BaseException as error:
            result.append((False, error))

    old = threading.stack_size(stack)
    try:
        thread = threading.Thread(target=run)
        thread.start()
    finally:
        threading.stack_size(old)
    thread.join()
    fine, value = result[0]
    if not fine:
        raise value
    return value


def chain(x, n):
    y, one = x, tg.ones(10)
    for _ in range(n):
        y = y * one
    return y


@pytest.fixture
def no_gc():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_backward_through_100_000_nodes_with_a_small_stack():
    x = tg.ones(10, requires_grad=True)
    in_thread(lambda: chain(x, 100_000).sum().backward())
    assert x.grad.tolist() == [1.0] * 10


def test_dropping_100_000_nodes_that_were_never_used_with_a_small_stack():
    x = tg.ones(10, requires_grad=True)

    def work():
        y = chain(x, 100_000)
        alive = weakref.ref(y)
        del y
        return alive() is None

    assert in_thread(work)


def test_dropping_a_wide_graph_with_a_small_stack():
    def work():
        x = tg.ones(2, requires_grad=True)
        layer = [x * 1.0 for _ in range(20_000)]
        while len(layer) > 1:
            layer = [a + b for a, b in zip(layer[::2], layer[1::2], strict=False)] + layer[len(layer) & ~1 :]
        del layer

    in_thread(work)


def test_dropping_a_graph_of_views_and_in_place_changes_with_a_small_stack():
    def work():
        y = tg.ones(4, requires_grad=True) * 1.0
        for _ in range(20_000):
            y[1:3] *= 1.0
        del y

    in_thread(work)


def test_dropping_a_graph_of_user_functions_with_a_small_stack():
    class Twice(tg.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * 2

        @staticmethod
        def backward(ctx, dy):
            return dy * 2

    def work():
        y = tg.ones(1, requires_grad=True)
        for _ in range(20_000):
            y = Twice.apply(y)
        del y

    in_thread(work)


def test_5_000_recurrent_steps():
    x, w = tg.ones(10), tg.full((10,), 0.5, requires_grad=True)
    h = tg.zeros(10)
    for _ in range(5000):
        h = h * w + x
    h.sum().backward()
    assert w.grad.tolist() == pytest.approx([4.0] * 10)  # d/dw 1 / (1 - w) = 1 / (1 - w)**2


def live_bytes():
    return tg.memory_stats()["live_bytes"]


def step(x, w):
    y = tg.softmax(tg.tanh(x @ w) * 2.0, 1)
    loss = ((y - 0.1) ** 2).mean() + y[:, 1:3].sum() + tg.cat([y, x], 1).sum()
    loss.backward()
    return loss.item()


def test_a_training_step_leaves_no_memory_behind(no_gc):
    x, w = tg.rand(64, 32), tg.rand(32, 16, requires_grad=True)
    step(x, w)
    before, objects = live_bytes(), len(gc.get_objects())
    for _ in range(20):
        step(x, w)
    assert live_bytes() == before
    assert len(gc.get_objects()) - objects <= 2
    assert gc.collect() == 0


def test_second_order_leaves_no_memory_behind(no_gc):
    x = tg.rand(32, 32, requires_grad=True)

    def second_order():
        (g,) = tg.autograd.grad((tg.softmax(x @ x, 1) ** 2).sum(), x, create_graph=True)
        return tg.autograd.grad((g * g).sum(), x)[0].sum().item()

    second_order()
    before = live_bytes()
    for _ in range(10):
        second_order()
    assert live_bytes() == before


def test_backward_frees_the_graph_while_the_output_lives(no_gc):
    x = tg.rand(100_000, requires_grad=True)
    y = tg.exp(tg.exp(x)).sum()  # two arrays are saved
    before = live_bytes()
    y.backward()
    assert live_bytes() < before  # one gradient is kept for two saved arrays
    assert y.numel() == 1


def test_backward_drops_each_gradient_as_it_goes():
    """20 layers deep, the peak of backward stays a few gradients above what the forward pass keeps."""
    x = tg.rand(100_000, requires_grad=True)
    y = x
    for _ in range(20):
        y = tg.tanh(y)
    z = y.sum()
    before = live_bytes()
    tg.reset_peak_memory_stats()
    z.backward()
    assert tg.memory_stats()["peak_bytes"] - before <= 4 * 400_000


def test_no_grad_keeps_nothing():
    x = tg.rand(1000, requires_grad=True)
    with tg.no_grad():
        y = x
        for _ in range(50):
            y = tg.exp(y * 0.0)
        before = live_bytes()
        for _ in range(50):
            y = tg.exp(y * 0.0)
        assert live_bytes() == before


def test_what_no_rule_needs_is_not_saved():
    """add needs nothing, relu its output: a chain of adds holds one array, not one a node."""
    x = tg.rand(100_000, requires_grad=True)
    before = live_bytes()
    y = x
    for _ in range(10):
        y = y + 1.0
    assert live_bytes() - before <= 1.25 * 400_000


def test_weakrefs_to_tensors():
    x = tg.ones(3)
    alive = weakref.ref(x)
    assert alive() is x
    del x
    assert alive() is None


def test_hooks_and_grads_make_no_cycles(no_gc):
    x = tg.ones(3, requires_grad=True)
    y = x * 2
    y.register_hook(lambda g: g * 1)
    y.retain_grad()
    alive = weakref.ref(y)
    y.sum().backward()
    del y
    assert alive() is None and gc.collect() == 0


def test_an_exception_in_backward_leaves_a_usable_engine():
    class Bad(tg.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1.0

        @staticmethod
        def backward(ctx, dy):
            raise KeyError("inside backward")

    x = tg.ones(2, requires_grad=True)
    with pytest.raises(KeyError, match="inside backward"):
        Bad.apply(x).sum().backward()
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0] and tg.is_grad_enabled()


def test_backward_inside_backward():
    class Inner(tg.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, dy):
            (x,) = ctx.saved_tensors
            with tg.enable_grad():
                t = x.detach().requires_grad_()
                (t * t).sum().backward()
            return dy * t.grad

    x = tg.tensor([3.0], requires_grad=True)
    Inner.apply(x).sum().backward()
    assert x.grad.item() == 6.0
