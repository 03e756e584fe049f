// LSTM over a sequence: the steps, once x's part of the gates is known for all of them.
//
//   i = sigmoid(z_i + W_hi h)    f = sigmoid(z_f + W_hf h)    g = tanh(z_g + W_hg h)    o = sigmoid(z_o + W_ho h)
//   c = f c + i g                h = o tanh(c)
//
// Back, from the last step to the first (d = all that has come to h, dc to c):
//
//   dc += d o (1 - tanh(c)^2)
//   dz_i = dc g i (1 - i)    dz_f = dc c_before f (1 - f)    dz_g = dc i (1 - g^2)    dz_o = d tanh(c) o (1 - o)
//   dc = dc f                dh = dz W_hh
//
// Shapes: z (N, 5 H) comes in with x's part and goes out as i f g o c; y (N, H); dz (N, 4 H). The gradients of x, the weights
// and the biases are products over the whole sequence, which the op makes of dz.
//
// Cost: 8 B H^2 operations a step, each way; the five functions of a unit cost about as much as 150 of its multiplications.
// Memory: a step streams the packed weights (16 H^2 bytes in float) and 7 values a unit.
// Numerics: float32 or double throughout; x's part, then the sum of h's in blocks of 512. tanh(c) is computed again on the
// way back.
#include "kernels/cpu/rnn/steps.h"

namespace tg::TG_ISA {

template <class T> static void lstm_steps(const Launch& launch, const Recurrent& r) {
  using V = Vec<T>;
  const int64_t H = r.hidden;
  T *const z = static_cast<T*>(r.z), *const y = static_cast<T*>(r.y);
  const T* const c0 = static_cast<const T*>(r.c0);
  const T* const bias = r.weight_ih ? static_cast<const T*>(r.bias) : nullptr;
  run_steps<T, 4>(launch, r, [&](const Units<T>& s) TG_INLINE_LAMBDA {
    T* const gate = z + s.row * 5 * H + s.unit;
    const T* const added = bias ? bias + s.unit : gate;
    auto sum = [&](int k) TG_INLINE_LAMBDA { return V::load(added + k * H, s.count) + V::load(s.product + k * V::width); };
    const V i = sigmoid(sum(0)), f = sigmoid(sum(1)), g = tanh(sum(2)), o = sigmoid(sum(3));
    const T* const before = s.before < 0 ? c0 + s.sequence * H : z + s.before * 5 * H + 4 * H;
    const V c = fma(f, V::load(before + s.unit, s.count), i * g);
    i.store(gate, s.count);
    f.store(gate + H, s.count);
    g.store(gate + 2 * H, s.count);
    o.store(gate + 3 * H, s.count);
    c.store(gate + 4 * H, s.count);
    (o * tanh(c)).store(y + s.row * H + s.unit, s.count);
  });
  copy_last(r, y, H, static_cast<T*>(r.hn));
  copy_last(r, z + 4 * H, 5 * H, static_cast<T*>(r.cn));
}

template <class T> static void lstm_steps_backward(const Launch& launch, const RecurrentBackward& b) {
  using V = Vec<T>;
  const Recurrent& r = b.forward;
  const int64_t H = r.hidden;
  const T *const z = static_cast<const T*>(r.z), *const c0 = static_cast<const T*>(r.c0);
  T *const dz = static_cast<T*>(b.dz), *const dc = static_cast<T*>(b.dc0);
  const size_t bytes = size_t(r.batch * H) * sizeof(T);
  if (b.dcn) __builtin_memcpy(dc, b.dcn, bytes);
  else __builtin_memset(dc, 0, bytes);
  run_steps_backward<T, 4>(launch, b, 0, false, [&](const GradientUnits<T>& s) TG_INLINE_LAMBDA {
    const V one(T(1));
    const T* const gate = z + s.row * 5 * H + s.unit;
    const V i = V::load(gate, s.count), f = V::load(gate + H, s.count), g = V::load(gate + 2 * H, s.count),
            o = V::load(gate + 3 * H, s.count), tanh_c = tanh(V::load(gate + 4 * H, s.count));
    const V before = V::load((s.before < 0 ? c0 + s.sequence * H : z + s.before * 5 * H + 4 * H) + s.unit, s.count);
    T* const dc_at = dc + s.sequence * H + s.unit;
    const V dc_here = fma(s.dy * o, one - tanh_c * tanh_c, V::load(dc_at, s.count));
    T* const out = dz + s.row * b.dz_stride + s.unit;
    (dc_here * g * (i * (one - i))).store(out, s.count);
    (dc_here * before * (f * (one - f))).store(out + H, s.count);
    (dc_here * i * (one - g * g)).store(out + 2 * H, s.count);
    (s.dy * tanh_c * (o * (one - o))).store(out + 3 * H, s.count);
    (dc_here * f).store(dc_at, s.count);
  });
}

// --- rows of the table ------------------------------------------------------------------------------------------------
Status lstm(const Launch& launch, const Recurrent& r) {
  return visit_wide(r.dtype, [&]<class T>() { return lstm_steps<T>(launch, r), Status{}; });
}

Status lstm_backward(const Launch& launch, const RecurrentBackward& b) {
  return visit_wide(b.forward.dtype, [&]<class T>() { return lstm_steps_backward<T>(launch, b), Status{}; });
}

}  // namespace tg::TG_ISA
