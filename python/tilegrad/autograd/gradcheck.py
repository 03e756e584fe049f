"""gradcheck and gradgradcheck: gradients against finite differences, in float64.

Two modes. Full: the whole Jacobian of every output with respect to every input, column by column. Fast: one number per
pair, the derivative along a random direction, u . J v; it costs two evaluations of the function however many elements there
are, and a wrong rule escapes it only by chance.

Finite differences are central, (f(x + eps v) - f(x - eps v)) / (2 eps), so their error is of order eps**2.
"""

import numpy as np

import tilegrad as tg


class GradcheckError(RuntimeError):
    """Raised by gradcheck and gradgradcheck when a gradient is wrong."""


def gradcheck(
    func,
    inputs,
    *,
    eps=1e-6,
    atol=1e-5,
    rtol=1e-3,
    raise_exception=True,
    nondet_tol=0.0,
    check_grad_dtypes=True,
    fast_mode=False,
):
    """Compares the gradients of `func(*inputs)` with finite differences.

    Every input that requires grad must be float64, and so must every differentiable output. True if
    |analytical - numerical| <= atol + rtol * |numerical| everywhere; otherwise GradcheckError, or False with
    raise_exception=False. `nondet_tol` bounds how far two backward passes may differ.
    """
    inputs = (inputs,) if isinstance(inputs, tg.Tensor) else tuple(inputs)
    try:
        wanted = _checked_inputs(inputs)
        _check(func, inputs, wanted, eps, atol, rtol, nondet_tol, check_grad_dtypes, fast_mode)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(func, inputs, grad_outputs=None, **options):
    """Compares second derivatives with finite differences of the first: gradcheck of the gradient of `func`.

    `grad_outputs` are what is back-propagated, random by default; they are differentiated as well. `options` are gradcheck's.
    """
    inputs = (inputs,) if isinstance(inputs, tg.Tensor) else tuple(inputs)
    if grad_outputs is None:
        rng = np.random.default_rng(1)
        outputs = _differentiable_outputs(func, inputs)
        grad_outputs = tuple(_leaf(rng.standard_normal(tuple(y.shape))) for y in outputs)
    elif isinstance(grad_outputs, tg.Tensor):
        grad_outputs = (grad_outputs,)
    count = len(inputs)

    def gradient(*arguments):
        x, dy = arguments[:count], arguments[count:]
        wanted = [t for t in x if _requires_grad(t)]
        outputs = _differentiable_outputs(func, x)
        dx = tg.autograd.grad(outputs, wanted, dy, create_graph=True, allow_unused=True)
        return tuple(g for g in dx if g is not None and g.requires_grad)

    if not gradient(*inputs, *grad_outputs):
        return True  # the function is linear in nothing: its gradient is constant, so its second derivative is zero
    return gradcheck(gradient, (*inputs, *grad_outputs), **options)


def _check(func, inputs, wanted, eps, atol, rtol, nondet_tol, check_grad_dtypes, fast_mode):
    outputs = _differentiable_outputs(func, inputs)
    if not outputs:
        raise GradcheckError("gradcheck: no output of the function requires grad")
    for o, y in enumerate(outputs):
        if y.dtype != tg.float64:
            raise GradcheckError(f"gradcheck: output {o} is {_name(y.dtype)}; numerical differentiation needs float64")
    rng = np.random.default_rng(0)
    for o, y in enumerate(outputs):
        size = _size(y)
        directions = _directions(rng, size, fast_mode)
        rows = [_backward(func, inputs, wanted, o, u) for u in directions]
        again = _backward(func, inputs, wanted, o, directions[0]) if directions else None
        for i, k in enumerate(wanted):
            if rows:
                _check_gradient(rows[0][i], inputs[k], o, k, check_grad_dtypes)
                _check_deterministic(rows[0][i], again[i], nondet_tol, o, k)
            analytical = _matrix([_values(r[i], inputs[k]) for r in rows], _size(inputs[k]))
            steps = _directions(rng, _size(inputs[k]), fast_mode)
            columns = [_difference(func, inputs, k, v, eps, o) for v in steps]
            if fast_mode:  # u . J v, both ways
                pair = (
                    [np.dot(analytical[0], steps[0]), np.dot(directions[0], columns[0])] if directions and steps else [0.0, 0.0]
                )
                analytical, numerical = np.array(pair[:1]), np.array(pair[1:])
            else:
                numerical = _matrix(columns, size).T
            _compare(analytical, numerical, atol, rtol, o, k, fast_mode)


