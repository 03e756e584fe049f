// Tensor: an Array with a place in the autograd graph. Operators go straight to their Ops.
#include <Python.h>
#include <structmember.h>

#include "bindings/convert.h"
#include "ops/copy.h"

namespace tg::py {

PyTypeObject *tensor_base, *tensor_class, *node_type, *op_type;

P make_tensor(Array&& a, PyTypeObject* type) {
  auto* t = reinterpret_cast<Tensor*>(type->tp_alloc(type, 0));  // zeroed
  if (!t) return nullptr;
  new (&t->array) Array(std::move(a));
  return reinterpret_cast<P>(t);
}
P make_tensor(Array&& a) { return make_tensor(std::move(a), tensor_class); }

P alias_of(Tensor* t, bool keep_graph) {
  P out = make_tensor(Array(t->array));
  if (!out || !keep_graph) return out;
  Tensor* alias = as_tensor(out);
  alias->requires_grad = needs_grad(t);
  alias->node = node_of(t);
  alias->output = t->output;
  Py_XINCREF(alias->node);
  return out;
}

// --- views: after an in-place change of the storage, a view hangs on its base's new history
namespace {
void refresh(Tensor* t) {
  const uint32_t version = t->array.storage->version.load(std::memory_order_relaxed);
  if (t->view_version == version || t->view_version == UINT32_MAX) return;
  t->view_version = version;
  if (!t->base->requires_grad || !is_floating(t->array.dtype)) return;
  Node* n = window_node(t);
  if (!n) {
    PyErr_Clear();
    return;
  }
  Node* old = t->node;
  t->node = n;
  t->output = 0;
  t->requires_grad = true;
  Py_XDECREF(old);
}
}  // namespace

Node* node_of(Tensor* t) {
  if (t->base) refresh(t);
  return t->node;
}
bool needs_grad(Tensor* t) {
  if (t->base) refresh(t);
  return t->requires_grad;
}

namespace {

int tensor_traverse(Tensor* t, visitproc visit, void* arg) {
  Py_VISIT(t->node);
  Py_VISIT(t->base);
  Py_VISIT(t->grad);
  Py_VISIT(t->hooks);
  if (Py_TYPE(t) == tensor_base) Py_VISIT(Py_TYPE(t));
  return 0;
}
int tensor_clear(Tensor* t) {
  Py_CLEAR(t->node);
  Py_CLEAR(t->base);
  Py_CLEAR(t->grad);
  Py_CLEAR(t->hooks);
  return 0;
}
void tensor_dealloc(Tensor* t) {
  PyTypeObject* type = Py_TYPE(t);
  PyObject_GC_UnTrack(t);
  Py_TRASHCAN_BEGIN(t, tensor_dealloc) if (t->weakrefs) PyObject_ClearWeakRefs(reinterpret_cast<P>(t));
  tensor_clear(t);
  t->array.~Array();
  type->tp_free(t);
  Py_DECREF(type);
  Py_TRASHCAN_END
}
P tensor_new(PyTypeObject* type, P, P) {  // an empty 1-d tensor; subclasses make theirs with _core.make_subclass
  try {
    return make_tensor(empty({0}, DType::f32), type);
  } catch (...) {
    set_python_error();
    return nullptr;
  }
}

// --- operators
enum Slot {
  s_add,
  s_sub,
  s_mul,
  s_div,
  s_floor_divide,
  s_remainder,
  s_pow,
  s_matmul,
  s_and,
  s_or,
  s_xor,
  s_add_,
  s_sub_,
  s_mul_,
  s_div_,
  s_floor_divide_,
  s_remainder_,
  s_pow_,
  s_and_,
  s_or_,
  s_xor_,
  s_neg,
  s_abs,
  s_invert,
  s_eq,
  s_ne,
  s_lt,
  s_le,
  s_gt,
  s_ge,
  slot_count
};
constexpr const char* slot_names[slot_count] = {
    "add",        "sub",  "mul",  "div",  "floor_divide", "remainder", "pow",  "matmul",
    "and",        "or",   "xor",  "add_", "sub_",         "mul_",      "div_", "floor_divide_",
    "remainder_", "pow_", "and_", "or_",  "xor_",         "neg",       "abs",  "invert",
    "eq",         "ne",   "lt",   "le",   "gt",           "ge"};
P slot_ops[slot_count];

// The operand itself, a tensor made of an array-like, or null: not ours. New reference.
P operand(P v) {
  if (is_tensor(v) || PyFloat_Check(v) || PyLong_Check(v)) return Py_NewRef(v);
  if (callbacks.as_tensor && PyObject_HasAttrString(v, "__array__")) return PyObject_CallOneArg(callbacks.as_tensor, v);
  return nullptr;
}
template <Slot s> P binary_slot(P x, P y) {
  const bool plain_x = is_tensor(x) || PyFloat_Check(x) || PyLong_Check(x),
             plain_y = is_tensor(y) || PyFloat_Check(y) || PyLong_Check(y);
  if (plain_x && plain_y) {
    P args[2] = {x, y};
    return call_op(slot_ops[s], args, 2, nullptr);
  }
  P args[2] = {operand(x), nullptr};
  if (args[0]) args[1] = operand(y);
  P out = nullptr;
  if (args[0] && args[1]) out = call_op(slot_ops[s], args, 2, nullptr);
  else if (!PyErr_Occurred()) out = Py_NewRef(Py_NotImplemented);
  Py_XDECREF(args[0]);
  Py_XDECREF(args[1]);
  return out;
}
template <Slot s> P power_slot(P x, P y, P modulus) {
  if (modulus != Py_None) Py_RETURN_NOTIMPLEMENTED;
  return binary_slot<s>(x, y);
}
template <Slot s> P unary_slot(P x) { return call_op(slot_ops[s], &x, 1, nullptr); }
P tensor_positive(P x) { return Py_NewRef(x); }
P tensor_compare(P x, P y, int op) {
  static constexpr Slot slots[6] = {s_lt, s_le, s_eq, s_ne, s_gt, s_ge};  // Py_LT .. Py_GE
  P other = operand(y);
  if (!other) {
    if (PyErr_Occurred()) return nullptr;
    Py_RETURN_NOTIMPLEMENTED;
  }
  P args[2] = {x, other};
  P out = call_op(slot_ops[slots[op]], args, 2, nullptr);
  Py_DECREF(other);
  return out;
}
Py_hash_t tensor_hash(P t) { return static_cast<Py_hash_t>(reinterpret_cast<uintptr_t>(t) >> 4); }

// --- one element as a Python number
P item_of(Tensor* t) {
  const Array& a = t->array;
  if (a.numel() != 1)
    return PyErr_Format(PyExc_RuntimeError, "a tensor of shape %s with %lld elements cannot be turned into one number",
                        to_text(a.shape).c_str(), static_cast<long long>(a.numel()));
  try {
    const Array wide = a.dtype == DType::bf16 || a.dtype == DType::f16 ? ops::cast(a, DType::f32) : a;
    switch (wide.dtype) {
      case DType::f32: return PyFloat_FromDouble(*wide.as<float>());
      case DType::f64: return PyFloat_FromDouble(*wide.as<double>());
      case DType::i64: return PyLong_FromLongLong(*wide.as<int64_t>());
      case DType::i32: return PyLong_FromLong(*wide.as<int32_t>());
      case DType::i8: return PyLong_FromLong(*wide.as<int8_t>());
      case DType::u8: return PyLong_FromLong(*wide.as<uint8_t>());
      default: return PyBool_FromLong(*wide.as<bool>());
    }
  } catch (...) {
    set_python_error();
    return nullptr;
  }
}
P tensor_item(Tensor* t, P) { return item_of(t); }
P tensor_float(P t) {
  P v = item_of(as_tensor(t));
  P out = v ? PyNumber_Float(v) : nullptr;
  Py_XDECREF(v);
  return out;
}
P tensor_int(P t) {
  P v = item_of(as_tensor(t));
  P out = v ? PyNumber_Long(v) : nullptr;
  Py_XDECREF(v);
  return out;
}
P tensor_index(P t) {
  if (is_floating(array_of(t).dtype))
    return PyErr_Format(PyExc_TypeError, "only integer tensors of one element can be used as an index, got dtype %s",
                        name_of(array_of(t).dtype));
  return tensor_int(t);
}
int tensor_bool(P t) {
  if (array_of(t).numel() != 1) {
    PyErr_Format(PyExc_RuntimeError, "the truth value of a tensor of shape %s is ambiguous; use .any() or .all()",
                 to_text(array_of(t).shape).c_str());
    return -1;
  }
  P v = item_of(as_tensor(t));
  const int out = v ? PyObject_IsTrue(v) : -1;
  Py_XDECREF(v);
  return out;
}
Py_ssize_t tensor_length(P t) {
  if (array_of(t).ndim()) return array_of(t).shape[0];
  PyErr_SetString(PyExc_TypeError, "len() of a 0-d tensor");
  return -1;
}
P tensor_getitem(P t, P key) {
  P args[2] = {t, key};
  if (is_basic_index(key)) return call_op(callbacks.index_op, args, 2, nullptr);
  return PyObject_Vectorcall(callbacks.getitem, args, 2, nullptr);
}
int tensor_setitem(P t, P key, P value) {
  if (!value) {
    PyErr_SetString(PyExc_TypeError, "elements of a tensor cannot be deleted");
    return -1;
  }
  P args[3] = {t, key, value};
  P done = PyObject_Vectorcall(callbacks.setitem, args, 3, nullptr);
  Py_XDECREF(done);
  return done ? 0 : -1;
}
P tensor_sequence_item(P t, Py_ssize_t i) {  // lets PySequence_Check hold; iteration is __iter__ in Python
  P key = PyLong_FromSsize_t(i);
  P out = key ? tensor_getitem(t, key) : nullptr;
  Py_XDECREF(key);
  return out;
}

// --- attributes
P get_shape(Tensor* t, void*) { return dims_tuple(t->array.shape); }
P get_strides(Tensor* t, void*) { return dims_tuple(t->array.strides); }
P get_dtype(Tensor* t, void*) { return Py_NewRef(callbacks.dtypes[static_cast<int>(t->array.dtype)]); }
P get_ndim(Tensor* t, void*) { return PyLong_FromLong(t->array.ndim()); }
P get_version(Tensor* t, void*) { return PyLong_FromUnsignedLong(t->array.storage->version); }
P get_offset(Tensor* t, void*) { return PyLong_FromLongLong(t->array.offset); }
P get_node(Tensor* t, void*) {
  Node* n = node_of(t);
  return Py_NewRef(n ? reinterpret_cast<P>(n) : Py_None);
}
P get_output(Tensor* t, void*) { return PyLong_FromLong(t->output); }
P get_leaf(Tensor* t, void*) { return PyBool_FromLong(!node_of(t)); }
P get_base(Tensor* t, void*) { return Py_NewRef(t->base ? reinterpret_cast<P>(t->base) : Py_None); }
P get_requires_grad(Tensor* t, void*) { return PyBool_FromLong(needs_grad(t)); }
int set_requires_grad(Tensor* t, P v, void*) {
  const int on = v ? PyObject_IsTrue(v) : -1;
  if (on < 0) return -1;
  if (on && !is_floating(t->array.dtype)) {
    PyErr_Format(PyExc_RuntimeError, "only floating tensors can require gradients, this one has dtype %s",
                 name_of(t->array.dtype));
    return -1;
  }
  if (node_of(t)) {
    if (on) return 0;
    PyErr_SetString(PyExc_RuntimeError, "requires_grad of a computed tensor cannot be switched off; use detach()");
    return -1;
  }
  t->requires_grad = on;
  return 0;
}
P get_grad(Tensor* t, void*) {
  if (t->grad) return Py_NewRef(t->grad);
  if (t->node && !t->node->hooks &&
      PyErr_WarnEx(PyExc_UserWarning,
                   "the .grad of a tensor that is not a leaf is read; backward() fills it only after retain_grad()", 1) < 0)
    return nullptr;
  Py_RETURN_NONE;
}
int set_grad(Tensor* t, P v, void*) {
  if (!v || v == Py_None) {
    Py_CLEAR(t->grad);
    return 0;
  }
  if (!is_tensor(v)) {
    PyErr_Format(PyExc_TypeError, "grad must be a Tensor or None, not %s", Py_TYPE(v)->tp_name);
    return -1;
  }
  const Array &g = array_of(v), &x = t->array;
  if (!(g.shape == x.shape) || g.dtype != x.dtype) {
    PyErr_Format(PyExc_RuntimeError, "grad of shape %s and dtype %s does not fit a tensor of shape %s and dtype %s",
                 to_text(g.shape).c_str(), name_of(g.dtype), to_text(x.shape).c_str(), name_of(x.dtype));
    return -1;
  }
  Py_XSETREF(t->grad, Py_NewRef(v));
  return 0;
}
P get_hooks(Tensor* t, void*) { return Py_NewRef(t->hooks ? t->hooks : Py_None); }
int set_hooks(Tensor* t, P v, void*) {
  Py_XSETREF(t->hooks, v && v != Py_None ? Py_NewRef(v) : nullptr);
  return 0;
}
P get_data(Tensor* t, void*) { return alias_of(t, false); }
int set_data(Tensor* t, P v, void*) {  // x.data = y: x takes y's memory; x keeps its place in the graph
  if (!v || !is_tensor(v)) {
    PyErr_Format(PyExc_TypeError, "data must be a Tensor, not %s", v ? Py_TYPE(v)->tp_name : "nothing");
    return -1;
  }
  t->array = array_of(v);
  return 0;
}
P tensor_numel(Tensor* t, P) { return PyLong_FromLongLong(t->array.numel()); }
P tensor_contiguous_p(Tensor* t, P) { return PyBool_FromLong(t->array.contiguous()); }
P tensor_detach(Tensor* t, P) { return alias_of(t, false); }
P tensor_detach_(Tensor* t, P) {
  if (t->base) {
    PyErr_SetString(PyExc_RuntimeError, "detach_: a view cannot be detached in place from its base; use detach()");
    return nullptr;
  }
  Py_CLEAR(t->node);
  t->requires_grad = false;
  return Py_NewRef(reinterpret_cast<P>(t));
}
P tensor_data_ptr(Tensor* t, P) { return PyLong_FromVoidPtr(t->array.data()); }

PyMethodDef tensor_methods[] = {
    {"item", reinterpret_cast<PyCFunction>(tensor_item), METH_NOARGS, "The one element of this tensor as a Python number."},
    {"numel", reinterpret_cast<PyCFunction>(tensor_numel), METH_NOARGS, "The number of elements."},
    {"is_contiguous", reinterpret_cast<PyCFunction>(tensor_contiguous_p), METH_NOARGS,
     "Do the elements lie in memory in row-major order without gaps?"},
    {"detach", reinterpret_cast<PyCFunction>(tensor_detach), METH_NOARGS,
     "The same memory without history; gradients stop here."},
    {"detach_", reinterpret_cast<PyCFunction>(tensor_detach_), METH_NOARGS,
     "Cuts this tensor from its history and returns it."},
    {"data_ptr", reinterpret_cast<PyCFunction>(tensor_data_ptr), METH_NOARGS, "The address of the first element."},
    {}};
#define TG_GETTER(name, f, doc) {name, reinterpret_cast<getter>(f), nullptr, doc, nullptr}
#define TG_PROPERTY(name, get, set, doc) {name, reinterpret_cast<getter>(get), reinterpret_cast<setter>(set), doc, nullptr}
PyGetSetDef tensor_getset[] = {
    TG_GETTER("shape", get_shape, "Sizes of the dims, a tuple of ints."),
    TG_GETTER("_strides", get_strides, "Strides in elements."),
    TG_GETTER("dtype", get_dtype, "The element type."),
    TG_GETTER("ndim", get_ndim, "The number of dims."),
    TG_GETTER("_version", get_version, "How often the memory was changed in place."),
    TG_GETTER("_offset", get_offset, "First element in the storage."),
    TG_GETTER("grad_fn", get_node, "The graph node that computed this tensor; None for a leaf."),
    TG_GETTER("output_nr", get_output, "Which output of grad_fn this is."),
    TG_GETTER("is_leaf", get_leaf, "True when no recorded op computed this tensor."),
    TG_GETTER("_base", get_base, "The tensor this is a view of, or None."),
    TG_PROPERTY("requires_grad", get_requires_grad, set_requires_grad, "Are gradients wanted for this tensor?"),
    TG_PROPERTY("grad", get_grad, set_grad, "The gradient accumulated by backward(), or None."),
    TG_PROPERTY("_hooks", get_hooks, set_hooks, "Hooks of a leaf."),
    TG_PROPERTY("data", get_data, set_data, "The same memory without history."),
    {}};
PyMemberDef tensor_members[] = {{"__weaklistoffset__", T_PYSSIZET, offsetof(Tensor, weakrefs), READONLY, nullptr}, {}};

#define TG_SLOT(id, f) {id, reinterpret_cast<void*>(f)}
PyType_Slot tensor_slots[] = {TG_SLOT(Py_tp_new, tensor_new),
                              TG_SLOT(Py_tp_dealloc, tensor_dealloc),
                              TG_SLOT(Py_tp_traverse, tensor_traverse),
                              TG_SLOT(Py_tp_clear, tensor_clear),
                              TG_SLOT(Py_tp_richcompare, tensor_compare),
                              TG_SLOT(Py_tp_hash, tensor_hash),
                              TG_SLOT(Py_tp_methods, tensor_methods),
                              TG_SLOT(Py_tp_getset, tensor_getset),
                              TG_SLOT(Py_tp_members, tensor_members),
                              TG_SLOT(Py_nb_add, binary_slot<s_add>),
                              TG_SLOT(Py_nb_subtract, binary_slot<s_sub>),
                              TG_SLOT(Py_nb_multiply, binary_slot<s_mul>),
                              TG_SLOT(Py_nb_true_divide, binary_slot<s_div>),
                              TG_SLOT(Py_nb_floor_divide, binary_slot<s_floor_divide>),
                              TG_SLOT(Py_nb_remainder, binary_slot<s_remainder>),
                              TG_SLOT(Py_nb_power, power_slot<s_pow>),
                              TG_SLOT(Py_nb_matrix_multiply, binary_slot<s_matmul>),
                              TG_SLOT(Py_nb_and, binary_slot<s_and>),
                              TG_SLOT(Py_nb_or, binary_slot<s_or>),
                              TG_SLOT(Py_nb_xor, binary_slot<s_xor>),
                              TG_SLOT(Py_nb_inplace_add, binary_slot<s_add_>),
                              TG_SLOT(Py_nb_inplace_subtract, binary_slot<s_sub_>),
                              TG_SLOT(Py_nb_inplace_multiply, binary_slot<s_mul_>),
                              TG_SLOT(Py_nb_inplace_true_divide, binary_slot<s_div_>),
                              TG_SLOT(Py_nb_inplace_floor_divide, binary_slot<s_floor_divide_>),
                              TG_SLOT(Py_nb_inplace_remainder, binary_slot<s_remainder_>),
                              TG_SLOT(Py_nb_inplace_power, power_slot<s_pow_>),
                              TG_SLOT(Py_nb_inplace_and, binary_slot<s_and_>),
                              TG_SLOT(Py_nb_inplace_or, binary_slot<s_or_>),
                              TG_SLOT(Py_nb_inplace_xor, binary_slot<s_xor_>),
                              TG_SLOT(Py_nb_negative, unary_slot<s_neg>),
                              TG_SLOT(Py_nb_positive, tensor_positive),
                              TG_SLOT(Py_nb_absolute, unary_slot<s_abs>),
                              TG_SLOT(Py_nb_invert, unary_slot<s_invert>),
                              TG_SLOT(Py_nb_float, tensor_float),
                              TG_SLOT(Py_nb_int, tensor_int),
                              TG_SLOT(Py_nb_index, tensor_index),
                              TG_SLOT(Py_nb_bool, tensor_bool),
                              TG_SLOT(Py_mp_length, tensor_length),
                              TG_SLOT(Py_mp_subscript, tensor_getitem),
                              TG_SLOT(Py_mp_ass_subscript, tensor_setitem),
                              TG_SLOT(Py_sq_item, tensor_sequence_item),
                              TG_SLOT(Py_bf_getbuffer, getbuffer),
                              TG_SLOT(Py_bf_releasebuffer, releasebuffer),
                              {0, nullptr}};
PyType_Spec tensor_spec = {"tilegrad._core.TensorBase", sizeof(Tensor), 0,
                           Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, tensor_slots};

}  // namespace

PyTypeObject* make_tensor_type() { return reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&tensor_spec)); }

bool set_operator(const char* name, P op) {
  for (int i = 0; i < slot_count; ++i) {
    if (std::strcmp(slot_names[i], name)) continue;
    Py_XSETREF(slot_ops[i], Py_NewRef(op));
    return true;
  }
  return false;
}

}  // namespace tg::py
