// GRU over a sequence: the steps, once x's part of the gates is known for all of them.
//
//   r = sigmoid(z_r + W_hr h)    z = sigmoid(z_z + W_hz h)    p = W_hn h + b_hn    n = tanh(z_n + r p)    h = (1 - z) n + z h
//
// Back, from the last step to the first (d = all that has come to h):
//
//   dz_n = d (1 - z) (1 - n^2)    dz_r = dz_n p r (1 - r)    dz_z = d (h_before - n) z (1 - z)    dp = dz_n r
//   dh = d z + (dz_r dz_z dp) W_hh
//
// Shapes: z (N, 4 H) comes in with x's part of r z n and goes out as r z n p; y (N, H); dz (N, 4 H) as dz_n dz_r dz_z dp, so
// that what h has seen lies side by side. p has sums of its own, since r multiplies it and not what x gives.
//
// Cost: 6 B H^2 operations a step, each way. Numerics: as for the LSTM.
#include "kernels/cpu/rnn/steps.h"

namespace tg::TG_ISA {

template <class T> static void gru_steps(const Launch& launch, const Recurrent& r) {
  using V = Vec<T>;
  const int64_t H = r.hidden;
  T *const z = static_cast<T*>(r.z), *const y = static_cast<T*>(r.y);
  const T *const h0 = static_cast<const T*>(r.h0), *const bias = static_cast<const T*>(r.bias_hn);
  const bool product_in_z = !r.weight_hh;
  const T* const bias_x = r.weight_ih ? static_cast<const T*>(r.bias) : nullptr;
  run_steps<T, 3>(launch, r, [&](const Units<T>& s) TG_INLINE_LAMBDA {
    T* const gate = z + s.row * 4 * H + s.unit;
    const T* const added = bias_x ? bias_x + s.unit : gate;
    auto sum = [&](int k) TG_INLINE_LAMBDA { return V::load(added + k * H, s.count) + V::load(s.product + k * V::width); };
    const V reset = sigmoid(sum(0)), update = sigmoid(sum(1));
    V p = product_in_z ? V::load(gate + 3 * H, s.count) : V::load(s.product + 2 * V::width);
    if (bias) p += V::load(bias + s.unit, s.count);
    V of_x = V::load(added + 2 * H, s.count);
    if (bias_x) of_x += V::load(s.product + 3 * V::width);
    const V n = tanh(fma(reset, p, of_x));
    const V before = V::load((s.before < 0 ? h0 + s.sequence * H : y + s.before * H) + s.unit, s.count);
    reset.store(gate, s.count);
    update.store(gate + H, s.count);
    n.store(gate + 2 * H, s.count);
    p.store(gate + 3 * H, s.count);
    fma(update, before - n, n).store(y + s.row * H + s.unit, s.count);
  });
  copy_last(r, y, H, static_cast<T*>(r.hn));
}

template <class T> static void gru_steps_backward(const Launch& launch, const RecurrentBackward& b) {
  using V = Vec<T>;
  const Recurrent& r = b.forward;
  const int64_t H = r.hidden;
  const T *const z = static_cast<const T*>(r.z), *const y = static_cast<const T*>(r.y), *const h0 = static_cast<const T*>(r.h0);
  T* const dz = static_cast<T*>(b.dz);
  run_steps_backward<T, 3>(launch, b, H, true, [&](const GradientUnits<T>& s) TG_INLINE_LAMBDA {
    const V one(T(1));
    const T* const gate = z + s.row * 4 * H + s.unit;
    const V reset = V::load(gate, s.count), update = V::load(gate + H, s.count), n = V::load(gate + 2 * H, s.count),
            p = V::load(gate + 3 * H, s.count);
    const V before = V::load((s.before < 0 ? h0 + s.sequence * H : y + s.before * H) + s.unit, s.count);
    const V dn = s.dy * (one - update) * (one - n * n);
    T* const out = dz + s.row * b.dz_stride + s.unit;
    dn.store(out, s.count);
    (dn * p * (reset * (one - reset))).store(out + H, s.count);
    (s.dy * (before - n) * (update * (one - update))).store(out + 2 * H, s.count);
    (dn * reset).store(out + 3 * H, s.count);
    (s.dy * update).store(s.dh, s.count);
  });
}

// --- rows of the table ------------------------------------------------------------------------------------------------
Status gru(const Launch& launch, const Recurrent& r) {
  return visit_wide(r.dtype, [&]<class T>() { return gru_steps<T>(launch, r), Status{}; });
}

Status gru_backward(const Launch& launch, const RecurrentBackward& b) {
  return visit_wide(b.forward.dtype, [&]<class T>() { return gru_steps_backward<T>(launch, b), Status{}; });
}

}  // namespace tg::TG_ISA
