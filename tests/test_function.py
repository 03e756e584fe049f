"""Function for users, hooks, checkpoint and anomaly mode."""

import gc
import pathlib
import weakref

import numpy as np
import pytest

import tilegrad as tg
from tilegrad.autograd import Function, checkpoint
from tilegrad.testing import assert_close, gradcheck, gradgradcheck


def leaf(*values):
    return tg.tensor(values, dtype=tg.float64, requires_grad=True)


class Cube(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        return 3 * x * x * dy


class ScaledPair(Function):
    """Two outputs, a number among the inputs, and a record of which gradients were wanted."""

    wanted = None

    @staticmethod
    def forward(ctx, x, y, scale):
        ctx.save_for_backward(x, y)
        ctx.scale = scale
        return x * y * scale, x + y

    @staticmethod
    def backward(ctx, d0, d1):
        x, y = ctx.saved_tensors
        ScaledPair.wanted = ctx.needs_input_grad
        return d0 * y * ctx.scale + d1, d0 * x * ctx.scale + d1, None


def test_function_of_any_order():
    x = leaf(1.0, 2.0)
    assert gradcheck(Cube.apply, x) and gradgradcheck(Cube.apply, x)
    (g,) = tg.autograd.grad(Cube.apply(x).sum(), x, create_graph=True)
    (h,) = tg.autograd.grad(g.sum(), x, create_graph=True)
    assert tg.autograd.grad(h.sum(), x)[0].tolist() == [6.0, 6.0]


def test_function_with_several_outputs():
    x, y = leaf(2.0), leaf(3.0)
    product, total = ScaledPair.apply(x, y, 10)
    (product + total).sum().backward()
    assert (x.grad.item(), y.grad.item()) == (31.0, 21.0)
    assert ScaledPair.wanted == (True, True, False)
    assert gradgradcheck(lambda x, y: ScaledPair.apply(x, y, 2.0), (leaf(1.0), leaf(2.0)))


def test_an_unused_output_gets_a_gradient_of_zeros():
    x, y = leaf(2.0), leaf(3.0)
    ScaledPair.apply(x, y, 10)[1].sum().backward()
    assert (x.grad.item(), y.grad.item()) == (1.0, 1.0)


def test_needs_input_grad_follows_the_inputs():
    ScaledPair.apply(leaf(2.0), tg.ones(1, dtype=tg.float64), 10)[0].sum().backward()
    assert ScaledPair.wanted == (True, False, False)


def test_function_without_a_gradient_wanted_records_nothing():
    assert not Cube.apply(tg.ones(2)).requires_grad
    with tg.no_grad():
        assert not Cube.apply(leaf(1.0)).requires_grad


def test_forward_of_a_function_records_no_graph_of_its_own():
    seen = []

    class Inner(Function):
        @staticmethod
        def forward(ctx, x):
            seen.append(tg.is_grad_enabled())
            return x * 2

        @staticmethod
        def backward(ctx, dy):
            return dy * 2

    y = Inner.apply(leaf(1.0))
    assert seen == [False] and "Inner" in repr(y.grad_fn)


def test_none_for_an_input_that_needs_no_gradient():
    class First(Function):
        @staticmethod
        def forward(ctx, x, y):
            return x + y

        @staticmethod
        def backward(ctx, dy):
            return dy, None

    x, y = leaf(1.0), leaf(1.0)
    First.apply(x, y).sum().backward()
    assert x.grad.item() == 1.0 and y.grad is None


def test_wrong_number_of_gradients():
    class Bad(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, dy):
            return dy, dy

    with pytest.raises(RuntimeError, match=r"Bad.backward returned 2 gradients for 1 arguments of forward"):
        Bad.apply(leaf(1.0)).sum().backward()


def test_wrong_shape_of_a_gradient():
    class Bad(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, dy):
            return tg.ones(5, dtype=tg.float64)

    with pytest.raises(RuntimeError, match=r"Bad: the gradient rule gave shape \(5,\) for an input of shape \(2,\)"):
        Bad.apply(leaf(1.0, 2.0)).sum().backward()


def test_once_differentiable():
    from tilegrad.autograd.function import once_differentiable

    class Once(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @once_differentiable
        def backward(ctx, dy):
            (x,) = ctx.saved_tensors
            return 2 * x * dy

    x = leaf(3.0)
    (g,) = tg.autograd.grad(Once.apply(x) ** 2, x, create_graph=True)
    assert g.item() == 108.0
    with pytest.raises(RuntimeError, match="once_differentiable"):
        tg.autograd.grad(g.sum(), x)


def test_mark_non_differentiable():
    class Rank(Function):
        @staticmethod
        def forward(ctx, x):
            mask = (x > 0).to(tg.float64)
            ctx.mark_non_differentiable(mask)
            ctx.save_for_backward(mask)
            return x * mask, mask

        @staticmethod
        def backward(ctx, dy, _):
            return dy * ctx.saved_tensors[0]

    x = leaf(-1.0, 2.0)
    y, mask = Rank.apply(x)
    assert y.requires_grad and not mask.requires_grad
    y.sum().backward()
    assert x.grad.tolist() == [0.0, 1.0]


def test_saved_tensors_are_freed_by_backward():
    x = leaf(1.0)
    y = Cube.apply(x)
    y.sum().backward()
    with pytest.raises(RuntimeError, match="second time"):
        y.sum().backward()


def test_saved_tensor_changed_in_place():
    x = leaf(1.0) * 1.0
    y = Cube.apply(x)
    x.add_(1)
    with pytest.raises(RuntimeError, match="Cube saved tensor 0 for backward, and an in-place operation changed it since"):
        y.sum().backward()


def test_functions_cannot_be_made():
    with pytest.raises((RuntimeError, TypeError), match="Cube"):
        Cube()(leaf(1.0))


def test_a_dropped_graph_frees_what_a_function_saved():
    gc.disable()
    try:
        x = tg.ones(3, dtype=tg.float64) * 1.0
        alive = weakref.ref(x)
        y = Cube.apply(x + leaf(0.0))
        z = Cube.apply(y)
        del x, y, z
        assert alive() is None
    finally:
        gc.enable()


# --- hooks -------------------------------------------------------------------------------------------------------------


def test_hook_sees_and_changes_the_gradient():
    x = leaf(1.0, 2.0)
    seen = []
    handle = x.register_hook(lambda g: seen.append(g.tolist()))
    other = x.register_hook(lambda g: g * 10)
    (x * 3).sum().backward()
    assert seen == [[3.0, 3.0]] and x.grad.tolist() == [30.0, 30.0]
    handle.remove()
    other.remove()
    x.grad = None
    (x * 3).sum().backward()
    assert len(seen) == 1 and x.grad.tolist() == [3.0, 3.0]


def test_hook_on_an_intermediate_tensor_gets_the_whole_gradient_once():
    x = leaf(2.0)
    y = x * 3
    seen = []
    y.register_hook(lambda g: seen.append(g.item()))
    (y * y + y).sum().backward()
    assert seen == [13.0] and x.grad.item() == 39.0


def test_hooks_run_in_order_and_pass_their_results_on():
    x = leaf(1.0)
    y = x * 1.0
    y.register_hook(lambda g: g + 1)
    y.register_hook(lambda g: g * 2)
    y.sum().backward()
    assert x.grad.item() == 4.0


def test_hook_as_a_context_and_on_a_constant():
    x = leaf(1.0)
    with x.register_hook(lambda g: g * 2):
        x.sum().backward()
    x.sum().backward()
    assert x.grad.item() == 3.0
    with pytest.raises(RuntimeError, match="register_hook: the tensor does not require grad"):
        tg.ones(1).register_hook(print)


def test_hook_of_second_order():
    x = leaf(2.0)
    y = x * x
    y.register_hook(lambda g: g * g)
    (g,) = tg.autograd.grad((3 * y).sum(), x, create_graph=True)
    assert g.item() == 36.0
    assert tg.autograd.grad(g.sum(), x)[0].item() == 18.0


def test_retain_grad():
    x = leaf(2.0)
    y = x * x
    y.retain_grad()
    z = y * 3
    z.sum().backward()
    assert y.retains_grad and y.grad.item() == 3.0 and x.grad.item() == 12.0
    x.retain_grad()  # nothing to do on a leaf
    with pytest.raises(RuntimeError, match="retain_grad: the tensor does not require grad"):
        tg.ones(1).retain_grad()


def test_grad_of_a_non_leaf_without_retain_grad_is_none():
    x = leaf(2.0)
    y = x * x
    y.sum().backward()
    assert y.grad is None


# --- checkpoint --------------------------------------------------------------------------------------------------------


def block(x, w):
    return tg.tanh(x @ w) * tg.rand(2, 3, dtype=tg.float64)


def test_checkpoint_gives_the_same_gradients_and_the_same_random_numbers(rng):
    gradients = []
    for use in (False, True):
        x = tg.tensor(np.linspace(-1, 1, 6).reshape(2, 3), requires_grad=True)
        w = tg.tensor(np.linspace(0, 1, 9).reshape(3, 3), requires_grad=True)
        tg.manual_seed(5)
        y = checkpoint(block, x, w, use_reentrant=False) if use else block(x, w)
        after = tg.rand(3)
        (y * y).sum().backward()
        gradients.append((y.detach(), x.grad, w.grad, after, tg.rand(3)))
    for plain, checkpointed in zip(*gradients, strict=True):
        assert_close(plain, checkpointed, rtol=0, atol=0)


def test_checkpoint_saves_no_intermediate_and_runs_twice():
    runs = []

    def counted(x):
        runs.append(1)
        middle = x * x
        alive.append(weakref.ref(middle))
        return (middle * x).sum()

    alive = []
    x = leaf(1.0, 2.0)
    y = checkpoint(counted, x, use_reentrant=False)
    gc.collect()
    assert len(runs) == 1 and alive[0]() is None
    y.backward()
    assert len(runs) == 2 and x.grad.tolist() == [3.0, 12.0]


# --- anomaly mode ------------------------------------------------------------------------------------------------------


def test_anomaly_mode_names_the_op_and_the_line_of_a_bad_gradient():
    x = leaf(0.0)
    with tg.autograd.detect_anomaly(check_nan=True):
        y = tg.sqrt(x) * 0  # the line that the error must name
        with pytest.raises(
            RuntimeError, match=r"detect_anomaly: the gradient of sqrt with respect to its input 0 has NaN values"
        ) as caught:
            y.sum().backward()
    text = str(caught.value)
    line = next(i for i, text in enumerate(pathlib.Path(__file__).read_text().splitlines(), 1) if "must name" in text)
    assert f'test_function.py", line {line}, in test_anomaly_mode_names_the_op' in text


def test_anomaly_mode_finds_a_nan_in_forward():
    with (
        tg.autograd.detect_anomaly(),
        pytest.raises(RuntimeError, match=r"detect_anomaly: log returned NaN in the forward pass") as caught,
    ):
        tg.log(leaf(-1.0))
    assert "test_function.py" in str(caught.value)


def test_anomaly_mode_names_the_module_path():
    class Root(tg.nn.Module):
        def forward(self, x):
            return tg.sqrt(x)

    model = tg.nn.Sequential(tg.nn.Identity(), tg.nn.Sequential(Root()))
    x = leaf(0.0)
    with tg.autograd.detect_anomaly():
        y = model(x) * 0
        with pytest.raises(RuntimeError, match=r"detect_anomaly: the gradient of sqrt") as caught:
            y.sum().backward()
    assert "in module Sequential.1.0" in str(caught.value)


def test_anomaly_mode_off_again():
    with tg.autograd.detect_anomaly():
        pass
    (tg.sqrt(leaf(0.0)) * 0).sum().backward()
    with tg.autograd.set_detect_anomaly(False):
        tg.log(leaf(-1.0))
