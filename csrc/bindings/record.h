// Recording: how a call becomes a node of the graph. Used by op.cpp (calls) and in_place.cpp (in-place calls).
#pragma once
#include "bindings/python.h"

namespace tg::py {

inline bool wants_grad(P o) { return is_tensor(o) && needs_grad(as_tensor(o)); }
bool any_wants_grad(Op* op, P const* args);  // does an argument that has a rule ask for a gradient?

// A node without edges, values or outputs, not yet known to the garbage collector.
Node* new_node(Op* op, int n_edges, int n_saved, int n_outputs);
void set_edge(Node* n, int i, Tensor* t);
// Gives a node with its outputs set its place in the order of recording, and shows it to the garbage collector.
void finish_node(Node* n);

// The node of a call, before its outputs are known: edges and saved arguments.
Node* prepare_node(Op* op, P const* args, int n_outputs);
// Completes the node with its outputs and hangs them on it. Steals `n`; null means one is prepared here.
int record(Op* op, P const* args, P const* outputs, int n_outputs, Node* n);
// A step of the user's own (autograd.Function): `context` is what its rule gets, outputs become its results.
int record_function(Op* op, P context, P inputs, P outputs);

// op.cpp: the kernel of a call whose arguments are bound; between two looks at the clock while a profile is open.
P call_kernel_profiled(Op* op, P const* args, int n);
inline P call_kernel(Op* op, P const* args, int n) {
  if (callbacks.on_profile) return call_kernel_profiled(op, args, n);
  return PyObject_Vectorcall(op->kernel, args, n, nullptr);
}

// in_place.cpp
P call_in_place(Op* op, P const* args, int n);
void mark_view(P out, P source);  // out shares source's memory: it becomes a view of source's base

}  // namespace tg::py
