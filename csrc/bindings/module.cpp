// The extension module: the three native types, the bound ops, and the switches of the process.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "bindings/convert.h"
#include "bindings/functions.h"
#include "bindings/interop.h"
#include "bindings/record.h"
#include "core/build_info.h"
#include "core/isa.h"
#include "core/probe.h"
#include "kernels/kernel_table.h"
#include "ops/conv.h"

namespace tg::py {
namespace {

namespace pb = pybind11;

// Runs f and turns Error into the Python exception it names.
template <class F> auto guarded(F f) -> decltype(f()) {
  try {
    return f();
  } catch (const PythonError&) { throw pb::error_already_set(); } catch (const Error&) {
    set_python_error();
    throw pb::error_already_set();
  }
}
pb::object own(P o) {
  if (!o) throw pb::error_already_set();
  return pb::reinterpret_steal<pb::object>(o);
}
Tensor* tensor_argument(const char* function, pb::handle h) {
  if (!is_tensor(h.ptr()))
    throw pb::type_error(std::string(function) + ": expected a Tensor, got " + Py_TYPE(h.ptr())->tp_name);
  return as_tensor(h.ptr());
}

void add_types(pb::module_& m) {
  tensor_base = tensor_class = make_tensor_type();
  node_type = make_node_type();
  op_type = make_op_type();
  for (auto [name, type] : {std::pair{"TensorBase", tensor_base}, {"Node", node_type}, {"Op", op_type}}) {
    if (!type) throw pb::error_already_set();
    m.add_object(name, pb::handle(reinterpret_cast<P>(type)));
  }
}

void add_wiring(pb::module_& m) {
  m.def("set_tensor_class", [](pb::type t) { tensor_class = reinterpret_cast<PyTypeObject*>(t.inc_ref().ptr()); });
  m.def(
      "set_dtypes",
      [](const pb::tuple& all) {
        for (int i = 0; i < dtype_count; ++i) Py_XSETREF(callbacks.dtypes[i], pb::object(all[i]).release().ptr());
      },
      "The nine dtype objects in the order of the native enum.");
  m.def("set_operator", [](const std::string& name, pb::handle op) {
    if (!set_operator(name.c_str(), op.ptr())) throw pb::value_error("no operator slot named " + name);
  });
  m.def("set_callback", [](const std::string& name, const pb::object& f) {
    P* slot = name == "getitem"          ? &callbacks.getitem
              : name == "setitem"        ? &callbacks.setitem
              : name == "index_op"       ? &callbacks.index_op
              : name == "fit"            ? &callbacks.fit
              : name == "as_tensor"      ? &callbacks.as_tensor
              : name == "window_gather"  ? &callbacks.window_gather
              : name == "copy_slices"    ? &callbacks.copy_slices
              : name == "on_record"      ? &callbacks.on_record
              : name == "on_call"        ? &callbacks.on_call
              : name == "on_profile"     ? &callbacks.on_profile
              : name == "missing_kernel" ? &callbacks.missing_kernel
              : name == "on_composite"   ? &callbacks.on_composite
                                         : nullptr;
    if (!slot) throw pb::value_error("no callback named " + name);
    Py_XSETREF(*slot, f.is_none() ? nullptr : f.inc_ref().ptr());
  });
}

void add_autograd(pb::module_& m) {
  m.def(
      "set_grad_enabled", [](bool on) { return std::exchange(grad_enabled, on); },
      "Switches recording for this thread; returns what it was.");
  m.def(
      "set_autocast",
      [](const pb::object& cast) {
        P previous = std::exchange(autocast, cast.is_none() ? nullptr : Py_NewRef(cast.ptr()));
        return previous ? pb::reinterpret_steal<pb::object>(previous) : pb::object(pb::none());
      },
      "Sets autocast's conversion for this thread, None switches it off; returns what it was.");
  m.def(
      "get_autocast", [] { return autocast ? pb::reinterpret_borrow<pb::object>(autocast) : pb::object(pb::none()); },
      "Autocast's conversion in this thread, or None.");
  m.def("is_grad_enabled", [] { return grad_enabled; });
  m.def(
      "make_subclass",
      [](pb::type type, pb::handle data, bool requires_grad) {
        pb::object out =
            own(make_tensor(Array(tensor_argument("make_subclass", data)->array), reinterpret_cast<PyTypeObject*>(type.ptr())));
        as_tensor(out.ptr())->requires_grad = requires_grad;
        return out;
      },
      "A tensor of a subclass on the memory of `data`.");
  m.def(
      "alias", [](pb::handle t) { return own(alias_of(tensor_argument("alias", t), true)); },
      "The same tensor and history in a new object.");
  m.def("record_function", [](pb::handle op, pb::handle context, const pb::tuple& inputs, const pb::tuple& outputs) {
    if (record_function(reinterpret_cast<Op*>(op.ptr()), context.ptr(), inputs.ptr(), outputs.ptr()) < 0)
      throw pb::error_already_set();
  });
  m.def(
      "solely_owned_by",
      [](const pb::dict& holder, pb::handle key) {
        P value = PyDict_GetItemWithError(holder.ptr(), key.ptr());  // borrowed
        if (!value) throw pb::key_error("solely_owned_by: no such key");
        const Array& a = tensor_argument("solely_owned_by", value)->array;
        return Py_REFCNT(value) == 1 && a.storage->references.load() == 1 && a.contiguous() && !a.storage->owner;
      },
      "Is the dict the only one who can see the memory of its tensor at `key`?");
  m.def("bump_version", [](pb::handle t) { ops::touch(tensor_argument("bump_version", t)->array); });
  m.def("is_basic_index", [](pb::handle key) { return is_basic_index(key.ptr()); });
  m.def(
      "from_buffer", [](pb::handle o) { return own(guarded([&] { return make_tensor(from_buffer(o.ptr())); })); },
      "A tensor on the memory of a buffer.");
  m.def("to_dlpack", [](pb::handle t, bool versioned) {
    return own(guarded([&] { return to_dlpack(tensor_argument("to_dlpack", t), versioned); }));
  });
  m.def("from_dlpack", [](pb::handle c) { return own(guarded([&] { return make_tensor(from_dlpack(c.ptr())); })); });
}

constexpr const char* conv_algorithms[] = {"auto", "precise", "direct"};  // in the order of ConvAlgorithm

void add_process(pb::module_& m) {
  m.def("get_num_threads", [] { return context().threads; });
  m.def("set_num_threads", [](int n) {
    if (n < 1) throw pb::value_error("set_num_threads: expected at least 1 thread, got " + std::to_string(n));
    if (context().forked && n > 1) {
      if (PyErr_WarnEx(PyExc_RuntimeWarning,
                       "set_num_threads: this process was forked from one that ran kernels; it stays on 1 thread (start "
                       "workers with 'spawn' instead)",
                       1) < 0)
        throw pb::error_already_set();
      n = 1;
    }
    context().threads = n;
  });
  m.def("get_conv_algorithm", [] { return std::string(conv_algorithms[static_cast<int>(context().conv_algorithm)]); });
  m.def("set_conv_algorithm", [](const std::string& name) {
    for (int i = 0; i < 3; ++i) {
      if (name == conv_algorithms[i]) {
        context().conv_algorithm = static_cast<ConvAlgorithm>(i);
        return;
      }
    }
    throw pb::value_error("set_conv_algorithm: expected 'auto', 'precise' or 'direct', got '" + name + "'");
  });
  m.def(
      "conv2d_algorithm",
      [](pb::handle input_size, pb::handle weight_size, pb::handle stride, pb::handle padding, pb::handle dilation,
         int64_t groups, const std::string& pass, pb::handle dtype) {
        return guarded([&] {
          auto dims = [](pb::handle h) { return Convert<Dims>::from(h.ptr()); };
          return ops::conv2d_algorithm(dims(input_size), dims(weight_size), dims(stride), dims(padding), dims(dilation), groups,
                                       pass, dtype.is_none() ? DType::f32 : Convert<DType>::from(dtype.ptr()));
        });
      },
      pb::arg("input_size"), pb::arg("weight_size"), pb::arg("stride") = 1, pb::arg("padding") = 0, pb::arg("dilation") = 1,
      pb::arg("groups") = 1, pb::arg("pass_") = "forward", pb::arg("dtype") = pb::none());
  m.def("available_threads", &available_threads);
  m.def("thread_limits", [] {
    const ThreadLimits l = thread_limits();
    return pb::dict(pb::arg("affinity") = l.affinity, pb::arg("quota") = l.quota);
  });
  m.def("isa_name", [] { return std::string(context().cpu->name); });
  m.def(
      "use_kernel_table",
      [](uintptr_t address) {
        const KernelTable* const before = context().cpu;
        context().cpu = reinterpret_cast<const KernelTable*>(address);
        return reinterpret_cast<uintptr_t>(before);
      },
      "Runs all kernels from the KernelTable at this address from now on and returns that of the table before: for tests.");
  m.def("isa_list", [] {
    pb::list out;
    for (int i = 0; i < isa_count; ++i) {
      const IsaInfo& info = isa_list()[i];
      out.append(pb::dict(pb::arg("name") = info.name, pb::arg("compiled") = info.compiled,
                          pb::arg("supported") = info.supported,
                          pb::arg("selected") = std::string(info.name) == context().cpu->name));
    }
    return out;
  });
  m.def(
      "build_info",
      [] {
        return pb::dict(pb::arg("version") = build_info::version, pb::arg("revision") = build_info::revision,
                        pb::arg("compiler") = build_info::compiler, pb::arg("build_type") = build_info::build_type,
                        pb::arg("sanitizers") = build_info::sanitizers, pb::arg("cuda") = build_info::cuda);
      },
      "How this library was built.");
  m.def(
      "fma_peak_gflops",
      [](int threads, double milliseconds, const std::string& dtype) {
        return guarded([&] {
          const DType types[] = {DType::f32, DType::f64, DType::bf16, DType::i8};
          for (DType type : types)
            if (dtype == name_of(type)) {
              ReleaseGil gil(true);
              return peak_gflops(type, threads, milliseconds);
            }
          fail(ErrorKind::value, "fma_peak_gflops: expected float32, float64, bfloat16 or int8, got '{}'", dtype);
        });
      },
      pb::arg("threads"), pb::arg("milliseconds"), pb::arg("dtype") = "float32",
      "GFLOP/s of pure multiply-add on this machine, the limit that benchmarks divide by; 0 without an instruction for dtype.");
  m.def(
      "memory_gigabytes_per_second",
      [](const pb::object& buffer, bool copies, int threads, double milliseconds) {
        tensor_argument("memory_gigabytes_per_second", buffer);
        return guarded([&] {
          const Array& array = array_of(buffer.ptr());
          check(array.dtype == DType::f32 && array.contiguous(), ErrorKind::value,
                "memory_gigabytes_per_second: expected a contiguous float32 tensor");
          ReleaseGil gil(true);
          return memory_gigabytes_per_second(array.as<float>(), array.numel(), copies, threads, milliseconds);
        });
      },
      pb::arg("buffer"), pb::arg("copies"), pb::arg("threads"), pb::arg("milliseconds"),
      "GB/s of reading a tensor again and again, or of copying its first half over its second.");
  m.def("memory_stats", [] {
    const MemoryStats s = memory_stats();
    return pb::dict(pb::arg("live_bytes") = s.live_bytes, pb::arg("peak_bytes") = s.peak_bytes,
                    pb::arg("cached_bytes") = s.cached_bytes, pb::arg("allocations") = s.allocations,
                    pb::arg("reused") = s.reused, pb::arg("limit_bytes") = s.limit_bytes);
  });
  m.def("reset_peak_memory", &reset_peak_memory);
  m.def("trim_memory", &trim_memory);
  m.def("set_memory_limit", &set_memory_limit, pb::arg("bytes"));
}

}  // namespace
}  // namespace tg::py

PYBIND11_MODULE(_core, m) {
  using namespace tg::py;
  m.doc() = "The native core of tilegrad: tensors, graph nodes, ops, and the kernels of this machine.";
  m.attr("__version__") = tg::build_info::version;
  guarded([] { return &tg::context(); });  // a bad TILEGRAD_ISA or TILEGRAD_NUM_THREADS is an error at import
  add_types(m);
  add_wiring(m);
  add_autograd(m);
  add_process(m);
  bind_functions();
  add_bound(m.ptr());
}
