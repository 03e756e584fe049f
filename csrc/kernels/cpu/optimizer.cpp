// One optimiser step over every parameter in one call, as PyTorch's SGD, Adam and AdamW define it.
//
// SGD.  g is the gradient, negated with `maximize`; with weight decay g += weight_decay p.  With momentum
//     buf = g                                       in the first step
//     buf = momentum buf + (1 - dampening) g        later
//     g   = buf,  or  g + momentum buf  with `nesterov`
//   and always  p -= lr g.                          buf: parameters' `first`
//
// Adam.  Weight decay is g += weight_decay p, or p *= 1 - lr weight_decay if `decoupled` (AdamW). In step t = 1, 2, ...
//     m = m + (1 - beta1) (g - m)                                  m: `first`
//     v = beta2 v + (1 - beta2) g^2                                v: `second`
//     w = v,  or with amsgrad the largest v so far                 w: `third`
//     p = p - lr / (1 - beta1^t)  m / (sqrt(w) / sqrt(1 - beta2^t) + eps)
//
// Cost: SGD with momentum reads p, g, buf and writes p, buf: 20 bytes per float32 parameter; Adam 28, at 10 FLOPs and two
// divisions. Memory is the limit. Numerics: what depends only on the hyper-parameters is computed once, in double; the
// parameters are updated in their own type, float32 or float64.
//
// Work is cut into pieces of at most 16384 elements of one parameter, and all pieces are shared out in one parallel region:
// a network of a hundred small biases costs one region, not a hundred.
#include <cmath>

#include "core/parallel.h"
#include "kernels/arguments/optimizer.h"
#include "kernels/cpu/simd.h"

