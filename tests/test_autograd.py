"""The engine: orders 0 to 3, accumulation, un-broadcasting, grad modes, what backward frees and what it refuses."""

import numpy as np
import pytest

import tilegrad as tg
from tilegrad.testing import assert_close, gradgradcheck


def leaf(*values, dtype=tg.float64):
    return tg.tensor(values, dtype=dtype, requires_grad=True)


# --- orders ------------------------------------------------------------------------------------------------------------


def test_orders_zero_to_three():
    x = tg.tensor(3.0, requires_grad=True)
    y = x * x * x
    (g,) = tg.autograd.grad(y, x, create_graph=True)
    (h,) = tg.autograd.grad(g, x, create_graph=True)
    (k,) = tg.autograd.grad(h, x)
    assert [t.item() for t in (y, g, h, k)] == [27.0, 27.0, 18.0, 6.0]
    assert not k.requires_grad


def test_backward_with_create_graph_gives_a_differentiable_grad():
    x = tg.tensor(2.0, requires_grad=True)
    (x**3).backward(create_graph=True)
    assert x.grad.requires_grad and x.grad.item() == 12.0
    g, x.grad = x.grad, None
    g.backward()
    assert x.grad.item() == 12.0


def test_gradient_penalty():
    """The gradient of a gradient's norm, through matmul, tanh and a mean: what WGAN-GP needs."""
    rng = np.random.default_rng(0)
    w = tg.tensor(rng.standard_normal((3, 4)), requires_grad=True)

    def penalty(w):
        x = tg.tensor(np.linspace(-1, 1, 15).reshape(5, 3), requires_grad=True)
        (g,) = tg.autograd.grad(tg.tanh(x @ w).sum(), x, create_graph=True)
        return ((g.norm(dim=1) - 1) ** 2).mean()

    penalty(w).backward()
    step = 1e-6 * rng.standard_normal((3, 4))
    with tg.no_grad():
        plus, minus = w + tg.tensor(step), w - tg.tensor(step)
    numerical = (penalty(plus) - penalty(minus)).item() / 2
    assert (w.grad * tg.tensor(step)).sum().item() == pytest.approx(numerical, rel=1e-5)


# --- accumulation ------------------------------------------------------------------------------------------------------


def test_diamond_and_accumulation_over_two_backwards():
    x = tg.full((10,), 2.0, requires_grad=True)
    z = x * x
    (z * z).sum().backward()
    (x * 3).sum().backward()
    assert x.grad.tolist() == [4 * 8.0 + 3] * 10


def test_the_same_tensor_twice_in_one_op():
    x = leaf(3.0)
    (x * x + (x + x)).backward()
    assert x.grad.item() == 8.0


def test_gradients_of_two_leaves_do_not_share_memory():
    p, q = tg.ones(3, requires_grad=True), tg.ones(3, requires_grad=True)
    (p + q).sum().backward()
    p.grad.mul_(5)
    assert q.grad.tolist() == [1.0, 1.0, 1.0]


def test_the_gradient_does_not_share_memory_with_the_seed():
    x, seed = tg.ones(3, requires_grad=True), tg.ones(3)
    (x + 0).backward(seed)
    x.grad.mul_(5)
    assert seed.tolist() == [1.0, 1.0, 1.0]


def test_accumulation_adds_in_place_into_an_existing_grad():
    x = tg.ones(3, requires_grad=True)
    (x * 2).sum().backward()
    first = x.grad
    (x * 2).sum().backward()
    assert x.grad is first and first.tolist() == [4.0, 4.0, 4.0]


def test_a_third_contribution_does_not_change_what_was_handed_out():
    """An engine that accumulates into a borrowed buffer would spoil the gradient that another node still needs."""
    x = leaf(1.0, 2.0)
    y = x * 1.0
    total = (y + y + y).sum() + (y * y).sum() + y.exp().sum()
    (g,) = tg.autograd.grad(total, x)
    assert_close(g, 3 + 2 * x.detach() + x.detach().exp())


def test_grad_can_be_replaced_and_cleared():
    x = leaf(1.0)
    x.grad = tg.tensor([5.0], dtype=tg.float64)
    (x * 2).sum().backward()
    assert x.grad.item() == 7.0
    x.grad = None
    assert x.grad is None


def test_assigning_a_grad_of_another_shape_or_dtype():
    x = leaf(1.0)
    with pytest.raises(
        RuntimeError, match=r"grad of shape \(2,\) and dtype float64 does not fit a tensor of shape \(1,\) and dtype float64"
    ):
        x.grad = tg.ones(2, dtype=tg.float64)
    with pytest.raises(
        RuntimeError, match=r"grad of shape \(1,\) and dtype float32 does not fit a tensor of shape \(1,\) and dtype float64"
    ):
        x.grad = tg.ones(1)
    with pytest.raises(TypeError, match="grad must be a Tensor or None, not float"):
        x.grad = 1.0


