#include "bindings/convert.h"

#include <deque>
#include <new>

namespace tg::py {

void set_python_error() {
  try {
    throw;
  } catch (const PythonError&) {
  } catch (const Error& e) {
    P type = PyExc_RuntimeError;
    switch (e.kind()) {
      case ErrorKind::value: type = PyExc_ValueError; break;
      case ErrorKind::type: type = PyExc_TypeError; break;
      case ErrorKind::index: type = PyExc_IndexError; break;
      case ErrorKind::memory: type = PyExc_MemoryError; break;
      case ErrorKind::buffer: type = PyExc_BufferError; break;
      case ErrorKind::zero_division: type = PyExc_ZeroDivisionError; break;
      case ErrorKind::not_implemented:
        type = callbacks.missing_kernel ? callbacks.missing_kernel : PyExc_NotImplementedError;
        break;
      case ErrorKind::runtime: break;
    }
    PyErr_SetString(type, e.what());
  } catch (const std::bad_alloc&) { PyErr_NoMemory(); } catch (const std::exception& e) {
    PyErr_SetString(PyExc_RuntimeError, e.what());
  }
}

P dims_tuple(const Dims& dims) {
  P t = PyTuple_New(dims.size);
  for (int i = 0; t && i < dims.size; ++i) PyTuple_SET_ITEM(t, i, PyLong_FromLongLong(dims[i]));
  return t;
}

// --- basic indexing: integers, slices, None and ... ; everything else (tensors, lists, bool masks) is advanced
namespace {
bool is_basic_entry(P e) {
  if (e == Py_None || e == Py_Ellipsis || PySlice_Check(e)) return true;
  if (PyBool_Check(e) || is_tensor(e)) return false;
  return PyLong_Check(e) || (PyIndex_Check(e) && !PyObject_HasAttrString(e, "__array__"));
}
ops::IndexEntry entry_from(P e) {
  using ops::IndexEntry;
  if (e == Py_None) return {IndexEntry::new_axis};
  if (e == Py_Ellipsis) return {IndexEntry::ellipsis};
  IndexEntry entry{IndexEntry::slice};
  if (PySlice_Check(e)) {
    auto* s = reinterpret_cast<PySliceObject*>(e);
    if ((entry.has_start = s->start != Py_None)) entry.start = Convert<int64_t>::from(s->start);
    if ((entry.has_stop = s->stop != Py_None)) entry.stop = Convert<int64_t>::from(s->stop);
    if (s->step != Py_None) entry.step = Convert<int64_t>::from(s->step);
    check(entry.step > 0, ErrorKind::value, "slice step must be positive, got {}; use flip() to reverse a dim", entry.step);
    return entry;
  }
  entry.kind = IndexEntry::select;
  entry.start = Convert<int64_t>::from(e);
  return entry;
}
}  // namespace

bool is_basic_index(P key) {
  if (!PyTuple_Check(key)) return is_basic_entry(key);
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(key); ++i)
    if (!is_basic_entry(PyTuple_GET_ITEM(key, i))) return false;
  return true;
}

std::vector<ops::IndexEntry> Convert<std::vector<ops::IndexEntry>>::from(P key) {
  std::vector<ops::IndexEntry> entries;
  int ellipses = 0;
  const bool many = PyTuple_Check(key);
  const Py_ssize_t n = many ? PyTuple_GET_SIZE(key) : 1;
  for (Py_ssize_t i = 0; i < n; ++i) {
    entries.push_back(entry_from(many ? PyTuple_GET_ITEM(key, i) : key));
    ellipses += entries.back().kind == ops::IndexEntry::ellipsis;
  }
  check(ellipses <= 1, ErrorKind::index, "an index can have one ellipsis (...), got {}", ellipses);
  return entries;
}

// --- bound functions
namespace {
std::deque<Bound>& all_bound() {
  static auto* list = new std::deque<Bound>;  // PyMethodDefs must live as long as the interpreter
  return *list;
}
}  // namespace

Bound& new_bound(const char* name, const char* parameters, const char* doc, const std::vector<std::string>& types,
                 const char* result) {
  Bound& b = all_bound().emplace_back();
  b.name = name;
  std::string text = parameters, typed = "(";
  size_t start = 0;
  for (size_t i = 0; i < types.size(); ++i) {
    size_t end = text.find(", ", start);
    const std::string parameter = text.substr(start, end - start);
    start = end == std::string::npos ? text.size() : end + 2;
    const size_t equals = parameter.find('=');
    b.parameters.push_back(parameter.substr(0, equals));
    typed += (i ? ", " : "") + b.parameters.back() + ": " + types[i];
    if (equals != std::string::npos) typed += " = " + parameter.substr(equals + 1);
  }
  b.signature = typed + ") -> " + result;
  b.document = b.name + "(" + text + ")\n--\n\n" + doc;
  b.method.ml_name = b.name.c_str();
  b.method.ml_doc = b.document.c_str();
  return b;
}

void add_bound(P module) {
  P signatures = PyDict_New();
  P module_name = PyModule_GetNameObject(module);
  for (Bound& b : all_bound()) {
    P f = PyCFunction_NewEx(&b.method, module, module_name);
    PyModule_AddObject(module, b.name.c_str(), f);
    P text = PyUnicode_FromString(b.signature.c_str());
    PyDict_SetItemString(signatures, b.name.c_str(), text);
    Py_DECREF(text);
  }
  Py_XDECREF(module_name);
  PyModule_AddObject(module, "__signatures__", signatures);
}

}  // namespace tg::py
