"""In-place changes: what is refused, augmented assignment, overlapping memory."""

import numpy as np
import pytest

import tilegrad as tg
from tilegrad.testing import assert_close


def base(requires_grad=False):
    return tg.tensor(np.arange(24.0).reshape(4, 6), dtype=tg.float64, requires_grad=requires_grad)


# --- what is refused ---------------------------------------------------------------------------------------------------


def test_leaf_that_requires_grad_cannot_be_changed_in_place():
    x = base(requires_grad=True)
    with pytest.raises(
        RuntimeError,
        match="add_: this is a leaf tensor that requires grad, so its value must not change in place",
    ):
        x.add_(1)
    with pytest.raises(RuntimeError, match="leaf tensor that requires grad, so its value must not change in place"):
        x += 1
    with pytest.raises(RuntimeError, match="leaf tensor that requires grad, so its value must not change in place"):
        x[0] = 1.0
    with pytest.raises(RuntimeError, match="mul_: this is a view of a leaf tensor that requires grad"):
        x[1].mul_(2)
    assert_close(x.detach(), base())


def test_a_leaf_may_be_changed_under_no_grad():
    x = base(requires_grad=True)
    with tg.no_grad():
        x.add_(1)
        x[0] *= 0
    assert x.is_leaf and x.requires_grad and x[0].sum().item() == 0.0
    x.data[1] = 5.0
    assert x[1].sum().item() == 30.0


def test_change_of_a_saved_base_through_a_view_is_found():
    x = base(requires_grad=True)
    y = x * 1.0
    z = (y * y).sum()
    y.view(24)[5] = 0.0
    with pytest.raises(RuntimeError, match="in-place operation changed it"):
        z.backward()


def test_change_through_detach_is_found():
    x = base(requires_grad=True)
    y = x * 1.0
    z = (y * y).sum()
    y.detach().zero_()
    with pytest.raises(RuntimeError, match="in-place operation changed it"):
        z.backward()


def test_in_place_needs_a_result_that_fits():
    x = tg.ones(3)
    with pytest.raises(RuntimeError, match=r"(?s)add_.*\(2, 3\).*\(3,\)|shape"):
        x.add_(tg.ones(2, 3))
    with pytest.raises(RuntimeError, match=r"(?s)(float32|Float).*(int64|Long)"):
        tg.tensor([1, 2]).add_(1.5)
    with pytest.raises(RuntimeError, match=r"(?s)(float32|Float).*(int64|Long)"):
        tg.tensor([1, 2]).div_(2)


# --- augmented assignment and iteration --------------------------------------------------------------------------------


def test_augmented_assignment_keeps_the_object():
    x = tg.ones(2, 2)
    before = x
    x += 1
    x -= 0.5
    x *= 4
    x /= 3
    x **= 2
    assert x is before and x.tolist() == [[4.0, 4.0], [4.0, 4.0]]


def test_grad_slices_can_be_scaled():
    x = tg.ones(2, 2, requires_grad=True)
    (x * 3).sum().backward()
    x.grad[:] *= 2
    x.grad[0, 1] = 0.0
    assert x.grad.tolist() == [[6.0, 0.0], [6.0, 6.0]]


def test_rows_of_an_iteration_are_views():
    x = tg.zeros(3, 2)
    for i, row in enumerate(x):
        row += i
    assert x.tolist() == [[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]


def shifted(x):
    x[1:] = x[:-1]


def added_to_its_neighbour(x):
    x[1:] += x[:-1]


@pytest.mark.parametrize("change", [shifted, added_to_its_neighbour])
def test_overlapping_source_and_target_are_refused_or_right(change):
    """Never silently wrong: an error, or the result as if the source had been copied first."""
    x, expected = tg.arange(3000.0), np.arange(3000.0)
    old = expected.copy()
    expected[1:] = old[:-1] + (old[1:] if change is added_to_its_neighbour else 0)
    try:
        change(x)
    except RuntimeError as error:
        assert "overlap" in str(error) or "single memory location" in str(error)
    else:
        np.testing.assert_array_equal(x.numpy(), expected)


def test_in_place_with_itself():
    x = tg.arange(4.0)
    x += x
    x *= x
    assert x.tolist() == [0.0, 4.0, 16.0, 36.0]