# --- broadcasting and dtypes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "a, b", [((3, 1), (4,)), ((), (2, 3)), ((2, 1, 3), (4, 1)), ((1,), (5,)), ((1, 1), (1,)), ((2, 3), (2, 3))]
)
def test_gradients_are_unbroadcast(a, b):
    x, y = tg.full(a, 2.0, requires_grad=True), tg.full(b, 5.0, requires_grad=True)
    z = x * y
    z.sum().backward()
    assert x.grad.shape == x.shape and y.grad.shape == y.shape
    assert_close(x.grad, tg.full(a, 5.0 * z.numel() / x.numel()))
    assert_close(y.grad, tg.full(b, 2.0 * z.numel() / y.numel()))


@pytest.mark.parametrize("a, b", [((3, 1), (4,)), ((), (2, 3)), ((2, 1, 3), (4, 1))])
def test_second_order_through_unbroadcasting(a, b, rng):
    x, y = (tg.tensor(rng.uniform(0.5, 1.5, s), requires_grad=True) for s in (a, b))
    assert gradgradcheck(lambda x, y: x * x * y / (x + y), (x, y))


def test_gradient_has_the_dtype_of_its_leaf():
    half, single, double = (tg.ones(3, dtype=d, requires_grad=True) for d in (tg.bfloat16, tg.float32, tg.float64))
    (half * single * double).sum().backward()
    assert (half.grad.dtype, single.grad.dtype, double.grad.dtype) == (tg.bfloat16, tg.float32, tg.float64)


def test_second_order_keeps_dtypes_apart():
    x, y = tg.tensor([2.0], requires_grad=True), tg.tensor([3.0], dtype=tg.float64, requires_grad=True)
    (g,) = tg.autograd.grad((x * x * y).sum(), x, create_graph=True)
    assert g.dtype == tg.float32
    gx, gy = tg.autograd.grad(g.sum(), (x, y))
    assert (gx.dtype, gx.item(), gy.dtype, gy.item()) == (tg.float32, 6.0, tg.float64, 4.0)


def test_integer_tensors_take_part_without_gradient():
    x, n = leaf(1.0, 2.0), tg.tensor([3, 4])
    y = x * n
    y.sum().backward()
    assert x.grad.tolist() == [3.0, 4.0] and n.grad is None
    with pytest.raises(RuntimeError, match="only floating tensors can require gradients, this one has dtype int64"):
        n.requires_grad_()
    with pytest.raises(RuntimeError, match="only floating tensors can require gradients, this one has dtype int64"):
        tg.tensor([1], requires_grad=True)


def test_casting_passes_the_gradient_back_in_the_old_dtype():
    x = tg.ones(3, requires_grad=True)
    (x.to(tg.float64) * 2).sum().backward()
    assert x.grad.dtype == tg.float32 and x.grad.tolist() == [2.0, 2.0, 2.0]
    assert not x.to(tg.int64).requires_grad


# --- what backward refuses ---------------------------------------------------------------------------------------------


def test_second_backward_is_an_error_unless_the_graph_is_retained():
    x = leaf(1.0, 2.0)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [4.0, 8.0]
    with pytest.raises(
        RuntimeError,
        match="a second time: the values it saved were freed after the first; pass retain_graph=True",
    ):
        y.backward()


def test_backward_needs_a_graph():
    with pytest.raises(
        RuntimeError, match=r"backward: a tensor of shape \(\) does not require grad and was not computed from tensors that do"
    ):
        tg.ones(1).sum().backward()


def test_backward_of_several_elements_needs_a_seed():
    x = leaf(1.0, 2.0)
    with pytest.raises(
        RuntimeError,
        match=r"backward: a gradient can be created implicitly only for outputs of one element, this one has shape \(2,\)",
    ):
        (x * 2).backward()
    (x * 2).backward(tg.tensor([1.0, 10.0], dtype=tg.float64))
    assert x.grad.tolist() == [2.0, 20.0]


def test_the_seed_must_fit():
    y = leaf(1.0, 2.0) * 2
    with pytest.raises(RuntimeError, match=r"backward: a gradient of shape \(3,\) does not fit an output of shape \(2,\)"):
        y.backward(tg.ones(3, dtype=tg.float64))


def test_in_place_change_of_a_saved_tensor_is_an_error():
    x = leaf(1.0, 2.0)
    z = x * 1.0
    y = (z * z).sum()
    z.add_(1)
    with pytest.raises(
        RuntimeError, match=r"mul saved its argument '[xy]' for backward, and an in-place operation changed it since"
    ):
        y.backward()


@pytest.mark.parametrize("name", ["exp", "tanh", "sigmoid", "sqrt"])
def test_in_place_change_of_a_saved_output_is_an_error_that_names_the_op(name):
    y = getattr(tg, name)(leaf(1.0, 2.0))
    y.add_(1)
    with pytest.raises(RuntimeError, match=f"{name} saved its output for backward, and an in-place operation changed it since"):
        y.sum().backward()


def test_the_in_place_error_names_op_and_argument():
    x, w = tg.ones(2, 2, requires_grad=True) * 1.0, tg.ones(2, 2, requires_grad=True) * 1.0
    y = x @ w
    w.zero_()
    text = r"matmul saved its argument 'y' for backward, and an in-place operation changed it since \(version 0 then, 1 now\)"
    with pytest.raises(RuntimeError, match=text):
        y.sum().backward()


