// Op: binds arguments, calls the kernel, and records a Node when an input asks for a gradient.
#include <Python.h>
#include <structmember.h>

#include <atomic>

#include "bindings/convert.h"

namespace tg::py {

thread_local bool grad_enabled = true;
Callbacks callbacks;
static std::atomic<uint64_t> next_seq{0};

namespace {

bool wants_grad(P o) { return is_tensor(o) && needs_grad(as_tensor(o)); }

bool any_wants_grad(Op* op, P const* args) {
  if (op->takes_list) {
    if (!PyTuple_Check(args[0]) && !PyList_Check(args[0])) return false;
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(args[0]); ++i)
      if (wants_grad(PySequence_Fast_GET_ITEM(args[0], i))) return true;
    return false;
  }
  for (uint32_t left = op->differentiable; left; left &= left - 1)
    if (wants_grad(args[__builtin_ctz(left)])) return true;
  return false;
}

// Where the gradient of t goes: its node, or t itself if it is a leaf. New reference.
P edge_of(Tensor* t) {
  Node* node = node_of(t);
  return Py_NewRef(node ? reinterpret_cast<P>(node) : reinterpret_cast<P>(t));
}

void set_edge(Node* n, int i, Tensor* t) {
  n->edges()[i] = edge_of(t);
  if (!t->node) return;
  n->slots()[i] = t->output;
  n->has_slots |= t->node->n_outputs > 1;
}

// A saved view is kept as an alias: the view holds its base, whose history may come to hold this node.
P kept(P value) {
  if (is_tensor(value) && as_tensor(value)->base && as_tensor(value)->node) return alias_of(as_tensor(value), true);
  return Py_NewRef(value);
}

void save(Node* n, int slot, P value) {
  n->saved()[slot] = kept(value);
  if (is_tensor(value)) n->versions()[slot] = array_of(value).storage->version.load(std::memory_order_relaxed);
}

P shapes_of(P sequence) {
  const Py_ssize_t count = PySequence_Fast_GET_SIZE(sequence);
  P shapes = PyTuple_New(count);
  for (Py_ssize_t i = 0; shapes && i < count; ++i) {
    P item = PySequence_Fast_GET_ITEM(sequence, i);
    PyTuple_SET_ITEM(shapes, i, is_tensor(item) ? dims_tuple(array_of(item).shape) : Py_NewRef(Py_None));
  }
  return shapes;
}

Node* new_node(Op* op, int n_edges, int n_saved, int n_outputs) {
  const size_t tail = n_saved * sizeof(uint32_t) + n_edges + 8 + n_outputs * sizeof(OutputMeta);
  const Py_ssize_t words = n_edges + n_saved + static_cast<Py_ssize_t>((tail + 7) / 8);
  auto* n = PyObject_GC_NewVar(Node, node_type, words);
  if (!n) return nullptr;
  n->op = op;
  Py_INCREF(op);
  n->hooks = n->trace = nullptr;
  n->n_edges = static_cast<uint16_t>(n_edges);
  n->n_saved = static_cast<uint16_t>(n_saved);
  n->n_outputs = static_cast<uint8_t>(n_outputs);
  n->freed = n->has_slots = false;
  std::memset(static_cast<void*>(n->items), 0, sizeof(P) * words);
  return n;
}

P op_error_name(Op* op) { return op->name; }

}  // namespace

// The node of a call, before its outputs are known: edges and saved arguments.
Node* prepare_node(Op* op, P const* args, int n_outputs) {
  const int n_edges = op->takes_list ? static_cast<int>(PySequence_Fast_GET_SIZE(args[0])) : op->n_params;
  Node* n = new_node(op, n_edges, op->n_params + n_outputs, n_outputs);
  if (!n) return nullptr;
  uint32_t needed = op->joint ? op->masks[0] : 0;
  if (op->takes_list) {
    for (int i = 0; i < n_edges; ++i) {
      P item = PySequence_Fast_GET_ITEM(args[0], i);
      if (wants_grad(item)) set_edge(n, i, as_tensor(item));
    }
  } else {
    for (uint32_t left = op->differentiable; left; left &= left - 1) {
      const int i = __builtin_ctz(left);
      if (i >= op->n_params || !wants_grad(args[i])) continue;
      set_edge(n, i, as_tensor(args[i]));
      if (!op->joint) needed |= op->masks[i];
    }
  }
  for (int i = 0; i < op->n_params; ++i) {
    if (op->saves_shapes && i == 0) n->saved()[0] = shapes_of(args[0]);
    else if (needed >> i & 1) save(n, i, args[i]);
  }
  return n;
}

