// Op: binds arguments, calls the kernel, and has a Node recorded when an input asks for a gradient.
#include <Python.h>
#include <structmember.h>

#include <chrono>

#include "bindings/record.h"

namespace tg::py {

thread_local bool grad_enabled = true;
thread_local P autocast = nullptr;
Callbacks callbacks;

namespace {

P run_composite(Op* op, P const* args, int n) { return PyObject_Vectorcall(op->composite, args, n, nullptr); }

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
    if (i == op->n_params && PyUnicode_CompareWithASCIIString(key, "input") == 0) i = 0;  // PyTorch's names
    else if (i == op->n_params && op->n_params > 1 && PyUnicode_CompareWithASCIIString(key, "other") == 0) i = 1;
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
      PyErr_Format(PyExc_TypeError, "%U() missing argument '%U'", op->name, PyTuple_GET_ITEM(op->params, i));
      return false;
    }
  }
  return true;
}

// The op on converted arguments, itself outside autocast.
P call_autocast(Op* op, P const* args) {
  P converted[max_params], held[max_params] = {};
  const int count = op->autocast < 0 ? -op->autocast : op->autocast;
  P cast = Py_NewRef(autocast);
  bool failed = false;
  for (int i = 0; i < op->n_params; ++i) {
    converted[i] = args[i];
    if (failed || i >= count || !is_tensor(args[i])) continue;
    held[i] = PyObject_CallFunctionObjArgs(cast, args[i], op->autocast < 0 ? Py_True : Py_False, nullptr);
    if (held[i]) converted[i] = held[i];
    else failed = true;
  }
  P outer = autocast;
  autocast = nullptr;
  P out = failed ? nullptr : call_op(reinterpret_cast<P>(op), converted, static_cast<size_t>(op->n_params), nullptr);
  autocast = outer;
  for (P value : held) Py_XDECREF(value);
  Py_DECREF(cast);
  return out;
}

}  // namespace

P call_kernel_profiled(Op* op, P const* args, int n) {
  const auto now = [] {  // the clock of time.perf_counter_ns
    const auto time = std::chrono::steady_clock::now().time_since_epoch();
    return static_cast<long long>(std::chrono::duration_cast<std::chrono::nanoseconds>(time).count());
  };
  P told_to = Py_NewRef(callbacks.on_profile);  // the kernel may close the profile
  const long long start = now();
  P out = PyObject_Vectorcall(op->kernel, args, n, nullptr);
  const long long end = now();
  P tuple = out ? PyTuple_New(n) : nullptr;
  for (int i = 0; tuple && i < n; ++i) PyTuple_SET_ITEM(tuple, i, Py_NewRef(args[i]));
  P told = tuple ? PyObject_CallFunction(told_to, "OOOLL", op->name, tuple, out, start, end) : nullptr;
  Py_XDECREF(tuple);
  Py_DECREF(told_to);
  if (told) Py_DECREF(told);
  else Py_CLEAR(out);
  return out;
}

P call_op(P self, P const* args, size_t nargsf, P kwnames) {
  Op* op = reinterpret_cast<Op*>(self);
  const Py_ssize_t n = PyVectorcall_NARGS(nargsf);
  P bound[max_params];
  if (kwnames || n != op->n_params) {
    if (!bind_arguments(op, args, n, kwnames, bound)) return nullptr;
    args = bound;
  }
  if (autocast && op->autocast) return call_autocast(op, args);
  if (op->is_in_place) return call_in_place(op, args, op->n_params);
  const bool records = grad_enabled && op->differentiable && any_wants_grad(op, args);
  if (records && op->rules == Py_None && op->composite != Py_None) return run_composite(op, args, op->n_params);
  P out = call_kernel(op, args, op->n_params);
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

P op_set_autocast(Op* op, P count) {
  const long n = PyLong_AsLong(count);
  if (n == -1 && PyErr_Occurred()) return nullptr;
  if (n > op->n_params || n < -op->n_params)
    return PyErr_Format(PyExc_ValueError, "%U has %d parameters, got %ld", op->name, op->n_params, n);
  op->autocast = static_cast<int>(n);
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
    {"set_autocast", reinterpret_cast<PyCFunction>(op_set_autocast), METH_O,
     "How many leading arguments autocast converts: to its dtype, or with a minus to float32."},
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
