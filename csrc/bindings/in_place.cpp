// In-place ops and views. A change through a view makes a copy_slices step on the base, whose history then contains it; every
// other view of that base finds its way from the base again when it is next looked at (window_node).
#include "bindings/convert.h"
#include "bindings/record.h"
#include "ops/copy.h"

namespace tg::py {

namespace {
P window_of(Tensor* view) {
  const Array &b = view->base->array, &v = view->array;
  return Py_BuildValue("(NNNNL)", dims_tuple(b.shape), dims_tuple(b.strides), dims_tuple(v.shape), dims_tuple(v.strides),
                       static_cast<long long>(v.offset - b.offset));
}
}  // namespace

Node* window_node(Tensor* view) {
  Op* op = reinterpret_cast<Op*>(callbacks.window_gather);
  P window = window_of(view);
  if (!window) return nullptr;
  P args[2] = {reinterpret_cast<P>(view->base), window};
  Node* n = prepare_node(op, args, 1);
  Py_DECREF(window);
  if (!n) return nullptr;
  n->outputs()[0] = {view->array.dtype, view->array.shape};
  finish_node(n);
  return n;
}

int rebase(Tensor* view, Node* value) {
  Op* op = reinterpret_cast<Op*>(callbacks.copy_slices);
  Tensor* base = view->base;
  Node* n = new_node(op, 3, 4, 1);
  if (!n) return -1;
  if (base->requires_grad) set_edge(n, 0, base);
  if (value) n->edges()[1] = Py_NewRef(reinterpret_cast<P>(value));
  n->saved()[2] = window_of(view);
  n->outputs()[0] = {base->array.dtype, base->array.shape};
  finish_node(n);
  Node* old = base->node;
  base->node = n;  // takes the reference
  base->output = 0;
  base->requires_grad = true;
  Py_XDECREF(old);
  view->view_version = view->array.storage->version.load() - 1;  // so that node_of() hangs it on the base anew
  return 0;
}

namespace {

bool refuse_in_place(Op* op, Tensor* self, bool records) {
  if (!grad_enabled) return false;
  Tensor* root = root_of(self);
  if (root->requires_grad && !root->node) {
    PyErr_Format(PyExc_RuntimeError,
                 "%U: %s requires grad, so its value must not change in place while gradients are recorded; do it inside `with "
                 "no_grad():`",
                 op->name, self->base ? "this is a view of a leaf tensor that" : "this is a leaf tensor that");
    return true;
  }
  if (self->base && self->view_version == UINT32_MAX && (records || root->requires_grad)) {
    PyErr_Format(PyExc_RuntimeError,
                 "%U: this view was taken inside `with no_grad():` and is changed in place while gradients are recorded; take "
                 "the view outside",
                 op->name);
    return true;
  }
  return false;
}

// Does a rule that will run ask for the first argument?
bool saves_first(Op* op, P const* args) {
  if (op->joint) return op->masks[0] & 1;
  for (uint32_t left = op->differentiable; left; left &= left - 1) {
    const int i = __builtin_ctz(left);
    if ((op->masks[i] & 1) && wants_grad(args[i])) return true;
  }
  return false;
}

}  // namespace

// x.mul_(y): like x = mul(x, y), but the result is written over x, and x's history continues with this step.
P call_in_place(Op* op, P const* args, int n) {
  if (!is_tensor(args[0]))
    return PyErr_Format(PyExc_TypeError, "%U(): argument '%U' must be Tensor, not %s", op->name,
                        PyTuple_GET_ITEM(op->params, 0), Py_TYPE(args[0])->tp_name);
  Tensor* self = as_tensor(args[0]);
  const bool records = grad_enabled && is_floating(self->array.dtype) && (needs_grad(self) || any_wants_grad(op, args));
  if (refuse_in_place(op, self, records)) return nullptr;
  Node* node = nullptr;
  if (records) {
    P before = alias_of(self, true);
    if (!before) return nullptr;
    if (saves_first(op, args)) {  // the value is about to be overwritten: a rule that asks for it gets a copy
      try {
        array_of(before) = ops::clone(self->array);
      } catch (...) {
        Py_DECREF(before);
        set_python_error();
        return nullptr;
      }
    }
    P old_args[max_params];
    for (int i = 0; i < n; ++i) old_args[i] = args[i] == args[0] ? before : args[i];
    node = prepare_node(op, old_args, 1);
    Py_DECREF(before);
    if (!node) return nullptr;
  }
  P done = call_kernel(op, args, n);
  if (!done) {
    if (node) {
      PyObject_GC_Track(node);
      Py_DECREF(node);
    }
    return nullptr;
  }
  Py_DECREF(done);
  if (callbacks.on_call) {
    P told = PyObject_CallFunctionObjArgs(callbacks.on_call, op, args[0], nullptr);
    if (!told) {
      if (node) {
        PyObject_GC_Track(node);
        Py_DECREF(node);
      }
      return nullptr;
    }
    Py_DECREF(told);
  }
  if (records) {
    P out[1] = {args[0]};
    if (record(op, args, out, 1, node) < 0) return nullptr;
    if (self->base && rebase(self, self->node) < 0) return nullptr;
  }
  return Py_NewRef(args[0]);
}

void mark_view(P out, P source) {
  Tensor *t = as_tensor(out), *from = as_tensor(source);
  if (t == from || t->array.storage != from->array.storage) return;
  Tensor* root = root_of(from);
  Py_INCREF(root);
  Py_XSETREF(t->base, root);
  t->view_version = grad_enabled ? t->array.storage->version.load(std::memory_order_relaxed) : UINT32_MAX;
}

}  // namespace tg::py