// Completes the node with its outputs and hangs them on it. Steals `n`.
int record(Op* op, P const* args, P const* outputs, int n_outputs, Node* n) {
  if (!n) n = prepare_node(op, args, n_outputs);
  if (!n) return -1;
  uint32_t needed = 0;
  for (int r = 0; r < op->n_rules; ++r) needed |= op->masks[r];
  for (int k = 0; k < n_outputs; ++k) {
    Tensor* out = as_tensor(outputs[k]);
    n->outputs()[k] = {out->array.dtype, out->array.shape};
    if (needed >> (op->n_params + k) & 1) {  // an alias: no cycle with the output
      n->saved()[op->n_params + k] = alias_of(out, false);
      n->versions()[op->n_params + k] = out->array.storage->version.load(std::memory_order_relaxed);
    }
  }
  n->seq = next_seq.fetch_add(1, std::memory_order_relaxed);
  PyObject_GC_Track(n);
  for (int k = 0; k < n_outputs; ++k) {
    Tensor* out = as_tensor(outputs[k]);
    if (!is_floating(out->array.dtype)) continue;
    Node* old = out->node;
    Py_INCREF(n);
    out->node = n;
    out->output = static_cast<uint8_t>(k);
    out->requires_grad = true;
    Py_XDECREF(old);
  }
  int status = 0;
  if (callbacks.on_record) {
    P done = PyObject_CallOneArg(callbacks.on_record, reinterpret_cast<P>(n));
    if (!done) status = -1;
    Py_XDECREF(done);
  }
  Py_DECREF(n);
  return status;
}

// A step of the user's own (autograd.Function): `context` is what its rule gets, outputs become its results.
int record_function(Op* op, P context, P inputs, P outputs) {
  const auto n_inputs = static_cast<int>(PyTuple_GET_SIZE(inputs)), n_outputs = static_cast<int>(PyTuple_GET_SIZE(outputs));
  Node* n = new_node(op, n_inputs, op->n_params + n_outputs, n_outputs);
  if (!n) return -1;
  for (int i = 0; i < n_inputs; ++i)
    if (wants_grad(PyTuple_GET_ITEM(inputs, i))) set_edge(n, i, as_tensor(PyTuple_GET_ITEM(inputs, i)));
  n->saved()[0] = Py_NewRef(context);
  return record(op, nullptr, &PyTuple_GET_ITEM(outputs, 0), n_outputs, n);
}

// --- views and in-place changes
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
  n->seq = next_seq.fetch_add(1, std::memory_order_relaxed);
  PyObject_GC_Track(n);
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
  n->seq = next_seq.fetch_add(1, std::memory_order_relaxed);
  PyObject_GC_Track(n);
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
  P done = PyObject_Vectorcall(op->kernel, args, n, nullptr);
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

P run_composite(Op* op, P const* args, int n) { return PyObject_Vectorcall(op->composite, args, n, nullptr); }

void mark_view(P out, P source) {
  Tensor *t = as_tensor(out), *from = as_tensor(source);
  if (t == from || t->array.storage != from->array.storage) return;
  Tensor* root = root_of(from);
  Py_INCREF(root);
  Py_XSETREF(t->base, root);
  t->view_version = grad_enabled ? t->array.storage->version.load(std::memory_order_relaxed) : UINT32_MAX;
}

P bind_arguments_error(Op* op, P key) {
  return PyErr_Format(PyExc_TypeError, "%U() got an unexpected or repeated argument '%U'", op->name, key);
}

bool bind_arguments(Op* op, P const* args, Py_ssize_t n, P kwnames, P* bound) {
  if (n > op->n_params) {
    PyErr_Format(PyExc_TypeError, "%U() takes %d arguments, %zd given", op->name, op->n_params, n);
    return false;
  }
  for (int i = 0; i < op->n_params; ++i) bound[i] = i < n ? args[i] : nullptr;
  for (Py_ssize_t k = 0; kwnames && k < PyTuple_GET_SIZE(kwnames); ++k) {
    P key = PyTuple_GET_ITEM(kwnames, k);
    int i = 0;
    while (i < op->n_params && PyTuple_GET_ITEM(op->params, i) != key &&
           PyUnicode_Compare(PyTuple_GET_ITEM(op->params, i), key) != 0)
      ++i;
    if (i == op->n_params || bound[i]) {
      bind_arguments_error(op, key);
      return false;
    }
    bound[i] = args[n + k];
  }
  for (int i = 0; i < op->n_params; ++i) {
    if (bound[i]) continue;
    bound[i] = PyTuple_GET_ITEM(op->defaults, i);
    if (bound[i] == Py_Ellipsis) {
      PyErr_Format(PyExc_TypeError, "%U() missing argument '%U'", op_error_name(op), PyTuple_GET_ITEM(op->params, i));
      return false;
    }
  }
  return true;
}

}  // namespace

