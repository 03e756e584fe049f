// One optimiser step over every parameter in one call, as PyTorch defines them.
//
// In all of them g is the gradient, negated with `maximize`, plus weight_decay p; with decoupled decay (AdamW) instead
// p = p (1 - lr weight_decay) first.
//
// SGD.  With momentum
//     buf = g                                       in the first step
//     buf = momentum buf + (1 - dampening) g        later
//     g   = buf,  or  g + momentum buf  with `nesterov`
//   and always  p -= lr g.                          buf: parameters' `first`
//
// Adam.  In step t = 1, 2, ...
//     m = m + (1 - beta1) (g - m)                                  m: `first`
//     v = beta2 v + (1 - beta2) g^2                                v: `second`
//     w = v,  or with amsgrad the largest v so far                 w: `third`
//     p = p - lr / (1 - beta1^t)  m / (sqrt(w) / sqrt(1 - beta2^t) + eps)
//
// The others share the row `adaptive`: m and v as in Adam, and step sizes that depend on t alone come from the caller.
//     RMSprop    v; centred: a = beta2 a + (1 - beta2) g, w = v - a^2 (else w = v);  d = g / (sqrt(w) + eps)
//                with momentum: b = beta1 b + d, d = b;  p -= lr d                  b, v, a: first, second, third
//     Adagrad    s += g^2;  p -= lr g / (sqrt(s) + eps)                             s: second
//     Adadelta   v;  d = sqrt(u + eps) / sqrt(v + eps) g;  u = beta2 u + (1 - beta2) d^2;  p -= lr d    u: first
//     NAdam      m, v;  p -= (lr m + lr_gradient g) / (sqrt(v) inverse_root + eps)
//     RAdam      m, v;  p -= lr m / (sqrt(v) + eps), or p -= lr m while the variance is not to be trusted (`plain`)
//     Adamax     m;  u = max(beta2 u, |g| + eps);  p -= lr m / u                    u: second
//
// Cost: SGD with momentum reads p, g, buf and writes p, buf: 20 bytes per float32 parameter; Adam 28, at 10 FLOPs and two
// divisions. Memory is the limit. Numerics: what depends only on the hyper-parameters is computed once, in double; the
// parameters are updated in their own type, float32 or float64.
//
// An algorithm is a rule: what it does with one register of p, g and up to three buffers. The loop is written once.
#include <cmath>

#include "kernels/arguments/optimizer.h"
#include "kernels/cpu/optimizer/pieces.h"
#include "kernels/cpu/simd.h"

