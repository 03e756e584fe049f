#include "bindings/interop.h"

#include "bindings/convert.h"
#include "core/dlpack.h"

namespace tg::py {
namespace {

// Letters of the struct module; null: NumPy has no such type.
constexpr const char* format_of(DType d) {
  constexpr const char* formats[dtype_count] = {"f", "d", nullptr, "e", "q", "i", "b", "B", "?"};
  return formats[static_cast<int>(d)];
}

std::optional<DType> dtype_from_format(const char* format, Py_ssize_t item_size) {
  if (!format) return DType::u8;
  if (*format == '@' || *format == '=' || *format == '<' || *format == '|') ++format;
  if (format[0] == 0 || format[1] != 0) return std::nullopt;
  switch (*format) {
    case 'f': return DType::f32;
    case 'd': return DType::f64;
    case 'e': return DType::f16;
    case '?': return DType::b8;
    case 'b': return DType::i8;
    case 'B': return DType::u8;
    case 'i':
    case 'l':
    case 'q':
      if (item_size == 8) return DType::i64;
      if (item_size == 4) return DType::i32;
      return std::nullopt;
    default: return std::nullopt;
  }
}

// Borrowed memory is given back under the GIL; when the interpreter is going down it is left alone.
bool interpreter_is_alive() {
#if PY_VERSION_HEX >= 0x030d0000
  return Py_IsInitialized() && !Py_IsFinalizing();
#else
  return Py_IsInitialized() && !_Py_IsFinalizing();
#endif
}
void give_back_buffer(Storage* s) {
  if (interpreter_is_alive()) {
    const PyGILState_STATE state = PyGILState_Ensure();
    auto* view = static_cast<Py_buffer*>(s->owner);
    PyBuffer_Release(view);
    delete view;
    PyGILState_Release(state);
  }
  delete s;
}

}  // namespace

// --- buffer protocol: what memoryview(t) and np.asarray(t) see
namespace {
struct Export {
  Array array;
  Py_ssize_t shape[max_dims], strides[max_dims];
};
}  // namespace

int getbuffer(P self, Py_buffer* view, int flags) {
  Tensor* t = as_tensor(self);
  const Array& a = t->array;
  view->obj = nullptr;
  auto refuse = [](const std::string& text) {
    PyErr_SetString(PyExc_BufferError, text.c_str());
    return -1;
  };
  if (needs_grad(t)) return refuse("a tensor that requires grad cannot share its memory; use tensor.detach() first");
  const char* format = format_of(a.dtype);
  if (!format) return refuse("bfloat16 has no NumPy element type; use tensor.float() first");
  if ((flags & PyBUF_WRITABLE) == PyBUF_WRITABLE && a.storage->read_only) return refuse("the tensor shares read-only memory");
  const bool strided = (flags & PyBUF_STRIDES) == PyBUF_STRIDES;
  if ((!strided || (flags & PyBUF_C_CONTIGUOUS) == PyBUF_C_CONTIGUOUS) && !a.contiguous())
    return refuse("the tensor is not contiguous; use tensor.contiguous() first");
  auto* e = new Export{a, {}, {}};
  for (int i = 0; i < a.ndim(); ++i) {
    e->shape[i] = a.shape[i];
    e->strides[i] = a.strides[i] * size_of(a.dtype);
  }
  view->buf = a.data();
  view->obj = Py_NewRef(self);
  view->len = static_cast<Py_ssize_t>(a.bytes());
  view->itemsize = size_of(a.dtype);
  view->readonly = a.storage->read_only;
  view->ndim = a.ndim();
  view->format = flags & PyBUF_FORMAT ? const_cast<char*>(format) : nullptr;
  view->shape = (flags & PyBUF_ND) == PyBUF_ND ? e->shape : nullptr;
  view->strides = strided ? e->strides : nullptr;
  view->suboffsets = nullptr;
  view->internal = e;
  if (!view->readonly) a.storage->exposed = true;
  return 0;
}

void releasebuffer(P, Py_buffer* view) { delete static_cast<Export*>(view->internal); }

Array from_buffer(P object) {
  auto* view = new Py_buffer{};
  if (PyObject_GetBuffer(object, view, PyBUF_STRIDES | PyBUF_FORMAT) < 0) {
    delete view;
    throw PythonError{};
  }
  struct Release {
    Py_buffer* view;
    ~Release() {
      if (!view) return;
      PyBuffer_Release(view);
      delete view;
    }
  } guard{view};
  const std::optional<DType> dtype = dtype_from_format(view->format, view->itemsize);
  check(dtype.has_value(), ErrorKind::type,
        "elements of format '{}' cannot be shared; supported are float64, float32, float16, int64, int32, int8, uint8 and bool "
        "in native byte order; "
        "convert with .astype() first",
        view->format ? view->format : "");
  check(view->ndim <= max_dims, ErrorKind::value, "an array of {} dims is too deep: tilegrad tensors have at most {}",
        view->ndim, max_dims);
  Array a;
  a.dtype = *dtype;
  const int64_t item = size_of(*dtype);
  int64_t reach = 1;
  for (int i = 0; i < view->ndim; ++i) {
    const int64_t stride = view->strides[i];
    check(stride >= 0 || view->shape[i] <= 1, ErrorKind::value,
          "an array with a negative stride cannot be shared; pass array.copy()");
    check(stride % item == 0 || view->shape[i] <= 1, ErrorKind::value,
          "a stride of {} bytes is no multiple of the element size {}; pass array.copy()", stride, item);
    a.shape.push(view->shape[i]);
    a.strides.push(stride < 0 ? 0 : stride / item);
    reach = view->shape[i] == 0 ? 0 : reach + (view->shape[i] - 1) * a.strides[i];
  }
  check(reinterpret_cast<uintptr_t>(view->buf) % static_cast<uintptr_t>(item) == 0, ErrorKind::value,
        "the array's memory is not aligned to its element size {}; pass array.copy()", item);
  a.storage = borrow(view->buf, static_cast<size_t>(reach < 0 ? 0 : reach) * item, view, give_back_buffer);
  a.storage->read_only = view->readonly;
  guard.view = nullptr;
  return a;
}

// --- DLPack
namespace {

constexpr DLDataType dlpack_dtypes[dtype_count] = {{2, 32, 1}, {2, 64, 1}, {4, 16, 1}, {2, 16, 1}, {0, 64, 1},
                                                   {0, 32, 1}, {0, 8, 1},  {1, 8, 1},  {6, 8, 1}};

template <class Managed> struct Exported {
  Managed managed;
  Array array;
};
template <class Managed> Managed* exported(const Array& a) {
  auto* e = new Exported<Managed>{{}, a};
  DLTensor& d = e->managed.dl_tensor;
  d.data = e->array.data();
  d.device = {1, 0};
  d.ndim = a.ndim();
  d.dtype = dlpack_dtypes[static_cast<int>(a.dtype)];
  d.shape = e->array.shape.at;
  d.strides = e->array.strides.at;
  d.byte_offset = 0;
  e->managed.manager_ctx = e;
  e->managed.deleter = [](Managed* m) { delete static_cast<Exported<Managed>*>(m->manager_ctx); };
  return &e->managed;
}
template <class Managed> void drop_capsule(P capsule, const char* name) {
  if (!PyCapsule_IsValid(capsule, name)) return;  // renamed: somebody took it
  auto* m = static_cast<Managed*>(PyCapsule_GetPointer(capsule, name));
  if (m && m->deleter) m->deleter(m);
}
template <class Managed> void give_back_dlpack(Storage* s) {
  if (interpreter_is_alive()) {  // a deleter may belong to Python
    const PyGILState_STATE state = PyGILState_Ensure();
    auto* m = static_cast<Managed*>(s->owner);
    if (m->deleter) m->deleter(m);
    PyGILState_Release(state);
  }
  delete s;
}
template <class Managed> Array imported(Managed* m) {
  const DLTensor& d = m->dl_tensor;
  check(d.device.device_type == 1, ErrorKind::buffer, "from_dlpack: only CPU memory can be taken, got DLPack device type {}",
        int64_t{d.device.device_type});
  check(d.ndim <= max_dims, ErrorKind::buffer, "from_dlpack: {} dims are too many, tilegrad tensors have at most {}",
        int64_t{d.ndim}, max_dims);
  int found = -1;
  for (int i = 0; i < dtype_count; ++i)
    if (dlpack_dtypes[i].code == d.dtype.code && dlpack_dtypes[i].bits == d.dtype.bits && d.dtype.lanes == 1) found = i;
  check(found >= 0, ErrorKind::buffer, "from_dlpack: element type (code {}, {} bits, {} lanes) is not supported",
        int64_t{d.dtype.code}, int64_t{d.dtype.bits}, int64_t{d.dtype.lanes});
  Array a;
  a.dtype = static_cast<DType>(found);
  for (int i = 0; i < d.ndim; ++i) a.shape.push(d.shape[i]);
  a.strides = d.strides ? Dims(d.ndim, d.strides) : contiguous_strides(a.shape);
  int64_t reach = 1;
  for (int i = 0; i < d.ndim; ++i) {
    check(a.strides[i] >= 0, ErrorKind::buffer, "from_dlpack: negative stride {}; export a copy", a.strides[i]);
    reach += a.shape[i] ? (a.shape[i] - 1) * a.strides[i] : 0;
  }
  a.storage = borrow(static_cast<char*>(d.data) + d.byte_offset, static_cast<size_t>(reach) * size_of(a.dtype), m,
                     give_back_dlpack<Managed>);
  return a;
}

}  // namespace

P to_dlpack(Tensor* t, bool versioned) {
  const Array& a = t->array;
  check(!needs_grad(t), ErrorKind::buffer, "a tensor that requires grad cannot share its memory; use tensor.detach() first");
  check(versioned || !a.storage->read_only, ErrorKind::buffer,
        "the tensor shares read-only memory, which only DLPack 1.x can express");
  if (!a.storage->read_only) a.storage->exposed = true;
  if (!versioned)
    return PyCapsule_New(exported<DLManagedTensor>(a), "dltensor", [](P c) { drop_capsule<DLManagedTensor>(c, "dltensor"); });
  auto* m = exported<DLManagedTensorVersioned>(a);
  m->version = {1, 0};
  m->flags = a.storage->read_only ? dlpack_read_only : 0;
  return PyCapsule_New(m, "dltensor_versioned", [](P c) { drop_capsule<DLManagedTensorVersioned>(c, "dltensor_versioned"); });
}

Array from_dlpack(P capsule) {
  if (PyCapsule_IsValid(capsule, "dltensor_versioned")) {
    auto* m = static_cast<DLManagedTensorVersioned*>(PyCapsule_GetPointer(capsule, "dltensor_versioned"));
    check(m->version.major == 1, ErrorKind::buffer, "from_dlpack: DLPack version {} is not supported",
          int64_t{m->version.major});
    Array a = imported(m);
    a.storage->read_only = m->flags & dlpack_read_only;
    PyCapsule_SetName(capsule, "used_dltensor_versioned");
    return a;
  }
  check(PyCapsule_IsValid(capsule, "dltensor"), ErrorKind::type, "from_dlpack: expected an unused DLPack capsule, got {}",
        Py_TYPE(capsule)->tp_name);
  Array a = imported(static_cast<DLManagedTensor*>(PyCapsule_GetPointer(capsule, "dltensor")));
  PyCapsule_SetName(capsule, "used_dltensor");
  return a;
}

}  // namespace tg::py
