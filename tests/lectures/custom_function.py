"""torch.autograd.Function: a ReLU, a polynomial, a straight-through sign, and gradcheck."""

import math

import torch
from torch.autograd import Function, gradcheck


class MyReLU(Function):
    @staticmethod
    def forward(ctx, input):
        ctx.save_for_backward(input)
        return input.clamp(min=0)

    @staticmethod
    def backward(ctx, grad_output):
        (input,) = ctx.saved_tensors
        grad_input = grad_output.clone()
        grad_input[input < 0] = 0
        return grad_input


class LegendrePolynomial3(Function):
    @staticmethod
    def forward(ctx, input):
        ctx.save_for_backward(input)
        return 0.5 * (5 * input**3 - 3 * input)

    @staticmethod
    def backward(ctx, grad_output):
        (input,) = ctx.saved_tensors
        return grad_output * 1.5 * (5 * input**2 - 1)


class BinarySign(Function):
    @staticmethod
    def forward(ctx, x, limit):
        ctx.save_for_backward(x)
        ctx.limit = limit
        return x.sign()

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        return (dy * (x.abs() <= ctx.limit) if ctx.needs_input_grad[0] else None), None


torch.manual_seed(0)
x = torch.randn(6, 4, dtype=torch.double, requires_grad=True)
assert gradcheck(LegendrePolynomial3.apply, (x,), eps=1e-6, atol=1e-4)
assert torch.autograd.gradgradcheck(LegendrePolynomial3.apply, (x,))
assert gradcheck(MyReLU.apply, (x,))
y = BinarySign.apply(x, 0.5)
y.sum().backward()
assert torch.equal(x.grad, (x.detach().abs() <= 0.5).double()) and "BinarySign" in type(y.grad_fn).__name__ + repr(y.grad_fn)

# y = sin(x) as a + b * P3(c + d * x)
device, dtype = torch.device("cpu"), torch.float
x = torch.linspace(-math.pi, math.pi, 2000, device=device, dtype=dtype)
y = torch.sin(x)
a = torch.full((), 0.0, device=device, dtype=dtype, requires_grad=True)
b = torch.full((), -1.0, device=device, dtype=dtype, requires_grad=True)
c = torch.full((), 0.0, device=device, dtype=dtype, requires_grad=True)
d = torch.full((), 0.3, device=device, dtype=dtype, requires_grad=True)
learning_rate, P3 = 5e-6, LegendrePolynomial3.apply
for _ in range(2000):
    y_pred = a + b * P3(c + d * x)
    loss = (y_pred - y).pow(2).sum()
    loss.backward()
    with torch.no_grad():
        a -= learning_rate * a.grad
        b -= learning_rate * b.grad
        c -= learning_rate * c.grad
        d -= learning_rate * d.grad
        a.grad = None
        b.grad = None
        c.grad = None
        d.grad = None
print(f"Result: y = {a.item():.3f} + {b.item():.3f} * P3({c.item():.3f} + {d.item():.3f} x), loss {loss.item():.2f}")
assert loss.item() < 12 and abs(b.item() + 2.2) < 0.1 and abs(d.item() - 0.25) < 0.02

# a two-layer net with MyReLU and updates through .data
N, D_in, H, D_out = 64, 100, 20, 10
x, y = torch.randn(N, D_in), torch.randn(N, D_out)
w1, w2 = torch.randn(D_in, H, requires_grad=True), torch.randn(H, D_out, requires_grad=True)
first = None
for t in range(200):
    loss = (MyReLU.apply(x.mm(w1)).mm(w2) - y).pow(2).sum()
    first = first or loss.item()
    loss.backward()
    w1.data -= 1e-6 * w1.grad.data
    w2.data -= 1e-6 * w2.grad.data
    w1.grad.data.zero_()
    w2.grad.data.zero_()
print(f"two layers: {first:.0f} -> {loss.item():.0f}")
assert loss.item() < 0.3 * first
