// From Python arguments to C++ parameters and back, and bind<&function>(): a C++ op as a Python function called without
// building tuples or dicts. The argument's name and what was given stand in every error.
#pragma once
#include <string>
#include <tuple>
#include <type_traits>
#include <vector>

#include "bindings/python.h"
#include "ops/view.h"

namespace tg::py {

// Thrown when Python already has an exception set.
struct PythonError {};

[[noreturn]] inline void wrong_type(const char* expected, P got) {
  throw Error(ErrorKind::type, format("must be {}, not {}", expected, Py_TYPE(got)->tp_name));
}

template <class T> struct Convert;  // static T from(P); static constexpr const char* name

template <> struct Convert<Array> {
  static constexpr const char* name = "Tensor";
  static Array& from(P o) {
    if (!is_tensor(o)) wrong_type("Tensor", o);
    return array_of(o);
  }
};
template <> struct Convert<bool> {
  static constexpr const char* name = "bool";
  static bool from(P o) {
    const int value = PyBool_Check(o) || PyLong_Check(o) ? PyObject_IsTrue(o) : -1;
    if (value < 0) wrong_type("bool", o);
    return value;
  }
};
template <> struct Convert<int64_t> {
  static constexpr const char* name = "int";
  static int64_t from(P o) {
    if (PyFloat_Check(o) || !PyIndex_Check(o)) wrong_type("int", o);
    P index = PyNumber_Index(o);
    if (!index) throw PythonError{};
    const long long value = PyLong_AsLongLong(index);
    Py_DECREF(index);
    if (value == -1 && PyErr_Occurred()) throw PythonError{};
    return value;
  }
};
template <> struct Convert<double> {
  static constexpr const char* name = "float";
  static double from(P o) {
    if (PyFloat_Check(o)) return PyFloat_AS_DOUBLE(o);
    if (!PyNumber_Check(o) || PyUnicode_Check(o)) wrong_type("float", o);
    const double value = PyFloat_AsDouble(o);
    if (value == -1 && PyErr_Occurred()) throw PythonError{};
    return value;
  }
};
template <> struct Convert<Activation> {
  static constexpr const char* name = "str";
  static Activation from(P o) {
    static constexpr const char* names[] = {"none", "relu", "gelu", "gelu_tanh", "tanh", "sigmoid"};
    if (!PyUnicode_Check(o)) wrong_type("str", o);
    for (int i = 0; i < 6; ++i)
      if (PyUnicode_CompareWithASCIIString(o, names[i]) == 0) return static_cast<Activation>(i);
    throw Error(ErrorKind::value,
                format("must be one of none, relu, gelu, gelu_tanh, tanh, sigmoid, not '{}'", PyUnicode_AsUTF8(o)));
  }
};
template <> struct Convert<DType> {
  static constexpr const char* name = "dtype";
  static DType from(P o) {
    for (int i = 0; i < dtype_count; ++i)
      if (callbacks.dtypes[i] == o) return static_cast<DType>(i);
    wrong_type("a tilegrad dtype such as tilegrad.float32", o);
  }
};
template <> struct Convert<ops::Operand> {
  static constexpr const char* name = "Tensor | float | int | bool";
  static ops::Operand from(P o) {
    using ops::Operand;
    if (is_tensor(o)) return {Operand::tensor, &array_of(o), {}};
    if (PyFloat_Check(o)) {
      const double v = PyFloat_AS_DOUBLE(o);
      const bool fits = v >= -9.2e18 && v <= 9.2e18;
      return {Operand::real, nullptr, {v, fits ? static_cast<int64_t>(v) : 0}};
    }
    if (PyBool_Check(o)) return {Operand::boolean, nullptr, {double(o == Py_True), o == Py_True}};
    if (PyLong_Check(o)) {
      int overflow = 0;
      const long long v = PyLong_AsLongLongAndOverflow(o, &overflow);
      if (overflow) throw Error(ErrorKind::runtime, "is too large for int64");
      return {Operand::integer, nullptr, {static_cast<double>(v), v}};
    }
    wrong_type("Tensor or a number", o);
  }
};
template <> struct Convert<Dims> {
  static constexpr const char* name = "int | Sequence[int]";
  static Dims from(P o) {
    Dims dims;
    if (PyIndex_Check(o)) {
      dims.push(Convert<int64_t>::from(o));
      return dims;
    }
    if (!PyTuple_Check(o) && !PyList_Check(o)) wrong_type("int or a tuple of ints", o);
    const Py_ssize_t n = PySequence_Fast_GET_SIZE(o);
    for (Py_ssize_t i = 0; i < n; ++i) dims.push(Convert<int64_t>::from(PySequence_Fast_GET_ITEM(o, i)));
    return dims;
  }
};
template <> struct Convert<std::vector<Array>> {
  static constexpr const char* name = "Sequence[Tensor]";
  static std::vector<Array> from(P o) {
    if (!PyTuple_Check(o) && !PyList_Check(o)) wrong_type("a tuple or list of Tensors", o);
    std::vector<Array> out;
    const Py_ssize_t n = PySequence_Fast_GET_SIZE(o);
    for (Py_ssize_t i = 0; i < n; ++i) out.push_back(Convert<Array>::from(PySequence_Fast_GET_ITEM(o, i)));
    return out;
  }
};
template <> struct Convert<ops::Window> {  // (base_shape, base_strides, shape, strides, offset)
  static constexpr const char* name = "tuple";
  static ops::Window from(P o) {
    if (!PyTuple_Check(o) || PyTuple_GET_SIZE(o) != 5) wrong_type("a window tuple", o);
    auto dims = [o](int i) { return Convert<Dims>::from(PyTuple_GET_ITEM(o, i)); };
    return {dims(0), dims(1), dims(2), dims(3), Convert<int64_t>::from(PyTuple_GET_ITEM(o, 4))};
  }
};
bool is_basic_index(P key);
template <> struct Convert<std::vector<ops::IndexEntry>> {
  static constexpr const char* name = "Any";
  static std::vector<ops::IndexEntry> from(P key);
};
template <class T> struct Convert<std::optional<T>> {
  static std::optional<T> from(P o) {
    if (o == Py_None) return std::nullopt;
    return Convert<T>::from(o);
  }
};

// What an argument is, for the type stub.
template <class T> struct TypeName {
  static std::string text() { return Convert<T>::name; }
};
template <class T> struct TypeName<std::optional<T>> {
  static std::string text() { return TypeName<T>::text() + " | None"; }
};

inline P to_python(Array&& a) { return make_tensor(std::move(a)); }
inline P to_python(bool b) { return PyBool_FromLong(b); }
inline P to_python(int64_t v) { return PyLong_FromLongLong(v); }
inline P to_python(const Dims& d) { return dims_tuple(d); }
template <class... Arrays> P to_python(std::tuple<Arrays...>&& results) {  // of Array: several results
  P out = PyTuple_New(sizeof...(Arrays));
  Py_ssize_t i = 0;
  auto put = [&](Array& a) {
    P item = out ? make_tensor(std::move(a)) : nullptr;
    if (item) PyTuple_SET_ITEM(out, i++, item);
    else Py_CLEAR(out);
  };
  std::apply([&](auto&... a) { (put(a), ...); }, results);
  return out;
}
inline P to_python(std::vector<Array>&& arrays) {
  P out = PyTuple_New(static_cast<Py_ssize_t>(arrays.size()));
  for (size_t i = 0; out && i < arrays.size(); ++i) {
    P item = make_tensor(std::move(arrays[i]));
    if (!item) Py_CLEAR(out);
    else PyTuple_SET_ITEM(out, static_cast<Py_ssize_t>(i), item);
  }
  return out;
}
template <class R> constexpr const char* result_name() {
  if constexpr (std::is_void_v<R>) return "None";
  else if constexpr (std::is_same_v<R, Array>) return "Tensor";
  else if constexpr (std::is_same_v<R, bool>) return "bool";
  else if constexpr (std::is_same_v<R, std::tuple<Array, Array>>) return "tuple[Tensor, Tensor]";
  else if constexpr (std::is_same_v<R, std::vector<Array>>) return "tuple[Tensor, ...]";
  else if constexpr (std::is_same_v<R, std::tuple<Array, Array, Array>>) return "tuple[Tensor, Tensor, Tensor]";
  else if constexpr (std::is_same_v<R, std::tuple<Array, Array, Array, Array>>) return "tuple[Tensor, Tensor, Tensor, Tensor]";
  else return "Any";
}

// Lets other Python threads run, when the work is worth the hand-over.
class ReleaseGil {
 public:
  explicit ReleaseGil(bool release) : state_(release ? PyEval_SaveThread() : nullptr) {}
  ~ReleaseGil() {
    if (state_) PyEval_RestoreThread(state_);
  }

