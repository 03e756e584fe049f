"""Views share memory with their base; in-place changes through either are seen by both, and gradients stay right."""

import numpy as np
import pytest

import tilegrad as tg
from tilegrad.testing import assert_close, gradcheck, gradgradcheck

VIEWS = {
    "getitem int": lambda x: x[1],
    "getitem slice": lambda x: x[1:3],
    "getitem step": lambda x: x[:, ::2],
    "getitem None": lambda x: x[None, :, None],
    "getitem Ellipsis": lambda x: x[..., 1],
    "getitem bare Ellipsis": lambda x: x[...],
    "view": lambda x: x.view(6, 4),
    "reshape": lambda x: x.reshape(2, 12),
    "transpose": lambda x: x.transpose(0, 1),
    "t": lambda x: x.t(),
    "T": lambda x: x.T,
    "permute": lambda x: x.permute(1, 0),
    "squeeze": lambda x: x[:, :1].squeeze(1),
    "unsqueeze": lambda x: x.unsqueeze(1),
    "flatten": lambda x: x.flatten(),
    "narrow": lambda x: x.narrow(1, 2, 3),
    "select": lambda x: x.select(0, 2),
    "diagonal": lambda x: x.diagonal(),
    "movedim": lambda x: x.movedim(0, 1),
    "unbind": lambda x: x.unbind(0)[2],
    "split": lambda x: x.split(2)[1],
    "chunk": lambda x: x.chunk(3, 1)[2],
    "detach": lambda x: x.detach(),
    "view of a view": lambda x: x[1:].t()[2:, 1:],
    "view of a view of a view": lambda x: x.view(2, 2, 6).transpose(0, 2)[1:4, 1].t(),
}
COPIES = {
    "contiguous of strided": lambda x: x.t().contiguous(),
    "reshape of strided": lambda x: x.t().reshape(24),
    "int tensor index": lambda x: x[tg.tensor([0, 1])],
    "mask": lambda x: x[x > -1],
    "clone": lambda x: x.clone(),
    "repeat": lambda x: x.repeat(1, 1),
    "to another dtype": lambda x: x.to(tg.float32),
}


def base(requires_grad=False):
    return tg.tensor(np.arange(24.0).reshape(4, 6), dtype=tg.float64, requires_grad=requires_grad)


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS.keys())
def test_writes_through_a_view_reach_the_base_and_back(view):
    x = base()
    v = view(x)
    before = x._version
    v.fill_(-1)
    assert int((x == -1).sum()) == v.numel()
    assert x._version > before and v._version == x._version
    x.fill_(7)
    assert bool((v == 7).all())


@pytest.mark.parametrize("copy", COPIES.values(), ids=COPIES.keys())
def test_copies_do_not_share(copy):
    x = base()
    copy(x).fill_(-1)
    assert not bool((x == -1).any())


def test_no_copy_where_none_is_needed():
    x = base()
    for same in (x.contiguous(), x.reshape(4, 6), x.view(24), x.to(tg.float64), x.flatten(), x.expand(4, 6), x.squeeze()):
        assert same.data_ptr() == x.data_ptr()
    assert x.contiguous() is x and x.to(tg.float64) is x


def test_is_contiguous_stride_and_offset():
    x = base()
    v = x[1:, 2:].t()
    assert (tuple(v.shape), v.stride(), v.storage_offset(), v.is_contiguous()) == ((4, 3), (1, 6), 8, False)
    assert v.contiguous().stride() == (3, 1)
    assert v._base is x and x._base is None


def test_expand_refuses_in_place_writes():
    v = tg.ones(3, 1).expand(3, 4)
    with pytest.raises(RuntimeError, match=r"(?s)(more than one element|overlap|expand).*clone"):
        v.add_(1)


def test_view_of_incompatible_strides():
    with pytest.raises(RuntimeError, match="reshape"):
        base().t().view(24)


# --- gradients through in-place changes of views -----------------------------------------------------------------------


def test_scaling_a_slice_reaches_the_base_and_the_gradient_is_right():
    x = base(requires_grad=True)
    y = x * 1.0
    y[:, :2] *= 0
    y.sum().backward()
    assert y[:, :2].abs().sum().item() == 0.0
    expected = np.ones((4, 6))
    expected[:, :2] = 0
    assert_close(x.grad, tg.tensor(expected))


def program_assign(x, w):
    y = x * 1.0
    y[1:3, ::2] = w
    return y * y


def program_multiply(x, w):
    y = x * 1.0
    y[:, 1:4] *= w[0, 0]
    return y * y


def program_chain_of_views(x, w):
    y = x * 1.0
    v = y.t()[1:4][:, 1:3]
    v.mul_(v.detach() * 0 + 2).add_(w.reshape(-1)[:6].reshape(3, 2))
    return y * y


def program_views_taken_before(x, w):
    """v was made before the change of another view and has to see it, in value and in gradient."""
    y = x * 1.0
    v = y[1]
    y[:2] *= w[0, :1]
    return v * y.sum()


def program_base_changed_after_the_view(x, w):
    y = x * 1.0
    v = y[:, 2]
    y.mul_(w[0, 0])
    y.add_(1)
    return v * v


def program_copy_into_a_view(x, w):
    y = x * 1.0
    y[2:].copy_(w[:1].expand(2, 3).repeat(1, 2))
    return y * y


def program_many_changes(x, w):
    y = x * 1.0
    for i in range(3):
        y[i : i + 2] *= w[0, i]
        y[:, i] += w[1, i]
    return y * y


def program_the_old_value_is_used_too(x, w):
    y = x * 1.0
    z = y + 1  # needs no saved value
    y[0] = w[0].repeat(2)
    return y * z