namespace tg::TG_ISA {

// One register of each buffer; a rule changes what it uses.
template <class T> struct State { Vec<T> first, second, third; };

template <class T> TG_INLINE T* element(void* const* buffers, int64_t parameter, int64_t begin) {
  return buffers ? static_cast<T*>(buffers[parameter]) + begin : nullptr;
}

// p = rule(p, g, state) for every register; buffers that are null read as 0 and are not written.
template <class T, class Rule> static void update_all(const Launch& launch, const ParameterList& list, const Rule& rule) {
  using V = Vec<T>;
  for_each_piece(launch, list, even_piece(list), [&](int64_t k, int64_t begin, int64_t n, int64_t) {
    T* const p = element<T>(list.parameters, k, begin);
    const T* const gradient = static_cast<const T*>(list.gradients[k]) + begin;
    T *const first = element<T>(list.first, k, begin), *const second = element<T>(list.second, k, begin);
    T* const third = element<T>(list.third, k, begin);
    const Rule own = rule;  // a copy that the stores below cannot change: its constants stay in registers
    for (int64_t i = 0; i < n; i += V::width) {
      const int64_t lanes = n - i;
      State<T> s{V(T(0)), V(T(0)), V(T(0))};
      if (first) s.first = V::load(first + i, lanes);
      if (second) s.second = V::load(second + i, lanes);
      if (third) s.third = V::load(third + i, lanes);
      own(V::load(p + i, lanes), V::load(gradient + i, lanes), s).store(p + i, lanes);
      if (first) s.first.store(first + i, lanes);
      if (second) s.second.store(second + i, lanes);
      if (third) s.third.store(third + i, lanes);
    }
  });
}

// Rule is a template over the type of the parameters, made from the arguments of the step.
template <template <class> class Rule, class Arguments>
static Status run(const Launch& launch, const ParameterList& list, const Arguments& step) {
  if (list.dtype == DType::f32) update_all<float>(launch, list, Rule<float>(step));
  else if (list.dtype == DType::f64) update_all<double>(launch, list, Rule<double>(step));
  else return {Status::missing, 0};
  return {};
}

// --- the rules --------------------------------------------------------------------------------------------------------
template <class T> struct Decayed {  // g with its sign and weight decay, p with its decoupled decay
  Vec<T> sign, decay, shrink;
  Decayed(double weight_decay, bool maximize, double shrink = 1)
      : sign(T(maximize ? -1 : 1)), decay(T(weight_decay)), shrink(T(shrink)) {}
  TG_INLINE Vec<T> gradient(Vec<T> p, Vec<T> g) const { return fma(decay, p, g * sign); }
};

// The moving averages of g and of g^2.
template <class T> struct Moments {
  Vec<T> fresh1, beta2, fresh2;
  Moments(double beta1, double beta2) : fresh1(T(1 - beta1)), beta2(T(beta2)), fresh2(T(1 - beta2)) {}
  TG_INLINE Vec<T> mean(Vec<T> m, Vec<T> g) const { return fma(fresh1, g - m, m); }
  TG_INLINE Vec<T> square(Vec<T> v, Vec<T> g) const { return fma(beta2, v, fresh2 * (g * g)); }
};

template <class T> struct Sgd {
  Decayed<T> decayed;
  Vec<T> minus_lr, momentum, fresh;
  bool uses_buffer, first_step, nesterov;

  explicit Sgd(const SgdStep& s)
      : decayed(s.weight_decay, s.maximize),
        minus_lr(T(-s.lr)),
        momentum(T(s.momentum)),
        fresh(T(1 - s.dampening)),
        uses_buffer(s.momentum != 0),
        first_step(s.first_step),
        nesterov(s.nesterov) {}
  TG_INLINE Vec<T> operator()(Vec<T> p, Vec<T> g, State<T>& s) const {
    g = decayed.gradient(p, g);
    if (uses_buffer) {
      s.first = first_step ? g : fma(momentum, s.first, fresh * g);
      g = nesterov ? fma(momentum, s.first, g) : s.first;
    }
    return fma(minus_lr, g, p);
  }
};

template <class T> struct Adam {
  Decayed<T> decayed;
  Moments<T> moments;
  Vec<T> minus_step, inverse_root, eps;
  bool amsgrad;

  explicit Adam(const AdamStep& s)
      : decayed(s.decoupled ? 0 : s.weight_decay, s.maximize, s.decoupled ? 1 - s.lr * s.weight_decay : 1),
        moments(s.beta1, s.beta2),
        minus_step(T(-s.lr / (1 - ::pow(s.beta1, double(s.step))))),
        inverse_root(T(1 / ::sqrt(1 - ::pow(s.beta2, double(s.step))))),
        eps(T(s.eps)),
        amsgrad(s.amsgrad) {}
  TG_INLINE Vec<T> operator()(Vec<T> p, Vec<T> g, State<T>& s) const {
    g = decayed.gradient(p, g);
    s.first = moments.mean(s.first, g);
    s.second = moments.square(s.second, g);
    Vec<T> w = s.second;
    if (amsgrad) w = s.third = max(s.third, s.second);
    return fma(minus_step, s.first / fma(sqrt(w), inverse_root, eps), p * decayed.shrink);
  }
};

template <class T> struct Adaptive {
  Decayed<T> decayed;
  Moments<T> moments;
  Vec<T> minus_lr, minus_lr_gradient, beta1, inverse_root, eps;
  bool plain, has_momentum, centred;

  explicit Adaptive(const AdaptiveStep& s)
      : decayed(s.weight_decay, s.maximize, s.shrink),
        moments(s.beta1, s.beta2),
        minus_lr(T(-s.lr)),
        minus_lr_gradient(T(-s.lr_gradient)),
        beta1(T(s.beta1)),
        inverse_root(T(s.inverse_root)),
        eps(T(s.eps)),
        plain(s.plain),
        has_momentum(s.beta1 != 0),
        centred(s.centred) {}
};

template <class T> struct RmsProp : Adaptive<T> {
  using Adaptive<T>::Adaptive;
  TG_INLINE Vec<T> operator()(Vec<T> p, Vec<T> g, State<T>& s) const {
    g = this->decayed.gradient(p, g);
    s.second = this->moments.square(s.second, g);
    Vec<T> w = s.second;
    if (this->centred) {
      s.third = fma(this->moments.beta2, s.third, this->moments.fresh2 * g);
      w = w - s.third * s.third;
    }
    Vec<T> change = g / (sqrt(w) + this->eps);
    if (this->has_momentum) change = s.first = fma(this->beta1, s.first, change);
    return fma(this->minus_lr, change, p);
  }
};

template <class T> struct Adagrad : Adaptive<T> {
  using Adaptive<T>::Adaptive;
  TG_INLINE Vec<T> operator()(Vec<T> p, Vec<T> g, State<T>& s) const {
    g = this->decayed.gradient(p, g);
    s.second = fma(g, g, s.second);
    return fma(this->minus_lr, g / (sqrt(s.second) + this->eps), p);
  }
};

template <class T> struct Adadelta : Adaptive<T> {
  using Adaptive<T>::Adaptive;
  TG_INLINE Vec<T> operator()(Vec<T> p, Vec<T> g, State<T>& s) const {
    g = this->decayed.gradient(p, g);
    s.second = this->moments.square(s.second, g);
    const Vec<T> change = sqrt(s.first + this->eps) / sqrt(s.second + this->eps) * g;
    s.first = this->moments.square(s.first, change);
    return fma(this->minus_lr, change, p);
  }
};

template <class T> struct NAdam : Adaptive<T> {
  using Adaptive<T>::Adaptive;
  TG_INLINE Vec<T> operator()(Vec<T> p, Vec<T> g, State<T>& s) const {
    const Vec<T> shrunk = p * this->decayed.shrink;
    g = this->decayed.gradient(p, g);
    s.first = this->moments.mean(s.first, g);
    s.second = this->moments.square(s.second, g);
    const Vec<T> change = fma(this->minus_lr, s.first, this->minus_lr_gradient * g);
    return shrunk + change / fma(sqrt(s.second), this->inverse_root, this->eps);
  }
};

template <class T> struct RAdam : Adaptive<T> {
  using Adaptive<T>::Adaptive;
  TG_INLINE Vec<T> operator()(Vec<T> p, Vec<T> g, State<T>& s) const {
    const Vec<T> shrunk = p * this->decayed.shrink;
    g = this->decayed.gradient(p, g);
    s.first = this->moments.mean(s.first, g);
    s.second = this->moments.square(s.second, g);
    return fma(this->minus_lr, this->plain ? s.first : s.first / (sqrt(s.second) + this->eps), shrunk);
  }
};

template <class T> struct Adamax : Adaptive<T> {
  using Adaptive<T>::Adaptive;
  TG_INLINE Vec<T> operator()(Vec<T> p, Vec<T> g, State<T>& s) const {
    g = this->decayed.gradient(p, g);
    s.first = this->moments.mean(s.first, g);
    s.second = max(this->moments.beta2 * s.second, abs(g) + this->eps);
    return fma(this->minus_lr, s.first / s.second, p);
  }
};

// --- rows of the table ------------------------------------------------------------------------------------------------
Status sgd(const Launch& launch, const ParameterList& list, const SgdStep& step) { return run<Sgd>(launch, list, step); }
Status adam(const Launch& launch, const ParameterList& list, const AdamStep& step) { return run<Adam>(launch, list, step); }

Status adaptive(const Launch& launch, const ParameterList& list, const AdaptiveStep& step) {
  switch (step.algorithm) {
    case AdaptiveStep::rmsprop: return run<RmsProp>(launch, list, step);
    case AdaptiveStep::adagrad: return run<Adagrad>(launch, list, step);
    case AdaptiveStep::adadelta: return run<Adadelta>(launch, list, step);
    case AdaptiveStep::nadam: return run<NAdam>(launch, list, step);
    case AdaptiveStep::radam: return run<RAdam>(launch, list, step);
    case AdaptiveStep::adamax: return run<Adamax>(launch, list, step);
  }
  return {Status::missing, 0};
}

}  // namespace tg::TG_ISA
