// The three hand-written Python types (see docs on the engine for why): Tensor holds its Array inline, a Node is one step of
// the recorded graph with its edges and saved values in one allocation, an Op calls a kernel and records a Node.
#pragma once
#include <Python.h>

#include "core/array.h"
#include "ops/ops.h"

namespace tg::py {

using P = PyObject*;
struct Node;
struct Op;

struct Tensor {
  PyObject_HEAD Array array;
  Node* node;    // what computed it; null for a leaf. Of a view: call node_of(), which follows in-place changes
  Tensor* base;  // the tensor whose storage this is a view of; null if it is no view
  P grad, hooks, weakrefs;
  uint32_t view_version;  // the storage's version at which `node` was right (views only)
  uint8_t output;         // which of the node's outputs
  bool requires_grad;     // also true for every result with a node; call needs_grad() for views
};

struct OutputMeta {
  DType dtype;
  Dims shape;
};

// Layout of items: n_edges edges (a Node, a leaf Tensor or null), then n_saved values: the arguments in order and an alias of
// each output, null where no rule asks for it. Behind the items: a version per saved value, the output index per edge, the
// shape and dtype of every output.
struct Node {
  PyObject_VAR_HEAD Op* op;
  P hooks;  // dict of functions run on the incoming gradient, or null
  P trace;  // where the op was called, in anomaly mode
  uint64_t seq;
  int32_t n_edges, n_saved;
  uint8_t n_outputs;
  bool freed, has_slots;  // has_slots: an edge leads to a node with several outputs
  P items[1];

  P* edges() { return items; }
  P* saved() { return items + n_edges; }
  uint32_t* versions() { return reinterpret_cast<uint32_t*>(items + n_edges + n_saved); }
  uint8_t* slots() { return reinterpret_cast<uint8_t*>(versions() + n_saved); }
  OutputMeta* outputs() {
    const auto end = reinterpret_cast<uintptr_t>(slots() + n_edges);
    return reinterpret_cast<OutputMeta*>((end + 7) & ~uintptr_t{7});
  }
};

inline constexpr int max_params = 16;
// What a gradient rule may ask for, by number: below 64 a saved argument or output, then these.
enum Pick : int { pick_shape = 100, pick_dy = 200, pick_needs = 300, pick_all_dy = 400 };

struct Op {
  PyObject_HEAD vectorcallfunc vectorcall;
  P name, kernel, params, defaults, rules, composite, in_place_of, doc;
  int n_params, n_rules;
  int autocast;  // this many leading arguments are converted under autocast: to its dtype if positive, to float32 if negative
  bool joint, is_view, is_in_place, takes_list, saves_shapes;
  uint32_t differentiable;     // parameters with a rule
  uint32_t masks[max_params];  // per rule: the saved values it asks for
  int16_t picks[max_params][max_params + 4];
  int8_t n_picks[max_params];
};

extern PyTypeObject *tensor_base, *tensor_class, *node_type, *op_type;
extern thread_local bool grad_enabled;
extern thread_local P autocast;  // autocast's conversion (tensor, to float32?) -> tensor, or null where it is off

// Python objects the native side calls back; set once by the package.
struct Callbacks {
  P getitem = nullptr, setitem = nullptr;            // advanced indexing
  P index_op = nullptr;                              // the op of basic indexing
  P fit = nullptr;                                   // differentiable un-broadcast
  P as_tensor = nullptr;                             // operands such as NumPy arrays
  P window_gather = nullptr, copy_slices = nullptr;  // ops of in-place changes through views
  P on_record = nullptr, on_call = nullptr;          // anomaly mode: after recording a node, after every kernel
  P on_profile = nullptr;                            // an open profile: after every kernel, with the time it took
  P missing_kernel = nullptr;                        // the exception type
  P on_composite = nullptr;                          // told when a composite stands in for a missing kernel
  P dtypes[dtype_count] = {};
};
extern Callbacks callbacks;

inline bool is_tensor(P o) { return Py_TYPE(o) == tensor_class || PyObject_TypeCheck(o, tensor_base); }
inline bool is_node(P o) { return Py_TYPE(o) == node_type; }
inline Tensor* as_tensor(P o) { return reinterpret_cast<Tensor*>(o); }
inline Array& array_of(P o) { return as_tensor(o)->array; }

P make_tensor(Array&& a);  // a new leaf of the public Tensor class
P make_tensor(Array&& a, PyTypeObject* type);
P alias_of(Tensor* t, bool keep_graph);  // the same array in a new object without base; keep_graph: same node
inline Tensor* root_of(Tensor* t) { return t->base ? t->base : t; }

// A view's node and flag after in-place changes of its base.
Node* node_of(Tensor* t);  // borrowed; null for leaves
bool needs_grad(Tensor* t);

P call_op(P op, P const* args, size_t nargsf, P kwnames);
void set_python_error();  // the C++ exception in flight becomes a Python one
P dims_tuple(const Dims& dims);

PyTypeObject* make_tensor_type();
PyTypeObject* make_node_type();
PyTypeObject* make_op_type();
bool set_operator(const char* name, P op);
Node* window_node(Tensor* view);  // how a view hangs on its base now

int getbuffer(P self, Py_buffer* view, int flags);
void releasebuffer(P self, Py_buffer* view);

}  // namespace tg::py
