"""Grad modes, flags, detach and data."""

import threading

import pytest

import tilegrad as tg


def leaf(*values):
    return tg.tensor(values, dtype=tg.float64, requires_grad=True)


# --- grad modes --------------------------------------------------------------------------------------------------------


def test_no_grad_enable_grad_and_nesting():
    x = leaf(1.0)
    assert tg.is_grad_enabled()
    with tg.no_grad():
        assert not tg.is_grad_enabled() and not (x * 2).requires_grad
        with tg.enable_grad():
            assert (x * 2).requires_grad
        assert not tg.is_grad_enabled()
    assert tg.is_grad_enabled()


def test_no_grad_ends_with_an_exception():
    with pytest.raises(KeyError), tg.no_grad():
        raise KeyError
    assert tg.is_grad_enabled()


def test_set_grad_enabled_as_a_function_and_as_a_context():
    x = leaf(1.0)
    with tg.set_grad_enabled(False):
        assert not (x * 2).requires_grad
        with tg.set_grad_enabled(True):
            assert (x * 2).requires_grad
    assert tg.is_grad_enabled()
    try:
        tg.set_grad_enabled(False)
        assert not tg.is_grad_enabled()
    finally:
        tg.set_grad_enabled(True)


@pytest.mark.parametrize(
    "mode, expected", [(lambda: tg.no_grad(), False), (lambda: tg.inference_mode(), False), (lambda: tg.enable_grad(), True)]
)
def test_modes_as_decorators(mode, expected):
    @mode()
    def double(x):
        """Twice x."""
        return x * 2

    x = leaf(1.0)
    with tg.set_grad_enabled(not expected):
        assert double(x).requires_grad is expected
    assert tg.is_grad_enabled() and double.__doc__ == "Twice x." and double.__name__ == "double"


def test_no_grad_without_parentheses_decorates():
    @tg.no_grad
    def double(x):
        return x * 2

    assert not double(leaf(1.0)).requires_grad


def test_grad_mode_belongs_to_the_thread():
    seen = []
    with tg.no_grad():
        thread = threading.Thread(target=lambda: seen.append(tg.is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_inference_mode():
    x = leaf(1.0)
    with tg.inference_mode():
        y = x * 2
    assert not y.requires_grad and (x * 2).requires_grad
    with tg.inference_mode(False):
        assert (x * 2).requires_grad


# --- flags -------------------------------------------------------------------------------------------------------------


def test_leaves_and_flags():
    x, c = leaf(1.0), tg.ones(1)
    y = x * 2
    assert (x.is_leaf, y.is_leaf, c.is_leaf) == (True, False, True)
    assert x.grad_fn is None and y.grad_fn is not None and "mul" in repr(y.grad_fn).lower()
    with pytest.raises(RuntimeError, match="requires_grad of a computed tensor cannot be switched off"):
        y.requires_grad = False
    x.requires_grad = False
    assert not (x * 2).requires_grad
    c.requires_grad_()
    assert (c * 2).requires_grad


def test_detach_and_data_share_memory_without_history():
    x = leaf(1.0, 2.0)
    y = x * 2
    for d in (y.detach(), y.data):
        assert not d.requires_grad and d.is_leaf and d.data_ptr() == y.data_ptr()
    x.data = tg.tensor([5.0, 6.0], dtype=tg.float64)
    assert x.tolist() == [5.0, 6.0] and x.requires_grad
    x.data.add_(1)
    assert x.tolist() == [6.0, 7.0]


def test_detach_in_place():
    y = leaf(1.0) * 2
    assert y.detach_() is y
    assert y.is_leaf and not y.requires_grad
