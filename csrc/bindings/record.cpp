#include "bindings/record.h"

#include <atomic>

namespace tg::py {

static std::atomic<uint64_t> next_seq{0};

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

namespace {

// Where the gradient of t goes: its node, or t itself if it is a leaf. New reference.
P edge_of(Tensor* t) {
  Node* node = node_of(t);
  return Py_NewRef(node ? reinterpret_cast<P>(node) : reinterpret_cast<P>(t));
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

}  // namespace

void set_edge(Node* n, int i, Tensor* t) {
  n->edges()[i] = edge_of(t);
  if (!t->node) return;
  n->slots()[i] = t->output;
  n->has_slots |= t->node->n_outputs > 1;
}

Node* new_node(Op* op, int n_edges, int n_saved, int n_outputs) {
  const size_t tail = n_saved * sizeof(uint32_t) + n_edges + 8 + n_outputs * sizeof(OutputMeta);
  const Py_ssize_t words = n_edges + n_saved + static_cast<Py_ssize_t>((tail + 7) / 8);
  auto* n = PyObject_GC_NewVar(Node, node_type, words);
  if (!n) return nullptr;
  n->op = op;
  Py_INCREF(op);
  n->hooks = n->trace = nullptr;
  n->n_edges = n_edges;
  n->n_saved = n_saved;
  n->n_outputs = static_cast<uint8_t>(n_outputs);
  n->freed = n->has_slots = false;
  std::memset(static_cast<void*>(n->items), 0, sizeof(P) * words);
  return n;
}

void finish_node(Node* n) {
  n->seq = next_seq.fetch_add(1, std::memory_order_relaxed);
  PyObject_GC_Track(n);
}

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
  finish_node(n);
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

int record_function(Op* op, P context, P inputs, P outputs) {
  const auto n_inputs = static_cast<int>(PyTuple_GET_SIZE(inputs)), n_outputs = static_cast<int>(PyTuple_GET_SIZE(outputs));
  Node* n = new_node(op, n_inputs, op->n_params + n_outputs, n_outputs);
  if (!n) return -1;
  for (int i = 0; i < n_inputs; ++i)
    if (wants_grad(PyTuple_GET_ITEM(inputs, i))) set_edge(n, i, as_tensor(PyTuple_GET_ITEM(inputs, i)));
  n->saved()[0] = Py_NewRef(context);
  return record(op, nullptr, &PyTuple_GET_ITEM(outputs, 0), n_outputs, n);
}

}  // namespace tg::py