 private:
  PyThreadState* state_;
};

template <class T> int64_t work_of(const T& value) {
  if constexpr (std::is_same_v<T, Array>) return value.numel();
  else if constexpr (std::is_same_v<T, ops::Operand>) return value.array ? value.array->numel() : 0;
  else if constexpr (std::is_same_v<T, std::vector<Array>>) {
    int64_t n = 0;
    for (const Array& a : value) n += a.numel();
    return n;
  } else return 0;
}

// One bound function: names for errors, signatures for `inspect` and the type stub.
struct Bound {
  std::string name;
  std::vector<std::string> parameters;  // with "=default" cut off
  std::string document;                 // "name(x, dim=-1)\n--\n\n..."
  std::string signature;                // "(x: Tensor, dim: int = -1) -> Tensor"
  PyMethodDef method{};
};
Bound& new_bound(const char* name, const char* parameters, const char* doc, const std::vector<std::string>& types,
                 const char* result);
void add_bound(P module);

template <auto function, int64_t gil_threshold> struct Caller;
template <class R, class... A, R (*function)(A...), int64_t gil_threshold> struct Caller<function, gil_threshold> {
  static inline Bound* bound = nullptr;

  template <class T> static decltype(auto) argument(P const* args, size_t i) {
    try {
      return Convert<std::remove_cvref_t<T>>::from(args[i]);
    } catch (const Error& e) { throw Error(e.kind(), bound->name + "(): argument '" + bound->parameters[i] + "' " + e.what()); }
  }
  template <size_t... I> static P invoke(P const* args, std::index_sequence<I...>) {
    std::tuple<decltype(argument<A>(args, I))...> values(argument<A>(args, I)...);
    const int64_t work = (int64_t{0} + ... + work_of<std::remove_cvref_t<A>>(std::get<I>(values)));
    if constexpr (std::is_void_v<R>) {
      {
        ReleaseGil gil(work > gil_threshold);
        function(std::get<I>(values)...);
      }
      Py_RETURN_NONE;
    } else {
      R result = [&]() -> R {
        ReleaseGil gil(work > gil_threshold);
        return function(std::get<I>(values)...);
      }();
      return to_python(std::move(result));
    }
  }
  static P call(P, P const* args, Py_ssize_t n) {
    if (n != static_cast<Py_ssize_t>(sizeof...(A)))
      return PyErr_Format(PyExc_TypeError, "%s() takes %zd arguments, %zd given", bound->name.c_str(), sizeof...(A), n);
    try {
      return invoke(args, std::index_sequence_for<A...>{});
    } catch (...) {
      set_python_error();
      return nullptr;
    }
  }
  static void bind(const char* name, const char* parameters, const char* doc) {
    bound = &new_bound(name, parameters, doc, {TypeName<std::remove_cvref_t<A>>::text()...}, result_name<R>());
    bound->method.ml_meth = reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&call));
    bound->method.ml_flags = METH_FASTCALL;
  }
};

// bind<&ops::softmax>("softmax", "x, dim", "Softmax over one dim.")
template <auto function, int64_t gil_threshold = (1 << 17)> void bind(const char* name, const char* parameters,
                                                                      const char* doc) {
  Caller<function, gil_threshold>::bind(name, parameters, doc);
}

}  // namespace tg::py
