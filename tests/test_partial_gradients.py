"""Gradients of some inputs only, and of parts of a tensor: what runs, how often, and that values stay the same."""

import numpy as np
import pytest

import tilegrad as tg
from tilegrad.testing import assert_close


def calls(prof, name):
    return sum(row.calls for row in prof.rows() if row.name == name and row.phase == "backward")


def normal(rng, *shape):
    return tg.tensor(rng.standard_normal(shape), requires_grad=True)


# --- only what is asked for ---------------------------------------------------------------------------------------------
def test_rules_for_other_leaves_do_not_run(rng):
    x, w, b = normal(rng, 3, 4), normal(rng, 4, 5), normal(rng, 5)
    y = ((x @ w + b) ** 2).sum()
    with tg.profile() as every:
        all_of_them = tg.autograd.grad(y, (x, w, b), retain_graph=True)
    for i, leaf in enumerate((x, w, b)):
        with tg.profile() as prof:
            (one,) = tg.autograd.grad(y, leaf, retain_graph=True)
        assert calls(prof, "matmul") == (0 if leaf is b else 1), leaf.shape
        assert np.array_equal(one.numpy(), all_of_them[i].numpy())
    assert calls(every, "matmul") == 2


def test_backward_with_inputs_runs_as_little(rng):
    x, w = normal(rng, 3, 4), normal(rng, 4, 5)
    with tg.profile() as prof:
        (x @ w).sum().backward(inputs=[w])
    assert calls(prof, "matmul") == 1 and x.grad is None
    assert_close(w.grad, np.repeat(x.detach().numpy().sum(0)[:, None], 5, 1))


def test_a_joint_rule_learns_what_is_wanted(rng):
    """cat's rule answers for all of its inputs; more than 64 of them are more than there are bits."""
    xs = [normal(rng, 2) for _ in range(70)]
    out = tg.cat(xs) * 3
    for wanted in (xs[0], xs[69]):
        with tg.profile() as prof:
            (g,) = tg.autograd.grad(out.sum(), wanted, retain_graph=True)
        assert g.tolist() == [3.0, 3.0]
        assert calls(prof, "index") == (7 if wanted is xs[0] else 6)  # of 70: what lies behind the 64th always runs


def test_order_two_of_one_input(rng):
    x, w = normal(rng, 3, 3), normal(rng, 3, 3)

    def first(inputs):
        return tg.autograd.grad(((x @ w) ** 3).sum(), inputs, create_graph=True)

    (gx,), both = first(x), first((x, w))
    assert np.array_equal(gx.detach().numpy(), both[0].detach().numpy())
    for one, other in zip(tg.autograd.grad(gx.sum(), (x, w)), tg.autograd.grad(both[0].sum(), (x, w)), strict=True):
        assert np.array_equal(one.numpy(), other.numpy())


def test_hooks_fire_on_the_way_and_nowhere_else(rng):
    x, w = normal(rng, 3), normal(rng, 3)
    inner, other = x * 2, w * 3
    seen = []
    for name, tensor in (("x", x), ("w", w), ("inner", inner), ("other", other)):
        tensor.register_hook(lambda g, name=name: seen.append(name))
    x.register_post_accumulate_grad_hook(lambda t: seen.append("accumulated"))
    y = (inner * other).sum()
    tg.autograd.grad(y, x, retain_graph=True)
    assert seen == ["inner", "x"]
    seen.clear()
    tg.autograd.grad(y, (x, other), retain_graph=True)
    assert sorted(seen) == ["inner", "other", "x"]
    seen.clear()
    y.backward(inputs=[w])
    assert seen[:2] == ["other", "w"] and x.grad is None


def test_a_hook_that_replaces_a_gradient_counts(rng):
    x, w = normal(rng, 3), normal(rng, 3)
    inner = x * w
    inner.register_hook(lambda g: g * 10)
    (g,) = tg.autograd.grad(inner.sum(), w)
    assert_close(g, x.detach().numpy() * 10)


def test_unused_inputs(rng):
    x, w, z = normal(rng, 3), normal(rng, 3), normal(rng, 3)
    y = (x * w).sum()
    gz, gw = tg.autograd.grad(y, (z, w), allow_unused=True, retain_graph=True)
    assert gz is None and np.array_equal(gw.numpy(), x.detach().numpy())
    with pytest.raises(RuntimeError, match=r"input 0 of shape \(3,\) was not used"):
        tg.autograd.grad(y, (z, w), retain_graph=True)
    assert tg.autograd.grad(y, (z, w), materialize_grads=True)[0].tolist() == [0.0, 0.0, 0.0]