P call_op(P self, P const* args, size_t nargsf, P kwnames) {
  Op* op = reinterpret_cast<Op*>(self);
  const Py_ssize_t n = PyVectorcall_NARGS(nargsf);
  P bound[max_params];
  if (kwnames || n != op->n_params) {
    if (!bind_arguments(op, args, n, kwnames, bound)) return nullptr;
    args = bound;
  }
  if (op->is_in_place) return call_in_place(op, args, op->n_params);
  const bool records = grad_enabled && op->differentiable && any_wants_grad(op, args);
  if (records && op->rules == Py_None && op->composite != Py_None) return run_composite(op, args, op->n_params);
  P out = PyObject_Vectorcall(op->kernel, args, op->n_params, nullptr);
  if (!out) {
    if (op->composite == Py_None || !callbacks.missing_kernel || !PyErr_ExceptionMatches(callbacks.missing_kernel))
      return nullptr;
    PyErr_Clear();
    P told = callbacks.on_composite ? PyObject_CallOneArg(callbacks.on_composite, self) : Py_NewRef(Py_None);
    if (!told) return nullptr;
    Py_DECREF(told);
    return run_composite(op, args, op->n_params);
  }
  if (op->is_view && is_tensor(out) && is_tensor(args[0])) mark_view(out, args[0]);
  if (records && op->rules != Py_None) {
    const bool many = PyTuple_CheckExact(out);
    const int n_outputs = many ? static_cast<int>(PyTuple_GET_SIZE(out)) : 1;
    P const* outputs = many ? &PyTuple_GET_ITEM(out, 0) : &out;
    if (is_tensor(outputs[0]) && is_floating(array_of(outputs[0]).dtype) && record(op, args, outputs, n_outputs, nullptr) < 0) {
      Py_DECREF(out);
      return nullptr;
    }
  }
  if (callbacks.on_call) {
    P told = PyObject_CallFunctionObjArgs(callbacks.on_call, self, out, nullptr);
    if (!told) {
      Py_DECREF(out);
      return nullptr;
    }
    Py_DECREF(told);
  }
  return out;
}

