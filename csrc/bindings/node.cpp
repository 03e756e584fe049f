// Node: one recorded step. apply() calls the gradient rules of its op and fits each gradient to the shape and dtype of the
// input it belongs to.
#include <Python.h>
#include <structmember.h>

#include "bindings/convert.h"
#include "ops/copy.h"
#include "ops/reduce.h"

namespace tg::py {
namespace {

int node_traverse(Node* n, visitproc visit, void* arg) {
  Py_VISIT(n->op);
  Py_VISIT(n->hooks);
  Py_VISIT(n->trace);
  for (int i = 0; i < n->n_edges + n->n_saved; ++i) Py_VISIT(n->items[i]);
  Py_VISIT(Py_TYPE(n));
  return 0;
}
int node_clear(Node* n) {
  for (int i = 0; i < n->n_edges + n->n_saved; ++i) Py_CLEAR(n->items[i]);
  Py_CLEAR(n->hooks);
  Py_CLEAR(n->trace);
  Py_CLEAR(n->op);
  return 0;
}
void node_dealloc(Node* n) {
  PyTypeObject* type = Py_TYPE(n);
  PyObject_GC_UnTrack(n);
  Py_TRASHCAN_BEGIN(n, node_dealloc)  // a chain of 100,000 nodes is released without recursion
      node_clear(n);
  type->tp_free(n);
  Py_DECREF(type);
  Py_TRASHCAN_END
}

const OutputMeta meta_of(P edge, int slot) {
  if (is_node(edge)) return reinterpret_cast<Node*>(edge)->outputs()[slot];
  Array& a = array_of(edge);
  return {a.dtype, a.shape};
}

P refuse_freed(Node* n) {
  return PyErr_Format(PyExc_RuntimeError,
                      "%U: backward through this graph a second time: the values it saved were freed after the first; "
                      "pass retain_graph=True to the first backward() to keep them",
                      n->op->name);
}

// A saved value for a rule, checked to be what it was; borrowed. Outputs come back connected to this node under create_graph.
P saved_value(Node* n, int slot, P* reconnected) {
  P v = n->saved()[slot];
  if (!v) return Py_None;
  if (!is_tensor(v)) return v;
  const uint32_t now = array_of(v).storage->version.load(std::memory_order_relaxed), then = n->versions()[slot];
  if (now != then) [[unlikely]] {
    P what = slot < n->op->n_params ? PyUnicode_FromFormat("its argument '%U'", PyTuple_GET_ITEM(n->op->params, slot))
                                    : PyUnicode_FromString("its output");
    P place = n->trace ? PyUnicode_FromFormat(" The op was called here:\n%S", n->trace) : PyUnicode_FromString("");
    PyErr_Format(PyExc_RuntimeError,
                 "%U saved %U for backward, and an in-place operation changed it since (version %u then, %u now). "
                 "Change a clone() instead, or use the out-of-place form of that operation.%U",
                 n->op->name, what, then, now, place);
    Py_DECREF(what);
    Py_DECREF(place);
    return nullptr;
  }
  const int k = slot - n->op->n_params;
  if (k < 0 || !grad_enabled) return v;
  if (!*reconnected) {
    Tensor* t = as_tensor(*reconnected = alias_of(as_tensor(v), false));
    if (!t) return nullptr;
    Py_INCREF(n);
    t->node = n;
    t->output = static_cast<uint8_t>(k);
    t->requires_grad = true;
  }
  return *reconnected;
}

P shapes_of_edge(Node* n, int i) {
  if (n->op->saves_shapes && i == 0) return Py_NewRef(n->saved()[0]);
  P edge = n->edges()[i];
  return edge ? dims_tuple(meta_of(edge, n->slots()[i]).shape) : Py_NewRef(Py_None);
}

// The gradient of edge i in its shape and dtype; steals g.
P fitted(Node* n, int i, P g) {
  P edge = n->edges()[i];
  if (!edge || g == Py_None) {
    Py_DECREF(g);
    return Py_NewRef(Py_None);
  }
  if (!is_tensor(g)) {
    PyErr_Format(PyExc_TypeError, "%U: a gradient rule must give a Tensor or None, got %s", n->op->name, Py_TYPE(g)->tp_name);
    Py_DECREF(g);
    return nullptr;
  }
  const OutputMeta meta = meta_of(edge, n->slots()[i]);
  Array& a = array_of(g);
  if (a.dtype == meta.dtype && a.shape == meta.shape) return g;
  P out = nullptr;
  if (grad_enabled && needs_grad(as_tensor(g))) {
    P shape = dims_tuple(meta.shape);
    P args[3] = {g, shape, callbacks.dtypes[static_cast<int>(meta.dtype)]};
    out = PyObject_Vectorcall(callbacks.fit, args, 3, nullptr);
    Py_XDECREF(shape);
  } else {
    try {
      Array summed = ops::sum_to(a, meta.shape);
      out = make_tensor(summed.dtype == meta.dtype ? std::move(summed) : ops::cast(summed, meta.dtype));
    } catch (const Error& e) {
      PyErr_Format(PyExc_RuntimeError, "%U: the gradient rule gave shape %s for an input of shape %s", n->op->name,
                   to_text(a.shape).c_str(), to_text(meta.shape).c_str());
    } catch (...) { set_python_error(); }
  }
  Py_DECREF(g);
  return out;
}

// apply(dy, wanted=-1): dy is a Tensor, or a list with one entry per output; wanted is a bit mask of edges (joint rules get it).
P node_apply(Node* n, P const* args, Py_ssize_t nargs) {
  Op* op = n->op;
  if (n->freed) return refuse_freed(n);
  P dy = args[0];
  const uint64_t wanted = nargs > 1 ? PyLong_AsUnsignedLongLong(args[1]) : ~uint64_t{0};
  P reconnected[4] = {}, temporary[max_params + 4];
  int n_temporary = 0;
  P out = PyTuple_New(n->n_edges);
  bool failed = !out;
  for (int r = 0; r < op->n_rules && !failed; ++r) {
    if (!op->joint && (!n->edges()[r] || !(wanted >> r & 1))) {
      PyTuple_SET_ITEM(out, r, Py_NewRef(Py_None));
      continue;
    }
    P stack[max_params + 5];
    int k = 0;
    stack[k++] = n->n_outputs > 1 ? PyList_GET_ITEM(dy, 0) : dy;
    for (int j = 0; j < op->n_picks[r]; ++j) {
      const int pick = op->picks[r][j];
      P v;
      if (pick >= pick_all_dy) {
        v = temporary[n_temporary++] = n->n_outputs > 1 ? PyList_AsTuple(dy) : PyTuple_Pack(1, dy);
      } else if (pick >= pick_needs) {
        v = temporary[n_temporary++] = PyTuple_New(n->n_edges);
        for (int i = 0; v && i < n->n_edges; ++i)
          PyTuple_SET_ITEM(v, i, PyBool_FromLong(n->edges()[i] && (i > 63 || wanted >> i & 1)));
      } else if (pick >= pick_dy) {
        v = PyList_GET_ITEM(dy, pick - pick_dy);
      } else if (pick >= pick_shape) {
        v = temporary[n_temporary++] = shapes_of_edge(n, pick - pick_shape);
      } else {
        v = saved_value(n, pick, pick >= op->n_params ? &reconnected[pick - op->n_params] : nullptr);
      }
      if (!v) {
        failed = true;
        break;
      }
      stack[k++] = v;
    }
    P g = failed ? nullptr : PyObject_Vectorcall(PyTuple_GET_ITEM(op->rules, r), stack, k, nullptr);
    while (n_temporary) Py_XDECREF(temporary[--n_temporary]);
    if (!g) {
      failed = true;
      break;
    }
    if (!op->joint) {
      P fit = fitted(n, r, g);
      if (!fit) failed = true;
      else PyTuple_SET_ITEM(out, r, fit);
      continue;
    }
    P all = PyTuple_Check(g) || PyList_Check(g) ? g : nullptr;
    const Py_ssize_t given = all ? PySequence_Fast_GET_SIZE(all) : 1;
    if (given != n->n_edges) {
      PyErr_Format(PyExc_RuntimeError, "%U: its gradient rule gave %zd gradients for %d inputs", op->name, given, n->n_edges);
      failed = true;
    }
    for (int i = 0; i < n->n_edges && !failed; ++i) {
      P fit = fitted(n, i, Py_NewRef(all ? PySequence_Fast_GET_ITEM(all, i) : g));
      if (!fit) failed = true;
      else PyTuple_SET_ITEM(out, i, fit);
    }
    Py_DECREF(g);
  }
  for (P r : reconnected) Py_XDECREF(r);
  if (failed) Py_CLEAR(out);
  return out;
}

// Plain values (dims, flags, shapes) are kept: a step that saved nothing else can run again.
bool is_plain(P v) {
  return v == Py_None || PyLong_Check(v) || PyFloat_Check(v) || PyUnicode_Check(v) || PyTuple_Check(v) || PySlice_Check(v);
}
P node_free(Node* n, P) {
  for (int i = 0; i < n->n_saved; ++i) {
    if (!n->saved()[i] || is_plain(n->saved()[i])) continue;
    n->freed = true;
    Py_CLEAR(n->saved()[i]);
  }
  Py_RETURN_NONE;
}
P node_edges(Node* n, void*) {
  P t = PyTuple_New(n->n_edges);
  for (int i = 0; t && i < n->n_edges; ++i) PyTuple_SET_ITEM(t, i, Py_NewRef(n->edges()[i] ? n->edges()[i] : Py_None));
  return t;
}
bool is_slice(Node* n) { return reinterpret_cast<P>(n->op) == callbacks.index_op; }
P node_is_slice(Node* n, void*) { return PyBool_FromLong(is_slice(n)); }
P node_shown_part(Node* n, P base) {
  if (!is_slice(n)) return PyErr_Format(PyExc_TypeError, "%U is not a slice", n->op->name);
  if (n->freed) return refuse_freed(n);
  P args[2] = {base, n->saved()[1]};  // the key
  return PyObject_Vectorcall(n->op->kernel, args, 2, nullptr);
}
P node_slots(Node* n, void*) {
  if (!n->has_slots && !is_slice(n)) Py_RETURN_NONE;
  P t = PyTuple_New(n->n_edges);
  for (int i = 0; t && i < n->n_edges; ++i) PyTuple_SET_ITEM(t, i, PyLong_FromLong(n->slots()[i]));
  return t;
}
P node_next_functions(Node* n, void*) {
  P t = PyTuple_New(n->n_edges);
  for (int i = 0; t && i < n->n_edges; ++i)
    PyTuple_SET_ITEM(t, i, Py_BuildValue("(Oi)", n->edges()[i] ? n->edges()[i] : Py_None, int(n->slots()[i])));
  return t;
}
P node_outputs(Node* n, void*) { return PyLong_FromLong(n->n_outputs); }
P node_seq(Node* n, void*) { return PyLong_FromUnsignedLongLong(n->seq); }
P node_get_hooks(Node* n, void*) { return Py_NewRef(n->hooks ? n->hooks : Py_None); }
int node_set_hooks(Node* n, P v, void*) {
  Py_XSETREF(n->hooks, v && v != Py_None ? Py_NewRef(v) : nullptr);
  return 0;
}
P node_get_trace(Node* n, void*) { return Py_NewRef(n->trace ? n->trace : Py_None); }
int node_set_trace(Node* n, P v, void*) {
  Py_XSETREF(n->trace, v && v != Py_None ? Py_NewRef(v) : nullptr);
  return 0;
}
P node_name(Node* n, P) { return Py_NewRef(n->op->name); }
P node_repr(Node* n) { return PyUnicode_FromFormat("<%U backward>", n->op->name); }
P node_meta(Node* n, P slot) {  // (shape, dtype) of one output
  const long k = PyLong_AsLong(slot);
  if (k < 0 || k >= n->n_outputs) return PyErr_Format(PyExc_IndexError, "output %ld of %d", k, n->n_outputs);
  P shape = dims_tuple(n->outputs()[k].shape);
  return shape ? Py_BuildValue("(NO)", shape, callbacks.dtypes[static_cast<int>(n->outputs()[k].dtype)]) : nullptr;
}
P node_compare(P a, P b, int op) {  // heapq takes the smallest: the newest node first
  if (op != Py_LT || !is_node(b)) {
    if (op == Py_EQ) return PyBool_FromLong(a == b);
    if (op == Py_NE) return PyBool_FromLong(a != b);
    Py_RETURN_NOTIMPLEMENTED;
  }
  return PyBool_FromLong(reinterpret_cast<Node*>(a)->seq > reinterpret_cast<Node*>(b)->seq);
}
Py_hash_t node_hash(P n) { return static_cast<Py_hash_t>(reinterpret_cast<uintptr_t>(n) >> 4); }

PyMethodDef node_methods[] = {
    {"apply", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(node_apply)), METH_FASTCALL,
     "The gradients of this step's inputs, given those of its outputs."},
    {"shown_part", reinterpret_cast<PyCFunction>(node_shown_part), METH_O,
     "Of a step that is a slice: what it shows of a tensor like its input."},
    {"free", reinterpret_cast<PyCFunction>(node_free), METH_NOARGS, "Drops the saved values."},
    {"name", reinterpret_cast<PyCFunction>(node_name), METH_NOARGS, "The op's name."},
    {"output_meta", reinterpret_cast<PyCFunction>(node_meta), METH_O, "(shape, dtype) of one output."},
    {}};
PyGetSetDef node_getset[] = {
    {"edges", reinterpret_cast<getter>(node_edges), nullptr, "A Node, a leaf Tensor or None per input.", nullptr},
    {"slots", reinterpret_cast<getter>(node_slots), nullptr,
     "Which output of each edge's node; None when all are its only one and the step is no slice.", nullptr},
    {"is_slice", reinterpret_cast<getter>(node_is_slice), nullptr, "Is the step basic indexing?", nullptr},
    {"next_functions", reinterpret_cast<getter>(node_next_functions), nullptr, "Pairs (edge, output index).", nullptr},
    {"n_outputs", reinterpret_cast<getter>(node_outputs), nullptr, "How many outputs the step has.", nullptr},
    {"seq", reinterpret_cast<getter>(node_seq), nullptr, "Order of recording; inputs are older.", nullptr},
    {"hooks", reinterpret_cast<getter>(node_get_hooks), reinterpret_cast<setter>(node_set_hooks),
     "Functions run on the incoming gradient.", nullptr},
    {"trace", reinterpret_cast<getter>(node_get_trace), reinterpret_cast<setter>(node_set_trace),
     "Where the op was called (anomaly mode).", nullptr},
    {}};
PyType_Slot node_type_slots[] = {{Py_tp_dealloc, reinterpret_cast<void*>(node_dealloc)},
                                 {Py_tp_traverse, reinterpret_cast<void*>(node_traverse)},
                                 {Py_tp_clear, reinterpret_cast<void*>(node_clear)},
                                 {Py_tp_richcompare, reinterpret_cast<void*>(node_compare)},
                                 {Py_tp_hash, reinterpret_cast<void*>(node_hash)},
                                 {Py_tp_repr, reinterpret_cast<void*>(node_repr)},
                                 {Py_tp_methods, node_methods},
                                 {Py_tp_getset, node_getset},
                                 {0, nullptr}};
PyType_Spec node_spec = {"tilegrad._core.Node", offsetof(Node, items), sizeof(P),
                         Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION, node_type_slots};

}  // namespace

PyTypeObject* make_node_type() { return reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&node_spec)); }

}  // namespace tg::py