def test_several_outputs_of_one_step(rng):
    x = normal(rng, 4, 5)
    values, _ = tg.sort(x * 2, 1)
    scale = normal(rng, 5)
    (g,) = tg.autograd.grad((values * scale).sum(), scale)
    assert_close(g, values.detach().numpy().sum(0))


# --- parts of a tensor ---------------------------------------------------------------------------------------------------
PARTS = {
    "unbind": lambda x: x.unbind(0),
    "unbind_last": lambda x: x.unbind(-1),
    "split": lambda x: x.split(2, 1),
    "chunk": lambda x: x.chunk(3, 1),
    "iteration": lambda x: tuple(x),
    "single_elements": lambda x: tuple(x[i, j] for i in range(2) for j in range(3)),
    "overlapping": lambda x: (x[:, :3], x[:, 1:4], x[..., ::2], x[-1], x[None, 1], x[...]),
}


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("inside", [False, True], ids=["leaf", "inside"])
def test_parts_share_one_buffer(name, inside, rng):
    """One tensor of zeros for all parts; the gradient is the one that create_graph makes part by part."""
    x = normal(rng, 4, 6)

    def program():
        base = x.sin() if inside else x
        return sum(((i + 1) * part**2).sum() for i, part in enumerate(PARTS[name](base)))

    with tg.profile() as prof:
        (g,) = tg.autograd.grad(program(), x)
    assert calls(prof, "index_scatter") == 1
    (slow,) = tg.autograd.grad(program(), x, create_graph=True)
    np.testing.assert_allclose(g.numpy(), slow.detach().numpy(), rtol=1e-14)
    program().backward()
    assert np.array_equal(x.grad.numpy(), g.numpy())


def test_parts_beside_other_uses(rng):
    """A whole-tensor use before, between and after the parts; the seeds stay as they were."""
    x = normal(rng, 3, 4)
    seed = tg.tensor(rng.standard_normal((3, 4)))
    kept = seed.clone()
    y = x * 1.0
    tg.autograd.backward([y + 0.0, y[0], y, y[1:], y[0]], [seed, seed[0], seed, seed[1:], seed[0]])
    expected = 2 * kept.numpy()
    expected[0] += 2 * kept.numpy()[0]
    expected[1:] += kept.numpy()[1:]
    assert_close(x.grad, expected)
    assert np.array_equal(seed.numpy(), kept.numpy())


def test_parts_of_one_of_several_outputs(rng):
    x = normal(rng, 4, 6)
    values = tg.sort(x, 1)[0]
    with tg.profile() as prof:
        (values[0] * 2 + values[1] * 3 + values[3, 2]).sum().backward()
    assert calls(prof, "index_scatter") == 1
    order = np.argsort(x.detach().numpy(), 1)
    grad = np.zeros((4, 6))
    grad[0], grad[1], grad[3] = 2, 3, 0
    grad[3, order[3, 2]] = 6
    assert_close(x.grad, grad)


def test_kept_gradients_of_parts_do_not_change_later(rng):
    x = normal(rng, 4, 2)
    y = x * 1.0
    y.retain_grad()
    parts = y.unbind(0)
    for part in parts:
        part.retain_grad()
    (sum(parts) ** 2).sum().backward()
    for i, part in enumerate(parts):
        assert np.array_equal(part.grad.numpy(), y.grad[i].numpy())
    assert np.array_equal(x.grad.numpy(), y.grad.numpy())


def test_a_freed_slice_runs_again_as_long_as_it_saved_nothing(rng):
    x = normal(rng, 3, 2)
    y = (x[0] + x[1] + x[2]).sum()
    y.backward()
    y.backward()
    assert x.grad.tolist() == [[2.0, 2.0]] * 3


def test_parts_of_16_bit_tensors_and_expanded_gradients():
    x = tg.zeros(3, 4, dtype=tg.bfloat16, requires_grad=True)
    sum(part.float().sum() for part in x.unbind(0)).backward()
    assert x.grad.dtype is tg.bfloat16 and x.grad.tolist() == [[1.0] * 4] * 3