def test_in_place_change_of_what_no_rule_needs_is_fine():
    x, c = leaf(1.0, 2.0), tg.ones(2, dtype=tg.float64)
    z = x * 3  # its rule needs the constant, not the product
    y = (z + c).sum()
    z.detach().zero_()
    c.add_(1)
    y.backward()
    assert x.grad.tolist() == [3.0, 3.0]


def test_a_change_between_two_uses_is_found():
    x = leaf(1.0, 2.0)
    w = tg.tensor([1.0, 1.0], dtype=tg.float64)
    y = (x * w).sum()
    w.mul_(2)
    with pytest.raises(RuntimeError, match="in-place operation changed it"):
        y.backward()


# --- autograd.grad -----------------------------------------------------------------------------------------------------


def test_grad_leaves_the_grad_attribute_of_others_alone():
    x, w = leaf(1.0), leaf(2.0)
    assert tg.autograd.grad((x * w).sum(), x)[0].item() == 2.0
    assert x.grad is None and w.grad is None


def test_grad_runs_only_the_rules_on_the_way():
    """The branch that does not lead to an input is pruned: a rule there that raises is never called."""

    class Bomb(tg.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1.0

        @staticmethod
        def backward(ctx, dy):
            raise AssertionError("must not run")

    x, w = leaf(1.0), leaf(2.0)
    assert tg.autograd.grad((x * 3 + Bomb.apply(w)).sum(), x)[0].item() == 3.0


def test_grad_of_an_intermediate_tensor():
    x = leaf(2.0)
    y = x * x
    g = tg.autograd.grad((y * y).sum(), [y, x])
    assert [t.item() for t in g] == [8.0, 32.0]


def test_grad_of_an_input_that_is_the_output():
    x = leaf(2.0)
    assert tg.autograd.grad(x, x)[0].item() == 1.0
    y = x * 3
    assert [g.item() for g in tg.autograd.grad(y, [y, x])] == [1.0, 3.0]


def test_allow_unused_and_materialize_grads():
    x, w = leaf(1.0), leaf(2.0)
    y = (x * 2).sum()
    with pytest.raises(
        RuntimeError, match=r"grad: input 1 of shape \(1,\) was not used to compute the outputs; pass allow_unused=True"
    ):
        tg.autograd.grad(y, [x, w], retain_graph=True)
    gx, gw = tg.autograd.grad(y, [x, w], allow_unused=True, retain_graph=True)
    assert gx.item() == 2.0 and gw is None
    assert tg.autograd.grad(y, [x, w], materialize_grads=True)[1].item() == 0.0


def test_grad_outputs_and_several_outputs():
    x = leaf(1.0, 2.0)
    (g,) = tg.autograd.grad([x * 2, (x * x).sum()], [x], grad_outputs=[tg.tensor([1.0, 3.0], dtype=tg.float64), None])
    assert g.tolist() == [4.0, 10.0]
    (g,) = tg.autograd.grad(outputs=x * 2, inputs=x, grad_outputs=tg.ones(2, dtype=tg.float64), only_inputs=True)
    assert g.tolist() == [2.0, 2.0]


def test_grad_of_something_that_does_not_require_grad():
    with pytest.raises(RuntimeError, match=r"grad: an input of shape \(1,\) does not require grad"):
        tg.autograd.grad((leaf(1.0) * 2).sum(), tg.ones(1))


def test_grad_frees_the_graph_and_retain_graph_keeps_it():
    x = leaf(2.0)
    y = x * x
    tg.autograd.grad(y, x, retain_graph=True)
    tg.autograd.grad(y, x)
    with pytest.raises(RuntimeError, match="a second time"):
        tg.autograd.grad(y, x)


def test_backward_of_several_roots():
    x = leaf(2.0)
    tg.autograd.backward([x * 2, x * x], [None, tg.tensor([3.0], dtype=tg.float64)])
    assert x.grad.item() == 2 + 12.0


def test_backward_inputs_accumulates_only_there():
    x, w = leaf(1.0), leaf(2.0)
    (x * w).sum().backward(inputs=[x])
    assert x.grad.item() == 2.0 and w.grad is None


# --- shared subgraphs --------------------------------------------------------------------------------------------------


def test_wide_and_deep_sharing(rng):
    """Random programs of adds and multiplications against finite differences."""
    for seed in range(5):
        chooser = np.random.default_rng(seed)
        plan = [(chooser.integers(0, 3 + i), chooser.integers(0, 3 + i), chooser.integers(0, 3)) for i in range(30)]

        def program(*leaves, plan=plan):
            values = list(leaves)
            for i, j, kind in plan:
                a, b = values[i], values[j]
                values.append([a + b, tg.tanh(a * b), a - b][kind])
            return values[-1] + values[-2] * values[-3]

        assert gradgradcheck(program, [tg.tensor(rng.uniform(-1, 1, 3), requires_grad=True) for _ in range(3)], fast_mode=True)
