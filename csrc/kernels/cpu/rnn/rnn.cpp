// The plain recurrent layer over a sequence, once x's part is known for all steps; and the scratch that all recurrent kernels
// ask for.
//
//   h = act(z + W_hh h)                              act = tanh or relu
//   dz = d act'(h),  act' = 1 - h^2 or h > 0         d = all that has come to h
//   dh = dz W_hh
//
// Shapes: z (N, H) is y itself: it comes in with x's part and goes out as h. dz (N, H).
// Cost: 2 B H^2 operations a step, each way. Numerics: as for the LSTM.
#include "kernels/cpu/rnn/steps.h"

namespace tg::TG_ISA {

template <class T, bool relu> static void rnn_steps(const Launch& launch, const Recurrent& r) {
  using V = Vec<T>;
  const int64_t H = r.hidden;
  T* const y = static_cast<T*>(r.y);
  const T* const bias = r.weight_ih ? static_cast<const T*>(r.bias) : nullptr;
  run_steps<T, 1>(launch, r, [&](const Units<T>& s) TG_INLINE_LAMBDA {
    T* const at = y + s.row * H + s.unit;
    const V sum = V::load(bias ? bias + s.unit : at, s.count) + V::load(s.product);
    (relu ? max_or_second(V(T(0)), sum) : tanh(sum)).store(at, s.count);
  });
  copy_last(r, y, H, static_cast<T*>(r.hn));
}

template <class T, bool relu> static void rnn_steps_backward(const Launch& launch, const RecurrentBackward& b) {
  using V = Vec<T>;
  const Recurrent& r = b.forward;
  const int64_t H = r.hidden;
  const T* const y = static_cast<const T*>(r.y);
  T* const dz = static_cast<T*>(b.dz);
  run_steps_backward<T, 1>(launch, b, 0, false, [&](const GradientUnits<T>& s) TG_INLINE_LAMBDA {
    const V h = V::load(y + s.row * H + s.unit, s.count), zero(T(0));
    const V d = relu ? select(h > zero, s.dy, zero) : s.dy * (V(T(1)) - h * h);
    d.store(dz + s.row * b.dz_stride + s.unit, s.count);
  });
}

// --- rows of the table ------------------------------------------------------------------------------------------------
Status rnn(const Launch& launch, const Recurrent& r) {
  return visit_wide(r.dtype, [&]<class T>() {
    r.relu ? rnn_steps<T, true>(launch, r) : rnn_steps<T, false>(launch, r);
    return Status{};
  });
}

Status rnn_backward(const Launch& launch, const RecurrentBackward& b) {
  return visit_wide(b.forward.dtype, [&]<class T>() {
    b.forward.relu ? rnn_steps_backward<T, true>(launch, b) : rnn_steps_backward<T, false>(launch, b);
    return Status{};
  });
}

// The largest of what the passes over `gates` gates need: packed weights, and on the way back dh.
size_t rnn_workspace(const Recurrent& r, int gates, bool backward) {
  auto bytes = [&]<class T>() -> int64_t {
    if (!backward && r.weight_ih) return OneStep<T, 1>::bytes(r);
    if (!backward) return r.weight_hh ? GatePanels<T, 1>{r.hidden, nullptr}.bytes() * gates : 0;
    const GradientPanels<T> panels{r.hidden, gates * r.hidden, nullptr};
    return (r.batch * panels.dh_stride() + (r.weight_hh ? panels.elements() : 0)) * int64_t(sizeof(T));
  };
  return size_t(r.dtype == DType::f64 ? bytes.operator()<double>() : bytes.operator()<float>());
}

}  // namespace tg::TG_ISA