def program_unary_in_place_on_a_view(x, w):
    y = x * w[0, 0]
    y[1:].tanh_()
    z = y * 1.0
    z[1:, :3].exp_()
    return z * z


def program_fill_and_zero(x, w):
    y = x * w[0, 0]
    y[0].zero_()
    y[:, 1].fill_(3.0)
    return y * y


def program_masked_and_indexed(x, w):
    y = x * 1.0
    mask = tg.tensor(np.arange(24).reshape(4, 6) % 5 == 0)
    y[mask] = w[0, 0]
    y[tg.tensor([0, 2]), tg.tensor([1, 1])] = w[0, 1:3]
    y[1, tg.tensor([5, 4])] *= w[1, :2]
    return y * y


def program_view_of_a_view_of_a_changed_view(x, w):
    y = x * 1.0
    a = y[1:]
    a[:, 2:] *= w[0, 1]
    b = a.t()[3:]
    b[0] += w[1, 2]
    return (y * y).sum() + (a * b.sum()).sum()


def program_self_assignment(x, w):
    y = x * w[0, 0]
    y[:, :3] = y[:, 3:] * 2
    return y * y


PROGRAMS = {name.removeprefix("program_"): f for name, f in list(globals().items()) if name.startswith("program_")}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS.keys())
def test_in_place_programs_have_right_gradients_of_order_one_and_two(program, rng):
    x = tg.tensor(rng.uniform(0.5, 1.5, (4, 6)), requires_grad=True)
    w = tg.tensor(rng.uniform(0.5, 1.5, (2, 3)), requires_grad=True)
    assert gradcheck(program, (x, w))
    assert gradgradcheck(program, (x, w))


MANY = ("unbind", "split", "chunk")  # several views of one call: PyTorch refuses to change them in place under autograd
SINGLE = {k: v for k, v in VIEWS.items() if k not in (*MANY, "detach")}


@pytest.mark.parametrize("view", SINGLE.values(), ids=SINGLE.keys())
def test_every_view_can_be_changed_in_place_under_autograd(view, rng):
    x = tg.tensor(rng.uniform(0.5, 1.5, (4, 6)), requires_grad=True)

    def through_view(x):
        y = x * x
        view(y).mul_(3.0)
        return y * x

    def without(x):
        factor = np.ones((4, 6))
        view(tg.from_numpy(factor)).fill_(3.0)
        return x * x * tg.tensor(factor) * x

    assert gradgradcheck(through_view, x, fast_mode=True)
    expected = tg.autograd.grad(without(x).sum(), x)[0]
    assert_close(tg.autograd.grad(through_view(x).sum(), x)[0], expected)


NEED_THE_OLD_VALUE = {
    "mul_": lambda y, w: y.mul_(w),
    "div_": lambda y, w: y.div_(w),
    "pow_": lambda y, w: y.pow_(3),
    "pow_ tensor": lambda y, w: y.pow_(w),
    "square_": lambda y, w: y.square_(),
    "abs_": lambda y, w: y.abs_(),
    "log_": lambda y, w: y.log_(),
    "clamp_": lambda y, w: y.clamp_(0.7, 1.2),
    "*=": lambda y, w: exec("y *= w", {"y": y, "w": w}),
}


@pytest.mark.parametrize("change", NEED_THE_OLD_VALUE.values(), ids=NEED_THE_OLD_VALUE.keys())
@pytest.mark.parametrize("through_a_view", [False, True])
def test_in_place_ops_whose_gradient_needs_the_old_value(change, through_a_view, rng):
    def program(x, w):
        y = x * 1.0
        change(y[1:] if through_a_view else y, w)
        return y * y

    inputs = [tg.tensor(rng.uniform(0.5, 1.5, s), requires_grad=True) for s in ((4, 6), (6,))]
    assert gradgradcheck(program, inputs, fast_mode=True)


@pytest.mark.parametrize("name", MANY)
def test_one_of_many_views_is_changed_rightly_or_not_at_all(name):
    x = base(requires_grad=True)
    y = x * 1.0
    v = VIEWS[name](y)
    try:
        v.mul_(3.0)
    except RuntimeError:
        return
    y.sum().backward()
    changed = base() * 0 + 1
    VIEWS[name](changed).fill_(3.0)
    assert_close(x.grad, changed)


def test_in_place_on_the_result_of_an_op():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    y += 1
    y *= 3
    y.sum().backward()
    assert x.grad.tolist() == [6.0, 6.0] and y.tolist() == [9.0, 15.0]


def test_grad_fn_follows_the_change():
    x = base(requires_grad=True)
    y = x * 1.0
    v = y[1]
    old = v.grad_fn
    y.mul_(2)
    assert v.grad_fn is not old and v.requires_grad
    assert v.is_leaf is False


def test_a_view_of_a_constant_starts_to_require_grad_with_its_base():
    y, w = tg.zeros(4), tg.tensor(2.0, requires_grad=True)
    v = y[1:3]
    assert not v.requires_grad
    y[0] = w
    assert y.requires_grad and v.requires_grad
    v.sum().backward()
    assert w.grad.item() == 0.0


def test_writing_a_tensor_with_gradient_into_a_view_of_a_constant():
    y, w = tg.zeros(2, 3), tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y[0] = w
    y.view(6)[3:] = w * 2
    (y * y).sum().backward()
    assert w.grad.tolist() == [10.0, 20.0, 30.0]


@pytest.mark.parametrize("count, shape", [(0, (2**62, 4)), (5, (3, 6148914691236517207)), (4, (-1, 2**62, 4))])
def test_a_shape_whose_number_of_elements_overflows(count, shape):
    with pytest.raises(RuntimeError, match="more elements than memory can hold"):
        tg.ones(count).reshape(*shape)
    assert tg.ones(0).reshape(2**62, 4, 0).shape == (2**62, 4, 0)