// --- the type
namespace {

int op_init(Op* op, P args, P) {  // Op(name, kernel, params, defaults)
  P name, kernel, params, defaults;
  if (!PyArg_ParseTuple(args, "UOO!O!", &name, &kernel, &PyTuple_Type, &params, &PyTuple_Type, &defaults)) return -1;
  if (PyTuple_GET_SIZE(params) > max_params) {
    PyErr_Format(PyExc_ValueError, "%U: an op has at most %d parameters", name, max_params);
    return -1;
  }
  op->name = Py_NewRef(name);
  op->kernel = Py_NewRef(kernel);
  op->params = Py_NewRef(params);
  op->defaults = Py_NewRef(defaults);
  op->rules = Py_NewRef(Py_None);
  op->composite = Py_NewRef(Py_None);
  op->in_place_of = Py_NewRef(Py_None);
  op->doc = Py_NewRef(Py_None);
  op->n_params = static_cast<int>(PyTuple_GET_SIZE(params));
  op->vectorcall = call_op;
  return 0;
}

P op_set_rules(Op* op, P args) {  // set_rules((rule or None, ...), ((pick, ...), ...), joint)
  P rules, picks;
  int joint;
  if (!PyArg_ParseTuple(args, "O!O!p", &PyTuple_Type, &rules, &PyTuple_Type, &picks, &joint)) return nullptr;
  Py_XSETREF(op->rules, Py_NewRef(rules));
  op->joint = joint;
  op->n_rules = static_cast<int>(PyTuple_GET_SIZE(rules));
  op->differentiable = joint ? (1u << op->n_params) - 1 : 0;
  for (int r = 0; r < op->n_rules; ++r) {
    if (!joint && PyTuple_GET_ITEM(rules, r) != Py_None) op->differentiable |= 1u << r;
    P names = PyTuple_GET_ITEM(picks, r);
    op->n_picks[r] = static_cast<int8_t>(PyTuple_GET_SIZE(names));
    op->masks[r] = 0;
    for (int j = 0; j < op->n_picks[r]; ++j) {
      const auto pick = static_cast<int16_t>(PyLong_AsLong(PyTuple_GET_ITEM(names, j)));
      op->picks[r][j] = pick;
      if (pick < 64) op->masks[r] |= 1u << pick;
    }
  }
  Py_RETURN_NONE;
}

P op_set_flags(Op* op, P args) {  // set_flags(view, in_place, takes_list, saves_shapes)
  int view, in_place, list, shapes;
  if (!PyArg_ParseTuple(args, "pppp", &view, &in_place, &list, &shapes)) return nullptr;
  op->is_view = view;
  op->is_in_place = in_place;
  op->takes_list = list;
  op->saves_shapes = shapes;
  Py_RETURN_NONE;
}

P op_set_composite(Op* op, P args) {  // set_composite(function, differentiable mask)
  P function;
  unsigned mask;
  if (!PyArg_ParseTuple(args, "OI", &function, &mask)) return nullptr;
  Py_XSETREF(op->composite, Py_NewRef(function));
  if (op->rules == Py_None) op->differentiable = mask;
  Py_RETURN_NONE;
}

int op_traverse(Op* o, visitproc visit, void* arg) {
  for (P v : {o->name, o->kernel, o->params, o->defaults, o->rules, o->composite, o->in_place_of, o->doc}) Py_VISIT(v);
  Py_VISIT(Py_TYPE(o));
  return 0;
}
int op_clear(Op* o) {
  for (P* v : {&o->name, &o->kernel, &o->params, &o->defaults, &o->rules, &o->composite, &o->in_place_of, &o->doc})
    Py_CLEAR(*v);
  return 0;
}
void op_dealloc(Op* o) {
  PyTypeObject* type = Py_TYPE(o);
  PyObject_GC_UnTrack(o);
  op_clear(o);
  type->tp_free(o);
  Py_DECREF(type);
}
P op_bind(P self, P object, P) { return object && object != Py_None ? PyMethod_New(self, object) : Py_NewRef(self); }
P op_repr(Op* o) { return PyUnicode_FromFormat("<op %U%R>", o->name, o->params); }

PyMethodDef op_methods[] = {
    {"set_rules", reinterpret_cast<PyCFunction>(op_set_rules), METH_VARARGS, "Gradient rules and what they ask for."},
    {"set_flags", reinterpret_cast<PyCFunction>(op_set_flags), METH_VARARGS, "view, in_place, takes_list, saves_shapes"},
    {"set_composite", reinterpret_cast<PyCFunction>(op_set_composite), METH_VARARGS, "The same op in plain ops."},
    {}};
PyMemberDef op_members[] = {{"__vectorcalloffset__", T_PYSSIZET, offsetof(Op, vectorcall), READONLY, nullptr},
                            {"name", T_OBJECT, offsetof(Op, name), READONLY, "The op's name."},
                            {"__name__", T_OBJECT, offsetof(Op, name), READONLY, nullptr},
                            {"kernel", T_OBJECT, offsetof(Op, kernel), READONLY, "What computes it."},
                            {"params", T_OBJECT, offsetof(Op, params), READONLY, "Parameter names."},
                            {"defaults", T_OBJECT, offsetof(Op, defaults), READONLY, "Parameter defaults; ... where required."},
                            {"rules", T_OBJECT, offsetof(Op, rules), READONLY, "Gradient rules, or None."},
                            {"composite", T_OBJECT, offsetof(Op, composite), READONLY, "The same op in plain ops, or None."},
                            {"in_place_of", T_OBJECT, offsetof(Op, in_place_of), 0, "The out-of-place op, or None."},
                            {"__doc__", T_OBJECT, offsetof(Op, doc), 0, nullptr},
                            {}};
PyType_Slot op_slots[] = {{Py_tp_new, reinterpret_cast<void*>(PyType_GenericNew)},
                          {Py_tp_init, reinterpret_cast<void*>(op_init)},
                          {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
                          {Py_tp_descr_get, reinterpret_cast<void*>(op_bind)},
                          {Py_tp_repr, reinterpret_cast<void*>(op_repr)},
                          {Py_tp_dealloc, reinterpret_cast<void*>(op_dealloc)},
                          {Py_tp_traverse, reinterpret_cast<void*>(op_traverse)},
                          {Py_tp_clear, reinterpret_cast<void*>(op_clear)},
                          {Py_tp_methods, op_methods},
                          {Py_tp_members, op_members},
                          {0, nullptr}};
PyType_Spec op_spec = {
    "tilegrad._core.Op", sizeof(Op), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_METHOD_DESCRIPTOR,
    op_slots};

}  // namespace

PyTypeObject* make_op_type() { return reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&op_spec)); }

}  // namespace tg::py