def _checked_inputs(inputs):
    wanted = [i for i, x in enumerate(inputs) if _requires_grad(x)]
    if not wanted:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of the them have requires_grad=True."
        )
    for i in wanted:
        if inputs[i].dtype != tg.float64:
            raise ValueError(
                f"gradcheck: input {i} requires grad and is {_name(inputs[i].dtype)}; numerical differentiation needs float64"
            )
    return wanted


def _requires_grad(x):
    return isinstance(x, tg.Tensor) and x.requires_grad


def _name(dtype):
    return str(dtype).rpartition(".")[2]


def _size(t):
    return int(np.prod(tuple(t.shape)))


def _differentiable_outputs(func, inputs):
    outputs = func(*inputs)
    outputs = (outputs,) if isinstance(outputs, tg.Tensor) else tuple(outputs)
    return tuple(y for y in outputs if _requires_grad(y))


def _directions(rng, size, fast_mode):
    """Unit vectors: all of them in turn, or in fast mode one random vector. None for an empty tensor."""
    if size == 0:
        return []
    if fast_mode:
        v = rng.standard_normal(size)
        return [v / np.linalg.norm(v)]
    return list(np.eye(size))


def _backward(func, inputs, wanted, o, u):
    """The gradients of (output o) . u with respect to the wanted inputs."""
    y = _differentiable_outputs(func, inputs)[o]
    dy = tg.tensor(u.reshape(tuple(y.shape)), dtype=tg.float64, device=y.device)
    return tg.autograd.grad([y], [inputs[k] for k in wanted], [dy], allow_unused=True)


def _difference(func, inputs, k, v, eps, o):
    """d(output o)/d(input k) along v by central differences."""
    x = _array(inputs[k])
    moved = []
    for step in (eps, -eps):
        leaf = _leaf(x + step * v.reshape(x.shape), inputs[k].device)
        arguments = [leaf if i == k else _leaf(_array(t), t.device) if _requires_grad(t) else t for i, t in enumerate(inputs)]
        moved.append(_array(_differentiable_outputs(func, arguments)[o]).reshape(-1))
    return (moved[0] - moved[1]) / (2 * eps)


def _leaf(values, device="cpu"):
    return tg.tensor(values, dtype=tg.float64, device=device, requires_grad=True)


def _array(t):
    return np.array(t.detach().numpy())


def _values(g, x):
    return np.zeros(_size(x)) if g is None else _array(g).reshape(-1)


def _matrix(rows, width):
    return np.stack(rows) if rows else np.zeros((0, width))


def _check_gradient(g, x, o, k, check_grad_dtypes):
    if g is None:
        return
    if tuple(g.shape) != tuple(x.shape):
        raise GradcheckError(
            f"gradcheck: the gradient of output {o} with respect to input {k} has shape {tuple(g.shape)}, "
            f"expected {tuple(x.shape)}"
        )
    if check_grad_dtypes and g.dtype != x.dtype:
        raise GradcheckError(
            f"gradcheck: the gradient of output {o} with respect to input {k} is {_name(g.dtype)}, expected {_name(x.dtype)}"
        )


def _check_deterministic(first, second, nondet_tol, o, k):
    if first is None or second is None:
        return
    difference = np.abs(_array(first) - _array(second))
    if difference.size and not difference.max() <= nondet_tol:
        raise GradcheckError(
            f"Backward is not reentrant, i.e., running backward twice gives different gradients for output {o} with respect to "
            f"input {k}: they differ by {difference.max()}, allowed is nondet_tol = {nondet_tol}"
        )


def _compare(analytical, numerical, atol, rtol, o, k, fast_mode):
    if np.allclose(analytical, numerical, rtol=rtol, atol=atol):
        return
    what = "along a random direction" if fast_mode else "(output elements x input elements)"
    raise GradcheckError(
        f"Jacobian mismatch for output {o} with respect to input {k}, {what},\n"
        f"numerical:{numerical}\nanalytical:{analytical}\n"
        f"largest difference: {np.abs(analytical - numerical).max()} (rtol {rtol}, atol {atol})"
    )