namespace tg::TG_ISA {

static constexpr int64_t piece_size = 16384;  // elements: 64 KB of each buffer

static int64_t pieces_of(int64_t size) { return (size + piece_size - 1) / piece_size; }

// Calls update(parameter number, first element, count) for every piece.
template <class Update>
[[gnu::always_inline]] static inline void for_each_piece(const Launch& launch, const ParameterList& list,
                                                         const Update& update) {
  int64_t pieces = 0, elements = 0;
  for (int64_t i = 0; i < list.count; ++i) pieces += pieces_of(list.sizes[i]), elements += list.sizes[i];
  // A share is a few pieces where pieces are small, so that each is worth a thread; finding its first piece costs a scan.
  const int64_t mean_size = pieces > 0 ? elements / pieces + 1 : 1;
  const int64_t by_size = piece_size / mean_size, by_count = pieces / 256;
  const int64_t grain = 1 + (by_size > by_count ? by_size : by_count);
  parallel_for(launch, pieces, grain, [&](int64_t begin, int64_t end) {
    int64_t parameter = 0, piece = begin;  // piece: counted from the parameter's first
    while (piece >= pieces_of(list.sizes[parameter])) piece -= pieces_of(list.sizes[parameter++]);
    for (int64_t left = end - begin; left > 0; --left) {
      while (piece >= pieces_of(list.sizes[parameter])) ++parameter, piece = 0;
      const int64_t first = piece * piece_size, size = list.sizes[parameter];
      update(parameter, first, first + piece_size < size ? piece_size : size - first);
      ++piece;
    }
  });
}

// Runs step(i, lanes) over whole vectors and then over the last, partial one.
template <class T, class Step> [[gnu::always_inline]] static inline void for_each_vector(int64_t n, const Step& step) {
  int64_t i = 0;
  for (; i + Vec<T>::width <= n; i += Vec<T>::width) step(i, Vec<T>::width);
  if (i < n) step(i, n - i);
}

template <class T> static void sgd_piece(T* p, const T* gradient, T* buffer, int64_t n, const SgdStep& s) {
  using V = Vec<T>;
  const V minus_lr(static_cast<T>(-s.lr)), momentum(static_cast<T>(s.momentum)), fresh(static_cast<T>(1 - s.dampening));
  const V decay(static_cast<T>(s.weight_decay)), sign(static_cast<T>(s.maximize ? -1 : 1));
  for_each_vector<T>(n, [&](int64_t i, int64_t lanes) {
    const V old = V::load(p + i, lanes);
    V g = fma(decay, old, V::load(gradient + i, lanes) * sign);
    if (buffer) {
      const V velocity = s.first_step ? g : fma(momentum, V::load(buffer + i, lanes), fresh * g);
      velocity.store(buffer + i, lanes);
      g = s.nesterov ? fma(momentum, velocity, g) : velocity;
    }
    fma(minus_lr, g, old).store(p + i, lanes);
  });
}

struct AdamFactors { double shrink, decay, fresh1, beta2, fresh2, step_size, inverse_root; };

template <class T>
static void adam_piece(T* p, const T* gradient, T* m, T* v, T* w, int64_t n, const AdamFactors& f, bool maximize,
                       double epsilon) {
  using V = Vec<T>;
  const V shrink(static_cast<T>(f.shrink)), decay(static_cast<T>(f.decay)), sign(static_cast<T>(maximize ? -1 : 1));
  const V fresh1(static_cast<T>(f.fresh1)), beta2(static_cast<T>(f.beta2)), fresh2(static_cast<T>(f.fresh2));
  const V step_size(static_cast<T>(-f.step_size)), inverse_root(static_cast<T>(f.inverse_root)), eps(static_cast<T>(epsilon));
  for_each_vector<T>(n, [&](int64_t i, int64_t lanes) {
    const V old = V::load(p + i, lanes);
    const V g = fma(decay, old, V::load(gradient + i, lanes) * sign);
    const V m_old = V::load(m + i, lanes);
    const V m_new = fma(fresh1, g - m_old, m_old);
    const V v_new = fma(beta2, V::load(v + i, lanes), fresh2 * (g * g));
    m_new.store(m + i, lanes);
    v_new.store(v + i, lanes);
    V w_new = v_new;
    if (w) {
      w_new = max(V::load(w + i, lanes), v_new);
      w_new.store(w + i, lanes);
    }
    fma(step_size, m_new / fma(sqrt(w_new), inverse_root, eps), old * shrink).store(p + i, lanes);
  });
}

template <class T> static T* element(void* const* buffers, int64_t parameter, int64_t first) {
  return buffers ? static_cast<T*>(buffers[parameter]) + first : nullptr;
}

template <class T> static void sgd_all(const Launch& launch, const ParameterList& list, const SgdStep& step) {
  void* const* buffers = step.momentum != 0 ? list.first : nullptr;
  for_each_piece(launch, list, [&](int64_t k, int64_t first, int64_t n) {
    sgd_piece(element<T>(list.parameters, k, first), static_cast<const T*>(list.gradients[k]) + first,
              element<T>(buffers, k, first), n, step);
  });
}

Status sgd(const Launch& launch, const ParameterList& list, const SgdStep& step) {
  if (list.dtype == DType::f32) sgd_all<float>(launch, list, step);
  else if (list.dtype == DType::f64) sgd_all<double>(launch, list, step);
  else return {Status::missing, 0};
  return {};
}

template <class T> static void adam_all(const Launch& launch, const ParameterList& list, const AdamStep& step) {
  const double t = static_cast<double>(step.step);
  const AdamFactors factors = {
      .shrink = step.decoupled ? 1 - step.lr * step.weight_decay : 1,
      .decay = step.decoupled ? 0 : step.weight_decay,
      .fresh1 = 1 - step.beta1,
      .beta2 = step.beta2,
      .fresh2 = 1 - step.beta2,
      .step_size = step.lr / (1 - ::pow(step.beta1, t)),
      .inverse_root = 1 / ::sqrt(1 - ::pow(step.beta2, t)),
  };
  void* const* largest = step.amsgrad ? list.third : nullptr;
  for_each_piece(launch, list, [&](int64_t k, int64_t first, int64_t n) {
    adam_piece(element<T>(list.parameters, k, first), static_cast<const T*>(list.gradients[k]) + first,
               element<T>(list.first, k, first), element<T>(list.second, k, first), element<T>(largest, k, first), n, factors,
               step.maximize, step.eps);
  });
}

Status adam(const Launch& launch, const ParameterList& list, const AdamStep& step) {
  if (list.dtype == DType::f32) adam_all<float>(launch, list, step);
  else if (list.dtype == DType::f64) adam_all<double>(launch, list, step);
  else return {Status::missing, 0};
  return {};
}

}  // namespace tg::TG_ISA
