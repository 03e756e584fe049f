// Builds the Strided view of an elementwise kernel from arrays: broadcasts, sorts and merges dims.
#pragma once
#include "ops/ops.h"

namespace tg::ops {

// Operand 0 is the output; the others broadcast to its shape. `dtype` is the type numbers are taken in.
template <int N> struct StridedBuilder {
  Strided<N> view;

  explicit StridedBuilder(const Array& out) : out_(out) {
    simple_ = out.contiguous();
    set(0, out);
  }
  void input(int i, const Operand& x, DType dtype) {
    auto& operand = view.operand[i];
    if (x.kind != Operand::tensor) {
      operand.data = nullptr;
      operand.dtype = dtype;
      operand.scalar = x.number;
      return;
    }
    set(i, *x.array);
    simple_ = simple_ && x.array->shape == out_.shape && x.array->contiguous();
  }
  const Strided<N>& build() {
    if (simple_) {  // everything lies in memory in the same order: one long dim
      view.ndim = 1;
      view.shape[0] = out_.numel();
      for (auto& operand : view.operand) operand.strides[0] = 1;
      return view;
    }
    general();
    return view;
  }

 private:
  void set(int i, const Array& x) {
    view.operand[i].data = x.data();
    view.operand[i].dtype = x.dtype;
    arrays_[i] = &x;
  }
  int64_t stride(int i, int dim) const {
    const Array* x = arrays_[i];
    if (!x) return 0;
    const int own = dim - (out_.ndim() - x->ndim());
    return own < 0 || x->shape[own] == 1 ? 0 : x->strides[own];
  }
  void general() {
    // dims of more than one element, the output's largest stride first, so that the walk follows memory
    int order[max_dims], n = 0;
    for (int d = 0; d < out_.ndim(); ++d) {
      if (out_.shape[d] == 1) continue;
      int j = n++;
      for (; j > 0 && out_.strides[order[j - 1]] < out_.strides[d]; --j) order[j] = order[j - 1];
      order[j] = d;
    }
    int merged = 0;
    for (int k = 0; k < n; ++k) {
      const int d = order[k];
      const int64_t size = out_.shape[d];
      bool joins = merged > 0;
      for (int i = 0; i < N && joins; ++i) joins = view.operand[i].strides[merged - 1] == stride(i, d) * size;
      const int at = joins ? merged - 1 : merged++;
      view.shape[at] = joins ? view.shape[at] * size : size;
      for (int i = 0; i < N; ++i) view.operand[i].strides[at] = stride(i, d);
    }
    if (merged == 0) {
      merged = 1;
      view.shape[0] = 1;
      for (auto& operand : view.operand) operand.strides[0] = 1;
    }
    view.ndim = merged;
  }

  const Array& out_;
  const Array* arrays_[N] = {};
  bool simple_;
};

}  // namespace tg::ops
